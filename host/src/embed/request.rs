//! A request as the listener received it, in the component's records.

use super::bindings::exports::countersign::gate::gate::{Certificate, Field, Request};
use crate::http::{Headers, HttpRequest, PeerCertificate};

/// Reads at most `body_bytes_max` bytes of the body; one that is longer is left out.
pub(super) fn request(request: &HttpRequest, body_bytes_max: usize) -> Request {
    let length: usize = request.body.iter().map(Vec::len).sum();
    let id = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"x-request-id"));
    Request {
        id: id.map_or_else(String::new, |(_, id)| String::from_utf8_lossy(id).into_owned()),
        method: request.method.clone(),
        path: request.path.clone(),
        headers: request.headers.iter().map(field).collect(),
        body: (length <= body_bytes_max).then(|| request.body.concat()),
        peer_address: Some(request.peer.ip().to_string()),
        peer_certificate: request.certificate.as_ref().map(certificate),
    }
}

/// The fields that the component wrote.
pub(super) fn headers(fields: Vec<Field>) -> Headers {
    fields.into_iter().map(|field| (field.name.into_bytes(), field.value)).collect()
}

/// A name that is not UTF-8 is none that the gate looks for; with replacement characters in it, it stays so.
fn field((name, value): &(Vec<u8>, Vec<u8>)) -> Field {
    Field { name: String::from_utf8_lossy(name).into_owned(), value: value.clone() }
}

fn certificate(certificate: &PeerCertificate) -> Certificate {
    Certificate { uris: certificate.uri_sans.clone(), sha256: from_hex(&certificate.sha256_hex) }
}

/// The bytes that pairs of hexadecimal digits stand for, however many.
fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    hex.as_bytes().chunks(2).map(byte).collect()
}
