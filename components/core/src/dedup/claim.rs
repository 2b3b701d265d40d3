//! What a claim and its settlement do to the record of a slot: decisions only, nothing is read or written here.

use super::Counters;
use super::entry::{EventEntry, FallbackEntry, Held, Hold, State};
use super::record::Record;
use crate::canonical::PayloadHash;
use crate::store::{Claim, ClaimAnswer, End, Fallback, Fingerprint, Settlement, StoreFault};
use crate::time::Timestamp;

/// What a claim found in a slot.
pub(super) enum Verdict {
    /// Its entry is in the record now, at the cost of these.
    Placed(Counters),
    /// There is nothing to claim, and the record is as it was.
    Answer(ClaimAnswer),
}

/// Places the event of a claim, unless it is there.
pub(super) fn claim_event(
    record: &mut Record<EventEntry>,
    claim: &Claim,
    hold: Hold,
    capacity: usize,
) -> Result<Verdict, StoreFault> {
    let name = claim.key.fingerprint;
    let payload_check = payload_check(&claim.payload_hash);
    let mut losses = Counters::default();
    if let Some((index, entry)) = record.find(&name) {
        if entry.hold.is_live(claim.now) {
            return Ok(Verdict::Answer(match entry.hold.state {
                State::Committed => ClaimAnswer::Seen {
                    same_payload: entry.payload_check == payload_check,
                    receipt_key: claim.receipt_key,
                },
                State::Pending => in_flight(entry.hold, claim.now),
            }));
        }
        losses.count(entry.hold, claim.now);
        record.remove(index);
    }
    losses.add(make_room(record, claim.now, capacity)?);
    record.push(&EventEntry { name, payload_check, hold });
    Ok(Verdict::Placed(losses))
}

/// Places the fallback identity of a claim, unless another event holds it.
pub(super) fn claim_fallback(
    record: &mut Record<FallbackEntry>,
    claim: &Claim,
    fallback: Fallback,
    hold: Hold,
    capacity: usize,
) -> Result<Verdict, StoreFault> {
    let owner = claim.key.fingerprint;
    if let Some((index, entry)) = record.find(&fallback.fingerprint) {
        // The claim holds its event alone. So what is still pending here in that event's name is the rest of a claim that
        // was released halfway: nobody is under way with it.
        let is_rest = entry.owner == owner && entry.hold.state == State::Pending;
        if entry.hold.is_live(claim.now) && !is_rest {
            return Ok(Verdict::Answer(match entry.hold.state {
                State::Committed => ClaimAnswer::DuplicateOf { event_id: Some(entry.event_id) },
                State::Pending => in_flight(entry.hold, claim.now),
            }));
        }
        record.remove(index);
    }
    // The lease that an event and its fallback share is counted with the event.
    let Counters { evictions, .. } = make_room(record, claim.now, capacity)?;
    record.push(&FallbackEntry {
        name: fallback.fingerprint,
        owner,
        hold,
        window_until: claim.now.plus_ms(fallback.window_ms),
        event_id: claim.row.event_id,
    });
    Ok(Verdict::Placed(Counters { evictions, ..Counters::default() }))
}

/// Ends an event's claim. `None`: there is nothing to write.
pub(super) fn settle_event(
    record: &mut Record<EventEntry>,
    settlement: &Settlement,
    capacity: usize,
) -> Result<Option<Counters>, StoreFault> {
    let name = settlement.key.fingerprint;
    let found = record.find(&name);
    match settlement.end {
        End::Release => Ok(found.filter(|(_, entry)| is_claim(entry.hold, settlement)).map(|(index, _)| {
            record.remove(index);
            Counters::default()
        })),
        End::Commit => {
            if let Some((index, entry)) = found {
                // The first commit stands: neither its payload nor its end is for a later one to change.
                if entry.hold.state == State::Committed && entry.hold.is_live(settlement.now) {
                    return Ok(None);
                }
                record.remove(index);
            }
            let losses = make_room(record, settlement.now, capacity)?;
            record.push(&EventEntry {
                name,
                payload_check: payload_check(&settlement.payload_hash),
                hold: Hold::committed(settlement.now.plus_ms(settlement.retention_ms)),
            });
            Ok(Some(losses))
        }
    }
}

/// Ends the claim of a fallback identity. `false`: there is nothing to write.
pub(super) fn settle_fallback(
    record: &mut Record<FallbackEntry>,
    settlement: &Settlement,
    fallback: Fallback,
) -> bool {
    let Some((index, mut entry)) = record.find(&fallback.fingerprint) else { return false };
    if !is_own(entry.owner, entry.hold, settlement.key.fingerprint) {
        return false;
    }
    match settlement.end {
        End::Release if entry.hold.until != settlement.key.lease_until => false,
        End::Release => {
            record.remove(index);
            true
        }
        End::Commit => {
            record.remove(index);
            entry.hold = Hold::committed(entry.window_until);
            record.push(&entry);
            true
        }
    }
}

/// Whether an entry is the very claim that a settlement names.
fn is_claim(hold: Hold, settlement: &Settlement) -> bool {
    hold == Hold::pending(settlement.key.lease_until)
}

fn is_own(owner: Fingerprint, hold: Hold, event: Fingerprint) -> bool {
    owner == event && hold.state == State::Pending
}

/// Takes entries out until one more fits: first what is over, committed before pending (a late commit may still come for
/// that), then the oldest committed. A live claim is never taken out: its event could be handed on beside it.
fn make_room<E: Held>(
    record: &mut Record<E>,
    now: Timestamp,
    capacity: usize,
) -> Result<Counters, StoreFault> {
    let mut losses = Counters::default();
    while record.len() >= capacity {
        let victim = record
            .entries()
            .filter_map(|(index, entry)| Some((order_of_eviction(entry.hold(), now)?, index, entry.hold())))
            .min_by_key(|(order, index, _)| (*order, *index));
        let Some((_, index, hold)) = victim else { return Err(StoreFault::Contended) };
        losses.count(hold, now);
        record.remove(index);
    }
    Ok(losses)
}

/// The smallest goes first; `None` stays.
fn order_of_eviction(hold: Hold, now: Timestamp) -> Option<(u8, Timestamp)> {
    let rank = match (hold.is_live(now), hold.state) {
        (false, State::Committed) => 0,
        (false, State::Pending) => 1,
        (true, State::Committed) => 2,
        (true, State::Pending) => return None,
    };
    Some((rank, hold.until))
}

impl Counters {
    /// Counts an entry that is taken out.
    fn count(&mut self, hold: Hold, now: Timestamp) {
        let counter = match (hold.is_live(now), hold.state) {
            (true, _) => &mut self.evictions,
            (false, State::Pending) => &mut self.lease_expiries,
            (false, State::Committed) => return,
        };
        *counter = counter.saturating_add(1);
    }
}

fn in_flight(hold: Hold, now: Timestamp) -> ClaimAnswer {
    ClaimAnswer::InFlight { retry_after_ms: hold.until.since_ms(now) }
}

fn payload_check(hash: &PayloadHash) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    [a, b, c, d, e, f, g, h]
}
