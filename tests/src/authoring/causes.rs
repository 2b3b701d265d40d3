//! Check 8: the mistakes that senders make most, families of headers, and numbers under signed bytes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use countersign_core::outcome::Code::{self, Accepted, EventInvalid, PayloadMalformed, SignatureInvalid};
use countersign_core::signature::{Place, Scheme};

use super::draft::{Draft, Signer};
use super::{Entry, keys, one, script};

fn plain() -> Draft {
    Draft::of("plain")
}

/// The older names of the header fields of Standard Webhooks.
pub(super) fn svix() -> Vec<Entry> {
    let signer = || Signer::of(Scheme::StandardWebhooks, Place::Header("".into()), keys::key("webhook_key"));
    let body = "{\"event\":\"registration\",\"event_id\":\"e-1\",\"click_id\":\"clk_06gnxkkmk1700000000000012gcdkjdmymt3zpgx\",\"ts_event\":\"2026-10-21T15:12:30Z\"}";
    // As another library signed it, with the secret `webhook_key`.
    let right = "v1,NXIBWUVu222XHk+GyPDR9Yqu5S1fyCRfu6lrXfogGSg=";
    let zeros = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let sent = || Draft::of("webhook").unsigned().body(body);
    let named = |draft: Draft, family: &str, signature: &str| {
        draft
            .header(&format!("{family}-id"), "msg_1")
            .header(&format!("{family}-timestamp"), "1792595551")
            .header(&format!("{family}-signature"), signature)
    };
    let both = "Both families: webhook-* is read, and svix-* is not looked at.";
    vec![
        one(
            "svix-headers-are-accepted",
            "The names before the standard.",
            named(sent(), "svix", right),
            Accepted,
        ),
        one(
            "svix-headers-are-verified",
            "Names are not trust.",
            named(sent(), "svix", zeros),
            SignatureInvalid,
        ),
        one(
            "webhook-and-svix-headers-are-accepted",
            both,
            named(named(sent(), "svix", right), "webhook", right),
            Accepted,
        ),
        one(
            "webhook-headers-count-beside-svix-headers",
            both,
            named(named(sent(), "svix", zeros), "webhook", right),
            Accepted,
        ),
        one(
            "svix-headers-do-not-count-beside-webhook-headers",
            both,
            named(named(sent(), "svix", right), "webhook", zeros),
            SignatureInvalid,
        ),
        one(
            "webhook-headers-mixed-with-svix-headers-are-refused",
            "All three of one family, or nobody knows what was signed; the hint says so.",
            sent()
                .header("webhook-id", "msg_1")
                .header("svix-timestamp", "1792595551")
                .header("svix-signature", right),
            SignatureInvalid,
        ),
        one(
            "svix-headers-and-one-webhook-header-are-refused",
            "Where any webhook-* is there, that family is read.",
            named(sent(), "svix", right).header("webhook-id", "msg_1"),
            SignatureInvalid,
        ),
        one(
            "two-svix-headers-are-refused",
            "One is missing; the hint names both families.",
            sent().header("svix-id", "msg_1").header("svix-signature", right),
            SignatureInvalid,
        ),
        one(
            "webhook-headers-for-another-scheme-are-named",
            "Agreed on is x-signature.",
            Draft::of("raw").signed_by(signer()),
            SignatureInvalid,
        ),
        one(
            "x-signature-for-standard-webhooks-is-named",
            "Agreed on is Standard Webhooks.",
            Draft::of("webhook"),
            SignatureInvalid,
        ),
    ]
}

/// The mistakes that are made most: the hint speaks of each, and of none to a forger.
pub(super) fn mistakes() -> Vec<Entry> {
    let header = || Place::Header("x-signature".into());
    let jcs = |secret: Vec<u8>| plain().signed_by(Signer::of(Scheme::Jcs, header(), secret));
    let hook = |secret: Vec<u8>| {
        Draft::of("webhook").signed_by(Signer::of(Scheme::StandardWebhooks, header(), secret))
    };
    let encoded = |name: &str| BASE64_STANDARD.encode(keys::key(name));
    let why = "The signature is right under what a sender makes of the key by mistake; who presents it holds the key.";
    let form = "The sender wrote it, and how it has to be written is documented.";
    let right = plain();
    let digits = right.signature_header();
    let digits = digits.trim_start_matches("sha256=");
    let written = |value: &str| plain().unsigned().header("x-signature", value);
    vec![
        one(
            "key-taken-as-its-text-is-named",
            why,
            jcs(format!("base64:{}", encoded("plain_key")).into()),
            SignatureInvalid,
        ),
        one(
            "key-taken-as-its-whsec-text-is-named",
            why,
            hook(format!("whsec_{}", encoded("webhook_key")).into()),
            SignatureInvalid,
        ),
        one("key-taken-as-its-base64-is-named", why, hook(encoded("webhook_key").into()), SignatureInvalid),
        one(
            "key-with-a-line-break-is-named",
            why,
            jcs([keys::key("plain_key"), b"\n".to_vec()].concat()),
            SignatureInvalid,
        ),
        one(
            "published-key-in-production-is-named",
            "Everybody has it, so nobody learns anything.",
            jcs(countersign_core::policy::sandbox::SIGNING_SECRET.into()),
            SignatureInvalid,
        ),
        one(
            "body-signed-in-place-of-the-canonical-payload-is-named",
            why,
            plain().signed_by(Signer::of(Scheme::Raw, header(), keys::key("plain_key"))),
            SignatureInvalid,
        ),
        one(
            "signature-over-less-than-the-body-is-named",
            "White space behind the body that was signed.",
            Draft::of("raw").signed_by(Signer::of(Scheme::Raw, header(), keys::key("raw_key"))).tail("\n"),
            SignatureInvalid,
        ),
        one(
            "signature-of-a-guess-is-told-nothing",
            "What every wrong signature hears.",
            jcs(b"guess".to_vec()),
            SignatureInvalid,
        ),
        one("digits-without-their-scheme-are-named", form, written(digits), SignatureInvalid),
        one("scheme-in-upper-case-is-named", form, written(&format!("SHA256={digits}")), SignatureInvalid),
        one(
            "hex-in-a-webhook-is-named",
            form,
            Draft::of("webhook")
                .unsigned()
                .header("webhook-id", "msg_1")
                .header("webhook-timestamp", "1792595551")
                .header("webhook-signature", format!("v1,{digits}")),
            SignatureInvalid,
        ),
        one(
            "webhook-time-in-milliseconds-is-named",
            form,
            hook(keys::key("webhook_key")).header("webhook-timestamp", "1792595551000"),
            SignatureInvalid,
        ),
    ]
}

/// The body's bytes are signed: no number in a member that is not read has to be one that RFC 8785 can write.
pub(super) fn numbers() -> Vec<Entry> {
    let raw = || {
        Draft::of("raw").signed_by(Signer::of(
            Scheme::Raw,
            Place::Header("x-signature".into()),
            keys::key("raw_key"),
        ))
    };
    let hook = || {
        Draft::of("webhook").signed_by(Signer::of(
            Scheme::StandardWebhooks,
            Place::Header("".into()),
            keys::key("webhook_key"),
        ))
    };
    let why = "What nobody reads, and no canonical form is signed of, cannot refuse a payload.";
    let money = |draft: Draft, amount: &str| {
        draft.string("event", "deposit_success").string("currency", "EUR").member("amount", amount)
    };
    vec![
        one(
            "raw-payload-with-an-id-beyond-a-double-is-accepted",
            why,
            raw().member("player", "281674916028284931"),
            Accepted,
        ),
        one(
            "webhook-with-an-id-beyond-a-double-is-accepted",
            why,
            hook().member("player", "281674916028284931"),
            Accepted,
        ),
        one(
            "raw-payload-with-a-float-in-full-is-accepted",
            why,
            raw().member("x", "{\"score\":19.899999999999999,\"y\":1e400}"),
            Accepted,
        ),
        one(
            "raw-payload-with-a-broken-number-is-malformed",
            "RFC 8259 holds all the same.",
            raw().member("x", "01"),
            PayloadMalformed,
        ),
        one(
            "raw-payload-with-an-amount-in-full-is-refused",
            "Money means the same to everybody; the hint names the sender's setting.",
            money(raw(), "19.899999999999999"),
            EventInvalid,
        ),
        one(
            "raw-payload-with-an-amount-is-accepted",
            "The same without the setting's fault.",
            money(raw(), "19.90"),
            Accepted,
        ),
        script(
            "raw-payloads-that-differ-in-such-a-number-are-two",
            "As doubles the two would be one: the second would be answered as a repeat, with a receipt for what nobody looked at.",
            [
                (raw().member("player", "9007199254740993"), Accepted),
                (raw().member("player", "9007199254740992.5"), Code::EventIdReused),
            ],
        ),
        script(
            "raw-payload-with-such-a-number-is-the-same-in-another-order",
            "The number is kept as it was written, and the rest is canonical.",
            [
                (raw().member("player", "9007199254740993"), Accepted),
                (raw().member("player", "9007199254740993").rewritten(), Code::Duplicate),
            ],
        ),
    ]
}
