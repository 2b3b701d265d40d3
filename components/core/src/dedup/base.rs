//! What every operation of a store shares: the table, the sizes in use, the counters.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::entry::SizeEntry;
use super::record::{Opened, Record};
use super::table::{Part, Slot, Swap, Table, TableSize};
use super::{Counters, LEASE_MS_MAX, SWAP_TRIES_MAX};
use crate::rate::CLOCK_STEP_MS_MAX;
use crate::store::{Claim, HandOn, StoreFault};
use crate::time::Timestamp;

/// Sizes that one scope may have in the life of its memory. A further, larger one goes on with the largest of these.
const SIZES_MAX: usize = 8;
/// Furthest that a `ts_event` may be ahead of the clock, in any configuration. A "forgotten" instant beyond that is the mistake of a
/// clock that has been set back since.
const FUTURE_MS_MAX: u64 = 86_400_000;

/// The table, and what is known of all of it.
#[derive(Debug)]
pub(super) struct Base<T: Table> {
    pub(super) table: T,
    pub(super) scope: Arc<str>,
    pub(super) size: TableSize,
    pub(super) counters: Counters,
    /// The longest lease that was asked for: how long a garbled slot may hide a claim that is under way.
    pub(super) lease_ms: u64,
    /// The retention of the operation that is under way: tells since when an entry that is pushed out was remembered.
    pub(super) retention_ms: u64,
    /// The sizes in use, ascending; the last one is where new claims go. Empty: not read yet.
    sizes: Vec<u32>,
    /// Since when the scope's memory reaches back.
    since: Timestamp,
    record: Record<SizeEntry>,
}

impl<T: Table> Base<T> {
    pub(super) fn new(table: T, scope: Arc<str>, size: TableSize) -> Self {
        Self {
            table,
            scope,
            size,
            counters: Counters::default(),
            lease_ms: 0,
            retention_ms: 0,
            sizes: Vec::new(),
            since: Timestamp::from_ms(0),
            record: Record::new(),
        }
    }

    /// Notes the longest lease, and the retention.
    pub(super) fn begin_claim(&mut self, claim: &Claim) {
        let lease_ms = match claim.hand_on {
            HandOn::AfterClaim { lease_ms } => lease_ms.min(LEASE_MS_MAX),
            HandOn::WithClaim => super::CLAIM_MS_MAX,
        };
        self.lease_ms = self.lease_ms.max(lease_ms);
        self.retention_ms = claim.retention_ms;
    }

    /// Slots of the table to which new claims go.
    pub(super) fn slots(&self) -> u32 {
        self.sizes.last().copied().unwrap_or_else(|| self.size.event_slots())
    }

    /// The older sizes, whose slots are moved as they are needed; ascending.
    pub(super) fn older(&self) -> &[u32] {
        self.sizes.split_last().map_or(&[], |(_, older)| older)
    }

    /// Makes the sizes known, once.
    pub(super) fn know_sizes(&mut self, now: Timestamp) -> Result<(), StoreFault> {
        if self.sizes.is_empty() { self.read_sizes(now) } else { Ok(()) }
    }

    /// Goes on with a larger table, which another store has begun.
    pub(super) fn adopt(&mut self, slots: u32, now: Timestamp) -> Result<(), StoreFault> {
        self.read_sizes(now)?;
        // A moved slot names a size that is on record, unless that record was garbled meanwhile.
        if !self.sizes.contains(&slots) {
            self.sizes.push(slots);
            self.sizes.sort_unstable();
        }
        Ok(())
    }

    /// The earliest `ts_event` that this memory can tell from a repeat, in a slot that has forgotten events up to `forgotten`.
    pub(super) fn remembers_from(
        &mut self,
        forgotten: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, StoreFault> {
        if self.since.since_ms(now) > CLOCK_STEP_MS_MAX {
            // The clock was set back. Waiting for it would refuse every event until then.
            self.read_sizes(now)?;
        }
        let is_possible = forgotten.since_ms(now) <= FUTURE_MS_MAX;
        Ok(if is_possible { self.since.max(forgotten) } else { self.since })
    }

    /// Reads the scope's sizes, and adds this store's where it is larger than all of them. A smaller one goes on with the largest:
    /// shared memory is never given back, so shrinking would buy nothing and would have to move everything.
    fn read_sizes(&mut self, now: Timestamp) -> Result<(), StoreFault> {
        let own = self.size.event_slots();
        for _ in 0..SWAP_TRIES_MAX {
            let slot = Slot { scope: &self.scope, part: Part::Sizes };
            let version = match self.record.open(&mut self.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    // Other stores may hold leases in tables of other sizes: nobody begins before those are over.
                    self.record.close(now, now.plus_ms(self.lease_ms));
                    self.record.push(&SizeEntry { slots: own, since: now });
                    self.record.heal(&mut self.table, slot, version, &mut self.counters)?;
                    return Err(StoreFault::Corrupt);
                }
            };
            if self.record.is_closed(now) {
                return Err(StoreFault::Corrupt);
            }
            let mut entries: Vec<SizeEntry> = self.record.entries().map(|(_, size)| size).collect();
            let mut is_new = false;
            if entries.len() < SIZES_MAX && entries.iter().all(|size| size.slots < own) {
                entries.push(SizeEntry { slots: own, since: now });
                is_new = true;
            }
            for size in &mut entries {
                if size.since.since_ms(now) > CLOCK_STEP_MS_MAX {
                    size.since = now;
                    is_new = true;
                }
            }
            if is_new {
                self.record.clear();
                for size in &entries {
                    self.record.push(size);
                }
                if self.record.write(&mut self.table, slot, version)? == Swap::Conflict {
                    self.counters.lost_a_swap();
                    continue;
                }
            }
            self.since = entries.first().map_or(now, |size| size.since);
            self.sizes.clear();
            self.sizes.extend(entries.iter().map(|size| size.slots));
            return Ok(());
        }
        Err(StoreFault::Contended)
    }
}
