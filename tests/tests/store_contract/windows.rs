//! The fallback identity: click and event type, held by one event for a window.

use countersign_core::store::{Claim, ClaimKey, Fallback};

use crate::adapter::Adapter;
use crate::script::*;

pub(crate) fn a_window_runs_from_the_first_claim_and_ends_exactly<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let first = claim_of_click(1, 900, 0);
    assert_eq!(one.claim(&first), Ok(FRESH));
    assert_eq!(
        other.claim(&claim_of_click(2, 900, 1)),
        Ok(in_flight(LEASE_MS - 1)),
        "the original is under way"
    );
    assert_eq!(other.claim(&claim_of_click(2, 901, 1)), Ok(FRESH), "and that answer has claimed nothing");
    assert_eq!(
        other.claim(&claim_of_click(1, 900, 1)),
        Ok(in_flight(LEASE_MS - 1)),
        "nor is it its own duplicate"
    );
    one.settle(&commit(&first, 5000)).unwrap();
    assert_eq!(one.claim(&claim_of_click(1, 900, 5001)), Ok(SEEN));
    assert_eq!(other.claim(&claim_of_click(3, 900, 5001)), Ok(duplicate_of(1)));
    assert_eq!(other.claim(&claim_of_click(3, 900, WINDOW_MS - 1)), Ok(duplicate_of(1)));
    assert_eq!(other.claim(&claim_of_click(3, 900, WINDOW_MS)), Ok(FRESH));
}

pub(crate) fn a_window_outlives_neither_a_release_nor_a_lease<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    // Nobody settled: with the lease the identity is free, although its window is not over.
    one.claim(&claim_of_click(1, 900, 0)).unwrap();
    assert_eq!(one.claim(&claim_of_click(2, 900, LEASE_MS)), Ok(FRESH));
    // A window that ends with the lease, or before it, is not taken for a pending one, nor a pending one for over.
    let windowed = |event, click, ms, window_ms| {
        let fallback = Some(Fallback { fingerprint: fingerprint(click), ts_event: at(0), window_ms });
        Claim { fallback, ..claim(event, 1, ms) }
    };
    let short = windowed(3, 910, 0, LEASE_MS);
    one.claim(&short).unwrap();
    one.settle(&commit(&short, 1)).unwrap();
    one.settle(&release(&short, 2)).unwrap();
    assert_eq!(one.claim(&windowed(4, 910, LEASE_MS - 1, LEASE_MS)), Ok(duplicate_of(3)));
    assert_eq!(one.claim(&windowed(4, 910, LEASE_MS, LEASE_MS)), Ok(FRESH));
    one.claim(&windowed(5, 920, 0, 10)).unwrap();
    assert_eq!(
        one.claim(&windowed(6, 920, 20, 10)),
        Ok(in_flight(LEASE_MS - 20)),
        "the original is under way"
    );
}

pub(crate) fn a_window_longer_than_the_retention_still_counts<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let first = at_once(Claim { retention_ms: 1000, ..claim_of_click(1, 900, 0) });
    assert_eq!(one.claim(&first), Ok(FRESH));
    assert_eq!(one.claim(&claim_of_click(1, 900, 1000)), Ok(duplicate_of(1)), "the click has had its event");
    assert_eq!(one.claim(&claim(1, 1, 1000)), Ok(FRESH));
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

pub(crate) fn a_late_commit_leaves_the_identity_with_its_later_owner<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let (first, second) = (claim_of_click(1, 900, 0), claim_of_click(2, 900, LEASE_MS));
    one.claim(&first).unwrap();
    assert_eq!(other.claim(&second), Ok(FRESH));
    one.settle(&commit(&first, LEASE_MS + 1)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS + 2)), Ok(SEEN), "the event itself is marked");
    assert_eq!(one.claim(&claim_of_click(3, 900, LEASE_MS + 2)), Ok(in_flight(LEASE_MS - 2)));
    other.settle(&commit(&second, LEASE_MS + 3)).unwrap();
    assert_eq!(one.claim(&claim_of_click(3, 900, LEASE_MS + 4)), Ok(duplicate_of(2)));
}

pub(crate) fn a_window_of_a_claim_that_is_its_own_hand_on<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    assert_eq!(one.claim(&at_once(claim_of_click(1, 900, 0))), Ok(FRESH));
    assert_eq!(other.claim(&at_once(claim_of_click(1, 900, 0))), Ok(SEEN));
    assert_eq!(other.claim(&at_once(claim_of_click(2, 900, 0))), Ok(duplicate_of(1)));
    assert_eq!(other.claim(&at_once(claim_of_click(2, 900, WINDOW_MS - 1))), Ok(duplicate_of(1)));
    assert_eq!(other.claim(&at_once(claim_of_click(2, 900, WINDOW_MS))), Ok(FRESH));
    assert_eq!(one.claim(&at_once(claim_of_click(3, 900, WINDOW_MS))), Ok(duplicate_of(2)));
}
