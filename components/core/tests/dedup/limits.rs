//! Quotas of partners and refusals of sources, as the store keeps them.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_core::dedup::{SOURCE_SLOTS, SOURCES_PER_SLOT, Slot};
use countersign_core::rate::{Quota, Rate};
use countersign_core::store::{Claim, ClaimAnswer, SourceKey, StoreFault, Throttle, ThrottleAnswer};

use crate::hooked::*;
use crate::script::*;

const LIMITED: fn(u64) -> ThrottleAnswer = |retry_after_ms| ThrottleAnswer::Limited { retry_after_ms };

fn source(text: &str) -> SourceKey {
    SourceKey::of(text.parse::<IpAddr>().unwrap())
}

/// Three refusals a minute.
fn throttle(source: SourceKey, count: bool, ms: u64) -> Throttle {
    Throttle { source, rate: Rate::per(3, 60_000, 3).unwrap(), count, now: at(ms) }
}

#[test]
fn a_source_is_limited_after_its_refusals_and_forgiven_one_by_one() {
    let mut store = store(8);
    let offender = source("203.0.113.9");
    for _ in 0..3 {
        assert_eq!(store.throttle(&throttle(offender, false, 0)), Ok(ThrottleAnswer::Pass));
        assert_eq!(store.throttle(&throttle(offender, true, 0)), Ok(ThrottleAnswer::Pass));
    }
    assert_eq!(store.throttle(&throttle(offender, false, 0)), Ok(LIMITED(20_000)));
    assert_eq!(
        store.throttle(&throttle(offender, true, 0)),
        Ok(ThrottleAnswer::Pass),
        "counting always passes"
    );
    assert_eq!(store.throttle(&throttle(offender, false, 19_999)), Ok(LIMITED(1)), "and stops at the limit");
    assert_eq!(store.throttle(&throttle(offender, false, 20_000)), Ok(ThrottleAnswer::Pass));
    assert_eq!(store.throttle(&throttle(source("203.0.113.8"), false, 0)), Ok(ThrottleAnswer::Pass));
}

#[test]
fn one_sender_is_one_source_whichever_way_its_address_is_written() {
    let mut store = store(8);
    for _ in 0..3 {
        store.throttle(&throttle(source("2001:db8:1:2::1"), true, 0)).unwrap();
        store.throttle(&throttle(source("203.0.113.9"), true, 0)).unwrap();
    }
    let look = |store: &mut countersign_core::dedup::TableStore<_>, text| {
        store.throttle(&throttle(source(text), false, 0)).unwrap()
    };
    assert_eq!(look(&mut store, "2001:db8:1:2:ffff::9"), LIMITED(20_000), "the same /64");
    assert_eq!(look(&mut store, "2001:db8:1:3::1"), ThrottleAnswer::Pass);
    assert_eq!(look(&mut store, "::ffff:203.0.113.9"), LIMITED(20_000));
}

#[test]
fn an_honest_source_costs_one_read_and_an_offender_at_its_limit_too() {
    let table = shared();
    let offender = source("203.0.113.9");
    let mut store = disturbed(&table, |call| if call.is_swap { Act::Fault } else { Act::Go });
    assert_eq!(store.throttle(&throttle(offender, false, 0)), Ok(ThrottleAnswer::Pass));
    assert_eq!(
        store.throttle(&throttle(offender, true, 0)),
        Err(StoreFault::Unavailable),
        "a refusal is written"
    );
    for _ in 0..3 {
        plain(&table).throttle(&throttle(offender, true, 0)).unwrap();
    }
    assert_eq!(store.throttle(&throttle(offender, true, 0)), Ok(ThrottleAnswer::Pass));
}

#[test]
fn a_million_sources_take_no_more_memory_than_their_table() {
    let mut store = store(8);
    for number in 0..1_000_000_u32 {
        let address = IpAddr::from(number.wrapping_mul(2_654_435_761).to_be_bytes());
        store.throttle(&throttle(SourceKey::of(address), true, 0)).unwrap();
    }
    let slots = u64::from(SOURCE_SLOTS);
    let bytes = 24 + 16 * u64::try_from(SOURCES_PER_SLOT).unwrap();
    assert_eq!(store.table().bytes(), slots * bytes, "every slot is used, and full");
    let kept = slots * u64::try_from(SOURCES_PER_SLOT).unwrap();
    assert_eq!(store.take_counters().sources_evicted, 1_000_000 - kept);
}

#[test]
fn the_source_that_is_nearest_to_being_forgiven_makes_room() {
    // Networks that share the slot of the first.
    let table = shared();
    let slot_of = |source: SourceKey| {
        let seen = Arc::new(std::sync::Mutex::new(String::new()));
        let note = Arc::clone(&seen);
        let mut store = disturbed(&table, move |call| {
            note.lock().unwrap().clone_from(&call.slot);
            Act::Go
        });
        store.throttle(&throttle(source, false, 0)).unwrap();
        seen.lock().unwrap().clone()
    };
    let first = source("10.0.0.0");
    let slot = slot_of(first);
    let crowd: Vec<SourceKey> = (0..u32::MAX)
        .map(|number| SourceKey::of(IpAddr::from((0x0a00_0000 + number).to_be_bytes())))
        .filter(|source| slot_of(*source) == slot)
        .take(SOURCES_PER_SLOT + 1)
        .collect();
    let mut store = plain(&table);
    for (age, source) in crowd.iter().enumerate() {
        // The third has the fewest refusals.
        for _ in 0..if age == 2 { 1 } else { 3 } {
            store.throttle(&throttle(*source, true, u64::try_from(age).unwrap())).unwrap();
        }
    }
    assert_eq!(store.take_counters().sources_evicted, 1);
    let limited = |store: &mut countersign_core::dedup::TableStore<Hooked>, index: usize| {
        store.throttle(&throttle(crowd[index], false, 10)).unwrap() != ThrottleAnswer::Pass
    };
    assert!((0..crowd.len()).filter(|index| *index != 2).all(|index| limited(&mut store, index)));
    store.throttle(&throttle(crowd[2], true, 10)).unwrap();
    store.throttle(&throttle(crowd[2], true, 10)).unwrap();
    assert!(!limited(&mut store, 2), "it was forgotten: two refusals since are not three");
}

#[test]
fn a_garbled_source_slot_heals_at_its_first_use() {
    let table = shared();
    let offender = source("203.0.113.9");
    let mut store = plain(&table);
    store.throttle(&throttle(offender, true, 0)).unwrap();
    let slot = (0..SOURCE_SLOTS).map(Slot::Source).find(|slot| !bytes_of(&table, *slot).is_empty()).unwrap();
    let sound = bytes_of(&table, slot);
    for place in 0..sound.len() {
        for count in [false, true] {
            change(&table, slot, |bytes| {
                bytes.clone_from(&sound);
                bytes[place] ^= 0x10;
            });
            assert_eq!(
                store.throttle(&throttle(offender, count, 0)),
                Err(StoreFault::Corrupt),
                "byte {place}"
            );
            assert_eq!(
                store.throttle(&throttle(offender, count, 0)),
                Ok(ThrottleAnswer::Pass),
                "byte {place}"
            );
            assert_eq!(store.take_counters().heals, 1, "byte {place}");
        }
    }
}

#[test]
fn a_quota_is_spent_first_and_a_limited_claim_claims_nothing() {
    let mut store = store(8);
    let quota = Rate::per(1, 1000, 2);
    let ask = |event, ms| Claim { quota, ..claim_of_click(event, 900 + event, ms) };
    let left = |remaining, reset_seconds| Quota { burst: 2, window_seconds: 2, remaining, reset_seconds };
    assert_eq!(store.claim(&ask(1, 0)), Ok(ClaimAnswer::Fresh { quota: Some(left(1, 1)) }));
    assert_eq!(store.claim(&ask(1, 0)), Ok(in_flight(LEASE_MS)), "a repeat spends quota as well");
    let limited = ClaimAnswer::Limited { retry_after_ms: 1000, quota: left(0, 2) };
    assert_eq!(store.claim(&ask(2, 0)), Ok(limited.clone()));
    assert_eq!(store.claim(&ask(1, 0)), Ok(limited), "limited is told before in flight");
    assert_eq!(store.claim(&claim_of_click(2, 902, 0)), Ok(FRESH), "nothing was claimed");
    assert_eq!(store.claim(&ask(3, 1000)), Ok(ClaimAnswer::Fresh { quota: Some(left(0, 2)) }));
}

#[test]
fn partners_have_quotas_of_their_own() {
    let mut store = store(8);
    let quota = Rate::per(1, 1000, 1);
    for (event, partner) in [(1, "acme"), (2, "acme2"), (3, "acm"), (4, "")] {
        let claim = Claim { quota, partner: Arc::from(partner), ..claim(event, 1, 0) };
        let answer = store.claim(&claim).unwrap();
        assert!(matches!(answer, ClaimAnswer::Fresh { .. }), "{partner}: {answer:?}");
        let again = store.claim(&claim).unwrap();
        assert!(matches!(again, ClaimAnswer::Limited { .. }), "{partner}: {again:?}");
    }
}
