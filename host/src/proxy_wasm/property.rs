//! The attributes that `proxy_get_property` reads, as far as the filter meets them here.
//!
//! Numbers are 64-bit little endian, truth values one byte, text its bytes.

use super::headers;
use super::state::State;
use super::stream::Stream;
use crate::http::{Headers, PeerCertificate};

/// The value at `path`, or none where Envoy answers `NotFound`.
pub(super) fn read(state: &State, path: &[&[u8]]) -> Option<Vec<u8>> {
    let stream = state.stream();
    if let (Some(stream), [name]) = (stream, path)
        && let Some(value) = stream.properties.get(*name)
    {
        return Some(value.clone());
    }
    let dotted = String::from_utf8_lossy(&path.join(&b'.')).into_owned();
    if let Some(value) = state.config.properties.get(&dotted) {
        return Some(value.clone());
    }
    match dotted.as_str() {
        "plugin_name" | "plugin_root_id" => return Some(state.config.root_id.clone().into_bytes()),
        "plugin_vm_id" => return Some(state.config.vm_id.clone().into_bytes()),
        _ => {}
    }
    let stream = stream?;
    match path {
        [b"source", attribute] => source(stream, attribute),
        [b"connection", attribute] => connection(stream.certificate.as_ref(), attribute),
        [b"request", b"headers", name] => value(request_headers(stream)?, name),
        [b"request", attribute] => request(state, stream, attribute),
        [b"response", b"headers", name] => value(response_headers(stream)?, name),
        [b"response", attribute] => response(stream, attribute),
        _ => None,
    }
}

fn source(stream: &Stream, attribute: &[u8]) -> Option<Vec<u8>> {
    match attribute {
        b"address" => Some(stream.peer.to_string().into_bytes()),
        b"port" => Some(number(u64::from(stream.peer.port()))),
        _ => None,
    }
}

fn connection(certificate: Option<&PeerCertificate>, attribute: &[u8]) -> Option<Vec<u8>> {
    match attribute {
        b"mtls" => Some(vec![u8::from(certificate.is_some())]),
        b"uri_san_peer_certificate" => {
            Some(certificate?.uri_sans.first().cloned().unwrap_or_default().into_bytes())
        }
        b"sha256_peer_certificate_digest" => Some(certificate?.sha256_hex.clone().into_bytes()),
        _ => None,
    }
}

fn request(state: &State, stream: &Stream, attribute: &[u8]) -> Option<Vec<u8>> {
    let by_header: &[u8] = match attribute {
        b"path" | b"url_path" | b"query" => b":path",
        b"host" => b":authority",
        b"scheme" => b":scheme",
        b"method" => b":method",
        b"referer" => b"referer",
        b"id" => b"x-request-id",
        b"useragent" => b"user-agent",
        b"protocol" => return Some(state.config.protocol.name().as_bytes().to_vec()),
        b"time" => return Some(u64::try_from(stream.arrived.as_nanos()).ok()?.to_le_bytes().to_vec()),
        b"size" => return Some(number(request_size(stream))),
        _ => return None,
    };
    let value = value(request_headers(stream)?, by_header)?;
    let query_at = value.iter().position(|byte| *byte == b'?');
    match attribute {
        b"url_path" => Some(value.get(..query_at.unwrap_or(value.len()))?.to_vec()),
        b"query" => Some(query_at.and_then(|at| value.get(at + 1..)).unwrap_or_default().to_vec()),
        _ => Some(value),
    }
}

fn response(stream: &Stream, attribute: &[u8]) -> Option<Vec<u8>> {
    match attribute {
        b"code" => stream.response_code.map(|code| number(u64::from(code))),
        b"flags" => Some(number(stream.flags)),
        b"code_details" => stream.details.clone().map(String::into_bytes),
        _ => None,
    }
}

/// The declared size, else what has arrived so far.
fn request_size(stream: &Stream) -> u64 {
    let declared = stream.request.headers.as_ref().and_then(|map| headers::first(map, b"content-length"));
    let declared = declared.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    let held = stream.request.buffered.as_ref().map_or(0, Vec::len) + stream.request.passed.body.len();
    declared.unwrap_or_else(|| u64::try_from(held).unwrap_or(u64::MAX))
}

fn request_headers(stream: &Stream) -> Option<&Headers> {
    stream.request.headers.as_ref().filter(|_| stream.request.visible || stream.log_phase)
}

fn response_headers(stream: &Stream) -> Option<&Headers> {
    stream.response.headers.as_ref().filter(|_| stream.response.visible || stream.log_phase)
}

fn value(map: &Headers, name: &[u8]) -> Option<Vec<u8>> {
    headers::first(map, name).map(<[u8]>::to_vec)
}

fn number(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}
