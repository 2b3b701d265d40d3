//! The two rates in the table: what a partner may send, and how often a source may be refused.

use super::entry::{RateEntry, SourceEntry};
use super::record::{Opened, Record};
use super::table::{SOURCES_PER_SLOT, Slot, Swap, Table, source_slot};
use super::{Counters, SWAP_TRIES_MAX, TableStore};
use crate::rate::{Decision, Rate, microseconds};
use crate::store::{StoreFault, Throttle, ThrottleAnswer};
use crate::time::Timestamp;

impl<T: Table> TableStore<T> {
    /// Spends one event of a partner's quota.
    pub(super) fn spend(
        &mut self,
        partner: &str,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Decision, StoreFault> {
        let slot = Slot::Rate(partner);
        for _ in 0..SWAP_TRIES_MAX {
            let version = match self.rates.open(&mut self.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.rates.push(&RateEntry { full_at_us: rate.spent(now) });
                    self.rates.heal(&mut self.table, slot, version, &mut self.counters)?;
                    return Err(StoreFault::Corrupt);
                }
            };
            let stored = self.rates.entries().next().map(|(_, cell)| cell.full_at_us);
            let decision = rate.decide(stored, now);
            let Decision::Admit { stored, .. } = decision else { return Ok(decision) };
            self.rates.remove(0);
            self.rates.push(&RateEntry { full_at_us: stored });
            match self.rates.write(&mut self.table, slot, version)? {
                Swap::Done => return Ok(decision),
                Swap::Conflict => self.lost_a_swap(),
            }
        }
        Err(StoreFault::Contended)
    }

    /// Looks at, or counts against, a source's refusals.
    ///
    /// # Errors
    /// The table's own fault; [`StoreFault::Contended`] where every swap was lost; [`StoreFault::Corrupt`] where the slot
    /// was garbled (it is healed then).
    pub fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        let slot = source_slot(throttle.source);
        let name = throttle.source.as_bytes();
        for _ in 0..SWAP_TRIES_MAX {
            let version = match self.sources.open(&mut self.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.sources.heal(&mut self.table, slot, version, &mut self.counters)?;
                    return Err(StoreFault::Corrupt);
                }
            };
            let found = self.sources.find(name);
            let stored = found.map(|(_, source)| source.full_at_us);
            let full_at_us = match throttle.rate.decide(stored, throttle.now) {
                // A source that is limited already has nothing to lose: the count stops where the limit is.
                Decision::Limit { .. } if throttle.count => return Ok(ThrottleAnswer::Pass),
                Decision::Limit { retry_after_ms, .. } => {
                    return Ok(ThrottleAnswer::Limited { retry_after_ms });
                }
                Decision::Admit { .. } if !throttle.count => return Ok(ThrottleAnswer::Pass),
                Decision::Admit { stored, .. } => stored,
            };
            if let Some((index, _)) = found {
                self.sources.remove(index);
            }
            let losses = make_room(&mut self.sources, throttle.now);
            self.sources.push(&SourceEntry { name: *name, full_at_us });
            match self.sources.write(&mut self.table, slot, version)? {
                Swap::Done => {
                    self.counters.add(losses);
                    return Ok(ThrottleAnswer::Pass);
                }
                Swap::Conflict => self.lost_a_swap(),
            }
        }
        Err(StoreFault::Contended)
    }
}

/// Takes sources out until one more fits: first the one that is nearest to being forgiven anyway.
fn make_room(record: &mut Record<SourceEntry>, now: Timestamp) -> Counters {
    let mut losses = Counters::default();
    while record.len() >= SOURCES_PER_SLOT {
        let victim = record.entries().min_by_key(|(_, source)| source.full_at_us);
        let Some((index, source)) = victim else { break };
        if source.full_at_us > microseconds(now) {
            losses.sources_evicted = losses.sources_evicted.saturating_add(1);
        }
        record.remove(index);
    }
    losses
}
