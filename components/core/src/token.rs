//! Tokens (source §5): short-lived compact JWS (RFC 7515, RFC 7519), and opaque ones known by their SHA-256.
//!
//! Algorithms are HS256, ES256 and EdDSA (also under its newer name `Ed25519`, RFC 9864), pinned per key: a token chooses
//! among the partner's keys, never how a key is used. Everything that a verifier might read in two ways is refused:
//! `none`, unknown algorithms, `crit`, `b64`, base64url with padding or spare bits set, JSON that is not strict.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;

use crate::headers::{Headers, decimal};
use crate::json::{self, Document, Object, ReadLimits, Tape, Value};
use crate::mac::{MacKey, equal, sha256};
use crate::text::Text;
use crate::time::Timestamp;
use crate::validity::Validity;

mod mint;

pub use mint::{Claims, MintKey, mint};

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

/// The longest token, in bytes.
pub const BYTES_MAX: usize = 4096;
/// The longest that a JWS may live, in milliseconds: 15 minutes (source §5).
pub const LIFETIME_MS_MAX: u64 = 900_000;
/// How far `iat` and `nbf` may be ahead of our clock, in milliseconds. `exp` has no such grace.
pub const AHEAD_MS_MAX: u64 = 60_000;
/// The most keys of one partner: a token without `kid` costs a verification for each.
pub const KEYS_MAX: usize = 8;
/// The most opaque tokens of one partner.
pub const OPAQUE_MAX: usize = 16;

/// How a key is used. A key has one algorithm for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA256.
    Hs256,
    /// ECDSA on P-256 with SHA-256. Both values of `s` are accepted, as JWS asks (RFC 7518 §3.4).
    Es256,
    /// Ed25519, verified strictly: no point of small order, one encoding per point.
    EdDsa,
}

impl Algorithm {
    /// As in a JWS header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// What a key is made from.
#[derive(Clone, Copy)]
pub enum KeyMaterial<'a> {
    /// A shared secret.
    Hs256(&'a [u8]),
    /// A public key: SEC1 (33 or 65 bytes), or a JWK's decoded `x` and `y` one after the other (64 bytes).
    Es256(&'a [u8]),
    /// A public key (RFC 8032 §5.1.5).
    EdDsa([u8; 32]),
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// The shared secret is empty.
    EmptySecret,
    /// Not a point on the curve, or the neutral one.
    NotAPoint,
    /// A point of small order: whoever knows it can sign anything.
    SmallOrder,
    /// A private key of zero, or beyond the curve's order.
    NotAPrivateKey,
}

impl KeyProblem {
    /// What the operator reads: the problem, and what to write instead.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmptySecret => "the secret is empty; use at least 32 random bytes",
            Self::NotAPoint => "not a public key of this algorithm; give x and y for ES256, x for EdDSA",
            Self::SmallOrder => "this public key accepts forged signatures; generate a new pair",
            Self::NotAPrivateKey => "not a private key of this algorithm; generate a new pair",
        }
    }
}

/// A key that verifies JWS.
#[derive(Clone)]
pub struct TokenKey {
    id: Arc<str>,
    verifier: Verifier,
    validity: Validity,
}

#[derive(Clone)]
enum Verifier {
    Hs256(MacKey),
    Es256(p256::ecdsa::VerifyingKey),
    EdDsa(ed25519_dalek::VerifyingKey),
}

impl TokenKey {
    /// Prepares a key that is accepted from `not_before` on and up to, not including, `not_after`. `id` is its `kid`.
    ///
    /// # Errors
    /// A [`KeyProblem`].
    pub fn new(
        id: Arc<str>,
        material: KeyMaterial<'_>,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Result<Self, KeyProblem> {
        let verifier = match material {
            KeyMaterial::Hs256([]) => return Err(KeyProblem::EmptySecret),
            KeyMaterial::Hs256(secret) => Verifier::Hs256(MacKey::new(secret)),
            KeyMaterial::Es256(bytes) => Verifier::Es256(point(bytes).ok_or(KeyProblem::NotAPoint)?),
            KeyMaterial::EdDsa(bytes) => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes);
                let key = key.map_err(|_| KeyProblem::NotAPoint)?;
                if key.is_weak() {
                    return Err(KeyProblem::SmallOrder);
                }
                Verifier::EdDsa(key)
            }
        };
        Ok(Self { id, verifier, validity: Validity { not_before, not_after } })
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// How the key is used.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.verifier {
            Verifier::Hs256(_) => Algorithm::Hs256,
            Verifier::Es256(_) => Algorithm::Es256,
            Verifier::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.verifier {
            Verifier::Hs256(key) => {
                let mut mac = key.start();
                mac.update(message);
                equal(&mac.finish(), signature)
            }
            Verifier::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Verifier::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

fn point(bytes: &[u8]) -> Option<p256::ecdsa::VerifyingKey> {
    let mut sec1 = [4_u8; 65];
    let bytes = if bytes.len() == 64 {
        sec1.last_chunk_mut::<64>()?.copy_from_slice(bytes);
        &sec1
    } else {
        bytes
    };
    p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()
}

/// A token without a meaning of its own, known by its SHA-256 so that the configuration holds no secret.
#[derive(Clone, Debug)]
pub struct OpaqueToken {
    id: Arc<str>,
    sha256: [u8; 32],
    validity: Validity,
}

impl OpaqueToken {
    /// A token that is accepted from `not_before` on and up to, not including, `not_after`; `id` names it in logs.
    ///
    /// # Security
    /// The token must be random (128 bits or more): its hash can be guessed at otherwise.
    #[must_use]
    pub fn new(
        id: Arc<str>,
        sha256: [u8; 32],
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Self {
        Self { id, sha256, validity: Validity { not_before, not_after } }
    }

    /// The hash by which it is known.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The token's name.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }
}

/// What a request carries in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// No `Authorization`, or one of another scheme.
    Missing,
    /// Several fields, no token, one of more than [`BYTES_MAX`], or with characters that no token has.
    Malformed,
    /// A token, of which nothing is known yet.
    Token(&'a [u8]),
}

/// The token of a request (RFC 6750 §2.1).
#[must_use]
pub fn bearer(headers: Headers<'_>) -> Bearer<'_> {
    let field = match headers.single("authorization") {
        Ok(Some(field)) => field,
        Ok(None) => return Bearer::Missing,
        Err(_) => return Bearer::Malformed,
    };
    let (scheme, token) = field.split_at_checked(SCHEME.len()).unwrap_or((field, &[]));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return if field.eq_ignore_ascii_case(SCHEME.trim_ascii()) {
            Bearer::Malformed
        } else {
            Bearer::Missing
        };
    }
    let spelled = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if (1..=BYTES_MAX).contains(&token.len()) && token.iter().all(spelled) {
        Bearer::Token(token)
    } else {
        Bearer::Malformed
    }
}

/// The `iss` of a JWS that was not verified; `None` for opaque tokens too.
///
/// # Security
/// Good for finding the partner whose keys must verify the token, and for nothing else.
#[must_use]
pub fn unverified_issuer(token: &[u8], tape: &mut Tape) -> Option<Text<128>> {
    let (_, payload, _) = split(token)?;
    let mut buffer = [0; BYTES_MAX];
    let claims = json::read(decode(payload, &mut buffer)?, tape, LIMITS).ok()?;
    let issuer = string(claims.object()?.get("iss"))?;
    issuer.to_text()
}

/// A token that is good now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenVerified {
    /// The key that signed it, or the name of the opaque token.
    pub key_id: Arc<str>,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReject {
    /// Malformed, of a wrong algorithm, key, issuer or audience, or not valid yet.
    Invalid {
        /// Which of them; quotes nothing of the token.
        reason: &'static str,
        /// For `iat` and `nbf`: milliseconds by which it is ahead of our clock.
        skew_ms: Option<i64>,
    },
    /// `exp` has come.
    Expired {
        /// Milliseconds by which it is ahead of our clock: zero or negative.
        skew_ms: i64,
    },
    /// `exp` − `iat` is more than the partner may have.
    LifetimeTooLong,
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
        return Err(invalid("the token is too long"));
    }
    if let Some(known) = find_opaque(policy, token) {
        return check_opaque(known, now);
    }
    let (protected, payload, signature) = split(token).ok_or(invalid("neither a JWS nor a known token"))?;
    let mut buffer = [0; BYTES_MAX];
    let header = decode(protected, &mut buffer).ok_or(invalid("the header is not base64url"))?;
    let header = Header::read(header, tape)?;
    let signature = decode(signature, &mut buffer).ok_or(invalid("the signature is not base64url"))?;
    // `header.payload`: everything before the last full stop.
    let message = protected.len().saturating_add(payload.len()).saturating_add(1);
    let key = find_key(policy, &header, token.get(..message).unwrap_or_default(), signature, now)?;
    let payload = decode(payload, &mut buffer).ok_or(invalid("the payload is not base64url"))?;
    let claims = json::read(payload, tape, LIMITS).map_err(|_| invalid("the payload is not strict JSON"))?;
    check_claims(policy, &claims, now)?;
    Ok(TokenVerified { key_id: key.id.clone() })
}

/// The token's entry, found in constant time.
fn find_opaque<'p>(policy: &'p TokenPolicy, token: &[u8]) -> Option<&'p OpaqueToken> {
    if policy.opaque.is_empty() {
        return None;
    }
    let hash = sha256(token);
    let known = policy.opaque.iter().take(OPAQUE_MAX);
    known.fold(None, |found, known| found.or(equal(&known.sha256, &hash).then_some(known)))
}

fn check_opaque(known: &OpaqueToken, now: Timestamp) -> Result<TokenVerified, TokenReject> {
    if let Some(start) = known.validity.not_before.filter(|start| now < *start) {
        let skew_ms = Some(start.skew_ms(now));
        return Err(TokenReject::Invalid { reason: "the token is not valid yet", skew_ms });
    }
    if let Some(end) = known.validity.not_after.filter(|end| *end <= now) {
        return Err(TokenReject::Expired { skew_ms: end.skew_ms(now) });
    }
    Ok(TokenVerified { key_id: known.id.clone() })
}

/// What a JWS header says, once nothing in it asks for more than this verifier knows.
struct Header {
    algorithm: Algorithm,
    key_id: Option<Text<128>>,
}

impl Header {
    fn read(bytes: &[u8], tape: &mut Tape) -> Result<Self, TokenReject> {
        let document =
            json::read(bytes, tape, LIMITS).map_err(|_| invalid("the header is not strict JSON"))?;
        let header = document.object().ok_or(invalid("the header is not an object"))?;
        if header.get("crit").is_some() {
            return Err(invalid("crit names extensions that are not understood"));
        }
        if header.get("b64").is_some() {
            return Err(invalid("b64 is not allowed in a token"));
        }
        let algorithm = string(header.get("alg"))
            .and_then(|name| {
                let of = |(spelling, algorithm): &(&str, _)| name.is(spelling).then_some(*algorithm);
                ALGORITHMS.iter().find_map(of)
            })
            .ok_or(invalid("alg is not HS256, ES256 or EdDSA"))?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(key_id)) => Some(key_id.to_text().ok_or(invalid(Miss::Unknown.as_str()))?),
            Some(_) => return Err(invalid("kid is not a string")),
        };
        Ok(Self { algorithm, key_id })
    }
}

/// How close a token came to being verified, in that order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    Unknown,
    OtherAlgorithm,
    NotValidNow,
    Mismatch,
}

impl Miss {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "no key has this kid",
            Self::OtherAlgorithm => "alg is not that of the key",
            Self::NotValidNow => "the key is not valid now",
            Self::Mismatch => "the signature does not match",
        }
    }
}

fn find_key<'p>(
    policy: &'p TokenPolicy,
    header: &Header,
    message: &[u8],
    signature: &[u8],
    now: Timestamp,
) -> Result<&'p TokenKey, TokenReject> {
    let mut closest = Miss::Unknown;
    for key in policy.keys.iter().take(KEYS_MAX) {
        let miss = if header.key_id.is_some_and(|id| id.as_str() != &*key.id) {
            Miss::Unknown
        } else if key.algorithm() != header.algorithm {
            Miss::OtherAlgorithm
        } else if !key.validity.contains(now) {
            Miss::NotValidNow
        } else if !key.verifies(message, signature) {
            Miss::Mismatch
        } else {
            return Ok(key);
        };
        closest = closest.max(miss);
    }
    Err(invalid(closest.as_str()))
}

fn check_claims(policy: &TokenPolicy, claims: &Document<'_>, now: Timestamp) -> Result<(), TokenReject> {
    let claims = claims.object().ok_or(invalid("the payload is not an object"))?;
    if !string(claims.get("iss")).is_some_and(|issuer| issuer.is(&policy.issuer)) {
        return Err(invalid("iss is not the partner's"));
    }
    if !is_for(&policy.audience, claims.get("aud")) {
        return Err(invalid("aud is not this gate"));
    }
    let issued_at = date(claims, "iat")?.ok_or(invalid("iat is missing"))?;
    let expires_at = date(claims, "exp")?.ok_or(invalid("exp is missing"))?;
    let not_before = date(claims, "nbf")?;
    for (date, reason) in
        [(Some(issued_at), "iat is in the future"), (not_before, "the token is not valid yet")]
    {
        if let Some(date) = date.filter(|date| date.since_ms(now) > AHEAD_MS_MAX) {
            return Err(TokenReject::Invalid { reason, skew_ms: Some(date.skew_ms(now)) });
        }
    }
    if expires_at <= now {
        return Err(TokenReject::Expired { skew_ms: expires_at.skew_ms(now) });
    }
    if expires_at <= issued_at {
        return Err(invalid("exp is not after iat"));
    }
    if expires_at.since_ms(issued_at) > policy.lifetime_ms_max.min(LIFETIME_MS_MAX) {
        return Err(TokenReject::LifetimeTooLong);
    }
    Ok(())
}

/// Whether an `aud` is, or has among its elements, the audience. One element that is no string spoils the whole.
fn is_for(audience: &str, claim: Option<Value<'_>>) -> bool {
    match claim {
        Some(Value::String(one)) => one.is(audience),
        Some(Value::Array(several)) => {
            several.elements().all(|element| matches!(element, Value::String(_)))
                && several.elements().any(|element| string(Some(element)).is_some_and(|one| one.is(audience)))
        }
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    }
}

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction, of which what is beyond milliseconds is cut off.
fn date(claims: Object<'_>, name: &str) -> Result<Option<Timestamp>, TokenReject> {
    let problem = invalid("iat, exp or nbf is not a plain number of seconds");
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            milliseconds(number.literal()).map(Timestamp::from_ms).map(Some).ok_or(problem)
        }
        Some(_) => Err(problem),
    }
}

/// Exact decimal arithmetic on the literal. Exponents and signs are refused: no library writes a date so.
fn milliseconds(literal: &str) -> Option<u64> {
    let (seconds, fraction) = literal.split_once('.').unwrap_or((literal, "0"));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit()).then_some(fraction.bytes())?;
    let fraction = digits.chain([b'0'; 3]).take(3);
    let fraction =
        fraction.fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit & 0x0f)));
    decimal(seconds.as_bytes())?.checked_mul(1000)?.checked_add(fraction)
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

fn string<'d>(value: Option<Value<'d>>) -> Option<json::Str<'d>> {
    match value {
        Some(Value::String(text)) => Some(text),
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            None
        }
    }
}

const fn invalid(reason: &'static str) -> TokenReject {
    TokenReject::Invalid { reason, skew_ms: None }
}

const SCHEME: &[u8] = b"bearer ";
const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("HS256", Algorithm::Hs256),
    ("ES256", Algorithm::Es256),
    ("EdDSA", Algorithm::EdDsa),
    ("Ed25519", Algorithm::EdDsa),
];
/// A JWS that any identity provider issues is far smaller.
const LIMITS: ReadLimits = ReadLimits { depth_max: 8, nodes_max: 512, ..ReadLimits::POSTBACK };
