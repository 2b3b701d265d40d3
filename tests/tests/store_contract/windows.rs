//! The fallback identity: held by accepted events, a window wide on either side of their `ts_event`.

use countersign_core::store::{Claim, ClaimAnswer, ClaimKey};

use crate::adapter::Adapter;
use crate::claims::*;

pub(crate) fn a_window_lies_between_the_times_of_the_events<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let now = 2 * WINDOW_MS;
    let first = happened(1, 900, WINDOW_MS, now);
    assert_eq!(one.claim(&first), Ok(FRESH));
    assert_eq!(other.claim(&happened(2, 900, 1, now)), Ok(in_flight(LEASE_MS)), "the original is under way");
    assert_eq!(other.claim(&happened(2, 901, 1, now)), Ok(FRESH), "and that answer has claimed nothing");
    assert_eq!(other.claim(&first), Ok(in_flight(LEASE_MS)), "nor is it its own duplicate");
    one.settle(&commit(&first, now)).unwrap();
    assert_eq!(one.claim(&first), Ok(SEEN));
    assert_eq!(other.claim(&happened(3, 900, 1, now)), Ok(duplicate_of(1)), "what happened before");
    assert_eq!(other.claim(&happened(4, 900, now - 1, now)), Ok(duplicate_of(1)), "what happened after");
    // A backlog: a window apart, and sent at once.
    for (event, ts_ms) in [(5, 0), (6, now)] {
        let claim = happened(event, 900, ts_ms, now);
        assert_eq!(one.claim(&claim), Ok(FRESH), "event {event}");
        one.settle(&commit(&claim, now + event)).unwrap();
    }
    assert_eq!(
        other.claim(&happened(7, 900, now - 1, now)),
        Ok(duplicate_of(1)),
        "of two, the first accepted"
    );
}

pub(crate) fn an_identity_is_remembered_for_retention_and_window<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let first = happened(1, 900, 0, 0);
    one.claim(&first).unwrap();
    one.settle(&commit(&first, 5)).unwrap();
    let end = RETENTION_MS + WINDOW_MS + 5;
    assert_eq!(one.claim(&happened(2, 900, 1, end - 1)), Ok(duplicate_of(1)));
    assert_eq!(one.claim(&happened(3, 900, 1, end)), Ok(FRESH));
}

pub(crate) fn a_duplicate_is_recorded_and_its_verdict_stays<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    one.claim(&at_once(happened(1, 900, 0, 0))).unwrap();
    let duplicate = at_once(happened(2, 900, 1, 10));
    assert_eq!(one.claim(&duplicate), Ok(duplicate_of(1)));
    assert_eq!(other.claim(&duplicate), Ok(duplicate_of(1)));
    let another_payload = Claim { payload_hash: [9; 32], ..duplicate.clone() };
    assert_eq!(other.claim(&another_payload), Ok(REUSED));
    let late = at_once(happened(2, 900, 1, RETENTION_MS + 9));
    assert_eq!(one.claim(&late), Ok(duplicate_of(1)), "long after the window");
    let told = other.claim(&Claim { fallback: None, ..duplicate }).unwrap();
    assert!(
        matches!(told, ClaimAnswer::DuplicateOf { .. }),
        "its event type has no window any longer: {told:?}"
    );
    assert_eq!(
        one.claim(&at_once(happened(3, 900, WINDOW_MS, 20))),
        Ok(FRESH),
        "a duplicate holds no identity"
    );
}

pub(crate) fn a_window_outlives_neither_a_release_nor_a_lease<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    // Nobody settled: with the lease the identity is free.
    one.claim(&claim_of_click(1, 900, 0)).unwrap();
    assert_eq!(one.claim(&claim_of_click(2, 900, LEASE_MS - 1)), Ok(in_flight(1)));
    assert_eq!(one.claim(&claim_of_click(2, 900, LEASE_MS)), Ok(FRESH));
    // A commit is not undone by the late release of the same claim.
    let first = claim_of_click(3, 910, 0);
    one.claim(&first).unwrap();
    one.settle(&commit(&first, 1)).unwrap();
    one.settle(&release(&first, 2)).unwrap();
    assert_eq!(one.claim(&claim_of_click(4, 910, LEASE_MS)), Ok(duplicate_of(3)));
}

pub(crate) fn an_identity_that_outlives_its_event_still_counts<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let first = at_once(Claim { retention_ms: 1000, ..claim_of_click(1, 900, 0) });
    assert_eq!(one.claim(&first), Ok(FRESH));
    assert_ne!(one.claim(&claim_of_click(1, 900, 1000)), Ok(FRESH), "the click has had its event");
    assert_eq!(one.claim(&claim_of_click(2, 900, 1000)), Ok(duplicate_of(1)));
}

pub(crate) fn a_release_gives_the_identity_back_and_only_its_own<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let first = claim_of_click(1, 900, 0);
    one.claim(&first).unwrap();
    one.settle(&release(&first, 1)).unwrap();
    let second = claim_of_click(2, 900, 1);
    assert_eq!(other.claim(&second), Ok(FRESH));
    // Same lease to the millisecond, and still not the first claim's to release.
    let late = Claim { key: ClaimKey { lease_until: second.key.lease_until, ..first.key }, ..first };
    one.settle(&release(&late, 2)).unwrap();
    assert_eq!(one.claim(&claim_of_click(3, 900, 2)), Ok(in_flight(LEASE_MS - 1)));
}

pub(crate) fn a_late_commit_leaves_a_later_owner_its_identity<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let (first, second) = (claim_of_click(1, 900, 0), claim_of_click(2, 900, LEASE_MS));
    one.claim(&first).unwrap();
    assert_eq!(other.claim(&second), Ok(FRESH));
    other.settle(&commit(&second, LEASE_MS + 1)).unwrap();
    one.settle(&commit(&first, LEASE_MS + 2)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS + 3)), Ok(SEEN), "the event itself is marked");
    assert_eq!(one.claim(&claim_of_click(3, 900, LEASE_MS + 3)), Ok(duplicate_of(2)));
}

pub(crate) fn a_window_of_a_claim_that_is_its_own_hand_on<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    assert_eq!(one.claim(&at_once(happened(1, 900, 0, 0))), Ok(FRESH));
    assert_eq!(other.claim(&at_once(happened(1, 900, 0, 0))), Ok(SEEN));
    assert_eq!(other.claim(&at_once(happened(2, 900, WINDOW_MS - 1, 0))), Ok(duplicate_of(1)));
    assert_eq!(other.claim(&at_once(happened(3, 900, WINDOW_MS, 0))), Ok(FRESH));
    assert_eq!(one.claim(&at_once(happened(4, 900, 2 * WINDOW_MS - 1, 0))), Ok(duplicate_of(3)));
}
