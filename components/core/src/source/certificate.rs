//! `x-forwarded-client-cert`: what a proxy says of its client's certificate, as far as that can be read in one way only.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{Cidr, Identity, is_trusted, sha256_of_hex, x509};
use crate::headers::Headers;

/// The longest `x-forwarded-client-cert` that is read, in bytes.
pub const FORWARDED_CERTIFICATE_BYTES_MAX: usize = 32_768;

/// What a trusted proxy says of the certificate that its client presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardedCertificate<'a> {
    sha256: Option<[u8; 32]>,
    uris: Vec<Cow<'a, str>>,
    problem: Option<ForwardedProblem>,
}

/// Why little or nothing is known of a forwarded certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedProblem {
    /// The field stands twice, is too long, or is not one element as Envoy writes it. Nothing is known.
    Malformed,
    /// Several names, and no `Cert` to tell where one ends. The digest alone is known.
    Ambiguous,
    /// `Cert` is not a certificate, or its digest is not `Hash`. Nothing is known.
    Certificate,
}

impl ForwardedProblem {
    /// What the operator's log says.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => {
                "x-forwarded-client-cert is not one element as Envoy writes it with SANITIZE_SET"
            }
            Self::Ambiguous => {
                "x-forwarded-client-cert can be read in two ways: let the proxy add the certificate (cert: true)"
            }
            Self::Certificate => "the Cert of x-forwarded-client-cert is not a certificate with its Hash",
        }
    }
}

impl<'a> ForwardedCertificate<'a> {
    /// Its digest and its URI names, as far as they are known.
    pub fn identities(&self) -> impl Iterator<Item = Identity<'_>> {
        let digest = self.sha256.map(Identity::Sha256);
        digest.into_iter().chain(self.uris.iter().map(|uri| Identity::Uri(uri)))
    }

    /// Why no more is known.
    #[must_use]
    pub const fn problem(&self) -> Option<ForwardedProblem> {
        self.problem
    }

    /// Reads a field.
    #[cold]
    fn read(field: &'a [u8]) -> Result<Self, ForwardedProblem> {
        let Element { hash, certificate, names } = Element::read(field).ok_or(ForwardedProblem::Malformed)?;
        // Envoy writes `Hash` as 64 digits; the shorter digests of others say nothing here.
        let sha256 = hash.and_then(sha256_of_hex);
        let Some(certificate) = certificate else {
            return Ok(match *names {
                [] => Self { sha256, ..Self::default() },
                [uri] => Self { sha256, uris: uri.into_iter().map(Cow::Borrowed).collect(), problem: None },
                [..] => Self { sha256, uris: Vec::new(), problem: Some(ForwardedProblem::Ambiguous) },
            });
        };
        let der = der_of(certificate).ok_or(ForwardedProblem::Certificate)?;
        let digest = Sha256::digest(&der).into();
        if hash.is_some() && sha256 != Some(digest) {
            return Err(ForwardedProblem::Certificate);
        }
        let uris = x509::uri_names(&der).ok_or(ForwardedProblem::Certificate)?;
        let uris = uris.into_iter().filter(|uri| !uri.is_empty()).map(|uri| Cow::Owned(uri.into())).collect();
        Ok(Self { sha256: Some(digest), uris, problem: None })
    }
}

/// What a trusted proxy says of the certificate that its client presented, in the form that Envoy writes:
/// `By=…;Hash=…;Cert="…";Chain="…";Subject="…";URI=…;URI=…;DNS=…`. Nothing where `peer` is not a trusted proxy.
///
/// # Security
/// Envoy writes URI and DNS names as they stand in the certificate, without quotes and without escapes, and a name may hold any
/// character. A certificate with the one name `spiffe://evil/x;URI=spiffe://acme/postbacks` looks, byte for byte, like an honest
/// one with two; one named `spiffe://acme/postbacks;DNS=x` has the name of another in front of it; one named
/// `spiffe://evil/x,Hash=…;URI=…` brings a whole element of its own. So:
///
/// - The field is one element. A comma outside of quotes is refused: nobody can tell a border between two proxies' elements from
///   a letter in a name. The proxy has to replace the header (`SANITIZE_SET`). Where it appends, a comma stands behind what the
///   client sent. A quote that the client leaves open does not swallow it: a `;` follows before the first name of the
///   certificate, and inside of quotes Envoy writes none that is not escaped.
/// - What stands in front of the first name cannot be made by a name: `By` is the proxy's own, `Hash` is digits, `Cert` and
///   `Chain` are percent-encoded in quotes, and `Subject` is in quotes with `"` and `;` escaped. Each but `By` stands once. Behind
///   the first name there are names and nothing else, URIs before DNS names, as Envoy orders them.
/// - Names are taken from `Cert` where it is there: in the certificate each has its length. Its digest must be `Hash`.
/// - Without `Cert`, one name that reaches to the end of the field is that name. More than one can be read in two ways: then the
///   digest alone is known, and a partner whose certificate is registered by its digest is let in.
///
/// Two fields of that name are never read: which of them is the proxy's own is unknown.
#[must_use]
pub fn forwarded_certificate<'a>(
    peer: Option<IpAddr>,
    trusted: &[Cidr],
    headers: Headers<'a>,
) -> ForwardedCertificate<'a> {
    if !peer.is_some_and(|peer| is_trusted(peer, trusted)) {
        return ForwardedCertificate::default();
    }
    let read = match headers.single("x-forwarded-client-cert") {
        Ok(None) => Ok(ForwardedCertificate::default()),
        Ok(Some(field)) if field.len() <= FORWARDED_CERTIFICATE_BYTES_MAX => {
            ForwardedCertificate::read(field)
        }
        Ok(Some(_)) | Err(_) => Err(ForwardedProblem::Malformed),
    };
    read.unwrap_or_else(|problem| ForwardedCertificate { problem: Some(problem), ..Default::default() })
}

/// The one element of a field.
#[derive(Default)]
struct Element<'a> {
    hash: Option<&'a [u8]>,
    certificate: Option<&'a [u8]>,
    /// One for each `URI` and `DNS`; those that are not empty URIs have a text.
    names: Vec<Option<&'a str>>,
}

impl<'a> Element<'a> {
    fn read(field: &'a [u8]) -> Option<Self> {
        let mut element = Self::default();
        let (mut chain, mut subject) = (None, None);
        let mut rest = field.trim_ascii();
        loop {
            let (name, text) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'=')?)?;
            let named = |expected: &[u8]| name.eq_ignore_ascii_case(expected);
            if named(b"uri") || named(b"dns") {
                element.names = names(rest)?;
                return Some(element);
            }
            let (value, after) = match text.get(1..)? {
                [b'"', quoted @ ..] => until_quote(quoted)?,
                bare => {
                    bare.split_at_checked(bare.iter().position(|byte| *byte == b';').unwrap_or(bare.len()))?
                }
            };
            let is_quoted = text.get(1) == Some(&b'"');
            let known = if named(b"by") && !is_quoted && !value.iter().any(|byte| matches!(byte, b',' | b'"'))
            {
                // One for each name of the proxy's own certificate.
                &mut None
            } else if named(b"hash") && !is_quoted && value.iter().all(u8::is_ascii_hexdigit) {
                &mut element.hash
            } else if named(b"cert") && is_quoted && is_encoded(value) {
                &mut element.certificate
            } else if named(b"chain") && is_quoted && is_encoded(value) {
                &mut chain
            } else if named(b"subject") && is_quoted && is_subject(value) {
                &mut subject
            } else {
                return None;
            };
            if known.replace(value).is_some() {
                return None;
            }
            rest = match after {
                [] => return Some(element),
                [b';', rest @ ..] => rest,
                _ => return None,
            };
        }
    }
}

/// Splits the names at the end of an element: URIs before DNS names, and nothing else.
#[inline(never)]
fn names(text: &[u8]) -> Option<Vec<Option<&str>>> {
    let text = core::str::from_utf8(text).ok().filter(|text| !text.contains([',', '"']))?;
    let mut names = Vec::new();
    let mut is_dns = false;
    for pair in text.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.eq_ignore_ascii_case("dns") {
            is_dns = true;
            names.push(None);
        } else if name.eq_ignore_ascii_case("uri") && !is_dns {
            names.push(Some(value).filter(|value| !value.is_empty()));
        } else {
            return None;
        }
    }
    Some(names)
}

/// Splits behind the closing quote; a backslash takes the next byte with it.
fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let length = text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })?;
    let (value, rest) = text.split_at_checked(length)?;
    Some((value, rest.get(1..)?))
}

/// Whether that is percent-encoded text.
fn is_encoded(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'-' | b'.' | b'_' | b'~'))
}

/// Whether every `;` has a backslash in front, as RFC 4514 has it (§2.4).
fn is_subject(value: &[u8]) -> bool {
    let mut escaped = false;
    value.iter().all(|byte| {
        let is_bare = *byte == b';' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        !is_bare
    })
}

/// The DER form of the first certificate in percent-encoded PEM (RFC 7468).
#[cold]
fn der_of(encoded: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut pem = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, behind @ ..] = rest {
        let (byte, after) = match (first, behind) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? << 4 | hex(*low)?, after),
            (b'%', _) => return None,
            (byte, _) => (*byte, behind),
        };
        pem.push(byte);
        rest = after;
    }
    let pem = core::str::from_utf8(&pem).ok()?;
    let (body, _) = pem.trim_start().strip_prefix(BEGIN)?.split_once(END)?;
    let body: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(body).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
