//! The store contract: what a host keeps for the gate, and the attack that each clause stops.
//!
//! Four operations: [`throttle`](Store::throttle), [`claim`](Store::claim), and the two ends of
//! a claim, commit and release ([`Settlement`]). `tests/store_contract.rs` runs against every adapter. An adapter that
//! cannot keep a clause refuses to start; it is never silently weaker.
//!
//! # The life of a claim
//!
//! ```text
//! absent ── claim ──▶ pending (lease) ── commit ──▶ committed ── retention ends ──▶ absent
//!   │                    │  ├── release (a failure that is known) ──────────────▶ absent
//!   │                    │  └── the lease runs out (an outcome that is not) ────▶ absent
//!   │                    └─ inbox: the claim itself is the hand-on ─▶ committed at once
//!   └──── claim of a fallback duplicate ──▶ duplicate ── retention ends ──▶ absent
//! ```
//!
//! * A second claim of a *pending* event is in flight. Were it fresh, two racing retries would both be handed on.
//! * A second claim of a *committed* event is seen. Were it fresh, a replay would be counted twice.
//! * A release takes away only the very claim that it names ([`ClaimKey::lease_until`]). Were it to take any, a late
//!   release of a first attempt would open the door beside a second attempt that is under way.
//! * A release needs a failure that is *known*: the upstream itself says that it does not have the event, or was never reached
//!   (`Claimed::delivery`). A 502, 503, 504 or a redirect may be the word of a proxy on the way, which has
//!   passed the event on. Were the claim released for it, the sender's retry would race the first attempt, and both would be
//!   counted. So the lease stands, and the retry is served when it ends.
//! * A commit marks the event even where its lease has run out: the hand-on is a fact by then.
//! * Nothing unauthenticated writes to a store that grows: throttles live in a table of fixed size.
//!
//! # The order of a claim
//!
//! The first of these that has an answer gives it:
//!
//! 1. **The event, where it is known**: seen, in flight, or a duplicate that was recorded. A known event costs no quota. Were
//!    it to cost one, a partner whose answers were lost could not fetch its receipts while its quota is spent. What an
//!    attacker gains: somebody who holds captured requests can repeat them as often as the network allows. Each repeat costs
//!    the store one read and no write. It has passed every check before, so the source throttle never counts it. It reveals
//!    the answer that the sender has already, and it cannot spend the partner's quota. Limit connections in front of the gate
//!    against a flood of them.
//! 2. **Its age** ([`Freshness`]). Were it not asked, a request that was captured long ago would become a new event as soon as
//!    the store has forgotten the first one.
//! 3. **The fallback identity** ([`Fallback`]): a duplicate, or in flight behind the event that would be its original.
//! 4. **The quota**, spent by what writes: by a fresh claim, and by the first record of a fallback duplicate. A limited claim
//!    changes nothing. Refusals never spend: only a verified event can exhaust its partner's quota.
//! 5. **Fresh**: the claim is written.
//!
//! # Fallback duplicates
//!
//! * Two events are one where their fallback names are equal and their `ts_event`s are less than a window apart. The moment of
//!   arrival means nothing: a backlog that arrives in two seconds holds events of two hours.
//! * Only an accepted event holds an identity (while it is pending: conditionally). A duplicate holds none, so a chain of
//!   duplicates does not stretch the window.
//! * Several events of one identity stand side by side where their `ts_event`s are a window or more apart. Of several that an
//!   event would duplicate, the one that was accepted first is named; a committed one counts before a pending one.
//! * An identity is remembered for retention and window, counted from its commit: the last event that could be its duplicate
//!   may come a retention late.
//! * A duplicate is recorded under its own id with its payload hash. Its verdict never changes: sent again, it is a duplicate
//!   again, even where the original is forgotten (then without its id). Were it not recorded, the same event would be refused
//!   today and counted tomorrow. With another payload it is [`ClaimAnswer::Seen`] with `same_payload: false`.
//!
//! # Receipts
//!
//! A committed event keeps the mark of the receipt key that was in force at its claim ([`Claim::receipt_key`]). Were it not kept,
//! a repeat after a rotation would get another receipt than the first answer, and two receipts of one event look like a forgery.
//!
//! # Scopes
//!
//! A store belongs to one scope: the document's environment and name (`production/default`). Nothing that one scope stored is
//! read by another. Were it read, a sandbox event could swallow a production deposit of the same id behind a 200.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::canonical::PayloadHash;
use crate::event::{ClickId, EventId, EventName};
use crate::rate::{Quota, Rate};
use crate::receipt::Receipt;
use crate::time::Timestamp;

/// A store that answers at once.
pub trait Store {
    /// Looks at, or counts against, a source's refusals.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer.
    fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault>;

    /// Spends quota and claims an event.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer; the event may or may not be claimed then.
    fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault>;

    /// Commits or releases a claim.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer; the claim's lease then ends it.
    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault>;
}

/// A store that may take its time.
#[expect(async_fn_in_trait, reason = "hosts are single-threaded wasm instances: no future has to be Send")]
pub trait AsyncStore {
    /// As [`Store::throttle`].
    ///
    /// # Errors
    /// As [`Store::throttle`].
    async fn throttle(&self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault>;

    /// As [`Store::claim`].
    ///
    /// # Errors
    /// As [`Store::claim`].
    async fn claim(&self, claim: &Claim) -> Result<ClaimAnswer, StoreFault>;

    /// As [`Store::settle`].
    ///
    /// # Errors
    /// As [`Store::settle`].
    async fn settle(&self, settlement: &Settlement) -> Result<(), StoreFault>;
}

/// The name of what is claimed: the first 128 bits of a SHA-256 over partner and event id (or, for a fallback, over
/// partner, event type and click_id). Two different names collide with probability 2⁻¹²⁸ per pair.
pub type Fingerprint = [u8; 16];

/// Who a source is for the throttle: an IPv4 address, or an IPv6 /64, because one sender commands a whole /64.
///
/// Where an IPv6 address is the other spelling of an IPv4 address, the IPv4 address counts. Behind a translator (NAT64) or a
/// Teredo server strangers share a /64, and one of them could shut out all others; by 6to4 one IPv4 address has 65,536 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceKey([u8; 8]);

impl SourceKey {
    /// The key of an address.
    ///
    /// | addresses | key |
    /// |---|---|
    /// | IPv4; IPv4-mapped, `::ffff:0:0/96` | the IPv4 address |
    /// | NAT64, `64:ff9b::/96` (RFC 6052) and each /96 of `64:ff9b:1::/48` (RFC 8215) | the IPv4 address in the last 32 bits |
    /// | 6to4, `2002::/16` (RFC 3056) | the IPv4 address behind the prefix |
    /// | Teredo, `2001::/32` (RFC 4380) | the client's IPv4 address: the last 32 bits, inverted |
    /// | other IPv6 | the /64 |
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        // ::/64 carries no routed traffic, so the IPv4 keys collide with no IPv6 network.
        let v4 = |[a, b, c, d]: [u8; 4]| Self([0, 0, 0, 0, a, b, c, d]);
        let v6 = match address.to_canonical() {
            IpAddr::V4(address) => return v4(address.octets()),
            IpAddr::V6(address) => address.octets(),
        };
        match v6 {
            [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
            | [0x00, 0x64, 0xff, 0x9b, 0, 1, _, _, _, _, _, _, a, b, c, d]
            | [0x20, 0x02, a, b, c, d, ..] => v4([a, b, c, d]),
            [0x20, 0x01, 0, 0, .., a, b, c, d] => v4([!a, !b, !c, !d]),
            [a, b, c, d, e, f, g, h, ..] => Self([a, b, c, d, e, f, g, h]),
        }
    }

    /// The eight bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

/// Asks whether a source has had too many refusals, or counts one more.
///
/// An honest source costs one read at the most; only an offender costs a write. The answer comes from this machine and at once: a host
/// must not make a network call for it, or unauthenticated traffic could exhaust the remote store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Who sends.
    pub source: SourceKey,
    /// Refusals that the source may collect.
    pub rate: Rate,
    /// `false`: only look. `true`: count one refusal.
    pub count: bool,
    /// The instant of the request.
    pub now: Timestamp,
}

/// The answer to a [`Throttle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleAnswer {
    /// The source may go on (always the answer when a refusal was counted).
    Pass,
    /// Too many refusals of late.
    Limited {
        /// Milliseconds until one more request is looked at.
        retry_after_ms: u64,
    },
}

/// How a claim that is fresh becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOn {
    /// The event is handed on after the claim, which stays pending for `lease_ms` milliseconds until it is settled.
    AfterClaim {
        /// Length of the lease in milliseconds.
        lease_ms: u64,
    },
    /// The claim is the hand-on: the inbox row and the claim are one commit, and nothing is left to settle.
    WithClaim,
}

/// Claims an event, and spends the partner's quota where something is written. One operation, in the order that stands above.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The event's partner, as named in the configuration.
    pub partner: Arc<str>,
    /// The quota to spend, where something is written; `None` for attested events, which spent it at the filter.
    pub quota: Option<Rate>,
    /// What is claimed.
    pub key: ClaimKey,
    /// Decides between *seen* and *reused for another payload*.
    pub payload_hash: PayloadHash,
    /// Mark of the receipt key that is in force: kept with the event, and told to whoever repeats it.
    pub receipt_key: u8,
    /// How a fresh claim becomes durable.
    pub hand_on: HandOn,
    /// How long a committed event is remembered, in milliseconds.
    pub retention_ms: u64,
    /// The second, weaker identity of the event (source §8), where the partner has it for this event type.
    pub fallback: Option<Fallback>,
    /// How old an event may be that is not known.
    pub freshness: Freshness,
    /// What an inbox keeps. [`InboxRow::ts_event`] is what [`freshness`](Self::freshness) speaks of.
    pub row: InboxRow,
    /// The instant of the request.
    pub now: Timestamp,
}

/// The identity of one claim; what commit and release name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimKey {
    /// Name of the event among all events of all partners.
    pub fingerprint: Fingerprint,
    /// End of the lease; also the fence: a later claim of the same event has a later end.
    pub lease_until: Timestamp,
}

/// The second, weaker identity of an event (source §8): an event is the duplicate of another with the same name whose `ts_event`
/// is less than the window away, before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Name of partner, event type and click; of currency and amount as well, for events with money.
    pub fingerprint: Fingerprint,
    /// When the event happened, by the sender's clock.
    pub ts_event: Timestamp,
    /// Length of the window in milliseconds: the shortest distance at which two events are different ones.
    pub window_ms: u64,
}

/// How old an event may be that the store does not know. Where memory ends, a captured request must not become a new event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// An unknown event of an earlier `ts_event` is [`ClaimAnswer::TooOld`].
    pub ts_event_min: Timestamp,
    /// Whether the store's own memory is a bound as well: its start, and what an eviction has forgotten since. `false` where what
    /// stands behind the gate knows repeats by itself, and for an inbox, which remembers as long as its ledger.
    pub own_memory: bool,
}

impl Freshness {
    /// Any age will do.
    pub const ANY: Self = Self { ts_event_min: Timestamp::from_ms(0), own_memory: false };
}

/// A verified event, as an inbox keeps it.
#[derive(Clone, Debug)]
pub struct InboxRow {
    /// The event's own id, unique per partner.
    pub event_id: EventId,
    /// The event's type.
    pub event: EventName,
    /// The click it belongs to.
    pub click_id: ClickId,
    /// When the event happened, by the sender's clock.
    pub ts_event: Timestamp,
    /// Id of the key that verified it; of the hop, for attested events.
    pub key_id: Arc<str>,
    /// The sender's address, where known.
    pub source: Option<IpAddr>,
    /// The receipt that the sender is given.
    pub receipt: Receipt,
    /// The canonical payload, where the claim is the hand-on and keeps it; empty otherwise.
    pub payload: Vec<u8>,
}

/// The answer to a [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// The partner's quota is spent; nothing was claimed.
    Limited {
        /// Milliseconds until the quota admits one event.
        retry_after_ms: u64,
        /// What is left of the quota.
        quota: Quota,
    },
    /// The event was absent and is now claimed (and, with [`HandOn::WithClaim`], durable).
    Fresh {
        /// What is left of the quota; `None` where none was to be spent.
        quota: Option<Quota>,
    },
    /// The event, or the one it would duplicate, is pending under a lease.
    InFlight {
        /// Milliseconds until that lease ends.
        retry_after_ms: u64,
    },
    /// The event is committed; or it is a recorded duplicate and had another payload.
    Seen {
        /// Whether it had this payload.
        same_payload: bool,
        /// Mark of the receipt key that was in force at its claim.
        receipt_key: u8,
    },
    /// The event is not known, and too old to be told from a repeat of one that is forgotten.
    TooOld {
        /// The earliest `ts_event` that would be taken.
        ts_event_min: Timestamp,
    },
    /// Another event holds the fallback identity; this one is recorded as its duplicate.
    DuplicateOf {
        /// That other event; `None` where its record is gone.
        event_id: Option<EventId>,
    },
}

/// Ends a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Whether the hand-on is a fact, or known to have failed.
    pub end: End,
    /// The claim to end.
    pub key: ClaimKey,
    /// What was handed on. A commit after its lease may find nothing, or the claim of another payload: it writes its own.
    pub payload_hash: PayloadHash,
    /// [`Claim::receipt_key`] of the claim.
    pub receipt_key: u8,
    /// When the event happened, by the sender's clock.
    pub ts_event: Timestamp,
    /// The fallback that was claimed with it.
    pub fallback: Option<Fallback>,
    /// How long a committed event is remembered, in milliseconds, from now or from a later `ts_event`. Counted from now alone, an
    /// event of a fast clock would be forgotten while its age still passes.
    pub retention_ms: u64,
    /// The instant of the settlement.
    pub now: Timestamp,
}

/// The two ends of a claim. The third, a lease that runs out, needs no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The event was handed on durably.
    Commit,
    /// The hand-on is known to have failed, and the sender may try again at once.
    Release,
}

/// The store could not answer. The gate fails closed: 503 `store_unavailable`, never a 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The host's call failed or timed out.
    Unavailable,
    /// Others were first for too long: they won every swap within the bounded number of tries, or held the lock for as long as the
    /// host waits for it.
    Contended,
    /// What is stored cannot be what this program stored.
    Corrupt,
}

impl StoreFault {
    /// For the operator's log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "the store did not answer",
            Self::Contended => {
                "the store was contended: a lock did not come free in time, or every bounded retry lost its race"
            }
            Self::Corrupt => "the store holds bytes that this program did not write",
        }
    }
}
