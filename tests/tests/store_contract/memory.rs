//! What is told of an event for as long as it is remembered, and how old an unknown one may be.

use countersign_core::store::{Claim, ClaimAnswer, Freshness};

use crate::adapter::Adapter;
use crate::claims::*;

pub(crate) fn a_repeat_hears_the_receipt_key_of_the_first_time<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let first = Claim { receipt_key: 200, ..claim(1, 1, 0) };
    one.claim(&first).unwrap();
    one.settle(&commit(&first, 0)).unwrap();
    one.claim(&at_once(Claim { receipt_key: 201, ..claim(2, 1, 0) })).unwrap();
    for (event, receipt_key) in [(1, 200), (2, 201)] {
        let repeat = Claim { receipt_key: 9, ..claim(event, 1, 1) };
        assert_eq!(other.claim(&repeat), Ok(ClaimAnswer::Seen { same_payload: true, receipt_key }));
    }
}

pub(crate) fn an_unknown_event_of_too_great_an_age_is_refused<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let aged = |event, ts_ms: u64, ms| {
        let freshness = Freshness { ts_event_min: at(1000), own_memory: false };
        at_once(Claim { freshness, ..happened(event, 900 + event, ts_ms, ms) })
    };
    let too_old = Ok(ClaimAnswer::TooOld { ts_event_min: at(1000) });
    assert_eq!(one.claim(&aged(1, 999, 5000)), too_old);
    assert_eq!(one.claim(&at_once(happened(1, 901, 999, 5000))), Ok(FRESH), "it was not claimed");
    assert_eq!(other.claim(&aged(1, 999, 5000)), Ok(SEEN), "a known event is known, however old");
    assert_eq!(other.claim(&aged(2, 1000, 5000)), Ok(FRESH), "the bound itself is inside");
}

pub(crate) fn an_event_of_a_fast_clock_is_remembered_from_its_own_time<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let (first, second) = (happened(1, 900, 60_000, 0), at_once(happened(2, 901, 60_000, 0)));
    one.claim(&first).unwrap();
    one.settle(&commit(&first, 0)).unwrap();
    one.claim(&second).unwrap();
    for (event, click) in [(1, 900), (2, 901)] {
        let late = happened(event, click, 60_000, 60_000 + RETENTION_MS - 1);
        assert_eq!(one.claim(&late), Ok(SEEN), "event {event}: by its age it would still be taken");
    }
}

pub(crate) fn a_clock_set_back_between_claim_and_settlement_forgets_nothing<A: Adapter>() {
    const BACK: u64 = 1_000_000;
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let (committed, released) = (happened(1, 900, BACK, BACK), happened(2, 901, BACK, BACK));
    assert_eq!((one.claim(&committed), one.claim(&released)), (Ok(FRESH), Ok(FRESH)));
    one.settle(&commit(&committed, 0)).unwrap();
    one.settle(&release(&released, 0)).unwrap();
    assert_eq!(other.claim(&happened(1, 900, BACK, 1)), Ok(SEEN));
    assert_eq!(other.claim(&happened(3, 900, BACK, 1)), Ok(duplicate_of(1)));
    assert_eq!(other.claim(&happened(2, 901, BACK, 1)), Ok(FRESH));
    assert_eq!(other.claim(&happened(1, 900, BACK, BACK + RETENTION_MS - 1)), Ok(SEEN));
}
