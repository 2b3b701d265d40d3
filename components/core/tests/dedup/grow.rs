//! A table that grows while stores of the old size are at work: nothing is forgotten, and nothing is fresh twice.

use std::sync::{Arc, Mutex};

use countersign_core::dedup::{MemoryTable, Part, Slot, TableSize, TableStore};
use countersign_core::rate::Rate;
use countersign_core::store::{Claim, ClaimAnswer, End, StoreFault};

use crate::claims::*;
use crate::hooked::*;
use crate::race::{claiming, one_is_fresh_and_the_other, settling};
use crate::script::*;

const SMALL: TableSize = TableSize { slots: 64, entries_per_slot: 8 };
const LARGE: TableSize = TableSize { slots: 192, entries_per_slot: 8 };
const LARGEST: TableSize = TableSize { slots: 1000, entries_per_slot: 8 };

fn of(table: &Arc<Mutex<MemoryTable>>, size: TableSize) -> TableStore<Hooked> {
    sized(table, size, |_| Act::Go)
}

/// An event whose slot differs from size to size, with a click that does.
fn spread(event: u64, ms: u64) -> Claim {
    let mut claim = happened(event, 900 + event, 0, ms);
    let place = u32::try_from(event * 2_654_435_761 % u64::from(u32::MAX)).unwrap();
    claim.key.fingerprint[..4].copy_from_slice(&place.to_be_bytes());
    let mut fallback = claim.fallback.unwrap();
    fallback.fingerprint[..4].copy_from_slice(&place.rotate_left(7).to_be_bytes());
    claim.fallback = Some(fallback);
    claim
}

#[test]
fn a_larger_table_knows_what_the_smaller_one_held() {
    let table = shared();
    let [small, large, largest] =
        [SMALL, LARGE, LARGEST].map(|size| TableSize { entries_per_slot: 32, ..size });
    let mut old = of(&table, small);
    for event in 0..200 {
        let claim = spread(event, 0);
        assert_eq!(old.claim(&claim), Ok(FRESH));
        if event % 2 == 0 {
            old.settle(&commit(&claim, 1)).unwrap();
        }
    }
    for size in [large, largest] {
        let mut new = of(&table, size);
        for event in 0..200 {
            let told = if event % 2 == 0 { SEEN } else { in_flight(LEASE_MS - 2) };
            assert_eq!(new.claim(&spread(event, 2)), Ok(told), "event {event} in {size:?}");
            // Another event of the same click.
            let mut other = Claim { row: claim(1000 + event, 1, 2).row, ..spread(event, 2) };
            other.key.fingerprint = fingerprint(10_000 + event);
            let answer = new.claim(&other).unwrap();
            let told = if event % 2 == 0 { duplicate_of(event) } else { in_flight(LEASE_MS - 2) };
            assert_eq!(answer, told, "event {event} in {size:?}");
        }
        assert_eq!(new.take_counters().evictions, 0);
    }
    // Whoever began in the old table ends there or behind it.
    for event in (1..200).step_by(2) {
        let claim = spread(event, 0);
        let end = if event % 4 == 1 { End::Commit } else { End::Release };
        old.settle(&settlement(&claim, end, 3)).unwrap();
        let told = if end == End::Commit { SEEN } else { FRESH };
        assert_eq!(of(&table, largest).claim(&spread(event, 4)), Ok(told), "event {event}");
    }
    // A store of the old size, and one of a smaller, go on in the largest.
    for size in [small, large] {
        let mut late = of(&table, size);
        assert_eq!(late.claim(&spread(0, 5)), Ok(SEEN));
        assert_eq!(late.claim(&spread(3, 5)), Ok(in_flight(LEASE_MS - 1)));
    }
}

#[test]
fn a_store_of_the_old_size_claims_on_and_both_see_one_table() {
    let table = shared();
    let (mut old, mut new) = (of(&table, SMALL), of(&table, LARGE));
    for event in 0..400_u64 {
        let (first, second) = if event % 2 == 0 { (&mut old, &mut new) } else { (&mut new, &mut old) };
        let claim = spread(event, 0);
        assert_eq!(first.claim(&claim), Ok(FRESH), "event {event}");
        assert_eq!(second.claim(&claim), Ok(in_flight(LEASE_MS)), "event {event}");
        second.settle(&commit(&claim, 1)).unwrap();
        assert_eq!(first.claim(&spread(event, 2)), Ok(SEEN), "event {event}");
    }
}

#[test]
fn what_was_forgotten_stays_forgotten_in_a_larger_table() {
    let table = shared();
    let mut old = of(&table, TableSize { entries_per_slot: 1, ..SMALL });
    let fresh = |event, ts_ms: u64, ms| {
        let mut claim = happened(event, 900, ts_ms, ms);
        claim.fallback = None;
        claim.freshness.own_memory = true;
        claim
    };
    for (event, ms) in [(1, 1000), (65, 2000)] {
        let claim = fresh(event, ms, ms);
        assert_eq!(old.claim(&claim), Ok(FRESH));
        old.settle(&commit(&claim, ms)).unwrap();
    }
    let too_old = Ok(ClaimAnswer::TooOld { ts_event_min: at(1001) });
    assert_eq!(old.claim(&fresh(1, 1000, 3000)), too_old, "it was pushed out");
    for _ in 0..2 {
        let mut new = of(&table, LARGE);
        let told = new.claim(&fresh(1, 1000, 3000)).unwrap();
        assert!(matches!(told, ClaimAnswer::TooOld { .. }), "a replay is not a new event: {told:?}");
        assert_eq!(new.claim(&fresh(65, 2000, 3000)), Ok(SEEN));
    }
}

#[test]
fn whoever_grows_and_whoever_does_not_race_without_a_second_hand_on() {
    for (prepare, told) in [(None, in_flight(LEASE_MS)), (Some(()), in_flight(LEASE_MS))] {
        let claims = [claiming(spread(5, 0)), claiming(spread(5, 0))];
        // With a neighbour in the slot, there is something to be copied.
        let mut neighbour = spread(7, 0);
        neighbour.key.fingerprint[..4].copy_from_slice(&spread(5, 0).key.fingerprint[..4]);
        let prepare: Vec<_> = prepare.map(|()| claiming(neighbour.clone())).into_iter().collect();
        crate::race::race_of([SMALL, LARGE], 12, &prepare, claims, |told_both, store, schedule| {
            one_is_fresh_and_the_other(&told_both, &told, schedule);
            assert_eq!(store.claim(&spread(5, 1)), Ok(in_flight(LEASE_MS - 1)), "schedule {schedule:b}");
        });
    }
}

#[test]
fn a_growth_races_with_a_settlement_and_loses_neither() {
    let first = spread(5, 0);
    let moves = [settling(commit(&first, 1)), claiming(spread(5, 1))];
    crate::race::race_of(
        [SMALL, LARGE],
        12,
        &[claiming(first.clone())],
        moves,
        |[settled, told], store, schedule| {
            assert_eq!(settled, Ok(None), "schedule {schedule:b}");
            let told = told.unwrap().unwrap();
            assert!(told == SEEN || told == in_flight(LEASE_MS - 1), "schedule {schedule:b}: {told:?}");
            assert_eq!(store.claim(&spread(5, 2)), Ok(SEEN), "schedule {schedule:b}");
        },
    );
    // A release may be copied over while it is made: then the lease ends the copy. It never opens the event twice.
    let moves = [settling(release(&first, 1)), claiming(spread(5, 1))];
    crate::race::race_of(
        [SMALL, LARGE],
        12,
        &[claiming(first)],
        moves,
        |[settled, told], store, schedule| {
            assert_eq!(settled, Ok(None), "schedule {schedule:b}");
            let told = told.unwrap().unwrap();
            let afterwards = store.claim(&spread(5, 2)).unwrap();
            if told == FRESH {
                assert_eq!(afterwards, in_flight(LEASE_MS - 1), "schedule {schedule:b}");
            } else {
                assert!(
                    afterwards == FRESH || afterwards == in_flight(LEASE_MS - 2),
                    "schedule {schedule:b}"
                );
            }
            assert!(matches!(store.claim(&spread(5, 3 * LEASE_MS)), Ok(FRESH)), "schedule {schedule:b}");
        },
    );
}

#[test]
fn eight_workers_of_three_sizes_in_a_storm_hand_every_event_on_exactly_once() {
    const EVENTS: u64 = 300;
    let table = shared();
    let workers: Vec<_> = (0..8_u64)
        .map(|worker| {
            let table = Arc::clone(&table);
            std::thread::spawn(move || {
                let sizes = [SMALL, LARGE, LARGEST];
                let size = |turn: u64| sizes[usize::try_from(turn % 3).unwrap()];
                let size = |turn| TableSize { entries_per_slot: 32, ..size(turn) };
                let (mut fresh, mut seed) = (vec![0_u32; 300], Seed(worker));
                // Each worker begins anew now and then, with another size.
                for turn in 0..6 {
                    let size = size(if turn < 2 { 0 } else { worker + turn });
                    let mut store = TableStore::new(Hooked::new(&table, |_| Act::Go), SCOPE, size);
                    for _ in 0..600 {
                        let event = seed.below(EVENTS);
                        let claim = Claim { fallback: None, ..spread(event, 0) };
                        if store.claim(&claim) == Ok(FRESH) {
                            fresh[usize::try_from(event).unwrap()] += 1;
                            while store.settle(&commit(&claim, 0)) == Err(StoreFault::Contended) {}
                        }
                    }
                }
                fresh
            })
        })
        .collect();
    let counts: Vec<Vec<u32>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    for event in 0..300 {
        assert_eq!(counts.iter().map(|worker| worker[event]).sum::<u32>(), 1, "event {event}");
    }
}

#[test]
fn a_fault_at_any_call_of_a_growth_forgets_nothing() {
    for from in 0..24 {
        for act in [Act::Fault, Act::GoThenFault] {
            let table = shared();
            let mut old = of(&table, SMALL);
            let (committed, pending) = (spread(5, 0), spread(6, 0));
            old.claim(&committed).unwrap();
            old.settle(&commit(&committed, 0)).unwrap();
            old.claim(&pending).unwrap();
            let mut failing =
                sized(&table, LARGE, move |call| if call.number >= from { act } else { Act::Go });
            let _faulty = [failing.claim(&spread(5, 1)), failing.claim(&spread(6, 1))];
            let mut new = of(&table, LARGE);
            assert_eq!(new.claim(&spread(5, 2)), Ok(SEEN), "call {from}, {act:?}");
            assert_eq!(new.claim(&spread(6, 2)), Ok(in_flight(LEASE_MS - 2)), "call {from}, {act:?}");
        }
    }
}

#[test]
fn a_garbled_record_of_sizes_closes_the_scope_for_one_lease() {
    let table = shared();
    of(&table, SMALL).claim(&claim(1, 1, 0)).unwrap();
    let sizes = Slot { scope: SCOPE, part: Part::Sizes };
    change(&table, sizes, |bytes| bytes.fill(0xff));
    let mut store = TableStore::new(Hooked::new(&table, |_| Act::Go), SCOPE, SMALL);
    assert_eq!(store.claim(&claim(1, 1, 10)), Err(StoreFault::Corrupt));
    assert_eq!(store.claim(&claim(2, 1, LEASE_MS + 9)), Err(StoreFault::Corrupt), "for one lease");
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS + 10)), Ok(FRESH), "its lease is over");
}

#[test]
fn two_documents_on_one_table_share_nothing() {
    let table = shared();
    let quota = Rate::per(1, 1000, 1);
    let in_scope = |scope| TableStore::new(Hooked::new(&table, |_| Act::Go), scope, SMALL);
    let (mut sandbox, mut production) = (in_scope("sandbox/default"), in_scope("production/default"));
    let ask = Claim { quota, ..claim_of_click(1, 900, 0) };
    for store in [&mut sandbox, &mut production] {
        assert!(matches!(store.claim(&ask), Ok(ClaimAnswer::Fresh { .. })), "event and quota are its own");
        store.settle(&commit(&ask, 0)).unwrap();
        assert_eq!(store.claim(&ask), Ok(SEEN));
    }
    assert_eq!(in_scope("production/eu-1").claim(&claim_of_click(2, 900, 0)), Ok(FRESH));
}
