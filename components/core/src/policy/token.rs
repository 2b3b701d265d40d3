//! From the document to a partner's tokens.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::check::{count, hex_32, is_visible, token_key_id, validity, whole};
use super::compiler::Compiler;
use super::secret::Encoding;
use crate::document::{self as written, ConfigErrors, Environment, Path, TokenAlgorithm};
use crate::token::{KEYS_MAX, KeyMaterial, KeyProblem, OPAQUE_MAX, OpaqueToken, TokenKey, TokenPolicy};

/// Longest issuer or audience in bytes.
pub const ISSUER_BYTES_MAX: usize = 128;

impl Compiler<'_, '_> {
    /// The tokens of the partner `name`.
    pub(super) fn token(&mut self, path: &Path<'_>, name: &Arc<str>, token: &written::Token) -> TokenPolicy {
        let audience = token.audience.as_deref().unwrap_or("countersign");
        for (name, text) in [("issuer", token.issuer.as_str()), ("audience", audience)] {
            if !is_visible(text, ISSUER_BYTES_MAX) {
                let remedy = format!("write 1 to {ISSUER_BYTES_MAX} visible ASCII characters");
                self.errors.add(&path.member(name), format!("is no {name}"), remedy);
            }
        }
        if let Some(other) = self.issuers.insert(Box::from(token.issuer.as_str()), Arc::clone(name)) {
            let problem = format!("is {:?}, as that of {other}", token.issuer);
            self.errors.add(&path.member("issuer"), problem, "give each partner an issuer of its own");
        }
        let lifetime = path.member("lifetime_seconds_max");
        let lifetime = whole(self.errors, &lifetime, token.lifetime_seconds_max, 900);
        let written_keys = token.keys.as_deref().unwrap_or_default();
        let written_opaque = token.opaque.as_deref().unwrap_or_default();
        if written_keys.is_empty() && written_opaque.is_empty() {
            let remedy = "write \"keys\" or \"opaque\", or leave \"token\" out";
            self.errors.add(path, "has neither keys nor opaque tokens, so that nothing satisfies it", remedy);
        }
        let mut ids = Vec::new();
        let keys = self.token_keys(&path.member("keys"), written_keys, &mut ids);
        let opaque = opaque_tokens(
            self.errors,
            &path.member("opaque"),
            self.environment,
            name,
            written_opaque,
            &mut ids,
            &mut self.opaque_tokens,
        );
        TokenPolicy {
            issuer: Box::from(token.issuer.as_str()),
            audience: Box::from(audience),
            lifetime_ms_max: u64::from(lifetime).saturating_mul(1_000),
            keys,
            opaque,
        }
    }

    fn token_keys(
        &mut self,
        path: &Path<'_>,
        written: &[written::TokenKey],
        ids: &mut Vec<Arc<str>>,
    ) -> Vec<TokenKey> {
        count(self.errors, path, written.len(), KEYS_MAX);
        let mut keys = Vec::new();
        for (index, key) in written.iter().enumerate() {
            let path = path.element(index);
            let id = token_key_id(self.errors, &path, &key.id, ids);
            let validity = validity(self.errors, &path, key.not_before.as_deref(), key.not_after.as_deref());
            let Some(material) = self.material(&path, key) else { continue };
            let Some(id) = id else { continue };
            match TokenKey::new(id, material.borrow(), validity.not_before, validity.not_after) {
                Ok(key) => keys.push(key),
                Err(problem) => {
                    let (problem, remedy) = match problem {
                        KeyProblem::SmallOrder => {
                            ("accepts forged signatures", "ask the partner for a new key pair")
                        }
                        KeyProblem::NotAPoint | KeyProblem::EmptySecret | KeyProblem::NotAPrivateKey => (
                            "is no public key of this algorithm",
                            "paste the JWK again, as the partner has it",
                        ),
                    };
                    self.errors.add(&path.member("public_key"), problem, remedy);
                }
            }
        }
        keys
    }

    /// The key itself: a secret or a public key, as the algorithm has it.
    fn material(&mut self, path: &Path<'_>, key: &written::TokenKey) -> Option<Material> {
        let algorithm = algorithm_name(key.algorithm);
        let (wanted, unwanted, is_unwanted) = match key.algorithm {
            TokenAlgorithm::Hs256 => ("secret", "public_key", key.public_key.is_some()),
            TokenAlgorithm::Es256 | TokenAlgorithm::EdDsa => ("public_key", "secret", key.secret.is_some()),
        };
        if is_unwanted {
            let problem = format!("does not go with {algorithm}");
            self.errors.add(&path.member(unwanted), problem, format!("write {wanted:?} instead"));
        }
        match (key.algorithm, &key.secret, &key.public_key) {
            (TokenAlgorithm::Hs256, Some(secret), _) => {
                self.secrets.take(self.errors, path, secret, Encoding::Text).map(Material::Hs256)
            }
            (TokenAlgorithm::Es256, _, Some(public)) => {
                es256(self.errors, &path.member("public_key"), public)
            }
            (TokenAlgorithm::EdDsa, _, Some(public)) => {
                ed_dsa(self.errors, &path.member("public_key"), public)
            }
            (TokenAlgorithm::Hs256, None, _) => {
                let problem = format!("is missing, and {algorithm} needs it");
                self.errors.add(&path.member("secret"), problem, "write { \"name\": … }");
                None
            }
            (TokenAlgorithm::Es256 | TokenAlgorithm::EdDsa, _, None) => {
                let problem = format!("is missing, and {algorithm} needs it");
                self.errors.add(&path.member("public_key"), problem, "write the JWK's members: { \"x\": … }");
                None
            }
        }
    }
}

/// Compiles opaque tokens of `owner`. `known` has those of the document so far, by their hash, with their owners. In production each
/// has to say when it begins, and so it ends.
pub fn opaque_tokens(
    errors: &mut ConfigErrors,
    path: &Path<'_>,
    environment: Environment,
    owner: &Arc<str>,
    written: &[written::OpaqueToken],
    ids: &mut Vec<Arc<str>>,
    known: &mut BTreeMap<[u8; 32], Arc<str>>,
) -> Vec<OpaqueToken> {
    count(errors, path, written.len(), OPAQUE_MAX);
    let mut tokens = Vec::new();
    for (index, token) in written.iter().enumerate() {
        let path = path.element(index);
        let id = token_key_id(errors, &path, &token.id, ids);
        let validity = validity(errors, &path, token.not_before.as_deref(), token.not_after.as_deref());
        if environment == Environment::Production && token.not_before.is_none() {
            let remedy =
                "write the day on which it was given out; it ends 400 days later, or at its not_after";
            errors.add(&path.member("not_before"), "is missing, so the token would be good for ever", remedy);
        }
        let path = path.member("sha256");
        let Some(sha256) = hex_32(&token.sha256) else {
            let remedy = "write 64 hex digits, as of `printf %s TOKEN | sha256sum`";
            errors.add(&path, "is no SHA-256", remedy);
            continue;
        };
        if let Some(other) = known.insert(sha256, Arc::clone(owner)) {
            let problem = format!("is that of another token, of {other}");
            errors.add(&path, problem, "give each token to one partner, once");
        }
        tokens.extend(id.map(|id| OpaqueToken::new(id, sha256, validity.not_before, validity.not_after)));
    }
    tokens
}

/// The bytes of a key.
enum Material {
    Hs256(Vec<u8>),
    /// An uncompressed point (SEC 1, section 2.3.3).
    Es256(Vec<u8>),
    EdDsa([u8; 32]),
}

impl Material {
    fn borrow(&self) -> KeyMaterial<'_> {
        match self {
            Self::Hs256(secret) => KeyMaterial::Hs256(secret),
            Self::Es256(point) => KeyMaterial::Es256(point),
            Self::EdDsa(key) => KeyMaterial::EdDsa(*key),
        }
    }
}

const fn algorithm_name(algorithm: TokenAlgorithm) -> &'static str {
    match algorithm {
        TokenAlgorithm::Hs256 => "HS256",
        TokenAlgorithm::Es256 => "ES256",
        TokenAlgorithm::EdDsa => "EdDSA",
    }
}

fn es256(errors: &mut ConfigErrors, path: &Path<'_>, public: &written::PublicKey) -> Option<Material> {
    family(errors, path, public, "EC", "P-256");
    let x = coordinate(errors, &path.member("x"), &public.x);
    let Some(y) = &public.y else {
        errors.add(&path.member("y"), "is missing, and ES256 needs it", "write the \"y\" of the JWK");
        return None;
    };
    let y = coordinate(errors, &path.member("y"), y)?;
    let mut point = Vec::from([4]);
    point.extend_from_slice(&x?);
    point.extend_from_slice(&y);
    Some(Material::Es256(point))
}

fn ed_dsa(errors: &mut ConfigErrors, path: &Path<'_>, public: &written::PublicKey) -> Option<Material> {
    family(errors, path, public, "OKP", "Ed25519");
    if public.y.is_some() {
        errors.add(
            &path.member("y"),
            "does not go with EdDSA",
            "leave it out, or write the algorithm \"ES256\"",
        );
    }
    coordinate(errors, &path.member("x"), &public.x).map(Material::EdDsa)
}

/// Notes a JWK of another kind than the algorithm's.
fn family(errors: &mut ConfigErrors, path: &Path<'_>, public: &written::PublicKey, kty: &str, crv: &str) {
    for (name, found, wanted) in [("kty", &public.kty, kty), ("crv", &public.crv, crv)] {
        if found.as_ref().is_some_and(|found| found != wanted) {
            let problem = "is not that of the algorithm";
            errors.add(&path.member(name), problem, format!("write {wanted:?}, or another algorithm"));
        }
    }
}

fn coordinate(errors: &mut ConfigErrors, path: &Path<'_>, text: &str) -> Option<[u8; 32]> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if bytes.is_none() {
        errors.add(path, "is not 32 bytes in base64url", "write 43 of A-Z a-z 0-9 - _, without =");
    }
    bytes
}
