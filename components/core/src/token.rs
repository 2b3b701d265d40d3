//! Tokens (source §5): short-lived compact JWS (RFC 7515, RFC 7519), and opaque ones known by their SHA-256.
//!
//! Algorithms are HS256, ES256 and EdDSA (also under its newer name `Ed25519`, RFC 9864), pinned per key: a token chooses
//! among the partner's keys, never how a key is used. Everything that a verifier might read in two ways is refused:
//! `none`, unknown algorithms, `crit`, `b64`, base64url with padding or spare bits set, a member that is read and stands twice.
//! What is not read may be any JSON and refuses nothing.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::json::{self, ReadLimits, SkimProblem, Tape, Value};
use crate::mac::{equal, sha256};
use crate::text::Text;
use crate::time::Timestamp;

mod bearer;
mod claims;
mod key;
mod mint;
mod reject;

pub use bearer::{Anonymous, Bearer, BearerProblem, bearer, unverified_issuer};
pub use key::{Algorithm, KeyMaterial, KeyProblem, OPAQUE_LIFE_MS_MAX, OpaqueToken, TokenKey};
pub use mint::{Claims, MintKey, mint};
pub use reject::{TokenProblem, TokenReject};

/// Which tokens a partner may come with.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// The `iss` that must stand in a JWS.
    pub issuer: Box<str>,
    /// The `aud` that must be, or be among those, in a JWS.
    pub audience: Box<str>,
    /// The longest `exp` − `iat`, in milliseconds; never more than [`LIFETIME_MS_MAX`].
    pub lifetime_ms_max: u64,
    /// Keys of JWS; at most [`KEYS_MAX`], any further are never tried.
    pub keys: Vec<TokenKey>,
    /// Opaque tokens; at most [`OPAQUE_MAX`], any further are never tried.
    pub opaque: Vec<OpaqueToken>,
}

/// The longest token, in bytes. Identity providers put groups and roles into theirs; whoever fits into the usual 8 KiB of a header
/// field fits here.
pub const BYTES_MAX: usize = 8192;
/// The longest id of a key or an opaque token, in bytes: a `kid` is any text (RFC 7515 §4.1.4).
pub const KEY_ID_BYTES_MAX: usize = 128;
/// The longest that a JWS may live, in milliseconds: 15 minutes (source §5).
pub const LIFETIME_MS_MAX: u64 = 900_000;
/// How far `iat` and `nbf` may be ahead of our clock, in milliseconds. `exp` has no such grace.
pub const AHEAD_MS_MAX: u64 = 60_000;
/// The most keys of one partner: an HS256 token without `kid` costs a MAC for each.
pub const KEYS_MAX: usize = 8;
/// The most public keys that a token without `kid` is tried with: as many as a rotation needs. Where more of its algorithm are valid
/// now, such a token is refused before any is tried.
///
/// # Security
/// A verification of ES256 holds a worker for most of a millisecond, and anybody can send a token. So a token costs one
/// verification with `kid`, and at most two without, however many keys the partner has.
pub const WITHOUT_KID_MAX: usize = 2;
/// The most opaque tokens of one partner.
pub const OPAQUE_MAX: usize = 16;

/// A token that is good now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenVerified {
    /// The key that signed it, or the name of the opaque token.
    pub key_id: Arc<str>,
}

/// Checks a token at `now`. `tape` is the reader's memory, which is free for the body afterwards.
///
/// # Errors
/// A [`TokenReject`]. The signature is checked before any claim is read.
pub fn verify(
    policy: &TokenPolicy,
    token: &[u8],
    now: Timestamp,
    tape: &mut Tape,
) -> Result<TokenVerified, TokenReject> {
    if token.len() > BYTES_MAX {
        return Err(TokenProblem::TooLong.into());
    }
    if let Some(known) = find_opaque(policy, token) {
        return check_opaque(known, now);
    }
    let (protected, payload, signature) = split(token).ok_or(TokenProblem::NotAToken)?;
    let mut buffer = [0; BYTES_MAX];
    let header = decode(protected, &mut buffer).ok_or(TokenProblem::HeaderEncoding)?;
    let header = Header::read(header, tape)?;
    let signature = decode(signature, &mut buffer).ok_or(TokenProblem::SignatureEncoding)?;
    // `header.payload`: everything before the last full stop.
    let message = protected.len().saturating_add(payload.len()).saturating_add(1);
    let key = find_key(policy, &header, token.get(..message).unwrap_or_default(), signature, now)?;
    let payload = decode(payload, &mut buffer).ok_or(TokenProblem::PayloadEncoding)?;
    claims::check(policy, payload, now, tape)?;
    Ok(TokenVerified { key_id: Arc::clone(key.id()) })
}

/// The token's entry, found in constant time.
fn find_opaque<'p>(policy: &'p TokenPolicy, token: &[u8]) -> Option<&'p OpaqueToken> {
    if policy.opaque.is_empty() {
        return None;
    }
    let hash = sha256(token);
    let known = policy.opaque.iter().take(OPAQUE_MAX);
    known.fold(None, |found, known| found.or(equal(known.sha256(), &hash).then_some(known)))
}

fn check_opaque(known: &OpaqueToken, now: Timestamp) -> Result<TokenVerified, TokenReject> {
    if let Some(start) = known.validity.not_before.filter(|start| now < *start) {
        let skew_ms = Some(start.skew_ms(now));
        return Err(TokenReject::Invalid { problem: TokenProblem::NotYetValid, skew_ms });
    }
    if let Some(end) = known.ends_at().filter(|end| *end <= now) {
        return Err(TokenReject::Expired { skew_ms: end.skew_ms(now) });
    }
    Ok(TokenVerified { key_id: Arc::clone(known.id()) })
}

/// What a JWS header says, once nothing in it asks for more than this verifier knows.
struct Header {
    algorithm: Algorithm,
    key_id: Option<Text<KEY_ID_BYTES_MAX>>,
}

impl Header {
    fn read(bytes: &[u8], tape: &mut Tape) -> Result<Self, TokenProblem> {
        let [alg, kid, crit, b64] =
            json::members(bytes, ["alg", "kid", "crit", "b64"]).map_err(|problem| match problem {
                SkimProblem::NotJson => TokenProblem::HeaderNotJson,
                SkimProblem::NotAnObject => TokenProblem::HeaderNotAnObject,
                SkimProblem::TooDeep => TokenProblem::HeaderTooDeep,
                SkimProblem::Repeated => TokenProblem::HeaderRepeated,
            })?;
        if crit.is_some() {
            return Err(TokenProblem::Crit);
        }
        if b64.is_some() {
            return Err(TokenProblem::B64);
        }
        let document = json::read(alg.unwrap_or(b"null"), tape, ReadLimits::POSTBACK);
        let name = document.ok().and_then(|document| string(document.root()));
        let of = |(spelling, algorithm): &(&str, _)| {
            name.is_some_and(|name| name.is(spelling)).then_some(*algorithm)
        };
        let algorithm = ALGORITHMS.iter().find_map(of).ok_or(TokenProblem::Algorithm)?;
        let Some(kid) = kid else { return Ok(Self { algorithm, key_id: None }) };
        let document =
            json::read(kid, tape, ReadLimits::POSTBACK).map_err(|_| TokenProblem::KidNotAString)?;
        let key_id = string(document.root()).ok_or(TokenProblem::KidNotAString)?;
        Ok(Self { algorithm, key_id: Some(key_id.to_text().ok_or(TokenProblem::KidTooLong)?) })
    }
}

/// The key that signed the token, or how close the token came to that.
fn find_key<'p>(
    policy: &'p TokenPolicy,
    header: &Header,
    message: &[u8],
    signature: &[u8],
    now: Timestamp,
) -> Result<&'p TokenKey, TokenProblem> {
    let keys = policy.keys.iter().take(KEYS_MAX);
    let usable = |key: &&TokenKey| key.algorithm() == header.algorithm && key.validity.contains(now);
    let is_public = header.algorithm != Algorithm::Hs256;
    if header.key_id.is_none() && is_public && keys.clone().filter(usable).count() > WITHOUT_KID_MAX {
        return Err(TokenProblem::KidNeeded);
    }
    let mut closest = TokenProblem::NoKeys;
    for key in keys {
        let miss = if header.key_id.is_some_and(|id| id.as_str() != &**key.id()) {
            TokenProblem::KidUnknown
        } else if key.algorithm() != header.algorithm {
            TokenProblem::OtherAlgorithm
        } else if !key.validity.contains(now) {
            TokenProblem::KeyNotValidNow
        } else if !key.verifies(message, signature) {
            TokenProblem::SignatureMismatch
        } else {
            return Ok(key);
        };
        closest = closest.max(miss);
    }
    Err(closest)
}

/// The three parts of a compact JWS, each of which has at least one character.
fn split(token: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && token.len() <= BYTES_MAX;
    (whole && [header, payload, signature].iter().all(|part| !part.is_empty()))
        .then_some((header, payload, signature))
}

/// Base64url without padding, and with the spare bits of the last character unset.
fn decode<'b>(part: &[u8], buffer: &'b mut [u8; BYTES_MAX]) -> Option<&'b [u8]> {
    let length = URL_SAFE_NO_PAD.decode_slice(part, buffer.as_mut_slice()).ok()?;
    buffer.get(..length)
}

fn string(value: Value<'_>) -> Option<json::Str<'_>> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("HS256", Algorithm::Hs256),
    ("ES256", Algorithm::Es256),
    ("EdDSA", Algorithm::EdDsa),
    ("Ed25519", Algorithm::EdDsa),
];
