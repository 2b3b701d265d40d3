//! JWS examples that others published, run whole.
//!
//! Their payloads are no tokens of this gate (most are not even JSON), so a right signature shows in what is refused next:
//! the payload, or a claim. A wrong signature is refused before either is read.
#![cfg(test)]

mod third_party;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use countersign_core::json::Tape;
use countersign_core::time::Timestamp;
use countersign_core::token::{Algorithm, KeyMaterial, MintKey, TokenKey, TokenPolicy, verify};
use serde_json::Value;

const NO_JSON: &str = "the payload is not JSON";
const NO_ALGORITHM: &str = "alg is not HS256, ES256 or EdDSA";
const NO_SHAPE: &str = "the token is neither a JWS of three parts nor an opaque token of the partner";
const NO_MATCH: &str = "the signature does not match";

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    BASE64URL.decode(jwk[name].as_str().unwrap()).unwrap()
}

/// The key of a JWK, under the name of its `kid`; `None` for kinds that this gate has no use for.
fn key(jwk: &Value) -> Option<TokenKey> {
    let (x, y);
    let material = match (jwk["kty"].as_str()?, jwk["crv"].as_str()) {
        ("oct", _) => {
            x = member(jwk, "k");
            KeyMaterial::Hs256(&x)
        }
        ("EC", Some("P-256")) => {
            y = [member(jwk, "x"), member(jwk, "y")].concat();
            KeyMaterial::Es256(&y)
        }
        ("OKP", Some("Ed25519")) => KeyMaterial::EdDsa(member(jwk, "x").try_into().unwrap()),
        _ => return None,
    };
    Some(TokenKey::new(Arc::from(jwk["kid"].as_str().unwrap_or("k")), material, None, None).unwrap())
}

/// Why the token is refused, under these keys and those of every algorithm (so that no refusal is for want of a key).
fn refusal(keys: impl IntoIterator<Item = TokenKey>, token: &str) -> &'static str {
    let mut keys: Vec<_> = keys.into_iter().collect();
    for algorithm in [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa] {
        let public = MintKey::new(algorithm, &[7; 32]).unwrap().public().unwrap_or_default();
        let material = match algorithm {
            Algorithm::Hs256 => KeyMaterial::Hs256(b"another secret"),
            Algorithm::Es256 => KeyMaterial::Es256(&public),
            Algorithm::EdDsa => KeyMaterial::EdDsa(public.as_slice().try_into().unwrap()),
        };
        keys.push(TokenKey::new(Arc::from("another"), material, None, None).unwrap());
    }
    let policy = TokenPolicy {
        issuer: "joe".into(),
        audience: "countersign".into(),
        lifetime_ms_max: 900_000,
        keys,
        opaque: Vec::new(),
    };
    let now = Timestamp::from_ms(1_300_819_379_000);
    verify(&policy, token.as_bytes(), now, &mut Tape::default()).unwrap_err().as_str()
}

/// A right signature leads on to `next`; one with another first character does not.
fn assert_signature_holds(key: &TokenKey, token: &str, next: &str) {
    assert_eq!(refusal([key.clone()], token), next, "{token}");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (first, rest) = signature.split_at(1);
    let other = if first == "A" { "B" } else { "A" };
    assert_eq!(refusal([key.clone()], &format!("{message}.{other}{rest}")), NO_MATCH, "{token}");
}

#[test]
fn rfcs_7515_7519_7797_8037() {
    let Some(text) = third_party::read("rfc-vectors/jose-rfc-examples.json") else { return };
    let suite: Value = serde_json::from_str(&text).unwrap();
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let token = case["compact"].as_str().unwrap();
        let key = key(&case["jwk_public"]);
        let holds = |next| assert_signature_holds(key.as_ref().unwrap(), token, next);
        let refused = |reason| assert_eq!(refusal(key.clone(), token), reason, "{token}");
        match case["id"].as_str().unwrap() {
            // The issuer is the one expected, so what is refused first is that there is no audience.
            "rfc7515-a1" | "rfc7515-a3" => holds("aud is missing"),
            "rfc8037-a4" | "rfc7797-4.1" => holds(NO_JSON),
            // RSA and P-521 are not offered.
            "rfc7515-a2" | "rfc7515-a4" => refused(NO_ALGORITHM),
            // Neither `none` nor a detached payload has three parts.
            "rfc7515-a5" | "rfc7515-appendix-e" | "rfc7797-4.2" => refused(NO_SHAPE),
            other => panic!("unknown case {other}"),
        }
    }
}

#[test]
fn headers_of_the_rfcs_that_must_be_refused_are_refused_for_themselves() {
    let Some(text) = third_party::read("rfc-vectors/jose-rfc-examples.json") else { return };
    let suite: Value = serde_json::from_str(&text).unwrap();
    let reasons = [
        ("rfc7515-a5", NO_ALGORITHM),
        ("rfc7515-appendix-e", "crit names extensions that are not understood"),
        ("rfc7797-4.2", "crit names extensions that are not understood"),
    ];
    for (id, reason) in reasons {
        let case = suite["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap();
        // With parts in place of the empty ones, the header is all that is left to refuse.
        let token = format!("{}.e30.AAAA", case["protected_b64u"].as_str().unwrap());
        assert_eq!(refusal(None, &token), reason, "{id}");
    }
}

/// The example's output as a compact JWS, where its unprotected members are left out.
fn compact(json: &Value, payload: &str) -> String {
    let protected = json["protected"].as_str().unwrap_or_default();
    format!("{protected}.{payload}.{}", json["signature"].as_str().unwrap())
}

#[test]
fn the_jose_cookbook() {
    // File, whether its JSON output is flat, and what becomes of it.
    let cases = [
        ("jws/4_1.rsa_v15_signature.json", NO_ALGORITHM),
        ("jws/4_2.rsa-pss_signature.json", NO_ALGORITHM),
        ("jws/4_3.ecdsa_signature.json", NO_ALGORITHM),
        ("jws/4_4.hmac-sha2_integrity_protection.json", NO_JSON),
        ("jws/4_5.signature_with_detached_content.json", NO_JSON),
        ("jws/4_6.protecting_specific_header_fields.json", NO_JSON),
        // Nothing is protected, so there is no header.
        ("jws/4_7.protecting_content_only.json", NO_SHAPE),
        ("curve25519/jws.json", NO_JSON),
        // Defective upstream (SOURCE.txt): its protected bytes lack `crit`. It is refused for `b64` all the same.
        ("rfc7797/4.2.hmac-sha2_b64_false.json", "b64 is not allowed in a token"),
        // Defective upstream (SOURCE.txt) in its `signing` block; the output block, read here, is right.
        ("rfc7797/hmac-sha2_b64_false.json", "crit names extensions that are not understood"),
    ];
    for (path, expected) in cases {
        let Some(text) = third_party::read(&format!("jose-cookbook-rfc7520/{path}")) else { return };
        let example: Value = serde_json::from_str(&text).unwrap();
        let key = key(&example["input"]["key"]);
        let payload = BASE64URL.encode(example["input"]["payload"].as_str().unwrap());
        let token = compact(&example["output"]["json_flat"], &payload);
        if expected == NO_JSON {
            assert_signature_holds(key.as_ref().unwrap(), &token, expected);
        } else {
            assert_eq!(refusal(key.clone(), &token), expected, "{path}");
        }
        // The compact form as printed: the same, but for a payload that is detached. One that is not encoded is never reached:
        // its header is refused first.
        if let Some(printed) = example["output"]["compact"].as_str() {
            let expected = if path.contains("detached") { NO_SHAPE } else { expected };
            assert_eq!(refusal(key, printed), expected, "{path}");
        }
    }
}

#[test]
fn the_jose_cookbook_with_several_signatures() {
    let path = "jose-cookbook-rfc7520/jws/4_8.multiple_signatures.json";
    let Some(text) = third_party::read(path) else { return };
    let example: Value = serde_json::from_str(&text).unwrap();
    let output = &example["output"]["json"];
    let payload = output["payload"].as_str().unwrap();
    let keys: Vec<_> = example["input"]["key"].as_array().unwrap().iter().map(key).collect();
    let tokens: Vec<_> =
        output["signatures"].as_array().unwrap().iter().map(|json| compact(json, payload)).collect();
    assert_eq!(keys.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(refusal(None, &tokens[0]), NO_ALGORITHM, "RS256");
    assert_eq!(refusal(None, &tokens[1]), NO_SHAPE, "its algorithm is not protected");
    assert_signature_holds(keys[2].as_ref().unwrap(), &tokens[2], NO_JSON);
}

#[test]
fn keys_of_the_cookbook_that_do_not_apply() {
    for (path, applies) in [
        ("3_1.ec_public_key.json", false),
        ("3_2.ec_private_key.json", false),
        ("3_3.rsa_public_key.json", false),
        ("3_4.rsa_private_key.json", false),
        ("3_5.symmetric_key_mac_computation.json", true),
        ("3_6.symmetric_key_encryption.json", true),
    ] {
        let Some(text) = third_party::read(&format!("jose-cookbook-rfc7520/jwk/{path}")) else { return };
        let jwk: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(key(&jwk).is_some(), applies, "{path}");
        if jwk["crv"] == "P-521" {
            // Not by its name alone: its coordinates are no point for ES256 either.
            let point = [member(&jwk, "x"), member(&jwk, "y")].concat();
            assert!(TokenKey::new(Arc::from("k"), KeyMaterial::Es256(&point), None, None).is_err(), "{path}");
        }
    }
}
