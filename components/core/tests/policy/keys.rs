//! Keys that overlap: which one signs, which are believed, and what a document may not say.

use countersign_core::click;
use countersign_core::keys::{Key, current, valid};
use countersign_core::policy::Policy;
use countersign_core::time::Timestamp;

use crate::{changed, compile, file, host_secret, mistakes};

/// Two keys that overlap for a minute.
const OVERLAP: &str = r#"{ "keys": [
    { "id": "old", "secret": { "name": "first_key" }, "not_after": "2026-10-21T15:13:00Z" },
    { "id": "new", "secret": { "name": "second_key" }, "not_before": "2026-10-21T15:12:00Z" }] }"#;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn ids<S>(keys: &[Key<S>], now: Timestamp) -> (Option<String>, Vec<String>) {
    let id = |key: &Key<S>| key.id().to_string();
    (current(keys, now).map(id), valid(keys, now).map(id).collect())
}

fn with(member: &str, keys: &str) -> String {
    changed(&file("examples/production.json"), &[(member, keys)])
}

#[test]
fn the_newest_valid_key_signs_and_all_valid_ones_are_believed() {
    let policy = compile(&with("/attestation", OVERLAP)).unwrap();
    let (old, new) = ("hop:old", "hop:new");
    for (now, signs, believed) in [
        ("2026-10-21T15:11:59.999Z", old, vec![old]),
        ("2026-10-21T15:12:00Z", new, vec![old, new]),
        ("2026-10-21T15:12:59.999Z", new, vec![old, new]),
        ("2026-10-21T15:13:00Z", new, vec![new]),
    ] {
        let (found, valid) = ids(&policy.attestation, at(now));
        assert_eq!(
            (found.as_deref(), valid),
            (Some(signs), believed.iter().map(ToString::to_string).collect()),
            "{now}"
        );
    }
}

#[test]
fn of_keys_that_begin_together_the_first_in_the_document_signs() {
    let keys = r#"[{ "id": "a", "secret": { "name": "first_key" } }, { "id": "b", "secret": { "name": "second_key" } }]"#;
    let policy = compile(&with("/click_id/keys", keys)).unwrap();
    assert_eq!(ids(&policy.click_id.keys, at("2026-10-21T15:12:00Z")).0.as_deref(), Some("a"));
}

#[test]
fn a_lone_secret_is_a_key_of_that_name() {
    let policy = compile(&file("examples/production.json")).unwrap();
    let now = at("2026-10-21T15:12:00Z");
    assert_eq!(ids(&policy.attestation, now).0.as_deref(), Some("hop:hop_key"));
    assert_eq!(ids(policy.receipt.keys(), now).0.as_deref(), Some("receipt_key"));
    let sandbox = compile(&file("examples/countersign.json")).unwrap();
    assert_eq!(ids(&sandbox.attestation, now).0.as_deref(), Some("hop:sandbox"));
    assert_eq!(ids(sandbox.receipt.keys(), now).0.as_deref(), Some("sandbox"));
}

#[test]
fn a_lone_secret_and_a_list_of_it_are_one_key() {
    let list = r#"{ "keys": [{ "id": "r1", "secret": { "name": "receipt_key" } }] }"#;
    let now = at("2026-10-21T15:12:00Z");
    let receipt = |json: &str| {
        let policy = compile(json).unwrap();
        let (key, mark) = policy.receipt.current(now).unwrap();
        (countersign_core::receipt::issue(key, "acme", "e-1", &[7; 32]), mark)
    };
    assert_eq!(receipt(&file("examples/production.json")), receipt(&with("/receipt", list)));
}

#[test]
fn a_click_key_mints_by_its_dates_and_recognises_whatever_the_date() {
    let keys = OVERLAP.replace("{ \"keys\": ", "");
    let keys = keys.trim_end_matches(" }").trim_end();
    let policy = compile(&with("/click_id/keys", keys)).unwrap();
    let keys = &policy.click_id.keys;
    let (before, after) = (at("2026-10-21T15:11:00Z"), at("2027-10-21T15:11:00Z"));
    let mint = |now| click::mint(current(keys, now).unwrap(), now, [7; 8]);
    for (now, id) in [(before, "old"), (after, "new")] {
        assert_eq!(&*click::inspect(keys, mint(now).as_str()).unwrap().key_id, id);
    }
    // A year after its end the old key still tells its ids; one that is taken off the list does not.
    assert!(click::inspect(keys.get(1..).unwrap(), mint(before).as_str()).is_err());
}

#[test]
fn a_gap_between_keys_and_an_end_of_all_are_mistakes() {
    let gap = OVERLAP.replace("15:12:00Z", "15:13:01Z");
    let end = OVERLAP.replace("15:12:00Z\"", "15:12:00Z\", \"not_after\": \"2027-01-01T00:00:00Z\"");
    for member in ["receipt", "attestation"] {
        assert_eq!(
            mistakes(&with(&format!("/{member}"), &gap)),
            [format!(
                "{member}.keys has no key that is valid from 2026-10-21T15:13:00.000Z on: let the keys overlap: write an earlier \
                 \"not_before\" or a later \"not_after\""
            )]
        );
        assert_eq!(
            mistakes(&with(&format!("/{member}"), &end)),
            [format!(
                "{member}.keys has no key that is valid from 2027-01-01T00:00:00.000Z on: leave \"not_after\" out of the newest key, \
                 and end it when the next one is there"
            )]
        );
    }
    let touching = OVERLAP.replace("15:12:00Z", "15:13:00Z");
    assert_eq!(mistakes(&with("/receipt", &touching)), Vec::<String>::new());
}

#[test]
fn two_receipt_keys_of_one_mark_are_a_mistake_and_each_mark_finds_its_key() {
    let json = with("/receipt", OVERLAP);
    let policy = compile(&json).unwrap();
    let (before, after) = (at("2026-10-21T15:11:00Z"), at("2027-10-21T15:11:00Z"));
    let ((old, old_mark), (new, new_mark)) =
        (policy.receipt.current(before).unwrap(), policy.receipt.current(after).unwrap());
    let receipt = |key| countersign_core::receipt::issue(key, "acme", "e-1", &[7; 32]);
    for (mark, key) in [(old_mark, old), (new_mark, new)] {
        assert_eq!(receipt(policy.receipt.of_mark(mark).unwrap()), receipt(key));
        assert!(policy.receipt.verify(receipt(key).as_str(), "acme", "e-1", &[7; 32]));
    }
    assert_ne!(receipt(old), receipt(new));
    assert!((0..=255).filter(|mark| policy.receipt.of_mark(*mark).is_some()).count() == 2);
    assert!(!policy.receipt.verify("cs1_", "acme", "e-1", &[7; 32]));

    // Of 400 secrets one has the mark of the first key.
    let same = (0..400).find_map(|number| {
        let secret = format!("{number} 0123456789abcdef0123456789abcdef").into_bytes();
        let answer = Policy::compile(&json, &mut |name| match name {
            "second_key" => Some(secret.clone()),
            name => host_secret(name),
        });
        answer.err()
    });
    assert_eq!(
        same.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "receipt.keys[1].secret has the mark of keys[0], by chance (1 in 256): make another secret with `countersign keygen`; \
          the mark says which key signs a receipt again"
        ]
    );
}
