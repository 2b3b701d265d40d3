//! `countersign keygen` and `countersign token`.

use crate::support::{DEPOSIT, Folder, countersign};

/// A configuration in which the partner `acme` presents tokens of these keys.
fn configuration(keys: &str) -> String {
    format!(
        r#"{{ "version": 1, "environment": "sandbox", "partners": {{ "acme": {{
            "signature": {{ "keys": [{{ "id": "k1", "secret": {{ "name": "sandbox_acme" }} }}] }},
            "token": {{ "issuer": "acme", "keys": [{keys}] }} }} }} }}"#
    )
}

#[test]
fn a_secret_is_32_fresh_bytes_and_works_as_it_is() {
    let folder = Folder::new();
    let made = || countersign(&["keygen"]).run();
    let (first, second) = (made(), made());
    assert_ne!(first.stdout, second.stdout);
    assert_eq!(first.stdout.len(), "base64:".len() + 44 + 1, "{first:?}");
    assert!(!first.stderr.contains(first.stdout.trim()));
    let key = folder.file("key", &first.stdout);
    let headers = countersign(&["sign", "--key-file", &key]).input(DEPOSIT).stdout();
    let said = countersign(&["verify", "--key-file", &key, "-H", headers.trim()]).input(DEPOSIT).run();
    assert_eq!(said.code, 0, "{said:?}");
    let key = folder.file("key", &second.stdout);
    assert_eq!(
        countersign(&["verify", "--key-file", &key, "-H", headers.trim()]).input(DEPOSIT).run().code,
        1
    );
}

#[test]
fn the_public_half_verifies_what_the_private_half_mints() {
    for (kind, algorithm) in [("es256", "ES256"), ("eddsa", "EdDSA")] {
        let folder = Folder::new();
        let pair = countersign(&["keygen", kind, "--id", "t7"]).run();
        let key = folder.file("key.jwk", &pair.stdout);
        // The entry for the configuration is the last line of what is explained.
        let entry = pair.stderr.trim().lines().last().unwrap();
        let file = folder.file("countersign.json", &configuration(entry));
        let headers =
            countersign(&["sign", "--key-env", "KEY"]).env("KEY", "one secret").input(DEPOSIT).stdout();
        let mint = |more: &[&str]| {
            let arguments = [&["token", "mint", "--issuer", "acme", "--key-file", &key][..], more].concat();
            countersign(&arguments).stdout().trim().to_owned()
        };
        let verify = |token: &str| {
            let bearer = format!("authorization: Bearer {token}");
            let arguments =
                ["verify", "--config", &file, "--partner", "acme", "-H", headers.trim(), "-H", &bearer];
            countersign(&arguments).env("sandbox_acme", "one secret").input(DEPOSIT).run()
        };
        let said = verify(&mint(&["--algorithm", algorithm]));
        assert!(said.code == 0 && said.stdout.contains("token      right, key t7"), "{kind}: {said:?}");
        for (token, expected) in [
            (mint(&["--at", "2026-01-01T00:00:00Z"]), "token_expired"),
            (mint(&["--at", "2099-01-01T00:00:00Z"]), "ahead of this clock"),
            (mint(&["--audience", "another"]), "token_invalid"),
            (mint(&["--kid", "t8"]), "token_invalid"),
            ("none".to_owned(), "token_invalid"),
        ] {
            let said = verify(&token);
            assert!(said.code == 1 && said.stderr.contains(expected), "{expected}: {said:?}");
        }
    }
}

#[test]
fn a_token_lives_15_minutes_at_the_most() {
    for (ttl, code) in [("900", 0), ("901", 2), ("0", 2)] {
        let arguments = ["token", "mint", "--issuer", "acme", "--key-env", "KEY", "--ttl", ttl];
        assert_eq!(countersign(&arguments).env("KEY", "one secret").run().code, code, "{ttl}");
    }
}

#[test]
fn a_wrong_key_is_named_and_not_shown() {
    let folder = Folder::new();
    for (text, expected) in [
        (r#"{"kty":"EC","crv":"P-256","x":"SECRET"}"#, "not the private key"),
        (r#"{"kty":"EC","crv":"P-521","d":"SECRET"}"#, "none of EC P-256"),
        (r#"{"kty":"OKP","crv":"Ed25519","d":"AAAA"}"#, "not a private key"),
        (r#"{"SECRET"#, "not JSON"),
        ("base64:SECRET!", "base64"),
        ("", "empty"),
    ] {
        let key = folder.file("key", text);
        let said = countersign(&["token", "mint", "--issuer", "acme", "--key-file", &key]).run();
        assert!(said.code == 2 && said.stderr.contains(expected), "{text}: {said:?}");
        assert!(!said.stderr.contains("SECRET"), "{said:?}");
    }
    let said =
        countersign(&["token", "mint", "--issuer", "acme", "--key-env", "KEY", "--algorithm", "ES256"])
            .env("KEY", "one secret")
            .run();
    assert!(said.code == 2 && said.stderr.contains("HS256"), "{said:?}");
}
