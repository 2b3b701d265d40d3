//! Quotas of partners and refusals of sources.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_core::rate::{Quota, Rate};
use countersign_core::store::{Claim, ClaimAnswer, SourceKey, ThrottleAnswer};

use crate::adapter::Adapter;
use crate::claims::*;

const fn limited(retry_after_ms: u64) -> ThrottleAnswer {
    ThrottleAnswer::Limited { retry_after_ms }
}

pub(crate) fn the_quota_is_spent_by_what_writes_and_a_limited_claim_claims_nothing<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let quota = Rate::per(1, 1000, 2);
    let ask = |event, ms| Claim { quota, ..claim_of_click(event, 900 + event, ms) };
    let left = |remaining, reset_seconds| Quota { burst: 2, window_seconds: 2, remaining, reset_seconds };
    assert_eq!(one.claim(&ask(1, 0)), Ok(ClaimAnswer::Fresh { quota: Some(left(1, 1)) }));
    assert_eq!(other.claim(&ask(1, 0)), Ok(in_flight(LEASE_MS)), "a repeat costs nothing");
    one.settle(&commit(&ask(1, 0), 0)).unwrap();
    // The first record of a duplicate is a write.
    let duplicate = Claim { quota, ..claim_of_click(3, 901, 0) };
    assert_eq!(one.claim(&duplicate), Ok(duplicate_of(1)));
    let limited = ClaimAnswer::Limited { retry_after_ms: 1000, quota: left(0, 2) };
    assert_eq!(one.claim(&ask(2, 0)), Ok(limited.clone()));
    assert_eq!(other.claim(&Claim { quota, ..claim_of_click(4, 901, 0) }), Ok(limited));
    assert_eq!(other.claim(&ask(1, 0)), Ok(SEEN), "a repeat is answered though the quota is spent");
    assert_eq!(other.claim(&duplicate), Ok(duplicate_of(1)), "and so is a recorded duplicate");
    assert_eq!(one.claim(&claim_of_click(2, 902, 0)), Ok(FRESH), "nothing was claimed");
    assert_eq!(other.claim(&ask(5, 1000)), Ok(ClaimAnswer::Fresh { quota: Some(left(0, 2)) }));
}

pub(crate) fn partners_have_quotas_of_their_own<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let quota = Rate::per(1, 1000, 1);
    for (event, partner) in [(1, "acme"), (2, "acme2"), (3, "acm")] {
        let ask = |event| Claim { quota, partner: Arc::from(partner), ..at_once(claim(event, 1, 0)) };
        let answer = one.claim(&ask(event)).unwrap();
        assert!(matches!(answer, ClaimAnswer::Fresh { .. }), "{partner}: {answer:?}");
        let again = one.claim(&ask(10 + event)).unwrap();
        assert!(matches!(again, ClaimAnswer::Limited { .. }), "{partner}: {again:?}");
    }
}

/// By more than `rate::CLOCK_STEP_MS_MAX`: waiting for the old clock would lock the partner out.
pub(crate) fn a_clock_set_far_back_leaves_one_event<A: Adapter>() {
    const BEFORE: u64 = 3_600_000;
    let adapter = A::new();
    let mut one = adapter.worker();
    let quota = Rate::per(1, 1000, 2);
    let ask = |event, ms| Claim { quota, ..claim_of_click(event, 900 + event, ms) };
    assert!(matches!(one.claim(&ask(1, BEFORE)), Ok(ClaimAnswer::Fresh { .. })));
    let spent = Quota { burst: 2, window_seconds: 2, remaining: 0, reset_seconds: 2 };
    assert_eq!(one.claim(&ask(2, 0)), Ok(ClaimAnswer::Fresh { quota: Some(spent) }));
    assert_eq!(one.claim(&ask(3, 0)), Ok(ClaimAnswer::Limited { retry_after_ms: 1000, quota: spent }));
    assert!(matches!(one.claim(&ask(3, 1000)), Ok(ClaimAnswer::Fresh { .. })), "and it fills again");

    let offender = source("203.0.113.9");
    for ms in [BEFORE, BEFORE, BEFORE, 0] {
        assert_eq!(one.throttle(&throttle(offender, false, ms)), Ok(ThrottleAnswer::Pass));
        assert_eq!(one.throttle(&throttle(offender, true, ms)), Ok(ThrottleAnswer::Pass));
    }
    assert_eq!(one.throttle(&throttle(offender, false, 0)), Ok(limited(20_000)));
}

pub(crate) fn the_throttle_counts_refusals_only<A: Adapter>() {
    let adapter = A::new();
    let (mut one, mut other) = (adapter.worker(), adapter.worker());
    let (offender, honest) = (source("203.0.113.9"), source("203.0.113.8"));
    for _ in 0..10 {
        assert_eq!(
            one.throttle(&throttle(honest, false, 0)),
            Ok(ThrottleAnswer::Pass),
            "looking costs nothing"
        );
    }
    for _ in 0..3 {
        // A worker may believe a source without refusals for a second; what it counts itself, it knows at once.
        assert_eq!(other.throttle(&throttle(offender, false, 0)), Ok(ThrottleAnswer::Pass));
        assert_eq!(other.throttle(&throttle(offender, true, 0)), Ok(ThrottleAnswer::Pass));
    }
    assert_eq!(one.throttle(&throttle(offender, false, 0)), Ok(limited(20_000)));
    assert_eq!(one.throttle(&throttle(source("::ffff:203.0.113.9"), false, 0)), Ok(limited(20_000)));
    assert_eq!(
        one.throttle(&throttle(offender, true, 0)),
        Ok(ThrottleAnswer::Pass),
        "counting always passes"
    );
    assert_eq!(other.throttle(&throttle(offender, false, 19_999)), Ok(limited(1)), "and stops at the limit");
    assert_eq!(other.throttle(&throttle(offender, false, 20_000)), Ok(ThrottleAnswer::Pass));
    assert_eq!(one.throttle(&throttle(honest, false, 0)), Ok(ThrottleAnswer::Pass));
    for _ in 0..3 {
        one.throttle(&throttle(source("2001:db8:1:2::1"), true, 0)).unwrap();
    }
    assert_eq!(
        one.throttle(&throttle(source("2001:db8:1:2:ffff::9"), false, 0)),
        Ok(limited(20_000)),
        "the same /64"
    );
    assert_eq!(one.throttle(&throttle(source("2001:db8:1:3::1"), false, 0)), Ok(ThrottleAnswer::Pass));
}

pub(crate) fn a_crowd_of_sources_forgives_nobody_in_particular<A: Adapter>() {
    let adapter = A::new();
    let mut one = adapter.worker();
    let offender = source("10.0.0.0");
    for _ in 0..3 {
        one.throttle(&throttle(offender, true, 0)).unwrap();
    }
    // Each once, some of them in the offender's slot: none of those pushes it out.
    for number in 1..400_u32 {
        let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        one.throttle(&throttle(SourceKey::of(address), true, 0)).unwrap();
    }
    assert_eq!(one.throttle(&throttle(offender, false, 0)), Ok(limited(20_000)));
}
