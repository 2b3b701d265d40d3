//! A fault, and a crash, at every host call of every operation.

use countersign_core::rate::Rate;
use countersign_core::store::{Claim, ClaimAnswer};

use crate::adapter::{Act, Adapter, Until};
use crate::claims::*;

/// More host calls than any operation makes, the start of an instance included.
const CALLS_MAX: u64 = 16;

/// Runs `case` for every fault, on an empty state each, and checks that the faults were struck and the last ones were not. It
/// answers whether the operation under test failed.
fn at_every_step<A: Adapter>(case: impl Fn(&A, u64, Until, Act) -> bool) {
    for act in [Act::Fault, Act::EffectThenFault] {
        for until in [Until::Next, Until::End] {
            let failed: Vec<bool> = (0..CALLS_MAX).map(|from| case(&A::new(), from, until, act)).collect();
            assert_eq!(failed.first(), Some(&true), "{act:?} {until:?}: no call was made");
            assert_eq!(
                failed.last(),
                Some(&false),
                "{act:?} {until:?}: some call lies beyond the last fault"
            );
            assert!(failed.is_sorted_by(|earlier, later| earlier >= later), "{act:?} {until:?}: {failed:?}");
        }
    }
}

pub(crate) fn a_claim_that_fails_at_any_step_is_never_taken_for_a_hand_on<A: Adapter>() {
    let first = Claim { quota: Rate::per(1, 1, 100), ..claim_of_click(1, 900, 0) };
    at_every_step::<A>(|adapter, from, until, act| {
        let case = format!("call {from}, {until:?}, {act:?}");
        // The tables are there, as they are for all but the first request of all.
        adapter.worker().claim(&claim(2000, 1, 0)).unwrap();
        let answer = adapter.failing(from, until, act).claim(&first);
        let mut worker = adapter.worker();
        if let Ok(answer) = &answer {
            assert!(matches!(answer, ClaimAnswer::Fresh { .. }), "{case}: {answer:?}");
            assert_eq!(worker.claim(&claim_of_click(1, 900, 1)), Ok(in_flight(LEASE_MS - 1)), "{case}");
            return false;
        }
        let retry = worker.claim(&claim_of_click(1, 900, 1)).unwrap();
        assert!(retry == FRESH || retry == in_flight(LEASE_MS - 1), "{case}: {retry:?}");
        // Whatever the fault left behind is over with the lease: the retry is served, the click is free for it.
        assert_eq!(worker.claim(&claim_of_click(1, 900, LEASE_MS + 1)), Ok(FRESH), "{case}");
        assert_eq!(worker.claim(&claim_of_click(2, 900, 3 * LEASE_MS)), Ok(FRESH), "{case}");
        true
    });
}

pub(crate) fn a_claim_that_is_its_own_hand_on_is_whole_or_nothing<A: Adapter>() {
    let first = at_once(Claim { quota: Rate::per(1, 1, 100), ..claim_of_click(1, 900, 0) });
    at_every_step::<A>(|adapter, from, until, act| {
        let case = format!("call {from}, {until:?}, {act:?}");
        adapter.worker().claim(&claim(2000, 1, 0)).unwrap();
        let answer = adapter.failing(from, until, act).claim(&first);
        let mut worker = adapter.worker();
        // A table may leave it pending for as long as a lease; an inbox has it, or has it not.
        let retry = worker.claim(&at_once(claim_of_click(1, 900, 2 * LEASE_MS))).unwrap();
        match &answer {
            Ok(answer) => {
                assert!(matches!(answer, ClaimAnswer::Fresh { .. }), "{case}: {answer:?}");
                assert_eq!(retry, SEEN, "{case}");
            }
            Err(_) => assert!(retry == FRESH || retry == SEEN, "{case}: {retry:?}"),
        }
        assert_eq!(worker.claim(&at_once(claim(1, 1, 2 * LEASE_MS))), Ok(SEEN), "{case}");
        assert_eq!(worker.claim(&at_once(claim_of_click(2, 901, 2 * LEASE_MS))), Ok(FRESH), "{case}");
        answer.is_err()
    });
}

pub(crate) fn a_commit_that_fails_at_any_step_is_made_good_by_the_next<A: Adapter>() {
    let first = claim_of_click(1, 900, 0);
    at_every_step::<A>(|adapter, from, until, act| {
        let case = format!("call {from}, {until:?}, {act:?}");
        let mut worker = adapter.worker();
        worker.claim(&first).unwrap();
        let settled = adapter.failing(from, until, act).settle(&commit(&first, 1));
        let retry = worker.claim(&claim_of_click(1, 900, 2)).unwrap();
        assert!(retry == SEEN || (settled.is_err() && retry == in_flight(LEASE_MS - 2)), "{case}: {retry:?}");
        worker.settle(&commit(&first, 3)).unwrap();
        assert_eq!(worker.claim(&claim_of_click(1, 900, 4)), Ok(SEEN), "{case}");
        assert_eq!(worker.claim(&claim_of_click(2, 900, 4)), Ok(duplicate_of(1)), "{case}");
        settled.is_err()
    });
}

pub(crate) fn a_release_that_fails_at_any_step_is_made_good_by_the_lease<A: Adapter>() {
    let first = claim_of_click(1, 900, 0);
    at_every_step::<A>(|adapter, from, until, act| {
        let case = format!("call {from}, {until:?}, {act:?}");
        let mut worker = adapter.worker();
        worker.claim(&first).unwrap();
        let settled = adapter.failing(from, until, act).settle(&release(&first, 1));
        let retry = worker.claim(&claim_of_click(1, 900, 2)).unwrap();
        assert!(
            retry == FRESH || (settled.is_err() && retry == in_flight(LEASE_MS - 2)),
            "{case}: {retry:?}"
        );
        assert_eq!(worker.claim(&claim_of_click(1, 900, LEASE_MS + 2)), Ok(FRESH), "{case}");
        settled.is_err()
    });
}

pub(crate) fn a_throttle_that_fails_at_any_step_is_a_fault<A: Adapter>() {
    let offender = source("203.0.113.9");
    at_every_step::<A>(|adapter, from, until, act| {
        adapter.worker().claim(&claim(2000, 1, 0)).unwrap();
        adapter.failing(from, until, act).throttle(&throttle(offender, true, 0)).is_err()
    });
}
