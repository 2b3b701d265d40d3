//! The keys that verify tokens, and tokens that are known by their hash.

use alloc::sync::Arc;
use core::fmt;

use p256::ecdsa::signature::Verifier as _;

use crate::mac::{MacKey, equal};
use crate::time::Timestamp;
use crate::validity::Validity;

/// The longest that an opaque token is accepted after its `not_before`, in milliseconds: 400 days.
pub const OPAQUE_LIFE_MS_MAX: u64 = 400 * 86_400_000;

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
    pub(super) validity: Validity,
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

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
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
    pub(super) validity: Validity,
}

impl OpaqueToken {
    /// A token that is accepted from `not_before` on and up to, not including, `not_after`; `id` names it in logs. Where `not_before` is
    /// given, the token ends [`OPAQUE_LIFE_MS_MAX`] after it at the latest.
    ///
    /// # Security
    /// The token must be random (128 bits or more): its hash can be guessed at otherwise. It stands in every request, so sooner or later
    /// somebody has read it: one that nobody replaced does not work for ever.
    #[must_use]
    pub fn new(
        id: Arc<str>,
        sha256: [u8; 32],
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Self {
        let latest = not_before.map(|start| start.plus_ms(OPAQUE_LIFE_MS_MAX));
        let not_after = match (not_after, latest) {
            (Some(written), Some(latest)) => Some(written.min(latest)),
            (written, latest) => written.or(latest),
        };
        Self { id, sha256, validity: Validity { not_before, not_after } }
    }

    /// The first instant at which the token is no longer accepted; `None` where the configuration has neither of its times.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Timestamp> {
        self.validity.not_after
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
