//! What a claim and its settlement do to the record of a slot: decisions only, nothing is read or written here.

use super::Counters;
use super::entry::{EventEntry, FallbackEntry, Held, Hold, State};
use super::record::Record;
use crate::canonical::PayloadHash;
use crate::event::EventId;
use crate::store::{Claim, ClaimAnswer, End, Fallback, Fingerprint, Settlement, StoreFault};
use crate::time::Timestamp;

/// What is known of an event.
pub(super) enum Known {
    /// Nothing that still counts.
    Nothing,
    /// The answer to it.
    Answer(ClaimAnswer),
    /// It is a fallback duplicate, with this payload.
    Duplicate,
}

/// Looks an event up.
pub(super) fn known_event(record: &Record<EventEntry>, claim: &Claim) -> Known {
    let Some((_, entry)) = record.find(&claim.key.fingerprint) else { return Known::Nothing };
    if !entry.hold.is_live(claim.now) {
        return Known::Nothing;
    }
    let same_payload = entry.payload_check == payload_check(&claim.payload_hash);
    match entry.hold.state {
        State::Pending => Known::Answer(in_flight(entry.hold, claim.now)),
        State::Duplicate if same_payload => Known::Duplicate,
        State::Committed | State::Duplicate => {
            Known::Answer(ClaimAnswer::Seen { same_payload, receipt_key: entry.hold.receipt_key })
        }
    }
}

/// Places an event in the record, in place of what is over of it.
pub(super) fn place_event(
    record: &mut Record<EventEntry>,
    claim: &Claim,
    hold: Hold,
    capacity: usize,
) -> Result<Counters, StoreFault> {
    let name = claim.key.fingerprint;
    let mut losses = Counters::default();
    if let Some((index, entry)) = record.find(&name) {
        losses.count(entry.hold, claim.now);
        record.remove(index);
    }
    losses.add(make_room(record, claim.now, claim.retention_ms, capacity)?);
    record.push(&EventEntry { name, payload_check: payload_check(&claim.payload_hash), hold });
    Ok(losses)
}

/// Who holds a fallback identity near enough to an event.
pub(super) enum Holder {
    /// Nobody.
    Nobody,
    /// This event, which was accepted first of all that do.
    Accepted(EventId),
    /// An event that is under way: the answer to the claim.
    UnderWay(ClaimAnswer),
}

/// Looks up who holds a fallback identity. A pending entry of `owner` is not a holder: the claim holds its event alone, so that is
/// the rest of a claim that was released halfway, and nobody is under way with it.
pub(super) fn holder(
    record: &Record<FallbackEntry>,
    fallback: &Fallback,
    owner: &Fingerprint,
    now: Timestamp,
) -> Holder {
    let (mut accepted, mut under_way): (Option<FallbackEntry>, Option<Hold>) = (None, None);
    for (_, entry) in record.entries().filter(|(_, entry)| is_near(entry, fallback, now)) {
        match entry.hold.state {
            // Each is remembered equally long, so who is forgotten first was accepted first.
            State::Committed if accepted.is_none_or(|first| entry.hold.until < first.hold.until) => {
                accepted = Some(entry);
            }
            State::Pending if entry.owner != *owner => under_way = Some(entry.hold),
            State::Committed | State::Duplicate | State::Pending => {}
        }
    }
    match (accepted, under_way) {
        (Some(entry), _) => Holder::Accepted(entry.event_id),
        (None, Some(hold)) => Holder::UnderWay(in_flight(hold, now)),
        (None, None) => Holder::Nobody,
    }
}

/// Whether an entry counts, has the name, and happened less than a window away.
fn is_near(entry: &FallbackEntry, fallback: &Fallback, now: Timestamp) -> bool {
    let apart = entry.ts_event.since_ms(fallback.ts_event).max(fallback.ts_event.since_ms(entry.ts_event));
    entry.name == fallback.fingerprint && entry.hold.is_live(now) && apart < fallback.window_ms
}

/// Places the fallback identity of a claim, in place of what the same event left there.
pub(super) fn place_fallback(
    record: &mut Record<FallbackEntry>,
    claim: &Claim,
    fallback: Fallback,
    hold: Hold,
    capacity: usize,
) -> Result<Counters, StoreFault> {
    let owner = claim.key.fingerprint;
    if let Some((index, _)) = own(record, &fallback, owner) {
        record.remove(index);
    }
    // The lease that an event and its fallback share is counted with the event.
    let Counters { evictions, .. } = make_room(record, claim.now, claim.retention_ms, capacity)?;
    record.push(&FallbackEntry {
        name: fallback.fingerprint,
        owner,
        hold,
        ts_event: fallback.ts_event,
        event_id: claim.row.event_id,
    });
    Ok(Counters { evictions, ..Counters::default() })
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
            let losses = make_room(record, settlement.now, settlement.retention_ms, capacity)?;
            record.push(&EventEntry {
                name,
                payload_check: payload_check(&settlement.payload_hash),
                hold: committed(settlement, 0),
            });
            Ok(Some(losses))
        }
    }
}

/// Turns the very claim that a settlement names into a recorded duplicate. `None`: it is gone.
pub(super) fn turn(
    record: &mut Record<EventEntry>,
    settlement: &Settlement,
    duplicate: Hold,
) -> Option<Counters> {
    let (index, entry) = record.find(&settlement.key.fingerprint)?;
    if !is_claim(entry.hold, settlement) {
        return None;
    }
    record.remove(index);
    record.push(&EventEntry { hold: duplicate, ..entry });
    Some(Counters::default())
}

/// Ends the claim of a fallback identity. `false`: there is nothing to write.
pub(super) fn settle_fallback(
    record: &mut Record<FallbackEntry>,
    settlement: &Settlement,
    fallback: Fallback,
) -> bool {
    let Some((index, mut entry)) = own(record, &fallback, settlement.key.fingerprint) else { return false };
    match (entry.hold.state, settlement.end) {
        (State::Committed | State::Duplicate, _) => false,
        (State::Pending, End::Release) if entry.hold.until != settlement.key.lease_until => false,
        (State::Pending, End::Release) => {
            record.remove(index);
            true
        }
        (State::Pending, End::Commit) => {
            record.remove(index);
            entry.hold = committed(settlement, fallback.window_ms);
            record.push(&entry);
            true
        }
    }
}

/// Until when an event is remembered that is accepted, or recorded, at `now`: by its age nobody takes it for a new one after that.
pub(super) fn remembered_until(now: Timestamp, ts_event: Timestamp, retention_ms: u64) -> Timestamp {
    now.max(ts_event).plus_ms(retention_ms)
}

fn committed(settlement: &Settlement, longer_ms: u64) -> Hold {
    let until = remembered_until(settlement.now, settlement.ts_event, settlement.retention_ms);
    Hold { state: State::Committed, until: until.plus_ms(longer_ms), receipt_key: settlement.receipt_key }
}

/// Whether an entry is the very claim that a settlement names.
fn is_claim(hold: Hold, settlement: &Settlement) -> bool {
    hold.state == State::Pending && hold.until == settlement.key.lease_until
}

/// The entry of an identity that an event has claimed.
fn own(
    record: &Record<FallbackEntry>,
    fallback: &Fallback,
    owner: Fingerprint,
) -> Option<(usize, FallbackEntry)> {
    record.entries().find(|(_, entry)| entry.name == fallback.fingerprint && entry.owner == owner)
}

/// Takes entries out until one more fits: first what is over, committed before pending (a late commit may still come for
/// that), then the oldest committed. A live claim is never taken out: its event could be handed on beside it.
pub(super) fn make_room<E: Held>(
    record: &mut Record<E>,
    now: Timestamp,
    retention_ms: u64,
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
        if hold.is_live(now) {
            // It was remembered from its `ts_event` or later: see `remembered_until`.
            let since = hold.until.as_ms().saturating_sub(retention_ms);
            record.forget(Timestamp::from_ms(since.saturating_add(1)));
        }
    }
    Ok(losses)
}

/// The smallest goes first; `None` stays.
fn order_of_eviction(hold: Hold, now: Timestamp) -> Option<(u8, Timestamp)> {
    let rank = match (hold.is_live(now), hold.state) {
        (false, State::Committed | State::Duplicate) => 0,
        (false, State::Pending) => 1,
        (true, State::Committed | State::Duplicate) => 2,
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
            (false, State::Committed | State::Duplicate) => return,
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
