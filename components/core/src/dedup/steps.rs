//! The steps of an operation: each opens a slot, asks [`claim`](super::claim) what to do with it, and swaps.

use super::claim::{self, Verdict};
use super::entry::Hold;
use super::record::Opened;
use super::table::{Swap, Table};
use super::{CLAIM_MS_MAX, Counters, LEASE_MS_MAX, SWAP_TRIES_MAX, TableStore};
use crate::rate::Quota;
use crate::store::{Claim, ClaimAnswer, ClaimKey, End, Fallback, HandOn, Settlement, StoreFault};

/// A fallback identity that is placed in its record and not yet swapped in, or the answer that stands in its way.
pub(super) enum Prepared<V> {
    Placed(Option<V>, Counters),
    Answer(ClaimAnswer),
}

impl<T: Table> TableStore<T> {
    /// What the entries of a claim hold until it is settled, or for good where it is its own hand-on.
    pub(super) fn hold_of(&mut self, claim: &Claim) -> Hold {
        let lease_ms = match claim.hand_on {
            HandOn::AfterClaim { lease_ms } => lease_ms.min(LEASE_MS_MAX),
            HandOn::WithClaim => CLAIM_MS_MAX,
        };
        self.lease_ms = self.lease_ms.max(lease_ms);
        match (claim.hand_on, claim.fallback) {
            (HandOn::AfterClaim { .. }, _) => {
                Hold::pending(claim.key.lease_until.min(claim.now.plus_ms(LEASE_MS_MAX)))
            }
            (HandOn::WithClaim, None) => Hold::committed(claim.now.plus_ms(claim.retention_ms)),
            // Pending until the fallback is taken as well: were it committed first, a fault in between would leave an
            // event that counts as handed on and never was.
            (HandOn::WithClaim, Some(_)) => Hold::pending(claim.now.plus_ms(CLAIM_MS_MAX)),
        }
    }

    /// Looks at the slot of a fallback identity and places it in the record.
    pub(super) fn prepare_fallback(
        &mut self,
        claim: &Claim,
        fallback: Fallback,
        hold: Hold,
    ) -> Result<Prepared<T::Version>, StoreFault> {
        let slot = self.size.fallback_slot(&fallback.fingerprint);
        let closed_until = claim.now.plus_ms(self.lease_ms);
        let version = self.fallbacks.open_for_claim(
            &mut self.table,
            slot,
            claim.now,
            closed_until,
            &mut self.counters,
        )?;
        let capacity = self.size.entries();
        Ok(match claim::claim_fallback(&mut self.fallbacks, claim, fallback, hold, capacity)? {
            Verdict::Answer(answer) => Prepared::Answer(answer),
            Verdict::Placed(losses) => Prepared::Placed(version, losses),
        })
    }

    /// Swaps the fallback identity in, now that the event is claimed. Whatever stands in the way gives the event back.
    pub(super) fn finish_fallback(
        &mut self,
        claim: &Claim,
        fallback: Fallback,
        hold: Hold,
        prepared: (Option<T::Version>, Counters),
        quota: Option<Quota>,
    ) -> Result<ClaimAnswer, StoreFault> {
        let answer = match self.take_fallback(claim, fallback, hold, prepared) {
            Ok(None) => return self.commit_at_once(claim, hold).map(|()| ClaimAnswer::Fresh { quota }),
            Ok(Some(answer)) => Ok(answer),
            Err(fault) => Err(fault),
        };
        // Where this fails as well, the lease ends the claim.
        let _best_effort = self.settle_event(&settlement_of(claim, hold, End::Release));
        answer
    }

    /// `None` where the fallback identity is taken.
    fn take_fallback(
        &mut self,
        claim: &Claim,
        fallback: Fallback,
        hold: Hold,
        prepared: (Option<T::Version>, Counters),
    ) -> Result<Option<ClaimAnswer>, StoreFault> {
        let slot = self.size.fallback_slot(&fallback.fingerprint);
        let (mut version, mut losses) = prepared;
        for _ in 0..SWAP_TRIES_MAX {
            match self.fallbacks.write(&mut self.table, slot, version)? {
                Swap::Done => {
                    self.counters.add(losses);
                    return Ok(None);
                }
                Swap::Conflict => self.lost_a_swap(),
            }
            (version, losses) = match self.prepare_fallback(claim, fallback, hold)? {
                Prepared::Answer(answer) => return Ok(Some(answer)),
                Prepared::Placed(version, losses) => (version, losses),
            };
        }
        Err(StoreFault::Contended)
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
        let slot = self.size.event_slot(&settlement.key.fingerprint);
        let closed_until = settlement.now.plus_ms(self.lease_ms);
        for _ in 0..SWAP_TRIES_MAX {
            let version = match self.events.open(&mut self.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.events.close(closed_until);
                    self.events.heal(&mut self.table, slot, version, &mut self.counters)?;
                    continue;
                }
            };
            let capacity = self.size.entries();
            let Some(losses) = claim::settle_event(&mut self.events, settlement, capacity)? else {
                return Ok(());
            };
            match self.events.write(&mut self.table, slot, version)? {
                Swap::Done => {
                    self.counters.add(losses);
                    return Ok(());
                }
                Swap::Conflict => self.lost_a_swap(),
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
        let slot = self.size.fallback_slot(&fallback.fingerprint);
        let closed_until = settlement.now.plus_ms(self.lease_ms);
        for _ in 0..SWAP_TRIES_MAX {
            let version = match self.fallbacks.open(&mut self.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.fallbacks.close(closed_until);
                    self.fallbacks.heal(&mut self.table, slot, version, &mut self.counters)?;
                    continue;
                }
            };
            if !claim::settle_fallback(&mut self.fallbacks, settlement, fallback) {
                return Ok(());
            }
            match self.fallbacks.write(&mut self.table, slot, version)? {
                Swap::Done => return Ok(()),
                Swap::Conflict => self.lost_a_swap(),
            }
        }
        Err(StoreFault::Contended)
    }

    pub(super) fn lost_a_swap(&mut self) {
        self.counters.swap_retries = self.counters.swap_retries.saturating_add(1);
    }
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
