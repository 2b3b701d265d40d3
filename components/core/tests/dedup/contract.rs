//! One test per clause of the contract (`store.rs`), named by the fact that stops the attack.

use countersign_core::dedup::{LEASE_MS_MAX, MemoryTable, TableSize, TableStore};
use countersign_core::store::{Claim, ClaimAnswer, Freshness, HandOn};
use countersign_core::time::Timestamp;

use crate::claims::*;
use crate::script::*;

#[test]
fn an_absent_event_is_fresh() {
    assert_eq!(store(8).claim(&claim(1, 1, 0)), Ok(FRESH));
}

#[test]
fn a_pending_event_is_in_flight_until_exactly_the_end_of_its_lease() {
    let mut store = store(8);
    store.claim(&claim(1, 1, 0)).unwrap();
    assert_eq!(
        store.claim(&claim(1, 1, 0)),
        Ok(in_flight(LEASE_MS)),
        "two racing retries are not both handed on"
    );
    assert_eq!(
        store.claim(&claim(1, 2, 0)),
        Ok(in_flight(LEASE_MS)),
        "nor is another payload beside the first"
    );
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS - 1)), Ok(in_flight(1)));
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS)), Ok(FRESH), "an unknown outcome swallows no retry");
    assert_eq!(
        store.claim(&claim(1, 1, LEASE_MS)),
        Ok(in_flight(LEASE_MS)),
        "and the retry holds its own lease"
    );
    assert_eq!(store.take_counters().lease_expiries, 1);
}

#[test]
fn a_committed_event_is_seen_until_exactly_the_end_of_its_retention() {
    let mut store = store(8);
    let first = claim(1, 1, 0);
    store.claim(&first).unwrap();
    store.settle(&commit(&first, 100)).unwrap();
    assert_eq!(store.claim(&claim(1, 1, 101)), Ok(SEEN), "a replay is not counted twice");
    assert_eq!(store.claim(&claim(1, 2, 101)), Ok(REUSED), "and says where it is another event");
    assert_eq!(
        store.claim(&claim(1, 1, LEASE_MS + 1)),
        Ok(SEEN),
        "the end of the lease means nothing any more"
    );
    assert_eq!(store.claim(&claim(1, 1, RETENTION_MS + 99)), Ok(SEEN));
    assert_eq!(store.claim(&claim(1, 1, RETENTION_MS + 100)), Ok(FRESH));
    assert_eq!(store.take_counters().evictions, 0);
}

#[test]
fn payloads_differ_if_only_their_last_checked_bit_does() {
    let mut store = store(8);
    let first = claim(1, 0, 0);
    store.claim(&first).unwrap();
    store.settle(&commit(&first, 0)).unwrap();
    for bit in 0..64 {
        let mut other = claim(1, 0, 1);
        other.payload_hash[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(store.claim(&other), Ok(REUSED), "bit {bit}");
    }
}

#[test]
fn a_release_opens_the_event_at_once() {
    let mut store = store(8);
    let first = claim(1, 1, 0);
    store.claim(&first).unwrap();
    store.settle(&release(&first, 10)).unwrap();
    assert_eq!(
        store.claim(&claim(1, 2, 10)),
        Ok(FRESH),
        "even with another payload: the first was handed to nobody"
    );
}

#[test]
fn a_late_release_takes_away_no_later_claim() {
    let mut store = store(8);
    let first = claim(1, 1, 0);
    store.claim(&first).unwrap();
    let second = claim(1, 1, LEASE_MS);
    assert_eq!(store.claim(&second), Ok(FRESH));
    store.settle(&release(&first, LEASE_MS + 1)).unwrap();
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS + 1)), Ok(in_flight(LEASE_MS - 1)));
    store.settle(&release(&second, LEASE_MS + 2)).unwrap();
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS + 2)), Ok(FRESH));
}

#[test]
fn a_release_takes_away_no_committed_event() {
    let mut store = store(8);
    let first = claim_of_click(1, 900, 0);
    store.claim(&first).unwrap();
    store.settle(&commit(&first, 1)).unwrap();
    store.settle(&release(&first, 2)).unwrap();
    assert_eq!(store.claim(&claim(1, 1, 3)), Ok(SEEN));
    assert_eq!(store.claim(&claim_of_click(2, 900, 3)), Ok(duplicate_of(1)));
}

#[test]
fn a_release_or_commit_of_one_event_leaves_its_neighbours_alone() {
    let mut store = store(8);
    let claims = [claim(1, 1, 0), claim(65, 1, 0), claim(129, 1, 0)];
    for claim in &claims {
        assert_eq!(store.claim(claim), Ok(FRESH));
    }
    store.settle(&release(&claims[1], 1)).unwrap();
    store.settle(&commit(&claims[2], 1)).unwrap();
    let answers = [1, 65, 129].map(|event| store.claim(&claim(event, 1, 2)).unwrap());
    assert_eq!(answers, [in_flight(LEASE_MS - 2), FRESH, SEEN]);
}

#[test]
fn a_commit_after_the_lease_marks_the_event_whatever_became_of_its_entry() {
    // The entry is still there.
    let mut table = store(8);
    let first = claim(1, 1, 0);
    table.claim(&first).unwrap();
    table.settle(&commit(&first, LEASE_MS + 5)).unwrap();
    assert_eq!(table.claim(&claim(1, 1, LEASE_MS + 6)), Ok(SEEN));

    // Another event has taken its place.
    let mut table = store(1);
    table.claim(&first).unwrap();
    let neighbour = claim(65, 1, LEASE_MS);
    assert_eq!(table.claim(&neighbour), Ok(FRESH));
    table.settle(&release(&neighbour, LEASE_MS)).unwrap();
    table.settle(&commit(&first, LEASE_MS + 5)).unwrap();
    assert_eq!(table.claim(&claim(1, 1, LEASE_MS + 6)), Ok(SEEN));

    // A second attempt with another payload is under way: the first is the fact, and says so.
    let mut table = store(8);
    table.claim(&first).unwrap();
    let second = claim(1, 2, LEASE_MS);
    assert_eq!(table.claim(&second), Ok(FRESH));
    table.settle(&commit(&first, LEASE_MS + 5)).unwrap();
    table.settle(&release(&second, LEASE_MS + 6)).unwrap();
    assert_eq!(table.claim(&claim(1, 1, LEASE_MS + 7)), Ok(SEEN));
    assert_eq!(table.claim(&claim(1, 2, LEASE_MS + 7)), Ok(REUSED));
}

#[test]
fn a_second_commit_changes_neither_the_payload_nor_the_retention() {
    let mut store = store(8);
    let first = claim(1, 1, 0);
    store.claim(&first).unwrap();
    store.settle(&commit(&first, 0)).unwrap();
    store.settle(&commit(&claim(1, 2, 0), RETENTION_MS - 1)).unwrap();
    assert_eq!(store.claim(&claim(1, 1, RETENTION_MS - 1)), Ok(SEEN));
    assert_eq!(store.claim(&claim(1, 1, RETENTION_MS)), Ok(FRESH));
}

#[test]
fn an_event_that_is_seen_is_not_its_own_duplicate() {
    let mut store = store(8);
    let first = claim_of_click(1, 900, 0);
    store.claim(&first).unwrap();
    assert_eq!(store.claim(&claim_of_click(1, 900, 1)), Ok(in_flight(LEASE_MS - 1)));
    store.settle(&commit(&first, 2)).unwrap();
    assert_eq!(store.claim(&claim_of_click(1, 900, 3)), Ok(SEEN));
}

#[test]
fn a_release_gives_back_the_fallback_identity_too() {
    let mut store = store(8);
    let first = claim_of_click(1, 900, 0);
    store.claim(&first).unwrap();
    store.settle(&release(&first, 1)).unwrap();
    let second = claim_of_click(2, 900, 1);
    assert_eq!(store.claim(&second), Ok(FRESH));
    // Same lease to the millisecond, and still not the first claim's to release.
    let late = Claim {
        key: countersign_core::store::ClaimKey { lease_until: second.key.lease_until, ..first.key },
        ..first
    };
    store.settle(&release(&late, 2)).unwrap();
    assert_eq!(store.claim(&claim_of_click(3, 900, 2)), Ok(in_flight(LEASE_MS - 1)));
}

#[test]
fn a_claim_that_is_its_own_hand_on_leaves_nothing_to_settle() {
    let mut store = store(8);
    let plain = Claim { hand_on: HandOn::WithClaim, ..claim(1, 1, 0) };
    assert_eq!(store.claim(&plain), Ok(FRESH));
    assert_eq!(store.claim(&plain), Ok(SEEN));
    let of_click = Claim { hand_on: HandOn::WithClaim, ..claim_of_click(2, 900, 0) };
    assert_eq!(store.claim(&of_click), Ok(FRESH));
    assert_eq!(store.claim(&of_click), Ok(SEEN));
    assert_eq!(store.claim(&happened(3, 900, WINDOW_MS - 1, 0)), Ok(duplicate_of(2)));
    assert_eq!(store.claim(&claim(2, 1, RETENTION_MS - 1)), Ok(SEEN));
    assert_eq!(store.claim(&claim(2, 1, RETENTION_MS)), Ok(FRESH));
}

#[test]
fn a_clock_that_goes_back_shortens_no_lease_and_no_retention() {
    let mut store = store(8);
    let (pending, committed) = (claim(1, 1, LEASE_MS_MAX), claim(2, 1, LEASE_MS_MAX));
    store.claim(&pending).unwrap();
    store.claim(&committed).unwrap();
    store.settle(&commit(&committed, LEASE_MS_MAX)).unwrap();
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS_MAX - 1000)), Ok(in_flight(LEASE_MS + 1000)));
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS)), Ok(in_flight(LEASE_MS_MAX)));
    assert_eq!(store.claim(&claim(2, 1, 0)), Ok(SEEN));
    // Further back than any lease is long, the claim is that of a clock that was wrong.
    let retry = claim(1, 1, LEASE_MS - 1);
    assert_eq!(store.claim(&retry), Ok(FRESH));
    store.settle(&release(&pending, LEASE_MS)).unwrap();
    assert_eq!(
        store.claim(&claim(1, 1, LEASE_MS)),
        Ok(in_flight(LEASE_MS - 1)),
        "the fence holds, earlier end or not"
    );
}

#[test]
fn a_lease_longer_than_the_longest_is_cut() {
    let mut store = store(8);
    let mut greedy = claim(1, 1, 0);
    greedy.key.lease_until = at(10 * LEASE_MS_MAX);
    assert_eq!(store.claim(&greedy), Ok(FRESH));
    assert_eq!(store.claim(&claim(1, 1, 0)), Ok(in_flight(LEASE_MS_MAX)));
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS_MAX)), Ok(FRESH));
}

#[test]
fn a_live_event_at_the_end_of_time_stays() {
    let mut store = store(8);
    let last = Claim { retention_ms: u64::MAX, ..claim(1, 1, 0) };
    store.claim(&last).unwrap();
    store.settle(&commit(&last, 0)).unwrap();
    let answer = store.claim(&claim(1, 1, 100 * 365 * 86_400_000)).unwrap();
    assert!(matches!(answer, ClaimAnswer::Seen { same_payload: true, .. }));
}

#[test]
fn a_window_lies_between_the_times_of_the_events_and_not_of_their_arrival() {
    let mut store = store(8);
    let accept = |store: &mut TableStore<_>, claim: &Claim, ms| {
        assert_eq!(store.claim(claim), Ok(FRESH));
        store.settle(&commit(claim, ms)).unwrap();
    };
    // A backlog: 90 minutes apart, two milliseconds one after the other.
    accept(&mut store, &happened(1, 900, WINDOW_MS, 2 * WINDOW_MS), 2 * WINDOW_MS);
    accept(&mut store, &happened(2, 900, 2 * WINDOW_MS, 2 * WINDOW_MS + 2), 2 * WINDOW_MS + 2);
    let now = 3 * WINDOW_MS;
    assert_eq!(store.claim(&happened(3, 900, 1, now)), Ok(duplicate_of(1)), "before the original");
    assert_eq!(
        store.claim(&happened(4, 900, 2 * WINDOW_MS - 1, now)),
        Ok(duplicate_of(1)),
        "of two, the first accepted"
    );
    assert_eq!(store.claim(&happened(5, 900, 3 * WINDOW_MS - 1, now)), Ok(duplicate_of(2)));
    accept(&mut store, &happened(6, 900, 3 * WINDOW_MS, now), now);
    accept(&mut store, &happened(7, 900, 0, now), now);
    // Long after the window the identity is still known.
    let late = RETENTION_MS + 2 * WINDOW_MS;
    assert_eq!(store.claim(&happened(8, 900, 2 * WINDOW_MS - 1, late)), Ok(duplicate_of(1)));
}

#[test]
fn an_identity_is_remembered_for_retention_and_window() {
    let mut store = store(8);
    let first = happened(1, 900, 0, 0);
    store.claim(&first).unwrap();
    store.settle(&commit(&first, 5)).unwrap();
    let end = RETENTION_MS + WINDOW_MS + 5;
    assert_eq!(store.claim(&happened(2, 900, 1, end - 1)), Ok(duplicate_of(1)));
    assert_eq!(store.claim(&happened(3, 900, 1, end)), Ok(FRESH));
}

#[test]
fn a_duplicate_is_recorded_and_its_verdict_never_changes() {
    let mut store = store(8);
    let first = happened(1, 900, 0, 0);
    store.claim(&first).unwrap();
    assert_eq!(store.claim(&happened(2, 900, 1, 0)), Ok(in_flight(LEASE_MS)), "the original is under way");
    store.settle(&commit(&first, 0)).unwrap();
    let duplicate = happened(2, 900, 1, 10);
    assert_eq!(store.claim(&duplicate), Ok(duplicate_of(1)));
    assert_eq!(store.claim(&duplicate), Ok(duplicate_of(1)));
    let forged = Claim { payload_hash: [9; 32], ..duplicate.clone() };
    assert_eq!(store.claim(&forged), Ok(REUSED), "an id that is used again for another payload");
    // The original's record is gone, or the event type has no window any longer.
    assert_eq!(
        store.claim(&Claim { fallback: None, ..duplicate.clone() }),
        Ok(ClaimAnswer::DuplicateOf { event_id: None })
    );
    assert_eq!(store.claim(&happened(2, 901, 1, 20)), Ok(ClaimAnswer::DuplicateOf { event_id: None }));
    assert_eq!(store.claim(&happened(2, 900, 1, RETENTION_MS + 9)), Ok(duplicate_of(1)));
    assert_eq!(store.take_counters().fallback_duplicates, 1);
    // A duplicate holds no identity: what is a window from the original is another event.
    assert_eq!(store.claim(&happened(3, 900, WINDOW_MS, 20)), Ok(FRESH));
}

#[test]
fn a_late_commit_takes_its_identity_beside_a_later_owner_and_wins_over_a_record() {
    let mut store = store(8);
    let (first, second) = (happened(1, 900, 0, 0), happened(2, 900, 1, LEASE_MS));
    store.claim(&first).unwrap();
    assert_eq!(store.claim(&second), Ok(FRESH));
    store.settle(&commit(&second, LEASE_MS + 1)).unwrap();
    assert_eq!(
        store.claim(&happened(1, 900, 0, LEASE_MS + 2)),
        Ok(duplicate_of(2)),
        "the retry is a duplicate"
    );
    store.settle(&commit(&first, LEASE_MS + 3)).unwrap();
    assert_eq!(store.claim(&happened(1, 900, 0, LEASE_MS + 4)), Ok(SEEN), "and yet it was handed on");
    assert_eq!(store.claim(&happened(3, 900, 0, LEASE_MS + 4)), Ok(duplicate_of(2)));
}

#[test]
fn the_receipt_key_of_the_first_claim_is_told_to_every_repeat() {
    let mut store = store(8);
    let first = Claim { receipt_key: 200, ..claim(1, 1, 0) };
    store.claim(&first).unwrap();
    store.settle(&commit(&first, 0)).unwrap();
    let at_once = Claim { receipt_key: 201, ..at_once(claim(2, 1, 0)) };
    store.claim(&at_once).unwrap();
    for (event, receipt_key) in [(1, 200), (2, 201)] {
        let repeat = Claim { receipt_key: 9, ..claim(event, 1, 1) };
        assert_eq!(store.claim(&repeat), Ok(ClaimAnswer::Seen { same_payload: true, receipt_key }));
    }
}

/// A claim whose age is asked.
fn aged(event: u64, ts_ms: u64, ms: u64) -> Claim {
    let claim = happened(event, 900, ts_ms, ms);
    let ts_event_min = Timestamp::from_ms(START_MS + ms + 1 - RETENTION_MS);
    let freshness = Freshness { ts_event_min, own_memory: true };
    Claim { fallback: None, freshness, ..claim }
}

#[test]
fn an_unknown_event_from_before_the_memory_is_too_old_and_a_known_one_is_known() {
    let mut store = store(8);
    let too_old = |ms| Ok(ClaimAnswer::TooOld { ts_event_min: at(ms) });
    let first = aged(1, 1000, 1000);
    assert_eq!(store.claim(&first), Ok(FRESH), "the first instant of the memory is inside");
    store.settle(&commit(&first, 1000)).unwrap();
    assert_eq!(store.claim(&aged(2, 999, 1000)), too_old(1000), "from before the start");
    assert_eq!(store.claim(&aged(2, 999, 5000)), too_old(1000));
    let idempotent = Claim { freshness: Freshness::ANY, ..aged(2, 999, 5000) };
    assert_eq!(store.claim(&idempotent), Ok(FRESH), "the upstream knows repeats by itself");
    // Until its last instant the event is a repeat; from then on it is too old.
    let end = 1000 + RETENTION_MS;
    assert_eq!(store.claim(&aged(1, 1000, end - 1)), Ok(SEEN));
    assert_eq!(store.claim(&aged(1, 1000, end)), too_old(1001));
    // An event of a fast clock is remembered from its own time.
    let ahead = aged(3, 9000, 6000);
    store.claim(&ahead).unwrap();
    store.settle(&commit(&ahead, 6000)).unwrap();
    assert_eq!(store.claim(&aged(3, 9000, 9000 + RETENTION_MS - 1)), Ok(SEEN));
    assert_eq!(store.claim(&aged(3, 9000, 9000 + RETENTION_MS)), too_old(9001));
}

#[test]
fn the_memory_begins_with_the_first_store_of_the_scope_and_not_with_each() {
    let mut first = store(8);
    assert_eq!(first.claim(&aged(1, 0, 0)), Ok(FRESH));
    let size = TableSize { slots: 64, entries_per_slot: 8 };
    let mut reloaded = TableStore::new(first.table().clone(), SCOPE, size);
    assert_eq!(reloaded.claim(&aged(2, 0, 60_000)), Ok(FRESH), "a VM that is made anew has lost nothing");
    let mut restarted = TableStore::new(MemoryTable::default(), SCOPE, size);
    assert_eq!(
        restarted.claim(&aged(2, 59_999, 60_000)),
        Ok(ClaimAnswer::TooOld { ts_event_min: at(60_000) })
    );
}

#[test]
fn what_an_eviction_forgets_is_too_old_from_then_on() {
    let mut store = store(1);
    for (event, ms) in [(1, 1000), (65, 2000)] {
        let claim = aged(event, ms - 500, ms);
        let claim = Claim { freshness: Freshness { ts_event_min: at(0), ..claim.freshness }, ..claim };
        let claim = if event == 1 { Claim { freshness: Freshness::ANY, ..claim } } else { claim };
        assert_eq!(store.claim(&claim), Ok(FRESH));
        store.settle(&commit(&claim, ms)).unwrap();
    }
    assert_eq!(store.take_counters().evictions, 1);
    assert_eq!(store.claim(&aged(1, 1000, 3000)), Ok(ClaimAnswer::TooOld { ts_event_min: at(1001) }));
    assert_eq!(store.claim(&aged(2, 1000, 3000)), Ok(FRESH), "another slot has forgotten nothing");
}

#[test]
fn a_clock_set_back_between_claim_and_settlement_forgets_nothing() {
    const BACK: u64 = 3 * LEASE_MS_MAX;
    let mut store = store(8);
    let (committed, released) = (happened(1, 900, BACK, BACK), happened(2, 901, BACK, BACK));
    assert_eq!((store.claim(&committed), store.claim(&released)), (Ok(FRESH), Ok(FRESH)));
    store.settle(&commit(&committed, 0)).unwrap();
    store.settle(&release(&released, 0)).unwrap();
    assert_eq!(store.claim(&happened(1, 900, BACK, 1)), Ok(SEEN));
    assert_eq!(store.claim(&happened(2, 901, BACK, 1)), Ok(FRESH));
    // Remembered from the event's own time, which the gate compares with.
    assert_eq!(store.claim(&happened(1, 900, BACK, BACK + RETENTION_MS - 1)), Ok(SEEN));
    // A memory that would begin in the future begins now.
    assert_eq!(store.claim(&aged(3, 1, 2)), Ok(ClaimAnswer::TooOld { ts_event_min: at(2) }));
    assert_eq!(store.claim(&aged(3, 3, 3)), Ok(FRESH));
}
