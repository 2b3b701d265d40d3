//! What is stored of a payload: one line per rule, always canonical, and nothing of what was to go.
#![cfg(test)]

use countersign_core::json::{Malformed, Problem, Tape};
use countersign_core::keys::Key;
use countersign_core::receipt::MacKey;
use countersign_core::time::Timestamp;
use countersign_ledger::minimise::{
    MinimiseConfigError, MinimiseMistake, MinimiseRules, NAMES_MAX, NEEDED, NotAnEvent, minimise, pseudonym,
};

fn names(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

fn salt() -> MacKey {
    MacKey::new(b"a salt of at least thirty-two bytes")
}

/// A moment at which payloads are received.
const NOW: Timestamp = Timestamp::from_ms(1_792_595_551_000);

/// Salts of which the second takes over at [`NOW`].
fn rotating() -> Vec<Key<MacKey>> {
    let new = b"another salt of thirty-two bytes";
    vec![
        Key::<MacKey>::new(
            "old".into(),
            b"a salt of at least thirty-two bytes",
            None,
            Some(NOW.plus_ms(1_000)),
        ),
        Key::<MacKey>::new("new".into(), new, Some(NOW), None),
    ]
}

/// Rules with a salt.
fn rules(keep: Option<&[&str]>, hash: &[&str], truncate: &[&str]) -> MinimiseRules {
    MinimiseRules {
        keep: keep.map(names),
        hash: names(hash),
        truncate: names(truncate),
        salts: vec![Key::<MacKey>::new("s1".into(), b"a salt of at least thirty-two bytes", None, None)],
        signature: None,
    }
}

fn minimised(payload: &str, rules: &MinimiseRules) -> String {
    let output = minimise(payload.as_bytes(), rules, NOW, &mut Tape::default()).expect(payload);
    let output = String::from_utf8(output).expect(payload);
    let value: serde_json::Value = serde_json::from_str(&output).expect(payload);
    let canonical = serde_json_canonicalizer::to_string(&value).unwrap();
    assert_eq!(output, canonical, "the output is canonical");
    output
}

const ALL: Option<&[&str]> = None;
const NONE: Option<&[&str]> = Some(&[]);

/// What the rules keep, hash and truncate; the payload; what is left of it.
type Case = (
    Option<&'static [&'static str]>,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (ALL, &[], &[], r#"{ "b": 1.0, "a": "x" }"#, r#"{"a":"x","b":1}"#),
    (ALL, &[], &[], r#"{"signature":"s","a":1}"#, r#"{"a":1}"#),
    (ALL, &[], &[], r#"{"signature":"s"}"#, "{}"),
    (ALL, &[], &[], "{}", "{}"),
    (NONE, &[], &[], r#"{"email":"j@example.com","geo":"BR"}"#, "{}"),
    (Some(&["geo"]), &[], &[], r#"{"geo":"BR","email":"j@example.com"}"#, r#"{"geo":"BR"}"#),
    (Some(&["geo"]), &[], &[], r#"{"\u0067eo":"BR","Geo":"BR"}"#, r#"{"geo":"BR"}"#),
    // Nested members are of their top-level member.
    (Some(&["geo"]), &[], &[], r#"{"player":{"geo":"BR"},"geo":{"z":[1,{"b":2,"a":1}],"a":null}}"#, r#"{"geo":{"a":null,"z":[1,{"a":1,"b":2}]}}"#),
    // Computed with Python's hmac from the documented message.
    (NONE, &["account_id"], &[], r#"{"account_id":"u_456"}"#, r#"{"account_id":"h_VvqFalBoxa-AvYmmjv14sQ"}"#),
    (NONE, &["account_id"], &[], r#"{"account_id":"u\u005f456"}"#, r#"{"account_id":"h_VvqFalBoxa-AvYmmjv14sQ"}"#),
    (NONE, &["session_id"], &[], r#"{"session_id":"u_456"}"#, r#"{"session_id":"h_ZiktPJf-wVQUVjy9jsq5_w"}"#),
    (NONE, &["account_id"], &[], r#"{"account_id":456}"#, r#"{"account_id":"h_etA7GPv2QnO_Ab0P87p_cA"}"#),
    (NONE, &["account_id"], &[], r#"{"account_id":4.56e2}"#, r#"{"account_id":"h_etA7GPv2QnO_Ab0P87p_cA"}"#),
    (NONE, &["account_id"], &[], r#"{"account_id":"456"}"#, r#"{"account_id":"h_NJh80mNZ9IQvluSOIypnyw"}"#),
    (NONE, &["account_id"], &[], r#"{"account_id":"é\"\n"}"#, r#"{"account_id":"h_3-1ZZW93d3y6WWSHqzzQeg"}"#),
    (NONE, &["player"], &[], r#"{"player":{"b":[true,null],"a":1.0}}"#, r#"{"player":"h_9-2bKtTOjFHNEkvGTtOwHA"}"#),
    (NONE, &[], &["ip"], r#"{"ip":"203.0.113.7"}"#, r#"{"ip":"203.0.113.0"}"#),
    (NONE, &[], &["ip"], r#"{"ip":"2001:DB8:1:2::7"}"#, r#"{"ip":"2001:db8:1::"}"#),
    (NONE, &[], &["ip"], r#"{"ip":"::ffff:203.0.113.7"}"#, r#"{"ip":"203.0.113.0"}"#),
    (NONE, &[], &["ip"], r#"{"ip":"203.0.113.7, 10.0.0.1"}"#, "{}"),
    (NONE, &[], &["ip"], r#"{"ip":3405803783}"#, "{}"),
    (NONE, &[], &["ua"], r#"{"ua":"Mozilla/5.0 (Linux; Android 10; K) Chrome/141.0.0.0 Mobile"}"#, r#"{"ua":"Chrome/141 Android"}"#),
    (NONE, &[], &["ua"], r#"{"ua":"jane\"s own"}"#, r#"{"ua":"Other"}"#),
    (NONE, &[], &["phone"], r#"{"phone":"+5511999990000"}"#, r#"{"phone":"+551"}"#),
    (NONE, &[], &["phone"], r#"{"phone":5511999990000}"#, "{}"),
    (NONE, &[], &["phone"], r#"{"phone":["+5511999990000"]}"#, "{}"),
    (NONE, &[], &["t"], r#"{"t":"abc"}"#, r#"{"t":"abc"}"#),
    (NONE, &[], &["t"], r#"{"t":"abcd"}"#, r#"{"t":"abcd"}"#),
    (NONE, &[], &["t"], r#"{"t":""}"#, r#"{"t":""}"#),
    // Four characters, as many bytes as they have, however they are written.
    (NONE, &[], &["t"], r#"{"t":"été à la"}"#, r#"{"t":"été "}"#),
    (NONE, &[], &["t"], r#"{"t":"\uD83D\uDE00b\u0001\"\\\n"}"#, "{\"t\":\"\u{1f600}b\\u0001\\\"\"}"),
    (NONE, &[], &["t"], r#"{"t":"\\\\\\\\\\"}"#, r#"{"t":"\\\\\\\\"}"#),
    (NONE, &[], &["t"], r#"{"t":"a\"b\""}"#, r#"{"t":"a\"b\""}"#),
    (NONE, &[], &["t"], r#"{"t":"\/\/\/\/\/"}"#, r#"{"t":"////"}"#),
    // Needed members stay, whatever the rules; hashing comes before truncating, and both before keeping.
    (NONE, &["amount"], &["event_id"], r#"{"event_id":"dep_9aa","amount":100.00}"#, r#"{"amount":100,"event_id":"dep_9aa"}"#),
    (Some(&["account_id"]), &["account_id"], &["account_id"], r#"{"account_id":"u_456"}"#, r#"{"account_id":"h_VvqFalBoxa-AvYmmjv14sQ"}"#),
    (Some(&["account_id"]), &[], &["account_id"], r#"{"account_id":"u_456"}"#, r#"{"account_id":"u_45"}"#),
    (Some(&["signature"]), &["signature"], &["signature"], r#"{"signature":"s"}"#, "{}"),
    (NONE, &[], &[], r#"{"consent":{"version":"v1","email":"j@example.com","ads":true,"analytics":false}}"#, r#"{"consent":{"ads":true,"analytics":false,"version":"v1"}}"#),
    (ALL, &[], &[], r#"{"consent":{"version":"v1","region":"BR"}}"#, r#"{"consent":{"region":"BR","version":"v1"}}"#),
    (NONE, &[], &[], r#"{"consent":{}}"#, r#"{"consent":{}}"#),
];

#[test]
fn members_are_kept_hashed_truncated_or_left_out() {
    for (keep, hash, truncate, payload, expected) in CASES {
        let output = minimised(payload, &rules(*keep, hash, truncate));
        assert_eq!(output, *expected, "{payload} keep {keep:?} hash {hash:?} truncate {truncate:?}");
    }
}

#[test]
fn what_posting_needs_is_left_as_it_is() {
    let event = r#"{"event":"refund","event_id":"r_1","click_id":"c_1","ts_event":"2025-10-21T15:12:31Z","amount":12.5,
        "currency":"USD","original_event_id":"d_1","is_ftd":false,"bonus":true,"consent":{"version":"v1","analytics":true,"ads":false}}"#;
    let everything = minimised(event, &MinimiseRules::default());
    assert_eq!(minimised(event, &rules(NONE, &[], &[])), everything);
    assert_eq!(minimised(event, &rules(NONE, &NEEDED, &NEEDED)), everything);
    let value: serde_json::Value = serde_json::from_str(&everything).unwrap();
    assert!(NEEDED.iter().all(|name| value.get(name).is_some()), "the event has every needed member");
}

#[test]
fn a_signature_under_another_name_is_left_out_too() {
    let rules = MinimiseRules { signature: Some("sig".into()), ..MinimiseRules::default() };
    assert_eq!(minimised(r#"{"sig":"s","signature":"t","x":1}"#, &rules), r#"{"x":1}"#);
}

#[test]
fn without_a_salt_what_should_be_hashed_is_left_out() {
    let rules = MinimiseRules { hash: names(&["account_id"]), ..MinimiseRules::default() };
    assert_eq!(minimised(r#"{"account_id":"u_456","x":1}"#, &rules), r#"{"x":1}"#);
}

#[test]
fn a_pseudonym_depends_on_salt_member_and_value() {
    let (one, other) = (salt(), MacKey::new(b"another salt of thirty-two bytes"));
    assert_eq!(pseudonym(&one, "account_id", "u_456").as_str(), "h_VvqFalBoxa-AvYmmjv14sQ");
    let all = [
        pseudonym(&one, "account_id", "u_456"),
        pseudonym(&one, "account_id", "u_457"),
        pseudonym(&one, "account_i", "du_456"),
        pseudonym(&one, "session_id", "u_456"),
        pseudonym(&other, "account_id", "u_456"),
    ];
    for (index, pseudonym) in all.iter().enumerate() {
        assert_eq!(all.iter().position(|same| same == pseudonym), Some(index));
        assert_eq!(pseudonym.as_str().len(), 24);
    }
}

#[test]
fn after_a_rotation_the_new_salt_hashes_and_every_listed_one_finds() {
    let rules = MinimiseRules { salts: rotating(), ..rules(ALL, &["account_id"], &[]) };
    let other = MacKey::new(b"another salt of thirty-two bytes");
    let at = |now| {
        let output = minimise(br#"{"account_id":"u_456"}"#, &rules, now, &mut Tape::default()).unwrap();
        String::from_utf8(output).unwrap()
    };
    let stored =
        |salt: &MacKey| format!(r#"{{"account_id":"{}"}}"#, pseudonym(salt, "account_id", "u_456").as_str());
    assert_eq!(at(Timestamp::from_ms(NOW.as_ms() - 1)), stored(&salt()));
    assert_eq!(at(NOW), stored(&other));
    assert_eq!(at(NOW.plus_ms(1_000)), stored(&other));
    let found: Vec<_> = rules.pseudonyms("account_id", "u_456").collect();
    assert_eq!(found, [salt(), other].map(|salt| pseudonym(&salt, "account_id", "u_456")));
    assert_eq!(rules.pseudonyms("session_id", "u_456").count(), 0, "it is not hashed");
}

#[test]
fn what_is_no_event_is_not_minimised() {
    let problem =
        |payload: &str| minimise(payload.as_bytes(), &MinimiseRules::default(), NOW, &mut Tape::default());
    for array in ["[]", "1", "null", "\"event\""] {
        assert_eq!(problem(array), Err(NotAnEvent::NotAnObject), "{array}");
    }
    let malformed = |offset, problem| Err(NotAnEvent::Malformed(Malformed { offset, problem }));
    assert_eq!(problem("{\"a\":1,\"a\":2}"), malformed(7, Problem::DuplicateMember));
    assert_eq!(problem(""), malformed(0, Problem::EndOfInput));
}

#[test]
fn rules_that_cannot_mean_what_they_say_are_found() {
    use MinimiseMistake::{Needed, SaltMissing, Signature, TooMany, Twice};
    let wrong = |list, index, mistake| Err(MinimiseConfigError { list, index, mistake });
    for (keep, hash, truncate, expected) in [
        (ALL, &[][..], &[][..], Ok(())),
        (Some(&["geo", "amount"][..]), &["account_id"], &["ip", "ua"], Ok(())),
        (Some(&["geo", "geo"]), &[], &[], wrong("keep", 1, Twice)),
        (Some(&["geo"]), &["account_id", "geo"], &[], wrong("hash", 1, Twice)),
        (ALL, &["ip"], &["ua", "ip"], wrong("truncate", 1, Twice)),
        (ALL, &["click_id"], &[], wrong("hash", 0, Needed)),
        (ALL, &[], &["ip", "consent"], wrong("truncate", 1, Needed)),
        (Some(&["signature"]), &[], &[], wrong("keep", 0, Signature)),
        (ALL, &[], &["signature"], wrong("truncate", 0, Signature)),
    ] {
        let rules = rules(keep, hash, truncate);
        assert_eq!(rules.check(), expected, "keep {keep:?} hash {hash:?} truncate {truncate:?}");
    }
    let without_salt = MinimiseRules { salts: Vec::new(), ..rules(ALL, &["account_id"], &[]) };
    assert_eq!(without_salt.check(), wrong("hash", 0, SaltMissing));
    let named = MinimiseRules { signature: Some("sig".into()), ..rules(Some(&["sig"]), &[], &[]) };
    assert_eq!(named.check(), wrong("keep", 0, Signature));
    let many: Vec<String> = (0..=NAMES_MAX).map(|number| format!("m{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(rules(ALL, &[], &many).check(), wrong("truncate", NAMES_MAX, TooMany));
    assert_eq!(rules(ALL, &[], many.split_last().unwrap().1).check(), Ok(()));
}

#[test]
fn nothing_that_was_to_go_is_in_the_output() {
    let payload = r#"{"event":"registration","event_id":"e","account_id":"SECRET1","ip":"198.51.100.77","ua":"SECRET2 Firefox/143.0",
        "note":"SEC: SECRET3","player":{"email":"SECRET4"},"SECRET5":"x","device":"android","signature":"SECRET6"}"#;
    let rules = rules(Some(&["device"]), &["account_id"], &["ip", "ua", "note"]);
    let output = minimised(payload, &rules);
    assert!(!output.contains("SECRET") && !output.contains(".77"), "{output}");
    assert!(output.contains(r#""ua":"Firefox/143""#) && output.contains(r#""note":"SEC:""#), "{output}");
    assert!(!format!("{rules:?}").contains("thirty-two"), "the salt is not shown");
}
