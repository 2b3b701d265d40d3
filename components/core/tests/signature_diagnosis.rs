//! What a refused signature is found to be: each mistake as a sender makes it, and nothing for a forger.

#![cfg(test)]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::headers::Headers;
use countersign_core::json::{ReadLimits, Tape, read};
use countersign_core::signature::{
    DIAGNOSIS_BODY_BYTES_MAX, Message, Place, Scheme, SignatureCause, SignaturePolicy, SignatureReject,
    Signed, SigningKey, diagnose, sign, verify,
};
use countersign_core::time::Timestamp;

use SignatureCause as Cause;

const NOW: Timestamp = Timestamp::from_ms(1_792_595_551_000);
const SECRET: &[u8] = b"a signing key of the tests, 32 b";
/// Not canonical, and with white space around it.
const BODY: &str = "{ \"b\":1, \"a\":100.00 }\n";

fn key(secret: &[u8], from: Option<u64>, to: Option<u64>) -> SigningKey {
    let at = |ms: Option<u64>| ms.map(Timestamp::from_ms);
    SigningKey::new(Arc::from("k"), secret, at(from), at(to))
}

fn header() -> Place {
    Place::Header(Place::HEADER.into())
}

fn policy(scheme: Scheme) -> SignaturePolicy {
    SignaturePolicy { scheme, place: header(), keys: vec![key(SECRET, None, None)], tolerance_ms: 300_000 }
}

type Fields = Vec<(String, String)>;

/// What a sender with this secret and this scheme sends.
fn signed(scheme: Scheme, secret: &[u8], body: &str, at: Timestamp) -> Fields {
    let mut tape = Tape::default();
    let document = read(body.as_bytes(), &mut tape, ReadLimits::BYTES_SIGNED).ok().unwrap();
    let message = Message { id: "msg_1", at };
    match sign(scheme, &header(), &key(secret, None, None), body.as_bytes(), &document, message).unwrap() {
        Signed::Headers(fields) => fields.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        Signed::Member(..) => unreachable!("the place is a header"),
    }
}

/// How the gate refuses it, and the cause that it finds; `Ok` where it does not refuse.
fn of(
    policy: &SignaturePolicy,
    fields: &[(String, String)],
    body: &str,
) -> Result<(), (SignatureReject, Option<Cause>)> {
    let mut tape = Tape::default();
    let document = read(body.as_bytes(), &mut tape, policy.scheme.read_limits()).ok().unwrap();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let (headers, body) = (Headers(&fields), body.as_bytes());
    verify(policy, headers, body, &document, NOW, None)
        .map(|_| ())
        .map_err(|reject| (reject, diagnose(policy, headers, body, &document, NOW, reject)))
}

fn mismatch(cause: Option<Cause>) -> Result<(), (SignatureReject, Option<Cause>)> {
    Err((SignatureReject::Mismatch, cause))
}

#[test]
fn what_a_sender_made_of_its_key_is_named() {
    let encoded = STANDARD.encode(SECRET);
    for scheme in [Scheme::Jcs, Scheme::Raw, Scheme::StandardWebhooks] {
        let by = |secret: &[u8]| of(&policy(scheme), &signed(scheme, secret, BODY, NOW), BODY);
        assert_eq!(by(SECRET), Ok(()), "{scheme:?}");
        for (secret, cause) in [
            (format!("base64:{encoded}"), Cause::KeyAsText),
            (format!("whsec_{encoded}"), Cause::KeyAsText),
            (encoded.clone(), Cause::KeyAsBase64),
            (format!("{}\n", String::from_utf8_lossy(SECRET)), Cause::KeyWithLineBreak),
            ("countersign-sandbox-signing-key-is-published".into(), Cause::SandboxKey),
        ] {
            assert_eq!(by(secret.as_bytes()), mismatch(Some(cause)), "{scheme:?} {secret:?}");
        }
        for forged in [&b"guess"[..], b"", &SECRET[..31], &[SECRET, b" "].concat()] {
            assert_eq!(by(forged), mismatch(None), "{scheme:?}: a forger hears nothing");
        }
    }
    // The other way about: the key is a text, and the sender decoded it.
    for (text, decoded) in [
        ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", b"0123456789abcdef0123456789abcdef".to_vec()),
        (
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            b"\x01\x23\x45\x67\x89\xab\xcd\xef".repeat(4),
        ),
    ] {
        let policy = SignaturePolicy { keys: vec![key(text.as_bytes(), None, None)], ..policy(Scheme::Jcs) };
        let fields = signed(Scheme::Jcs, &decoded, BODY, NOW);
        assert_eq!(of(&policy, &fields, BODY), mismatch(Some(Cause::KeyDecoded)), "{text}");
    }
}

#[test]
fn a_key_outside_its_time_is_named_to_its_holder() {
    let now = NOW.as_ms();
    let with = |more: SigningKey| {
        let mut policy = policy(Scheme::Jcs);
        policy.keys.push(more);
        policy
    };
    let by =
        |policy: &SignaturePolicy, secret: &[u8]| of(policy, &signed(Scheme::Jcs, secret, BODY, NOW), BODY);
    let ended = with(key(b"old", None, Some(now)));
    assert_eq!(by(&ended, b"old"), mismatch(Some(Cause::KeyExpired)));
    assert_eq!(by(&ended, b"older"), mismatch(None));
    let early = with(key(b"new", Some(now + 1), None));
    assert_eq!(by(&early, b"new"), mismatch(Some(Cause::KeyNotYetValid)));
    let last = SignaturePolicy { keys: vec![key(b"old", None, Some(now))], ..policy(Scheme::Jcs) };
    assert_eq!(by(&last, b"old"), Err((SignatureReject::NoKeyValid, Some(Cause::KeyExpired))));
    assert_eq!(by(&last, b"older"), Err((SignatureReject::NoKeyValid, None)));
}

#[test]
fn other_bytes_under_the_right_key_are_named() {
    let hex = |scheme, body| signed(scheme, SECRET, body, NOW);
    let trimmed = BODY.trim();
    assert_eq!(
        of(&policy(Scheme::Jcs), &hex(Scheme::Raw, BODY), BODY),
        mismatch(Some(Cause::BodyNotCanonical))
    );
    assert_eq!(
        of(&policy(Scheme::Jcs), &hex(Scheme::Raw, trimmed), BODY),
        mismatch(Some(Cause::BodyTrimmed))
    );
    assert_eq!(
        of(&policy(Scheme::Raw), &hex(Scheme::Jcs, BODY), BODY),
        mismatch(Some(Cause::CanonicalNotBody))
    );
    assert_eq!(
        of(&policy(Scheme::Raw), &hex(Scheme::Raw, trimmed), BODY),
        mismatch(Some(Cause::BodyTrimmed))
    );
    let hook = signed(Scheme::StandardWebhooks, SECRET, trimmed, NOW);
    assert_eq!(of(&policy(Scheme::StandardWebhooks), &hook, BODY), mismatch(Some(Cause::BodyTrimmed)));
    // Of the body alone, in the field of Standard Webhooks.
    let mut hook = signed(Scheme::StandardWebhooks, SECRET, BODY, NOW);
    let tag = hex(Scheme::Raw, BODY).pop().unwrap().1;
    let tag: Vec<u8> =
        (7..tag.len()).step_by(2).map(|at| u8::from_str_radix(&tag[at..at + 2], 16).unwrap()).collect();
    hook[2].1 = format!("v1,{}", STANDARD.encode(tag));
    assert_eq!(of(&policy(Scheme::StandardWebhooks), &hook, BODY), mismatch(Some(Cause::BodyAlone)));
    // A changed body is a changed body.
    let other = BODY.replace("100", "101");
    for scheme in [Scheme::Jcs, Scheme::Raw, Scheme::StandardWebhooks] {
        let fields = signed(scheme, SECRET, BODY, NOW);
        assert_eq!(of(&policy(scheme), &fields, &other), mismatch(None), "{scheme:?}");
    }
}

#[test]
fn how_a_signature_in_hex_is_written_is_named() {
    let good = signed(Scheme::Jcs, SECRET, BODY, NOW).pop().unwrap().1;
    let digits = good.strip_prefix("sha256=").unwrap().to_owned();
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let base64 = STANDARD.encode(bytes);
    for (field, cause) in [
        (digits.clone(), Some(Cause::PrefixMissing)),
        (format!("SHA256={digits}"), Some(Cause::PrefixCase)),
        (format!("sha256={base64}"), Some(Cause::Base64NotHex)),
        (base64.clone(), Some(Cause::Base64NotHex)),
        (base64.trim_end_matches('=').to_owned(), Some(Cause::Base64NotHex)),
        (format!("sha1={}", &digits[..40]), Some(Cause::OtherHash)),
        (digits[..40].to_owned(), Some(Cause::OtherHash)),
        (format!("sha256={digits}{digits}"), Some(Cause::OtherHash)),
        (format!("SHA512={digits}{digits}"), Some(Cause::OtherHash)),
        (format!("sha256={}", &digits[..62]), Some(Cause::DigitsOff)),
        (format!("sha256={digits}00"), Some(Cause::DigitsOff)),
        (format!("sha256= {digits}"), Some(Cause::DigitsOff)),
        ("sha256=".into(), Some(Cause::DigitsOff)),
        (String::new(), None),
        ("t=1,v1=00".into(), None),
    ] {
        let fields = [(Place::HEADER.to_owned(), field.clone())];
        assert_eq!(
            of(&policy(Scheme::Jcs), &fields, BODY),
            Err((SignatureReject::Malformed, cause)),
            "{field}"
        );
        // In a member it is the same.
        let policy = SignaturePolicy { place: Place::Body("signature".into()), ..policy(Scheme::Jcs) };
        let body = format!(r#"{{"signature":"{field}"}}"#);
        assert_eq!(of(&policy, &[], &body), Err((SignatureReject::Malformed, cause)), "{field}");
    }
    let twice = vec![(Place::HEADER.to_owned(), good); 2];
    let repeated = Err((SignatureReject::Malformed, Some(Cause::Repeated)));
    assert_eq!(of(&policy(Scheme::Jcs), &twice, BODY), repeated);
}

#[test]
fn how_a_webhook_is_written_is_named() {
    let policy = policy(Scheme::StandardWebhooks);
    let good = signed(Scheme::StandardWebhooks, SECRET, BODY, NOW);
    let with = |place: usize, value: &str| {
        let mut fields = good.clone();
        fields[place].1 = value.to_owned();
        match of(&policy, &fields, BODY) {
            Err((SignatureReject::Malformed, cause)) => cause,
            other => panic!("{value}: {other:?}"),
        }
    };
    let encoded = good[2].1.strip_prefix("v1,").unwrap();
    let hex = "0".repeat(64);
    assert_eq!(with(0, "msg.1"), Some(Cause::MessageIdForm));
    assert_eq!(with(0, ""), Some(Cause::MessageIdForm));
    assert_eq!(with(1, "1792595551000"), Some(Cause::TimestampForm));
    assert_eq!(with(1, "1792595551.0"), Some(Cause::TimestampForm));
    assert_eq!(with(1, "2026-10-21T15:12:31Z"), Some(Cause::TimestampForm));
    assert_eq!(with(2, encoded), Some(Cause::VersionMissing));
    assert_eq!(with(2, &hex), Some(Cause::VersionMissing));
    assert_eq!(with(2, &format!("v1,{hex}")), Some(Cause::HexNotBase64));
    assert_eq!(with(2, &format!("v1a,{encoded}")), Some(Cause::OtherVersion));
    assert_eq!(with(2, &format!("sha256={hex}")), Some(Cause::OtherVersion));
    assert_eq!(with(2, "v1,AAAA"), None);
    let repeated = [good.as_slice(), &good[1..2]].concat();
    assert_eq!(of(&policy, &repeated, BODY), Err((SignatureReject::Malformed, Some(Cause::Repeated))));
    let old = signed(Scheme::StandardWebhooks, SECRET, BODY, Timestamp::from_ms(NOW.as_ms() - 301_000));
    let outside = |skew_ms, cause| Err((SignatureReject::TimestampOutsideTolerance { skew_ms }, Some(cause)));
    assert_eq!(of(&policy, &old, BODY), outside(-301_000, Cause::TimestampOld));
    let ahead = signed(Scheme::StandardWebhooks, SECRET, BODY, NOW.plus_ms(301_000));
    assert_eq!(of(&policy, &ahead, BODY), outside(301_000, Cause::TimestampAhead));
    // Only the holder of the key learns anything of a time.
    let forged = signed(Scheme::StandardWebhooks, b"guess", BODY, NOW.plus_ms(301_000));
    assert_eq!(of(&policy, &forged, BODY), mismatch(None));
}

/// The same fields under their older names.
fn svix(fields: &[(String, String)]) -> Fields {
    fields.iter().map(|(name, value)| (name.replace("webhook", "svix"), value.clone())).collect()
}

#[test]
fn svix_headers_count_where_no_webhook_header_is_there() {
    let policy = policy(Scheme::StandardWebhooks);
    let good = signed(Scheme::StandardWebhooks, SECRET, BODY, NOW);
    let bad = signed(Scheme::StandardWebhooks, b"another", BODY, NOW);
    let missing = |cause| Err((SignatureReject::Missing, Some(cause)));
    assert_eq!(of(&policy, &svix(&good), BODY), Ok(()));
    assert_eq!(of(&policy, &svix(&bad), BODY), mismatch(None));
    // Both families: the standard's own names are read, and the others are not looked at.
    assert_eq!(of(&policy, &[good.clone(), svix(&good)].concat(), BODY), Ok(()));
    assert_eq!(of(&policy, &[good.clone(), svix(&bad)].concat(), BODY), Ok(()));
    assert_eq!(of(&policy, &[bad, svix(&good)].concat(), BODY), mismatch(None));
    for place in 0..3 {
        // One of the standard's names beside all three of the others: which was meant is unknown.
        let mixed = [svix(&good).as_slice(), &good[place..=place]].concat();
        assert_eq!(of(&policy, &mixed, BODY), missing(Cause::FamiliesMixed), "{place}");
        let mut incomplete = good.clone();
        incomplete.remove(place);
        assert_eq!(of(&policy, &incomplete, BODY), missing(Cause::FamilyIncomplete), "{place}");
        assert_eq!(of(&policy, &svix(&incomplete), BODY), missing(Cause::FamilyIncomplete), "{place}");
        let mut half = good.clone();
        half[place].0 = half[place].0.replace("webhook", "svix");
        assert_eq!(of(&policy, &half, BODY), missing(Cause::FamiliesMixed), "{place}");
    }
    assert_eq!(of(&policy, &[], BODY), Err((SignatureReject::Missing, None)));
}

#[test]
fn a_signature_of_another_scheme_is_named() {
    let missing = |cause| Err((SignatureReject::Missing, cause));
    let hook = signed(Scheme::StandardWebhooks, SECRET, BODY, NOW);
    let jcs = signed(Scheme::Jcs, SECRET, BODY, NOW);
    for scheme in [Scheme::Jcs, Scheme::Raw] {
        assert_eq!(of(&policy(scheme), &hook, BODY), missing(Some(Cause::SignedAsWebhook)));
        assert_eq!(of(&policy(scheme), &svix(&hook), BODY), missing(Some(Cause::SignedAsWebhook)));
        assert_eq!(of(&policy(scheme), &[], BODY), missing(None));
    }
    let webhooks = policy(Scheme::StandardWebhooks);
    assert_eq!(of(&webhooks, &jcs, BODY), missing(Some(Cause::NotSignedAsWebhook)));
}

#[test]
fn a_diagnosis_is_bounded() {
    // Four keys that have ended, and four that can be read in every wrong way there is: 37 MACs would be made for the last one.
    let ended = (0..4).map(|n| key(format!("ended {n}").as_bytes(), None, Some(0)));
    let secret = |n: u32| format!("{n:064x}");
    let valid = (0..4).map(|n| key(secret(n).as_bytes(), None, None));
    let policy = SignaturePolicy { keys: ended.chain(valid).collect(), ..policy(Scheme::Jcs) };
    let by =
        |n: u32| of(&policy, &signed(Scheme::Jcs, format!("{}\n", secret(n)).as_bytes(), BODY, NOW), BODY);
    for n in 0..3 {
        assert_eq!(by(n), mismatch(Some(Cause::KeyWithLineBreak)), "{n}");
    }
    assert_eq!(by(3), mismatch(None), "not tried any more");
    let body = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    let of_length = |length| {
        let body = body(length);
        assert_eq!(body.len(), length);
        of(&policy, &signed(Scheme::Raw, secret(0).as_bytes(), &format!("{body} "), NOW), &format!("{body} "))
    };
    assert_eq!(of_length(DIAGNOSIS_BODY_BYTES_MAX - 1), mismatch(Some(Cause::BodyNotCanonical)));
    assert_eq!(of_length(DIAGNOSIS_BODY_BYTES_MAX), mismatch(None));
}

#[test]
fn every_cause_has_a_text_of_its_own() {
    for (place, cause) in Cause::ALL.iter().enumerate() {
        assert!(!cause.as_str().is_empty());
        assert!(Cause::ALL.iter().skip(place + 1).all(|other| other.as_str() != cause.as_str()), "{cause:?}");
    }
}
