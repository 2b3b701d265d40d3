//! Racers that are real: threads on one table, requests on two instances on one database.

use std::sync::Barrier;
use std::thread;

use countersign_core::rate::Rate;
use countersign_core::store::{Claim, ClaimAnswer, StoreFault, ThrottleAnswer};

use crate::adapter::{Adapter, Worker};
use crate::claims::*;

const ROUNDS: u64 = 60;
/// More than two, so that an adapter whose instances serve several requests has both kinds of meeting.
const RACERS: usize = 4;

/// Lets the racers go at once, each with a worker of its own.
fn race<A: Adapter, T: Send>(adapter: &A, run: impl Fn(usize, &mut Worker) -> T + Sync) -> Vec<T> {
    race_of(RACERS, adapter, run)
}

fn race_of<A: Adapter, T: Send>(
    racers: usize,
    adapter: &A,
    run: impl Fn(usize, &mut Worker) -> T + Sync,
) -> Vec<T> {
    let start = Barrier::new(racers);
    let workers: Vec<Worker> = (0..racers).map(|_| adapter.worker()).collect();
    thread::scope(|scope| {
        let racers: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(number, mut worker)| {
                let (start, run) = (&start, &run);
                scope.spawn(move || {
                    start.wait();
                    run(number, &mut worker)
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    })
}

type Told = Result<ClaimAnswer, StoreFault>;

fn one_is_fresh(told: &[Told], others: &ClaimAnswer) {
    assert_eq!(told.iter().filter(|told| **told == Ok(FRESH)).count(), 1, "{told:?}");
    let is_other = |told: &&Told| **told == Ok(others.clone());
    assert_eq!(told.iter().filter(is_other).count(), RACERS - 1, "{told:?}");
}

pub(crate) fn of_racing_claims_of_one_event_exactly_one_is_fresh<A: Adapter>() {
    let adapter = A::new();
    for event in 0..ROUNDS {
        let told = race(&adapter, |_, worker| worker.claim(&claim_of_click(event, 1000 + event, 0)));
        one_is_fresh(&told, &in_flight(LEASE_MS));
        // And again where the lease has just run out.
        let told = race(&adapter, |_, worker| worker.claim(&claim_of_click(event, 1000 + event, LEASE_MS)));
        one_is_fresh(&told, &in_flight(LEASE_MS));
        let told = race(&adapter, |_, worker| worker.claim(&at_once(claim(5000 + event, 1, 0))));
        one_is_fresh(&told, &SEEN);
    }
}

pub(crate) fn of_racing_events_of_one_click_exactly_one_is_fresh<A: Adapter>() {
    let adapter = A::new();
    for click in 0..ROUNDS {
        let event_of = |racer: usize| 1000 * (click + 1) + u64::try_from(racer).unwrap();
        let told = race(&adapter, |racer, worker| worker.claim(&claim_of_click(event_of(racer), click, 0)));
        one_is_fresh(&told, &in_flight(LEASE_MS));
        // Who lost has claimed nothing.
        let mut worker = adapter.worker();
        for (racer, told) in told.iter().enumerate() {
            let expected = if *told == Ok(FRESH) { in_flight(LEASE_MS) } else { FRESH };
            assert_eq!(worker.claim(&claim(event_of(racer), 1, 0)), Ok(expected));
        }
    }
}

pub(crate) fn a_release_and_a_retry_race_without_a_second_hand_on<A: Adapter>() {
    let adapter = A::new();
    let mut worker = adapter.worker();
    for event in 0..ROUNDS {
        let first = claim(event, 1, 0);
        assert_eq!(worker.claim(&first), Ok(FRESH));
        let told = race(&adapter, |racer, worker| match racer {
            0 => worker.settle(&release(&first, 10)).map(|()| None),
            _ => worker.claim(&claim(event, 1, 10)).map(Some),
        });
        assert_eq!(told.first(), Some(&Ok(None)));
        let fresh = told.iter().filter(|told| **told == Ok(Some(FRESH))).count();
        let afterwards = worker.claim(&claim(event, 1, 11)).unwrap();
        match fresh {
            0 => assert_eq!(afterwards, FRESH, "{told:?}"),
            1 => assert_eq!(afterwards, in_flight(LEASE_MS - 1), "{told:?}"),
            _ => panic!("handed on twice: {told:?}"),
        }
    }
}

pub(crate) fn racing_claims_spend_no_more_than_the_quota<A: Adapter>() {
    let adapter = A::new();
    let quota = Rate::per(1, 1000, 3);
    for round in 0..ROUNDS {
        let ms = round * 3000;
        let told = race(&adapter, |racer, worker| {
            let event = 1000 * (round + 1) + u64::try_from(racer).unwrap();
            worker.claim(&Claim { quota, ..claim(event, 1, ms) }).unwrap()
        });
        let fresh = told.iter().filter(|told| matches!(told, ClaimAnswer::Fresh { .. })).count();
        assert_eq!(fresh, 3, "{told:?}");
    }
}

pub(crate) fn racing_refusals_all_count<A: Adapter>() {
    let adapter = A::new();
    let offender = source("203.0.113.9");
    for round in 0..ROUNDS {
        let ms = round * 60_000;
        let told = race(&adapter, |_, worker| worker.throttle(&throttle(offender, true, ms)));
        assert_eq!(told, [Ok(ThrottleAnswer::Pass); RACERS]);
        let answer = adapter.worker().throttle(&throttle(offender, false, ms)).unwrap();
        assert_eq!(answer, ThrottleAnswer::Limited { retry_after_ms: 20_000 }, "round {round}");
    }
}

pub(crate) fn a_crowd_of_many_partners_is_told_each_its_own<A: Adapter>() {
    // More than the rows that Spin reads ahead, also where two instances share them.
    const PARTNERS: usize = 16;
    let adapter = A::new();
    let quota = Rate::per(1, 1000, 3);
    for round in 0..ROUNDS {
        let ms = round * 3000;
        let told = race_of(PARTNERS, &adapter, |racer, worker| {
            let event = 1000 * (round + 1) + u64::try_from(racer).unwrap();
            let partner = format!("partner{racer}").into();
            let claim = Claim { partner, quota, ..at_once(claim(event, 1, ms)) };
            [worker.claim(&claim).unwrap(), worker.claim(&claim).unwrap()]
        });
        for told in &told {
            assert!(matches!(told, [ClaimAnswer::Fresh { quota: Some(_) }, SEEN]), "{told:?}");
        }
    }
}
