//! Rivals between any two calls, faults and crashes at every call, and storms of conflicts.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use countersign_core::dedup::{MemoryTable, Part, SWAP_TRIES_MAX, Slot, TableSize, TableStore};
use countersign_core::rate::Rate;
use countersign_core::store::{Claim, ClaimAnswer, Settlement, StoreFault};

use crate::claims::*;
use crate::hooked::*;
use crate::script::*;

/// What a racer does with its store.
#[derive(Clone)]
pub(crate) enum Move {
    Claim(Box<Claim>),
    Settle(Settlement),
}

pub(crate) type Told = Result<Option<ClaimAnswer>, StoreFault>;

pub(crate) const fn settling(settlement: Settlement) -> Move {
    Move::Settle(settlement)
}

pub(crate) fn claiming(claim: Claim) -> Move {
    Move::Claim(Box::new(claim))
}

fn play(store: &mut TableStore<Hooked>, step: &Move) -> Told {
    match step {
        Move::Claim(claim) => store.claim(claim).map(Some),
        Move::Settle(settlement) => store.settle(settlement).map(|()| None),
    }
}

/// Whose call is next, by a schedule; who has left, leaves the rest to the other.
struct Turns {
    state: Mutex<(u32, u32, [bool; 2])>,
    changed: Condvar,
}

impl Turns {
    fn wait(&self, racer: usize) {
        let mut state = self.state.lock().unwrap();
        loop {
            let (schedule, taken, left) = *state;
            let next = usize::try_from(schedule >> taken.min(31) & 1).unwrap();
            if next == racer || left[1 - racer] {
                state.1 += 1;
                self.changed.notify_all();
                return;
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    fn leave(&self, racer: usize) {
        self.state.lock().unwrap().2[racer] = true;
        self.changed.notify_all();
    }
}

/// Plays two moves on one table for every interleaving of their first `calls` table calls.
fn race(
    calls: u32,
    prepare: &[Move],
    moves: [Move; 2],
    check: impl Fn([Told; 2], &mut TableStore<Hooked>, u32),
) {
    race_of([SHAPE, SHAPE], calls, prepare, moves, check);
}

/// As [`race`], with a table of this size for each racer; the first is there before.
pub(crate) fn race_of(
    sizes: [TableSize; 2],
    calls: u32,
    prepare: &[Move],
    moves: [Move; 2],
    check: impl Fn([Told; 2], &mut TableStore<Hooked>, u32),
) {
    for schedule in 0..1 << calls {
        let table = shared();
        let mut first = sized(&table, sizes[0], |_| Act::Go);
        for step in prepare {
            play(&mut first, step).unwrap();
        }
        let turns = Arc::new(Turns { state: Mutex::new((schedule, 0, [false; 2])), changed: Condvar::new() });
        let racers = [0, 1].map(|racer| {
            let (turns, table, step) = (Arc::clone(&turns), Arc::clone(&table), moves[racer].clone());
            thread::spawn(move || {
                let before = Arc::clone(&turns);
                let mut store = sized(&table, sizes[racer], move |_| {
                    before.wait(racer);
                    Act::Go
                });
                let told = play(&mut store, &step);
                turns.leave(racer);
                told
            })
        });
        let told = racers.map(|racer| racer.join().unwrap());
        check(told, &mut sized(&table, sizes[1], |_| Act::Go), schedule);
    }
}

pub(crate) fn one_is_fresh_and_the_other(told: &[Told; 2], other: &ClaimAnswer, schedule: u32) {
    let is = |told: &Told, answer: &ClaimAnswer| told.as_ref() == Ok(&Some(answer.clone()));
    let [a, b] = told;
    assert!(
        (is(a, &FRESH) && is(b, other)) || (is(b, &FRESH) && is(a, other)),
        "schedule {schedule:b}: {told:?}"
    );
}

#[test]
fn of_two_racing_claims_of_one_event_exactly_one_is_fresh() {
    let claims = [claiming(claim(1, 1, 0)), claiming(claim(1, 1, 0))];
    race(8, &[], claims.clone(), |told, _, schedule| {
        one_is_fresh_and_the_other(&told, &in_flight(LEASE_MS), schedule);
    });
    // The same where the slot was written before, and where a lease has just run out.
    let old = [claiming(claim(65, 1, 0)), claiming(Claim { now: at(0), ..claim(1, 1, 0) })];
    let late = [0, 1].map(|_| claiming(claim(1, 1, LEASE_MS)));
    race(8, &old, late, |told, _, schedule| {
        one_is_fresh_and_the_other(&told, &in_flight(LEASE_MS), schedule);
    });
}

#[test]
fn of_two_racing_claims_of_one_event_with_a_click_exactly_one_is_fresh() {
    let claims = [claiming(claim_of_click(1, 900, 0)), claiming(claim_of_click(1, 900, 0))];
    race(11, &[], claims, |told, store, schedule| {
        one_is_fresh_and_the_other(&told, &in_flight(LEASE_MS), schedule);
        assert_eq!(
            store.claim(&claim_of_click(1, 900, 1)),
            Ok(in_flight(LEASE_MS - 1)),
            "schedule {schedule:b}"
        );
    });
}

#[test]
fn of_two_events_racing_for_one_click_exactly_one_is_fresh_and_the_other_is_given_back() {
    // The events are in one slot, in which the rivals also meet.
    for (first, second) in [(1, 2), (1, 65)] {
        let claims = [claiming(claim_of_click(first, 900, 0)), claiming(claim_of_click(second, 900, 0))];
        race(12, &[], claims, |told, store, schedule| {
            one_is_fresh_and_the_other(&told, &in_flight(LEASE_MS), schedule);
            let loser = if told[0] == Ok(Some(FRESH)) { second } else { first };
            assert_eq!(
                store.claim(&claim(loser, 1, 1)),
                Ok(FRESH),
                "schedule {schedule:b}: the loser stays claimed"
            );
        });
    }
}

#[test]
fn a_commit_and_a_release_race_with_a_retry_without_a_second_hand_on() {
    let first = claim_of_click(1, 900, 0);
    let retry = claim_of_click(1, 900, 10);
    let moves = [Move::Settle(commit(&first, 10)), claiming(retry.clone())];
    race(10, &[claiming(first.clone())], moves, |[settled, told], store, schedule| {
        assert_eq!(settled, Ok(None), "schedule {schedule:b}");
        let told = told.unwrap().unwrap();
        assert!(told == SEEN || told == in_flight(LEASE_MS - 10), "schedule {schedule:b}: {told:?}");
        assert_eq!(store.claim(&claim(1, 1, 11)), Ok(SEEN), "schedule {schedule:b}");
        assert_eq!(store.claim(&claim_of_click(2, 900, 11)), Ok(duplicate_of(1)), "schedule {schedule:b}");
    });
    let moves = [Move::Settle(release(&first, 10)), claiming(retry)];
    race(12, &[claiming(first)], moves, |[settled, told], store, schedule| {
        assert_eq!(settled, Ok(None), "schedule {schedule:b}");
        let told = told.unwrap().unwrap();
        let afterwards = store.claim(&claim_of_click(1, 900, 11)).unwrap();
        if told == FRESH {
            assert_eq!(
                afterwards,
                in_flight(LEASE_MS - 1),
                "schedule {schedule:b}: the retry holds the event"
            );
        } else {
            assert_eq!((told, afterwards), (in_flight(LEASE_MS - 10), FRESH), "schedule {schedule:b}");
        }
    });
}

#[test]
fn a_late_release_races_with_a_second_attempt_and_takes_nothing_from_it() {
    let first = claim_of_click(1, 900, 0);
    let second = claim_of_click(1, 900, LEASE_MS);
    let moves = [Move::Settle(release(&first, LEASE_MS)), claiming(second)];
    race(12, &[claiming(first)], moves, |[settled, told], store, schedule| {
        assert_eq!((settled, told), (Ok(None), Ok(Some(FRESH))), "schedule {schedule:b}");
        let third = store.claim(&claim_of_click(1, 900, LEASE_MS + 1));
        assert_eq!(third, Ok(in_flight(LEASE_MS - 1)), "schedule {schedule:b}");
        let other = store.claim(&claim_of_click(2, 900, LEASE_MS + 1));
        assert_eq!(other, Ok(in_flight(LEASE_MS - 1)), "schedule {schedule:b}");
    });
}

#[test]
fn two_claims_that_race_for_the_last_of_a_quota_do_not_both_get_it() {
    let rate = Rate::per(1, 1000, 1);
    let claims = [1, 2].map(|event| claiming(Claim { quota: rate, ..claim(event, 1, 0) }));
    race(10, &[], claims, |told, _, schedule| {
        let fresh = told.iter().filter(|told| matches!(told, Ok(Some(ClaimAnswer::Fresh { .. })))).count();
        let limited = told
            .iter()
            .filter(|told| matches!(told, Ok(Some(ClaimAnswer::Limited { retry_after_ms: 1000, .. }))))
            .count();
        assert_eq!((fresh, limited), (1, 1), "schedule {schedule:b}: {told:?}");
    });
}

#[test]
fn eight_workers_in_a_storm_hand_every_event_on_exactly_once() {
    // They all fit: were the table smaller, events would rightly be forgotten.
    const EVENTS: u64 = 500;
    let table = shared();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                let mut store = plain(&table);
                let (mut fresh, mut seed) = (vec![0_u32; 500], Seed(worker));
                for _ in 0..4000 {
                    let event = seed.below(EVENTS);
                    let claim = claim(event, 1, 0);
                    // Contended claims nothing, and a commit that loses every swap is said again.
                    if store.claim(&claim) == Ok(FRESH) {
                        fresh[usize::try_from(event).unwrap()] += 1;
                        while store.settle(&commit(&claim, 0)) == Err(StoreFault::Contended) {}
                    }
                }
                fresh
            })
        })
        .collect();
    let counts: Vec<Vec<u32>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    for event in 0..500 {
        assert_eq!(counts.iter().map(|worker| worker[event]).sum::<u32>(), 1, "event {event}");
    }
}

/// A store whose every swap on `slot` is lost to a rival.
fn stormy(table: &Arc<Mutex<MemoryTable>>, slot: Slot<'static>) -> TableStore<Hooked> {
    let rival = Arc::clone(table);
    disturbed(table, move |call| {
        if call.is_swap && call.slot == slot.to_string() {
            touch(&rival, slot);
        }
        Act::Go
    })
}

#[test]
fn a_storm_of_conflicts_ends_in_contended_after_a_bounded_number_of_tries() {
    let table = shared();
    plain(&table).claim(&claim(65, 1, 0)).unwrap();
    let mut store = stormy(&table, event_slot(1));
    assert_eq!(store.claim(&claim(1, 1, 0)), Err(StoreFault::Contended));
    assert_eq!(store.take_counters().swap_retries, u64::from(SWAP_TRIES_MAX));
    assert_eq!(store.settle(&commit(&claim(65, 1, 0), 0)), Err(StoreFault::Contended));
    assert_eq!(plain(&table).claim(&claim(1, 1, 0)), Ok(FRESH), "the storm claimed nothing");

    let quota = Rate::per(1, 1000, 2);
    plain(&table).claim(&Claim { quota, ..claim(2, 1, 0) }).unwrap();
    let mut store = stormy(&table, slot(Part::Rate("acme")));
    let answer = store.claim(&Claim { quota, ..claim(3, 1, 0) });
    assert!(matches!(answer, Ok(ClaimAnswer::Fresh { .. })), "lost swaps are not a refusal: {answer:?}");
    assert_eq!(store.take_counters().uncounted, 1);
}

#[test]
fn a_storm_on_the_fallback_gives_the_event_back() {
    let table = shared();
    let click = 900; // slot 900 % 16 of the fallbacks, by its first four bytes: 900 % 64 = 4.
    plain(&table).claim(&claim_of_click(7, click + 64, 0)).unwrap();
    let mut store = stormy(&table, fallback_slot(4));
    assert_eq!(store.claim(&claim_of_click(1, click, 0)), Err(StoreFault::Contended));
    assert_eq!(store.take_counters().swap_retries, u64::from(SWAP_TRIES_MAX));
    assert_eq!(plain(&table).claim(&claim_of_click(1, click, 0)), Ok(FRESH));
}

/// A store whose calls fail from call `from` on: with `until` the end, a crash; with one, a single fault.
fn failing(table: &Arc<Mutex<MemoryTable>>, from: u32, until: u32, act: Act) -> TableStore<Hooked> {
    disturbed(table, move |call| if (from..until).contains(&call.number) { act } else { Act::Go })
}

fn faults() -> impl Iterator<Item = (u32, u32, Act)> {
    let acts = [Act::Fault, Act::GoThenFault];
    (0..12).flat_map(move |from| {
        acts.into_iter().flat_map(move |act| [(from, from + 1, act), (from, u32::MAX, act)])
    })
}

#[test]
fn a_claim_that_fails_at_any_call_is_never_taken_for_a_hand_on() {
    let quota = Rate::per(1, 1, 100);
    for (from, until, act) in faults() {
        let table = shared();
        let first = Claim { quota, ..claim_of_click(1, 900, 0) };
        let answer = failing(&table, from, until, act).claim(&first);
        let case = format!("fault from call {from} to {until}, {act:?}: {answer:?}");
        // Six calls: event, fallback and quota are read, then the quota, the event and the fallback are swapped.
        assert_eq!(answer.is_err(), from < 6, "{case}");
        if answer.is_ok() {
            continue;
        }
        let mut store = plain(&table);
        let retry = store.claim(&claim_of_click(1, 900, 1)).unwrap();
        assert!(retry == FRESH || retry == in_flight(LEASE_MS - 1), "{case}: {retry:?}");
        // Whatever the fault left behind is over with the lease: the retry is served, the click is free for it.
        let late = store.claim(&claim_of_click(1, 900, LEASE_MS + 1)).unwrap();
        assert_eq!(late, FRESH, "{case}");
        assert_eq!(store.claim(&claim_of_click(2, 900, 3 * LEASE_MS)), Ok(FRESH), "{case}");
    }
}

#[test]
fn a_settlement_that_fails_at_any_call_is_made_good_by_the_next_or_by_the_lease() {
    for (from, until, act) in faults() {
        let case = format!("fault from call {from} to {until}, {act:?}");
        let first = claim_of_click(1, 900, 0);

        let table = shared();
        plain(&table).claim(&first).unwrap();
        let settled = failing(&table, from, until, act).settle(&commit(&first, 1));
        assert_eq!(settled.is_err(), from < 4, "{case}");
        let mut store = plain(&table);
        let retry = store.claim(&claim_of_click(1, 900, 2)).unwrap();
        assert!(retry == SEEN || retry == in_flight(LEASE_MS - 2), "{case}: {retry:?}");
        store.settle(&commit(&first, 3)).unwrap();
        assert_eq!(store.claim(&claim_of_click(1, 900, 4)), Ok(SEEN), "{case}");
        assert_eq!(store.claim(&claim_of_click(2, 900, 4)), Ok(duplicate_of(1)), "{case}");

        let table = shared();
        plain(&table).claim(&first).unwrap();
        let settled = failing(&table, from, until, act).settle(&release(&first, 1));
        assert_eq!(settled.is_err(), from < 4, "{case}");
        let mut store = plain(&table);
        let retry = store.claim(&claim_of_click(1, 900, 2)).unwrap();
        assert!(retry == FRESH || retry == in_flight(LEASE_MS - 2), "{case}: {retry:?}");
        let late = store.claim(&claim_of_click(1, 900, LEASE_MS + 2)).unwrap();
        assert_eq!(late, FRESH, "{case}");
    }
}

#[test]
fn a_release_that_failed_halfway_does_not_block_the_retry_of_the_same_event() {
    let table = shared();
    let first = claim_of_click(1, 900, 0);
    plain(&table).claim(&first).unwrap();
    // The event's slot is read and swapped, then the fallback's slot cannot be read.
    failing(&table, 2, u32::MAX, Act::Fault).settle(&release(&first, 1)).unwrap_err();
    let mut store = plain(&table);
    assert_eq!(
        store.claim(&claim_of_click(2, 900, 2)),
        Ok(in_flight(LEASE_MS - 2)),
        "to others it is under way"
    );
    assert_eq!(store.claim(&claim_of_click(1, 900, 2)), Ok(FRESH));
}

#[test]
fn a_fault_on_the_event_does_not_keep_its_click_from_others() {
    let table = shared();
    let first = claim_of_click(1, 900, 0);
    plain(&table).claim(&first).unwrap();
    let settled = failing(&table, 0, 1, Act::Fault).settle(&release(&first, 1));
    assert_eq!(settled, Err(StoreFault::Unavailable));
    let mut store = plain(&table);
    assert_eq!(store.claim(&claim_of_click(2, 900, 1)), Ok(FRESH));
    assert_eq!(store.claim(&claim(1, 1, 1)), Ok(in_flight(LEASE_MS - 1)), "its own lease ends it");
}

#[test]
fn calls_cost_what_is_promised() {
    let quota = Rate::per(1, 1, 100);
    let count = |table: &Arc<Mutex<MemoryTable>>, step: &Move| {
        let calls = Arc::new(Mutex::new((0, 0)));
        let counted = Arc::clone(&calls);
        let mut store = disturbed(table, move |call| {
            let mut calls = counted.lock().unwrap();
            if call.is_swap {
                calls.1 += 1
            } else {
                calls.0 += 1
            }
            Act::Go
        });
        play(&mut store, step).unwrap();
        *calls.lock().unwrap()
    };
    let table = shared();
    let first = Claim { quota, ..claim_of_click(1, 900, 0) };
    assert_eq!(count(&table, &claiming(first.clone())), (3, 3), "quota, event, fallback");
    assert_eq!(count(&table, &Move::Settle(commit(&first, 0))), (2, 2), "event, fallback");
    assert_eq!(
        count(&table, &claiming(first)),
        (1, 0),
        "seen: nothing is written, and the quota is not asked"
    );
    let duplicate = claim_of_click(2, 900, 0);
    assert_eq!(count(&table, &claiming(duplicate.clone())), (2, 1), "a duplicate is recorded");
    assert_eq!(count(&table, &claiming(duplicate)), (2, 0), "and then told without a swap");
    assert_eq!(count(&table, &claiming(claim(3, 1, 0))), (1, 1), "no quota, no window");
}
