//! A store that answers what cannot be: 503, never a 200 and never a trap.

use countersign_host::embed::Delivery;
use countersign_host::embed::records::{ClaimAnswer, Limited, Quota, ThrottleAnswer};

use crate::gate::field;
use crate::memory::{NOW, registration, world};

const LEFT: Quota = Quota { burst: 3, window_seconds: 1, remaining: 2, reset_seconds: 1 };

#[test]
fn an_answer_that_cannot_be_one_to_the_claim_is_a_fault() {
    let more_than_all = Quota { remaining: 4, ..LEFT };
    let of_another_rate = Quota { burst: 4, ..LEFT };
    let limited = |quota| ClaimAnswer::Limited(Limited { retry_after_ms: 1, quota });
    let duplicate = |event_id: &str| ClaimAnswer::DuplicateOf(Some(event_id.to_owned()));
    let mut world = world();
    for answer in [
        ClaimAnswer::Fresh(None),
        ClaimAnswer::Fresh(Some(more_than_all)),
        ClaimAnswer::Fresh(Some(of_another_rate)),
        limited(more_than_all),
        limited(of_another_rate),
        duplicate(""),
        duplicate("two words"),
        duplicate("a\r\nset-cookie: b"),
        duplicate("\u{e9}"),
        duplicate(&"a".repeat(129)),
        duplicate(&"a".repeat(1 << 20)),
    ] {
        world.memory.lock().next_claim = Some(answer.clone());
        let reply = world.answer(&registration("reg-1", "click-1"), NOW);
        assert_eq!((reply.http.status, &*reply.facts.code), (503, "store_unavailable"), "{answer:?}");
        assert_eq!(reply.facts.detail, "the store holds bytes that this program did not write");
    }
    world.memory.lock().next_claim = Some(duplicate(&"a".repeat(128)));
    let reply = world.answer(&registration("reg-1", "click-1"), NOW);
    assert_eq!((reply.http.status, &*reply.facts.code), (200, "fallback_duplicate"));
    world.memory.lock().next_claim = Some(limited(Quota { remaining: 0, ..LEFT }));
    let reply = world.answer(&registration("reg-1", "click-1"), NOW);
    assert_eq!((reply.http.status, &*reply.facts.code), (429, "rate_limited"));
}

#[test]
fn a_duplicate_whose_original_is_forgotten_is_told_without_its_id() {
    let mut world = world();
    world.memory.lock().next_claim = Some(ClaimAnswer::DuplicateOf(None));
    let reply = world.answer(&registration("reg-2", "click-1"), NOW);
    assert_eq!((reply.http.status, &*reply.facts.code), (200, "fallback_duplicate"));
    let body = String::from_utf8(reply.http.body).unwrap();
    assert_eq!(body, r#"{"status":"ok","idempotent":true,"duplicate_of":null}"#);
}

#[test]
fn a_wait_without_end_is_told_as_it_is() {
    let mut world = world();
    world.memory.lock().next_claim = Some(ClaimAnswer::InFlight(u64::MAX));
    let reply = world.answer(&registration("reg-1", "click-1"), NOW);
    assert_eq!((reply.http.status, &*reply.facts.code), (503, "in_flight"));
    assert_eq!(field(&reply.http, "retry-after"), Some("18446744073709552"));
    world.memory.lock().next_throttle = Some(ThrottleAnswer::Limited(u64::MAX));
    let reply = world.answer(&registration("reg-1", "click-1"), NOW);
    assert_eq!((reply.http.status, &*reply.facts.code), (429, "source_limited"));
}

#[test]
fn a_clock_at_either_end_does_not_trap() {
    const LAST_MS: u64 = 253_402_300_799_999;
    let mut world = world();
    assert_eq!(world.answer(&registration("reg-1", "click-1"), 0).facts.code, "event_invalid");
    let claimed = world.claim(&registration("reg-1", "click-1"), u64::MAX);
    assert_eq!(claimed.lease_until_ms, LAST_MS, "what is later than the last instant is the last");
    let reply = world.host.settle(claimed, &Delivery::Unknown, u64::MAX).unwrap();
    assert_eq!((reply.http.status, field(&reply.http, "retry-after")), (503, Some("1")));
}
