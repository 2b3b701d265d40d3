//! Checks of single values, shared by all parts of the document. Each notes what is wrong and answers with what is right.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::document::{self, ConfigErrors, Path, Whole};
use crate::rate::Rate;
use crate::source::{Cidr, CidrProblem};
use crate::time::Timestamp;
use crate::token::KEY_ID_BYTES_MAX as TOKEN_KEY_ID_BYTES_MAX;
use crate::validity::Validity;

/// Longest name of a partner or a document in bytes.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// Longest id of a key in bytes.
pub(super) const KEY_ID_BYTES_MAX: usize = 64;

/// A number, or `default` where none is written (or a wrong one, which is noted).
pub fn whole<const MIN: u32, const MAX: u32>(
    errors: &mut ConfigErrors,
    path: &Path<'_>,
    written: Option<Whole<MIN, MAX>>,
    default: u32,
) -> u32 {
    let Some(written) = written else { return default };
    written.get().unwrap_or_else(|| {
        let problem = format!("is no whole number from {MIN} to {MAX}");
        errors.add(path, problem, format!("write one without quotes, or leave it out for {default}"));
        default
    })
}

/// Notes a list that has more than `max` elements.
pub fn count(errors: &mut ConfigErrors, path: &Path<'_>, count: usize, max: usize) {
    if count > max {
        errors.add(path, format!("has {count} elements"), format!("write at most {max}"));
    }
}

/// The id of a key that the operator names, not yet among `taken`. It stands in metrics as it is.
pub(super) fn key_id(
    errors: &mut ConfigErrors,
    path: &Path<'_>,
    id: &str,
    taken: &mut Vec<Arc<str>>,
) -> Option<Arc<str>> {
    let path = path.member("id");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=KEY_ID_BYTES_MAX).contains(&id.len()) || !id.bytes().all(allowed) {
        errors.add(
            &path,
            "is no id",
            format!("write 1 to {KEY_ID_BYTES_MAX} letters, digits, '.', '_' and '-'"),
        );
        return None;
    }
    not_taken(errors, &path, id, taken)
}

/// The id of a token's key, not yet among `taken`. The identity provider names it, and a `kid` is any text (RFC 7515 §4.1.4); metrics
/// have it in the form of [`crate::label::label`].
pub(super) fn token_key_id(
    errors: &mut ConfigErrors,
    path: &Path<'_>,
    id: &str,
    taken: &mut Vec<Arc<str>>,
) -> Option<Arc<str>> {
    let path = path.member("id");
    if !(1..=TOKEN_KEY_ID_BYTES_MAX).contains(&id.len()) || id.contains(char::is_control) {
        let remedy = format!("write 1 to {TOKEN_KEY_ID_BYTES_MAX} bytes without control characters");
        errors.add(&path, "is not an id", remedy);
        return None;
    }
    not_taken(errors, &path, id, taken)
}

fn not_taken(
    errors: &mut ConfigErrors,
    path: &Path<'_>,
    id: &str,
    taken: &mut Vec<Arc<str>>,
) -> Option<Arc<str>> {
    if taken.iter().any(|other| **other == *id) {
        errors.add(path, format!("is {id:?}, as another key's"), "give each key an id of its own");
        return None;
    }
    let id: Arc<str> = Arc::from(id);
    taken.push(Arc::clone(&id));
    Some(id)
}

/// An instant.
pub fn timestamp(errors: &mut ConfigErrors, path: &Path<'_>, text: &str) -> Option<Timestamp> {
    let instant = Timestamp::parse_rfc3339(text).ok();
    if instant.is_none() {
        errors.add(path, "is no UTC time", "write it like \"2026-01-01T00:00:00Z\"");
    }
    instant
}

/// When the key at `path` is valid.
pub(super) fn validity(
    errors: &mut ConfigErrors,
    path: &Path<'_>,
    not_before: Option<&str>,
    not_after: Option<&str>,
) -> Validity {
    let not_before = not_before.and_then(|text| timestamp(errors, &path.member("not_before"), text));
    let path = path.member("not_after");
    let not_after = not_after.and_then(|text| timestamp(errors, &path, text));
    if let (Some(first), Some(end)) = (not_before, not_after)
        && first >= end
    {
        errors.add(&path, "is not after not_before, so the key is never valid", "write a later time");
    }
    Validity { not_before, not_after }
}

/// The quota, or the default one.
pub(super) fn rate(errors: &mut ConfigErrors, path: &Path<'_>, rate: Option<document::Rate>) -> Option<Rate> {
    let (per_second, burst) = rate.map_or((None, None), |rate| (rate.per_second, rate.burst));
    let per_second = whole(errors, &path.member("per_second"), per_second, 50);
    let burst = whole(errors, &path.member("burst"), burst, per_second.saturating_mul(4));
    Rate::per(per_second, 1_000, burst)
}

/// The networks of a list.
pub(super) fn networks(errors: &mut ConfigErrors, path: &Path<'_>, list: &[String]) -> Vec<Cidr> {
    let mut networks = Vec::new();
    for (index, text) in list.iter().enumerate() {
        match Cidr::parse(text) {
            Ok(network) => networks.push(network),
            Err(problem) => {
                let what = match problem {
                    CidrProblem::Address => "is not an address",
                    CidrProblem::Prefix => "has no prefix length after the /",
                    CidrProblem::HostBits { .. } => {
                        "has bits after the prefix, so it is one host or a network"
                    }
                };
                errors.add(&path.element(index), what, format!("{problem}"));
            }
        }
    }
    networks
}

/// Whether a text is a name as partners and documents have one: 1 to 64 of `a-z`, `0-9`, `_` and `-`.
pub(super) fn is_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// Whether a text has 1 to `bytes_max` visible ASCII characters.
pub(super) fn is_visible(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// 32 bytes from 64 hex digits.
pub(super) fn hex_32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |place: usize| char::from(*digits.get(place)?).to_digit(16);
        *byte = u8::try_from(digit(0)?.checked_mul(16)?.checked_add(digit(1)?)?).ok()?;
    }
    Some(bytes)
}
