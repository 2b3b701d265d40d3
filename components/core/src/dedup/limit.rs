//! The two rates in the table: what a partner may send, and how often a source may be refused.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::clean::CleanSources;
use super::entry::{RateEntry, SourceEntry};
use super::record::{Opened, Record};
use super::table::{Part, SOURCES_PER_SLOT, Slot, Swap, Table, source_part};
use super::{Counters, SWAP_TRIES_MAX, TableStore};
use crate::rate::{Decision, Quota, Rate, microseconds};
use crate::store::{StoreFault, Throttle, ThrottleAnswer};
use crate::time::Timestamp;

/// Events of a partner's quota that one store takes at once, at the most; never more than a 32nd of the burst.
pub const BATCH_MAX: u32 = 16;
const BATCH_OF_BURST: u32 = 32;
/// How long a store may use what it took, in milliseconds; the rest is lost then.
const BATCH_MS: u64 = 1_000;

/// What a store has taken of a partner's quota and not used yet.
#[derive(Debug)]
struct Batch {
    rate: Rate,
    /// Events that it still admits.
    left: u32,
    /// How many it took.
    taken: u32,
    taken_at: Timestamp,
    /// When the quota is full again, all of the batch included.
    full_at_us: u64,
}

impl Batch {
    fn is_usable(&self, rate: Rate, now: Timestamp) -> bool {
        self.rate == rate && now >= self.taken_at && now.since_ms(self.taken_at) < BATCH_MS
    }

    /// Admits one event, and tells what is left of the quota as if nothing had been taken ahead.
    fn admit(&mut self, now: Timestamp) -> Option<Decision> {
        self.left = self.left.checked_sub(1)?;
        let ahead_us = self.rate.interval_us.saturating_mul(u64::from(self.left));
        let stored = self.full_at_us.saturating_sub(ahead_us);
        let quota = quota_of(self.rate.take(0, Some(stored), now));
        Some(Decision::Admit { stored, quota })
    }

    /// How many to take next: twice as many where all were used in time, so that a store with little traffic takes nothing ahead.
    fn next(&self, rate: Rate, now: Timestamp) -> u32 {
        let most = rate.burst.checked_div(BATCH_OF_BURST).unwrap_or(1).clamp(1, BATCH_MAX);
        if self.left == 0 && self.is_usable(rate, now) { self.taken.saturating_mul(2).min(most) } else { 1 }
    }
}

/// What one store knows of rates without asking the table.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By partner; partners are named in the configuration.
    batches: BTreeMap<Arc<str>, Batch>,
    clean: CleanSources,
}

impl<T: Table> TableStore<T> {
    /// Spends one event of a partner's quota: of what was taken ahead, or of the table's.
    pub(super) fn spend(
        &mut self,
        partner: &Arc<str>,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Decision, StoreFault> {
        let mut count = 1;
        if let Some(batch) = self.known.batches.get_mut(partner) {
            if batch.is_usable(rate, now)
                && let Some(admitted) = batch.admit(now)
            {
                return Ok(admitted);
            }
            count = batch.next(rate, now);
        }
        let (decision, taken) = self.take(partner, rate, count, now)?;
        let Decision::Admit { stored: full_at_us, .. } = decision else {
            self.known.batches.remove(partner);
            return Ok(decision);
        };
        let mut batch = Batch { rate, left: taken, taken, taken_at: now, full_at_us };
        let admitted = batch.admit(now).unwrap_or(decision);
        self.known.batches.insert(Arc::clone(partner), batch);
        Ok(admitted)
    }

    /// Gives one event back: the claim that spent it has written nothing.
    pub(super) fn give_back(&mut self, partner: &Arc<str>) {
        if let Some(batch) = self.known.batches.get_mut(partner) {
            batch.left = batch.left.saturating_add(1);
        }
    }

    /// Takes `count` events of the quota in the table, or one where there are fewer; with how many were taken.
    fn take(
        &mut self,
        partner: &Arc<str>,
        rate: Rate,
        count: u32,
        now: Timestamp,
    ) -> Result<(Decision, u32), StoreFault> {
        let slot = Slot { scope: &self.base.scope, part: Part::Rate(partner) };
        let mut uncounted = None;
        for _ in 0..SWAP_TRIES_MAX {
            let version = match self.rates.open(&mut self.base.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.rates.push(&RateEntry { full_at_us: rate.spent(now) });
                    self.rates.heal(&mut self.base.table, slot, version, &mut self.base.counters)?;
                    return Err(StoreFault::Corrupt);
                }
            };
            let stored = self.rates.entries().next().map(|(_, cell)| cell.full_at_us);
            let (mut decision, mut taken) = (rate.take(count, stored, now), count);
            if count > 1 && matches!(decision, Decision::Limit { .. }) {
                (decision, taken) = (rate.take(1, stored, now), 1);
            }
            let Decision::Admit { stored: full_at_us, .. } = decision else { return Ok((decision, 0)) };
            uncounted = Some(rate.take(1, stored, now));
            self.rates.clear();
            self.rates.push(&RateEntry { full_at_us });
            match self.rates.write(&mut self.base.table, slot, version)? {
                Swap::Done => return Ok((decision, taken)),
                Swap::Conflict => self.base.counters.lost_a_swap(),
            }
        }
        // Every lost swap was the spending of another store, so this event is one beside at least that many that were counted.
        self.base.counters.uncounted = self.base.counters.uncounted.saturating_add(1);
        uncounted.map(|decision| (decision, 1)).ok_or(StoreFault::Contended)
    }

    /// Looks at, or counts against, a source's refusals.
    ///
    /// # Errors
    /// The table's own fault; [`StoreFault::Contended`] where every swap was lost; [`StoreFault::Corrupt`] where the slot
    /// was garbled (it is healed then).
    pub fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        if !throttle.count && self.known.clean.is_clean(throttle.source, throttle.now) {
            return Ok(ThrottleAnswer::Pass);
        }
        self.known.clean.forget(throttle.source);
        let slot = Slot { scope: &self.base.scope, part: source_part(throttle.source) };
        let name = throttle.source.as_bytes();
        for _ in 0..SWAP_TRIES_MAX {
            let version = match self.sources.open(&mut self.base.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.sources.heal(&mut self.base.table, slot, version, &mut self.base.counters)?;
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
                Decision::Admit { .. } if !throttle.count => {
                    if found.is_none() {
                        self.known.clean.note(throttle.source, throttle.now);
                    }
                    return Ok(ThrottleAnswer::Pass);
                }
                Decision::Admit { stored, .. } => stored,
            };
            if let Some((index, _)) = found {
                self.sources.remove(index);
            }
            let losses = make_room(&mut self.sources, throttle.now);
            self.sources.push(&SourceEntry { name: *name, full_at_us });
            match self.sources.write(&mut self.base.table, slot, version)? {
                Swap::Done => {
                    self.base.counters.add(losses);
                    return Ok(ThrottleAnswer::Pass);
                }
                Swap::Conflict => self.base.counters.lost_a_swap(),
            }
        }
        Err(StoreFault::Contended)
    }
}

const fn quota_of(decision: Decision) -> Quota {
    match decision {
        Decision::Admit { quota, .. } | Decision::Limit { quota, .. } => quota,
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
