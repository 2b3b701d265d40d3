//! What an adapter has to show, so that every clause can be put to it.

use countersign_core::store::Store;

/// A handle on an adapter's store, for one thread.
pub(crate) type Worker = Box<dyn Store + Send>;

/// A store adapter with an empty state.
pub(crate) trait Adapter {
    /// Whether an event that is its own hand-on is remembered beyond its retention, as an inbox does.
    const REMEMBERS_FOR_GOOD: bool = false;

    /// An empty state.
    fn new() -> Self;

    /// Another worker on the state.
    fn worker(&self) -> Worker;

    /// A worker whose host calls fail: the one with the number `from`, or all from there on (a crash).
    fn failing(&self, from: u64, until: Until, act: Act) -> Worker;

    /// Garbles every stored record of a kind, in one of several ways; `false` where there are no more ways.
    fn garble(&self, part: Part, way: usize) -> bool;
}

/// How a host call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Without effect.
    Fault,
    /// The effect is there, and its answer is lost.
    EffectThenFault,
}

/// How many calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// One.
    Next,
    /// All that follow.
    End,
}

/// A kind of stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Claimed and committed events.
    Event,
    /// Fallback identities.
    Fallback,
    /// Quotas of partners.
    Quota,
    /// Refusals of sources.
    Source,
}
