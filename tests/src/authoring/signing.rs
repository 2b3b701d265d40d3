//! Check 8: signatures, in every scheme, with every fault that a sender's library has.

use countersign_core::outcome::Code::{self, Accepted, PayloadMalformed, SignatureInvalid};
use countersign_core::signature::{Place, Scheme};

use super::draft::{Draft, Signer};
use super::{Chapter, Entry, causes, keys, one, script};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, config, entries| Chapter { suite: Suite::Gate, name, comment, config, entries };
    vec![
        chapter(
            "jcs",
            "Check 8: the canonical payload, signed in a header or a member.",
            "gate",
            [jcs(), member()].concat(),
        ),
        chapter("raw", "Check 8: the body, byte for byte.", "gate", [raw(), causes::numbers()].concat()),
        chapter("webhook", "Check 8: Standard Webhooks 1.0.", "gate", [webhook(), causes::svix()].concat()),
        chapter("mistakes", "Check 8: the hint names the sender's mistake.", "gate", causes::mistakes()),
        chapter("rotation", "Check 8: two keys that overlap.", "gate", rotation()),
        chapter(
            "sandbox",
            "The sandbox: a published partner, and answers that show what was to be signed.",
            "sandbox",
            sandbox(),
        ),
    ]
}

fn plain() -> Draft {
    Draft::of("plain")
}

fn jcs() -> Vec<Entry> {
    let signed_as = |value: &str| plain().unsigned().header("x-signature", value);
    let tag = format!("{:064}", 0);
    let order = "RFC 8785: order of members, white space and spelling of escapes do not matter.";
    let mut entries = vec![
        one("rewritten-payload-has-the-same-signature", order, plain().rewritten(), Accepted),
        one(
            "escapes-have-the-same-signature",
            order,
            plain().changed("registration", "\\u0072egistration"),
            Accepted,
        ),
        one(
            "number-spelled-otherwise-has-the-same-signature",
            order,
            plain().member("x", "100.50").changed("100.50", "1.005e2"),
            Accepted,
        ),
        one("negative-zero-is-signed-as-zero", order, plain().member("x", "-0"), Accepted),
        one(
            "members-are-sorted-by-utf-16",
            "RFC 8785 §3.2.3: 😀 stands before ﬁ.",
            plain().member("ﬁ", "1").member("😀", "2"),
            Accepted,
        ),
        one(
            "deep-members-are-sorted-too",
            order,
            plain().member("x", "{\"b\":[{\"z\":1,\"y\":2}],\"a\":null}"),
            Accepted,
        ),
        one("changed-payload-is-refused", "One digit.", plain().changed("e-1", "e-2"), SignatureInvalid),
        one(
            "changed-unknown-member-is-refused",
            "Everything is signed, known or not.",
            plain().member("x", "1").changed("\"x\":1", "\"x\":2"),
            SignatureInvalid,
        ),
        one(
            "added-member-is-refused",
            "Nothing can be slipped in.",
            plain().changed("{\"event\"", "{\"y\":1,\"event\""),
            SignatureInvalid,
        ),
        one(
            "key-of-another-partner-is-refused",
            "Keys are per partner.",
            plain().signed_by(Signer::jcs("raw_key")),
            SignatureInvalid,
        ),
        one("missing-signature-is-refused", "No partner is without.", plain().unsigned(), SignatureInvalid),
        one(
            "signature-in-another-header-is-refused",
            "Its name is the partner's.",
            plain().unsigned().header("x-acme-digest", format!("sha256={tag}")),
            SignatureInvalid,
        ),
        one(
            "repeated-signature-is-refused",
            "Even where one is right.",
            plain().header("x-signature", format!("sha256={tag}")).also("x-signature", "sha256="),
            SignatureInvalid,
        ),
        one(
            "header-of-another-name-is-accepted",
            "Header names know no case, in the configuration neither.",
            Draft::of("renamed").signed_by(Signer::of(
                Scheme::Jcs,
                Place::Header("x-acme-digest".into()),
                keys::key("renamed_key"),
            )),
            Accepted,
        ),
    ];
    for (id, value) in [
        ("signature-of-zeros-is-refused", format!("sha256={tag}")),
        ("signature-without-its-scheme-is-refused", tag.clone()),
        ("signature-of-another-hash-is-refused", format!("sha1={}", &tag[..40])),
        ("signature-cut-short-is-refused", format!("sha256={}", &tag[..62])),
        ("signature-with-more-behind-it-is-refused", format!("sha256={tag}00")),
        ("signature-in-base64-is-refused", "sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned()),
        ("signature-with-an-upper-case-scheme-is-refused", format!("SHA256={tag}")),
        ("empty-signature-is-refused", String::new()),
        ("two-signatures-in-one-are-refused", format!("sha256={tag},sha256={tag}")),
    ] {
        entries.push(one(
            id,
            "sha256= and 64 hexadecimal digits, once.",
            signed_as(&value),
            SignatureInvalid,
        ));
    }
    entries
}

fn member() -> Vec<Entry> {
    let place = || Place::Body("signature".into());
    let member = || Draft::of("member").signed_by(Signer::of(Scheme::Jcs, place(), keys::key("member_key")));
    let why = "A signature in a member covers all members but itself.";
    vec![
        one("signature-in-a-member-is-accepted", why, member(), Accepted),
        one(
            "signature-in-an-escaped-member-is-accepted",
            why,
            member().changed("\"signature\"", "\"\\u0073ignature\""),
            Accepted,
        ),
        one(
            "changed-payload-beside-its-signature-is-refused",
            why,
            member().changed("e-1", "e-2"),
            SignatureInvalid,
        ),
        one("missing-signature-member-is-refused", why, member().unsigned(), SignatureInvalid),
        one(
            "signature-member-that-is-no-string-is-refused",
            why,
            member().unsigned().member("signature", "1"),
            SignatureInvalid,
        ),
        one(
            "repeated-signature-member-is-malformed",
            "Two readers, two signatures.",
            member().changed("{\"event\"", "{\"signature\":\"\",\"event\""),
            PayloadMalformed,
        ),
        one(
            "nested-signature-member-is-no-signature",
            "Only the top level counts.",
            member().unsigned().member("x", "{\"signature\":\"\"}"),
            SignatureInvalid,
        ),
        one(
            "signature-in-a-header-is-not-the-member",
            "Its place is the partner's.",
            Draft::of("member"),
            SignatureInvalid,
        ),
        one(
            "signature-member-is-signed-where-it-is-none",
            "With the signature in a header, it is a member like others.",
            plain().string("signature", "x"),
            Accepted,
        ),
        script(
            "signature-member-is-no-part-of-the-payload",
            "Signed by another key after a rotation, the event is still the same: here the member is only spelled otherwise.",
            [
                (member(), Accepted),
                (member().changed("\"signature\"", "\"\\u0073ignature\""), Code::Duplicate),
            ],
        ),
    ]
}

fn raw() -> Vec<Entry> {
    let raw = || {
        Draft::of("raw").signed_by(Signer::of(
            Scheme::Raw,
            Place::Header("x-signature".into()),
            keys::key("raw_key"),
        ))
    };
    let why = "What is signed is what is sent, byte for byte.";
    vec![
        one("raw-signature-is-accepted", why, raw(), Accepted),
        one("raw-signature-covers-white-space", why, raw().rewritten(), Accepted),
        one("raw-signature-notices-white-space", why, raw().tail(" "), SignatureInvalid),
        one(
            "raw-signature-notices-an-escape",
            why,
            raw().changed("registration", "\\u0072egistration"),
            SignatureInvalid,
        ),
        one(
            "canonical-signature-is-not-the-raw-one",
            "Member names are not sorted here.",
            Draft::of("raw"),
            SignatureInvalid,
        ),
        one(
            "raw-signature-of-another-key-is-refused",
            why,
            raw().signed_by(Signer::of(
                Scheme::Raw,
                Place::Header("x-signature".into()),
                keys::key("plain_key"),
            )),
            SignatureInvalid,
        ),
        one(
            "malformed-payload-is-refused-whatever-its-raw-signature",
            "Check 7 comes before 8.",
            raw().body("{\"a\":1,\"a\":1}"),
            PayloadMalformed,
        ),
        script(
            "raw-payload-is-the-same-in-another-order",
            "The payload's hash is canonical, whatever was signed: the event was only written otherwise.",
            [(raw(), Accepted), (raw().rewritten(), Code::Duplicate)],
        ),
    ]
}

fn webhook() -> Vec<Entry> {
    let signer = || Signer::of(Scheme::StandardWebhooks, Place::Header("".into()), keys::key("webhook_key"));
    let hook = || Draft::of("webhook").signed_by(signer());
    let sent = |sent_ms| hook().signed_by(signer().sent_ms(sent_ms));
    let id = |id: &str| hook().signed_by(signer().id(id));
    let zeros = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    vec![
        one("webhook-is-accepted", "Id, time and body are signed.", hook(), Accepted),
        one("webhook-id-of-the-longest-is-accepted", "256 bytes.", id(&"m".repeat(256)), Accepted),
        one(
            "webhook-of-five-minutes-ago-is-accepted",
            "The tolerance itself is allowed.",
            sent(-300_000),
            Accepted,
        ),
        one(
            "webhook-of-more-than-five-minutes-ago-is-refused",
            "A replay; the skew is told, for the MAC was right.",
            sent(-301_000),
            SignatureInvalid,
        ),
        one(
            "webhook-of-five-minutes-ahead-is-accepted",
            "The tolerance itself is allowed.",
            sent(300_000),
            Accepted,
        ),
        one(
            "webhook-of-more-than-five-minutes-ahead-is-refused",
            "A clock that is wrong.",
            sent(301_000),
            SignatureInvalid,
        ),
        one(
            "stale-webhook-of-another-key-learns-no-skew",
            "Only the partner learns that its clock is wrong.",
            hook().signed_by(
                Signer::of(Scheme::StandardWebhooks, Place::Header("".into()), keys::key("raw_key"))
                    .sent_ms(-301_000),
            ),
            SignatureInvalid,
        ),
        one(
            "webhook-id-under-the-signature-cannot-be-changed",
            "The id is signed.",
            hook().header("webhook-id", "msg_2"),
            SignatureInvalid,
        ),
        one(
            "webhook-time-under-the-signature-cannot-be-changed",
            "The time is signed.",
            hook().header("webhook-timestamp", "1792595552"),
            SignatureInvalid,
        ),
        one(
            "webhook-body-under-the-signature-cannot-be-changed",
            "The body is signed.",
            hook().tail(" "),
            SignatureInvalid,
        ),
        one(
            "webhook-id-with-a-full-stop-is-refused",
            "id.time.body would come apart in two ways.",
            hook().header("webhook-id", "msg.1"),
            SignatureInvalid,
        ),
        one(
            "webhook-time-with-a-fraction-is-refused",
            "Whole seconds, one spelling.",
            hook().header("webhook-timestamp", "1792595551.0"),
            SignatureInvalid,
        ),
        one(
            "webhook-without-an-id-is-refused",
            "All three fields are needed.",
            hook().unsigned().header("webhook-timestamp", "1792595551").header("webhook-signature", zeros),
            SignatureInvalid,
        ),
        one(
            "webhook-signature-of-another-version-is-refused",
            "v1a is another algorithm.",
            hook().header("webhook-signature", zeros.replace("v1,", "v1a,")),
            SignatureInvalid,
        ),
        one(
            "webhook-signature-without-a-version-is-refused",
            "The form is v1,<base64>.",
            hook().header("webhook-signature", &zeros[3..]),
            SignatureInvalid,
        ),
        one(
            "repeated-webhook-signature-is-refused",
            "Several stand in one field, apart by spaces.",
            hook().header("webhook-signature", zeros).also("webhook-signature", zeros),
            SignatureInvalid,
        ),
        one(
            "more-than-eight-webhook-signatures-are-refused",
            "Each costs a comparison.",
            hook().header("webhook-signature", [zeros; 9].join(" ")),
            SignatureInvalid,
        ),
    ]
}

fn rotation() -> Vec<Entry> {
    let old = || {
        Draft::of("rotating")
            .signed_by(Signer::jcs("rotating_old_key"))
            .string("ts_event", "2026-10-21T15:11:00Z")
    };
    let new = || Draft::of("rotating").string("ts_event", "2026-10-21T15:11:00Z");
    vec![
        one("old-key-is-accepted-in-the-overlap", "Both are valid.", old(), Accepted),
        one("new-key-is-accepted-in-the-overlap", "Both are valid.", new(), Accepted),
        one(
            "new-key-is-refused-until-its-not-before",
            "One millisecond early.",
            new().earlier_ms(31_001),
            SignatureInvalid,
        ),
        one("new-key-is-accepted-at-not-before", "The first instant.", new().earlier_ms(31_000), Accepted),
        one("old-key-is-accepted-up-to-not-after", "The last millisecond.", old().later_ms(28_999), Accepted),
        one(
            "old-key-is-refused-at-not-after",
            "The first instant at which it no longer is valid.",
            old().later_ms(29_000),
            SignatureInvalid,
        ),
        one(
            "no-key-is-valid-after-the-last-one",
            "A partner that forgot to rotate.",
            new().later_ms(89_000),
            SignatureInvalid,
        ),
        script(
            "event-is-the-same-under-another-key",
            "A retry after the sender's rotation is a repeat, with the same receipt.",
            [(old(), Accepted), (new().later_ms(1_000), Code::Duplicate)],
        ),
    ]
}

fn sandbox() -> Vec<Entry> {
    let published = || {
        Draft::of("sandbox")
            .signed_by(Signer::of(
                Scheme::Jcs,
                Place::Header("x-signature".into()),
                countersign_core::policy::sandbox::SIGNING_SECRET.into(),
            ))
            .string(
                "click_id",
                &keys::click_with(countersign_core::policy::sandbox::CLICK_SECRET.as_bytes(), 1),
            )
    };
    let why = "The sandbox shows what was to be signed; production never does.";
    vec![
        one(
            "published-partner-is-accepted",
            "What docs/config.md publishes is enough.",
            published(),
            Accepted,
        ),
        one(
            "sandbox-shows-the-string-to-sign",
            why,
            published().rewritten().changed("e-1", "e-2"),
            SignatureInvalid,
        ),
        one(
            "string-to-sign-is-escaped",
            why,
            published().string("x", "a\"b\\c\u{7f}\u{1}é").forged(),
            SignatureInvalid,
        ),
        one(
            "string-to-sign-leaves-the-signature-member-out",
            why,
            Draft::of("inline").string("signature", &format!("sha256={:064}", 0)).unsigned(),
            SignatureInvalid,
        ),
        one(
            "string-to-sign-of-raw-is-the-canonical-payload",
            why,
            Draft::of("raw").rewritten().forged(),
            SignatureInvalid,
        ),
        one(
            "missing-signature-in-the-sandbox-says-its-form",
            "What is missing is the header, not the canonical order.",
            published().unsigned(),
            SignatureInvalid,
        ),
    ]
}
