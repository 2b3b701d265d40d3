//! Signatures: what is accepted, and everything that is one bit, one millisecond or one character off.

use std::sync::Arc;

use countersign_core::headers::Headers;
use countersign_core::json::{Document, ReadLimits, Tape, read};
use countersign_core::keys::KEYS_MAX;
use countersign_core::signature::{
    Message, Place, Scheme, SignProblem, SignaturePolicy, SignatureReject, Signed, SigningKey, Verified,
    sign, verify,
};
use countersign_core::time::Timestamp;

const NOW: Timestamp = Timestamp::from_ms(1_761_059_551_000);
const SECRET: &[u8] = b"a signing key of the tests, 32 b";
/// A body that is not canonical: order, whitespace, `100.00`, an escape that RFC 8785 writes otherwise.
const BODY: &str = r#"{ "event":"deposit_success","event_id":"dep_\u0039aa", "amount":100.00 }"#;
const CANONICAL: &str = r#"{"amount":100,"event":"deposit_success","event_id":"dep_9aa"}"#;
const MESSAGE: Message<'_> = Message { id: "msg_1", at: NOW };

fn key(id: &str, secret: &[u8]) -> SigningKey {
    SigningKey::new(Arc::from(id), secret, None, None)
}

fn policy(scheme: Scheme, place: Place, keys: Vec<SigningKey>) -> SignaturePolicy {
    SignaturePolicy { scheme, place, keys, tolerance_ms: 300_000 }
}

fn header() -> Place {
    Place::Header(Place::HEADER.into())
}

fn member() -> Place {
    Place::Body(Place::MEMBER.into())
}

/// Reads `body` and hands the document on.
fn with<R>(body: &str, then: impl FnOnce(&Document<'_>) -> R) -> Option<R> {
    let mut tape = Tape::default();
    read(body.as_bytes(), &mut tape, ReadLimits::POSTBACK).ok().map(|document| then(&document))
}

fn check(
    policy: &SignaturePolicy,
    fields: &[(&str, &str)],
    body: &str,
    now: Timestamp,
) -> Result<Verified, SignatureReject> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    with(body, |document| verify(policy, Headers(&fields), body.as_bytes(), document, now, None))
        .unwrap_or(Err(SignatureReject::Malformed))
}

/// The header fields that `sign` makes; a member as a field too.
fn signed(scheme: Scheme, place: &Place, key: &SigningKey, body: &str) -> Vec<(String, String)> {
    with(body, |document| match sign(scheme, place, key, body.as_bytes(), document, MESSAGE) {
        Ok(Signed::Headers(fields)) => fields.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        Ok(Signed::Member(name, value)) => vec![(name.into(), value)],
        Err(_) => Vec::new(),
    })
    .unwrap_or_default()
}

fn signature(scheme: Scheme, place: &Place, key: &SigningKey, body: &str) -> String {
    signed(scheme, place, key, body).pop().unwrap_or_default().1
}

#[test]
fn a_signature_is_what_other_implementations_make_of_the_scheme() {
    // Computed with Python's hmac over the texts above.
    let key = key("k", SECRET);
    let jcs = "sha256=ad895ca1a8eaa12fdfbcded602be7f30c01526c0e84a4b8ed67f7d7f83734b52";
    let raw = "sha256=78c79f8ba189cea5cf0701f996ccc5bdd3357a0255ce711e727660370dda4284";
    let webhook = "v1,ysHM3hyAED+8uwwn5dhq572aDFLYl7cSaLIAP1C15io=";
    assert_eq!(signature(Scheme::Jcs, &header(), &key, BODY), jcs);
    assert_eq!(signature(Scheme::Jcs, &header(), &key, CANONICAL), jcs);
    assert_eq!(signature(Scheme::Raw, &header(), &key, BODY), raw);
    assert_eq!(signature(Scheme::StandardWebhooks, &header(), &key, BODY), webhook);
}

#[test]
fn what_sign_makes_verify_accepts_and_the_hash_is_that_of_the_canonical_payload() {
    let key = key("k", SECRET);
    let hash = [
        0x15, 0x38, 0xfb, 0xb4, 0xc5, 0xeb, 0x19, 0x3c, 0xb9, 0x9e, 0xab, 0x6b, 0xe1, 0xd2, 0x20, 0xdf, 0x6c,
        0x8a, 0xf3, 0x69, 0xa3, 0xd9, 0x24, 0x1b, 0x1a, 0x7d, 0xc3, 0x43, 0xe0, 0xcd, 0xd9, 0xe9,
    ];
    let verified = Ok(Verified { key_id: Arc::from("k"), payload_hash: hash });
    for scheme in [Scheme::Jcs, Scheme::Raw, Scheme::StandardWebhooks] {
        let policy = policy(scheme, header(), vec![key.clone()]);
        let fields = signed(scheme, &header(), &key, BODY);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(check(&policy, &fields, BODY, NOW), verified, "{scheme:?}");
        let reordered = check(&policy, &fields, CANONICAL, NOW);
        if scheme == Scheme::Jcs {
            assert_eq!(reordered, verified, "the order of members does not matter");
        } else {
            assert_eq!(reordered, Err(SignatureReject::Mismatch), "{scheme:?} covers the bytes");
        }
    }
    let policy = policy(Scheme::Jcs, member(), vec![key.clone()]);
    let value = signature(Scheme::Jcs, &member(), &key, BODY);
    let body = format!(r#"{{"signature":"{value}",{}"#, BODY.split_at(1).1);
    assert_eq!(check(&policy, &[], &body, NOW), verified);
    // Signing a body that carries an old signature covers the rest only.
    assert_eq!(signature(Scheme::Jcs, &member(), &key, &body), value);
}

#[test]
fn the_canonical_payload_is_kept_where_it_is_asked_for() {
    let key = key("k", SECRET);
    for scheme in [Scheme::Jcs, Scheme::Raw, Scheme::StandardWebhooks] {
        let policy = policy(scheme, header(), vec![key.clone()]);
        let fields = signed(scheme, &header(), &key, BODY);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let mut kept = b"left over".to_vec();
        let verified = with(BODY, |document| {
            verify(&policy, Headers(&fields), BODY.as_bytes(), document, NOW, Some(&mut kept))
        });
        assert!(verified.is_some_and(|verified| verified.is_ok()), "{scheme:?}");
        assert_eq!(String::from_utf8(kept).unwrap(), CANONICAL, "{scheme:?}");
    }
}

#[test]
fn every_bit_of_a_tag_counts() {
    let key = key("k", SECRET);
    let policy = policy(Scheme::Jcs, header(), vec![key.clone()]);
    let good = signature(Scheme::Jcs, &header(), &key, BODY);
    assert!(check(&policy, &[("x-signature", &good)], BODY, NOW).is_ok());
    let digits: Vec<u32> = good.chars().skip(7).map(|digit| digit.to_digit(16).unwrap()).collect();
    for bit in 0..256 {
        let mut digits = digits.clone();
        digits[bit / 4] ^= 1 << (bit % 4);
        let digits: String = digits.iter().map(|digit| char::from_digit(*digit, 16).unwrap()).collect();
        let answer = check(&policy, &[("x-signature", &format!("sha256={digits}"))], BODY, NOW);
        assert_eq!(answer, Err(SignatureReject::Mismatch), "bit {bit}");
    }
}

#[test]
fn every_byte_of_the_payload_counts() {
    let key = key("k", SECRET);
    for (scheme, body) in
        [(Scheme::Jcs, CANONICAL), (Scheme::Raw, CANONICAL), (Scheme::StandardWebhooks, CANONICAL)]
    {
        let policy = policy(scheme, header(), vec![key.clone()]);
        let fields = signed(scheme, &header(), &key, body);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for place in 0..body.len() {
            let mut changed = body.as_bytes().to_vec();
            changed[place] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            // What is no JSON any more never gets as far as the signature.
            if with(&changed, |_| ()).is_some() {
                let answer = check(&policy, &fields, &changed, NOW);
                assert_eq!(answer, Err(SignatureReject::Mismatch), "{changed}");
            }
        }
    }
}

#[test]
fn the_field_has_a_prefix_and_64_digits_of_either_case() {
    let key = key("k", SECRET);
    let good = signature(Scheme::Jcs, &header(), &key, BODY);
    let digits = good.strip_prefix("sha256=").unwrap();
    let policy = policy(Scheme::Jcs, header(), vec![key]);
    for accepted in [good.clone(), format!("sha256={}", digits.to_uppercase())] {
        assert!(check(&policy, &[("X-Signature", &accepted)], BODY, NOW).is_ok(), "{accepted}");
    }
    let malformed = [
        String::new(),
        "sha256=".into(),
        digits.into(),
        format!("SHA256={digits}"),
        format!("sha1={digits}"),
        format!("sha256:{digits}"),
        format!("sha256= {digits}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}0"),
        format!("{good},{good}"),
        good.split_at(70).0.into(),
        good.split_at(39).0.into(),
        format!("sha256=0x{}", digits.split_at(62).0),
        format!("sha256=+{}", digits.split_at(63).0),
        format!("sha256={}g", digits.split_at(63).0),
        format!("sha256={}\u{e9}", digits.split_at(62).0),
        "sha256=".to_owned() + &"0".repeat(100_000),
    ];
    for field in malformed {
        let answer = check(&policy, &[("x-signature", &field)], BODY, NOW);
        assert_eq!(answer, Err(SignatureReject::Malformed), "{field:.100}");
    }
    let twice = [("x-signature", good.as_str()), ("X-SIGNATURE", good.as_str())];
    assert_eq!(check(&policy, &twice, BODY, NOW), Err(SignatureReject::Malformed));
    assert_eq!(check(&policy, &[("x-signature2", &good)], BODY, NOW), Err(SignatureReject::Missing));
    assert_eq!(check(&policy, &[], BODY, NOW), Err(SignatureReject::Missing));
}

#[test]
fn a_signature_in_the_body_is_a_string_at_the_top() {
    let key = key("k", SECRET);
    let policy = policy(Scheme::Jcs, member(), vec![key.clone()]);
    let value = signature(Scheme::Jcs, &member(), &key, r#"{"a":1}"#);
    let cases = [
        (format!(r#"{{"a":1,"signature":"{value}"}}"#), Ok(())),
        (format!(r#"{{"signature":"{value}","a":1.0}}"#), Ok(())),
        (format!(r#"{{"s\u0069gnature":"{}","a":1}}"#, value.replace('=', "\\u003d")), Ok(())),
        (format!(r#"{{"a":2,"signature":"{value}"}}"#), Err(SignatureReject::Mismatch)),
        (format!(r#"{{"a":1,"Signature":"{value}"}}"#), Err(SignatureReject::Missing)),
        (format!(r#"{{"a":{{"signature":"{value}"}}}}"#), Err(SignatureReject::Missing)),
        (r#"{"a":1}"#.into(), Err(SignatureReject::Missing)),
        ("[1]".into(), Err(SignatureReject::Missing)),
        (r#""signature""#.into(), Err(SignatureReject::Missing)),
        (r#"{"a":1,"signature":null}"#.into(), Err(SignatureReject::Malformed)),
        (r#"{"a":1,"signature":7}"#.into(), Err(SignatureReject::Malformed)),
        (r#"{"a":1,"signature":""}"#.into(), Err(SignatureReject::Malformed)),
        (format!(r#"{{"a":1,"signature":["{value}"]}}"#), Err(SignatureReject::Malformed)),
        (format!(r#"{{"a":1,"signature":"{value}0"}}"#), Err(SignatureReject::Malformed)),
    ];
    for (body, expected) in cases {
        assert_eq!(check(&policy, &[], &body, NOW).map(|_| ()), expected, "{body}");
        // A right header does not stand in for the member.
        let field = [("x-signature", value.as_str())];
        assert_eq!(check(&policy, &field, &body, NOW).map(|_| ()), expected, "{body}");
    }
}

#[test]
fn a_key_is_accepted_from_its_first_millisecond_to_before_its_last() {
    let (start, end) = (NOW.as_ms(), NOW.as_ms() + 1000);
    let at = Timestamp::from_ms;
    let key = SigningKey::new(Arc::from("k"), SECRET, Some(at(start)), Some(at(end)));
    let value = signature(Scheme::Jcs, &header(), &key, BODY);
    let policy = policy(Scheme::Jcs, header(), vec![key]);
    let check = |ms| check(&policy, &[("x-signature", &value)], BODY, at(ms)).map(|_| ());
    assert_eq!(check(start - 1), Err(SignatureReject::NoKeyValid));
    assert_eq!(check(start), Ok(()));
    assert_eq!(check(end - 1), Ok(()));
    assert_eq!(check(end), Err(SignatureReject::NoKeyValid));
}

#[test]
fn during_an_overlap_each_key_is_accepted_and_named() {
    let (old_end, new_start) = (NOW.plus_ms(1000), NOW);
    let keys = vec![
        SigningKey::new(Arc::from("old"), b"old secret", None, Some(old_end)),
        SigningKey::new(Arc::from("new"), b"new secret", Some(new_start), None),
    ];
    let policy = policy(Scheme::Jcs, header(), keys.clone());
    let by = |key: usize, now: Timestamp| {
        let value = signature(Scheme::Jcs, &header(), &keys[key], BODY);
        check(&policy, &[("x-signature", &value)], BODY, now).map(|verified| verified.key_id.to_string())
    };
    let before = Timestamp::from_ms(new_start.as_ms() - 1);
    assert_eq!(by(0, before), Ok("old".into()));
    assert_eq!(by(1, before), Err(SignatureReject::Mismatch));
    assert_eq!(by(0, new_start), Ok("old".into()));
    assert_eq!(by(1, new_start), Ok("new".into()));
    assert_eq!(by(0, old_end), Err(SignatureReject::Mismatch));
    assert_eq!(by(1, old_end), Ok("new".into()));
}

#[test]
fn eight_keys_of_which_four_are_valid_at_a_time_all_verify() {
    let of = |n: u64, from: u64, to: u64| {
        let at = |ms| Some(NOW.plus_ms(ms));
        SigningKey::new(Arc::from(format!("k{n}")), format!("secret {n}").as_bytes(), at(from), at(to))
    };
    let keys: Vec<_> = (0..8).map(|n| if n < 4 { of(n, 0, 10) } else { of(n, 10, 20) }).collect();
    assert_eq!(keys.len(), KEYS_MAX);
    let policy = policy(Scheme::Jcs, header(), keys.clone());
    // A ninth is never tried.
    let ninth = of(8, 0, 20);
    let value = signature(Scheme::Jcs, &header(), &ninth, BODY);
    let nine = SignaturePolicy { keys: [keys.clone(), vec![ninth]].concat(), ..policy.clone() };
    let answer = check(&nine, &[("x-signature", &value)], BODY, NOW);
    assert_eq!(answer, Err(SignatureReject::Mismatch));
    for (n, key) in keys.iter().enumerate() {
        let value = signature(Scheme::Jcs, &header(), key, BODY);
        let at = |ms| check(&policy, &[("x-signature", &value)], BODY, NOW.plus_ms(ms)).map(|v| v.key_id);
        let (early, late) = (at(9), at(10));
        let (hit, miss) = if n < 4 { (early, late) } else { (late, early) };
        assert_eq!(hit, Ok(Arc::from(format!("k{n}"))));
        assert_eq!(miss, Err(SignatureReject::Mismatch));
    }
}

#[test]
fn a_raw_signature_in_the_body_is_refused_by_sign_and_verify() {
    let key = key("k", SECRET);
    let policy = policy(Scheme::Raw, member(), vec![key.clone()]);
    let answer =
        with(BODY, |document| sign(Scheme::Raw, &member(), &key, BODY.as_bytes(), document, MESSAGE));
    assert_eq!(answer, Some(Err(SignProblem::BodyNeedsJcs)));
    assert_eq!(check(&policy, &[], BODY, NOW), Err(SignatureReject::Malformed));
}

/// The three fields of a message that is right at `NOW`, with one of them replaced.
fn webhook(name: &str, value: Option<&str>) -> Result<(), SignatureReject> {
    let key = key("k", SECRET);
    let policy = policy(Scheme::StandardWebhooks, header(), vec![key.clone()]);
    let mut fields = signed(Scheme::StandardWebhooks, &header(), &key, BODY);
    fields.retain(|(field, _)| field != name);
    fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    check(&policy, &fields, BODY, NOW).map(|_| ())
}

#[test]
fn a_webhook_needs_each_of_its_fields_once_and_well_formed() {
    use SignatureReject::{Malformed, Mismatch, Missing};
    let good = signature(Scheme::StandardWebhooks, &header(), &key("k", SECRET), BODY);
    let wrong = signature(Scheme::StandardWebhooks, &header(), &key("k", b"another"), BODY);
    let seconds = NOW.as_seconds().to_string();
    let eight = [vec![wrong.as_str(); 7], vec![&good]].concat().join(" ");
    let cases: &[(&str, Option<&str>, Result<(), SignatureReject>)] = &[
        ("webhook-id", Some("msg_1"), Ok(())),
        ("webhook-id", None, Err(Missing)),
        ("webhook-id", Some(""), Err(Malformed)),
        ("webhook-id", Some("msg_2"), Err(Mismatch)),
        ("webhook-id", Some("msg.1"), Err(Malformed)),
        ("webhook-id", Some("msg 1"), Err(Malformed)),
        ("webhook-id", Some("ms\u{e9}"), Err(Malformed)),
        ("webhook-timestamp", Some(&seconds), Ok(())),
        ("webhook-timestamp", None, Err(Missing)),
        ("webhook-timestamp", Some(&format!("0{seconds}")), Err(Malformed)),
        ("webhook-timestamp", Some(&format!("{seconds}.0")), Err(Malformed)),
        ("webhook-timestamp", Some(&format!("-{seconds}")), Err(Malformed)),
        ("webhook-timestamp", Some(&format!("{seconds}000")), Err(Malformed)),
        ("webhook-timestamp", Some("999999999999999"), Err(Malformed)),
        ("webhook-signature", None, Err(Missing)),
        ("webhook-signature", Some(""), Err(Malformed)),
        ("webhook-signature", Some(good.strip_prefix("v1,").unwrap()), Err(Malformed)),
        ("webhook-signature", Some(&good.replace("v1", "v2")), Err(Malformed)),
        ("webhook-signature", Some(&good.replace('=', "")), Err(Malformed)),
        ("webhook-signature", Some(&format!("{good},{good}")), Err(Malformed)),
        ("webhook-signature", Some(&wrong), Err(Mismatch)),
        ("webhook-signature", Some(&format!("{wrong} {good}")), Ok(())),
        ("webhook-signature", Some(&format!("v1a,x v1,bad  {good}")), Ok(())),
        ("webhook-signature", Some(&eight), Ok(())),
        ("webhook-signature", Some(&format!("{eight} {good}")), Err(Malformed)),
        ("webhook-signature", Some(&format!("{good}{}", " ".repeat(1024 - good.len()))), Ok(())),
        ("webhook-signature", Some(&format!("{good}{}", " ".repeat(1025 - good.len()))), Err(Malformed)),
    ];
    for (name, value, expected) in cases {
        assert_eq!(webhook(name, *value), *expected, "{name}: {value:.200?}");
    }
    let key = key("k", SECRET);
    let policy = policy(Scheme::StandardWebhooks, header(), vec![key.clone()]);
    for repeated in 0..3 {
        let mut fields = signed(Scheme::StandardWebhooks, &header(), &key, BODY);
        fields.push(fields[repeated].clone());
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(check(&policy, &fields, BODY, NOW), Err(Malformed), "{repeated}");
    }
}

#[test]
fn a_webhook_is_accepted_up_to_the_tolerance_on_both_sides() {
    let key = key("k", SECRET);
    let policy = policy(Scheme::StandardWebhooks, header(), vec![key.clone()]);
    let fields = signed(Scheme::StandardWebhooks, &header(), &key, BODY);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let at = |ms| check(&policy, &fields, BODY, Timestamp::from_ms(ms)).map(|_| ());
    let sent = NOW.as_ms();
    let outside = |skew_ms| Err(SignatureReject::TimestampOutsideTolerance { skew_ms });
    assert_eq!(at(sent + 300_000), Ok(()));
    assert_eq!(at(sent + 300_001), outside(-300_001));
    assert_eq!(at(sent - 300_000), Ok(()));
    assert_eq!(at(sent - 300_001), outside(300_001));
    assert_eq!(at(0), outside(1_761_059_551_000));
    // A forger learns nothing of our clock: the MAC is judged first.
    let other =
        SignaturePolicy { keys: vec![SigningKey::new(Arc::from("x"), b"x", None, None)], ..policy.clone() };
    assert_eq!(check(&other, &fields, BODY, Timestamp::from_ms(0)), Err(SignatureReject::Mismatch));
}

#[test]
fn a_webhook_id_that_could_hide_a_boundary_cannot_be_signed() {
    let key = key("k", SECRET);
    with("{}", |document| {
        for id in ["", "a.b", "a b", "\u{e9}", &"x".repeat(257)] {
            let message = Message { id, at: NOW };
            let answer = sign(Scheme::StandardWebhooks, &header(), &key, b"{}", document, message);
            assert_eq!(answer, Err(SignProblem::MessageId), "{id}");
        }
    })
    .unwrap();
}

#[test]
fn a_key_shows_its_name_and_not_its_secret() {
    let shown = format!("{:?}", policy(Scheme::Jcs, header(), vec![key("the name", SECRET)]));
    assert!(shown.contains("the name") && !shown.contains("secret") && !shown.contains("97"), "{shown}");
}

#[test]
fn a_verification_allocates_nothing_once_the_copy_is_warm() {
    let key = key("k", SECRET);
    for scheme in [Scheme::Jcs, Scheme::Raw, Scheme::StandardWebhooks] {
        let policy = policy(scheme, header(), vec![key.clone(); 4]);
        let fields = signed(scheme, &header(), &key, BODY);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        with(BODY, |document| {
            let mut kept = Vec::new();
            let mut pass = || {
                allocation_counter::measure(|| {
                    let kept = Some(&mut kept);
                    assert!(verify(&policy, Headers(&fields), BODY.as_bytes(), document, NOW, kept).is_ok());
                })
            };
            assert!(pass().count_total > 0, "the counter counts");
            assert_eq!(pass().count_total, 0, "{scheme:?}");
        })
        .unwrap();
    }
}
