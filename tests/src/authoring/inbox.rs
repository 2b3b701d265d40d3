//! Attested events at `/collect`, for hosts with the inbox. The attestation stands in place of checks 4 to 6, 8 and 10.

use countersign_core::attestation;
use countersign_core::outcome::Code::{
    self, Accepted, AttestationInvalid, ClickIdInvalid, ContentTypeUnsupported, Duplicate, EventIdReused,
    EventInvalid, FallbackDuplicate, MethodNotAllowed, PayloadMalformed, PayloadTooLarge, SourceLimited,
};
use countersign_core::receipt::MacKey;
use countersign_core::time::Timestamp;
use sha2::{Digest as _, Sha256};

use super::draft::Draft;
use super::{Chapter, Entry, Said, keys, one, script};
use crate::vector::{self, Suite};

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, entries| Chapter { suite: Suite::Inbox, name, comment, config: "gate", entries };
    vec![
        chapter(
            "collect",
            "Attested events, and attestations that are not believed.",
            [collected(), refused()].concat(),
        ),
        chapter(
            "precedence",
            "Requests to /collect that fail two checks: the earlier one answers.",
            precedence(),
        ),
        chapter("inbox", "The same inbox behind both doors.", both_doors()),
        Chapter {
            suite: Suite::Inbox,
            name: "hop_rotation",
            comment: "Hop keys that overlap: every valid one is believed.",
            config: "rotation",
            entries: rotated(),
        },
    ]
}

/// An attestation while it is written.
#[derive(Clone)]
struct Hop {
    partner: &'static str,
    event_id: String,
    key: MacKey,
    /// The attestation's time less the request's clock, in milliseconds.
    age_ms: i64,
}

impl Hop {
    fn of(partner: &'static str) -> Self {
        Self { partner, event_id: "e-1".to_owned(), key: keys::hop(), age_ms: -5 }
    }

    /// A request as a filter hands it on: unsigned fields are as they were, and three of the filter's own are added.
    fn attests(&self, draft: Draft) -> Draft {
        let draft = draft.path("/collect");
        let (at, request, _) = draft.finish();
        let body = request.body.map(|body| vector::bytes(&body).unwrap_or_default()).unwrap_or_default();
        let at = Timestamp::from_ms(at.saturating_add_signed(self.age_ms));
        let hash = Sha256::digest(body).into();
        let value = attestation::attest(&self.key, self.partner, &self.event_id, &hash, at);
        draft
            .header("x-countersign-partner", self.partner)
            .header("x-countersign-event-id", &self.event_id)
            .header("x-countersign-attestation", value.as_str())
    }
}

fn plain() -> Draft {
    Draft::of("plain")
}

/// A good attested event.
fn good() -> Draft {
    Hop::of("plain").attests(plain())
}

fn collected() -> Vec<Entry> {
    let aged = |age_ms| Hop { age_ms, ..Hop::of("plain") }.attests(plain());
    let member = Draft::of("member").string("signature", "sha256=of-the-sender").unsigned();
    let jwt = Hop::of("bearer").attests(Draft::of("bearer").unsigned());
    let walled = Hop::of("walled").attests(Draft::of("walled").client("192.0.2.1").unsigned());
    let slow = |number: u64| {
        let id = format!("e-{number}");
        Hop { event_id: id.clone(), ..Hop::of("slow") }.attests(Draft::of("slow").id(&id).click(number))
    };
    vec![
        one("attested-event-is-collected", "The filter in front has verified it.", good(), Accepted),
        one("attestation-as-old-as-may-be-is-believed", "Five minutes.", aged(-300_000), Accepted),
        one(
            "attestation-as-far-ahead-as-may-be-is-believed",
            "A minute: two hosts' clocks differ a little.",
            aged(60_000),
            Accepted,
        ),
        one(
            "attested-event-needs-no-signature",
            "The filter has checked it.",
            Hop::of("plain").attests(plain().unsigned()),
            Accepted,
        ),
        one("attested-event-needs-no-token", "The filter has checked it.", jwt, Accepted),
        one(
            "attested-event-may-come-from-anywhere",
            "The filter's address is not the sender's.",
            walled,
            Accepted,
        ),
        one(
            "attested-event-keeps-its-signature-member",
            "It is no part of the payload here either.",
            Hop::of("member").attests(member),
            Accepted,
        ),
        script(
            "attested-event-spends-no-quota",
            "It spent it at the filter.",
            (1..=5).map(|n| (slow(n), Accepted)),
        ),
        script(
            "attested-repeat-is-a-repeat",
            "The same receipt, although the attestation is another.",
            [(good(), Accepted), (Hop::of("plain").attests(plain().later_ms(7)), Duplicate)],
        ),
        script(
            "attestation-itself-may-be-repeated",
            "A filter whose upstream connection broke tries again.",
            [(good(), Accepted), (good(), Duplicate)],
        ),
    ]
}

fn rotated() -> Vec<Entry> {
    let of = |secret: &str| Hop { key: MacKey::new(&keys::key(secret)), ..Hop::of("plain") };
    let event = || plain().string("ts_event", "2026-10-21T15:11:00Z");
    let (old, new) = (of("old_hop_key"), of("hop_key"));
    let both = "Filter and inbox change over one after the other.";
    vec![
        one(
            "no-hop-key-is-valid-yet",
            "A clock that stands before every key.",
            old.attests(event().earlier_ms(151_001)),
            AttestationInvalid,
        ),
        one(
            "new-hop-key-is-refused-a-moment-early",
            "One millisecond.",
            new.attests(event().earlier_ms(31_001)),
            AttestationInvalid,
        ),
        one(
            "old-hop-key-is-believed-alone",
            "Before the new one begins.",
            old.attests(event().earlier_ms(31_001)),
            Accepted,
        ),
        one("old-hop-key-is-believed-in-the-overlap", both, old.attests(event()), Accepted),
        one("new-hop-key-is-believed-in-the-overlap", both, new.attests(event()), Accepted),
        one(
            "old-hop-key-is-believed-up-to-its-end",
            "The last millisecond.",
            old.attests(event().later_ms(28_999)),
            Accepted,
        ),
        one(
            "old-hop-key-is-refused-at-its-end",
            "The first instant without it.",
            old.attests(event().later_ms(29_000)),
            AttestationInvalid,
        ),
        one(
            "new-hop-key-is-believed-alone",
            "After the old one ended.",
            new.attests(event().later_ms(29_000)),
            Accepted,
        ),
        script(
            "event-is-the-same-under-another-hop-key",
            "A filter that tries again after the change-over.",
            [(old.attests(event()), Accepted), (new.attests(event().later_ms(7)), Duplicate)],
        ),
    ]
}

fn refused() -> Vec<Entry> {
    let aged = |age_ms| Hop { age_ms, ..Hop::of("plain") }.attests(plain());
    let other_key = Hop { key: MacKey::new(&keys::key("receipt_key")), ..Hop::of("plain") }.attests(plain());
    let value = |value: &str| good().header("x-countersign-attestation", value);
    let twice = "Which of two the filter wrote is unknown, joined or apart.";
    let mut entries = vec![
        one(
            "event-without-an-attestation-is-refused",
            "Only a filter may collect.",
            plain().path("/collect"),
            AttestationInvalid,
        ),
        one(
            "attestation-that-is-too-old-is-refused",
            "The answer has the skew: the hop's clock may be wrong.",
            aged(-300_001),
            AttestationInvalid,
        ),
        one(
            "attestation-that-is-too-far-ahead-is-refused",
            "A clock that is wrong.",
            aged(60_001),
            AttestationInvalid,
        ),
        one(
            "attestation-of-another-key-is-refused",
            "Not the hop key; nothing is told of the clock.",
            other_key,
            AttestationInvalid,
        ),
        one(
            "attestation-of-another-body-is-refused",
            "The body is under the MAC.",
            good().tail(" "),
            AttestationInvalid,
        ),
        one(
            "attestation-of-another-partner-is-refused",
            "The partner is under the MAC.",
            good().header("x-countersign-partner", "conflict"),
            AttestationInvalid,
        ),
        one(
            "attestation-of-another-event-is-refused",
            "The event id is under the MAC.",
            good().header("x-countersign-event-id", "e-2"),
            AttestationInvalid,
        ),
        one(
            "attested-id-that-is-not-the-body-s-is-refused",
            "A hop that names another event than it hands on is broken, genuine or not.",
            Hop { event_id: "e-2".to_owned(), ..Hop::of("plain") }.attests(plain()),
            AttestationInvalid,
        ),
        one(
            "attestation-of-an-unknown-partner-is-refused",
            "The hop's configuration has another partner than ours.",
            Hop::of("nobody").attests(plain()),
            AttestationInvalid,
        ),
        one(
            "repeated-attestation-is-refused",
            twice,
            good().also("x-countersign-attestation", "v1;t=1;mac=x"),
            AttestationInvalid,
        ),
        one(
            "repeated-attested-partner-is-refused",
            twice,
            good().also("x-countersign-partner", "conflict"),
            AttestationInvalid,
        ),
    ];
    for name in ["partner", "event-id", "attestation"] {
        let id = format!("missing-attested-{name}-is-refused");
        entries.push(one(
            &id,
            "All three fields are needed.",
            good().without(&format!("x-countersign-{name}")),
            AttestationInvalid,
        ));
    }
    for (id, text) in [
        (
            "attestation-of-another-version-is-refused",
            "v2;t=1792595551000;mac=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
        ("attestation-without-a-time-is-refused", "v1;mac=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        (
            "attestation-with-a-leading-zero-is-refused",
            "v1;t=01792595551000;mac=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
        ("attestation-cut-short-is-refused", "v1;t=1792595551000;mac=AAAA"),
        ("empty-attestation-is-refused", ""),
    ] {
        entries.push(one(id, "v1;t=<ms>;mac=<43 characters of base64url>.", value(text), AttestationInvalid));
    }
    entries
}

fn precedence() -> Vec<Entry> {
    type Breach = (&'static str, Code, fn(Draft) -> Draft);
    let breaches: [Breach; 6] = [
        ("collect-method", MethodNotAllowed, |draft| draft.method("PUT")),
        ("collect-content-type", ContentTypeUnsupported, |draft| draft.header("content-type", "text/plain")),
        ("collect-size", PayloadTooLarge, |draft| draft.member("pad", &format!("\"{}\"", "x".repeat(2048)))),
        ("collect-attestation", AttestationInvalid, |draft| draft),
        ("collect-json", PayloadMalformed, |draft| draft.tail("x")),
        ("collect-event", EventInvalid, |draft| draft.less("ts_event")),
    ];
    let mut entries = Vec::new();
    for (place, first) in breaches.iter().enumerate() {
        for second in breaches.iter().skip(place + 1) {
            let draft = (first.2)((second.2)(plain()));
            let unattested = [first.1, second.1].contains(&AttestationInvalid);
            let draft = if unattested { draft.path("/collect") } else { Hop::of("plain").attests(draft) };
            let id = format!("{}-before-{}", first.0, second.0);
            entries.push(
                one(
                    &id,
                    &format!("{} is checked before {}.", first.1.metric(), second.1.metric()),
                    draft,
                    of_the_hop(first.1),
                )
                .pair(),
            );
        }
    }
    let forged = plain().string("click_id", &keys::click_with(b"another", 1));
    let other = Hop::of("plain").attests(plain().string("account_id", "u-2"));
    let click = |draft: Draft| Hop::of("plain").attests(draft);
    entries.extend([
        one(
            "collect-event-before-collect-click",
            "event_invalid is checked before click_id_invalid.",
            click(forged.clone().less("ts_event")),
            of_the_hop(EventInvalid),
        )
        .pair(),
        script(
            "collect-click-before-collect-repeat",
            "Check 9 before 11.",
            [(good(), Accepted.into()), (click(forged), of_the_hop(ClickIdInvalid))],
        )
        .pair(),
        script(
            "collect-reuse-is-refused",
            "Check 11 at this door too.",
            [(good(), Accepted), (other, EventIdReused)],
        ),
        script(
            "throttle-before-collect-attestation",
            "Guessing attestations is slowed down as well.",
            [
                vec![(plain().path("/collect"), AttestationInvalid); 6],
                vec![(plain().path("/collect"), SourceLimited)],
            ]
            .concat(),
        )
        .pair(),
    ]);
    entries
}

/// What the filter in front has accepted and the inbox refuses lies between two documents of the operator: 503.
fn of_the_hop(code: Code) -> Said {
    match code {
        PayloadMalformed | EventInvalid | ClickIdInvalid => Said::Status(code, 503),
        _ => Said::Code(code),
    }
}

fn both_doors() -> Vec<Entry> {
    let shop = |id: &str| Draft::of("shop").id(id);
    let collect = |id: &str| Hop { event_id: id.to_owned(), ..Hop::of("shop") }.attests(shop(id));
    vec![
        one(
            "postback-to-the-inbox-is-accepted",
            "Without a filter in front, the gate does it all.",
            plain(),
            Accepted,
        ),
        script(
            "event-that-was-posted-is-a-repeat-when-collected",
            "One inbox, one key.",
            [(plain(), Accepted), (good(), Duplicate)],
        ),
        script(
            "event-that-was-collected-is-a-repeat-when-posted",
            "One inbox, one key.",
            [(good(), Accepted), (plain(), Duplicate)],
        ),
        script(
            "fallback-counts-across-both-doors",
            "One inbox, one window.",
            [(collect("a"), Accepted), (shop("b"), FallbackDuplicate)],
        ),
        script(
            "posted-event-is-a-fallback-when-collected",
            "One inbox, one window.",
            [(shop("a"), Accepted), (collect("b"), FallbackDuplicate)],
        ),
        one(
            "attestation-opens-no-other-door",
            "At /postback it means nothing.",
            good().path("/postback/plain").unsigned(),
            Code::SignatureInvalid,
        ),
    ]
}
