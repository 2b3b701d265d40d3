//! Quotas of partners and refusals of sources, as the store keeps them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use countersign_core::dedup::{BATCH_MAX, CLEAN_MS, Part, SOURCE_SLOTS, SOURCES_PER_SLOT, TableStore};
use countersign_core::rate::{Quota, Rate};
use countersign_core::store::{Claim, ClaimAnswer, SourceKey, StoreFault, ThrottleAnswer};

use crate::claims::*;
use crate::hooked::*;
use crate::script::*;

const LIMITED: fn(u64) -> ThrottleAnswer = |retry_after_ms| ThrottleAnswer::Limited { retry_after_ms };

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
    let bytes = 32 + 16 * u64::try_from(SOURCES_PER_SLOT).unwrap();
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
    let slot = (0..SOURCE_SLOTS)
        .map(|index| slot(Part::Source(index)))
        .find(|slot| !bytes_of(&table, *slot).is_empty())
        .unwrap();
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
fn a_quota_is_spent_by_what_writes_and_a_limited_claim_claims_nothing() {
    let mut store = store(8);
    let quota = Rate::per(1, 1000, 2);
    let ask = |event, ms| Claim { quota, ..claim_of_click(event, 900 + event, ms) };
    let left = |remaining, reset_seconds| Quota { burst: 2, window_seconds: 2, remaining, reset_seconds };
    assert_eq!(store.claim(&ask(1, 0)), Ok(ClaimAnswer::Fresh { quota: Some(left(1, 1)) }));
    assert_eq!(store.claim(&ask(1, 0)), Ok(in_flight(LEASE_MS)), "a repeat spends nothing");
    store.settle(&commit(&ask(1, 0), 0)).unwrap();
    // The first record of a duplicate is a write.
    let duplicate = Claim { quota, ..claim_of_click(3, 901, 0) };
    assert_eq!(store.claim(&duplicate), Ok(duplicate_of(1)));
    let limited = ClaimAnswer::Limited { retry_after_ms: 1000, quota: left(0, 2) };
    assert_eq!(store.claim(&ask(2, 0)), Ok(limited.clone()));
    assert_eq!(store.claim(&Claim { quota, ..claim_of_click(4, 901, 0) }), Ok(limited));
    assert_eq!(store.claim(&ask(1, 0)), Ok(SEEN), "a repeat is answered though the quota is spent");
    assert_eq!(store.claim(&duplicate), Ok(duplicate_of(1)), "and so is a recorded duplicate");
    assert_eq!(store.claim(&claim_of_click(2, 902, 0)), Ok(FRESH), "the limited one claimed nothing");
    assert_eq!(store.claim(&ask(5, 1000)), Ok(ClaimAnswer::Fresh { quota: Some(left(0, 2)) }));
}

/// Claims fresh events from `first` on until one is refused, at most `most`; how many were admitted.
fn flood(store: &mut TableStore<Hooked>, quota: Rate, first: u64, most: u64, ms: u64) -> u64 {
    let mut admitted = 0;
    while admitted < most {
        let ask = Claim { quota: Some(quota), ..claim(first + admitted, 1, ms) };
        let answer = store.claim(&ask).unwrap();
        if matches!(answer, ClaimAnswer::Limited { .. }) {
            break;
        }
        assert!(matches!(answer, ClaimAnswer::Fresh { .. }), "{answer:?}");
        admitted += 1;
        store.settle(&release(&ask, ms)).unwrap();
    }
    admitted
}

#[test]
fn a_batch_is_told_as_if_events_were_counted_one_by_one() {
    let quota = Rate::per(50, 1000, 200).unwrap();
    let table = shared();
    let quotas = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&quotas);
    let mut store = disturbed(&table, move |call| {
        *counted.lock().unwrap() += u32::from(call.is_swap && call.slot.contains("/quota/"));
        Act::Go
    });
    for event in 0..200_u64 {
        let ask = Claim { quota: Some(quota), ..claim(event, 1, 0) };
        let remaining = 199 - u32::try_from(event).unwrap();
        let reset_seconds = (event + 1).div_ceil(50);
        let left = Quota { burst: 200, window_seconds: 4, remaining, reset_seconds };
        assert_eq!(store.claim(&ask), Ok(ClaimAnswer::Fresh { quota: Some(left) }));
        store.settle(&release(&ask, 0)).unwrap();
    }
    assert_eq!(flood(&mut store, quota, 1000, 10, 0), 0, "not one more");
    // 1, 2, 4 and then 6 at once, a 32nd of the burst.
    assert!(*quotas.lock().unwrap() < 40, "{quotas:?} swaps for 200 events");
}

#[test]
fn batches_of_several_stores_keep_their_bound() {
    for workers in [2_u64, 4] {
        let quota = Rate::per(50, 1000, 640).unwrap();
        let table = shared();
        let mut stores: Vec<_> = (0..workers).map(|_| plain(&table)).collect();
        // Each takes a full batch and keeps the most of it; then one floods, then the others use what they kept.
        let mut admitted = 0;
        for (number, store) in (0..).zip(&mut stores) {
            admitted += flood(store, quota, 10_000 * (number + 1), 32, 0);
        }
        for (number, store) in (0..).zip(&mut stores) {
            admitted += flood(store, quota, 100_000 * (number + 1), 10_000, 999);
        }
        let most = 640 + 49 + (workers - 1) * u64::from(BATCH_MAX);
        let least = 640 + 49 - (workers - 1) * u64::from(BATCH_MAX);
        assert!((least..=most).contains(&admitted), "{workers} stores: {admitted}, not {least} to {most}");
    }
}

#[test]
fn lost_swaps_are_never_a_refusal() {
    for workers in [2_u64, 4] {
        let quota = Rate::per(100_000, 1000, 1_000_000).unwrap();
        let table = shared();
        let racers: Vec<_> = (0..workers)
            .map(|worker| {
                let table = Arc::clone(&table);
                thread::spawn(move || flood(&mut plain(&table), quota, 1_000_000 * (worker + 1), 5_000, 0))
            })
            .collect();
        for racer in racers {
            assert_eq!(racer.join().unwrap(), 5_000);
        }
    }
}

#[test]
fn what_a_store_took_ahead_is_void_after_a_second_and_when_the_clock_goes_back() {
    let quota = Rate::per(50, 1000, 640).unwrap();
    let table = shared();
    let (mut one, mut other) = (plain(&table), plain(&table));
    assert_eq!(flood(&mut one, quota, 1000, 17, 1000), 17, "16 more were taken by then");
    assert_eq!(flood(&mut other, quota, 2000, 10_000, 1000), 640 - 31);
    assert_eq!(flood(&mut one, quota, 3000, 10_000, 999), 0, "the clock went back");
    assert_eq!(flood(&mut one, quota, 4000, 10_000, 2000), 50, "a second has refilled the quota, no more");
}

#[test]
fn a_source_without_refusals_is_believed_for_a_second() {
    let table = shared();
    let reads = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&reads);
    let mut store = disturbed(&table, move |call| {
        *counted.lock().unwrap() += u32::from(!call.is_swap);
        Act::Go
    });
    let offender = source("203.0.113.9");
    for ms in [0, 1, CLEAN_MS - 1] {
        assert_eq!(store.throttle(&throttle(offender, false, ms)), Ok(ThrottleAnswer::Pass));
    }
    assert_eq!(*reads.lock().unwrap(), 1);
    for _ in 0..3 {
        plain(&table).throttle(&throttle(offender, true, 500)).unwrap();
    }
    assert_eq!(
        store.throttle(&throttle(offender, false, CLEAN_MS - 1)),
        Ok(ThrottleAnswer::Pass),
        "a second late"
    );
    assert_eq!(store.throttle(&throttle(offender, false, CLEAN_MS)), Ok(LIMITED(19_500)));
    // What the store itself counts, it knows at once.
    let other = source("203.0.113.8");
    assert_eq!(store.throttle(&throttle(other, false, 0)), Ok(ThrottleAnswer::Pass));
    for _ in 0..3 {
        store.throttle(&throttle(other, true, 0)).unwrap();
    }
    assert_eq!(store.throttle(&throttle(other, false, 0)), Ok(LIMITED(20_000)));
}

#[test]
fn partners_have_quotas_of_their_own() {
    let mut store = store(8);
    let quota = Rate::per(1, 1000, 1);
    for (event, partner) in [(1, "acme"), (2, "acme2"), (3, "acm"), (4, "")] {
        let claim = Claim { quota, partner: Arc::from(partner), ..claim(event, 1, 0) };
        let answer = store.claim(&claim).unwrap();
        assert!(matches!(answer, ClaimAnswer::Fresh { .. }), "{partner}: {answer:?}");
        let again =
            store.claim(&Claim { quota, partner: Arc::from(partner), ..self::claim(10 + event, 1, 0) });
        let again = again.unwrap();
        assert!(matches!(again, ClaimAnswer::Limited { .. }), "{partner}: {again:?}");
    }
}
