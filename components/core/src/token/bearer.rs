//! `Authorization`, and whom a token names before anything of it is verified.

use super::{BYTES_MAX, TokenProblem, decode, split, string};
use crate::headers::Headers;
use crate::json::{self, ReadLimits, Tape};
use crate::text::Text;

/// What a request carries in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// No `Authorization`.
    Missing,
    /// One in which no token can be found.
    Unusable(BearerProblem),
    /// A token of any length, of which nothing is known yet.
    Token(&'a [u8]),
}

/// Why no token can be found in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerProblem {
    /// `Basic`, `Token`, or a token without a scheme.
    OtherScheme,
    /// Several fields: which of them another reader believes is unknown, so none is believed.
    Repeated,
    /// The scheme alone: usually an empty variable in a sender's template.
    Empty,
    /// Characters that no token has (RFC 6750 §2.1): white space, quotes.
    Characters,
}

impl BearerProblem {
    /// What the sender is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherScheme => "Authorization is not of the scheme Bearer",
            Self::Repeated => "Authorization stands twice, or has a comma",
            Self::Empty => "no token follows Bearer",
            Self::Characters => "the token has characters that no token has (RFC 6750)",
        }
    }
}

/// The token of a request (RFC 6750 §2.1).
#[must_use]
pub fn bearer(headers: Headers<'_>) -> Bearer<'_> {
    let field = match headers.single("authorization") {
        Ok(Some(field)) => field,
        Ok(None) => return Bearer::Missing,
        Err(_) => return Bearer::Unusable(BearerProblem::Repeated),
    };
    // A proxy may join repeated fields with a comma, which no token has: both are answered alike.
    if field.contains(&b',') {
        return Bearer::Unusable(BearerProblem::Repeated);
    }
    let (scheme, token) = field.split_at_checked(SCHEME.len()).unwrap_or((field, &[]));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        let is_scheme_alone = field.eq_ignore_ascii_case(SCHEME.trim_ascii());
        let problem = if is_scheme_alone { BearerProblem::Empty } else { BearerProblem::OtherScheme };
        return Bearer::Unusable(problem);
    }
    let spelled = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    match token {
        [] => Bearer::Unusable(BearerProblem::Empty),
        token if token.iter().all(spelled) => Bearer::Token(token),
        _ => Bearer::Unusable(BearerProblem::Characters),
    }
}

/// Why a token names no issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// Longer than [`BYTES_MAX`], so it is not read.
    TooLong,
    /// Not three parts, of which the second is an object: opaque, or broken.
    NotAJws,
    /// No `iss`, two of them, or one that is not a text of 1 to 128 bytes.
    NoIssuer,
}

impl Anonymous {
    /// What the sender is told, where no opaque token is on file either.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => TokenProblem::TooLong.as_str(),
            Self::NotAJws => "the token is neither a JWS nor an opaque token that is on file",
            Self::NoIssuer => "the token's payload has no iss of 1 to 128 bytes",
        }
    }
}

/// The `iss` of a JWS that was not verified.
///
/// # Errors
/// [`Anonymous`]; so for opaque tokens too.
///
/// # Security
/// Good for finding the partner whose keys must verify the token, and for nothing else.
pub fn unverified_issuer(token: &[u8], tape: &mut Tape) -> Result<Text<128>, Anonymous> {
    if token.len() > BYTES_MAX {
        return Err(Anonymous::TooLong);
    }
    let (_, payload, _) = split(token).ok_or(Anonymous::NotAJws)?;
    let mut buffer = [0; BYTES_MAX];
    let payload = decode(payload, &mut buffer).ok_or(Anonymous::NotAJws)?;
    let issuer = match json::members(payload, ["iss"]) {
        Ok([Some(issuer)]) => json::read(issuer, tape, ReadLimits::POSTBACK).ok(),
        Ok([None]) | Err(json::SkimProblem::Repeated) => None,
        Err(json::SkimProblem::NotJson | json::SkimProblem::NotAnObject | json::SkimProblem::TooDeep) => {
            return Err(Anonymous::NotAJws);
        }
    };
    let issuer = issuer.and_then(|issuer| string(issuer.root())?.to_text());
    issuer.filter(|issuer: &Text<128>| !issuer.is_empty()).ok_or(Anonymous::NoIssuer)
}

const SCHEME: &[u8] = b"bearer ";
