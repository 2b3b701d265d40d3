//! What the store answers: event id, fallback duplicates, quota. One request after another: what is under way meanwhile is in `hand_on`.

use countersign_core::outcome::Code::{Accepted, Duplicate, EventIdReused, FallbackDuplicate, RateLimited};
use countersign_core::time::Timestamp;

use super::draft::{Draft, Signer};
use super::{Chapter, Entry, keys, script};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, entries| Chapter { suite: Suite::Gate, name, comment, config: "gate", entries };
    vec![
        chapter("quota", "The partner's quota, with its header fields.", quota()),
        chapter("repeat", "Repeats, and ids used again.", repeat()),
        chapter("fallback", "The same click and type, less than a window apart by ts_event.", fallback()),
    ]
}

fn plain() -> Draft {
    Draft::of("plain")
}

fn quota() -> Vec<Entry> {
    let slow = |number: u64| Draft::of("slow").id(&format!("e-{number}")).click(number);
    let spent = || (1..=3).map(|number| (slow(number), Accepted)).collect::<Vec<_>>();
    let then = |rest: Vec<(Draft, _)>| [spent(), rest].concat();
    vec![
        script("burst-is-accepted-at-once", "RateLimit counts down.", spent()),
        script(
            "event-over-the-burst-is-limited",
            "Retry-After says when.",
            then(vec![(slow(4), RateLimited)]),
        ),
        script(
            "quota-is-limited-up-to-its-interval",
            "Two a second: one every 500 ms.",
            then(vec![(slow(4).later_ms(499), RateLimited)]),
        ),
        script(
            "quota-admits-one-after-its-interval",
            "And one only.",
            then(vec![(slow(4).later_ms(500), Accepted), (slow(5).later_ms(500), RateLimited)]),
        ),
        script(
            "quota-fills-again",
            "After 1.5 s the whole burst is there.",
            then((4..=6).map(|n| (slow(n).later_ms(1_500), Accepted)).collect()),
        ),
        script(
            "limited-event-claims-nothing",
            "It is fresh when it comes again.",
            then(vec![(slow(4), RateLimited), (slow(4).later_ms(500), Accepted)]),
        ),
        script(
            "repeat-costs-no-quota",
            "A sender whose answers were lost may fetch them again.",
            [
                (slow(1), Accepted),
                (slow(1), Duplicate),
                (slow(1), Duplicate),
                (slow(2), Accepted),
                (slow(3), Accepted),
                (slow(4), RateLimited),
            ],
        ),
        script(
            "repeat-is-answered-though-the-quota-is-spent",
            "It is answered 200; a new event and a reused id hear what they always hear.",
            then(vec![
                (slow(4), RateLimited),
                (slow(1), Duplicate),
                (slow(2).string("account_id", "u-2"), EventIdReused),
                (slow(4), RateLimited),
            ]),
        ),
        script(
            "refused-event-spends-nothing",
            "Only verified traffic can spend the quota: nobody else can exhaust it.",
            [
                (slow(1), Accepted),
                (slow(2).forged(), countersign_core::outcome::Code::SignatureInvalid),
                (slow(2).less("ts_event"), countersign_core::outcome::Code::EventInvalid),
                (slow(2), Accepted),
                (slow(3), Accepted),
                (slow(4), RateLimited),
            ],
        ),
        script(
            "quotas-are-per-partner",
            "One partner's burst is no other's business.",
            then(vec![(plain(), Accepted)]),
        ),
        script(
            "clock-that-goes-back-refills-nothing",
            "A step of the clock is no quota.",
            then(vec![(slow(4).earlier_ms(1_000), RateLimited)]),
        ),
    ]
}

fn repeat() -> Vec<Entry> {
    let other = |draft: Draft| draft.string("account_id", "u-2");
    let deposit = |amount: &str| plain().deposit(amount, "USD");
    vec![
        script(
            "repeat-is-answered-with-the-same-receipt",
            "Source §8: idempotent; the receipt of the first answer that was lost.",
            [(plain(), Accepted), (plain(), Duplicate)],
        ),
        script(
            "every-repeat-is-a-repeat",
            "However often.",
            [(plain(), Accepted), (plain(), Duplicate), (plain().later_ms(1_000), Duplicate)],
        ),
        script(
            "rewritten-repeat-is-a-repeat",
            "Payloads are compared as they are canonical.",
            [(plain(), Accepted), (plain().rewritten(), Duplicate)],
        ),
        script(
            "repeat-with-another-token-is-a-repeat",
            "Tokens are short-lived; events are not.",
            [(plain(), Accepted), (plain().client("203.0.113.99").later_ms(86_400_000), Duplicate)],
        ),
        script(
            "reused-id-is-refused",
            "Another payload under the same id: one of them would be lost.",
            [(plain(), Accepted), (other(plain()), EventIdReused)],
        ),
        script(
            "first-payload-stays",
            "A reused id changes nothing.",
            [(plain(), Accepted), (other(plain()), EventIdReused), (plain(), Duplicate)],
        ),
        script(
            "amount-written-otherwise-is-the-same",
            "100.00 and 100 are one number.",
            [(deposit("100.00"), Accepted), (deposit("100"), Duplicate)],
        ),
        script(
            "other-amount-is-another-payload",
            "A cent more.",
            [(deposit("100.00"), Accepted), (deposit("100.01"), EventIdReused)],
        ),
        script(
            "ids-are-per-partner",
            "Two partners may both begin with 1.",
            [(plain(), Accepted), (Draft::of("conflict"), Accepted)],
        ),
        script(
            "ids-are-compared-with-case",
            "Byte for byte.",
            [(plain().id("E-1"), Accepted), (plain().id("e-1").click(2), Accepted)],
        ),
        script(
            "id-behind-an-escape-is-the-same-id",
            "Ids are compared as texts, not as they are spelled.",
            [(plain(), Accepted), (plain().member("event_id", "\"\\u0065-1\""), Duplicate)],
        ),
        script(
            "refusal-claims-nothing",
            "An event that was refused is fresh when it is mended.",
            [(plain().less("ts_event"), countersign_core::outcome::Code::EventInvalid), (plain(), Accepted)],
        ),
        script(
            "forged-event-claims-nothing",
            "An attacker cannot use up ids.",
            [
                (
                    plain().signed_by(Signer::jcs("raw_key")),
                    countersign_core::outcome::Code::SignatureInvalid,
                ),
                (plain(), Accepted),
            ],
        ),
        script(
            "clock-that-goes-back-forgets-nothing",
            "A repeat with an earlier clock.",
            [(plain(), Accepted), (plain().earlier_ms(500), Duplicate)],
        ),
    ]
}

/// A draft whose event happened so many milliseconds after that of [`Draft::of`]; it arrives by then at the earliest.
pub(super) fn happened(draft: Draft, after_ms: i64) -> Draft {
    let plain = i64::try_from(keys::T0).unwrap_or(i64::MAX).saturating_sub(1_000);
    let ms = u64::try_from(plain.saturating_add(after_ms)).unwrap_or(0);
    let draft = draft.string("ts_event", Timestamp::from_ms(ms).write_rfc3339().as_str());
    draft.later_ms(u64::try_from(after_ms).unwrap_or(0))
}

fn fallback() -> Vec<Entry> {
    [fallback_window(), fallback_identity(), fallback_record()].concat()
}

fn shop(id: &str) -> Draft {
    Draft::of("shop").id(id)
}

fn deposit(id: &str) -> Draft {
    shop(id).deposit("10", "EUR")
}

fn fallback_window() -> Vec<Entry> {
    vec![
        script(
            "same-click-and-type-is-a-duplicate",
            "Source §8: duplicate_of names the first.",
            [(shop("a"), Accepted), (shop("b"), FallbackDuplicate)],
        ),
        script(
            "fallback-window-lasts-to-its-last-millisecond",
            "60 s between the two ts_event.",
            [(shop("a"), Accepted), (happened(shop("b"), 59_999), FallbackDuplicate)],
        ),
        script(
            "fallback-window-ends",
            "60 s apart they are two events.",
            [(shop("a"), Accepted), (happened(shop("b"), 60_000), Accepted)],
        ),
        script(
            "fallback-window-reaches-back",
            "The event that happened first may arrive last.",
            [
                (shop("a"), Accepted),
                (happened(shop("b"), -59_999), FallbackDuplicate),
                (happened(shop("c"), -60_000), Accepted),
            ],
        ),
        script(
            "backlog-that-arrives-at-once-is-as-many-events",
            "Sent two seconds apart, and 90 minutes apart by their own time.",
            [(happened(deposit("a"), -5_400_000), Accepted), (deposit("b").later_ms(2_000), Accepted)],
        ),
        script(
            "moment-of-arrival-does-not-matter",
            "An hour later it is still the same event.",
            [(shop("a"), Accepted), (shop("b").later_ms(3_600_000), FallbackDuplicate)],
        ),
        script(
            "duplicate-does-not-stretch-the-window",
            "Only accepted events hold an identity.",
            [
                (shop("a"), Accepted),
                (happened(shop("b"), 59_000), FallbackDuplicate),
                (happened(shop("c"), 60_000), Accepted),
            ],
        ),
        script(
            "of-two-originals-the-first-accepted-is-named",
            "The event lies within a window of both.",
            [
                (happened(shop("a"), 60_000), Accepted),
                (shop("b").later_ms(60_000), Accepted),
                (happened(shop("c"), 30_000).later_ms(60_000), FallbackDuplicate),
            ],
        ),
        script(
            "windows-are-per-type",
            "A deposit's is one second.",
            [
                (deposit("a"), Accepted),
                (happened(deposit("b"), 999), FallbackDuplicate),
                (happened(deposit("c"), 1_000), Accepted),
            ],
        ),
        script(
            "release-frees-nothing-that-was-accepted",
            "A repeat of the original changes nothing for its duplicates.",
            [(shop("a"), Accepted), (shop("a"), Duplicate), (shop("b"), FallbackDuplicate)],
        ),
    ]
}

fn fallback_identity() -> Vec<Entry> {
    let second = |id: &str| deposit(id).string("event", "second_deposit");
    vec![
        script(
            "another-click-is-another-event",
            "The click is part of it.",
            [(shop("a"), Accepted), (shop("b").click(2), Accepted)],
        ),
        script(
            "sealed-or-not-it-is-one-click",
            "The id in it is what counts, however often it was sealed.",
            [
                (shop("a"), Accepted),
                (shop("b").string("click_id", &keys::sealed(1, 1)), FallbackDuplicate),
                (shop("c").string("click_id", &keys::sealed(1, 2)), FallbackDuplicate),
                (shop("d").string("click_id", &keys::sealed(2, 1)), Accepted),
                (shop("e").click(2), FallbackDuplicate),
            ],
        ),
        script(
            "another-type-is-another-event",
            "The type is part of it.",
            [(shop("a"), Accepted), (deposit("b"), Accepted), (second("c"), Accepted)],
        ),
        script(
            "another-amount-is-another-event",
            "Two deposits of one second that differ are two.",
            [(deposit("a"), Accepted), (shop("b").deposit("10.01", "EUR"), Accepted)],
        ),
        script(
            "another-currency-is-another-event",
            "Ten euros are not ten dollars.",
            [(deposit("a"), Accepted), (shop("b").deposit("10", "USD"), Accepted)],
        ),
        script(
            "amount-written-otherwise-is-the-same-event",
            "10 and 10.00 are one amount.",
            [(deposit("a"), Accepted), (shop("b").deposit("10.00", "EUR"), FallbackDuplicate)],
        ),
        script(
            "declared-type-has-its-window",
            "Declared types too.",
            [(second("a"), Accepted), (second("b"), FallbackDuplicate)],
        ),
        script(
            "type-without-a-window-has-none",
            "The id alone tells events apart.",
            [
                (shop("a").string("event", "voucher"), Accepted),
                (shop("b").string("event", "voucher"), Accepted),
            ],
        ),
        script(
            "partner-without-a-window-has-none",
            "The id alone tells events apart.",
            [(plain().id("a"), Accepted), (plain().id("b"), Accepted)],
        ),
    ]
}

fn fallback_record() -> Vec<Entry> {
    vec![
        script(
            "repeat-of-a-fallback-duplicate-is-one-again",
            "The verdict of an event id does not change, however late it is sent again.",
            [
                (shop("a"), Accepted),
                (shop("b"), FallbackDuplicate),
                (shop("b").later_ms(1), FallbackDuplicate),
                (shop("b").later_ms(86_400_000), FallbackDuplicate),
            ],
        ),
        script(
            "first-payload-of-a-fallback-duplicate-does-not-matter",
            "It is a weaker identity.",
            [(shop("a"), Accepted), (shop("b").string("account_id", "u-2"), FallbackDuplicate)],
        ),
        script(
            "fallback-duplicate-with-another-payload-is-a-reused-id",
            "The duplicate is on record with its payload.",
            [
                (shop("a"), Accepted),
                (shop("b"), FallbackDuplicate),
                (shop("b").string("account_id", "u-2"), EventIdReused),
                (shop("b"), FallbackDuplicate),
            ],
        ),
        script(
            "first-event-repeated-in-its-window-is-a-repeat",
            "Its own window is no hindrance.",
            [(shop("a"), Accepted), (shop("a").later_ms(1), Duplicate)],
        ),
        script(
            "repeat-before-fallback",
            "The event is known by its id, although another of its click was accepted since.",
            [
                (shop("a"), Accepted),
                (happened(shop("b"), 60_000), Accepted),
                (shop("a").later_ms(60_001), Duplicate),
            ],
        )
        .pair(),
        script(
            "reuse-before-fallback",
            "The id is known, although another of its click was accepted since.",
            [
                (shop("a"), Accepted),
                (happened(shop("b"), 60_000), Accepted),
                (shop("a").string("account_id", "u-2").later_ms(60_001), EventIdReused),
            ],
        )
        .pair(),
    ]
}
