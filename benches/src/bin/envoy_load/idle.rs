//! The services that `ext_authz` asks, over HTTP/1.1 and over gRPC: each reads a request, allows it, and does no work at all.

use anyhow::Result;
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use countersign_benches::load::length;

use crate::grpc;

/// One connection over HTTP/1.1.
///
/// # Errors
/// The connection breaks.
pub(crate) async fn http(mut stream: TcpStream) -> Result<()> {
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

/// One connection over gRPC.
///
/// # Errors
/// The connection breaks.
pub(crate) async fn grpc(stream: TcpStream) -> Result<()> {
    grpc::serve(stream, |_request| Ok(Bytes::from_static(ALLOWED))).await
}
