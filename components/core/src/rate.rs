//! Rates: the generic cell rate algorithm (GCRA), as pure arithmetic over one stored instant.

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
