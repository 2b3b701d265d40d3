//! Claim, commit, release, and the lease that ends what nobody settles.

use countersign_core::dedup::LEASE_MS_MAX;
use countersign_core::store::Claim;

use crate::adapter::Adapter;
use crate::claims::*;

pub(crate) fn an_absent_event_is_fresh_and_a_pending_one_in_flight<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    assert_eq!(one.claim(&claim(1, 1, 0)), Ok(FRESH));
    assert_eq!(other.claim(&claim(1, 1, 0)), Ok(in_flight(LEASE_MS)), "two retries are not both handed on");
    assert_eq!(one.claim(&claim(1, 2, 0)), Ok(in_flight(LEASE_MS)), "nor another payload beside the first");
    assert_eq!(other.claim(&claim(65, 1, 0)), Ok(FRESH), "a neighbour is another event");
    assert_eq!(other.claim(&claim(1, 1, LEASE_MS - 1)), Ok(in_flight(1)));
    assert_eq!(other.claim(&claim(1, 1, LEASE_MS)), Ok(FRESH), "an unknown outcome swallows no retry");
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS)), Ok(in_flight(LEASE_MS)), "the retry has its own lease");
}

pub(crate) fn a_committed_event_is_seen_until_its_retention_ends<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let first = claim(1, 1, 0);
    one.claim(&first).unwrap();
    one.settle(&commit(&first, 100)).unwrap();
    assert_eq!(other.claim(&claim(1, 1, 101)), Ok(SEEN), "a replay is not counted twice");
    assert_eq!(other.claim(&claim(1, 2, 101)), Ok(REUSED), "and says where it is another event");
    assert_eq!(
        one.claim(&claim(1, 1, LEASE_MS + 1)),
        Ok(SEEN),
        "the end of the lease means nothing any more"
    );
    assert_eq!(one.claim(&claim(1, 1, RETENTION_MS + 99)), Ok(SEEN));
    assert_eq!(other.claim(&claim(1, 1, RETENTION_MS + 100)), Ok(FRESH));
}

pub(crate) fn a_release_opens_the_event_at_once<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let (first, neighbour) = (claim(1, 1, 0), claim(65, 1, 0));
    one.claim(&first).unwrap();
    one.claim(&neighbour).unwrap();
    one.settle(&release(&first, 10)).unwrap();
    assert_eq!(
        other.claim(&claim(1, 2, 10)),
        Ok(FRESH),
        "with another payload too: nobody was handed the first"
    );
    assert_eq!(other.claim(&claim(65, 1, 10)), Ok(in_flight(LEASE_MS - 10)), "its neighbour stays");
}

pub(crate) fn a_late_release_takes_away_no_later_claim<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let (first, second) = (claim(1, 1, 0), claim(1, 1, LEASE_MS));
    one.claim(&first).unwrap();
    assert_eq!(other.claim(&second), Ok(FRESH));
    one.settle(&release(&first, LEASE_MS + 1)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS + 1)), Ok(in_flight(LEASE_MS - 1)));
    other.settle(&release(&second, LEASE_MS + 2)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS + 2)), Ok(FRESH));
}

pub(crate) fn a_release_takes_away_no_committed_event<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let first = claim_of_click(1, 900, 0);
    one.claim(&first).unwrap();
    one.settle(&commit(&first, 1)).unwrap();
    one.settle(&release(&first, 2)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, 3)), Ok(SEEN));
    assert_eq!(one.claim(&claim_of_click(2, 900, 3)), Ok(duplicate_of(1)));
    let held = at_once(claim(3, 1, 0));
    one.claim(&held).unwrap();
    one.settle(&release(&held, 1)).unwrap();
    assert_eq!(one.claim(&claim(3, 1, 2)), Ok(SEEN));
}

pub(crate) fn a_late_commit_marks_the_event_whatever_became_of_its_claim<A: Adapter>() {
    // The claim is still there, and over.
    let adapter = A::new();
    let mut one = adapter.worker();
    let first = claim(1, 1, 0);
    one.claim(&first).unwrap();
    one.settle(&commit(&first, LEASE_MS + 5)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS + 6)), Ok(SEEN));

    // It is gone.
    let gone = claim(2, 1, 0);
    one.claim(&gone).unwrap();
    one.settle(&release(&gone, 1)).unwrap();
    one.settle(&commit(&gone, LEASE_MS + 5)).unwrap();
    assert_eq!(one.claim(&claim(2, 1, LEASE_MS + 6)), Ok(SEEN));
    assert_eq!(one.claim(&claim(2, 2, LEASE_MS + 6)), Ok(REUSED));

    // A second attempt with another payload is under way: the first is the fact, and says so.
    let mut other = adapter.worker();
    let (third, rival) = (claim(3, 1, 0), claim(3, 2, LEASE_MS));
    one.claim(&third).unwrap();
    assert_eq!(other.claim(&rival), Ok(FRESH));
    one.settle(&commit(&third, LEASE_MS + 5)).unwrap();
    other.settle(&release(&rival, LEASE_MS + 6)).unwrap();
    assert_eq!(other.claim(&claim(3, 1, LEASE_MS + 7)), Ok(SEEN));
    assert_eq!(other.claim(&claim(3, 2, LEASE_MS + 7)), Ok(REUSED));
}

pub(crate) fn a_second_commit_changes_nothing<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let first = claim(1, 1, 0);
    one.claim(&first).unwrap();
    one.settle(&commit(&first, 0)).unwrap();
    one.settle(&commit(&claim(1, 2, 0), RETENTION_MS - 1)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, RETENTION_MS - 1)), Ok(SEEN));
    assert_eq!(one.claim(&claim(1, 1, RETENTION_MS)), Ok(FRESH));
}

pub(crate) fn a_claim_that_is_its_own_hand_on_is_committed_at_once<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    assert_eq!(one.claim(&at_once(claim(1, 1, 0))), Ok(FRESH));
    assert_eq!(other.claim(&at_once(claim(1, 1, 0))), Ok(SEEN));
    assert_eq!(other.claim(&at_once(claim(1, 2, 0))), Ok(REUSED));
    assert_eq!(one.claim(&at_once(claim(1, 1, RETENTION_MS - 1))), Ok(SEEN));
    let (first, then) = if A::REMEMBERS_FOR_GOOD { (REUSED, REUSED) } else { (FRESH, SEEN) };
    assert_eq!(one.claim(&at_once(claim(1, 2, RETENTION_MS))), Ok(first));
    assert_eq!(one.claim(&at_once(claim(1, 2, RETENTION_MS))), Ok(then.clone()));
    // A claim of the other kind finds it, and it finds the other kind.
    assert_eq!(one.claim(&claim(1, 2, RETENTION_MS)), Ok(then));
    assert_eq!(one.claim(&claim(2, 1, 0)), Ok(FRESH));
    assert_eq!(one.claim(&at_once(claim(2, 1, 0))), Ok(in_flight(LEASE_MS)));
}

pub(crate) fn a_clock_set_back_shortens_nothing<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let (pending, committed) = (claim(1, 1, LEASE_MS_MAX), claim(2, 1, LEASE_MS_MAX));
    one.claim(&pending).unwrap();
    one.claim(&committed).unwrap();
    one.settle(&commit(&committed, LEASE_MS_MAX)).unwrap();
    one.claim(&at_once(claim(3, 1, LEASE_MS_MAX))).unwrap();
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS_MAX - 1000)), Ok(in_flight(LEASE_MS + 1000)));
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS)), Ok(in_flight(LEASE_MS_MAX)));
    assert_eq!(one.claim(&claim(2, 1, 0)), Ok(SEEN));
    assert_eq!(one.claim(&claim(3, 1, 0)), Ok(SEEN));
    // Further back than any lease is long, the claim is that of a clock that was wrong.
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS - 1)), Ok(FRESH));
    one.settle(&release(&pending, LEASE_MS)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS)), Ok(in_flight(LEASE_MS - 1)), "the fence holds");
}

pub(crate) fn a_lease_longer_than_the_longest_is_cut<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let mut greedy = claim_of_click(1, 900, 0);
    greedy.key.lease_until = at(10 * LEASE_MS_MAX);
    assert_eq!(one.claim(&greedy), Ok(FRESH));
    assert_eq!(one.claim(&claim(1, 1, 0)), Ok(in_flight(LEASE_MS_MAX)));
    assert_eq!(one.claim(&claim_of_click(2, 900, 0)), Ok(in_flight(LEASE_MS_MAX)));
    assert_eq!(one.claim(&claim(1, 1, LEASE_MS_MAX)), Ok(FRESH));
}

pub(crate) fn a_retention_without_end_is_kept<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let century = 100 * 365 * 86_400_000;
    let last = Claim { retention_ms: u64::MAX, ..claim(1, 1, 0) };
    one.claim(&last).unwrap();
    one.settle(&commit(&last, 0)).unwrap();
    assert_eq!(one.claim(&claim(1, 1, century)), Ok(SEEN));
    one.claim(&at_once(Claim { retention_ms: u64::MAX, ..claim(2, 1, 0) })).unwrap();
    assert_eq!(one.claim(&claim(2, 1, century)), Ok(SEEN));
}
