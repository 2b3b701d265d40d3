//! Sealed secrets: what opens, where, and what is said of what does not.

use countersign_core::document::Configuration;
use countersign_core::policy::{Policy, SealKey, seal_place};
use countersign_core::receipt;

use crate::{changed, file, host_secret};

const SEAL_KEY: &[u8] = b"a seal key of the tests, thirty-two bytes";
const OLD_SEAL_KEY: &[u8] = b"the seal key of before, thirty-two bytes";
/// The text of the receipt key, as the host would have it.
const TEXT: &[u8] = b"a receipt key of the tests, thirty-two bytes";

fn seal(key: &[u8], name: &str, text: &[u8]) -> String {
    SealKey::new(key).seal(seal_place(name).unwrap(), text, [9; 24])
}

/// [`TEXT`], sealed for the document of that name.
fn seal_in(document: &str, name: &str) -> String {
    SealKey::new(SEAL_KEY).seal(seal_place(name).unwrap().in_document(document).unwrap(), TEXT, [9; 24])
}

/// The production example with the receipt key `sealed` under `name`.
fn document(name: &str, sealed: &str) -> String {
    let secret = format!(r#"{{ "name": "{name}", "sealed": "{sealed}" }}"#);
    changed(&file("examples/production.json"), &[("/receipt/secret", &secret)])
}

fn host(name: &str) -> Option<Vec<u8>> {
    match name {
        "countersign_seal_key" => Some(SEAL_KEY.to_vec()),
        "countersign_seal_key_old" | "receipt_key" => None,
        name => host_secret(name),
    }
}

fn mistakes(json: &str, secrets: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Vec<String> {
    match Policy::compile(json, secrets) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_sealed_secret_is_the_key_that_was_sealed() {
    let json = document("receipt_key", &seal(SEAL_KEY, "receipt_key", TEXT));
    let policy = Policy::compile(&json, &mut host).unwrap();
    let issued = receipt::issue(&receipt::MacKey::new(TEXT), "acme", "e-1", &[7; 32]);
    assert!(policy.receipt.verify(issued.as_str(), "acme", "e-1", &[7; 32]));
}

#[test]
fn a_sealed_secret_opens_in_the_document_of_its_name_only() {
    let mistakes_in = |written: &str, sealed: &str| {
        mistakes(&changed(&document("receipt_key", sealed), &[("/name", written)]), &mut host)
    };
    let (shop, default) = (seal_in("shop", "receipt_key"), seal(SEAL_KEY, "receipt_key", TEXT));
    assert_eq!(mistakes_in(r#""shop""#, &shop), Vec::<String>::new());
    assert_eq!(mistakes_in(r#""default""#, &default), Vec::<String>::new(), "as where no name is written");
    for (sealed, written, option) in [
        (&shop, "default", ""),
        (&shop, "shop2", " --document-name shop2"),
        (&default, "shop", " --document-name shop"),
    ] {
        let found = mistakes_in(&format!("{written:?}"), sealed);
        let [mistake] = &*found else { panic!("{found:?}") };
        assert!(mistake.contains(&format!("for another scope than production/{written},")), "{mistake}");
        assert!(mistake.ends_with(&format!("`countersign seal receipt_key{option}`")), "{mistake}");
    }
    let nowhere = |name| seal_place("receipt_key").unwrap().in_document(name).is_none();
    assert!(nowhere("") && nowhere("Shop") && nowhere("a/b") && nowhere(&"a".repeat(65)));
}

#[test]
fn the_format_is_what_another_implementation_opens() {
    // Computed from the description in seal.rs with Python's hmac and an XChaCha20-Poly1305 of its own.
    assert_eq!(seal(SEAL_KEY, "receipt_key", TEXT), VECTOR);
    assert_eq!(seal_in("shop", "receipt_key"), VECTOR_OF_SHOP);
}

/// [`TEXT`] under [`SEAL_KEY`], with a nonce of nines.
const VECTOR: &str = "cs-seal1_CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJZKthwmAIRwrBj_KE-6RqdFwCA7OQ7AO3377Bf3ZM2MCLuMWArCfCxcyWt-wMm1bVD8C_xF4JiB80LDUI";
/// The same in the document `shop`.
const VECTOR_OF_SHOP: &str = "cs-seal1_CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJZKthwmAIRwrBj_KE-6RqdFwCA7OQ7AO3377Bf3ZM2MCLuMWArCfCxcyWt-xkuTj8XpAXzcoXHiyCII-X";

#[test]
fn names_of_sealed_secrets_are_not_asked_for_and_the_seal_keys_once() {
    let json = document("receipt_key", &seal(SEAL_KEY, "receipt_key", TEXT));
    let hop = format!(r#"{{ "name": "hop_key", "sealed": "{}" }}"#, seal(SEAL_KEY, "hop_key", &[7; 32]));
    let json = changed(&json, &[("/attestation/secret", &hop)]);
    let mut asked = Vec::new();
    Policy::compile(&json, &mut |name| {
        asked.push(name.to_owned());
        host(name)
    })
    .unwrap();
    assert_eq!(Policy::secret_names(&json).unwrap(), asked);
    assert!(!asked.iter().any(|name| name == "receipt_key" || name == "hop_key"), "{asked:?}");
    assert_eq!(asked.iter().filter(|name| name.starts_with("countersign_seal_key")).count(), 2);
}

#[test]
fn both_seal_keys_open_while_they_are_exchanged() {
    let json = document("receipt_key", &seal(OLD_SEAL_KEY, "receipt_key", TEXT));
    let mut both = |name: &str| match name {
        "countersign_seal_key_old" => Some(OLD_SEAL_KEY.to_vec()),
        name => host(name),
    };
    assert_eq!(mistakes(&json, &mut both), Vec::<String>::new());
    assert_eq!(mistakes(&json, &mut host).len(), 1);
}

#[test]
fn what_cannot_be_opened_is_named_with_its_path_and_never_quoted() {
    let good = seal(SEAL_KEY, "receipt_key", TEXT);
    let again = "paste all of what `countersign seal NAME` printed, or seal the secret again";
    let closed = "cannot be opened: it was sealed with another key, under another name or for another scope than production/default, \
                  or it was changed: seal the secret again: `countersign seal receipt_key`";
    let changed_byte =
        format!("{}{}", good.split_at(60).0, good.split_at(60).1.chars().rev().collect::<String>());
    let sandbox = SealKey::new(SEAL_KEY).seal(seal_place("sandbox_receipt_key").unwrap(), TEXT, [9; 24]);
    for (sealed, expected) in [
        (seal(OLD_SEAL_KEY, "receipt_key", TEXT), closed.to_owned()),
        (seal(SEAL_KEY, "hop_key", TEXT), closed.to_owned()),
        (sandbox, closed.to_owned()),
        (seal_in("shop", "receipt_key"), closed.to_owned()),
        (changed_byte, closed.to_owned()),
        (good.split_at(good.len() - 4).0.to_owned(), closed.to_owned()),
        (good.split_at(40).0.to_owned(), format!("is cut off: {again}")),
        ("cs-seal1_".to_owned(), format!("is cut off: {again}")),
        (format!("{good}=="), format!("is not base64url, or is cut off: {again}")),
        (good.split_at(good.len() - 3).0.to_owned(), format!("is not base64url, or is cut off: {again}")),
        (good.replace("seal1_", "seal1_ "), format!("is not base64url, or is cut off: {again}")),
        (
            good.replace("seal1_", "seal2_"),
            "has a format that this program does not know: seal the secret again with this version"
                .to_owned(),
        ),
        (
            "Tr0ub4dor&3 Tr0ub4dor&3 Tr0ub4dor&3".to_owned(),
            "is not a sealed secret: write what `countersign seal NAME` prints; it begins with cs-seal1_"
                .to_owned(),
        ),
        (format!("cs-seal1_{}", "A".repeat(9_000)), format!("is longer than any sealed secret: {again}")),
    ] {
        let found = mistakes(&document("receipt_key", &sealed), &mut host);
        assert_eq!(found, [format!("receipt.secret.sealed {expected}")], "{sealed}");
    }
}

#[test]
fn what_is_sealed_is_held_to_the_rules_of_every_secret() {
    for (text, problem) in [
        (&b"thirty-one bytes, one too few.."[..], "has 31 bytes"),
        (b"", "is empty"),
        (b"with a line break, as echo leaves it, at its end\n", "begins or ends with white space"),
        (b"receipt_key_of_another_use_0123456789abcdef", "is equal to that of"),
        (SEAL_KEY, "is equal to that of the seal key \"countersign_seal_key\""),
    ] {
        let json = document("receipt_key", &seal(SEAL_KEY, "receipt_key", text));
        let found = mistakes(&json, &mut |name| match name {
            "hop_key" => Some(b"receipt_key_of_another_use_0123456789abcdef".to_vec()),
            name => host(name),
        });
        assert_eq!(found.len(), 1, "{problem}: {found:?}");
        assert!(found[0].contains(problem), "{problem}: {found:?}");
        assert!(!found[0].contains("0123456789abcdef") && !found[0].contains("cs-seal1_"), "{found:?}");
    }
}

#[test]
fn a_seal_key_that_is_missing_or_weak_is_named_once() {
    let json = document("receipt_key", &seal(SEAL_KEY, "receipt_key", TEXT));
    let hop = format!(r#"{{ "name": "hop_key", "sealed": "{}" }}"#, seal(SEAL_KEY, "hop_key", &[7; 32]));
    let json = changed(&json, &[("/attestation/secret", &hop)]);
    for (key, problem) in [
        (None, "needs the seal key \"countersign_seal_key\", which the host does not have"),
        (Some(&b"short"[..]), "needs the seal key \"countersign_seal_key\", which has 5 bytes"),
        (Some(b"click_key 0123456789abcdef0123456789abcdef"), "which is equal to another secret"),
    ] {
        let found = mistakes(&json, &mut |name| match name {
            "countersign_seal_key" => key.map(<[u8]>::to_vec),
            name => host(name),
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("receipt.secret.sealed ") && found[0].contains(problem), "{found:?}");
    }
}

#[test]
fn no_secret_has_the_name_of_a_seal_key() {
    for name in
        ["countersign_seal_key", "countersign_seal_key_old", "sandbox_seal_key", "sandbox_seal_key_old"]
    {
        assert!(seal_place(name).is_none());
        let secret = format!(r#"{{ "name": "{name}" }}"#);
        let json = changed(&file("examples/production.json"), &[("/receipt/secret", &secret)]);
        let found = mistakes(&json, &mut host);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("the name of a key that opens sealed secrets"), "{found:?}");
    }
}

#[test]
fn neither_a_seal_key_nor_a_document_shows_a_secret() {
    assert_eq!(format!("{:?}", SealKey::new(SEAL_KEY)), "SealKey(secret)");
    let json = document("receipt_key", &seal(SEAL_KEY, "receipt_key", TEXT));
    let document: Configuration = countersign_core::document::read(&json).unwrap();
    assert!(!format!("{document:?}").contains("a receipt key of the tests"));
    let policy = Policy::compile(&json, &mut host).unwrap();
    assert!(!format!("{policy:?}").contains("of the tests"));
}
