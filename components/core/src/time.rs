//! Instants: milliseconds since the Unix epoch, and RFC 3339 in UTC only (source §7).

/// An instant: whole milliseconds since 1970-01-01T00:00:00Z. Range: 0 to 9999-12-31T23:59:59.999Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant `milliseconds` after the Unix epoch; later than [`Timestamp::MAX`] becomes `MAX`.
    #[must_use]
    pub const fn from_ms(milliseconds: u64) -> Self {
        if milliseconds > Self::MAX.0 { Self::MAX } else { Self(milliseconds) }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// How far this instant, by a sender's clock, is ahead of `ours`, in milliseconds; negative where it is in the past.
    #[must_use]
    pub const fn skew_ms(self, ours: Self) -> i64 {
        // Both are at most `MAX`, hence far inside an `i64`.
        self.0.cast_signed().saturating_sub(ours.0.cast_signed())
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This instant plus `milliseconds`, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus_ms(self, milliseconds: u64) -> Self {
        Self::from_ms(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to this instant; 0 where `earlier` is not earlier.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
