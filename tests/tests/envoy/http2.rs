//! HTTP/2 on both sides of the proxy: a sender, and an upstream that frames its answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use h2::SendStream;
use http::{HeaderMap, Method, Request, Response, Version};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::sender::Postback;

/// How the upstream's answer ends.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The frames of the body. None at all: the headers end the answer, or the trailers do.
    pub(crate) frames: Vec<&'static str>,
    pub(crate) trailers: bool,
}

/// What arrived at the upstream.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Answer>>,
    arrived: Mutex<Vec<Arrived>>,
}

/// An upstream that speaks HTTP/2 alone; it ends with this value.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let server = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&server)));
            }
        });
        Self { address, shared, _runtime: runtime }
    }

    /// What it answers next; after that, 200 with a body.
    pub(crate) fn script(&self, answer: Answer) {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    /// What has arrived since this was last asked.
    pub(crate) fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.shared.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The fields of a cluster whose upstream speaks HTTP/2.
    pub(crate) fn cluster() -> Vec<(&'static str, Value)> {
        vec![(
            "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions/explicit_http_config",
            json!({ "http2_protocol_options": {} }),
        )]
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let (parts, mut stream) = request.into_parts();
            let mut body = Vec::new();
            while let Some(Ok(piece)) = stream.data().await {
                let _over = stream.flow_control().release_capacity(piece.len());
                body.extend_from_slice(&piece);
            }
            let trailers = stream.trailers().await.ok().flatten().unwrap_or_default();
            let arrived = Arrived { headers: parts.headers, body, trailers };
            shared.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(arrived);
            let next = shared.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let answer = next.unwrap_or(Answer {
                status: 200,
                headers: Vec::new(),
                frames: vec!["ok"],
                trailers: false,
            });
            let mut response = Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                response = response.header(*name, value);
            }
            let ends = answer.frames.is_empty() && !answer.trailers;
            let Ok(stream) = respond.send_response(response.body(()).unwrap(), ends) else { return };
            if !ends {
                write(stream, &answer);
            }
        });
    }
}

fn write(mut stream: SendStream<Bytes>, answer: &Answer) {
    let last = answer.frames.len().saturating_sub(1);
    for (index, frame) in answer.frames.iter().enumerate() {
        let _reset =
            stream.send_data(Bytes::from_static(frame.as_bytes()), index == last && !answer.trailers);
    }
    if answer.trailers {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-countersign-not-accepted", "evt_1".parse().unwrap());
        trailers.insert("x-own-trailer", "yes".parse().unwrap());
        let _reset = stream.send_trailers(trailers);
    }
}

/// A sender's connection, and what it heard.
pub(crate) struct Sender {
    runtime: Runtime,
    client: h2::client::SendRequest<Bytes>,
}

/// An answer over HTTP/2.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Sender {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (client, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    /// Sends a postback, with trailers where there are some; none where the stream was reset.
    pub(crate) fn send(&mut self, postback: &Postback, trailers: &[(&'static str, &str)]) -> Option<Heard> {
        let mut request = Request::builder()
            .method(Method::from_bytes(postback.method.as_bytes()).unwrap())
            .version(Version::HTTP_2)
            .uri(format!("http://gate.test{}", postback.path));
        for (name, value) in &postback.headers {
            request = request.header(name, value.as_slice());
        }
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            map.insert(*name, value.parse().unwrap());
        }
        let body = Bytes::copy_from_slice(&postback.body);
        let client = self.client.clone();
        self.runtime.block_on(async move {
            let mut client = client.ready().await.ok()?;
            let (response, mut stream) = client.send_request(request.body(()).unwrap(), false).ok()?;
            let _refused_early = stream.send_data(body, map.is_empty());
            if !map.is_empty() {
                let _refused_early = stream.send_trailers(map);
            }
            let (parts, mut stream) = response.await.ok()?.into_parts();
            let mut body = Vec::new();
            while let Some(piece) = stream.data().await {
                let piece = piece.ok()?;
                stream.flow_control().release_capacity(piece.len()).ok()?;
                body.extend_from_slice(&piece);
            }
            let trailers = stream.trailers().await.ok()?.unwrap_or_default();
            Some(Heard { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
        })
    }
}
