//! The claims of a JWS whose signature is right (RFC 7519 §4.1). Five are read, strictly; the others may be any JSON.

use super::{AHEAD_MS_MAX, LIFETIME_MS_MAX, TokenPolicy, TokenProblem, TokenReject, string};
use crate::json::{self, Document, ReadLimits, SkimProblem, Tape, Value};
use crate::time::Timestamp;

/// Checks the claims at `now`.
pub(super) fn check(
    policy: &TokenPolicy,
    payload: &[u8],
    now: Timestamp,
    tape: &mut Tape,
) -> Result<(), TokenReject> {
    let [iss, aud, iat, exp, nbf] =
        json::members(payload, ["iss", "aud", "iat", "exp", "nbf"]).map_err(|problem| match problem {
            SkimProblem::NotJson => TokenProblem::PayloadNotJson,
            SkimProblem::NotAnObject => TokenProblem::PayloadNotAnObject,
            SkimProblem::TooDeep => TokenProblem::PayloadTooDeep,
            SkimProblem::Repeated => TokenProblem::ClaimRepeated,
        })?;
    let issuer = read(iss.ok_or(TokenProblem::IssuerMissing)?, tape).ok_or(TokenProblem::Issuer)?;
    if !string(issuer.root()).is_some_and(|issuer| issuer.is(&policy.issuer)) {
        return Err(TokenProblem::Issuer.into());
    }
    let audience = read(aud.ok_or(TokenProblem::AudienceMissing)?, tape).ok_or(TokenProblem::Audience)?;
    if !is_for(&policy.audience, audience.root()) {
        return Err(TokenProblem::Audience.into());
    }
    let issued_at = date(iat)?.ok_or(TokenProblem::IssuedAtMissing)?;
    let expires_at = date(exp)?.ok_or(TokenProblem::ExpiresAtMissing)?;
    let not_before = date(nbf)?;
    for (date, problem) in
        [(Some(issued_at), TokenProblem::IssuedAhead), (not_before, TokenProblem::NotYetValid)]
    {
        if let Some(date) = date.filter(|date| date.since_ms(now) > AHEAD_MS_MAX) {
            return Err(TokenReject::Invalid { problem, skew_ms: Some(date.skew_ms(now)) });
        }
    }
    if expires_at <= now {
        return Err(TokenReject::Expired { skew_ms: expires_at.skew_ms(now) });
    }
    if expires_at <= issued_at {
        return Err(TokenProblem::ExpiresBeforeIssued.into());
    }
    if expires_at.since_ms(issued_at) > policy.lifetime_ms_max.min(LIFETIME_MS_MAX) {
        return Err(TokenReject::LifetimeTooLong);
    }
    Ok(())
}

/// A value that is read strictly: it means one thing, or nothing.
fn read<'t>(value: &'t [u8], tape: &'t mut Tape) -> Option<Document<'t>> {
    json::read(value, tape, ReadLimits::POSTBACK).ok()
}

/// Whether an `aud` is, or has among its elements, the audience. One element that is not a string spoils the whole.
fn is_for(audience: &str, claim: Value<'_>) -> bool {
    match claim {
        Value::String(one) => one.is(audience),
        Value::Array(several) => {
            several.elements().all(|element| matches!(element, Value::String(_)))
                && several.elements().any(|element| string(element).is_some_and(|one| one.is(audience)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// A NumericDate (RFC 7519 §2): a JSON number of seconds, in any spelling, perhaps with a fraction.
fn date(claim: Option<&[u8]>) -> Result<Option<Timestamp>, TokenProblem> {
    match claim {
        None => Ok(None),
        // Any other value begins otherwise.
        Some(number @ [b'-' | b'0'..=b'9', ..]) => {
            milliseconds(number).map(Some).ok_or(TokenProblem::DateOutOfRange)
        }
        Some(_) => Err(TokenProblem::DateNotANumber),
    }
}

/// A number of seconds in milliseconds, by exact decimal arithmetic on the literal: Java writes `1.79259555E9`, and a double would lose
/// nothing of it, but of other spellings it might. What is finer than a millisecond is cut off. `None` before 1970 or after 9999.
fn milliseconds(literal: &[u8]) -> Option<Timestamp> {
    let (negative, literal) =
        literal.strip_prefix(b"-").map_or((false, literal), |positive| (true, positive));
    let mut parts = literal.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let (mantissa, power) = (parts.next()?, parts.next().map_or(Some(0), power)?);
    let mut parts = mantissa.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
    let mut digits = whole.iter().chain(fraction).map(|digit| u64::from(digit & 0x0f));
    if negative && digits.clone().any(|digit| digit != 0) {
        return None;
    }
    // How many digits stand before the point once seconds are milliseconds; what is behind it is cut off.
    let before_point = i64::try_from(whole.len()).ok()?.saturating_add(power).saturating_add(3);
    let mut milliseconds = 0_u64;
    for _ in 0..before_point {
        milliseconds = match digits.next() {
            Some(digit) => milliseconds.checked_mul(10)?.checked_add(digit)?,
            // Only zeros are left, as many as the exponent says.
            None if milliseconds == 0 => break,
            None => milliseconds.checked_mul(10)?,
        };
        if milliseconds > Timestamp::MAX.as_ms() {
            return None;
        }
    }
    Some(Timestamp::from_ms(milliseconds))
}

/// An exponent: an optional sign and digits. One that is beyond an `i64` is as good as infinite.
fn power(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let power = digits.iter().try_fold(0_i64, |power, digit| {
        digit.is_ascii_digit().then(|| power.saturating_mul(10).saturating_add(i64::from(digit & 0x0f)))
    })?;
    // Half of the range, so that nothing that is added runs over.
    let power = power.min(i64::MAX / 2);
    Some(if negative { power.saturating_neg() } else { power })
}
