//! Header fields that do not pass: what a sender could pretend with, and what an upstream tells only to the filter.

/// What an upstream is told by the filter alone, and what steers the proxy.
const PREFIXES: [&[u8]; 2] = [b"x-countersign-", b"x-envoy-"];

/// Fields that are removed from what is handed on.
///
/// - Credentials: the attestation has taken their place.
/// - The client's address: the filter writes the one that it verified into `x-forwarded-for`.
/// - A time limit of the sender's own.
const NAMES: [&[u8]; 25] = [
    b"authorization",
    b"proxy-authorization",
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"forwarded",
    b"x-real-ip",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-original-forwarded-for",
    b"true-client-ip",
    b"client-ip",
    b"cf-connecting-ip",
    b"fastly-client-ip",
    b"cf-connecting-ipv6",
    b"fly-client-ip",
    b"proxy-client-ip",
    b"remote-addr",
    b"wl-proxy-client-ip",
    b"x-appengine-user-ip",
    b"x-azure-clientip",
    b"x-forwarded",
    b"x-originating-ip",
    b"x-remote-addr",
    b"x-remote-ip",
    b"grpc-timeout",
];

/// Framing, which the proxy itself sees to: only the spellings with `_` are removed.
const FRAMING: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"keep-alive"];

/// Whether a sender's field is removed from what is handed on.
///
/// Many upstreams read `_` as `-` (CGI and what follows it), so a name counts in either spelling: `x_countersign_partner` would stand
/// beside the field that the filter sets.
pub(crate) fn is_withheld(name: &[u8]) -> bool {
    is_reserved(name)
        || NAMES.iter().any(|withheld| reads_as(name, withheld))
        || (name.contains(&b'_') && FRAMING.iter().any(|framing| reads_as(name, framing)))
}

/// Whether a field belongs to the filter or to the proxy, in an answer too: nobody else may speak in their name.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| name.get(..prefix.len()).is_some_and(|start| reads_as(start, prefix)))
}

fn reads_as(name: &[u8], plain: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == plain.len() && name.iter().map(folded).eq(plain.iter().copied())
}
