//! The services that `ext_authz` asks, over HTTP/1.1 and over gRPC: each reads a request, allows it, and does no work at all.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use countersign_benches::load::length;

/// Where the services listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
}

/// Starts both on a thread that ends with the program.
pub(crate) fn start() -> Result<Idle> {
    let (http, grpc) = (listener()?, listener()?);
    let idle = Idle { http: http.local_addr()?, grpc: grpc.local_addr()? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        LocalSet::new().block_on(&runtime, async {
            let (http, grpc) = (TcpListener::from_std(http)?, TcpListener::from_std(grpc)?);
            loop {
                // A connection that breaks is Envoy's to notice: its request is then refused, and the run is void.
                tokio::select! {
                    accepted = http.accept() => drop(spawn_local(serve_http(accepted?.0))),
                    accepted = grpc.accept() => drop(spawn_local(serve_grpc(accepted?.0))),
                }
            }
            #[expect(unreachable_code, reason = "gives the block its type")]
            Ok::<_, std::io::Error>(())
        })
    });
    Ok(idle)
}

fn listener() -> Result<std::net::TcpListener> {
    let listener =
        std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening for ext_authz")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve_http(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::with_capacity(4096);
    while stream.read_buf(&mut request).await? > 0 {
        while let Some(length) = length(&request)?.filter(|length| request.len() >= *length) {
            request.drain(..length);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        }
    }
    Ok(())
}

/// A `CheckResponse` whose status is OK, in one gRPC message: not compressed, two bytes long, field 1 and empty.
const ALLOWED: &[u8] = &[0, 0, 0, 0, 2, 0x0a, 0];

async fn serve_grpc(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request?;
        spawn_local(async move {
            let mut body = request.into_body();
            while let Some(data) = body.data().await {
                let length = data?.len();
                body.flow_control().release_capacity(length)?;
            }
            let head = Response::builder().header("content-type", "application/grpc").body(())?;
            let mut answer = respond.send_response(head, false)?;
            answer.send_data(Bytes::from_static(ALLOWED), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            answer.send_trailers(trailers)?;
            Ok::<_, anyhow::Error>(())
        });
    }
    Ok(())
}
