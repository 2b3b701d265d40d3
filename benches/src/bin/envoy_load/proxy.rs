//! The gate as a reverse proxy: one more hop between Envoy and the upstream. It does all that the filter does, but for metrics
//! and log.
//!
//! Each connection from Envoy has one of its own to the upstream: HTTP/1.1 has one request under way on each, so neither waits.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use countersign_core::gate::{Body, Claimed, Delivery, Outcome, UpstreamAnswer};
use countersign_core::outcome::Reply;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::spawn_local;

use crate::fields;
use crate::native::{Native, Received, now};

/// Slots for events, as shipped.
pub(crate) const SLOTS: u32 = 65_536;

/// Where the upstream takes events.
const COLLECT: &str = "/collect";

/// One connection.
///
/// # Errors
/// The connection breaks.
pub(crate) async fn connection(native: Arc<Native>, upstream: Arc<PathBuf>, stream: TcpStream) -> Result<()> {
    let address = stream.peer_addr()?.ip();
    let proxy =
        Rc::new(Proxy { native, address, upstream: Upstream { path: upstream, idle: RefCell::default() } });
    let answer = service_fn(move |request| {
        let proxy = Rc::clone(&proxy);
        async move { proxy.answer(request).await }
    });
    Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await?)
}

/// What the requests of one connection share.
struct Proxy {
    native: Arc<Native>,
    address: std::net::IpAddr,
    upstream: Upstream,
}

impl Proxy {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, self.native.body_bytes_max()).collect().await;
        // Where the connection broke, nobody hears the answer.
        let body = body.ok().map(|body| body.to_bytes());
        let sent: Vec<_> =
            head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
        let received = Received {
            method: head.method.as_str().as_bytes(),
            path: head.uri.path_and_query().map_or(b"", |path| path.as_str().as_bytes()),
            fields: &sent,
            body: body.as_deref().map_or(Body::TooLarge, Body::Whole),
            address: Some(self.address),
        };
        let claimed = match self.native.examine(&received) {
            Outcome::Answer(answer) => return ours(*answer.reply),
            Outcome::Forward(claimed) => claimed,
        };
        let client = self.native.client_address(&received).map(|client| client.to_string());
        let headers = handed_on(&claimed, head.headers, client.as_deref())?;
        let mut request =
            Request::post(Uri::from_static(COLLECT)).body(Full::new(body.unwrap_or_default()))?;
        *request.headers_mut() = headers;
        let answer = self.upstream.send(request).await;
        let delivery = match &answer {
            Answer::Heard(answer) => delivery(&claimed, answer),
            Answer::NotSent => Delivery::NotReached,
            Answer::Lost => Delivery::Unknown,
        };
        let settled = claimed.settle(delivery, now());
        if let Some(settlement) = &settled.settlement {
            self.native.settle(settlement);
        }
        match answer {
            Answer::Heard(answer) if delivery == Delivery::Refused => Ok(passed_on(answer)),
            Answer::Heard(_) | Answer::NotSent | Answer::Lost => ours(*settled.reply),
        }
    }
}

/// What came of a hand-on.
enum Answer {
    /// The upstream's answer, the whole of it.
    Heard(Response<Bytes>),
    /// The upstream was not reached.
    NotSent,
    /// The connection broke: nobody knows.
    Lost,
}

/// The connection to the upstream, while no request is under way on it.
struct Upstream {
    path: Arc<PathBuf>,
    idle: RefCell<Option<SendRequest<Full<Bytes>>>>,
}

impl Upstream {
    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let idle = self.idle.take();
        let mut sender = match idle.filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => match connect(&self.path).await {
                Ok(sender) => sender,
                Err(_) => return Answer::NotSent,
            },
        };
        let Ok(answer) = sender.send_request(request).await else { return Answer::Lost };
        let (head, body) = answer.into_parts();
        let Ok(body) = body.collect().await else { return Answer::Lost };
        self.idle.replace(Some(sender));
        Answer::Heard(Response::from_parts(head, body.to_bytes()))
    }
}

async fn connect(path: &Path) -> Result<SendRequest<Full<Bytes>>> {
    let (mut sender, connection) = handshake(TokioIo::new(UnixStream::connect(path).await?)).await?;
    drop(spawn_local(connection));
    sender.ready().await?;
    Ok(sender)
}

/// The delivery that the upstream's answer tells of.
fn delivery(claimed: &Claimed, answer: &Response<Bytes>) -> Delivery {
    let field = |name: &str| answer.headers().get(name).map(HeaderValue::as_bytes);
    claimed.delivery(&UpstreamAnswer {
        status: answer.status().as_u16(),
        replayed: field("idempotent-replayed").is_some_and(|value| value.eq_ignore_ascii_case(b"true")),
        duplicate_of: field("x-countersign-duplicate-of"),
        not_accepted: field("x-countersign-not-accepted"),
    })
}

/// The sender's fields without those that do not pass, the client's address, and what was verified.
fn handed_on(claimed: &Claimed, sent: HeaderMap, client: Option<&str>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(sent.len() + 5);
    let mut last = None;
    for (name, value) in sent {
        // A field that is repeated has its name once.
        last = name.or(last);
        if let Some(name) = &last
            && !fields::is_withheld(name.as_str().as_bytes())
            && ![CONNECTION, TRANSFER_ENCODING].contains(name)
        {
            headers.append(name.clone(), value);
        }
    }
    for (name, value) in claimed.headers().chain(client.map(|client| ("x-forwarded-for", client))) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    Ok(headers)
}

/// Our answer.
fn ours(reply: Reply) -> Result<Response<Full<Bytes>>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status)?;
    for (name, value) in reply.headers {
        response.headers_mut().append(HeaderName::from_static(name), HeaderValue::try_from(value)?);
    }
    Ok(response)
}

/// The upstream's own answer, without what it says to the gate.
fn passed_on(answer: Response<Bytes>) -> Response<Full<Bytes>> {
    let (mut head, body) = answer.into_parts();
    let reserved: Vec<_> =
        head.headers.keys().filter(|name| fields::is_reserved(name.as_str().as_bytes())).cloned().collect();
    for name in reserved.iter().chain(&[CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH]) {
        head.headers.remove(name);
    }
    Response::from_parts(head, Full::new(body))
}
