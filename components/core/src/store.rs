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
//!                        │  ├── release (a failure that is known) ──────────────▶ absent
//!                        │  └── the lease runs out (an outcome that is not) ────▶ absent
//!                        └─ inbox: the claim itself is the hand-on ─▶ committed at once
//! ```
//!
//! * A second claim of a *pending* event is in flight. Were it fresh, two racing retries would both be handed on.
//! * A second claim of a *committed* event is seen. Were it fresh, a replay would be counted twice.
//! * A release takes away only the very claim that it names ([`ClaimKey::lease_until`]). Were it to take any, a late
//!   release of a first attempt would open the door beside a second attempt that is under way.
//! * A commit marks the event even where its lease has run out: the hand-on is a fact by then.
//! * Nothing unauthenticated writes to a store that grows: throttles live in a table of fixed size.

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

/// Spends the partner's quota and claims an event, in one operation.
///
/// The order is part of the contract: the source where it is asked about, then the quota (limited answers claim nothing and spend
/// nothing), then the event, then the fallback.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What to ask about the source beforehand (`count` is `false`); `None` where nobody is to be throttled, or the throttle was
    /// asked already.
    pub throttle: Option<Throttle>,
    /// The event's partner, as named in the configuration.
    pub partner: Arc<str>,
    /// The quota to spend; `None` for attested events, which spent it at the filter.
    pub quota: Option<Rate>,
    /// What is claimed.
    pub key: ClaimKey,
    /// Decides between *seen* and *reused for another payload*.
    pub payload_hash: PayloadHash,
    /// How a fresh claim becomes durable.
    pub hand_on: HandOn,
    /// How long a committed event is remembered, in milliseconds.
    pub retention_ms: u64,
    /// The second, weaker identity of the event (source §8), where the partner has it for this event type.
    pub fallback: Option<Fallback>,
    /// What an inbox keeps.
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

/// `(click_id, event type, window)`: an event inside the window of another with the same click and type is its duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Name of the pair of click and event type.
    pub fingerprint: Fingerprint,
    /// Length of the window in milliseconds, from the first event's receipt.
    pub window_ms: u64,
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
    /// The source had too many refusals of late; nothing was spent or claimed.
    SourceLimited {
        /// Milliseconds until one more request is looked at.
        retry_after_ms: u64,
    },
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
    /// The event is committed.
    Seen {
        /// Whether it had this payload.
        same_payload: bool,
    },
    /// Another event of the same click and type is committed inside the window.
    DuplicateOf {
        /// That other event.
        event_id: EventId,
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
    /// The fallback that was claimed with it.
    pub fallback: Option<Fallback>,
    /// How long a committed event is remembered, in milliseconds.
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
