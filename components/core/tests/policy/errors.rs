//! Every mistake with its path and remedy (`errors.txt`), and the edges of every range.

use countersign_core::document::DOCUMENT_BYTES_MAX;

use crate::{changed, file, mistakes};

/// The changes and the messages of one case of `errors.txt`.
type Case = (Vec<(&'static str, &'static str)>, Vec<&'static str>);

fn cases() -> Vec<Case> {
    let is_case = |block: &&str| !block.starts_with('#');
    let blocks = include_str!("errors.txt").split("\n\n").filter(is_case);
    let case = |block: &'static str| {
        let (messages, changes): (Vec<_>, Vec<_>) = block.lines().partition(|line| line.starts_with(' '));
        let change = |line: &'static str| line.split_once(" = ").unwrap_or((line, ""));
        (changes.into_iter().map(change).collect(), messages.into_iter().map(str::trim).collect())
    };
    blocks.map(case).collect()
}

#[test]
fn every_mistake_is_named_with_its_path_and_remedy() {
    let production = file("examples/production.json");
    let cases = cases();
    let mut wrong = 0;
    for (changes, expected) in &cases {
        let found = mistakes(&changed(&production, changes));
        if found != *expected || expected.is_empty() {
            wrong += 1;
            println!("{changes:?}\n  expected {expected:#?}\n  found    {found:#?}");
        }
    }
    assert_eq!(wrong, 0, "cases that differ, of {}", cases.len());
    assert_eq!(cases.len(), 137);
}

#[test]
fn what_is_no_strict_json_is_named_with_line_and_column() {
    let rows = [
        ("", "the document is not strict JSON at line 1, column 1: "),
        ("{\n  \"version\": 1,\n}", "the document is not strict JSON at line 3, column 1: "),
        ("{ \"version\": 1,\n  \"version\": 1 }", "the document is not strict JSON at line 2, column 3: "),
        ("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "the document is not strict JSON at line 1, column 17: "),
    ];
    for (json, expected) in rows {
        let mistakes = mistakes(json);
        assert_eq!(mistakes.len(), 1, "{json}: {mistakes:?}");
        assert!(mistakes[0].starts_with(expected), "{json}: {}", mistakes[0]);
        assert!(mistakes[0].len() > expected.len(), "{json}: what is wrong is said");
    }
    assert_eq!(mistakes("[]"), ["the document is an array: write an object, { … }"]);
}

#[test]
fn document_that_is_too_long_is_not_read() {
    let json = format!("{}{}", file("examples/countersign.json"), " ".repeat(DOCUMENT_BYTES_MAX));
    assert_eq!(
        mistakes(&json),
        ["the document is longer than 4194304 bytes: split the partners over several gates"]
    );
}

#[test]
fn no_more_than_64_mistakes_are_listed() {
    let members: Vec<String> = (0..100).map(|number| format!("\"m{number}\": 0")).collect();
    assert_eq!(mistakes(&format!("{{ {} }}", members.join(", "))).len(), 64);
}

#[test]
fn thousand_partners_are_taken_and_one_more_is_not() {
    let production = file("examples/production.json");
    let partners = |count| {
        let partner = |number| {
            let key = format!(r#"{{ "id": "k", "secret": {{ "name": "key_{number}" }} }}"#);
            format!(r#""p{number}": {{ "signature": {{ "keys": [{key}] }} }}"#)
        };
        let partners: Vec<String> = (0..count).map(partner).collect();
        changed(&production, &[("/partners", &format!("{{ {} }}", partners.join(", ")))])
    };
    assert_eq!(mistakes(&partners(1_000)), Vec::<String>::new());
    assert_eq!(mistakes(&partners(1_001)), ["partners has 1001 elements: write at most 1000"]);
}

#[test]
fn lists_are_bounded() {
    let rows = [
        ("/trusted_proxies", "trusted_proxies", 64, "\"10.0.0.0/8\""),
        ("/partners/acme/source/allow", "partners.acme.source.allow", 256, "\"10.0.0.0/8\""),
        (
            "/partners/acme/source/certificate_uri",
            "partners.acme.source.certificate_uri",
            16,
            "\"spiffe://a\"",
        ),
    ];
    let production = file("examples/production.json");
    for (pointer, path, max, element) in rows {
        let list = |count| format!("[{}]", vec![element; count].join(","));
        assert_eq!(mistakes(&changed(&production, &[(pointer, &list(max))])), Vec::<String>::new(), "{path}");
        let expected = format!("{path} has {} elements: write at most {max}", max + 1);
        assert_eq!(mistakes(&changed(&production, &[(pointer, &list(max + 1))])), [expected]);
    }
}

#[test]
fn limits_are_taken_and_one_step_beyond_is_not() {
    let production = file("examples/production.json");
    let numbers = [
        ("/limits/body_bytes_max", 1_024, 1_048_576),
        ("/limits/source_requests_per_minute", 1, 60_000),
        ("/limits/ts_event_future_seconds_max", 0, 86_400),
        ("/dedup/slots", 64, 1_048_576),
        ("/dedup/entries_per_slot", 1, 32),
        ("/dedup/retention_days", 1, 400),
        ("/dedup/lease_seconds", 1, 300),
        ("/partners/acme/token/lifetime_seconds_max", 1, 900),
        ("/partners/acme/rate/per_second", 1, 100_000),
        ("/partners/acme/rate/burst", 1, 1_000_000),
        ("/partners/initech/signature/tolerance_seconds", 1, 3_600),
    ];
    for (pointer, min, max) in numbers {
        for (number, wrong) in [(min, 0), (max, 0), (min - 1, 1), (max + 1, 1)] {
            let json = changed(&production, &[(pointer, &number.to_string())]);
            assert_eq!(mistakes(&json).len(), wrong, "{pointer} {number}: {:?}", mistakes(&json));
        }
    }
}
