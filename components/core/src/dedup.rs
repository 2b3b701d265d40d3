//! The store contract ([`crate::store`]) over any compare-and-swap [`Table`], in memory of a fixed size.
//!
//! # How a claim works
//!
//! An event's fingerprint names a slot, and the slot holds a small ring of entries: fingerprint, payload check, state and
//! end. A claim reads the slot, decides, and swaps it for the record with one more entry; the loser of a swap reads
//! again. Nothing is allocated but the buffers that the store keeps.
//!
//! The fallback is looked at before the event's swap and swapped after it. If both swaps succeed, nothing changed between
//! look and swap, so the claim is as good as one step. If a rival takes the fallback in between, the event is given back, or
//! becomes the duplicate of the rival.
//!
//! # What it costs
//!
//! Calls of the table, as `core/tests/dedup/race.rs` counts them (reads and swaps); a fallback window adds as many again.
//!
//! | operation | reads | swaps |
//! |---|---|---|
//! | look at a source without refusals | 1, once a second | 0 |
//! | fresh claim | 1 | 1 |
//! | its quota | 1 for a batch | 1 for a batch |
//! | settlement | 1 | 1 |
//! | repeat of an event that is committed or under way | 1 | 0 |
//! | first record of a duplicate | 1, and 1 of the fallback | 1 |
//! | first operation of a store | 1 | 0; 1 where it is the scope's first |
//!
//! A settlement reads again, because no host tells the version that a swap has made.
//!
//! # The quota among several stores
//!
//! Every worker of a proxy has a store of its own on the one table. A store that uses its quota steadily takes up to
//! [`BATCH_MAX`] events of it at once, at most a 32nd of the burst, and uses them within a second. The table has counted them by
//! then. So within any span of time a partner is admitted at most `burst + rate × span` events, and for each further store as
//! many as one batch; and while it is at its limit as many may lie unused.
//!
//! Lost swaps are never a refusal. A store that loses [`SWAP_TRIES_MAX`] swaps in a row on one quota admits the event without
//! counting it ([`Counters::uncounted`]). Each lost swap was a spending of the same quota that was counted, so at most one event
//! in seventeen goes uncounted.
//!
//! # Growing
//!
//! See `rings.rs`. A scope has a record of the sizes in use; a store with more slots than all of them adds its own, and moves what
//! the smaller tables hold as it is asked for. A store with fewer slots uses the largest table there is. So a configuration with
//! another size forgets nothing, while stores of the old one are still at work.
//!
//! # Security
//!
//! * **Memory does not grow with traffic.** There are [`TableSize::slots`] slots of events, a quarter as many of fallback
//!   identities, [`SOURCE_SLOTS`] of sources and one per partner ([`TableSize::bytes_max`]). An event slot takes
//!   32 + 32 bytes per entry (288 by default), a fallback slot 32 + 184 (1,504), a source slot 160, a quota 40. Each store keeps 4
//!   bytes for every slot of an older size.
//! * **A full ring forgets** what is over, then the oldest committed event. [`Counters::evictions`] says when to choose a larger
//!   size. The slot keeps the instant up to which it has forgotten, and where the claim asks for it
//!   ([`Freshness::own_memory`](crate::store::Freshness::own_memory)) an unknown event from before that is too old. So a replay of
//!   what was pushed out is refused, and so is an honest event that comes that late. (A retention that was lengthened makes that
//!   instant too early by as much, for entries from before.) A partner could search for event ids that share a slot and so push out
//!   events of others in that slot; it is known by its signature.
//! * **A live claim is never pushed out.** A ring full of live claims answers [`StoreFault::Contended`]: a retry later is
//!   better than a second hand-on now.
//! * **A record that this program did not write**, or that belongs to another scope, another slot or another format, is never read
//!   as ours. It answers [`StoreFault::Corrupt`] once and is replaced. Claims that were under way may have been in it, so an event
//!   or fallback slot stays closed (`Corrupt`) for one lease; then its events count as forgotten. A quota starts again as spent, a
//!   source ring as empty. Settlements go through: a commit into a closed slot is kept. Where the record of the sizes was garbled,
//!   what tables of other sizes held is forgotten.
//! * **A clock set back** keeps events longer, never shorter. Only a lease that ends more than [`LEASE_MS_MAX`] ahead is
//!   taken as over, or a crashed claim could block its event for as long as the clock was wrong. A memory that began more than a
//!   minute from now begins now.
//! * **A commit after its lease** is kept whatever happened to the entry. The fallback identity is weaker: where its entry is gone
//!   it stays as it is.
//! * **A source without refusals** is believed to have none for [`CLEAN_MS`] by a store that has looked. Refusals that this store
//!   counts end that at once; what other stores count is seen a second late.

use alloc::sync::Arc;

use crate::store::{Claim, ClaimAnswer, Settlement, Store, StoreFault, Throttle, ThrottleAnswer};
use crate::time::Timestamp;
use base::Base;
pub use clean::{CLEAN_MS, CleanSources};
use entry::{EventEntry, FallbackEntry, RateEntry, SourceEntry};
pub use limit::BATCH_MAX;
use record::{Opened, Record};
use rings::Rings;
pub use table::{
    ENTRIES_MAX, MemoryTable, Part, SLOTS_MAX, SLOTS_MIN, SOURCE_SLOTS, SOURCES_PER_SLOT, Slot, Swap, Table,
    TableSize,
};

mod base;
mod claim;
mod clean;
mod entry;
mod limit;
mod record;
mod rings;
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
/// [`HandOn::WithClaim`](crate::store::HandOn::WithClaim) is committed at once. This table is not an inbox: a caller that asks for it is, and must keep the
/// event before the sender hears of the answer.
#[derive(Debug)]
pub struct TableStore<T: Table> {
    base: Base<T>,
    events: Rings<EventEntry>,
    fallbacks: Rings<FallbackEntry>,
    rates: Record<RateEntry>,
    sources: Record<SourceEntry>,
    known: limit::Known,
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
    /// Fallback duplicates that were recorded.
    pub fallback_duplicates: u64,
    /// Entries that were copied into a larger table.
    pub moved: u64,
    /// Events that were admitted beside the quota, because every swap on it was lost.
    pub uncounted: u64,
}

impl Counters {
    fn add(&mut self, more: Self) {
        self.evictions = self.evictions.saturating_add(more.evictions);
        self.lease_expiries = self.lease_expiries.saturating_add(more.lease_expiries);
        self.swap_retries = self.swap_retries.saturating_add(more.swap_retries);
        self.sources_evicted = self.sources_evicted.saturating_add(more.sources_evicted);
        self.heals = self.heals.saturating_add(more.heals);
        self.fallback_duplicates = self.fallback_duplicates.saturating_add(more.fallback_duplicates);
        self.moved = self.moved.saturating_add(more.moved);
        self.uncounted = self.uncounted.saturating_add(more.uncounted);
    }

    fn lost_a_swap(&mut self) {
        self.swap_retries = self.swap_retries.saturating_add(1);
    }

    fn count_duplicate(&mut self) {
        self.fallback_duplicates = self.fallback_duplicates.saturating_add(1);
    }
}

impl<T: Table> TableStore<T> {
    /// A store over what `table` holds for a scope (`production/default`). Nothing is read or written yet.
    pub fn new(table: T, scope: &str, size: TableSize) -> Self {
        Self {
            base: Base::new(table, Arc::from(scope), size),
            events: Rings::new(),
            fallbacks: Rings::new(),
            rates: Record::new(),
            sources: Record::new(),
            known: limit::Known::default(),
        }
    }

    /// The table.
    pub fn table(&mut self) -> &mut T {
        &mut self.base.table
    }

    /// Lets the memory begin at `now`, where the scope has none yet. Without it, it begins with the first claim, and an event that
    /// happened between the start and that claim would count as too old.
    ///
    /// # Errors
    /// As [`claim`](Self::claim); the first claim tries again.
    pub fn begin(&mut self, now: Timestamp) -> Result<(), StoreFault> {
        self.base.know_sizes(now)
    }

    /// The counters, which begin again at 0.
    pub fn take_counters(&mut self) -> Counters {
        core::mem::take(&mut self.base.counters)
    }

    /// How full the events' part of the table is, in percent of its places, by a sample: `count` slots from slot `from` on, counted
    /// around the end. Entries whose time is over take their place until it is needed.
    ///
    /// # Errors
    /// The table's own fault.
    pub fn fill_percent(&mut self, from: u32, count: u32) -> Result<u8, StoreFault> {
        let slots = self.base.slots();
        let mut held: usize = 0;
        for offset in 0..count {
            let index = from.wrapping_add(offset).checked_rem(slots).unwrap_or(0);
            let slot = Slot { scope: &self.base.scope, part: Part::Event { slots, index } };
            if let Opened::Sound(Some(_)) = self.events.record.open(&mut self.base.table, slot)? {
                held = held.saturating_add(self.events.record.len());
            }
        }
        let places = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(self.base.size.entries());
        let percent = held.saturating_mul(100).checked_div(places).unwrap_or(0);
        Ok(u8::try_from(percent).unwrap_or(100).min(100))
    }

    /// Claims an event, and spends quota where it writes.
    ///
    /// # Errors
    /// The table's own fault; [`StoreFault::Contended`] where every swap was lost or the ring is full of live claims;
    /// [`StoreFault::Corrupt`] where a slot was garbled, and for one lease after that. The event may or may not be claimed
    /// then, and a quota that was spent stays spent.
    pub fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        self.base.begin_claim(claim);
        self.base.know_sizes(claim.now)?;
        let mut spent = None;
        for _ in 0..SWAP_TRIES_MAX {
            let Some(answer) = self.attempt(claim, &mut spent)? else { continue };
            let has_written = matches!(answer, ClaimAnswer::Fresh { .. } | ClaimAnswer::DuplicateOf { .. });
            if !has_written && spent.flatten().is_some() {
                self.give_back(&claim.partner);
            }
            return Ok(answer);
        }
        Err(StoreFault::Contended)
    }

    /// Commits or releases a claim.
    ///
    /// # Errors
    /// The table's own fault; [`StoreFault::Contended`] where every swap was lost or the ring is full of live claims;
    /// [`StoreFault::Corrupt`] where a slot of an older size was garbled.
    pub fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        self.base.retention_ms = settlement.retention_ms;
        self.base.know_sizes(settlement.now)?;
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
