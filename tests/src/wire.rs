//! A vector's request as a connection would carry it.

use std::net::IpAddr;

use anyhow::Context as _;

use crate::vector::{self, Request};

/// Bytes, as they stand on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The method.
    pub method: Vec<u8>,
    /// Path and query.
    pub path: Vec<u8>,
    /// The sender's address.
    pub peer: IpAddr,
    /// Names and values in order, with the `content-length` that an HTTP client adds.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body in the pieces in which it is sent; none at all for a request without a body.
    pub chunks: Vec<Vec<u8>>,
}

impl Wire {
    /// Decodes a request.
    ///
    /// # Errors
    /// Where the vector is not well formed.
    pub fn of(request: &Request) -> anyhow::Result<Self> {
        let mut headers = Vec::with_capacity(request.headers.len() + 1);
        for (name, value) in &request.headers {
            headers.push((name.clone().into_bytes(), vector::bytes(value)?));
        }
        let chunks = match &request.body {
            None => Vec::new(),
            Some(body) => {
                let body = vector::bytes(body)?;
                match request.chunk_bytes {
                    Some(0) => anyhow::bail!("chunk_bytes is 0"),
                    Some(size) => body.chunks(size).map(<[u8]>::to_vec).collect(),
                    None => {
                        let length = body.len().to_string().into_bytes();
                        headers.push((b"content-length".to_vec(), length));
                        if body.is_empty() { Vec::new() } else { vec![body] }
                    }
                }
            }
        };
        Ok(Self {
            method: request.method.clone().into_bytes(),
            path: request.path.clone().into_bytes(),
            peer: request.peer.parse().with_context(|| format!("peer {:?} is no address", request.peer))?,
            headers,
            chunks,
        })
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}
