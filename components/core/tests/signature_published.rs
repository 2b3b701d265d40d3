//! HMAC and webhook signatures that others published, run whole; each case that does not apply says why.
#![cfg(test)]

mod third_party;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use countersign_core::headers::Headers;
use countersign_core::json::{ReadLimits, Tape, read};
use countersign_core::signature::{Place, Scheme, SignaturePolicy, SignatureReject, SigningKey, verify};
use countersign_core::time::Timestamp;
use serde_json::Value;

/// Checks `body` with one key. The document is another one: `raw` and `standard-webhooks` cover the body only, and these
/// bodies are seldom JSON.
fn check(
    scheme: Scheme,
    header: &str,
    secret: &[u8],
    body: &[u8],
    fields: &[(String, String)],
    now: Timestamp,
) -> Result<(), SignatureReject> {
    let key = SigningKey::new(Arc::from("k"), secret, None, None);
    let place = Place::Header(header.into());
    let policy = SignaturePolicy { scheme, place, keys: vec![key], tolerance_ms: 300_000 };
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut tape = Tape::default();
    let document = read(b"{}", &mut tape, ReadLimits::POSTBACK).map_err(|_| SignatureReject::Malformed)?;
    verify(&policy, Headers(&fields), body, &document, now, None).map(|_| ())
}

fn check_raw(secret: &[u8], body: &[u8], tag_hex: &str) -> Result<(), SignatureReject> {
    let fields = [("X-Signature".to_owned(), format!("sha256={tag_hex}"))];
    check(Scheme::Raw, Place::HEADER, secret, body, &fields, Timestamp::from_ms(0))
}

fn parse(path: &str) -> Option<Value> {
    third_party::read(path).and_then(|text| serde_json::from_str(&text).ok())
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn hex(value: &Value, name: &str) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text(value, name).as_bytes().as_chunks::<2>().0;
    pairs.iter().filter_map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

#[test]
fn wycheproof_hmac_sha256() {
    let Some(suite) = parse("wycheproof/hmac_sha256_test.json") else { return };
    let (mut valid, mut modified, mut truncated) = (0, 0, 0);
    for group in list(&suite, "testGroups") {
        for case in list(group, "tests") {
            let answer = check_raw(&hex(case, "key"), &hex(case, "msg"), text(case, "tag"));
            let expected = match (group["tagSize"].as_u64(), text(case, "result")) {
                // Half a tag is half the work for a forger: right ones are refused with the wrong ones.
                (Some(128), _) => {
                    truncated += 1;
                    Err(SignatureReject::Malformed)
                }
                (Some(256), "valid") => {
                    valid += 1;
                    Ok(())
                }
                (Some(256), "invalid") => {
                    modified += 1;
                    Err(SignatureReject::Mismatch)
                }
                other => panic!("unknown kind of case: {other:?}"),
            };
            assert_eq!(answer, expected, "case {}: {}", case["tcId"], case["comment"]);
        }
    }
    assert_eq!(valid + modified, 87);
    assert_eq!(truncated, 87);
    assert!(valid > 0 && modified > 0);
}

#[test]
fn rfc_4231() {
    let Some(suite) = parse("rfc-vectors/rfc4231-hmac-sha256.json") else { return };
    let cases = list(&suite, "cases");
    assert_eq!(cases.len(), 7);
    for case in cases {
        let (key, data) = (hex(case, "key_hex"), hex(case, "data_hex"));
        let answer = check_raw(&key, &data, text(case, "hmac_sha256_hex"));
        // Case 5 shows a tag cut to 128 bits.
        let expected =
            if case["truncated_to_bytes"].is_null() { Ok(()) } else { Err(SignatureReject::Malformed) };
        assert_eq!(answer, expected, "case {}", case["case"]);
    }
}

/// The secret as the Standard Webhooks libraries read it; the configuration is stricter (`policy/secret.rs`).
fn webhook_secret(text: &str) -> Vec<u8> {
    let lenient =
        PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    engine.decode(text.strip_prefix("whsec_").unwrap_or(text)).unwrap_or_default()
}

#[test]
fn published_webhook_examples() {
    let Some(suite) = parse("webhook-signatures/webhook-signature-cases.json") else { return };
    let cases = list(&suite, "cases");
    assert_eq!(cases.len(), 34);
    let mut run = BTreeMap::<&str, u32>::new();
    for case in cases {
        let id = text(case, "id");
        let seconds = case["verify_at_unix"].as_u64().unwrap_or_default();
        let now = Timestamp::from_ms(seconds * 1000);
        let body = text(case, "body_utf8").as_bytes();
        let style = id.split('-').next().unwrap_or_default();
        let answer = match (style, text(case, "expect")) {
            ("slack", _) => skip(id, "Slack signs v0:time:body in hex; no scheme of ours has that form"),
            ("stripe", _) => {
                skip(id, "Stripe packs time and tags into one field; no scheme of ours has that form")
            }
            (_, "config-error") => {
                skip(id, "an empty secret is refused by the configuration, before there is a key")
            }
            ("github", _) => {
                let name = text(case, "header");
                let fields = [(name.to_owned(), text(case, "header_value").to_owned())];
                let secret = text(case, "secret_utf8").as_bytes();
                Some(check(Scheme::Raw, &name.to_lowercase(), secret, body, &fields, now))
            }
            ("stdwh", _) => {
                let fields: Vec<_> = case["headers"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                    .collect();
                let secret = webhook_secret(text(case, "secret"));
                Some(check(Scheme::StandardWebhooks, Place::HEADER, &secret, body, &fields, now))
            }
            other => panic!("unknown style: {other:?}"),
        };
        let Some(answer) = answer else { continue };
        *run.entry(style).or_default() += 1;
        let expected = match text(case, "expect") {
            // An age exactly at the tolerance is accepted.
            "valid" | "boundary" => true,
            "invalid" => false,
            other => panic!("{id}: unknown expectation {other:?}"),
        };
        assert_eq!(answer.is_ok(), expected, "{id}: {answer:?}");
        let precise = match id {
            "stdwh-old-timestamp" => Some(SignatureReject::TimestampOutsideTolerance { skew_ms: -301_000 }),
            "stdwh-new-timestamp" => Some(SignatureReject::TimestampOutsideTolerance { skew_ms: 301_000 }),
            "stdwh-missing-id" | "stdwh-missing-timestamp" | "stdwh-missing-signature" => {
                Some(SignatureReject::Missing)
            }
            "stdwh-tampered-body" | "stdwh-tampered-timestamp" => Some(SignatureReject::Mismatch),
            _ => None,
        };
        if precise.is_some() {
            assert_eq!(answer.err(), precise, "{id}");
        }
    }
    assert_eq!(run.into_iter().collect::<Vec<_>>(), [("github", 1), ("stdwh", 19)]);
}

fn skip(id: &str, reason: &str) -> Option<Result<(), SignatureReject>> {
    println!("{id}: does not apply: {reason}");
    None
}
