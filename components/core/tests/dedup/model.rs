//! Seeded random scripts against a reference that keeps everything in maps and knows no slots.

use std::collections::BTreeMap;

use countersign_core::dedup::{MemoryTable, TableSize, TableStore};
use countersign_core::event::EventId;
use countersign_core::rate::{Decision, Rate};
use countersign_core::store::{
    Claim, ClaimAnswer, ClaimKey, End, Fallback, Fingerprint, HandOn, InboxRow, Settlement, StoreFault,
};
use countersign_core::time::Timestamp;

use crate::claims::*;
use crate::script::*;

const SCRIPTS: u64 = 10_000;
const STEPS: u64 = 60;
/// Short enough that scripts run past it.
const SHORT_RETENTION_MS: u64 = 120_000;
const SHORT_WINDOW_MS: u64 = 60_000;

/// The contract, word for word, without bounds.
#[derive(Default)]
struct Model {
    pending: BTreeMap<Fingerprint, Timestamp>,
    committed: BTreeMap<Fingerprint, Fact>,
    duplicates: BTreeMap<Fingerprint, Fact>,
    identities: Vec<Identity>,
    quota: Option<u64>,
}

/// A payload, and until when it is remembered.
type Fact = ([u8; 32], Timestamp);

struct Identity {
    name: Fingerprint,
    owner: Fingerprint,
    event_id: EventId,
    ts_event: Timestamp,
    held: Held,
}

#[derive(Clone, Copy, PartialEq)]
enum Held {
    /// Until the end of the lease.
    Pending(Timestamp),
    /// Until it is forgotten.
    Accepted(Timestamp),
}

impl Model {
    fn claim(&mut self, claim: &Claim) -> ClaimAnswer {
        let (event, now) = (claim.key.fingerprint, claim.now);
        let seen = |payload: &[u8; 32]| ClaimAnswer::Seen {
            same_payload: *payload == claim.payload_hash,
            receipt_key: 7,
        };
        if let Some((payload, until)) = self.committed.get(&event)
            && now < *until
        {
            return seen(payload);
        }
        if let Some(lease_until) = self.pending.get(&event)
            && now < *lease_until
        {
            return in_flight(lease_until.since_ms(now));
        }
        if let Some((payload, until)) = self.duplicates.get(&event)
            && now < *until
        {
            let original = claim.fallback.and_then(|fallback| self.original(claim, fallback));
            let again = ClaimAnswer::DuplicateOf { event_id: original };
            return if *payload == claim.payload_hash { again } else { seen(payload) };
        }
        let duplicate_of = claim.fallback.and_then(|fallback| self.original(claim, fallback));
        if let (None, Some(fallback)) = (duplicate_of, claim.fallback)
            && let Some(lease_until) = self.under_way(claim, fallback)
        {
            return in_flight(lease_until.since_ms(now));
        }
        let mut quota_left = None;
        if let Some(rate) = claim.quota {
            match rate.decide(self.quota, now) {
                Decision::Limit { retry_after_ms, quota } => {
                    return ClaimAnswer::Limited { retry_after_ms, quota };
                }
                Decision::Admit { stored, quota } => (self.quota, quota_left) = (Some(stored), Some(quota)),
            }
        }
        if duplicate_of.is_some() {
            let until = now.max(claim.row.ts_event).plus_ms(claim.retention_ms);
            self.duplicates.insert(event, (claim.payload_hash, until));
            self.pending.remove(&event);
            self.committed.remove(&event);
            return ClaimAnswer::DuplicateOf { event_id: duplicate_of };
        }
        if let Some(fallback) = claim.fallback {
            self.identities.retain(|held| (held.name, held.owner) != (fallback.fingerprint, event));
            self.identities.push(Identity {
                name: fallback.fingerprint,
                owner: event,
                event_id: claim.row.event_id,
                ts_event: fallback.ts_event,
                held: Held::Pending(claim.key.lease_until),
            });
        }
        self.committed.remove(&event);
        self.duplicates.remove(&event);
        self.pending.insert(event, claim.key.lease_until);
        if claim.hand_on == HandOn::WithClaim {
            self.settle(&commit(claim, now.as_ms() - START_MS));
        }
        ClaimAnswer::Fresh { quota: quota_left }
    }

    fn near(&self, fallback: Fallback) -> impl Iterator<Item = &Identity> {
        self.identities.iter().filter(move |held| {
            held.name == fallback.fingerprint
                && held.ts_event.as_ms().abs_diff(fallback.ts_event.as_ms()) < fallback.window_ms
        })
    }

    /// Who was accepted first.
    fn original(&self, claim: &Claim, fallback: Fallback) -> Option<EventId> {
        let accepted = self.near(fallback).filter_map(|held| match held.held {
            Held::Accepted(until) => (claim.now < until).then_some((until, held.event_id)),
            Held::Pending(_) => None,
        });
        accepted.min_by_key(|(until, _)| *until).map(|(_, event_id)| event_id)
    }

    fn under_way(&self, claim: &Claim, fallback: Fallback) -> Option<Timestamp> {
        let others = self.near(fallback).filter(|held| held.owner != claim.key.fingerprint);
        let leases = others.filter_map(|held| match held.held {
            Held::Pending(lease_until) => (claim.now < lease_until).then_some(lease_until),
            Held::Accepted(_) => None,
        });
        leases.last()
    }

    fn settle(&mut self, settlement: &Settlement) {
        let ClaimKey { fingerprint: event, lease_until } = settlement.key;
        let name = settlement.fallback.map(|fallback| fallback.fingerprint);
        let until = settlement.now.max(settlement.ts_event).plus_ms(settlement.retention_ms);
        match settlement.end {
            End::Commit => {
                let is_committed =
                    self.committed.get(&event).is_some_and(|(_, until)| settlement.now < *until);
                if !is_committed {
                    self.committed.insert(event, (settlement.payload_hash, until));
                }
                self.pending.remove(&event);
                self.duplicates.remove(&event);
                let own = self.identities.iter().position(|held| {
                    held.owner == event && Some(held.name) == name && matches!(held.held, Held::Pending(_))
                });
                if let (Some(own), Some(fallback)) = (own, settlement.fallback) {
                    let held = Held::Accepted(until.plus_ms(fallback.window_ms));
                    let identity = Identity { held, ..self.identities.remove(own) };
                    self.identities.push(identity);
                }
            }
            End::Release => {
                if self.pending.get(&event) == Some(&lease_until) {
                    self.pending.remove(&event);
                }
                self.identities.retain(|held| {
                    held.owner != event || Some(held.name) != name || held.held != Held::Pending(lease_until)
                });
            }
        }
    }
}

/// Twelve events in two slots; every third has no click, the others share three.
fn random_claim(seed: &mut Seed, ms: u64, rate: Option<Rate>) -> Claim {
    let event = seed.below(2) + 64 * seed.below(6);
    let payload = u8::from(seed.below(5) == 0);
    // Events of one click, less and more than a window apart.
    let ts_event = at(event / 64 * SHORT_WINDOW_MS / 2);
    let fallback = (!event.is_multiple_of(3)).then(|| Fallback {
        fingerprint: fingerprint(900 + 64 * (event % 3)),
        ts_event,
        window_ms: SHORT_WINDOW_MS,
    });
    let hand_on = match seed.below(8) {
        0 => HandOn::WithClaim,
        _ => HandOn::AfterClaim { lease_ms: LEASE_MS },
    };
    let claim = claim(event, payload, ms);
    let row = InboxRow { ts_event, ..claim.row.clone() };
    Claim { fallback, hand_on, quota: rate, retention_ms: SHORT_RETENTION_MS, row, ..claim }
}

/// Steps that land on, just before and just after every end.
fn random_step(seed: &mut Seed) -> u64 {
    let span =
        [0, 1, 1000, LEASE_MS, SHORT_WINDOW_MS, SHORT_RETENTION_MS][usize::try_from(seed.below(6)).unwrap()];
    match seed.below(4) {
        0 => span,
        1 => span.saturating_sub(1),
        2 => span + 1,
        _ => seed.below(5000),
    }
}

#[test]
fn ten_thousand_scripts_agree_with_the_model() {
    for script in 0..SCRIPTS {
        let mut seed = Seed(script);
        let mut model = Model::default();
        let mut store = store(32);
        let rate = (script % 2 == 0).then(|| Rate::per(1, 10_000, 5).unwrap());
        let mut ms = 10_000_000;
        let mut fresh: Vec<Claim> = Vec::new();
        for step in 0..STEPS {
            // Now and then the clock is set back, by less than it would take to disbelieve a lease.
            ms = if seed.below(20) == 0 { ms - seed.below(20_000) } else { ms + random_step(&mut seed) };
            if seed.below(10) < 6 || fresh.is_empty() {
                let claim = random_claim(&mut seed, ms, rate);
                let expected = model.claim(&claim);
                assert_eq!(
                    store.claim(&claim),
                    Ok(expected.clone()),
                    "script {script}, step {step}: {claim:?}"
                );
                if matches!(expected, ClaimAnswer::Fresh { .. }) {
                    fresh.push(claim);
                }
            } else {
                // Any claim that ever was fresh may be settled, late and again.
                let chosen =
                    &fresh[usize::try_from(seed.below(u64::try_from(fresh.len()).unwrap())).unwrap()];
                let end = if seed.below(3) == 0 { End::Release } else { End::Commit };
                let settlement = settlement(chosen, end, ms);
                model.settle(&settlement);
                assert_eq!(store.settle(&settlement), Ok(()), "script {script}, step {step}: {settlement:?}");
            }
        }
        let counters = store.take_counters();
        assert_eq!((counters.evictions, counters.swap_retries, counters.heals), (0, 0, 0), "script {script}");
    }
}

/// With rings that are far too small, events are forgotten, and nothing else may differ.
#[test]
fn a_crowded_table_forgets_only_what_it_counts_and_never_a_live_claim() {
    let (mut forgotten, mut contended) = (0, 0);
    for script in 0..SCRIPTS {
        let mut seed = Seed(script);
        let mut model = Model::default();
        let mut store =
            TableStore::new(MemoryTable::default(), SCOPE, TableSize { slots: 64, entries_per_slot: 2 });
        let mut evictions = 0;
        let mut ms = 0;
        let mut fresh: Vec<Claim> = Vec::new();
        for step in 0..STEPS {
            ms += seed.below(3000);
            if seed.below(2) == 0 || fresh.is_empty() {
                let claim = Claim {
                    fallback: None,
                    hand_on: HandOn::AfterClaim { lease_ms: LEASE_MS },
                    ..random_claim(&mut seed, ms, None)
                };
                let answer = store.claim(&claim);
                evictions += store.take_counters().evictions;
                let slot = claim.key.fingerprint[3];
                let rivals =
                    model.pending.iter().filter(|(name, until)| name[3] == slot && claim.now < **until);
                if answer == Err(StoreFault::Contended) {
                    assert_eq!(
                        rivals.count(),
                        2,
                        "script {script}, step {step}: only live claims may block a ring"
                    );
                    contended += 1;
                    continue;
                }
                let expected = model.claim(&claim);
                if matches!(expected, ClaimAnswer::Seen { .. }) && answer == Ok(FRESH) {
                    assert!(evictions > 0, "script {script}, step {step}: forgotten without being counted");
                    model.committed.remove(&claim.key.fingerprint);
                    assert_eq!(model.claim(&claim), FRESH);
                    forgotten += 1;
                } else {
                    assert_eq!(answer, Ok(expected), "script {script}, step {step}");
                }
                if answer == Ok(FRESH) {
                    fresh.push(claim);
                }
            } else {
                let chosen = fresh
                    .swap_remove(usize::try_from(seed.below(u64::try_from(fresh.len()).unwrap())).unwrap());
                let end = if seed.below(3) == 0 { End::Release } else { End::Commit };
                let settlement = settlement(&chosen, end, ms);
                match store.settle(&settlement) {
                    Ok(()) => model.settle(&settlement),
                    Err(fault) => assert_eq!(fault, StoreFault::Contended, "script {script}, step {step}"),
                }
                evictions += store.take_counters().evictions;
            }
        }
    }
    assert!(forgotten > 1000 && contended > 1000, "the table was not crowded: {forgotten}, {contended}");
}
