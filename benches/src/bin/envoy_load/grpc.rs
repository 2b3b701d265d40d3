//! gRPC over HTTP/2, as far as `ext_authz` needs it: one message in, one message out.

use anyhow::{Result, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// Room for the bodies of one connection, in bytes: no request waits for a window.
const WINDOW_BYTES: u32 = 1 << 24;
/// The prefix of a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Answers every call of a connection. `answer` takes the message and returns its answer with the prefix (see [`framed`]).
///
/// # Errors
/// The connection breaks.
pub(crate) async fn serve(
    stream: TcpStream,
    answer: impl Fn(Bytes) -> Result<Bytes> + Clone + 'static,
) -> Result<()> {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .handshake(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request?;
        let answer = answer.clone();
        spawn_local(async move {
            let answer = answer(message(request.into_body()).await?)?;
            let head = Response::builder().header("content-type", "application/grpc").body(())?;
            let mut stream = respond.send_response(head, false)?;
            stream.send_data(answer, false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            stream.send_trailers(trailers)?;
            Ok::<_, anyhow::Error>(())
        });
    }
    Ok(())
}

/// The one message of a call, without its prefix.
async fn message(mut body: h2::RecvStream) -> Result<Bytes> {
    let mut message = Bytes::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        // Nearly always there is one piece, which is not copied.
        message = if message.is_empty() { data } else { [message, data].concat().into() };
    }
    ensure!(message.len() >= PREFIX_BYTES, "a call without a message");
    let is_compressed = message.get_u8() != 0;
    let length = message.get_u32();
    ensure!(!is_compressed, "a compressed message");
    ensure!(usize::try_from(length)? == message.len(), "a call of another length than its message");
    Ok(message)
}

/// A message with its prefix.
///
/// # Errors
/// It is longer than 4 GiB.
pub(crate) fn framed(message: &impl prost::Message) -> Result<Bytes> {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length)?);
    message.encode(&mut bytes)?;
    Ok(bytes.freeze())
}
