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

#[test]
fn a_sealed_secret_opens_in_a_configuration_and_nowhere_else() {
    let folder = Folder::new();
    let secrets = folder.path("").to_str().unwrap().to_owned();
    let made = countersign(&["seal", "--new-key"]).run();
    assert!(made.code == 0 && made.stdout.starts_with("base64:"), "{made:?}");
    folder.file("sandbox_seal_key", &made.stdout);
    let secret = countersign(&["keygen"]).stdout();
    let sealed = countersign(&["seal", "sandbox_acme", "--secrets", &secrets]).input(&secret).run();
    assert_eq!(sealed.code, 0, "{sealed:?}");
    let member: serde_json::Value = serde_json::from_str(&sealed.stdout).unwrap();
    assert_eq!(member["name"], "sandbox_acme");
    assert!(!sealed.stdout.contains(secret.trim()) && !sealed.stderr.contains(secret.trim()));
    let again = countersign(&["seal", "sandbox_acme", "--secrets", &secrets]).input(&secret).stdout();
    assert_ne!(sealed.stdout, again, "each has a nonce of its own");

    let document = |secret: &serde_json::Value| {
        format!(
            r#"{{ "version": 1, "environment": "sandbox", "partners": {{ "acme": {{
                "signature": {{ "keys": [{{ "id": "k1", "secret": {secret} }}] }} }} }} }}"#
        )
    };
    let file = folder.file("countersign.json", &document(&member));
    let check = countersign(&["config", "check", &file, "--secrets", &secrets]).run();
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.stdout.contains("sealed          sandbox_acme"), "{check:?}");
    // The same key, by its name and sealed: a signature of the one is accepted under the other.
    let key = folder.file("key", &secret);
    let headers = countersign(&["sign", "--key-file", &key]).input(DEPOSIT).stdout();
    let verify =
        ["verify", "--config", &file, "--partner", "acme", "-H", headers.trim(), "--secrets", &secrets];
    assert_eq!(countersign(&verify).input(DEPOSIT).run().code, 0);
    // Without the seal key only `--without-secrets` can say anything.
    assert_eq!(countersign(&["config", "check", &file, "--without-secrets"]).run().code, 0);
    let closed = countersign(&["config", "check", &file]).run();
    assert!(
        closed.code == 2 && closed.stderr.contains("needs the seal key \"sandbox_seal_key\""),
        "{closed:?}"
    );
    // Nor does it open in a document of another name.
    let named = folder.file("named.json", &document(&member).replacen('{', r#"{ "name": "shop","#, 1));
    let said = countersign(&["config", "check", &named, "--secrets", &secrets]).run();
    assert!(
        said.code == 2 && said.stderr.contains("`countersign seal sandbox_acme --document-name shop`"),
        "{said:?}"
    );
    let seal = ["seal", "sandbox_acme", "--document-name", "shop", "--secrets", &secrets];
    let sealed = countersign(&seal).input(&secret).run();
    assert!(sealed.stderr.contains("only in the scope sandbox/shop;"), "{sealed:?}");
    let member_of_shop: serde_json::Value = serde_json::from_str(&sealed.stdout).unwrap();
    let named =
        folder.file("named.json", &document(&member_of_shop).replacen('{', r#"{ "name": "shop","#, 1));
    let check = countersign(&["config", "check", &named, "--secrets", &secrets]).run();
    assert_eq!(check.code, 0, "{check:?}");
    let moved = document(&serde_json::json!({ "name": "sandbox_globex", "sealed": member["sealed"] }));
    let moved = folder.file("moved.json", &moved);
    let said = countersign(&["config", "check", &moved, "--secrets", &secrets]).run();
    assert!(said.code == 2 && said.stderr.contains("secret.sealed cannot be opened"), "{said:?}");
}

#[test]
fn what_cannot_be_sealed_is_said_without_showing_it() {
    let folder = Folder::new();
    let seal = |name: &str, key: &str, secret: &str| {
        let call = countersign(&["seal", name]).input(secret);
        call.env("countersign_seal_key", key).env("sandbox_seal_key", key).run()
    };
    let strong = "a text of thirty-two bytes or more";
    for (name, key, secret, expected) in [
        ("acme_key", strong, "Tr0ub4dor&3", "the secret has 11 bytes"),
        ("acme_key", "short", strong, "the seal key has 5 bytes"),
        ("acme_key", strong, "", "the secret is empty"),
        ("acme_key", strong, " Tr0ub4dor&3 with a space before it", "white space"),
        ("Tr0ub4dor&3", strong, strong, "NAME is not the name of a secret"),
        ("countersign_seal_key", strong, strong, "NAME is not the name of a secret"),
    ] {
        let said = seal(name, key, secret);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{name}: {said:?}");
        assert!(said.stderr.contains(expected) && !said.stderr.contains("Tr0ub4dor"), "{name}: {said:?}");
    }
    let said = countersign(&["seal", "acme_key", "--document-name", "Shop"]).input(strong).run();
    assert!(said.code == 2 && said.stderr.contains("--document-name is not the name"), "{said:?}");
    let missing = countersign(&["seal", "acme_key"]).input(strong).run();
    assert!(missing.code == 2 && missing.stderr.contains("countersign_seal_key is not there"), "{missing:?}");
    // The name tells the environment: a sandbox's secret may be short, and has a seal key of its own.
    assert_eq!(seal("sandbox_acme", "short", "short too").code, 0);
    let file = folder.file("secret", &format!("{strong}\n"));
    let said = countersign(&["seal", "acme_key", "--file", &file]).env("countersign_seal_key", strong).run();
    assert_eq!(said.code, 0, "{said:?}");
}
