//! The steps of an operation: each opens a slot, asks [`claim`](super::claim) what to do with it, and swaps.

use super::claim::{self, Holder, Known, remembered_until};
use super::entry::{EventEntry, Hold, State};
use super::record::Record;
use super::rings::{For, Place};
use super::table::{Swap, Table};
use super::{CLAIM_MS_MAX, Counters, LEASE_MS_MAX, SWAP_TRIES_MAX, TableStore};
use crate::event::EventId;
use crate::rate::{Decision, Quota};
use crate::store::{Claim, ClaimAnswer, ClaimKey, End, Fallback, HandOn, Settlement, StoreFault};
use crate::time::Timestamp;

/// What a claim has spent so far: nothing yet, or what was left of the quota then (nothing where there is none to be spent). A claim
/// that lost a swap and tries again spends no second time.
pub(super) type Spent = Option<Option<Quota>>;

impl<T: Table> TableStore<T> {
    /// One attempt at a claim. `None`: it lost the swap.
    pub(super) fn attempt(
        &mut self,
        claim: &Claim,
        spent: &mut Spent,
    ) -> Result<Option<ClaimAnswer>, StoreFault> {
        let place = self.events.open(&mut self.base, &claim.key.fingerprint, claim.now, For::Claim)?;
        match claim::known_event(&self.events.record, claim) {
            Known::Answer(answer) => return Ok(Some(answer)),
            Known::Duplicate => return self.duplicate_again(claim).map(Some),
            Known::Nothing => {}
        }
        if let Some(ts_event_min) = self.too_old(claim, place.forgotten)? {
            return Ok(Some(ClaimAnswer::TooOld { ts_event_min }));
        }
        let hold = hold_of(claim);
        let mut identity = None;
        if let Some(fallback) = claim.fallback {
            // Looked at before anything is claimed: who is in flight behind another costs no swap and pushes nobody out.
            identity = match self.look_up(claim, &fallback)? {
                (_, Holder::UnderWay(answer)) => return Ok(Some(answer)),
                (_, Holder::Accepted(event_id)) => {
                    return self.record_duplicate(claim, &place, event_id, spent);
                }
                (place, Holder::Nobody) => {
                    let losses = self.place_fallback(claim, fallback, hold)?;
                    Some((fallback, place, losses))
                }
            };
        }
        let losses = claim::place_event(&mut self.events.record, claim, hold, self.base.size.entries())?;
        if let Some(limited) = self.spend_once(claim, spent)? {
            return Ok(Some(limited));
        }
        match self.events.write(&mut self.base, &place)? {
            Swap::Done => self.base.counters.add(losses),
            Swap::Conflict => return Ok(None),
        }
        let fresh = ClaimAnswer::Fresh { quota: spent.flatten() };
        match identity {
            None => Ok(Some(fresh)),
            Some((fallback, place, losses)) => {
                let taken = self.take_fallback(claim, fallback, hold, (place, losses));
                self.finish(claim, hold, taken, fresh).map(Some)
            }
        }
    }

    /// The earliest `ts_event` that is taken, where the claim's is before it.
    fn too_old(&mut self, claim: &Claim, forgotten: Timestamp) -> Result<Option<Timestamp>, StoreFault> {
        let mut ts_event_min = claim.freshness.ts_event_min;
        if claim.freshness.own_memory {
            ts_event_min = ts_event_min.max(self.base.remembers_from(forgotten, claim.now)?);
        }
        Ok(Some(ts_event_min).filter(|earliest| claim.row.ts_event < *earliest))
    }

    /// Spends the quota, unless this claim did so already. An answer where it is spent.
    fn spend_once(&mut self, claim: &Claim, spent: &mut Spent) -> Result<Option<ClaimAnswer>, StoreFault> {
        if spent.is_none() {
            *spent = Some(match claim.quota {
                None => None,
                Some(rate) => match self.spend(&claim.partner, rate, claim.now)? {
                    Decision::Limit { retry_after_ms, quota } => {
                        return Ok(Some(ClaimAnswer::Limited { retry_after_ms, quota }));
                    }
                    Decision::Admit { quota, .. } => Some(quota),
                },
            });
        }
        Ok(None)
    }

    /// Records an event as the duplicate of another.
    fn record_duplicate(
        &mut self,
        claim: &Claim,
        place: &Place<T::Version>,
        event_id: EventId,
        spent: &mut Spent,
    ) -> Result<Option<ClaimAnswer>, StoreFault> {
        let hold = duplicate(claim);
        let losses = claim::place_event(&mut self.events.record, claim, hold, self.base.size.entries())?;
        if let Some(limited) = self.spend_once(claim, spent)? {
            return Ok(Some(limited));
        }
        Ok(match self.events.write(&mut self.base, place)? {
            Swap::Done => {
                self.base.counters.add(losses);
                self.base.counters.count_duplicate();
                Some(ClaimAnswer::DuplicateOf { event_id: Some(event_id) })
            }
            Swap::Conflict => None,
        })
    }

    /// The answer to a duplicate that is recorded.
    fn duplicate_again(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        let event_id = match claim.fallback {
            None => None,
            Some(fallback) => match self.look_up(claim, &fallback)? {
                (_, Holder::Accepted(event_id)) => Some(event_id),
                (_, Holder::Nobody | Holder::UnderWay(_)) => None,
            },
        };
        Ok(ClaimAnswer::DuplicateOf { event_id })
    }

    /// Looks at the slot of a fallback identity.
    fn look_up(
        &mut self,
        claim: &Claim,
        fallback: &Fallback,
    ) -> Result<(Place<T::Version>, Holder), StoreFault> {
        let place = self.fallbacks.open(&mut self.base, &fallback.fingerprint, claim.now, For::Claim)?;
        let holder = claim::holder(&self.fallbacks.record, fallback, &claim.key.fingerprint, claim.now);
        Ok((place, holder))
    }

    fn place_fallback(
        &mut self,
        claim: &Claim,
        fallback: Fallback,
        hold: Hold,
    ) -> Result<Counters, StoreFault> {
        let capacity = self.base.size.entries();
        claim::place_fallback(&mut self.fallbacks.record, claim, fallback, hold, capacity)
    }

    /// Swaps a fallback identity in that is placed in its record. Who holds it by then, where a rival was first.
    fn take_fallback(
        &mut self,
        claim: &Claim,
        fallback: Fallback,
        hold: Hold,
        placed: (Place<T::Version>, Counters),
    ) -> Result<Holder, StoreFault> {
        let (mut place, mut losses) = placed;
        for _ in 0..SWAP_TRIES_MAX {
            if self.fallbacks.write(&mut self.base, &place)? == Swap::Done {
                self.base.counters.add(losses);
                return Ok(Holder::Nobody);
            }
            let holder;
            (place, holder) = self.look_up(claim, &fallback)?;
            match holder {
                Holder::Nobody => losses = self.place_fallback(claim, fallback, hold)?,
                Holder::Accepted(_) | Holder::UnderWay(_) => return Ok(holder),
            }
        }
        Err(StoreFault::Contended)
    }

    /// The end of a claim whose event is claimed, by what became of its fallback identity. Whatever stands in the way gives the event
    /// back; where that fails as well, the lease ends the claim.
    fn finish(
        &mut self,
        claim: &Claim,
        hold: Hold,
        taken: Result<Holder, StoreFault>,
        fresh: ClaimAnswer,
    ) -> Result<ClaimAnswer, StoreFault> {
        match taken {
            Ok(Holder::Nobody) => self.commit_at_once(claim, hold).map(|()| fresh),
            Ok(Holder::Accepted(event_id)) => {
                let duplicate = duplicate(claim);
                self.change_event(&settlement_of(claim, hold, End::Release), |record, settlement, _| {
                    Ok(claim::turn(record, settlement, duplicate))
                })?;
                self.base.counters.count_duplicate();
                Ok(ClaimAnswer::DuplicateOf { event_id: Some(event_id) })
            }
            Ok(Holder::UnderWay(answer)) => {
                let _best_effort = self.settle_event(&settlement_of(claim, hold, End::Release));
                Ok(answer)
            }
            Err(fault) => {
                let _best_effort = self.settle_event(&settlement_of(claim, hold, End::Release));
                Err(fault)
            }
        }
    }

    /// Commits a claim that is its own hand-on.
    fn commit_at_once(&mut self, claim: &Claim, hold: Hold) -> Result<(), StoreFault> {
        if claim.hand_on != HandOn::WithClaim {
            return Ok(());
        }
        let settlement = settlement_of(claim, hold, End::Commit);
        self.settle_event(&settlement)?;
        if let Some(fallback) = claim.fallback {
            // The event is durable from here on, so the answer must be fresh; the identity lapses with its lease.
            let _best_effort = self.settle_fallback(&settlement, fallback);
        }
        Ok(())
    }

    /// Ends the claim of an event.
    pub(super) fn settle_event(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        self.change_event(settlement, claim::settle_event)
    }

    /// Changes what is stored of an event until the change is swapped in, or there is nothing to change.
    fn change_event(
        &mut self,
        settlement: &Settlement,
        change: impl Fn(&mut Record<EventEntry>, &Settlement, usize) -> Result<Option<Counters>, StoreFault>,
    ) -> Result<(), StoreFault> {
        for _ in 0..SWAP_TRIES_MAX {
            let name = &settlement.key.fingerprint;
            let place = self.events.open(&mut self.base, name, settlement.now, For::Settlement)?;
            let capacity = self.base.size.entries();
            let Some(losses) = change(&mut self.events.record, settlement, capacity)? else {
                return Ok(());
            };
            if self.events.write(&mut self.base, &place)? == Swap::Done {
                self.base.counters.add(losses);
                return Ok(());
            }
        }
        Err(StoreFault::Contended)
    }

    /// Ends the claim of a fallback identity.
    pub(super) fn settle_fallback(
        &mut self,
        settlement: &Settlement,
        fallback: Fallback,
    ) -> Result<(), StoreFault> {
        for _ in 0..SWAP_TRIES_MAX {
            let name = &fallback.fingerprint;
            let place = self.fallbacks.open(&mut self.base, name, settlement.now, For::Settlement)?;
            if !claim::settle_fallback(&mut self.fallbacks.record, settlement, fallback) {
                return Ok(());
            }
            if self.fallbacks.write(&mut self.base, &place)? == Swap::Done {
                return Ok(());
            }
        }
        Err(StoreFault::Contended)
    }
}

/// What the entries of a claim hold until it is settled, or for good where it is its own hand-on.
fn hold_of(claim: &Claim) -> Hold {
    let (state, until) = match (claim.hand_on, claim.fallback) {
        (HandOn::AfterClaim { .. }, _) => {
            (State::Pending, claim.key.lease_until.min(claim.now.plus_ms(LEASE_MS_MAX)))
        }
        (HandOn::WithClaim, None) => (State::Committed, remembered(claim)),
        // Pending until the fallback is taken as well: were it committed first, a fault in between would leave an
        // event that counts as handed on and never was.
        (HandOn::WithClaim, Some(_)) => (State::Pending, claim.now.plus_ms(CLAIM_MS_MAX)),
    };
    Hold { state, until, receipt_key: claim.receipt_key }
}

fn duplicate(claim: &Claim) -> Hold {
    Hold { state: State::Duplicate, until: remembered(claim), receipt_key: claim.receipt_key }
}

fn remembered(claim: &Claim) -> Timestamp {
    remembered_until(claim.now, claim.row.ts_event, claim.retention_ms)
}

fn settlement_of(claim: &Claim, hold: Hold, end: End) -> Settlement {
    Settlement {
        end,
        key: ClaimKey { fingerprint: claim.key.fingerprint, lease_until: hold.until },
        payload_hash: claim.payload_hash,
        receipt_key: claim.receipt_key,
        ts_event: claim.row.ts_event,
        fallback: claim.fallback,
        retention_ms: claim.retention_ms,
        now: claim.now,
    }
}
