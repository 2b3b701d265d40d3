//! `countersign config`.

use crate::support::{Folder, countersign};

#[test]
fn the_sandbox_is_explained() {
    let said = countersign(&["config", "check", "examples/countersign.json"]).stdout();
    for expected in [
        "sandbox environment",
        "scope           sandbox/default",
        "upstream        idempotent: it knows a repeat, however old",
        "takes events    of any age",
        "partner sandbox (published key)",
        "jcs, in the header \"x-signature\"",
        "50 events per second, 200 at once",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
}

#[test]
fn production_is_explained_without_its_secrets_at_hand() {
    let said = countersign(&["config", "check", "--without-secrets", "examples/production.json"]).stdout();
    for expected in [
        "production environment",
        "scope           production/default",
        "upstream        not idempotent: a filter refuses what it cannot tell from a repeat",
        "takes events    at most 2592000 s old, where a filter does not know the event",
        "partner acme",
        "key 2026-q4, until 2027-01-15T00:00:00.000Z",
        "t1 ES256",
        "203.0.113.0/24",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
    let json =
        countersign(&["config", "check", "--json", "--without-secrets", "examples/production.json"]).stdout();
    let effective: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(effective["partners"]["acme"]["token"]["lifetime_seconds_max"], 900);
    assert_eq!(effective["scope"], "production/default");
    assert_eq!(effective["upstream"]["idempotent"], false);
    assert_eq!(effective["partners"]["acme"]["ts_event_past_seconds_max"], 2_592_000);
}

#[test]
fn the_scope_and_the_upstream_of_a_document_are_explained() {
    let folder = Folder::new();
    let document = r#"{ "version": 1, "environment": "sandbox", "name": "shop", "upstream": { "idempotent": false },
        "partners": { "acme": { "ts_event_past_seconds_max": 3600,
            "signature": { "keys": [{ "id": "k1", "secret": { "name": "sandbox_acme" } }] } } } }"#;
    let file = folder.file("countersign.json", document);
    let said = countersign(&["config", "check", "--without-secrets", &file]).stdout();
    for expected in [
        "scope           sandbox/shop",
        "upstream        not idempotent: a filter refuses what it cannot tell from a repeat",
        "takes events    at most 3600 s old, where a filter does not know the event",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
    let json = countersign(&["config", "check", "--json", "--without-secrets", &file]).stdout();
    let effective: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&effective["scope"], &effective["upstream"]["idempotent"]),
        (&"sandbox/shop".into(), &false.into())
    );
    assert_eq!(effective["partners"]["acme"]["ts_event_past_seconds_max"], 3600);
}

#[test]
fn keys_that_overlap_are_explained() {
    let folder = Folder::new();
    let document = r#"{ "version": 1, "environment": "sandbox",
        "receipt": { "keys": [
            { "id": "r1", "secret": { "name": "sandbox_r1" }, "not_after": "2026-01-15T00:00:00Z" },
            { "id": "r2", "secret": { "name": "sandbox_r2" }, "not_before": "2026-01-01T00:00:00Z" },
            { "id": "r3", "secret": { "name": "sandbox_r3" }, "not_before": "2999-01-01T00:00:00Z" }] } }"#;
    let file = folder.file("countersign.json", document);
    let said = countersign(&["config", "check", "--without-secrets", &file]).stdout();
    for expected in [
        "receipts        key r1, until 2026-01-15T00:00:00.000Z  repeats only",
        "key r2, from 2026-01-01T00:00:00.000Z  signs now",
        "key r3, from 2999-01-01T00:00:00.000Z  repeats only",
        "hop             key hop:sandbox  signs now",
        "sealed          no secret",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
}

#[test]
fn secrets_come_from_a_folder_or_the_environment() {
    let folder = Folder::new();
    let document = r#"{ "version": 1, "environment": "sandbox", "receipt": { "secret": { "name": "sandbox_receipt" } } }"#;
    let file = folder.file("countersign.json", document);
    let check = countersign(&["config", "check", &file]).run();
    assert!(check.code == 2 && check.stderr.contains("receipt.secret.name"), "{check:?}");
    assert_eq!(countersign(&["config", "check", &file]).env("sandbox_receipt", "one secret").run().code, 0);
    folder.file("sandbox_receipt", "one secret\n");
    let secrets = folder.path("").to_str().unwrap().to_owned();
    let check = countersign(&["config", "check", &file, "--secrets", &secrets]).run();
    assert_eq!(check.code, 0, "{check:?}");
    assert!(!check.stdout.contains("one secret"));
}

#[test]
fn every_mistake_has_its_path_and_its_remedy() {
    let folder = Folder::new();
    let document = r#"{ "version": 1, "environment": "sandbox", "limits": { "body_bytes_max": 1 }, "dedup": { "slot": 1 } }"#;
    let file = folder.file("countersign.json", document);
    let said = countersign(&["config", "check", &file]).run();
    assert_eq!(said.code, 2);
    assert_eq!(said.stdout, "");
    for expected in [
        "2 mistakes",
        "limits.body_bytes_max",
        "is no whole number from 1024 to 1048576: write one",
        "dedup.slot is unknown: write \"slots\"",
    ] {
        assert!(said.stderr.contains(expected), "{expected:?} is not in {}", said.stderr);
    }
    assert_eq!(countersign(&["config", "check", "nowhere.json"]).run().code, 2);
}

#[test]
fn the_schema_is_the_one_that_is_published() {
    let published = include_str!("../../../schemas/countersign.schema.json");
    assert_eq!(countersign(&["config", "schema"]).stdout(), published);
}
