//! Secrets: how their text is read, and that no mistake repeats one.

use countersign_core::policy::Policy;

use crate::{changed, compile, file, host_secret, mistakes};

/// The receipt key's name in the production example.
const RECEIPT: &str = "/receipt/secret/name";

#[test]
fn encoded_secret_is_the_key_that_it_encodes() {
    // `encoded_key` is the base64 of the text of `receipt_key`: one key under two names is noticed.
    let json = changed(&file("examples/production.json"), &[("/attestation/secret/name", "\"encoded_key\"")]);
    assert_eq!(
        mistakes(&json),
        ["attestation.secret.name names the secret \"encoded_key\", which is equal to that of \
          receipt.secret.name: give each key a secret of its own, or who holds one could forge the other"]
    );
}

#[test]
fn short_secret_is_for_the_sandbox_only() {
    let json = r#"{ "version": 1, "environment": "sandbox", "receipt": { "secret": { "name": "sandbox_short_key" } } }"#;
    assert_eq!(mistakes(json), Vec::<String>::new());
    let production = changed(&file("examples/production.json"), &[(RECEIPT, "\"short_key\"")]);
    assert_eq!(mistakes(&production).len(), 1);
}

#[test]
fn secret_of_exactly_the_shortest_and_longest_length_is_taken() {
    let json = file("examples/production.json");
    for (length, is_taken) in [(31, false), (32, true), (4_096, true), (4_097, false)] {
        let mut secrets = |name: &str| match name {
            "receipt_key" => Some(vec![b'k'; length]),
            _ => host_secret(name),
        };
        assert_eq!(Policy::compile(&json, &mut secrets).is_ok(), is_taken, "{length} bytes");
    }
}

#[test]
fn secret_may_be_any_bytes() {
    let mut secrets = |name: &str| match name {
        "receipt_key" => Some((0..=255).rev().collect()),
        _ => host_secret(name),
    };
    assert!(Policy::compile(&file("examples/production.json"), &mut secrets).is_ok());
}

#[test]
fn standard_webhooks_secret_is_base64_with_or_without_its_prefix() {
    let json = file("examples/production.json");
    let texts = [
        ("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", true),
        ("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", true),
        ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", true),
        ("base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", true),
        ("whsec_this is no base64, but long enough for a secret", false),
        ("whsec_", false),
    ];
    for (text, is_taken) in texts {
        let mut secrets = |name: &str| match name {
            "initech_webhook_secret" => Some(text.as_bytes().to_vec()),
            _ => host_secret(name),
        };
        assert_eq!(Policy::compile(&json, &mut secrets).is_ok(), is_taken, "{text}");
    }
}

#[test]
fn no_mistake_and_no_debug_output_repeats_a_secret() {
    let json = file("examples/production.json");
    let policy = compile(&json).unwrap();
    let shown = format!("{policy:?}");
    assert!(!shown.contains("0123456789abcdef"), "{shown}");

    // The secret where its name belongs, and where the object with the name belongs.
    for pointer in [RECEIPT, "/receipt/secret", "/receipt"] {
        let json = changed(&json, &[(pointer, "\"Tr0ub4dor&3 Tr0ub4dor&3 Tr0ub4dor&3\"")]);
        let mistakes = mistakes(&json);
        assert_eq!(mistakes.len(), 1);
        assert!(!mistakes[0].contains("Tr0ub4dor"), "{}", mistakes[0]);
    }
}
