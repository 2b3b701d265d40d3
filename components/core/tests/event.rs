//! The event vocabulary: what is accepted, and every way in which an event is refused.
#![cfg(test)]

mod third_party;

use countersign_core::event::{
    CustomEvent, Event, EventName, EventRejects, EventRules, EventType, FAULTS_MAX, LABEL_BYTES_MAX, MEMBERS,
    Presence, UA_BYTES_MAX, read,
};
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::time::Timestamp;

/// 2025-10-21T15:12:31Z, the instant of the source's first deposit.
const NOW: Timestamp = Timestamp::from_ms(1_761_059_551_000);

fn rules() -> EventRules {
    let custom =
        [("bonus_payout", Presence::Required), ("login", Presence::None), ("quiz", Presence::Optional)];
    let custom = custom.map(|(name, amount)| CustomEvent { name: EventName::new(name).unwrap(), amount });
    EventRules { custom: custom.into(), ts_event_future_ms_max: 300_000 }
}

fn read_text(text: &str) -> Result<Event, Box<EventRejects>> {
    let mut tape = Tape::default();
    let document = json::read(text.as_bytes(), &mut tape, ReadLimits::POSTBACK);
    read(&document.unwrap_or_else(|malformed| panic!("{malformed:?}: {text}")), &rules(), NOW)
}

/// The members that every event has, and those of `more`, which go before: `(name, JSON)`; an empty JSON takes one away.
fn members<'m>(event: &'m str, more: &[(&'m str, &'m str)]) -> Vec<(&'m str, &'m str)> {
    let common = [
        ("event", event),
        ("event_id", r#""e1""#),
        ("click_id", r#""c1""#),
        ("ts_event", r#""2025-10-21T15:12:31Z""#),
    ];
    let common = common.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    more.iter().copied().chain(common).filter(|(_, json)| !json.is_empty()).collect()
}

fn object<'m>(members: impl IntoIterator<Item = &'m (&'m str, &'m str)>) -> String {
    let members = members.into_iter().map(|(name, json)| format!("\"{name}\": {json}")).collect::<Vec<_>>();
    format!("{{{}}}", members.join(", "))
}

fn read_event(event: &str, more: &[(&str, &str)]) -> Result<Event, Box<EventRejects>> {
    read_text(&object(&members(&format!("\"{event}\""), more)))
}

/// What is wrong with an event: `/pointer: problem`, one after the other.
fn faults(event: Result<Event, Box<EventRejects>>) -> Vec<String> {
    let faults = event.map_or_else(|faults| faults.list().to_vec(), |event| panic!("{event:?} was accepted"));
    faults.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.problem)).collect()
}

const USD: (&str, &str) = ("currency", "\"USD\"");
const ORIGINAL: (&str, &str) = ("original_event_id", "\"d1\"");

#[test]
fn what_is_right_of_a_wrong_event_names_it() {
    let names = |event: &str, more: &[(&str, &str)]| {
        let faults = read_event(event, more).unwrap_err();
        (faults.event().is_some(), faults.event_id().is_some())
    };
    assert_eq!(names("registration", &[("ts_event", "1")]), (true, true));
    assert_eq!(names("nothing_known", &[]), (false, true));
    assert_eq!(names("registration", &[("event_id", "\"\"")]), (true, false));
}

#[test]
fn the_sources_events_are_read() {
    let registration = r#"{ "event": "registration", "event_id": "reg_8f9...", "click_id": "clk_123...",
        "account_id": "u_456...", "geo": "BR", "device": "android", "ts_event": "2025-10-21T14:54:12Z",
        "ip": "203.0.113.7", "ua": "Mozilla/5.0", "signature": "hmac_sha256(payload)" }"#;
    let event = read_text(registration).unwrap();
    assert_eq!((event.event.as_str(), event.event_id.as_str()), ("registration", "reg_8f9..."));
    assert_eq!((event.amount, event.original_event_id, event.is_ftd, event.bonus), (None, None, None, None));

    let kyc = r#"{ "event": "kyc_approved", "event_id": "kyc_b21...", "click_id": "clk_123...",
        "account_id": "u_456...", "ts_event": "2025-10-21T15:10:05Z", "kyc_level": "basic full", "signature": "..." }"#;
    assert_eq!(read_text(kyc).unwrap().ts_event.to_string(), "2025-10-21T15:10:05.000Z");

    let deposit = r#"{ "event":"deposit_success","event_id":"dep_9aa", "click_id":"clk_123","account_id":"u_456",
        "amount":100.00,"currency":"USD","is_ftd":true, "ts_event":"2025-10-21T15:12:31Z" }"#;
    let event = read_text(deposit).unwrap();
    assert_eq!(event.amount.unwrap().to_string(), "100.00 USD");
    assert_eq!((event.click_id.as_str(), event.ts_event, event.is_ftd), ("clk_123", NOW, Some(true)));
}

#[test]
fn every_built_in_type_is_read_with_all_its_members() {
    let consent = r#"{"version": "2025-10", "analytics": true, "ads": false, "channel": "web"}"#;
    for event in EventType::BUILT_IN.iter().map(EventType::as_str) {
        let all = [
            ("amount", "12.50"),
            USD,
            ORIGINAL,
            ("is_ftd", "false"),
            ("bonus", "true"),
            ("account_id", "\"u\""),
            ("session_id", "\"s\""),
            ("install_id", "\"i\""),
            ("geo", "\"BR\""),
            ("device", "\"android\""),
            ("ip", "\"2001:db8::7\""),
            ("ua", "\"Mozilla/5.0 (\\\"x\\\")\""),
            ("kyc_level", "\"full\""),
            ("payment_method", "\"pix\""),
            ("aff_sub", "\"\\u00fc\""),
            ("campaign", "\"c\""),
            ("creative_id", "\"c\""),
            ("consent", consent),
            ("of_no_meaning", "[null, {\"amount\": \"1,00\"}]"),
        ];
        let read = read_event(event, &all).unwrap();
        assert_eq!(read.amount.unwrap().to_string(), "12.50 USD", "{event}");
        assert_eq!(read.original_event_id.unwrap().as_str(), "d1", "{event}");
        assert_eq!((read.is_ftd, read.bonus), (Some(false), Some(true)), "{event}");
    }
}

#[test]
fn a_type_is_known_by_its_name_and_by_nothing_else() {
    let name = |text: &str| EventName::new(text).unwrap();
    for event in EventType::BUILT_IN {
        assert_eq!((EventType::named(event.name()), event.name()), (*event, name(event.as_str())));
        // What undoes another event says by how much, and which way.
        let demands = event.demands(&[]).unwrap();
        assert_eq!(event.sign().is_some(), demands.amount == Presence::Required, "{event:?}");
        assert!(demands.original.is_none() || event.sign().is_some(), "{event:?}");
    }
    let tip = EventType::named(name("tip"));
    assert_eq!(
        (tip, tip.name(), tip.sign(), tip.demands(&[])),
        (EventType::Custom(name("tip")), name("tip"), None, None)
    );
}

#[test]
fn names_and_values_are_read_through_their_escapes() {
    let more = [("\\u0061mount", "1"), ("currenc\\u0079", "\"US\\u0044\""), ("event_id", "\"\\u0065\\/1\"")];
    let event = read_event("deposit_success", &more).unwrap();
    assert_eq!((event.event_id.as_str(), event.amount.unwrap().minor), ("e/1", 100));
}

#[test]
fn amounts_are_exact_and_have_the_sign_of_their_type() {
    for (event, amount, currency, minor) in [
        ("deposit_success", "0", "USD", 0),
        ("deposit_success", "-0", "USD", 0),
        ("deposit_success", "1E2", "USD", 10_000),
        ("deposit_success", "1e-2", "USD", 1),
        ("deposit_success", "100", "JPY", 100),
        ("deposit_success", "1.234", "KWD", 1_234),
        ("deposit_success", "1.2345", "CLF", 12_345),
        ("refund", "0.01", "USD", 1),
        ("chargeback", "1", "JPY", 1),
        ("bonus_payout", "0", "EUR", 0),
        ("quiz", "5", "EUR", 500),
        ("registration", "5", "EUR", 500),
    ] {
        let currency = format!("\"{currency}\"");
        let event = read_event(event, &[("amount", amount), ("currency", &currency), ORIGINAL]).unwrap();
        assert_eq!(event.amount.map(|amount| amount.minor), Some(minor), "{amount} {currency}");
    }
    assert_eq!(read_event("quiz", &[]).unwrap().amount, None);
    assert_eq!(read_event("login", &[]).unwrap().amount, None);
}

#[test]
fn money_that_is_not_exact_or_not_whole_is_refused() {
    const NUMBER: &str = "/amount: send a JSON number such as 100.00";
    const STRING: &str = "/amount: send a JSON number such as 100.00, not a string";
    const DECIMALS: &str = "/amount: send no more decimals than the currency has in ISO 4217 (USD 2, JPY 0, KWD 3); \
                            nothing is rounded";
    const LARGE: &str = "/amount: send an amount of at most 9223372036854775807 minor units";
    const NEGATIVE: &str =
        "/amount: send an amount of 0 or more; what takes money back is a refund or a chargeback";
    const POSITIVE: &str =
        "/amount: send what is taken back as an amount of more than 0, without a minus sign";
    const AMOUNT_TOO: &str = "/amount: send the amount too: a JSON number such as 100.00";
    const CURRENCY_TOO: &str =
        "/currency: send the currency too: an ISO 4217 code in upper case, such as USD";
    const CODE: &str = "/currency: send an active ISO 4217 code in upper case, such as USD";
    const NO_MONEY: [&str; 2] = [
        "/amount: leave the member out; events of this type carry no money",
        "/currency: leave the member out; events of this type carry no money",
    ];
    for (event, amount, currency, expected) in [
        ("deposit_success", "\"100.00\"", "\"USD\"", &[STRING][..]),
        ("deposit_success", "\"100,00\"", "\"USD\"", &[STRING]),
        ("deposit_success", "null", "\"USD\"", &[NUMBER]),
        ("deposit_success", "true", "\"USD\"", &[NUMBER]),
        ("deposit_success", "[100]", "\"USD\"", &[NUMBER]),
        ("deposit_success", "{}", "\"USD\"", &[NUMBER]),
        ("deposit_success", "100.001", "\"USD\"", &[DECIMALS]),
        ("deposit_success", "1e-3", "\"USD\"", &[DECIMALS]),
        ("deposit_success", "0.5", "\"JPY\"", &[DECIMALS]),
        ("deposit_success", "1.2345", "\"KWD\"", &[DECIMALS]),
        ("deposit_success", "1.23456", "\"CLF\"", &[DECIMALS]),
        ("deposit_success", "1e17", "\"USD\"", &[LARGE]),
        ("deposit_success", "1e19", "\"JPY\"", &[LARGE]),
        ("deposit_success", "-0.01", "\"USD\"", &[NEGATIVE]),
        ("registration", "-1", "\"USD\"", &[NEGATIVE]),
        ("bonus_payout", "-1", "\"USD\"", &[NEGATIVE]),
        ("refund", "0", "\"USD\"", &[POSITIVE]),
        ("refund", "-0", "\"USD\"", &[POSITIVE]),
        ("refund", "-5", "\"USD\"", &[POSITIVE]),
        ("chargeback", "0.00", "\"USD\"", &[POSITIVE]),
        ("chargeback", "-100", "\"USD\"", &[POSITIVE]),
        ("chargeback_reversed", "0", "\"USD\"", &[POSITIVE]),
        ("chargeback_reversed", "-100", "\"USD\"", &[POSITIVE]),
        ("deposit_success", "", "", &[AMOUNT_TOO, CURRENCY_TOO]),
        ("refund", "", "", &[AMOUNT_TOO, CURRENCY_TOO]),
        ("chargeback", "", "", &[AMOUNT_TOO, CURRENCY_TOO]),
        ("chargeback_reversed", "", "", &[AMOUNT_TOO, CURRENCY_TOO]),
        ("bonus_payout", "", "", &[AMOUNT_TOO, CURRENCY_TOO]),
        ("deposit_success", "100", "", &[CURRENCY_TOO]),
        ("deposit_success", "", "\"USD\"", &[AMOUNT_TOO]),
        ("registration", "100", "", &[CURRENCY_TOO]),
        ("registration", "", "\"USD\"", &[AMOUNT_TOO]),
        ("deposit_success", "100", "\"usd\"", &[CODE]),
        ("deposit_success", "100", "\"USDT\"", &[CODE]),
        ("deposit_success", "100", "\"XXX\"", &[CODE]),
        ("deposit_success", "100", "\"\"", &[CODE]),
        ("deposit_success", "100", "840", &[CODE]),
        ("deposit_success", "100", "null", &[CODE]),
        // Nobody knows how many decimals an amount in an unknown currency may have.
        ("deposit_success", "100.00001", "\"ZZZ\"", &[CODE]),
        ("deposit_success", "\"1\"", "\"ZZZ\"", &[STRING, CODE]),
        ("login", "100", "\"USD\"", &NO_MONEY),
        ("login", "null", "", &NO_MONEY[..1]),
    ] {
        let more = [("amount", amount), ("currency", currency), ORIGINAL];
        assert_eq!(faults(read_event(event, &more)), expected, "{event} {amount} {currency}");
    }
}

#[test]
fn a_required_member_that_is_missing_or_wrong_is_refused() {
    const EVENT: &str = "/event: send a known event type, such as registration, kyc_approved, deposit_success, refund, \
                         chargeback, chargeback_reversed or install, or one that was declared for you";
    const EVENT_ID: &str =
        "/event_id: send a string of 1 to 128 visible ASCII characters, unique for each event";
    const CLICK_ID: &str = "/click_id: send the click_id as the redirect delivered it: a string of 1 to 128 visible ASCII \
                            characters";
    const BLANKS: &str =
        "/event_id: send the id without white space or control characters in it or around it";
    const CLICK_BLANKS: &str =
        "/click_id: send the id without white space or control characters in it or around it";
    const NOTHING: &str = "/event_id: the sender's system printed nothing here, such as null, 0 or undefined; send the id \
                           itself, and leave a member out that is optional where there is none";
    const MACRO: &str = "/event_id: this is a placeholder that was never filled in; check the macro's name in the sender's \
                         system";
    const FORM: &str = "/ts_event: send an RFC 3339 date and time in UTC, such as 2025-10-21T15:12:31Z";
    const UTC: &str =
        "/ts_event: send UTC with a closing Z, such as 2025-10-21T15:12:31Z, not an offset or a local time";
    let (fits, longer) = (format!("\"{}\"", "x".repeat(128)), format!("\"{}\"", "x".repeat(129)));
    for (name, json, expected) in [
        ("event", "", EVENT),
        ("event", "null", EVENT),
        ("event", "\"\"", EVENT),
        ("event", "\"Registration\"", EVENT),
        ("event", "\"deposit\"", EVENT),
        ("event", "\"login \"", EVENT),
        ("event", &longer, EVENT),
        ("event_id", "", EVENT_ID),
        ("event_id", "7", EVENT_ID),
        ("event_id", "\"\"", EVENT_ID),
        ("event_id", "\"a b\"", EVENT_ID),
        ("event_id", "\"a\\nb\"", BLANKS),
        ("event_id", "\"a\\u007f\"", BLANKS),
        ("event_id", "\" a\"", BLANKS),
        ("event_id", "\"0\"", NOTHING),
        ("event_id", "\"{event_id}\"", MACRO),
        ("event_id", "\"\u{fc}\"", EVENT_ID),
        ("event_id", &longer, EVENT_ID),
        ("click_id", "", CLICK_ID),
        ("click_id", "[]", CLICK_ID),
        ("click_id", "\"\"", CLICK_ID),
        ("click_id", "\"c\\u00001\"", CLICK_BLANKS),
        ("click_id", "\"c1\\t\"", CLICK_BLANKS),
        ("click_id", &longer, CLICK_ID),
        ("ts_event", "", FORM),
        ("ts_event", "1761059551", FORM),
        ("ts_event", "\"2025-10-21\"", FORM),
        ("ts_event", "\"2025-10-21T15: 12: 31Z\"", FORM),
        ("ts_event", "\"2025-10-21T18:12:31+03:00\"", UTC),
        ("ts_event", "\"2025-10-21T15:12:31\"", UTC),
        (
            "ts_event",
            "\"2025-02-29T15:12:31Z\"",
            "/ts_event: send a date and a time of day that exist, such as \
                                                  2025-10-21T15:12:31Z",
        ),
        ("ts_event", "\"1969-12-31T23:59:59Z\"", "/ts_event: send a time of 1970 or later"),
    ] {
        assert_eq!(faults(read_event("registration", &[(name, json)])), [expected], "{name} {json}");
    }
    assert_eq!(read_event("registration", &[("event_id", &fits), ("click_id", &fits)]).map(|_| ()), Ok(()));
}

#[test]
fn a_reversal_names_another_event() {
    const MISSING: &str = "/original_event_id: send the event_id of the event that is taken back";
    const ITSELF: &str =
        "/original_event_id: send the event_id of the event that is taken back, not this event's own";
    const FORM: &str = "/original_event_id: send the event_id of the event that is taken back: a string of 1 to 128 \
                        visible ASCII characters";
    for event in ["refund", "chargeback", "chargeback_reversed"] {
        for (json, expected) in
            [("", MISSING), ("null", FORM), ("\"\"", FORM), ("\"d 1\"", FORM), ("\"e1\"", ITSELF)]
        {
            let more = [("amount", "1"), USD, ("original_event_id", json)];
            assert_eq!(faults(read_event(event, &more)), [expected], "{event} {json}");
        }
    }
    assert_eq!(faults(read_event("registration", &[("original_event_id", "7")])), [FORM]);
    assert_eq!(read_event("deposit_success", &[("amount", "1"), USD]).unwrap().original_event_id, None);
}

#[test]
fn an_event_of_the_future_is_refused_one_millisecond_late() {
    let at = |ts_event| read_event("registration", &[("ts_event", ts_event)]);
    assert_eq!(at("\"2025-10-21T15:17:31Z\"").unwrap().ts_event, NOW.plus_ms(300_000));
    // However old: a sender's queue may deliver late.
    assert_eq!(at("\"1970-01-01T00:00:00Z\"").unwrap().ts_event, Timestamp::from_ms(0));
    let late = at("\"2025-10-21T15:17:31.001Z\"").unwrap_err();
    assert_eq!(late.skew_ms(), Some(300_001));
    assert_eq!(
        faults(Err(late)),
        [
            "/ts_event: send the time at which the event happened; this is ahead of our clock, so check yours, and that the \
          time is UTC"
        ]
    );
    let wrong = read_event("registration", &[("ts_event", "1")]).unwrap_err();
    assert_eq!(wrong.skew_ms(), None, "what is no instant has no skew");
}

#[test]
fn an_optional_member_of_another_type_is_refused() {
    const GEO: &str =
        "send a country as two letters in upper case (ISO 3166-1), such as BR, or leave the member out";
    const IP: &str = "send an IPv4 or IPv6 address as a string, or leave the member out";
    const BOOLEAN: &str = "send true or false, or leave the member out";
    const BONUS: &str = "send true if the deposit is a bonus and false if it is the player's money, not an amount, or \
                         leave the member out";
    for (name, json, problem) in [
        ("is_ftd", "\"true\"", BOOLEAN),
        ("is_ftd", "1", BOOLEAN),
        ("is_ftd", "null", BOOLEAN),
        ("bonus", "10.00", BONUS),
        ("bonus", "\"yes\"", BONUS),
        ("bonus", "null", BONUS),
        ("geo", "\"br\"", GEO),
        ("geo", "\"BRA\"", GEO),
        ("geo", "\"B\"", GEO),
        ("geo", "\"\u{fc}\"", GEO),
        ("geo", "55", GEO),
        ("ip", "\"203.0.113.256\"", IP),
        ("ip", "\"203. 0. 113. 7\"", IP),
        ("ip", "\"203.0.113.7:80\"", IP),
        ("ip", "\"\"", IP),
        ("ip", "3405803783", IP),
    ] {
        assert_eq!(
            faults(read_event("registration", &[(name, json)])),
            [format!("/{name}: {problem}")],
            "{json}"
        );
    }
}

#[test]
fn a_text_has_a_maximum_and_is_not_empty() {
    let labels = [
        "account_id",
        "session_id",
        "install_id",
        "device",
        "kyc_level",
        "payment_method",
        "aff_sub",
        "campaign",
        "creative_id",
    ];
    for (name, bytes_max) in
        labels.map(|name| (name, LABEL_BYTES_MAX)).into_iter().chain([("ua", UA_BYTES_MAX)])
    {
        let problem = format!("/{name}: send a string of 1 to {bytes_max} bytes, or leave the member out");
        let text = |count: usize, unit: &str| format!("\"{}\"", unit.repeat(count));
        let half = bytes_max.checked_div(2).unwrap();
        for fits in [text(bytes_max, "x"), text(half, "\u{fc}"), text(half, "\\u00fc"), text(1, "x")] {
            assert_eq!(read_event("registration", &[(name, &fits)]).map(|_| ()), Ok(()), "{name} {fits}");
        }
        let (more, half_more) = (bytes_max.saturating_add(1), half.saturating_add(1));
        for refused in [
            text(more, "x"),
            text(half_more, "\u{fc}"),
            text(half_more, "\\u00fc"),
            text(0, ""),
            "456".into(),
            "null".into(),
        ] {
            assert_eq!(
                faults(read_event("registration", &[(name, &refused)])),
                [problem.as_str()],
                "{refused}"
            );
        }
    }
}

#[test]
fn a_consent_says_to_what_and_for_what() {
    const WHOLE: &str = "/consent: send an object with version, analytics and ads, or leave the member out";
    const VERSION: &str =
        "/consent/version: send the version of the consent text: a string of 1 to 256 bytes";
    const ANALYTICS: &str = "/consent/analytics: send true or false";
    const ADS: &str = "/consent/ads: send true or false";
    for (json, expected) in [
        ("true", &[WHOLE][..]),
        ("null", &[WHOLE]),
        ("\"2025-10\"", &[WHOLE]),
        ("[]", &[WHOLE]),
        ("{}", &[VERSION, ANALYTICS, ADS]),
        (r#"{"version": 3, "analytics": true, "ads": true}"#, &[VERSION]),
        (r#"{"version": "", "analytics": true, "ads": true}"#, &[VERSION]),
        (r#"{"version": "3", "analytics": "granted", "ads": true}"#, &[ANALYTICS]),
        (r#"{"ads": 0, "version": "3", "analytics": true}"#, &[ADS]),
        (r#"{"version": "3", "analytics": true}"#, &[ADS]),
    ] {
        assert_eq!(faults(read_event("registration", &[("consent", json)])), expected, "{json}");
    }
}

#[test]
fn all_faults_are_listed_in_one_order_up_to_the_maximum() {
    let wrong = MEMBERS
        .iter()
        .map(|name| (*name, if *name == "event" { "\"refund\"" } else { "[]" }))
        .collect::<Vec<_>>();
    let forward = faults(read_text(&object(&wrong)));
    let backward = faults(read_text(&object(wrong.iter().rev())));
    assert_eq!(forward, backward, "the order of the document does not show");
    let pointers = forward.iter().map(|fault| fault.split_once(':').unwrap().0).collect::<Vec<_>>();
    let first = MEMBERS.iter().skip(1).take(FAULTS_MAX).map(|name| format!("/{name}")).collect::<Vec<_>>();
    assert_eq!(pointers, first);
}

#[test]
fn every_member_with_a_meaning_is_checked_in_its_place() {
    // Each fault alone, then with the one of the next member: both are listed, in the order of the members.
    for pair in MEMBERS.windows(2) {
        let more = pair.iter().map(|name| (*name, "[]")).collect::<Vec<_>>();
        let listed = faults(read_event("registration", &more));
        let pointers =
            listed.iter().map(|fault| fault.split_once(':').unwrap().0.to_owned()).collect::<Vec<_>>();
        let mut expected = pair.iter().map(|name| format!("/{name}")).collect::<Vec<_>>();
        match pair[..] {
            // One of the two is missing then, which is a fault of its own.
            ["ts_event", "amount"] => expected.push("/currency".into()),
            ["currency", _] => expected.insert(0, "/amount".into()),
            _ => {}
        }
        assert_eq!(pointers, expected);
    }
}

#[test]
fn a_pointer_needs_no_escape() {
    // RFC 6901 §3 escapes `~` and `/`.
    assert!(MEMBERS.iter().all(|name| !name.contains(['~', '/']) && name.len() < 64));
}

#[test]
fn a_document_that_is_no_object_is_refused() {
    for text in ["[]", "null", "7", "\"registration\"", "[{\"event\": \"registration\"}]"] {
        assert_eq!(faults(read_text(text)), [": send one event as a JSON object"], "{text}");
    }
}

#[test]
fn members_of_an_inner_object_do_not_count() {
    let inner = object(&members("\"registration\"", &[]));
    let outer = format!("{{\"payload\": {inner}}}");
    let pointers = faults(read_text(&outer));
    assert_eq!(pointers.len(), 4, "event, event_id, click_id and ts_event are missing: {pointers:?}");
}

#[test]
fn every_currency_takes_its_decimals_and_not_one_more() {
    let Some(text) = third_party::read("iso-4217/active-codes.csv") else { return };
    for line in text.lines().skip(1) {
        let [code, _numeric, decimals] = line.splitn(4, ',').take(3).collect::<Vec<_>>()[..] else {
            panic!("three columns are needed: {line}");
        };
        let code = format!("\"{code}\"");
        let Ok(decimals) = decimals.parse::<usize>() else {
            assert!(
                read_event("deposit_success", &[("amount", "1"), ("currency", &code)]).is_err(),
                "{code}"
            );
            continue;
        };
        let amount = |decimals: usize| match decimals {
            0 => "7".to_owned(),
            decimals => format!("7.{}1", "0".repeat(decimals.saturating_sub(1))),
        };
        let (exact, finer) = (amount(decimals), amount(decimals.saturating_add(1)));
        let read = |amount: &str| read_event("deposit_success", &[("amount", amount), ("currency", &code)]);
        let shown = format!("{exact} {}", code.trim_matches('"'));
        assert_eq!(read(&exact).unwrap().amount.unwrap().to_string(), shown);
        assert!(faults(read(&finer))[0].contains("nothing is rounded"), "{finer} {code}");
    }
}

#[test]
fn an_identifier_that_nobody_filled_in_is_refused() {
    const MEMBERS: [&str; 4] = ["account_id", "session_id", "install_id", "original_event_id"];
    for member in MEMBERS {
        for (id, hint) in [
            ("null", "printed nothing here"),
            ("0", "printed nothing here"),
            ("00000000-0000-0000-0000-000000000000", "printed nothing here"),
            ("[object Object]", "printed nothing here"),
            ("{account_id}", "never filled in"),
            ("acc-{{user.id}}", "never filled in"),
            ("%7Buser%7D", "never filled in"),
            ("u_1 ", "white space"),
        ] {
            let found = faults(read_event("registration", &[(member, &format!("{id:?}"))]));
            assert_eq!(found.len(), 1, "{member} {id}");
            assert!(found[0].starts_with(&format!("/{member}: ")) && found[0].contains(hint), "{found:?}");
        }
        assert_eq!(read_event("registration", &[(member, "\"none-1\"")]).map(|_| ()), Ok(()), "{member}");
    }
    // Whether a click id was filled in is for another check to say, with a code of its own.
    assert_eq!(read_event("registration", &[("click_id", "\"null\"")]).map(|_| ()), Ok(()));
    // Nothing hangs on these.
    assert_eq!(read_event("registration", &[("campaign", "\"none\"")]).map(|_| ()), Ok(()));
}
