//! The smallest sender: one request over HTTP/1.1.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::failure::unusable;

/// The longest that an answer may take: importing 27 years of exchange rates takes the worker seconds.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// What the application answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Whether `Idempotent-Replayed: true` is among the header fields.
    pub(crate) replayed: bool,
    /// The body as JSON; `null` where it is none.
    pub(crate) body: Value,
}

/// Sends a body with these header fields and waits for the whole answer.
///
/// # Errors
/// The URL is none of `http`, nobody listens there, or the answer does not come in time.
pub(crate) async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Reply> {
    let answer = tokio::time::timeout(ANSWER_MAX, exchange(method, url, headers, body)).await;
    answer.map_err(|_| anyhow!("{url}: no answer within {} s", ANSWER_MAX.as_secs()))?
}

async fn exchange(method: Method, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Reply> {
    let uri: Uri = url.parse().map_err(|error| unusable(format!("{url}: {error}")))?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
    let authority = authority.ok_or_else(|| unusable(format!("{url}: write http://HOST:PORT")))?;
    let address = (authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.with_context(|| format!("{url}: nobody listens there"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what goes wrong on it, the sender hears too.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(method).uri(path).header("host", authority.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Reply {
        status: head.status.as_u16(),
        replayed: head.headers.get("idempotent-replayed").is_some_and(|value| value == "true"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
