//! The sender's side: tokens as a partner mints them. The command line and the vectors mint; no host does.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;

use super::{Algorithm, KeyProblem};
use crate::mac::MacKey;
use crate::time::Timestamp;

/// A key that signs tokens.
#[derive(Clone)]
pub struct MintKey(Signer);

#[derive(Clone)]
enum Signer {
    Hs256(MacKey),
    Es256(p256::ecdsa::SigningKey),
    EdDsa(ed25519_dalek::SigningKey),
}

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// `iss`: the partner.
    pub issuer: &'a str,
    /// `aud`: the gate.
    pub audience: &'a str,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp` − `iat` in milliseconds; a gate accepts 900,000 at the most.
    pub lifetime_ms: u64,
}

impl MintKey {
    /// Takes a private key: any secret for HS256, the scalar (JWK `d`, 32 bytes) for ES256, the seed (JWK `d`, 32 bytes)
    /// for EdDSA.
    ///
    /// # Errors
    /// [`KeyProblem::EmptySecret`] and [`KeyProblem::NotAPrivateKey`].
    pub fn new(algorithm: Algorithm, private: &[u8]) -> Result<Self, KeyProblem> {
        let bytes = <&[u8; 32]>::try_from(private).map_err(|_| KeyProblem::NotAPrivateKey);
        let signer = match algorithm {
            Algorithm::Hs256 if private.is_empty() => return Err(KeyProblem::EmptySecret),
            Algorithm::Hs256 => Signer::Hs256(MacKey::new(private)),
            Algorithm::Es256 => {
                // From an array: from a slice, it would take shorter keys too.
                let key = p256::ecdsa::SigningKey::from_bytes(bytes?.into());
                Signer::Es256(key.map_err(|_| KeyProblem::NotAPrivateKey)?)
            }
            Algorithm::EdDsa => Signer::EdDsa(ed25519_dalek::SigningKey::from_bytes(bytes?)),
        };
        Ok(Self(signer))
    }

    /// The public key as [`super::KeyMaterial`] takes it: 65 bytes of SEC1 for ES256, 32 for EdDSA, none for HS256.
    #[must_use]
    pub fn public(&self) -> Option<Vec<u8>> {
        match &self.0 {
            Signer::Hs256(_) => None,
            Signer::Es256(key) => Some(key.verifying_key().to_sec1_point(false).as_bytes().to_vec()),
            Signer::EdDsa(key) => Some(key.verifying_key().as_bytes().to_vec()),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self.0 {
            Signer::Hs256(_) => Algorithm::Hs256,
            Signer::Es256(_) => Algorithm::Es256,
            Signer::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Signer::Hs256(key) => {
                let mut mac = key.start();
                mac.update(message);
                mac.finish().to_vec()
            }
            Signer::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Signer::EdDsa(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl fmt::Debug for MintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MintKey({}, secret)", self.algorithm().as_str())
    }
}

/// A compact JWS with these claims, and `kid` where given.
#[must_use]
pub fn mint(key: &MintKey, kid: Option<&str>, claims: &Claims<'_>) -> String {
    let kid = kid.map(|kid| format!(",\"kid\":{}", quoted(kid))).unwrap_or_default();
    let header = format!("{{\"alg\":\"{}\",\"typ\":\"JWT\"{kid}}}", key.algorithm().as_str());
    let payload = format!(
        "{{\"iss\":{},\"aud\":{},\"iat\":{},\"exp\":{}}}",
        quoted(claims.issuer),
        quoted(claims.audience),
        seconds(claims.issued_at),
        seconds(claims.issued_at.plus_ms(claims.lifetime_ms))
    );
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())))
}

/// A JSON string.
fn quoted(text: &str) -> String {
    // Every `str` can be written as a JSON string.
    serde_json::to_string(text).unwrap_or_default()
}

/// A NumericDate, with a fraction only where there is one.
fn seconds(at: Timestamp) -> String {
    match at.as_ms() % 1000 {
        0 => format!("{}", at.as_seconds()),
        fraction => {
            let padded = format!("{}.{fraction:03}", at.as_seconds());
            padded.trim_end_matches('0').into()
        }
    }
}
