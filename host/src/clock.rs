//! The wall clock that a host shows its guest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A wall clock: the machine's own, or one that the caller moves by hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Milliseconds since the Unix epoch, moved by [`Clock::set_ms`].
    Fixed(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `ms` milliseconds since the Unix epoch until it is moved.
    #[must_use]
    pub fn fixed(ms: u64) -> Self {
        Self::Fixed(Arc::new(AtomicU64::new(ms)))
    }

    /// Moves a fixed clock, backwards too; the machine's clock stays as it is.
    pub fn set_ms(&self, ms: u64) {
        if let Self::Fixed(now) = self {
            now.store(ms, Ordering::SeqCst);
        }
    }

    /// The time since the Unix epoch.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the ban is the core's: a host is where the clock comes from"
    )]
    pub fn now(&self) -> Duration {
        match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Self::Fixed(now) => Duration::from_millis(now.load(Ordering::SeqCst)),
        }
    }
}
