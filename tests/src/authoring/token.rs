//! Tokens while they are written: right ones, and wrong ones that a library would not make.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign_core::time::Timestamp;
use countersign_core::token::{Algorithm, Claims, mint};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::keys;

/// A token while it is written. All times are relative to the request's clock.
#[derive(Clone, Debug)]
pub struct TokenDraft {
    kind: Kind,
    /// `iss`.
    pub issuer: String,
    /// `aud`, as JSON.
    pub audience: String,
    /// `iat` less the request's clock, in milliseconds.
    pub issued_ms: i64,
    /// `exp` less the request's clock, in milliseconds.
    pub expires_ms: i64,
    /// Further claims, as JSON members with a comma in front.
    pub more: String,
    /// Further members of the header, likewise.
    pub header_more: String,
    /// `kid` of a token that a minter makes.
    pub kid: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A JWS that a minter makes.
    Minted(Algorithm),
    /// HS256 with the secret of that name, every part as written here; the algorithm's name is only a name.
    Written { algorithm: &'static str, secret: &'static str },
    /// Any text.
    Text(String),
}

impl TokenDraft {
    fn new(kind: Kind, issuer: &str) -> Self {
        Self {
            kind,
            issuer: issuer.to_owned(),
            audience: "\"countersign\"".to_owned(),
            issued_ms: -1_000,
            expires_ms: 299_000,
            more: String::new(),
            header_more: String::new(),
            kid: None,
        }
    }

    /// A token of an issuer for `countersign`, minted a second ago, good for five minutes, signed with that algorithm.
    #[must_use]
    pub fn minted(algorithm: Algorithm, issuer: &str) -> Self {
        Self::new(Kind::Minted(algorithm), issuer)
    }

    /// The same, HS256 with the secret `token_key`, put together by hand.
    #[must_use]
    pub fn written(issuer: &str) -> Self {
        Self::named("HS256", issuer)
    }

    /// The same, with another `alg` in its header.
    #[must_use]
    pub fn named(algorithm: &'static str, issuer: &str) -> Self {
        Self::new(Kind::Written { algorithm, secret: "token_key" }, issuer)
    }

    /// The same, signed with another secret.
    #[must_use]
    pub fn signed_with(secret: &'static str, issuer: &str) -> Self {
        Self::new(Kind::Written { algorithm: "HS256", secret }, issuer)
    }

    /// Any text as a token.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Text(text.to_owned()), "")
    }

    /// For another audience, which is a JSON value.
    #[must_use]
    pub fn audience(self, json: &str) -> Self {
        Self { audience: json.to_owned(), ..self }
    }

    /// Of another issuer.
    #[must_use]
    pub fn issuer(self, issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), ..self }
    }

    /// Issued so many milliseconds after the request; negative: before it.
    #[must_use]
    pub fn issued_ms(self, issued_ms: i64) -> Self {
        Self { issued_ms, ..self }
    }

    /// Expires so many milliseconds after the request.
    #[must_use]
    pub fn expires_ms(self, expires_ms: i64) -> Self {
        Self { expires_ms, ..self }
    }

    /// With further claims, as JSON members with a comma in front.
    #[must_use]
    pub fn more(self, more: &str) -> Self {
        Self { more: more.to_owned(), ..self }
    }

    /// With a `kid`, where a minter makes the token.
    #[must_use]
    pub fn kid(self, kid: &str) -> Self {
        Self { kid: Some(kid.to_owned()), ..self }
    }

    /// With further members of the header, as JSON members with a comma in front.
    #[must_use]
    pub fn header_more(self, more: &str) -> Self {
        Self { header_more: more.to_owned(), ..self }
    }

    /// The token, for a request at `at` milliseconds since the epoch.
    #[must_use]
    pub fn mint(&self, at: u64) -> String {
        let (issued, expires) =
            (at.saturating_add_signed(self.issued_ms), at.saturating_add_signed(self.expires_ms));
        match &self.kind {
            Kind::Text(text) => text.clone(),
            Kind::Minted(algorithm) => {
                let claims = Claims {
                    issuer: &self.issuer,
                    audience: self.audience.trim_matches('"'),
                    issued_at: Timestamp::from_ms(issued),
                    lifetime_ms: expires.saturating_sub(issued),
                };
                keys::minter(*algorithm)
                    .map(|key| mint(&key, self.kid.as_deref(), &claims))
                    .unwrap_or_default()
            }
            Kind::Written { algorithm, secret } => {
                let Self { issuer, audience, more, header_more, .. } = self;
                let header = format!("{{\"alg\":{algorithm:?}{header_more}}}");
                let (issued, expires) = (seconds(issued), seconds(expires));
                let payload = format!(
                    "{{\"iss\":{issuer:?},\"aud\":{audience},\"iat\":{issued},\"exp\":{expires}{more}}}"
                );
                let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
                let message = format!("{}.{}", encode(&header), encode(&payload));
                format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(hs256(&keys::key(secret), &message)))
            }
        }
    }
}

fn hs256(key: &[u8], message: &str) -> Vec<u8> {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// A NumericDate with milliseconds where there are any.
fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { (ms / 1000).to_string() } else { format!("{}.{:03}", ms / 1000, ms % 1000) }
}
