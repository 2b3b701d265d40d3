//! Check 9: the event's schema, money, time, click id and Idempotency-Key.

use countersign_core::outcome::Code::{self, Accepted, ClickIdInvalid, EventInvalid};

use super::draft::Draft;
use super::{Chapter, Entry, keys, one};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, config, entries| Chapter { suite: Suite::Gate, name, comment, config, entries };
    vec![
        chapter("event", "Check 9: event types and their members.", "gate", [types(), members()].concat()),
        chapter("money", "Check 9: amounts per currency.", "gate", money()),
        chapter("time", "Check 9: instants in UTC.", "gate", time()),
        chapter("click", "Check 9: click ids that must be ours.", "gate", click()),
        chapter(
            "click_when_ours",
            "Check 9: click ids of another tracker pass, forged ones of ours do not.",
            "clicks_when_ours",
            click_when_ours(),
        ),
        chapter("click_off", "Check 9: any click id passes.", "clicks_off", click_off()),
        chapter(
            "idempotency_key",
            "Check 9: an Idempotency-Key that contradicts the event.",
            "gate",
            idempotency_key(),
        ),
    ]
}

fn plain() -> Draft {
    Draft::of("plain")
}

fn deposit() -> Draft {
    plain().deposit("100.00", "USD")
}

fn taking_back(event: &str) -> Draft {
    deposit().string("event", event).string("original_event_id", "e-0")
}

fn types() -> Vec<Entry> {
    let shop = |event: &str| Draft::of("shop").string("event", event);
    let money = |draft: Draft| draft.member("amount", "5").string("currency", "EUR");
    vec![
        one("registration-is-accepted", "Source §4.1.", plain(), Accepted),
        one(
            "kyc-approval-is-accepted",
            "Source §4.2.",
            plain().string("event", "kyc_approved").string("kyc_level", "basic"),
            Accepted,
        ),
        one(
            "deposit-is-accepted",
            "Source §4.3.",
            deposit().member("is_ftd", "true").string("payment_method", "pix"),
            Accepted,
        ),
        one(
            "install-is-accepted",
            "An app's postback.",
            plain().string("event", "install").string("install_id", "i-1"),
            Accepted,
        ),
        one("refund-is-accepted", "Source §4.4.", taking_back("refund"), Accepted),
        one("chargeback-is-accepted", "Source §4.4.", taking_back("chargeback"), Accepted),
        one(
            "won-dispute-is-accepted",
            "A chargeback that the operator got back.",
            taking_back("chargeback_reversed"),
            Accepted,
        ),
        one("registration-may-carry-money", "Some senders always do.", money(plain()), Accepted),
        one(
            "unknown-event-type-is-invalid",
            "A closed list, but for what a partner declares.",
            plain().string("event", "deposit"),
            EventInvalid,
        ),
        one(
            "event-type-in-upper-case-is-invalid",
            "Names are compared byte for byte.",
            plain().string("event", "Registration"),
            EventInvalid,
        ),
        one(
            "event-type-that-is-no-string-is-invalid",
            "A type of another type.",
            plain().member("event", "1"),
            EventInvalid,
        ),
        one(
            "type-declared-by-another-partner-is-invalid",
            "Declarations are per partner.",
            plain().string("event", "tip"),
            EventInvalid,
        ),
        one("declared-type-is-accepted", "The partner's own.", shop("voucher"), Accepted),
        one("declared-type-without-money-refuses-it", "amount: none.", money(shop("voucher")), EventInvalid),
        one("declared-type-with-optional-money-takes-it", "amount: optional.", money(shop("tip")), Accepted),
        one("declared-type-with-optional-money-goes-without", "amount: optional.", shop("tip"), Accepted),
        one(
            "declared-type-with-optional-money-needs-both",
            "An amount without a currency is no amount.",
            shop("tip").member("amount", "5"),
            EventInvalid,
        ),
        one(
            "declared-type-with-required-money-needs-it",
            "amount: required.",
            shop("second_deposit"),
            EventInvalid,
        ),
        one(
            "refund-of-nothing-named-is-invalid",
            "Nobody could tell what is taken back.",
            taking_back("refund").less("original_event_id"),
            EventInvalid,
        ),
        one(
            "refund-of-itself-is-invalid",
            "It names its own id.",
            taking_back("refund").string("original_event_id", "e-1"),
            EventInvalid,
        ),
        one(
            "refund-of-zero-is-invalid",
            "To take back nothing is a mistake.",
            taking_back("refund").member("amount", "0"),
            EventInvalid,
        ),
        one(
            "refund-with-a-minus-is-invalid",
            "The type gives the sign.",
            taking_back("refund").member("amount", "-5"),
            EventInvalid,
        ),
        one(
            "chargeback-without-an-amount-is-invalid",
            "How much?",
            taking_back("chargeback").less("amount").less("currency"),
            EventInvalid,
        ),
        one(
            "won-dispute-of-nothing-named-is-invalid",
            "Nobody could tell which chargeback was won.",
            taking_back("chargeback_reversed").less("original_event_id"),
            EventInvalid,
        ),
        one(
            "won-dispute-with-a-minus-is-invalid",
            "The type gives the sign.",
            taking_back("chargeback_reversed").member("amount", "-5"),
            EventInvalid,
        ),
        one(
            "document-that-is-an-array-is-invalid",
            "One event as an object; the signature was right.",
            plain().body("[]"),
            EventInvalid,
        ),
        one(
            "document-that-is-a-text-is-invalid",
            "One event as an object.",
            plain().body("\"registration\""),
            EventInvalid,
        ),
        one(
            "empty-object-lacks-everything",
            "All that is missing is listed at once.",
            plain().body("{}"),
            EventInvalid,
        ),
    ]
}

fn members() -> Vec<Entry> {
    let why = "The answer has a JSON pointer to it.";
    let consent = |json: &str| plain().member("consent", json);
    let mut entries: Vec<Entry> = Vec::new();
    for name in ["event", "event_id", "click_id", "ts_event"] {
        entries.push(one(
            &format!("missing-{}-is-invalid", name.replace('_', "-")),
            why,
            plain().less(name),
            EventInvalid,
        ));
        entries.push(one(
            &format!("null-{}-is-invalid", name.replace('_', "-")),
            why,
            plain().member(name, "null"),
            EventInvalid,
        ));
    }
    let cases: [(&str, Draft, Code); 25] = [
        ("longest-event-id-is-accepted", plain().id(&"e".repeat(128)), Accepted),
        ("too-long-event-id-is-invalid", plain().id(&"e".repeat(129)), EventInvalid),
        ("empty-event-id-is-invalid", plain().id(""), EventInvalid),
        ("event-id-with-a-space-is-invalid", plain().id("e 1"), EventInvalid),
        ("event-id-beyond-ascii-is-invalid", plain().id("é"), EventInvalid),
        ("event-id-of-any-visible-ascii-is-accepted", plain().id("!#$%&'()*+,-./:;<=>?@[]^_`{|}~"), Accepted),
        ("event-id-that-is-a-number-is-invalid", plain().member("event_id", "1"), EventInvalid),
        ("event-id-behind-an-escape-is-the-same", plain().member("event_id", "\"\\u0065-1\""), Accepted),
        ("empty-label-is-invalid", plain().string("campaign", ""), EventInvalid),
        ("longest-label-is-accepted", plain().string("campaign", &"c".repeat(256)), Accepted),
        ("too-long-label-is-invalid", plain().string("campaign", &"c".repeat(257)), EventInvalid),
        ("label-that-is-no-string-is-invalid", plain().member("aff_sub", "7"), EventInvalid),
        ("country-is-accepted", plain().string("geo", "BR"), Accepted),
        ("country-in-lower-case-is-invalid", plain().string("geo", "br"), EventInvalid),
        ("country-of-three-letters-is-invalid", plain().string("geo", "BRA"), EventInvalid),
        ("ipv6-address-is-accepted", plain().string("ip", "2001:db8::1"), Accepted),
        ("address-that-is-none-is-invalid", plain().string("ip", "256.0.0.1"), EventInvalid),
        ("ftd-mark-that-is-a-text-is-invalid", deposit().string("is_ftd", "true"), EventInvalid),
        ("bonus-that-is-an-amount-is-invalid", deposit().member("bonus", "10"), EventInvalid),
        (
            "consent-is-accepted",
            consent("{\"version\":\"2026-01\",\"analytics\":true,\"ads\":false}"),
            Accepted,
        ),
        ("consent-without-a-version-is-invalid", consent("{\"analytics\":true,\"ads\":false}"), EventInvalid),
        ("consent-that-is-no-object-is-invalid", consent("true"), EventInvalid),
        (
            "consent-given-as-text-is-invalid",
            consent("{\"version\":\"1\",\"analytics\":\"yes\",\"ads\":0}"),
            EventInvalid,
        ),
        ("null-member-is-not-left-out", plain().member("geo", "null"), EventInvalid),
        (
            "faults-are-listed-in-their-own-order",
            plain().member("geo", "1").member("event", "1").less("ts_event"),
            EventInvalid,
        ),
    ];
    entries.extend(cases.into_iter().map(|(id, draft, code)| one(id, why, draft, code)));
    let many =
        ["account_id", "session_id", "install_id", "geo", "device", "ip", "ua", "kyc_level", "campaign"];
    let many = many.iter().fold(plain(), |draft, name| draft.member(name, "1"));
    entries.push(one("no-more-than-eight-faults-are-listed", "An answer has a size.", many, EventInvalid));
    entries
}

fn money() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (id, amount, currency, code) in [
        ("two-decimals-of-usd-are-accepted", "100.50", "USD", Accepted),
        ("three-decimals-of-usd-are-invalid", "100.505", "USD", EventInvalid),
        ("third-decimal-of-zero-is-accepted", "100.500", "USD", Accepted),
        ("whole-jpy-is-accepted", "100", "JPY", Accepted),
        ("jpy-with-zero-decimals-is-accepted", "100.0", "JPY", Accepted),
        ("decimals-of-jpy-are-invalid", "100.5", "JPY", EventInvalid),
        ("three-decimals-of-kwd-are-accepted", "1.234", "KWD", Accepted),
        ("four-decimals-of-kwd-are-invalid", "1.2345", "KWD", EventInvalid),
        ("four-decimals-of-clf-are-accepted", "1.2345", "CLF", Accepted),
        ("zero-deposit-is-accepted", "0", "EUR", Accepted),
        ("negative-zero-deposit-is-accepted", "-0.00", "EUR", Accepted),
        ("negative-deposit-is-invalid", "-1", "EUR", EventInvalid),
        ("amount-with-an-exponent-is-accepted", "1e2", "EUR", Accepted),
        ("amount-with-a-negative-exponent-is-exact", "15e-1", "EUR", Accepted),
        ("fraction-of-a-cent-by-exponent-is-invalid", "1e-3", "EUR", EventInvalid),
        ("amount-beyond-the-minor-units-is-invalid", "92233720368547760", "EUR", EventInvalid),
        ("amount-that-is-a-text-is-invalid", "\"100.00\"", "EUR", EventInvalid),
        ("amount-that-is-null-is-invalid", "null", "EUR", EventInvalid),
        ("currency-in-lower-case-is-invalid", "1", "eur", EventInvalid),
        ("currency-that-is-none-is-invalid", "1", "XYZ", EventInvalid),
        ("currency-of-the-past-is-invalid", "1", "DEM", EventInvalid),
        ("gold-is-no-currency", "1", "XAU", EventInvalid),
    ] {
        let why = "ISO 4217 has the decimals; nothing is rounded (source §13, mistake 3).";
        entries.push(one(id, why, plain().deposit(amount, currency), code));
    }
    entries.push(one(
        "amount-without-a-currency-is-invalid",
        "100 of what?",
        deposit().less("currency"),
        EventInvalid,
    ));
    entries.push(one(
        "currency-without-an-amount-is-invalid",
        "USD how many?",
        deposit().less("amount"),
        EventInvalid,
    ));
    entries
}

fn time() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (id, text, code) in [
        ("milliseconds-are-accepted", "2026-10-21T15:12:30.123Z", Accepted),
        ("finer-than-milliseconds-is-accepted", "2026-10-21T15:12:30.123456789Z", Accepted),
        ("lower-case-t-and-z-are-accepted", "2026-10-21t15:12:30z", Accepted),
        ("leap-second-is-accepted", "2016-12-31T23:59:60Z", Accepted),
        ("leap-second-on-another-day-is-invalid", "2016-11-30T23:59:60Z", EventInvalid),
        ("leap-day-is-accepted", "2024-02-29T00:00:00Z", Accepted),
        ("leap-day-of-a-common-year-is-invalid", "2025-02-29T00:00:00Z", EventInvalid),
        ("epoch-is-accepted", "1970-01-01T00:00:00Z", Accepted),
        ("before-the-epoch-is-invalid", "1969-12-31T23:59:59Z", EventInvalid),
        ("offset-is-invalid", "2026-10-21T17:12:30+02:00", EventInvalid),
        ("offset-of-zero-is-invalid", "2026-10-21T15:12:30+00:00", EventInvalid),
        ("local-time-is-invalid", "2026-10-21T15:12:30", EventInvalid),
        ("date-alone-is-invalid", "2026-10-21", EventInvalid),
        ("space-instead-of-t-is-invalid", "2026-10-21 15:12:30Z", EventInvalid),
        ("hour-24-is-invalid", "2026-10-20T24:00:00Z", EventInvalid),
        ("month-13-is-invalid", "2026-13-01T00:00:00Z", EventInvalid),
        ("five-minutes-ahead-are-accepted", "2026-10-21T15:17:31Z", Accepted),
        ("more-than-five-minutes-ahead-are-invalid", "2026-10-21T15:17:31.001Z", EventInvalid),
        ("an-hour-ahead-is-a-time-zone-forgotten", "2026-10-21T16:12:30Z", EventInvalid),
        ("year-10000-is-invalid", "10000-01-01T00:00:00Z", EventInvalid),
    ] {
        let why = "RFC 3339 in UTC (source §7); ahead of our clock, the answer has the skew.";
        entries.push(one(id, why, plain().string("ts_event", text), code));
    }
    entries.push(one(
        "unix-time-is-invalid",
        "Seconds or milliseconds?",
        plain().member("ts_event", "1792595550"),
        EventInvalid,
    ));
    entries
}

fn click() -> Vec<Entry> {
    let with = |id: &str| plain().string("click_id", id);
    let (ours, sealed) = (keys::click(7), keys::sealed(7, 1));
    let old = keys::click_with(&keys::key("old_click_key"), 7);
    let foreign = keys::click_with(&keys::key("another_key"), 7);
    let last = if ours.ends_with('0') { "1" } else { "0" };
    let changed = format!("{}{last}", &ours[..43]);
    let mut entries = vec![
        one(
            "click-of-the-old-key-is-accepted",
            "Clicks live longer than keys are new.",
            with(&old),
            Accepted,
        ),
        one("click-of-another-key-is-refused", "Made up.", with(&foreign), ClickIdInvalid),
        one("changed-click-is-refused", "One character.", with(&changed), ClickIdInvalid),
        one("cut-off-click-is-refused", "A column of forty characters.", with(&ours[..40]), ClickIdInvalid),
        one(
            "click-with-more-behind-it-is-refused",
            "Something was appended.",
            with(&format!("{ours}x")),
            ClickIdInvalid,
        ),
        one(
            "click-in-upper-case-is-refused",
            "A database that changes case.",
            with(&format!("clk_{}", ours[4..].to_uppercase())),
            ClickIdInvalid,
        ),
        one("sealed-click-is-accepted", "Whoever sends it back need not know.", with(&sealed), Accepted),
        one(
            "sealed-click-of-the-old-key-is-accepted",
            "Sealed ids live as long.",
            with(&keys::sealed_with(&keys::key("old_click_key"), 7, 1)),
            Accepted,
        ),
        one(
            "sealed-click-of-another-key-is-refused",
            "Made up.",
            with(&keys::sealed_with(&keys::key("another_key"), 7, 1)),
            ClickIdInvalid,
        ),
        one(
            "changed-sealed-click-is-refused",
            "One character.",
            with(&format!("{}{}", &sealed[..91], if sealed.ends_with('0') { "1" } else { "0" })),
            ClickIdInvalid,
        ),
        one(
            "cut-off-sealed-click-is-refused",
            "A column of sixty-four characters.",
            with(&sealed[..64]),
            ClickIdInvalid,
        ),
        one(
            "sealed-click-with-more-behind-it-is-refused",
            "Something was appended.",
            with(&format!("{sealed}x")),
            ClickIdInvalid,
        ),
        one(
            "click-that-passes-for-sealed-is-refused",
            "The forms do not share their tags.",
            with(&format!("cls_{}", &ours[4..])),
            ClickIdInvalid,
        ),
        one("click-of-another-tracker-is-refused", "Not one of ours.", with("EAIaIQobChMI"), ClickIdInvalid),
        one("empty-click-is-invalid", "A member without a value is left out.", with(""), EventInvalid),
        one("click-with-a-space-is-invalid", "Visible ASCII only.", with("clk_ 1"), EventInvalid),
    ];
    for (id, macro_text) in [
        ("macro-in-braces-is-refused", "{click_id}"),
        ("macro-in-dollar-braces-is-refused", "${CLICK_ID}"),
        ("macro-in-percents-is-refused", "%CLICKID%"),
        ("macro-that-is-percent-encoded-is-refused", "%7Bclick_id%7D"),
        ("macro-in-brackets-is-refused", "[CLICK_ID]"),
    ] {
        entries.push(one(id, "A placeholder that nobody filled in.", with(macro_text), ClickIdInvalid));
    }
    entries
}

fn click_when_ours() -> Vec<Entry> {
    let with = |id: &str| plain().string("click_id", id);
    let why = "verify: when_ours.";
    vec![
        one("click-of-ours-is-accepted-beside-others", why, with(&keys::click(7)), Accepted),
        one("sealed-click-of-ours-is-accepted-beside-others", why, with(&keys::sealed(7, 1)), Accepted),
        one(
            "sealed-click-that-claims-to-be-ours-must-be",
            why,
            with(&keys::sealed_with(&keys::key("another_key"), 7, 1)),
            ClickIdInvalid,
        ),
        one("click-of-another-tracker-passes-when-ours", why, with("EAIaIQobChMI"), Accepted),
        one(
            "click-that-claims-to-be-ours-must-be",
            why,
            with(&keys::click_with(&keys::key("another_key"), 7)),
            ClickIdInvalid,
        ),
        one("cut-off-click-that-claims-to-be-ours-must-be", why, with("clk_1"), ClickIdInvalid),
        one(
            "macro-is-refused-when-ours",
            "No tracker's id looks like one.",
            with("{click_id}"),
            ClickIdInvalid,
        ),
    ]
}

fn click_off() -> Vec<Entry> {
    let with = |id: &str| plain().string("click_id", id);
    vec![
        one("any-click-passes-where-none-is-verified", "verify: off.", with("EAIaIQobChMI"), Accepted),
        one("forged-click-passes-where-none-is-verified", "verify: off.", with("clk_1"), Accepted),
        one(
            "macro-is-refused-where-none-is-verified",
            "docs/config.md: nothing is verified but unreplaced macros.",
            with("{click_id}"),
            ClickIdInvalid,
        ),
    ]
}

fn idempotency_key() -> Vec<Entry> {
    let with = |key: &str| plain().header("idempotency-key", key);
    vec![
        one("quoted-idempotency-key-is-accepted", "As the draft writes it.", with("\"e-1\""), Accepted),
        one("bare-idempotency-key-is-accepted", "As most senders write it.", with("e-1"), Accepted),
        one(
            "contradicting-idempotency-key-is-invalid",
            "Which of the two is the sender's retry?",
            with("e-2"),
            EventInvalid,
        ),
        one("half-quoted-idempotency-key-is-invalid", "Neither form.", with("\"e-1"), EventInvalid),
        one("empty-idempotency-key-is-invalid", "It names no event.", with(""), EventInvalid),
        one(
            "repeated-idempotency-key-is-invalid",
            "Even where both are right: which counts is unknown.",
            with("e-1").also("idempotency-key", "e-1"),
            EventInvalid,
        ),
        one(
            "contradicting-idempotency-keys-are-invalid",
            "A proxy's and the sender's.",
            with("e-1").also("idempotency-key", "e-2"),
            EventInvalid,
        ),
    ]
}
