//! Checks 10 to 12: quota, event id, fallback duplicates. One request after another: what is under way meanwhile is in `hand_on`.

use countersign_core::outcome::Code::{Accepted, Duplicate, EventIdReused, FallbackDuplicate, RateLimited};

use super::draft::{Draft, Signer};
use super::{Chapter, Entry, keys, script};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, entries| Chapter { suite: Suite::Gate, name, comment, config: "gate", entries };
    vec![
        chapter("quota", "Check 10: the partner's quota, with its header fields.", quota()),
        chapter("repeat", "Check 11: repeats, and ids used again.", repeat()),
        chapter("fallback", "Check 12: the same click and type inside the window.", fallback()),
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
            "repeat-spends-quota",
            "Repeats cost as much as events, or a replay would be free.",
            [(slow(1), Accepted), (slow(1), Duplicate), (slow(1), Duplicate), (slow(1), RateLimited)],
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

fn fallback() -> Vec<Entry> {
    let shop = |id: &str| Draft::of("shop").id(id);
    let deposit = |id: &str| shop(id).deposit("10", "EUR");
    let second = |id: &str| deposit(id).string("event", "second_deposit");
    vec![
        script(
            "same-click-and-type-is-a-duplicate",
            "Source §8: duplicate_of names the first.",
            [(shop("a"), Accepted), (shop("b"), FallbackDuplicate)],
        ),
        script(
            "fallback-window-lasts-to-its-last-millisecond",
            "60 s from the first.",
            [(shop("a"), Accepted), (shop("b").later_ms(59_999), FallbackDuplicate)],
        ),
        script(
            "fallback-window-ends",
            "60 s later it is another event.",
            [(shop("a"), Accepted), (shop("b").later_ms(60_000), Accepted)],
        ),
        script(
            "duplicate-does-not-stretch-the-window",
            "The window is that of the first event.",
            [
                (shop("a"), Accepted),
                (shop("b").later_ms(59_000), FallbackDuplicate),
                (shop("c").later_ms(60_000), Accepted),
            ],
        ),
        script(
            "windows-are-per-type",
            "A deposit's is one second.",
            [
                (deposit("a"), Accepted),
                (deposit("b").later_ms(999), FallbackDuplicate),
                (deposit("c").later_ms(1_000), Accepted),
            ],
        ),
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
        script(
            "repeat-of-a-fallback-duplicate-is-one-again",
            "Its own id was never claimed.",
            [
                (shop("a"), Accepted),
                (shop("b"), FallbackDuplicate),
                (shop("b").later_ms(1), FallbackDuplicate),
            ],
        ),
        script(
            "fallback-duplicate-with-another-payload-is-one",
            "The payload does not matter: it is a weaker identity.",
            [(shop("a"), Accepted), (shop("b").string("account_id", "u-2"), FallbackDuplicate)],
        ),
        script(
            "first-event-repeated-in-its-window-is-a-repeat",
            "Its own window is no hindrance.",
            [(shop("a"), Accepted), (shop("a").later_ms(1), Duplicate)],
        ),
        script(
            "repeat-before-fallback",
            "Check 11 before 12: the event is known by its id, although another holds the window by now.",
            [
                (shop("a"), Accepted),
                (shop("b").later_ms(60_000), Accepted),
                (shop("a").later_ms(60_001), Duplicate),
            ],
        )
        .pair(),
        script(
            "reuse-before-fallback",
            "Check 11 before 12: the id is known, although another holds the window by now.",
            [
                (shop("a"), Accepted),
                (shop("b").later_ms(60_000), Accepted),
                (shop("a").string("account_id", "u-2").later_ms(60_001), EventIdReused),
            ],
        )
        .pair(),
    ]
}
