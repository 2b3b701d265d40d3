//! `countersign verify`.

use crate::support::{DEPOSIT, DEPOSIT_CANONICAL, Folder, Said, countersign};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn sign(payload: &str, key: &str, scheme: &str) -> String {
    countersign(&["sign", "--key-env", "KEY", "--scheme", scheme]).env("KEY", key).input(payload).stdout()
}

fn verify(payload: &str, headers: &str, scheme: &str) -> Said {
    let folder = Folder::new();
    let headers = folder.file("headers", headers);
    let arguments = ["verify", "--key-env", "KEY", "--scheme", scheme, "--headers", &headers];
    countersign(&arguments).env("KEY", KEY).input(payload).run()
}

#[test]
fn what_sign_prints_is_right() {
    for scheme in ["jcs", "raw", "standard-webhooks"] {
        let said = verify(DEPOSIT, &sign(DEPOSIT, KEY, scheme), scheme);
        assert_eq!(said.code, 0, "{scheme}: {said:?}");
        assert!(said.stdout.contains("signature  right, key key"), "{scheme}: {said:?}");
    }
    let body = ["--key-env", "KEY", "--in", "body"];
    let signed = countersign(&[&["sign"][..], &body].concat()).env("KEY", KEY).input(DEPOSIT).stdout();
    let said = countersign(&[&["verify"][..], &body].concat()).env("KEY", KEY).input(&signed).run();
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_changed_payload_is_wrong_and_shows_what_was_to_be_signed() {
    let headers = sign(DEPOSIT, KEY, "jcs");
    let said = verify(&DEPOSIT.replace("100.00", "100.01"), &headers, "jcs");
    assert_eq!(said.code, 1);
    assert!(
        said.stdout.contains(&format!("to sign    {}", DEPOSIT_CANONICAL.replace("100", "100.01"))),
        "{said:?}"
    );
    assert!(said.stderr.contains("signature_invalid"), "{said:?}");
    assert!(!said.stdout.contains(KEY) && !said.stderr.contains(KEY), "{said:?}");
}

#[test]
fn the_usual_mistakes_are_named() {
    let cause = |headers: &str| {
        let said = verify(DEPOSIT, headers, "jcs");
        assert_eq!(said.code, 1, "{said:?}");
        said.stdout.lines().find_map(|line| line.strip_prefix("cause      ")).unwrap_or_default().to_owned()
    };
    let right = sign(DEPOSIT, KEY, "jcs");
    for (headers, expected) in [
        (String::new(), "there is no header x-signature"),
        (sign(DEPOSIT, KEY, "raw"), "right over the body as it was sent"),
        (sign(DEPOSIT.trim(), KEY, "raw"), "right over the body"),
        (right.replace("sha256=", ""), "write sha256= before the 64 hex digits"),
        (right.replace("sha256=", "SHA256="), "write sha256= in lower case"),
        (right[..right.len() - 3].to_owned(), "64"),
        (sign(DEPOSIT, "countersign-sandbox-signing-key-is-published", "jcs"), "sandbox's published key"),
        // `base64:` and the key with a line break after it: what a sender has whose key went through `echo`.
        (
            sign(DEPOSIT, "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYK", "jcs"),
            "a line break at its end",
        ),
        // The key's bytes in base64, taken for the key.
        (sign(DEPOSIT, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "jcs"), "decode it first"),
        (sign(DEPOSIT, "another key of more than thirty-two bytes", "jcs"), "not one of the usual"),
    ] {
        let found = cause(&headers);
        assert!(found.contains(expected), "{expected:?} is not in {found:?}");
    }
}

#[test]
fn an_old_webhook_says_how_old() {
    let headers = sign(DEPOSIT, KEY, "standard-webhooks");
    let folder = Folder::new();
    let headers = folder.file("headers", &headers);
    let arguments = [
        "verify",
        "--key-env",
        "KEY",
        "--scheme",
        "standard-webhooks",
        "--headers",
        &headers,
        "--at",
        "2099-01-01T00:00:00Z",
    ];
    let said = countersign(&arguments).env("KEY", KEY).input(DEPOSIT).run();
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("behind this clock"), "{said:?}");
}

#[test]
fn a_webhook_may_have_its_older_names() {
    let headers = sign(DEPOSIT, KEY, "standard-webhooks").replace("webhook-", "svix-");
    let said = verify(DEPOSIT, &headers, "standard-webhooks");
    assert_eq!(said.code, 0, "{said:?}");
    let said = verify(DEPOSIT, &headers.replace("svix-id", "webhook-id"), "standard-webhooks");
    assert!(said.code == 1 && said.stdout.contains("webhook-* and svix-* are mixed"), "{said:?}");
}

#[test]
fn a_number_that_no_double_holds_is_for_signed_bytes_only() {
    let payload = DEPOSIT.replacen('{', "{\"player\":281674916028284931,", 1);
    let said = verify(&payload, &sign(&payload, KEY, "raw"), "raw");
    assert_eq!(said.code, 0, "{said:?}");
    let said = verify(&payload, "", "jcs");
    assert!(said.code == 1 && said.stderr.contains("beyond 2^53"), "{said:?}");
}

#[test]
fn two_canonical_forms_part_at_a_byte() {
    let folder = Folder::new();
    let theirs = folder.file("theirs", &DEPOSIT_CANONICAL.replace("100", "100.0"));
    let said = countersign(&["verify", "--expect-canonical", &theirs]).input(DEPOSIT).run();
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("part at byte 34"), "{said:?}");
    assert!(
        said.stdout.contains("\"amount\":100[,]") && said.stdout.contains("\"amount\":100[.]0"),
        "{said:?}"
    );
    let theirs = folder.file("theirs", DEPOSIT_CANONICAL);
    let said = countersign(&["verify", "--expect-canonical", &theirs]).input(DEPOSIT).run();
    assert_eq!(said.code, 0, "{said:?}");
    let theirs = folder.file("theirs", &format!("{DEPOSIT_CANONICAL}\n"));
    let said = countersign(&["verify", "--expect-canonical", &theirs]).input(DEPOSIT).run();
    assert!(said.code == 1 && said.stdout.contains("line break at its end"), "{said:?}");
}

#[test]
fn a_header_that_stands_twice_is_not_believed() {
    let right = sign(DEPOSIT, KEY, "jcs");
    let said = verify(DEPOSIT, &format!("{right}{right}"), "jcs");
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("malformed or repeated"), "{said:?}");
}

#[test]
fn a_configuration_brings_the_partner_s_keys() {
    let folder = Folder::new();
    let document = r#"{ "version": 1, "environment": "sandbox", "partners": { "acme": {
        "signature": { "name": "x-acme", "keys": [{ "id": "k1", "secret": { "name": "sandbox_acme" } }] } } } }"#;
    let file = folder.file("countersign.json", document);
    let headers = countersign(&["sign", "--key-env", "KEY", "--name", "X-Acme"])
        .env("KEY", KEY)
        .input(DEPOSIT)
        .stdout();
    let verify = |partner: &str| {
        let arguments = ["verify", "--config", &file, "--partner", partner, "-H", headers.trim()];
        countersign(&arguments).env("sandbox_acme", KEY).input(DEPOSIT).run()
    };
    let said = verify("acme");
    assert!(said.code == 0 && said.stdout.contains("right, key k1"), "{said:?}");
    assert_eq!(verify("sandbox").code, 1);
    let said = verify("nobody");
    assert!(said.code == 2 && said.stderr.contains("no partner \"nobody\""), "{said:?}");
}
