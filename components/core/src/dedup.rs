//! The store contract ([`crate::store`]) over any compare-and-swap [`Table`], in memory of a fixed size.
//!
//! # How a claim works
//!
//! An event's fingerprint names a slot, and the slot holds a small ring of entries: fingerprint, payload check, state and
//! end. A claim reads the slot, decides, and swaps it for the record with one more entry; whoever loses the swap reads
//! again. It costs one read and one swap on the partner's quota, on the event's slot, and, where the event type has a
//! fallback window, on the fallback's slot. Nothing is allocated but the buffers that the store keeps.
//!
//! The fallback is looked at before the event's swap and swapped after it. If both swaps succeed, nothing changed between
//! look and swap, so the claim is as good as one step. If a rival takes the fallback in between, the event is given back.
//!
//! # Security
//!
//! * **Memory does not grow with traffic.** There are [`TableSize::slots`] slots of events, a quarter as many of fallback
//!   identities, [`SOURCE_SLOTS`] of sources and one per partner ([`TableSize::bytes_max`]). An event slot takes
//!   24 + 32 bytes per entry (280 by default), a fallback slot 24 + 184 (1,496), a source slot 152, a quota 32.
//! * **A full ring forgets** what is over, then the oldest committed event: its replay would be handed on again, and only
//!   the ledger's unique key stops it there. [`Counters::evictions`] says when to choose a larger size. A partner could
//!   search for event ids that share a slot and so push out events of others in that slot; it is known by its signature.
//! * **A live claim is never pushed out.** A ring full of live claims answers [`StoreFault::Contended`]: a retry later is
//!   better than a second hand-on now.
//! * **Garbage heals by being forgotten.** A record that this program did not write answers [`StoreFault::Corrupt`] once
//!   and is replaced. Claims that were under way may have been in it, so an event or fallback slot stays closed (`Corrupt`)
//!   for one lease; then its events count as absent. A quota starts again as spent, a source ring as empty. Settlements go
//!   through: a commit into a closed slot is kept.
//! * **A clock set back** keeps events longer, never shorter. Only a lease that ends more than [`LEASE_MS_MAX`] ahead is
//!   taken as over, or a crashed claim could block its event for as long as the clock was wrong.
//! * **A commit after its lease** is kept whatever happened to the entry. The fallback identity is weaker: where another
//!   event has it by then, or its entry is gone, it stays as it is.

use crate::rate::Decision;
use crate::store::{Claim, ClaimAnswer, Settlement, Store, StoreFault, Throttle, ThrottleAnswer};
use claim::Verdict;
use entry::{EventEntry, FallbackEntry, RateEntry, SourceEntry};
use record::{Opened, Record};
use steps::Prepared;
pub use table::{
    ENTRIES_MAX, MemoryTable, SLOTS_MAX, SLOTS_MIN, SOURCE_SLOTS, SOURCES_PER_SLOT, Slot, Swap, Table,
    TableSize,
};

mod claim;
mod entry;
mod limit;
mod record;
mod steps;
mod table;

/// Swaps that one operation may lose before it answers [`StoreFault::Contended`]. Each lost swap is a rival's success, so
/// the table as a whole always gets on.
pub const SWAP_TRIES_MAX: u32 = 16;
/// Longest lease in milliseconds: an hour. A longer one is cut to this, and so runs out before its claim expects it.
pub const LEASE_MS_MAX: u64 = 3_600_000;
/// How long a claim that is its own hand-on ([`HandOn::WithClaim`](crate::store::HandOn::WithClaim)) may take over its fallback identity, in milliseconds.
const CLAIM_MS_MAX: u64 = 30_000;

/// The store contract over a compare-and-swap table.
///
/// [`HandOn::WithClaim`](crate::store::HandOn::WithClaim) is committed at once. There is no inbox here: whoever asks for it is the inbox, and must keep the
/// event before the sender hears of the answer.
#[derive(Debug)]
pub struct TableStore<T: Table> {
    table: T,
    size: TableSize,
    counters: Counters,
    /// The longest lease that was asked for: how long a garbled slot may hide a claim that is under way.
    lease_ms: u64,
    events: Record<EventEntry>,
    fallbacks: Record<FallbackEntry>,
    rates: Record<RateEntry>,
    sources: Record<SourceEntry>,
}

/// What the operator should know of the table; each counts up until it is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Live events and fallback identities that were pushed out: their replays are not recognised.
    pub evictions: u64,
    /// Leases that ran out, found when the place was needed: hand-ons whose outcome nobody told.
    pub lease_expiries: u64,
    /// Swaps lost to a rival and tried again.
    pub swap_retries: u64,
    /// Sources with refusals that were pushed out, and so forgiven.
    pub sources_evicted: u64,
    /// Garbled slots that were replaced.
    pub heals: u64,
}

impl Counters {
    fn add(&mut self, more: Self) {
        self.evictions = self.evictions.saturating_add(more.evictions);
        self.lease_expiries = self.lease_expiries.saturating_add(more.lease_expiries);
        self.swap_retries = self.swap_retries.saturating_add(more.swap_retries);
        self.sources_evicted = self.sources_evicted.saturating_add(more.sources_evicted);
        self.heals = self.heals.saturating_add(more.heals);
    }
}

impl<T: Table> TableStore<T> {
    /// A store over `table`. Nothing is read or written yet.
    pub fn new(table: T, size: TableSize) -> Self {
        Self {
            table,
            size,
            counters: Counters::default(),
            lease_ms: 0,
            events: Record::new(),
            fallbacks: Record::new(),
            rates: Record::new(),
            sources: Record::new(),
        }
    }

    /// The table.
    pub fn table(&mut self) -> &mut T {
        &mut self.table
    }

    /// The counters, which begin again at 0.
    pub fn take_counters(&mut self) -> Counters {
        core::mem::take(&mut self.counters)
    }

    /// How full the events' part of the table is, in percent of its places, by a sample: `count` slots from slot `from` on, counted
    /// around the end. Entries whose time is over take their place until it is needed.
    ///
    /// # Errors
    /// The table's own fault.
    pub fn fill_percent(&mut self, from: u32, count: u32) -> Result<u8, StoreFault> {
        let mut held: usize = 0;
        for offset in 0..count {
            let slot = self.size.event_slot_at(from.wrapping_add(offset));
            if let Opened::Sound(Some(_)) = self.events.open(&mut self.table, slot)? {
                held = held.saturating_add(self.events.len());
            }
        }
        let places = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(self.size.entries());
        let percent = held.saturating_mul(100).checked_div(places).unwrap_or(0);
        Ok(u8::try_from(percent).unwrap_or(100).min(100))
    }

    /// Asks about the source, spends quota and claims an event.
    ///
    /// # Errors
    /// The table's own fault; [`StoreFault::Contended`] where every swap was lost or the ring is full of live claims;
    /// [`StoreFault::Corrupt`] where a slot was garbled, and for one lease after that. The event may or may not be claimed
    /// then, and a quota that was spent stays spent.
    pub fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        if let Some(throttle) = &claim.throttle
            && let ThrottleAnswer::Limited { retry_after_ms } = self.throttle(throttle)?
        {
            return Ok(ClaimAnswer::SourceLimited { retry_after_ms });
        }
        let quota = match claim.quota {
            None => None,
            Some(rate) => match self.spend(&claim.partner, rate, claim.now)? {
                Decision::Limit { retry_after_ms, quota } => {
                    return Ok(ClaimAnswer::Limited { retry_after_ms, quota });
                }
                Decision::Admit { quota, .. } => Some(quota),
            },
        };
        let hold = self.hold_of(claim);
        for _ in 0..SWAP_TRIES_MAX {
            let event_slot = self.size.event_slot(&claim.key.fingerprint);
            let closed_until = claim.now.plus_ms(self.lease_ms);
            let event_version = self.events.open_for_claim(
                &mut self.table,
                event_slot,
                claim.now,
                closed_until,
                &mut self.counters,
            )?;
            let capacity = self.size.entries();
            let event_losses = match claim::claim_event(&mut self.events, claim, hold, capacity)? {
                Verdict::Answer(answer) => return Ok(answer),
                Verdict::Placed(losses) => losses,
            };
            // Looked at before anything is claimed: a duplicate costs no swap and pushes nobody out.
            let prepared = match claim.fallback {
                None => None,
                Some(fallback) => Some(match self.prepare_fallback(claim, fallback, hold)? {
                    Prepared::Answer(answer) => return Ok(answer),
                    Prepared::Placed(version, losses) => (fallback, (version, losses)),
                }),
            };
            match self.events.write(&mut self.table, event_slot, event_version)? {
                Swap::Done => self.counters.add(event_losses),
                Swap::Conflict => {
                    self.lost_a_swap();
                    continue;
                }
            }
            let Some((fallback, prepared)) = prepared else { return Ok(ClaimAnswer::Fresh { quota }) };
            return self.finish_fallback(claim, fallback, hold, prepared, quota);
        }
        Err(StoreFault::Contended)
    }

    /// Commits or releases a claim.
    ///
    /// # Errors
    /// The table's own fault; [`StoreFault::Contended`] where every swap was lost or the ring is full of live claims.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        let event = self.settle_event(settlement);
        // A fault of one half is no reason to leave the other undone.
        let fallback = match settlement.fallback {
            Some(fallback) => self.settle_fallback(settlement, fallback),
            None => Ok(()),
        };
        event.and(fallback)
    }
}

impl<T: Table> Store for TableStore<T> {
    fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        Self::throttle(self, throttle)
    }

    fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        Self::claim(self, claim)
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        Self::settle(self, settlement)
    }
}
