//! The requests and replies that the hosts and their callers exchange: bytes, as they stand on the wire.

use std::net::SocketAddr;

/// Header fields in wire order; names are lower case, values are any bytes.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// A request as the listener received it.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: Vec<u8>,
    /// Path and query.
    pub path: Vec<u8>,
    /// `Host`, or HTTP/2's `:authority`.
    pub authority: Vec<u8>,
    /// Without pseudo headers.
    pub headers: Headers,
    /// The body in the chunks in which it arrives; none at all for a request without a body.
    pub body: Vec<Vec<u8>>,
    /// The sender's socket address.
    pub peer: SocketAddr,
    /// The client certificate that the listener verified, where the connection is mTLS.
    pub certificate: Option<PeerCertificate>,
}

/// What a TLS listener tells of a verified client certificate.
#[derive(Clone, Debug, Default)]
pub struct PeerCertificate {
    /// The URI subject alternative names.
    pub uri_sans: Vec<String>,
    /// SHA-256 of the DER certificate, lower-case hex.
    pub sha256_hex: String,
}

/// A complete reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpReply {
    /// 100 to 599.
    pub status: u16,
    /// Without pseudo headers.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
}

/// What the upstream of a filter does with the request it was handed.
#[derive(Clone, Debug)]
pub enum UpstreamAnswer {
    /// It answers.
    Reply(HttpReply),
    /// It resets the connection before it answers.
    Reset,
    /// It never answers: the proxy's own timeout fires.
    Timeout,
    /// It never answers, and the sender hangs up meanwhile.
    SenderGone,
}
