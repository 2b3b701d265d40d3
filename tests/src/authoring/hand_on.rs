//! Check 14: what becomes of a claim once the event is handed on. For hosts with an upstream.

use countersign_core::outcome::Code::{
    Accepted, Duplicate, EventIdReused, EventTooOld, FallbackDuplicate, InFlight, SignatureInvalid,
    StoreUnavailable, UpstreamRedirectRefused, UpstreamRefused, UpstreamUnavailable,
};

use super::claim::happened;
use super::draft::Draft;
use super::{Chapter, Entry, Said, one, script};
use crate::vector::{Suite, Upstream};

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, config, entries| Chapter { suite: Suite::HandOn, name, comment, config, entries };
    vec![
        chapter(
            "settle",
            "Commit on 2xx, release on a failure that is known, the lease where nobody knows.",
            "gate",
            [known(), unknown()].concat(),
        ),
        chapter("in_flight", "A claim that is under way.", "gate", in_flight()),
        chapter("handed_on", "What the upstream is handed.", "gate", handed_on()),
        chapter("full_slot", "A table so small that it fills.", "tiny", full_slot()),
        chapter("retention", "How long a committed event is remembered.", "tiny", retention()),
        chapter("freshness", "How old an unknown event may be.", "fresh", freshness()),
    ]
}

fn plain() -> Draft {
    Draft::of("plain")
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Upstream {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Upstream::Reply { status, headers, body: body.to_owned() }
}

/// Nothing is said of a step whose upstream does not answer before the vector is over.
fn pending(draft: Draft) -> (Draft, Said) {
    (draft.upstream(Upstream::Pending), Said::Prelude)
}

/// What an upstream vouches for wrongly.
fn vouching() -> Vec<Entry> {
    let contradicts = plain().upstream(reply(200, &[("x-countersign-not-accepted", "e-1")], ""));
    let mut entries = vec![script(
        "upstream-200-that-vouches-leaves-the-lease",
        "It says that it has the event and that it did not accept it: nobody knows.",
        [(contradicts, UpstreamUnavailable), (plain().later_ms(1), InFlight)],
    )];
    let why = "The word for another event, or for none: a proxy may have repeated it.";
    for (name, value) in [("another-event", "e-2"), ("no-event", ""), ("case", "E-1")] {
        let steps = [
            (plain().upstream(reply(503, &[("x-countersign-not-accepted", value)], "")), UpstreamUnavailable),
            (plain().later_ms(1), InFlight),
        ];
        entries.push(script(&format!("upstream-503-that-vouches-for-{name}-leaves-the-lease"), why, steps));
    }
    entries
}

fn known() -> Vec<Entry> {
    let why = "A 2xx of the upstream is an acknowledgement; the sender hears ours, not the upstream's body.";
    let mut entries = Vec::new();
    for status in [200, 201, 202, 204] {
        let body = if status == 204 { "" } else { "upstream's own" };
        let steps = [(plain().answered(status, body), Accepted), (plain().answered(503, ""), Duplicate)];
        entries.push(script(&format!("upstream-{status}-commits"), why, steps));
    }
    let redirect =
        |status| plain().upstream(reply(status, &[("location", "https://elsewhere.example/")], ""));
    for status in [301, 302, 307, 308] {
        let why = "Nothing is ever answered 3xx (source §5): a sender that follows would post elsewhere. A proxy may redirect a POST that it has passed on, so the lease stands.";
        let steps = [
            (redirect(status), UpstreamRedirectRefused),
            (plain().later_ms(29_999), InFlight),
            (plain().later_ms(30_000), Accepted),
        ];
        entries.push(script(&format!("upstream-{status}-is-refused-and-the-lease-stands"), why, steps));
    }
    for status in [500, 501] {
        let why = "An application's own words: it has failed, and the sender may try again at once.";
        let steps = [(plain().answered(status, "oops"), UpstreamUnavailable), (plain(), Accepted)];
        entries.push(script(&format!("upstream-{status}-releases"), why, steps));
    }
    for status in [502, 503, 504, 507, 599] {
        let why = "A proxy on the way answers so for a request that it has passed on: were the claim released, a retry would race the first attempt.";
        let steps = [
            (plain().answered(status, "oops"), UpstreamUnavailable),
            (plain().later_ms(29_999), InFlight),
            (plain().later_ms(30_000), Accepted),
        ];
        entries.push(script(&format!("upstream-{status}-leaves-the-lease"), why, steps));
        let why =
            "The upstream itself says of this event that it did not accept it: a failure that is known.";
        let vouched = plain().upstream(reply(status, &[("x-countersign-not-accepted", "e-1")], "oops"));
        let steps = [(vouched, UpstreamUnavailable), (plain(), Accepted)];
        entries.push(script(&format!("upstream-{status}-that-vouches-releases"), why, steps));
    }
    entries.extend(vouching());
    for status in [401, 403, 404, 405, 407, 408, 411, 413, 414, 415, 417, 421, 426, 431] {
        let why = "It speaks of the hop and not of the event: an operator has to mend it, so it is never a final answer for the sender.";
        let steps = [(plain().answered(status, "no"), UpstreamUnavailable), (plain(), Accepted)];
        entries.push(script(&format!("upstream-{status}-is-the-operators-and-releases"), why, steps));
    }
    let vouched = plain().upstream(reply(404, &[("x-countersign-not-accepted", "e-1")], "no such click"));
    entries.push(script(
        "upstream-404-that-vouches-is-passed-on",
        "The upstream itself says 404 of this event: its verdict.",
        [(vouched, Said::Status(UpstreamRefused, 404)), (plain(), Accepted.into())],
    ));
    for status in [400, 402, 409, 410, 412, 422, 428, 429, 451] {
        let why =
            "The upstream refuses the event: its own answer goes to the sender, and the claim is released.";
        let refusal = plain().upstream(reply(
            status,
            &[("content-type", "text/plain"), ("x-reason", "because")],
            "not mine",
        ));
        let steps = [(refusal, Said::Status(UpstreamRefused, status)), (plain(), Accepted.into())];
        entries.push(script(&format!("upstream-{status}-is-passed-on-and-releases"), why, steps));
    }
    let replayed = |value: &str| plain().upstream(reply(200, &[("idempotent-replayed", value)], "again"));
    entries.extend([
        script(
            "upstream-that-knows-the-event-makes-a-duplicate",
            "The table has forgotten, the upstream has not: the sender hears the truth.",
            [(replayed("true"), Duplicate), (plain(), Duplicate)],
        ),
        one("upstream-that-says-replayed-false-does-not", "Only true is true.", replayed("false"), Accepted),
        script(
            "upstream-that-calls-it-a-fallback-duplicate-is-believed",
            "What was not stored has no receipt, through the filter too. The claim is released, so that each repeat hears the upstream's own verdict.",
            [
                (
                    plain().upstream(reply(
                        200,
                        &[("idempotent-replayed", "true"), ("x-countersign-duplicate-of", "e-0")],
                        "{}",
                    )),
                    FallbackDuplicate,
                ),
                (plain().upstream(reply(200, &[("x-countersign-duplicate-of", "")], "{}")), FallbackDuplicate),
                (plain(), Accepted),
            ],
        ),
        one(
            "empty-answer-of-the-upstream-is-an-acknowledgement",
            "200 without a body.",
            plain().answered(200, ""),
            Accepted,
        ),
        script(
            "released-event-may-change",
            "The upstream has not taken it, so its id is free for a mended payload.",
            [
                (plain().answered(422, "bad"), Said::Status(UpstreamRefused, 422)),
                (plain().string("account_id", "u-2"), Accepted.into()),
            ],
        ),
        script(
            "release-frees-the-fallback-too",
            "The window of an event that failed holds nobody back.",
            [
                (Draft::of("shop").id("a").answered(500, ""), UpstreamUnavailable),
                (Draft::of("shop").id("b"), Accepted),
            ],
        ),
    ]);
    entries
}

fn unknown() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, upstream) in [("reset", Upstream::Reset), ("timeout", Upstream::Timeout)] {
        let lost = || plain().upstream(upstream.clone());
        let (a, b) = (Draft::of("shop").id("a").upstream(upstream.clone()), Draft::of("shop").id("b"));
        entries.extend([
            one(
                &format!("{name}-is-unavailable-until-the-lease-ends"),
                "Nobody knows whether the upstream has it; Retry-After is the lease.",
                lost(),
                UpstreamUnavailable,
            ),
            script(
                &format!("retry-after-{name}-within-the-lease-is-in-flight"),
                "Handed on twice, it might be counted twice.",
                [(lost(), UpstreamUnavailable), (plain().later_ms(29_999), InFlight)],
            ),
            script(
                &format!("retry-after-{name}-and-the-lease-is-served"),
                "Never swallowed: a lost event would be worse.",
                [(lost(), UpstreamUnavailable), (plain().later_ms(30_000), Accepted)],
            ),
            script(
                &format!("fallback-after-{name}-is-in-flight"),
                "The event that it would duplicate may be with the upstream.",
                [(a, UpstreamUnavailable), (b.later_ms(1), InFlight)],
            ),
        ]);
    }
    entries
}

fn in_flight() -> Vec<Entry> {
    let conflict = || Draft::of("conflict");
    let shop = |id: &str| Draft::of("shop").id(id);
    let first = |draft: Draft| pending(draft);
    let then = |draft: Draft, code| (draft, Said::Code(code));
    vec![
        script(
            "repeat-of-an-event-under-way-is-in-flight",
            "503 with Retry-After: most senders retry 5xx only.",
            [first(plain()), then(plain().later_ms(1_000), InFlight)],
        ),
        script(
            "repeat-of-an-event-under-way-is-409-where-asked-for",
            "in_flight_status.",
            [first(conflict()), (conflict().later_ms(1_000), Said::Status(InFlight, 409))],
        ),
        script(
            "other-payload-of-an-event-under-way-is-in-flight",
            "Which of the two counts is not decided yet.",
            [first(plain()), then(plain().string("account_id", "u-2"), InFlight)],
        ),
        script(
            "retry-after-counts-the-lease-down",
            "One second at the least.",
            [first(plain()), then(plain().later_ms(29_999), InFlight)],
        ),
        script(
            "event-under-way-is-served-after-its-lease",
            "The first attempt may be dead.",
            [
                first(plain()),
                then(plain().later_ms(30_000), Accepted),
                then(plain().later_ms(30_001), Duplicate),
            ],
        ),
        script(
            "other-event-is-not-in-flight",
            "Only the same id waits.",
            [first(plain()), then(plain().id("e-2"), Accepted)],
        ),
        script(
            "other-partner-is-not-in-flight",
            "Ids are per partner.",
            [first(plain()), then(conflict(), Accepted)],
        ),
        script(
            "fallback-of-an-event-under-way-is-in-flight",
            "It may become its duplicate, or the first one may fail.",
            [first(shop("a")), then(shop("b"), InFlight)],
        ),
        script(
            "fallback-of-an-event-under-way-is-served-after-the-lease",
            "The first attempt may be dead.",
            [first(shop("a")), then(shop("b").later_ms(30_000), Accepted)],
        ),
        script(
            "second-attempt-holds-a-lease-of-its-own",
            "After the first lease, a third attempt races the second.",
            [
                first(plain()),
                pending(plain().later_ms(30_000)),
                then(plain().later_ms(59_999), InFlight),
                then(plain().later_ms(60_000), Accepted),
            ],
        ),
        script(
            "forged-repeat-of-an-event-under-way-learns-nothing",
            "Check 8 comes before 11.",
            [first(plain()), then(plain().forged(), SignatureInvalid)],
        ),
    ]
}

fn handed_on() -> Vec<Entry> {
    let forged = ["partner", "event-id", "receipt", "attestation", "anything", "server-time"];
    let claims =
        forged.iter().fold(plain(), |draft, name| draft.also(&format!("x-countersign-{name}"), "forged"));
    vec![
        one(
            "upstream-is-told-what-was-verified",
            "Partner, event id, receipt, and an attestation over them.",
            plain(),
            Accepted,
        ),
        one("sender-s-own-fields-are-removed", "They would be believed behind the gate.", claims, Accepted),
        one(
            "sender-s-repeated-fields-are-removed",
            "All of them, however often.",
            plain().also("x-countersign-partner", "a").also("x-countersign-partner", "b"),
            Accepted,
        ),
        one(
            "attestation-is-over-the-body-as-sent",
            "The upstream has only that.",
            plain().rewritten(),
            Accepted,
        ),
        one(
            "query-reaches-the-upstream",
            "It is not the gate's.",
            plain().path("/postback/plain?x=1"),
            Accepted,
        ),
        one(
            "header-that-is-no-text-is-passed-on",
            "Header values are bytes; a VM must not die of 0xFF.",
            plain().header("x-any", b"\xff\xfe"),
            Accepted,
        ),
        one(
            "signature-that-is-no-text-is-refused",
            "Bytes that are no UTF-8.",
            plain().header("x-signature", b"sha256=\xff"),
            SignatureInvalid,
        ),
        one(
            "content-type-that-is-no-text-is-refused",
            "Bytes that are no UTF-8.",
            plain().header("content-type", b"application/json\xff"),
            countersign_core::outcome::Code::ContentTypeUnsupported,
        ),
        one(
            "authorization-that-is-no-text-is-none",
            "Bytes that are no UTF-8.",
            plain().header("authorization", b"Bearer \xff"),
            Accepted,
        ),
        one(
            "idempotency-key-that-is-no-text-is-invalid",
            "Bytes that are no UTF-8.",
            plain().header("idempotency-key", b"e-1\xff"),
            countersign_core::outcome::Code::EventInvalid,
        ),
        one(
            "forwarded-address-that-is-no-text-is-nobody",
            "Bytes that are no UTF-8.",
            Draft::of("walled").header("x-forwarded-for", b"203.0.113.7, \xff"),
            countersign_core::outcome::Code::SourceNotAllowed,
        ),
        one(
            "collect-is-no-route-in-front-of-an-upstream",
            "Only an inbox collects.",
            plain().path("/collect"),
            countersign_core::outcome::Code::NotFound,
        ),
    ]
}

fn full_slot() -> Vec<Entry> {
    let event = |number: u64| plain().id(&format!("e-{number}")).click(number);
    let shared = "e-1 and e-41 share a slot of one entry";
    vec![
        script(
            "claim-under-way-is-never-pushed-out",
            &format!("A retry later is better than a second hand-on now ({shared})."),
            [pending(event(SHARED.0)), (event(SHARED.1), Said::Code(StoreUnavailable))],
        ),
        script(
            "claim-under-way-gives-way-after-its-lease",
            &format!("Then the place is free ({shared})."),
            [pending(event(SHARED.0)), (event(SHARED.1).later_ms(30_000), Said::Code(Accepted))],
        ),
        script(
            "committed-event-gives-way-to-a-newer-one",
            &format!(
                "Memory is bounded; the eviction is counted, and the ledger's key is what guarantees ({shared})."
            ),
            [(event(SHARED.0), Accepted), (event(SHARED.1), Accepted), (event(SHARED.0), Accepted)],
        ),
    ]
}

/// Two numbers whose event ids share a slot of `configs/tiny.json`.
const SHARED: (u64, u64) = (1, 41);

fn retention() -> Vec<Entry> {
    let day = 86_400_000;
    vec![
        script(
            "event-is-remembered-for-its-retention",
            "A day, to its last millisecond.",
            [(plain(), Accepted), (plain().later_ms(day - 1), Duplicate)],
        ),
        script(
            "event-is-forgotten-after-its-retention",
            "The upstream's unique key is the guarantee beyond it.",
            [(plain(), Accepted), (plain().later_ms(day), Accepted)],
        ),
        script(
            "reused-id-is-another-event-after-its-retention",
            "It is forgotten altogether.",
            [
                (plain(), Accepted),
                (plain().string("account_id", "u-2").later_ms(day - 1), EventIdReused),
                (plain().string("account_id", "u-2").later_ms(day), Accepted),
            ],
        ),
        script(
            "fallback-identity-is-remembered-for-retention-and-window",
            "The last event that could be its duplicate comes a retention late.",
            [
                (Draft::of("shop").id("a"), Accepted),
                (Draft::of("shop").id("b").later_ms(2 * day - 1), FallbackDuplicate),
                (Draft::of("shop").id("c").later_ms(2 * day), Accepted),
            ],
        ),
        script(
            "duplicate-outlives-its-original-s-record",
            "The verdict stays; nobody knows any longer of which event.",
            [
                (Draft::of("shop").id("a"), Accepted),
                (Draft::of("shop").id("b").later_ms(2 * day - 1), FallbackDuplicate),
                (Draft::of("shop").id("b").later_ms(2 * day), FallbackDuplicate),
            ],
        ),
        script(
            "idempotent-upstream-takes-every-age",
            "It knows repeats by itself.",
            [(happened(plain(), -400 * 86_400_000), Accepted)],
        ),
    ]
}

fn freshness() -> Vec<Entry> {
    let day = 86_400_000;
    // The first instant of the vectors, which is the first of the memory.
    let now = |draft: Draft| happened(draft, 1_000).later_ms(0);
    let prompt = |id: &str| Draft::of("prompt").id(id);
    vec![
        one(
            "event-from-before-the-memory-is-too-old",
            "After a start a captured request is not a new event.",
            plain(),
            EventTooOld,
        ),
        one("event-of-the-first-instant-is-taken", "It cannot be a repeat.", now(plain()), Accepted),
        script(
            "known-event-is-a-repeat-to-the-end-and-then-too-old",
            "It is never fresh again.",
            [
                (now(plain()), Accepted),
                (now(plain()).later_ms(day - 1), Duplicate),
                (now(plain()).later_ms(day), EventTooOld),
                (now(plain()).later_ms(30 * day), EventTooOld),
            ],
        ),
        script(
            "event-of-a-fast-clock-is-remembered-from-its-own-time",
            "Its age is counted from there as well.",
            [
                (happened(plain(), 301_000).later_ms(0), Accepted),
                (happened(plain(), 301_000).later_ms(300_000 + day - 1), Duplicate),
                (happened(plain(), 301_000).later_ms(300_000 + day), EventTooOld),
            ],
        ),
        script(
            "age-is-bounded-per-partner",
            "A minute for this one.",
            [
                (now(plain()), Accepted),
                (now(prompt("a")).later_ms(59_999), Accepted),
                (now(prompt("b")).later_ms(60_000), EventTooOld),
                (now(plain()).id("late").later_ms(60_000), Accepted),
            ],
        ),
        script(
            "too-old-claims-nothing",
            "With its true time the event is fresh.",
            [(plain(), EventTooOld), (now(plain()), Accepted)],
        ),
    ]
}
