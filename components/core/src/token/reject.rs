//! Why a token is refused. Every text is public: it says what the sender itself sent, and nothing that would help to forge a token.

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReject {
    /// Malformed, of a wrong algorithm, key, issuer or audience, or not valid yet.
    Invalid {
        /// Which of them.
        problem: TokenProblem,
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

impl TokenReject {
    /// What the sender is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid { problem, .. } => problem.as_str(),
            Self::Expired { .. } => "the token has expired",
            Self::LifetimeTooLong => "exp - iat is over the maximum",
        }
    }
}

impl From<TokenProblem> for TokenReject {
    fn from(problem: TokenProblem) -> Self {
        Self::Invalid { problem, skew_ms: None }
    }
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What is wrong with a token that is invalid, in the order of the checks. Closed; the text is public and quotes nothing.
        ///
        /// # Security
        /// The texts before [`TokenProblem::PayloadEncoding`] are told to anybody. They speak of the token's form, which is in the sender's
        /// hands, and of the partner's key ids and algorithms, which are as public as a JWKS. Whoever has no key of the partner
        /// learns from them how a token is spelled, and that is documented. The texts from there on are told only where the
        /// signature is right, so that they reach nobody but a holder of the key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum TokenProblem { $($(#[$doc])* $name,)* }

        impl TokenProblem {
            /// Every problem.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What the sender is told.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

problems! {
    /// Longer than [`super::BYTES_MAX`].
    TooLong = "the token is longer than 8192 bytes";
    /// An opaque token before its `not_before`, or a JWS before its `nbf`.
    NotYetValid = "the token is not valid yet";
    /// Neither three parts, nor the hash of an opaque token.
    NotAToken = "the token is neither a JWS of three parts nor an opaque token of the partner";
    /// RFC 7515 §2.
    HeaderEncoding = "the header is not base64url without padding";
    /// Not JSON, or not UTF-8.
    HeaderNotJson = "the header is not JSON";
    /// JSON, and not an object.
    HeaderNotAnObject = "the header is not an object";
    /// More than [`crate::json::SKIM_DEPTH_MAX`] levels.
    HeaderTooDeep = "the header is nested deeper than 64";
    /// Two readers, two algorithms.
    HeaderRepeated = "alg, kid, crit or b64 stands twice in the header";
    /// RFC 7515 §4.1.11: not understood, not accepted.
    Crit = "crit names extensions that are not understood";
    /// RFC 7797 is another signature.
    B64 = "b64 is not allowed in a token";
    /// No other algorithm is offered, `none` least of all.
    Algorithm = "alg is not HS256, ES256 or EdDSA";
    /// RFC 7515 §4.1.4.
    KidNotAString = "kid is not a string";
    /// Longer than [`super::KEY_ID_BYTES_MAX`], so it names no key.
    KidTooLong = "kid is longer than 128 bytes";
    /// RFC 7515 §2.
    SignatureEncoding = "the signature is not base64url without padding";
    /// The partner has opaque tokens only.
    NoKeys = "the partner has no keys for a JWS, only opaque tokens";
    /// Key ids are compared byte for byte.
    KidUnknown = "no key of the partner has this kid";
    /// A token chooses among keys, never how a key is used.
    OtherAlgorithm = "alg is not that of the key";
    /// Outside its `not_before` and `not_after`.
    KeyNotValidNow = "the key is not valid now";
    /// More than [`super::WITHOUT_KID_MAX`] public keys could have signed it.
    KidNeeded = "kid is missing, and the partner has more than two keys of this alg: name the key";
    /// Made with another key, or over other bytes.
    SignatureMismatch = "the signature does not match";
    /// RFC 7515 §2.
    PayloadEncoding = "the payload is not base64url without padding";
    /// Not JSON, or not UTF-8.
    PayloadNotJson = "the payload is not JSON";
    /// JSON, and not an object.
    PayloadNotAnObject = "the payload is not an object";
    /// More than [`crate::json::SKIM_DEPTH_MAX`] levels.
    PayloadTooDeep = "the payload is nested deeper than 64";
    /// Two readers, two claims.
    ClaimRepeated = "iss, aud, exp, iat or nbf stands twice in the payload";
    /// RFC 7519 §4.1.1; here it must be there.
    IssuerMissing = "iss is missing";
    /// Another text, or not a text.
    Issuer = "iss is not the partner's";
    /// RFC 7519 §4.1.3; here it must be there.
    AudienceMissing = "aud is missing";
    /// Another text, other texts, or something else among them.
    Audience = "aud does not name this gate";
    /// Without it a lifetime has no beginning.
    IssuedAtMissing = "iat is missing";
    /// Without it a token is good for ever.
    ExpiresAtMissing = "exp is missing";
    /// RFC 7519 §2.
    DateNotANumber = "iat, exp or nbf is not a JSON number";
    /// Before 1970 or after 9999: most often milliseconds.
    DateOutOfRange = "iat, exp or nbf is not between the years 1970 and 9999: send seconds, not milliseconds";
    /// By more than [`super::AHEAD_MS_MAX`].
    IssuedAhead = "iat is in the future";
    /// A life of nothing.
    ExpiresBeforeIssued = "exp is not after iat";
}
