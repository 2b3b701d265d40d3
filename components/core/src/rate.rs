//! Rates: the generic cell rate algorithm (GCRA), as pure arithmetic over one stored instant.
//!
//! The stored instant is the *theoretical arrival time*: when the quota will be full again. An event is admitted where that
//! instant, moved on by one interval, lies at most `burst` intervals ahead of now. One `u64` per partner or source is all
//! that a store has to keep, and nothing has to run when nothing arrives (source §5, "Rate limiting").

use crate::time::Timestamp;

/// A rate with a burst, as the generic cell rate algorithm takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Microseconds between two events at the sustained rate; 1 to 3,600,000,000.
    pub interval_us: u64,
    /// Events admitted at once after a pause; 1 to 1,000,000.
    pub burst: u32,
}

/// What is left of a quota, for the `RateLimit` header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Events admitted at once.
    pub burst: u32,
    /// Seconds in which a spent quota fills again, rounded up.
    pub window_seconds: u64,
    /// Events that would be admitted now.
    pub remaining: u32,
    /// Seconds until the quota is full again, rounded up.
    pub reset_seconds: u64,
}

/// What a rate says to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The event is admitted, provided that `stored` is stored in place of what was read.
    Admit {
        /// The instant to store, in microseconds since the Unix epoch.
        stored: u64,
        /// What is left after this event.
        quota: Quota,
    },
    /// The event is refused, and there is nothing to store: a refusal costs no quota.
    Limit {
        /// Milliseconds until it would be admitted, rounded up; `u64::MAX` where it asks for more than the burst.
        retry_after_ms: u64,
        /// What is left.
        quota: Quota,
    },
}

/// Longest interval: one event an hour.
pub const INTERVAL_US_MAX: u64 = 3_600_000_000;
/// Largest burst.
pub const BURST_MAX: u32 = 1_000_000;
/// A clock set back by at most this many milliseconds is waited out; by more, it would lock a partner out.
pub const CLOCK_STEP_MS_MAX: u64 = 60_000;

impl Rate {
    /// The rate of `count` events in `period_ms` milliseconds, with up to `burst` at once.
    ///
    /// The interval is rounded up to whole microseconds, so that the rate is never more than was asked for. `None` where
    /// the interval is shorter than a microsecond or longer than [`INTERVAL_US_MAX`], or the burst is not 1 to
    /// [`BURST_MAX`].
    #[must_use]
    pub fn per(count: u32, period_ms: u64, burst: u32) -> Option<Self> {
        let period_us = period_ms.checked_mul(1000)?;
        let interval_us = period_us.checked_div(u64::from(count)).filter(|interval_us| *interval_us > 0)?;
        let remainder = period_us.checked_rem(u64::from(count))?;
        let interval_us = interval_us.checked_add(u64::from(remainder > 0))?;
        (interval_us <= INTERVAL_US_MAX && (1..=BURST_MAX).contains(&burst))
            .then_some(Self { interval_us, burst })
    }

    /// Asks for one event, given what is stored (`None`: nothing yet).
    ///
    /// # Security
    /// A clock that goes back never refills a quota. Where the stored instant is more than [`CLOCK_STEP_MS_MAX`] beyond
    /// what a spent quota could have left, the clock was set back (or the rate was lowered) and the quota counts as spent
    /// but for one event: waiting for the old clock could lock the partner out for years.
    #[must_use]
    pub fn decide(self, stored: Option<u64>, now: Timestamp) -> Decision {
        self.take(1, stored, now)
    }

    /// As [`decide`](Self::decide), for `count` events that are admitted or refused together; 0 only looks.
    #[must_use]
    pub fn take(self, count: u32, stored: Option<u64>, now: Timestamp) -> Decision {
        let now_us = microseconds(now);
        let full_at = self.full_at(stored, now_us);
        let cost_us = self.interval_us.saturating_mul(u64::from(count));
        let after = full_at.saturating_add(cost_us);
        let latest = now_us.saturating_add(self.window_us());
        if after <= latest {
            return Decision::Admit { stored: after, quota: self.quota(after, now_us) };
        }
        let retry_after_ms = if count > self.burst {
            u64::MAX
        } else {
            after.saturating_sub(latest).div_ceil(MICROSECONDS_PER_MILLISECOND)
        };
        Decision::Limit { retry_after_ms, quota: self.quota(full_at, now_us) }
    }

    /// The instant to store for a quota that is spent at `now`.
    #[must_use]
    pub fn spent(self, now: Timestamp) -> u64 {
        microseconds(now).saturating_add(self.window_us())
    }

    /// When the quota is full again, by what is stored.
    fn full_at(self, stored: Option<u64>, now_us: u64) -> u64 {
        let full_at = stored.unwrap_or(0).max(now_us);
        let spent = now_us.saturating_add(self.window_us());
        let step_us = CLOCK_STEP_MS_MAX.saturating_mul(MICROSECONDS_PER_MILLISECOND);
        if full_at > spent.saturating_add(step_us) {
            return spent.saturating_sub(self.interval_us);
        }
        full_at
    }

    /// Microseconds in which a spent quota fills again.
    #[must_use]
    pub fn window_us(self) -> u64 {
        self.interval_us.saturating_mul(u64::from(self.burst))
    }

    fn quota(self, full_at: u64, now_us: u64) -> Quota {
        let window_us = self.window_us();
        let debt_us = full_at.saturating_sub(now_us);
        let left = window_us.saturating_sub(debt_us).checked_div(self.interval_us).unwrap_or(0);
        Quota {
            burst: self.burst,
            window_seconds: window_us.div_ceil(MICROSECONDS_PER_SECOND),
            remaining: u32::try_from(left).unwrap_or(self.burst),
            reset_seconds: debt_us.div_ceil(MICROSECONDS_PER_SECOND),
        }
    }
}

/// An instant in microseconds since the Unix epoch; at most 2.6 × 10¹⁷, so nothing overflows.
pub(crate) fn microseconds(instant: Timestamp) -> u64 {
    instant.as_ms().saturating_mul(MICROSECONDS_PER_MILLISECOND)
}

const MICROSECONDS_PER_MILLISECOND: u64 = 1000;
const MICROSECONDS_PER_SECOND: u64 = 1_000_000;
