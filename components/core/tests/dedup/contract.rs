//! One test per clause of the contract (`store.rs`), named by the fact that stops the attack.

use countersign_core::dedup::LEASE_MS_MAX;
use countersign_core::store::{Claim, ClaimAnswer, Fallback, HandOn};

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
fn a_window_that_ends_with_the_lease_is_not_taken_for_a_pending_one() {
    let mut store = store(8);
    let mut first = claim_of_click(1, 900, 0);
    first.fallback = first.fallback.map(|fallback| Fallback { window_ms: LEASE_MS, ..fallback });
    store.claim(&first).unwrap();
    store.settle(&commit(&first, 1)).unwrap();
    store.settle(&release(&first, 2)).unwrap();
    assert_eq!(store.claim(&claim_of_click(2, 900, LEASE_MS - 1)), Ok(duplicate_of(1)));
    assert_eq!(store.claim(&claim_of_click(2, 900, LEASE_MS)), Ok(FRESH));
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
fn a_fallback_window_runs_from_the_first_claim_and_ends_exactly() {
    let mut store = store(8);
    let first = claim_of_click(1, 900, 0);
    assert_eq!(store.claim(&first), Ok(FRESH));
    assert_eq!(
        store.claim(&claim_of_click(2, 900, 1)),
        Ok(in_flight(LEASE_MS - 1)),
        "the original is under way"
    );
    assert_eq!(store.claim(&claim_of_click(2, 901, 1)), Ok(FRESH), "and neither answer has claimed event 2");
    store.settle(&commit(&first, 5000)).unwrap();
    assert_eq!(store.claim(&claim_of_click(3, 900, 5001)), Ok(duplicate_of(1)));
    assert_eq!(store.claim(&claim_of_click(3, 900, WINDOW_MS - 1)), Ok(duplicate_of(1)));
    assert_eq!(store.claim(&claim_of_click(3, 900, WINDOW_MS)), Ok(FRESH));
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
fn a_late_commit_leaves_the_fallback_identity_with_its_later_owner() {
    let mut store = store(8);
    let first = claim_of_click(1, 900, 0);
    store.claim(&first).unwrap();
    let second = claim_of_click(2, 900, LEASE_MS);
    assert_eq!(store.claim(&second), Ok(FRESH));
    store.settle(&commit(&first, LEASE_MS + 1)).unwrap();
    assert_eq!(store.claim(&claim_of_click(3, 900, LEASE_MS + 2)), Ok(in_flight(LEASE_MS - 2)));
    store.settle(&commit(&second, LEASE_MS + 3)).unwrap();
    assert_eq!(store.claim(&claim_of_click(3, 900, LEASE_MS + 4)), Ok(duplicate_of(2)));
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
    assert_eq!(store.claim(&claim_of_click(3, 900, WINDOW_MS - 1)), Ok(duplicate_of(2)));
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
