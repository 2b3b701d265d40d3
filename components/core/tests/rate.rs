//! The generic cell rate algorithm: the published sequence, and what the clock and the limits can do to it.
#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use countersign_core::rate::{BURST_MAX, CLOCK_STEP_MS_MAX, Decision, INTERVAL_US_MAX, Quota, Rate};
use countersign_core::time::Timestamp;
use serde_json::Value;

mod third_party;

const START_MS: u64 = 1_767_225_600_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(START_MS + ms)
}

fn quota_of(decision: Decision) -> Quota {
    match decision {
        Decision::Admit { quota, .. } | Decision::Limit { quota, .. } => quota,
    }
}

#[test]
fn the_published_sequence_of_redis_cell_is_reproduced() {
    let Some(text) = third_party::read("gcra/gcra-redis-cell.json") else { return };
    let data: Value = serde_json::from_str(&text).unwrap();
    let rate = Rate::per(
        1,
        data["period_ms"].as_u64().unwrap(),
        u32::try_from(data["limit"].as_u64().unwrap()).unwrap(),
    )
    .unwrap();
    let mut stored = None;
    let steps = data["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 15);
    for step in steps {
        let count = u32::try_from(step["quantity"].as_u64().unwrap()).unwrap();
        let now = at(step["now_ms"].as_u64().unwrap());
        let decision = rate.take(count, stored, now);
        let quota = quota_of(decision);
        assert_eq!(u64::from(quota.remaining), step["remaining"].as_u64().unwrap(), "{step}");
        assert_eq!(quota.reset_seconds, step["reset_after_ms"].as_u64().unwrap().div_ceil(1000), "{step}");
        match decision {
            Decision::Admit { stored: after, .. } => {
                assert_eq!(step["limited"], false, "{step}");
                assert_eq!(after / 1000 - now.as_ms(), step["reset_after_ms"].as_u64().unwrap(), "{step}");
                stored = Some(after);
            }
            Decision::Limit { retry_after_ms, .. } => {
                assert_eq!(step["limited"], true, "{step}");
                // The sequence leaves out the wait of a request that can never be admitted.
                assert_eq!(retry_after_ms, step["retry_after_ms"].as_u64().unwrap_or(u64::MAX), "{step}");
            }
        }
    }
}

#[test]
fn quota_is_the_burst_over_the_seconds_that_refill_it() {
    // (count, period ms, burst) after so many events at once -> (q, w, r, t)
    let table = [
        ((50, 1000, 200), 0, (200, 4, 200, 0)),
        ((50, 1000, 200), 1, (200, 4, 199, 1)),
        ((50, 1000, 200), 51, (200, 4, 149, 2)),
        ((50, 1000, 200), 200, (200, 4, 0, 4)),
        ((50, 1000, 50), 1, (50, 1, 49, 1)),
        ((3, 1000, 3), 3, (3, 2, 0, 2)),
        ((600, 60_000, 600), 600, (600, 60, 0, 60)),
        ((1, 3_600_000, 1), 1, (1, 3600, 0, 3600)),
        ((1_000_000, 1000, 1), 1, (1, 1, 0, 1)),
    ];
    for ((count, period_ms, burst), events, (q, w, r, t)) in table {
        let rate = Rate::per(count, period_ms, burst).unwrap();
        let quota = quota_of(rate.take(events, None, at(0)));
        let expected = Quota { burst: q, window_seconds: w, remaining: r, reset_seconds: t };
        assert_eq!(quota, expected, "{count} per {period_ms} ms, burst {burst}, after {events}");
    }
}

#[test]
fn rates_outside_their_limits_are_refused() {
    let table = [
        ((1, 1000, 1), true),
        ((0, 1000, 1), false),
        ((1, 0, 1), false),
        ((1, 1000, 0), false),
        ((1, 1000, BURST_MAX), true),
        ((1, 1000, BURST_MAX + 1), false),
        ((1, INTERVAL_US_MAX / 1000, 1), true),
        ((1, INTERVAL_US_MAX / 1000 + 1, 1), false),
        ((1_000_000, 1000, 1), true),
        ((1_000_001, 1000, 1), false),
        ((1, u64::MAX, 1), false),
    ];
    for ((count, period_ms, burst), valid) in table {
        assert_eq!(
            Rate::per(count, period_ms, burst).is_some(),
            valid,
            "{count} per {period_ms}, burst {burst}"
        );
    }
    assert_eq!(
        Rate::per(3, 1000, 1).unwrap().interval_us,
        333_334,
        "rounded up: never more than was asked for"
    );
}

#[test]
fn a_refused_event_is_admitted_at_its_retry_after_and_not_a_millisecond_before() {
    let rate = Rate::per(3, 1000, 2).unwrap();
    let stored = Some(rate.spent(at(0)));
    let Decision::Limit { retry_after_ms, .. } = rate.decide(stored, at(0)) else { panic!("admitted") };
    assert!(matches!(rate.decide(stored, at(retry_after_ms - 1)), Decision::Limit { .. }));
    assert!(matches!(rate.decide(stored, at(retry_after_ms)), Decision::Admit { .. }));
}

/// How many events are admitted when each of `instants` asks 100 times.
fn admitted(rate: Rate, instants: &[u64]) -> u32 {
    let (mut stored, mut count) = (None, 0);
    for ms in instants {
        for _ in 0..100 {
            if let Decision::Admit { stored: after, .. } = rate.decide(stored, at(*ms)) {
                stored = Some(after);
                count += 1;
            }
        }
    }
    count
}

#[test]
fn a_clock_that_goes_back_never_refills_a_quota() {
    let rate = Rate::per(1, 1000, 5).unwrap();
    let hour = 3_600_000;
    assert_eq!(admitted(rate, &[hour]), 5);
    assert_eq!(admitted(rate, &[hour, hour - 1]), 5, "a step of a millisecond");
    assert_eq!(admitted(rate, &[hour, hour - CLOCK_STEP_MS_MAX]), 5, "the longest step that is waited out");
    assert_eq!(admitted(rate, &[hour, hour - CLOCK_STEP_MS_MAX - 1]), 6, "a longer step costs one event");
    assert_eq!(admitted(rate, &[hour, 0]), 6);
    assert_eq!(admitted(rate, &[hour, 0, 999]), 6, "and the rate holds from there");
    assert_eq!(admitted(rate, &[hour, 0, 1000]), 7);
    // Two workers whose clocks differ by less than the step cannot take turns at the quota.
    let turns: Vec<u64> = (0..50).flat_map(|_| [hour, hour - 30_000]).collect();
    assert_eq!(admitted(rate, &turns), 5);
}

#[test]
fn nothing_overflows_at_the_ends_of_time_and_of_the_stored_instant() {
    let rates = [
        Rate { interval_us: u64::MAX, burst: u32::MAX },
        Rate { interval_us: INTERVAL_US_MAX, burst: BURST_MAX },
        Rate { interval_us: 1, burst: 1 },
        Rate { interval_us: 0, burst: 0 },
    ];
    for rate in rates {
        for stored in [None, Some(0), Some(u64::MAX)] {
            for now in [Timestamp::from_ms(0), at(0), Timestamp::MAX] {
                for count in [0, 1, u32::MAX] {
                    let quota = quota_of(rate.take(count, stored, now));
                    assert!(quota.remaining <= rate.burst, "{rate:?} {stored:?} {now:?} {count}");
                }
            }
        }
    }
    // A cell that holds the end of time heals within one event.
    let rate = Rate::per(50, 1000, 200).unwrap();
    let Decision::Admit { stored, quota } = rate.decide(Some(u64::MAX), at(0)) else { panic!("locked out") };
    assert_eq!((quota.remaining, stored), (0, rate.spent(at(0))));
    assert!(matches!(rate.decide(Some(stored), at(19)), Decision::Limit { .. }));
    assert!(matches!(rate.decide(Some(stored), at(20)), Decision::Admit { .. }));
}
