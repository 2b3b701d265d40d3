//! Header maps with the rules of Envoy's own.

use crate::http::Headers;

/// Headers of which Envoy keeps one entry: a second one is joined to the first with a comma. All others, `cookie` and
/// `idempotency-key` among them, stay apart, and a filter that asks for one by name sees the first.
const JOINED: [&[u8]; 13] = [
    b"accept",
    b"accept-encoding",
    b"authorization",
    b"connection",
    b"content-type",
    b"origin",
    b"upgrade",
    b"user-agent",
    b"via",
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-request-id",
];

/// The first value: Envoy hands a filter no other.
pub(super) fn first<'a>(headers: &'a Headers, name: &[u8]) -> Option<&'a [u8]> {
    let name = name.to_ascii_lowercase();
    headers.iter().find(|(held, _)| *held == name).map(|(_, value)| value.as_slice())
}

pub(super) fn add(headers: &mut Headers, name: &[u8], value: &[u8]) {
    let name = name.to_ascii_lowercase();
    let joined = JOINED.contains(&name.as_slice()) || name.starts_with(b":");
    match headers.iter_mut().find(|(held, _)| joined && *held == name) {
        Some((_, held)) => {
            held.push(b',');
            held.extend_from_slice(value);
        }
        None => headers.push((name, value.to_vec())),
    }
}

pub(super) fn remove(headers: &mut Headers, name: &[u8]) {
    let name = name.to_ascii_lowercase();
    headers.retain(|(held, _)| *held != name);
}

pub(super) fn replace(headers: &mut Headers, name: &[u8], value: &[u8]) {
    remove(headers, name);
    headers.push((name.to_ascii_lowercase(), value.to_vec()));
}

/// The sum of all names and values, which is what `proxy_get_header_map_size` tells.
pub(super) fn byte_size(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}
