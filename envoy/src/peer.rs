//! Who sent a request: the connection's own address, and the client certificate that the proxy verified.

use std::net::IpAddr;

use countersign_core::source::{self, Identity};

use crate::abi;

/// Filter state that the configuration sets to the address of the connection itself (`set_filter_state` in `listener.yaml`).
///
/// The proxy's own `source.address` is what it takes for the client: with `xff_num_trusted_hops` that comes from a header. A sender
/// cannot write filter state.
const CONNECTION_PEER: &[u8] = b"filter_state\0countersign.peer";
/// What the proxy takes for the client. It is the connection's address where no hops are trusted.
const CLIENT: &[u8] = b"source\0address";

/// The address of whoever opened the connection.
pub(crate) fn address() -> Option<IpAddr> {
    let address = abi::property(CONNECTION_PEER).or_else(|_| abi::property(CLIENT)).ok()?;
    let address = core::str::from_utf8(&address).ok()?;
    if let Ok(address) = address.parse() {
        return Some(address);
    }
    // `ip:port`, with brackets around IPv6.
    let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
    host.trim_matches(['[', ']']).parse().ok()
}

/// What the proxy verified of the client certificate; nothing where the connection is not mTLS.
#[derive(Default)]
pub(crate) struct Certificate {
    /// The URI subject alternative name; the proxy names the first.
    uri: Option<String>,
    sha256: Option<[u8; 32]>,
}

impl Certificate {
    /// The certificate of the current stream's connection.
    pub(crate) fn of_connection() -> Self {
        if !abi::property(b"connection\0mtls").is_ok_and(|value| value == [1]) {
            return Self::default();
        }
        let uri = abi::property(b"connection\0uri_san_peer_certificate").ok();
        let digest = abi::property(b"connection\0sha256_peer_certificate_digest").ok();
        Self {
            uri: uri.and_then(|uri| String::from_utf8(uri).ok()),
            sha256: digest.and_then(|hex| source::sha256_of_hex(&hex)),
        }
    }

    /// Everything that the certificate proves.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Identity<'_>> {
        let uri = self.uri.as_deref().map(Identity::Uri);
        uri.into_iter().chain(self.sha256.map(Identity::Sha256))
    }
}
