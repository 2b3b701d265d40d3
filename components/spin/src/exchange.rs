//! Requests as the core reads them, replies as Spin sends them.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use countersign_core::gate::{self, Gate};
use countersign_core::outcome::{Reply, RequestId};
use http_body_util::BodyExt;
use serde::Serialize;

use crate::host;
use spin_sdk::http::{FullBody, HeaderMap, HeaderName, HeaderValue, Request, StatusCode};

/// A request that has arrived, with its body as far as the limit goes.
#[derive(Debug)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names and values in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; `None` where it is over the limit, or was not read.
    pub body: Option<Vec<u8>>,
    /// The sender's address.
    pub peer: Option<IpAddr>,
}

/// A reply for Spin.
pub type Response = (StatusCode, HeaderMap, FullBody<Bytes>);

/// The sender went away, or broke the protocol, before the request was whole.
#[derive(Debug)]
pub struct Interrupted;

/// The id of a request: that of a proxy in front, or a new one.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> RequestId {
    let given = headers.get("x-request-id").map(HeaderValue::as_bytes);
    gate::request_id(given, || u128::from_be_bytes(host::random()))
}

/// Reads a request; of its body no more than one frame beyond the gate's limit, and nothing where it declares to be over: a sender
/// that waits for `100 Continue` is then answered at once.
///
/// # Errors
/// [`Interrupted`] where the body does not arrive.
pub async fn receive(request: Request, gate: &Gate) -> Result<Received, Interrupted> {
    let head = receive_head(&request);
    let body_bytes_max = gate.policy().limits.body_bytes_max;
    let declared = request.headers().get("content-length").map(HeaderValue::as_bytes);
    let received = match declared {
        Some(length) if gate.declares_too_much(length) => None,
        Some(_) | None => body(request.into_body(), body_bytes_max).await?,
    };
    Ok(Received { body: received, ..head })
}

/// Reads what stands before a request's body.
#[must_use]
pub fn receive_head(request: &Request) -> Received {
    let headers = request.headers();
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), value.as_bytes().to_vec());
    Received {
        method: request.method().as_str().to_owned(),
        path: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        peer: peer(headers),
        headers: headers.iter().map(field).collect(),
        body: None,
    }
}

/// Reads a body of at most `bytes_max`; `None` where it is longer, and then no more than one frame beyond was read.
///
/// # Errors
/// [`Interrupted`] where it does not arrive.
pub async fn body(
    mut body: impl BodyExt<Data = Bytes> + Unpin,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, Interrupted> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.map_err(|_| Interrupted)?.data_ref() {
            whole.extend_from_slice(data);
            if whole.len() > bytes_max {
                return Ok(None);
            }
        }
    }
    Ok(Some(whole))
}

/// The peer's address. Spin appends its own `spin-client-addr` behind any that the sender wrote, so only the last one counts.
fn peer(headers: &HeaderMap) -> Option<IpAddr> {
    let address = headers.get_all("spin-client-addr").iter().next_back()?.to_str().ok()?;
    address.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| address.parse()).ok()
}

/// The reply as the core wrote it. Its `content-length` is what lets Spin send it in one packet.
#[must_use]
pub fn respond(reply: Reply) -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in reply.headers {
        // What the core writes is visible ASCII.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(name, value);
        }
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, headers, FullBody::new(Bytes::from(reply.body)))
}

/// A reply with a JSON document.
#[must_use]
pub fn json(status: u16, document: &impl Serialize) -> Response {
    // Nothing that is written here can fail to be JSON.
    let body = serde_json::to_vec(document).unwrap_or_default();
    whole(status, "application/json", body)
}

/// A refusal: the source's members (§14) and those of RFC 9457, as the gate's.
#[must_use]
pub fn problem(status: u16, code: &str, hint: &str) -> Response {
    let body = serde_json::json!({ "error": code, "hint": hint, "title": code, "status": status });
    whole(status, "application/problem+json", body.to_string().into_bytes())
}

/// A refusal of the moment: what is asked may be asked again, and when.
#[must_use]
pub fn try_later(code: &str, hint: &str) -> Response {
    let mut response = problem(503, code, hint);
    response.1.insert("retry-after", HeaderValue::from_static("2"));
    response
}

/// A redirect to `location`, visible ASCII. No cache may answer in our stead, no search engine lists the link, and `location` does not
/// hear through which page the visitor came.
#[must_use]
pub fn redirect(location: &str) -> Response {
    // The configuration lets no other character into a landing page.
    let Ok(location) = HeaderValue::from_str(location) else { return empty(503) };
    let mut response = empty(302);
    response.1.insert("location", location);
    response.1.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response.1.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}

/// A reply without a body.
#[must_use]
pub fn empty(status: u16) -> Response {
    whole(status, "", Vec::new())
}

fn whole(status: u16, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert("content-type", HeaderValue::from_static(content_type));
    }
    headers.insert("content-length", HeaderValue::from(body.len()));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, headers, FullBody::new(Bytes::from(body)))
}
