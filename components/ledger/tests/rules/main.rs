//! The tracker's half of the configuration: what it means, and every mistake with its path and remedy (`errors.txt`).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail as tests do"
)]

use std::fs;

use countersign_core::document::ConfigError;
use countersign_core::money::{Amount, Currency};
use countersign_core::policy::{SealKey, seal_place};
use countersign_core::time::Timestamp;
use countersign_ledger::document::{self, CampaignClick, Durability, Kyc, Probable};
use countersign_ledger::rules::Rules;
use serde_json::Value;

fn file(path: &str) -> String {
    fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn compile(document: &str) -> Result<Rules, Vec<ConfigError>> {
    Rules::compile(document, &mut |name| {
        Some(format!("{name}, and more to make thirty-two bytes").into_bytes())
    })
}

fn mistakes(document: &str) -> Vec<String> {
    compile(document).err().into_iter().flatten().map(|error| error.to_string()).collect()
}

/// `document` with the value at each JSON pointer set to the JSON beside it, or taken away where there is none.
fn changed(document: &str, changes: &[(&str, &str)]) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    for (pointer, json) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"));
        match parent {
            Value::Object(members) if json.is_empty() => {
                assert!(members.remove(name).is_some(), "no {pointer}");
            }
            Value::Object(members) => {
                drop(members.insert(name.to_owned(), serde_json::from_str(json).unwrap()))
            }
            Value::Array(elements) if name == "-" => elements.push(serde_json::from_str(json).unwrap()),
            Value::Array(elements) => {
                elements[name.parse::<usize>().unwrap()] = serde_json::from_str(json).unwrap()
            }
            other => panic!("{pointer}: {other} has no members"),
        }
    }
    document.to_string()
}

#[test]
fn every_mistake_is_named_with_its_path_and_remedy() {
    let production = file("examples/production.json");
    let mut cases = 0;
    for block in include_str!("errors.txt").split("\n\n").filter(|block| !block.starts_with('#')) {
        let (messages, changes): (Vec<_>, Vec<_>) = block.lines().partition(|line| line.starts_with(' '));
        let change = |line: &'static str| line.split_once(" = ").unwrap_or((line, ""));
        let changes: Vec<_> = changes.into_iter().map(change).collect();
        let expected: Vec<_> = messages.into_iter().map(str::trim).collect();
        assert_eq!(mistakes(&changed(&production, &changes)), expected, "{changes:?}");
        cases += 1;
    }
    assert_eq!(cases, 40);
}

#[test]
fn production_example_means_what_it_says() {
    let rules = compile(&file("examples/production.json")).unwrap();
    let summer = &rules.campaigns["summer"];
    assert_eq!((summer.partner.as_str(), summer.parameter.as_str()), ("acme", "cid"));
    assert_eq!(
        (summer.landing.as_str(), summer.click_id),
        ("https://casino.example/welcome?lang=en", CampaignClick::Sealed)
    );
    assert_eq!(
        (rules.redirect.durability, rules.redirect.geo_header.as_deref()),
        (Durability::RedirectFirst, Some("cf-ipcountry"))
    );
    let euro = Currency::of("EUR").unwrap();
    assert_eq!(rules.report_currency, euro);
    let contract = &rules.agreement("acme").contract;
    let from = Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
    let terms = rules.agreement("acme").terms_at(from).unwrap();
    assert_eq!((contract.len(), terms.from), (1, from));
    assert_eq!(terms.ftd_min_deposit, Some(Amount { minor: 1000, currency: euro }));
    assert_eq!(terms.cpa, Some(Amount { minor: 8000, currency: euro }));
    assert_eq!((terms.ftd_window_ms, terms.revenue_share_bp), (Some(30 * 86_400_000), 1250));
    assert_eq!((terms.ftd_kyc, terms.probable), (Kyc::Required, Probable::NeverBilled));
    assert_eq!(rules.agreement("acme").terms_at(Timestamp::from_ms(from.as_ms() - 1)), None);
    assert!(rules.agreement("globex").contract.is_empty() && rules.agreement("nobody").minimise.is_none());
    assert!(
        rules.agreement("acme").minimise.as_ref().is_some_and(|kept| *kept.hash == [Box::from("account_id")])
    );
}

#[test]
fn salts_overlap_and_are_asked_for_by_name() {
    let json = file("examples/rotation.json");
    let rules = compile(&json).unwrap();
    let ids = |salts: &[countersign_core::keys::Key<_>]| -> Vec<String> {
        salts.iter().map(|salt| salt.id().to_string()).collect()
    };
    assert_eq!(ids(&rules.salts), ["2026", "2027"]);
    assert_eq!(ids(&rules.agreement("acme").minimise.as_ref().unwrap().salts), ["2026", "2027"]);
    assert_eq!(Rules::secret_names(&json).unwrap(), ["privacy_salt_2026", "privacy_salt_2027"]);
    let sealed = changed(&json, &[("/privacy/salt", r#"{ "name": "privacy_salt", "sealed": "cs-seal1_" }"#)]);
    assert_eq!(Rules::secret_names(&sealed).unwrap(), ["countersign_seal_key", "countersign_seal_key_old"]);
}

#[test]
fn a_sealed_salt_opens_in_the_document_of_its_name_only() {
    let key = "a seal key of the tests, thirty-two bytes";
    let place = seal_place("privacy_salt").unwrap().in_document("shop").unwrap();
    let sealed =
        SealKey::new(key.as_bytes()).seal(place, b"a salt of the tests, of thirty-two bytes", [9; 24]);
    let salt = format!(r#"{{ "name": "privacy_salt", "sealed": "{sealed}" }}"#);
    let opens_in = |name: &str| {
        let json = changed(
            &file("examples/rotation.json"),
            &[("/privacy/salt", &salt), ("/name", &format!("{name:?}"))],
        );
        Rules::compile(&json, &mut |name| (name == "countersign_seal_key").then(|| key.as_bytes().to_vec()))
            .is_ok()
    };
    assert!(opens_in("shop") && !opens_in("default") && !opens_in("shop2"));
}

#[test]
fn the_smallest_document_has_every_default() {
    let rules = compile(r#"{ "version": 1, "environment": "sandbox" }"#).unwrap();
    assert_eq!(rules.report_currency.code(), "EUR");
    assert_eq!((rules.patience.click_ms, rules.patience.original_ms), (60_000, 30 * 86_400_000));
    assert_eq!((rules.retention.raw_ms, rules.retention.ledger_ms), (400 * 86_400_000, 3_650 * 86_400_000));
    assert!(rules.matching.is_none() && rules.campaigns.is_empty());
}

#[test]
fn a_sandbox_may_land_on_plain_http_and_serve_its_own_partner() {
    let document = r#"{ "version": 1, "environment": "sandbox",
        "campaigns": { "demo": { "partner": "sandbox", "landing": "http://127.0.0.1:8080/" } } }"#;
    assert_eq!(mistakes(document), Vec::<String>::new());
}

#[test]
fn checked_in_schema_is_the_one_that_the_structs_make() {
    let made = document::schema().unwrap();
    let path = "schemas/countersign.schema.json";
    assert!(file(path) == made, "{path} is stale: write the output of `countersign config schema` into it");
}

#[test]
fn page_explains_every_member() {
    let schema: serde_json::Value = serde_json::from_str(&document::schema().unwrap()).unwrap();
    let page = file("docs/config.md");
    let definitions = schema["$defs"].as_object().unwrap().values();
    let mut explained = 0;
    for object in definitions.chain([&schema]) {
        for name in object["properties"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert!(page.contains(&format!("\n| `{name}` | ")), "docs/config.md has no line for {name}");
            explained += 1;
        }
    }
    assert!(explained > 50, "{explained} members");
}
