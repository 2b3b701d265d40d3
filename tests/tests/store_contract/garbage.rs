//! Stored bytes that no store wrote: a fault to the gate, hence a 503; never an answer.

use countersign_core::rate::Rate;
use countersign_core::store::{Claim, ClaimAnswer, StoreFault, ThrottleAnswer};

use crate::adapter::{Adapter, Part};
use crate::claims::*;

/// Runs `case` for every way to garble, each on an empty state.
fn in_every_way<A: Adapter>(part: Part, prepare: impl Fn(&A), case: impl Fn(&A, usize)) {
    for way in 0.. {
        let adapter = A::new();
        prepare(&adapter);
        if !adapter.garble(part, way) {
            assert!(way > 1, "there are several ways to garble");
            return;
        }
        case(&adapter, way);
    }
}

pub(crate) fn a_garbled_claim_is_no_answer_and_opens_after_one_lease<A: Adapter>() {
    let first = claim(1, 1, 0);
    let prepare = |adapter: &A| {
        adapter.worker().claim(&first).unwrap();
    };
    in_every_way::<A>(Part::Event, prepare, |adapter, way| {
        let mut worker = adapter.worker();
        assert_eq!(worker.claim(&claim(1, 1, 10)), Err(StoreFault::Corrupt), "way {way}");
        // What was pending may still be under way, so nobody may claim it again before a lease is over.
        let closed = |told| matches!(told, Err(StoreFault::Corrupt) | Ok(ClaimAnswer::InFlight { .. }));
        assert!(closed(worker.claim(&claim(1, 1, 11))), "way {way}");
        assert!(closed(worker.claim(&claim(1, 1, LEASE_MS + 9))), "way {way}");
        assert_eq!(worker.claim(&claim(2, 1, 10)), Ok(FRESH), "way {way}: others are open");
        assert_eq!(worker.claim(&claim(1, 1, LEASE_MS + 10)), Ok(FRESH), "way {way}");
    });
    // And the commit of the garbled claim is a fact all the same.
    in_every_way::<A>(Part::Event, prepare, |adapter, way| {
        let mut worker = adapter.worker();
        worker.settle(&commit(&first, 10)).unwrap();
        assert_ne!(worker.claim(&claim(1, 1, 11)), Ok(FRESH), "way {way}");
        assert_eq!(worker.claim(&claim(1, 1, LEASE_MS + 10)), Ok(SEEN), "way {way}");
    });
}

pub(crate) fn a_garbled_committed_event_is_no_answer<A: Adapter>() {
    let prepare = |adapter: &A| {
        adapter.worker().claim(&at_once(claim(1, 1, 0))).unwrap();
    };
    in_every_way::<A>(Part::Event, prepare, |adapter, way| {
        let mut worker = adapter.worker();
        assert_eq!(worker.claim(&at_once(claim(1, 1, 10))), Err(StoreFault::Corrupt), "way {way}");
        assert_eq!(worker.claim(&at_once(claim(1, 1, 11))), Err(StoreFault::Corrupt), "way {way}");
        assert_eq!(worker.claim(&at_once(claim(2, 1, 11))), Ok(FRESH), "way {way}: others are open");
    });
}

pub(crate) fn a_garbled_identity_is_no_answer<A: Adapter>() {
    let first = claim_of_click(1, 900, 0);
    let prepare = |adapter: &A| {
        let mut worker = adapter.worker();
        worker.claim(&first).unwrap();
        worker.settle(&commit(&first, 1)).unwrap();
    };
    in_every_way::<A>(Part::Fallback, prepare, |adapter, way| {
        let mut worker = adapter.worker();
        assert_eq!(worker.claim(&claim_of_click(2, 900, 10)), Err(StoreFault::Corrupt), "way {way}");
        let again = worker.claim(&claim_of_click(2, 900, 11));
        assert!(
            matches!(again, Err(StoreFault::Corrupt) | Ok(ClaimAnswer::InFlight { .. })),
            "way {way}: {again:?}"
        );
        assert_eq!(worker.claim(&claim_of_click(1, 900, 11)), Ok(SEEN), "way {way}: the event is known");
        assert_eq!(worker.claim(&claim_of_click(3, 901, 11)), Ok(FRESH), "way {way}: others are open");
        assert_eq!(worker.claim(&claim_of_click(2, 900, LEASE_MS + 10)), Ok(FRESH), "way {way}");
    });
}

pub(crate) fn a_garbled_quota_is_a_fault_once_and_then_spent<A: Adapter>() {
    let quota = Rate::per(1, 1000, 5);
    let ask = |event, ms| Claim { quota, ..claim(event, 1, ms) };
    let prepare = |adapter: &A| {
        adapter.worker().claim(&ask(1, 0)).unwrap();
    };
    in_every_way::<A>(Part::Quota, prepare, |adapter, way| {
        let mut worker = adapter.worker();
        assert_eq!(worker.claim(&ask(2, 0)), Err(StoreFault::Corrupt), "way {way}");
        let spent = worker.claim(&ask(2, 0)).unwrap();
        assert!(matches!(spent, ClaimAnswer::Limited { retry_after_ms: 1000, .. }), "way {way}: {spent:?}");
        let served = worker.claim(&ask(2, 1000)).unwrap();
        assert!(matches!(served, ClaimAnswer::Fresh { .. }), "way {way}: {served:?}");
    });
}

pub(crate) fn a_garbled_throttle_is_a_fault_once_and_then_empty<A: Adapter>() {
    let offender = source("203.0.113.9");
    let prepare = |adapter: &A| {
        for _ in 0..3 {
            adapter.worker().throttle(&throttle(offender, true, 0)).unwrap();
        }
    };
    for count in [false, true] {
        in_every_way::<A>(Part::Source, prepare, |adapter, way| {
            let mut worker = adapter.worker();
            assert_eq!(worker.throttle(&throttle(offender, count, 0)), Err(StoreFault::Corrupt), "way {way}");
            assert_eq!(worker.throttle(&throttle(offender, count, 0)), Ok(ThrottleAnswer::Pass), "way {way}");
        });
    }
}
