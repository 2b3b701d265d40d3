//! Receipts and attestations: what each of them binds, to the bit and to the millisecond.

use countersign_core::attestation::{self, AGE_MS_MAX, AHEAD_MS_MAX, AttestationReject};
use countersign_core::keys::Key;
use countersign_core::receipt::{self, MacKey};
use countersign_core::time::Timestamp;

const AT: Timestamp = Timestamp::from_ms(1_761_059_551_000);
/// SHA-256 of `{"event_id":"dep_9aa"}`.
const HASH: [u8; 32] = [
    0xf9, 0x52, 0xed, 0x2f, 0xad, 0x1a, 0x17, 0xbf, 0x81, 0x85, 0x21, 0x8d, 0xce, 0x8e, 0xb0, 0x5e, 0xa5,
    0x82, 0xa4, 0xa3, 0x2a, 0x89, 0x35, 0x90, 0x99, 0x7d, 0x01, 0xf2, 0x3d, 0x31, 0x51, 0x90,
];

fn key() -> MacKey {
    MacKey::new(b"hop key of the test, 32 bytes ok")
}

#[test]
fn a_receipt_is_what_another_implementation_makes_of_the_format() {
    // Computed with Python's hmac from the description in receipt.rs.
    let issued = receipt::issue(&key(), "acme", "dep_9aa", &HASH);
    assert_eq!(issued.as_str(), "cs1_ssqwWfjR7N3yuvGKXqujRmfmKX-l1GZqQY6ZddG3By0");
    assert!(receipt::verify(&key(), issued.as_str(), "acme", "dep_9aa", &HASH));
}

#[test]
fn a_receipt_holds_for_one_partner_event_payload_and_key_only() {
    let issued = receipt::issue(&key(), "acme", "dep_9aa", &HASH);
    let text = issued.as_str();
    assert!(!receipt::verify(&key(), text, "acm", "edep_9aa", &HASH));
    assert!(!receipt::verify(&key(), text, "Acme", "dep_9aa", &HASH));
    assert!(!receipt::verify(&key(), text, "acme", "dep_9ab", &HASH));
    assert!(!receipt::verify(&MacKey::new(b"other"), text, "acme", "dep_9aa", &HASH));
    for bit in 0..256 {
        let mut other = HASH;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(!receipt::verify(&key(), text, "acme", "dep_9aa", &other), "bit {bit}");
    }
    for place in 0..text.len() {
        let mut other = text.as_bytes().to_vec();
        other[place] ^= 1;
        let other = String::from_utf8(other).unwrap();
        assert!(!receipt::verify(&key(), &other, "acme", "dep_9aa", &HASH), "{other}");
        assert!(!receipt::verify(&key(), text.split_at(place).0, "acme", "dep_9aa", &HASH), "{place}");
    }
    assert!(!receipt::verify(&key(), &format!("{text}="), "acme", "dep_9aa", &HASH));
}

#[test]
fn an_attestation_is_what_another_implementation_makes_of_the_format() {
    // Computed with Python's hmac from the description in attestation.rs.
    let field = attestation::attest(&key(), "acme", "dep_9aa", &HASH, AT);
    assert_eq!(field.as_str(), "v1;t=1761059551000;mac=0vp499Ih8wdSWIG3fVWY3g_mCNUNof97v459exoIEp4");
    assert_eq!(attestation::verify(&key(), field.as_str().as_bytes(), "acme", "dep_9aa", &HASH, AT), Ok(AT));
}

#[test]
fn the_longest_attestation_fits() {
    let long = "x".repeat(1000);
    let field = attestation::attest(&key(), &long, &long, &HASH, Timestamp::MAX);
    let now = Timestamp::MAX;
    assert_eq!(attestation::verify(&key(), field.as_str().as_bytes(), &long, &long, &HASH, now), Ok(now));
}

#[test]
fn an_attestation_holds_for_five_minutes_and_not_a_millisecond_longer() {
    let field = attestation::attest(&key(), "acme", "dep_9aa", &HASH, AT);
    let at = |ms: u64| {
        let field = field.as_str().as_bytes();
        attestation::verify(&key(), field, "acme", "dep_9aa", &HASH, Timestamp::from_ms(ms))
    };
    let t = AT.as_ms();
    assert_eq!(at(t + AGE_MS_MAX), Ok(AT));
    assert_eq!(at(t + AGE_MS_MAX + 1), Err(AttestationReject::Stale { skew_ms: -300_001 }));
    assert_eq!(at(t - AHEAD_MS_MAX), Ok(AT));
    assert_eq!(at(t - AHEAD_MS_MAX - 1), Err(AttestationReject::Stale { skew_ms: 60_001 }));
    assert_eq!(at(0), Err(AttestationReject::Stale { skew_ms: 1_761_059_551_000 }));
}

#[test]
fn an_attestation_of_anything_else_is_refused() {
    let field = attestation::attest(&key(), "acme", "dep_9aa", &HASH, AT);
    let field = field.as_str().as_bytes();
    let mismatch = Err(AttestationReject::Mismatch);
    assert_eq!(attestation::verify(&key(), field, "acmed", "ep_9aa", &HASH, AT), mismatch);
    assert_eq!(attestation::verify(&key(), field, "acme", "dep_9ab", &HASH, AT), mismatch);
    assert_eq!(attestation::verify(&MacKey::new(b""), field, "acme", "dep_9aa", &HASH, AT), mismatch);
    let other_time = String::from_utf8(field.to_vec()).unwrap().replace("551000", "551001");
    assert_eq!(attestation::verify(&key(), other_time.as_bytes(), "acme", "dep_9aa", &HASH, AT), mismatch);
    for bit in 0..256 {
        let mut other = HASH;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(attestation::verify(&key(), field, "acme", "dep_9aa", &other, AT), mismatch);
    }
    // A receipt's tag under the same key is no attestation: the purposes differ.
    let receipt = receipt::issue(&key(), "acme", "dep_9aa", &HASH);
    let forged = format!("v1;t=1761059551000;mac={}", receipt.as_str().split_at(4).1);
    assert_eq!(attestation::verify(&key(), forged.as_bytes(), "acme", "dep_9aa", &HASH, AT), mismatch);
}

#[test]
fn an_attestation_has_one_spelling() {
    let good = "v1;t=1761059551000;mac=0vp499Ih8wdSWIG3fVWY3g_mCNUNof97v459exoIEp4";
    let malformed = [
        String::new(),
        "v1".into(),
        "v1;t=;mac=".into(),
        good.replace("v1", "v2"),
        good.replace("v1", "V1"),
        good.replace("t=", "t=0"),
        good.replace("t=", "t=+"),
        good.replace(";mac", "; mac"),
        good.replace("t=1761059551000", "t=253402300800000"),
        good.replace("t=1761059551000", "t=99999999999999999999"),
        good.replace("Ep4", "Ep5"),
        good.replace("Ep4", "Ep4="),
        good.replace("Ep4", "Ep4;x=1"),
        good.replace("Ep4", "Ep"),
        good.replace("_", "/"),
        format!("{good},{good}"),
    ];
    for field in malformed {
        assert_eq!(
            attestation::verify(&key(), field.as_bytes(), "acme", "dep_9aa", &HASH, AT),
            Err(AttestationReject::Malformed),
            "{field}"
        );
    }
    let bytes = [b"v1;t=1761059551000;mac=".as_slice(), &[0xff; 43]].concat();
    let answer = attestation::verify(&key(), &bytes, "acme", "dep_9aa", &HASH, AT);
    assert_eq!(answer, Err(AttestationReject::Malformed));
}

#[test]
fn an_attestation_of_any_valid_hop_key_is_believed_and_the_key_is_named() {
    let (end, begin) = (Timestamp::from_ms(AT.as_ms() + 1_000), AT);
    let old = Key::<MacKey>::new("hop:old".into(), b"the old hop key", None, Some(end));
    let new = Key::<MacKey>::new("hop:new".into(), b"the new hop key", Some(begin), None);
    let keys = [old, new];
    let verify = |by: usize, ms: u64| {
        let now = Timestamp::from_ms(ms);
        let field = attestation::attest(keys[by].secret(), "acme", "dep_9aa", &HASH, now);
        attestation::verify_any(&keys, field.as_str().as_bytes(), "acme", "dep_9aa", &HASH, now)
            .map(|key| key.id().to_string())
    };
    let (begin, end) = (begin.as_ms(), end.as_ms());
    let mismatch = Err(AttestationReject::Mismatch);
    for (by, ms, expected) in [
        (0, begin - 1, Ok("hop:old".to_owned())),
        (1, begin - 1, mismatch.clone()),
        (0, begin, Ok("hop:old".to_owned())),
        (1, begin, Ok("hop:new".to_owned())),
        (0, end - 1, Ok("hop:old".to_owned())),
        (0, end, mismatch),
        (1, end, Ok("hop:new".to_owned())),
    ] {
        assert_eq!(verify(by, ms), expected, "key {by} at {ms}");
    }
    let stale = attestation::attest(keys[0].secret(), "acme", "dep_9aa", &HASH, Timestamp::from_ms(begin));
    let late = Timestamp::from_ms(begin + AGE_MS_MAX + 1);
    let old_alone = [Key::<MacKey>::new("hop:old".into(), b"the old hop key", None, None), keys[1].clone()];
    assert!(matches!(
        attestation::verify_any(&old_alone, stale.as_str().as_bytes(), "acme", "dep_9aa", &HASH, late),
        Err(AttestationReject::Stale { .. })
    ));
    assert_eq!(
        attestation::verify_any(&keys[1..], b"", "acme", "dep_9aa", &HASH, Timestamp::from_ms(begin - 1))
            .err(),
        Some(AttestationReject::NoKeyValid)
    );
}
