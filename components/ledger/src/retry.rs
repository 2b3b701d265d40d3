//! When to try again: exponential pauses with full jitter (source §6).

/// The longest pause before the first retry, in milliseconds.
pub const BASE_MS: u64 = 2_000;
/// The longest pause before any retry, in milliseconds: 10 minutes.
pub const CAP_MS: u64 = 600_000;
/// The longest `Retry-After` that is honoured, in milliseconds: one day. A longer one must not park an event for good.
pub const RETRY_AFTER_MS_MAX: u64 = 86_400_000;

/// The milliseconds that a `Retry-After` field asks for, where its value is a number of seconds (RFC 9110 §10.2.3). A date is none: it
/// would be by the other side's clock.
#[must_use]
pub fn retry_after_ms(value: &[u8]) -> Option<u64> {
    let digits = core::str::from_utf8(value.trim_ascii()).ok()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Digits that are no number have run over.
    Some(digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000))
}

/// How long to wait before the next attempt, in milliseconds: at least 1.
///
/// `attempt` counts from 0 for the first retry. The pause is uniform in 1 to min([`CAP_MS`], [`BASE_MS`] × 2^`attempt`), and
/// `random` says where: 64 uniform bits, fresh for every call. Full jitter spreads what failed together.
///
/// `retry_after_ms`, from the other side's `Retry-After`, is waited in full, up to [`RETRY_AFTER_MS_MAX`], and the jitter comes
/// after it: all who were told the same time would otherwise return at the same time.
///
/// How many attempts there are is decided per reason, by the caller.
#[must_use]
pub fn delay_ms(attempt: u32, random: u64, retry_after_ms: Option<u64>) -> u64 {
    let growth = 1_u64.checked_shl(attempt).unwrap_or(u64::MAX);
    let longest = BASE_MS.saturating_mul(growth).min(CAP_MS);
    // The upper 64 bits of the product are random × longest / 2^64, hence below `longest`.
    let below = u128::from(random).saturating_mul(u128::from(longest)) >> 64;
    let jitter = u64::try_from(below).unwrap_or(0).saturating_add(1);
    retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX).saturating_add(jitter)
}
