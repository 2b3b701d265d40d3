//! Tokens: what is accepted, and everything that is one bit, one millisecond or one claim off.

#![expect(clippy::unwrap_used, reason = "a test that stops has failed, in its helpers too")]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use countersign_core::headers::Headers;
use countersign_core::json::Tape;
use countersign_core::time::Timestamp;
use countersign_core::token::{
    AHEAD_MS_MAX, Algorithm, Anonymous, BYTES_MAX, Bearer, BearerProblem, Claims, KEYS_MAX, KeyMaterial,
    KeyProblem, MintKey, OPAQUE_MAX, OpaqueToken, TokenKey, TokenPolicy, TokenProblem, TokenReject, bearer,
    mint, unverified_issuer, verify,
};
use sha2::{Digest as _, Sha256};

const NOW: Timestamp = Timestamp::from_ms(1_761_059_551_000);
const SECRET: &[u8] = b"a token secret of the tests, 32b";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa];

fn mint_key(algorithm: Algorithm) -> MintKey {
    MintKey::new(algorithm, SECRET).unwrap()
}

/// The key that verifies what `mint_key` signs.
fn token_key(id: &str, algorithm: Algorithm, from: Option<Timestamp>, to: Option<Timestamp>) -> TokenKey {
    let public = mint_key(algorithm).public().unwrap_or_default();
    let material = match algorithm {
        Algorithm::Hs256 => KeyMaterial::Hs256(SECRET),
        Algorithm::Es256 => KeyMaterial::Es256(&public),
        Algorithm::EdDsa => KeyMaterial::EdDsa(public.as_slice().try_into().unwrap()),
    };
    TokenKey::new(Arc::from(id), material, from, to).unwrap()
}

fn policy(keys: Vec<TokenKey>) -> TokenPolicy {
    TokenPolicy {
        issuer: "acme".into(),
        audience: "countersign".into(),
        lifetime_ms_max: 900_000,
        keys,
        opaque: Vec::new(),
    }
}

fn claims() -> Claims<'static> {
    Claims { issuer: "acme", audience: "countersign", issued_at: NOW, lifetime_ms: 900_000 }
}

fn check(policy: &TokenPolicy, token: &str, now: Timestamp) -> Result<String, TokenReject> {
    verify(policy, token.as_bytes(), now, &mut Tape::default()).map(|verified| verified.key_id.to_string())
}

fn invalid(text: &str) -> Result<String, TokenReject> {
    Err(problem(text).into())
}

/// The problem that the sender hears as this text.
fn problem(text: &str) -> TokenProblem {
    *TokenProblem::ALL.iter().find(|problem| problem.as_str() == text).unwrap()
}

/// A token with this header and these claims, signed with HS256, whatever they say.
fn raw(header: &str, claims: &str) -> String {
    use hmac::{KeyInit as _, Mac as _};
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", BASE64URL.encode(mac.finalize().into_bytes()))
}

/// What becomes of HS256 claims at `NOW`.
fn with_claims(claims: &str) -> Result<String, TokenReject> {
    check(
        &policy(vec![token_key("k", Algorithm::Hs256, None, None)]),
        &raw(r#"{"alg":"HS256"}"#, claims),
        NOW,
    )
}

/// What becomes of a header over good claims.
fn with_header(header: &str) -> Result<String, TokenReject> {
    let claims = r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451}"#;
    check(&policy(vec![token_key("k", Algorithm::Hs256, None, None)]), &raw(header, claims), NOW)
}

#[test]
fn what_mint_makes_verify_accepts_with_and_without_kid() {
    for algorithm in ALGORITHMS {
        let policy = policy(vec![token_key("k", algorithm, None, None)]);
        for kid in [None, Some("k")] {
            let token = mint(&mint_key(algorithm), kid, &claims());
            assert_eq!(check(&policy, &token, NOW), Ok("k".into()), "{token}");
        }
        let token = mint(&mint_key(algorithm), Some("other"), &claims());
        assert_eq!(check(&policy, &token, NOW), invalid("no key of the partner has this kid"));
    }
}

#[test]
fn every_bit_of_a_signature_and_of_what_it_covers_counts() {
    for algorithm in ALGORITHMS {
        let policy = policy(vec![token_key("k", algorithm, None, None)]);
        let token = mint(&mint_key(algorithm), Some("k"), &claims());
        let parts: Vec<_> = token.split('.').collect();
        let signature = BASE64URL.decode(parts[2]).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let token = format!("{}.{}.{}", parts[0], parts[1], BASE64URL.encode(changed));
            assert_eq!(check(&policy, &token, NOW), invalid("the signature does not match"), "bit {bit}");
        }
        for length in 0..=65 {
            let cut: Vec<u8> = signature.iter().copied().chain([0]).take(length).collect();
            let token = format!("{}.{}.{}", parts[0], parts[1], BASE64URL.encode(&cut));
            assert_eq!(check(&policy, &token, NOW).is_ok(), cut == signature, "{length}");
        }
        let other =
            mint(&mint_key(algorithm), Some("k"), &Claims { issued_at: NOW.plus_ms(1000), ..claims() });
        let other: Vec<_> = other.split('.').collect();
        let swapped = format!("{}.{}.{}", parts[0], other[1], parts[2]);
        assert_eq!(check(&policy, &swapped, NOW), invalid("the signature does not match"));
    }
}

#[test]
fn a_token_chooses_among_keys_and_never_how_a_key_is_used() {
    for key in ALGORITHMS {
        let policy = policy(vec![token_key("k", key, None, None)]);
        for other in ALGORITHMS.into_iter().filter(|other| *other != key) {
            for kid in [None, Some("k")] {
                let token = mint(&mint_key(other), kid, &claims());
                assert_eq!(check(&policy, &token, NOW), invalid("alg is not that of the key"));
            }
        }
    }
    // The classic: HS256 with the public key for a secret.
    let public = mint_key(Algorithm::Es256).public().unwrap();
    let forged = mint(&MintKey::new(Algorithm::Hs256, &public).unwrap(), Some("k"), &claims());
    let policy = policy(vec![token_key("k", Algorithm::Es256, None, None)]);
    assert_eq!(check(&policy, &forged, NOW), invalid("alg is not that of the key"));
}

#[test]
fn without_kid_every_valid_key_of_the_algorithm_is_tried() {
    let wrong = |n: usize| {
        let secret = format!("secret {n}");
        TokenKey::new(Arc::from(secret.as_str()), KeyMaterial::Hs256(secret.as_bytes()), None, None).unwrap()
    };
    let mut keys: Vec<_> = (1..KEYS_MAX).map(wrong).collect();
    keys.push(token_key("last", Algorithm::Hs256, None, None));
    let token = mint(&mint_key(Algorithm::Hs256), None, &claims());
    assert_eq!(check(&policy(keys.clone()), &token, NOW), Ok("last".into()));
    keys.insert(0, wrong(0));
    assert_eq!(
        check(&policy(keys), &token, NOW),
        invalid("the signature does not match"),
        "a ninth is not tried"
    );
    assert_eq!(
        check(&policy(Vec::new()), &token, NOW),
        invalid("the partner has no keys for a JWS, only opaque tokens")
    );
}

#[test]
fn a_key_is_accepted_from_its_first_millisecond_to_before_its_last() {
    let (start, end) = (NOW.as_ms(), NOW.as_ms() + 1000);
    let at = Timestamp::from_ms;
    let policy = policy(vec![token_key("k", Algorithm::EdDsa, Some(at(start)), Some(at(end)))]);
    let token = mint(&mint_key(Algorithm::EdDsa), None, &claims());
    assert_eq!(check(&policy, &token, at(start - 1)), invalid("the key is not valid now"));
    assert_eq!(check(&policy, &token, at(start)), Ok("k".into()));
    assert_eq!(check(&policy, &token, at(end - 1)), Ok("k".into()));
    assert_eq!(check(&policy, &token, at(end)), invalid("the key is not valid now"));
}

#[test]
fn a_token_ends_at_exp_and_begins_a_minute_before_iat() {
    let policy = policy(vec![token_key("k", Algorithm::Hs256, None, None)]);
    let issued_at = Timestamp::from_ms(NOW.as_ms() + 250);
    let token =
        mint(&mint_key(Algorithm::Hs256), None, &Claims { issued_at, lifetime_ms: 300_000, ..claims() });
    let at = |ms| check(&policy, &token, Timestamp::from_ms(ms));
    let (iat, exp) = (issued_at.as_ms(), issued_at.as_ms() + 300_000);
    let future =
        |skew_ms| Err(TokenReject::Invalid { problem: TokenProblem::IssuedAhead, skew_ms: Some(skew_ms) });
    assert_eq!(at(iat - AHEAD_MS_MAX - 1), future(60_001));
    assert_eq!(at(iat - AHEAD_MS_MAX), Ok("k".into()));
    assert_eq!(at(exp - 1), Ok("k".into()));
    assert_eq!(at(exp), Err(TokenReject::Expired { skew_ms: 0 }));
    assert_eq!(at(exp + 5000), Err(TokenReject::Expired { skew_ms: -5000 }));
    // A clock that runs backwards cannot bring a token back for longer than that minute.
    assert_eq!(at(0), future(i64::try_from(iat).unwrap()));
}

#[test]
fn a_lifetime_of_the_maximum_is_accepted_and_one_millisecond_more_is_not() {
    let of = |lifetime_ms_max: u64, lifetime_ms: u64| {
        let mut policy = policy(vec![token_key("k", Algorithm::Hs256, None, None)]);
        policy.lifetime_ms_max = lifetime_ms_max;
        check(&policy, &mint(&mint_key(Algorithm::Hs256), None, &Claims { lifetime_ms, ..claims() }), NOW)
    };
    assert_eq!(of(900_000, 900_000), Ok("k".into()));
    assert_eq!(of(900_000, 900_001), Err(TokenReject::LifetimeTooLong));
    assert_eq!(of(300_000, 300_000), Ok("k".into()));
    assert_eq!(of(300_000, 300_001), Err(TokenReject::LifetimeTooLong));
    // No policy can allow more than the source does.
    assert_eq!(of(u64::MAX, 900_001), Err(TokenReject::LifetimeTooLong));
    assert_eq!(of(900_000, u64::MAX), Err(TokenReject::LifetimeTooLong));
}

#[test]
fn each_claim_is_needed_and_typed() {
    let (issuer, audience) = ("iss is not the partner's", "aud does not name this gate");
    let date = "iat, exp or nbf is not a JSON number";
    let range = "iat, exp or nbf is not between the years 1970 and 9999: send seconds, not milliseconds";
    let cases: &[(&str, Result<String, TokenReject>)] = &[
        (r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451}"#, Ok("k".into())),
        (r#"{"iss":"acme","aud":["countersign"],"iat":1761059551,"exp":1761060451}"#, Ok("k".into())),
        (r#"{"iss":"acme","aud":["x","countersign"],"iat":1761059551,"exp":1761060451}"#, Ok("k".into())),
        (r#"{"iss":"\u0061cme","aud":"countersign","iat":1761059551,"exp":1761060451}"#, Ok("k".into())),
        (r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761059551.25}"#, Ok("k".into())),
        (
            r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451,"nbf":1761059611}"#,
            Ok("k".into()),
        ),
        (
            r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451,"roles":{"a":[1]}}"#,
            Ok("k".into()),
        ),
        (r#"{"aud":"countersign","iat":1761059551,"exp":1761060451}"#, invalid("iss is missing")),
        (r#"{"iss":"Acme","aud":"countersign","iat":1761059551,"exp":1761060451}"#, invalid(issuer)),
        (r#"{"iss":["acme"],"aud":"countersign","iat":1761059551,"exp":1761060451}"#, invalid(issuer)),
        (r#"{"iss":"acme","iat":1761059551,"exp":1761060451}"#, invalid("aud is missing")),
        (r#"{"iss":"acme","aud":"countersig","iat":1761059551,"exp":1761060451}"#, invalid(audience)),
        (r#"{"iss":"acme","aud":[],"iat":1761059551,"exp":1761060451}"#, invalid(audience)),
        (r#"{"iss":"acme","aud":["x","y"],"iat":1761059551,"exp":1761060451}"#, invalid(audience)),
        (r#"{"iss":"acme","aud":["countersign",1],"iat":1761059551,"exp":1761060451}"#, invalid(audience)),
        (r#"{"iss":"acme","aud":[["countersign"]],"iat":1761059551,"exp":1761060451}"#, invalid(audience)),
        (r#"{"iss":"acme","aud":{"countersign":1},"iat":1761059551,"exp":1761060451}"#, invalid(audience)),
        (r#"{"iss":"acme","aud":null,"iat":1761059551,"exp":1761060451}"#, invalid(audience)),
        (r#"{"iss":"acme","aud":"countersign","exp":1761060451}"#, invalid("iat is missing")),
        (r#"{"iss":"acme","aud":"countersign","iat":1761059551}"#, invalid("exp is missing")),
        (r#"{"iss":"acme","aud":"countersign","iat":"1761059551","exp":1761060451}"#, invalid(date)),
        (r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":null}"#, invalid(date)),
        (r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1.761060451e9}"#, Ok("k".into())),
        (r#"{"iss":"acme","aud":"countersign","iat":-1761059551,"exp":1761060451}"#, invalid(range)),
        (r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1e15}"#, invalid(range)),
        (r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451,"nbf":true}"#, invalid(date)),
        (
            r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451,"nbf":1761059611.001}"#,
            Err(TokenReject::Invalid { problem: TokenProblem::NotYetValid, skew_ms: Some(60_001) }),
        ),
        (
            r#"{"iss":"acme","aud":"countersign","iat":1761059600,"exp":1761059590}"#,
            invalid("exp is not after iat"),
        ),
        (
            r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451.001}"#,
            Err(TokenReject::LifetimeTooLong),
        ),
        (
            r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":253402300799}"#,
            Err(TokenReject::LifetimeTooLong),
        ),
        (
            r#"{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761059550.9999}"#,
            Err(TokenReject::Expired { skew_ms: -1 }),
        ),
        ("{}", invalid("iss is missing")),
        ("[]", invalid("the payload is not an object")),
        ("true", invalid("the payload is not an object")),
        ("", invalid("the token is neither a JWS of three parts nor an opaque token of the partner")),
        ("{", invalid("the payload is not JSON")),
        (r#"{"iss":"evil","iss":"acme"}"#, invalid("iss, aud, exp, iat or nbf stands twice in the payload")),
        (
            r#"{"iss":"evil","\u0069ss":"acme"}"#,
            invalid("iss, aud, exp, iat or nbf stands twice in the payload"),
        ),
        ("[[[[[[[[[1]]]]]]]]]", invalid("the payload is not an object")),
    ];
    for (claims, expected) in cases {
        assert_eq!(with_claims(claims), *expected, "{claims}");
    }
}

#[test]
fn a_header_asks_for_nothing_that_is_not_understood() {
    let algorithm = "alg is not HS256, ES256 or EdDSA";
    let cases: &[(&str, Result<String, TokenReject>)] = &[
        (r#"{"alg":"HS256"}"#, Ok("k".into())),
        (r#"{"typ":"JWT","alg":"HS256","kid":"k"}"#, Ok("k".into())),
        (r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://evil.example"}"#, Ok("k".into())),
        (r#"{"alg":"HS256","crit":["exp"]}"#, invalid("crit names extensions that are not understood")),
        (r#"{"alg":"HS256","crit":[]}"#, invalid("crit names extensions that are not understood")),
        (r#"{"alg":"HS256","b64":false}"#, invalid("b64 is not allowed in a token")),
        (r#"{"alg":"HS256","b64":true}"#, invalid("b64 is not allowed in a token")),
        (r#"{"alg":"none"}"#, invalid(algorithm)),
        (r#"{"alg":"None"}"#, invalid(algorithm)),
        (r#"{"alg":""}"#, invalid(algorithm)),
        (r#"{"alg":"hs256"}"#, invalid(algorithm)),
        (r#"{"alg":"HS384"}"#, invalid(algorithm)),
        (r#"{"alg":"RS256"}"#, invalid(algorithm)),
        (r#"{"alg":"ES256K"}"#, invalid(algorithm)),
        (r#"{"alg":["HS256"]}"#, invalid(algorithm)),
        (r#"{"typ":"JWT"}"#, invalid(algorithm)),
        (r#"{"alg":"Ed25519"}"#, invalid("alg is not that of the key")),
        (r#"{"alg":"HS256","kid":"K"}"#, invalid("no key of the partner has this kid")),
        (r#"{"alg":"HS256","kid":""}"#, invalid("no key of the partner has this kid")),
        (r#"{"alg":"HS256","kid":7}"#, invalid("kid is not a string")),
        (r#"{"alg":"HS256","kid":null}"#, invalid("kid is not a string")),
        (r#"{"alg":"none","alg":"HS256"}"#, invalid("alg, kid, crit or b64 stands twice in the header")),
        (r#"["HS256"]"#, invalid("the header is not an object")),
        ("HS256", invalid("the header is not JSON")),
    ];
    for (header, expected) in cases {
        assert_eq!(with_header(header), *expected, "{header}");
    }
    let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(129));
    assert_eq!(with_header(&long), invalid("kid is longer than 128 bytes"));
    let longest = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(128));
    assert_eq!(with_header(&longest), invalid("no key of the partner has this kid"));
}

#[test]
fn a_token_has_one_spelling() {
    let policy = policy(vec![token_key("k", Algorithm::Hs256, None, None)]);
    let token = mint(&mint_key(Algorithm::Hs256), None, &claims());
    let parts: Vec<_> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let shape = invalid("the token is neither a JWS of three parts nor an opaque token of the partner");
    let encoding = invalid("the signature is not base64url without padding");
    // 43 characters carry 258 bits: the last two must be zero.
    let last = signature.chars().last().unwrap();
    let next = char::from(u8::try_from(last).unwrap() + 1);
    let cases = [
        (String::new(), shape.clone()),
        (".".into(), shape.clone()),
        ("..".into(), shape.clone()),
        (format!("{header}.{payload}"), shape.clone()),
        (format!("{header}.{payload}."), shape.clone()),
        (format!("{header}..{signature}"), shape.clone()),
        (format!(".{payload}.{signature}"), shape.clone()),
        (format!("{token}."), shape.clone()),
        (format!("{token}.{signature}.{signature}"), shape.clone()),
        (format!("{token}="), encoding.clone()),
        (format!("{header}.{payload}.{}{next}", signature.split_at(42).0), encoding.clone()),
        (format!("{token}A"), invalid("the signature does not match")),
        (format!("{token} "), encoding.clone()),
        (format!("{header}.{payload}.{}", "+".repeat(43)), encoding),
        (format!("{header}=.{payload}.{signature}"), invalid("the header is not base64url without padding")),
        (format!(" {token}"), invalid("the header is not base64url without padding")),
        (format!("{header}.{payload}=.{signature}"), invalid("the signature does not match")),
    ];
    for (token, expected) in cases {
        assert_eq!(check(&policy, &token, NOW), expected, "{token}");
    }
    let bytes = [token.as_bytes(), &[0xff, 0x00]].concat();
    assert!(verify(&policy, &bytes, NOW, &mut Tape::default()).is_err());
}

#[test]
fn a_token_of_eight_kibibytes_is_read_and_a_longer_one_is_not() {
    let header = r#"{"alg":"HS256"}"#;
    let of = |filler: usize| {
        let filler = "x".repeat(filler);
        let claims = format!(
            r#"{{"iss":"acme","aud":"countersign","iat":1761059551,"exp":1761060451,"x":"{filler}"}}"#
        );
        raw(header, &claims)
    };
    let policy = policy(vec![token_key("k", Algorithm::Hs256, None, None)]);
    let longest = (5950..6100).map(of).take_while(|token| token.len() <= BYTES_MAX).last().unwrap();
    assert!(longest.len() >= BYTES_MAX - 1, "{}", longest.len());
    assert_eq!(check(&policy, &longest, NOW), Ok("k".into()));
    let longer = format!("{longest}AA");
    assert_eq!(check(&policy, &longer, NOW), invalid("the token is longer than 8192 bytes"));
    assert_eq!(unverified_issuer(longer.as_bytes(), &mut Tape::default()), Err(Anonymous::TooLong));
    let named = TokenProblem::TooLong.as_str();
    assert!(named.contains(&BYTES_MAX.to_string()), "the limit is named: {named}");
    let huge = "A.".repeat(1_000_000);
    assert_eq!(check(&policy, &huge, NOW), invalid("the token is longer than 8192 bytes"));
}

#[test]
fn es256_accepts_both_values_of_s() {
    let key = mint_key(Algorithm::Es256);
    let policy = policy(vec![token_key("k", Algorithm::Es256, None, None)]);
    let token = mint(&key, None, &claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = p256::ecdsa::Signature::from_slice(&BASE64URL.decode(signature).unwrap()).unwrap();
    let (r, s) = signature.split_scalars();
    let mirrored = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
    assert_ne!(mirrored, signature);
    let mirrored = format!("{message}.{}", BASE64URL.encode(mirrored.to_bytes()));
    assert_eq!(check(&policy, &mirrored, NOW), Ok("k".into()));
    // r or s of zero, or of the order, is never right.
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let r: [u8; 32] = r.to_bytes().into();
    for bytes in [[[0; 32], [0; 32]], [r, [0; 32]], [[0; 32], r], [r, order], [order, r]] {
        let forged = format!("{message}.{}", BASE64URL.encode(bytes.concat()));
        assert_eq!(check(&policy, &forged, NOW), invalid("the signature does not match"));
    }
}

#[test]
fn es256_takes_a_point_in_each_of_its_spellings() {
    let whole = mint_key(Algorithm::Es256).public().unwrap();
    let coordinates = whole.split_at(1).1;
    let compressed = [&[2 | (whole[64] & 1)], coordinates.split_at(32).0].concat();
    let token = mint(&mint_key(Algorithm::Es256), None, &claims());
    for spelling in [&whole, coordinates, &compressed] {
        let key = TokenKey::new(Arc::from("k"), KeyMaterial::Es256(spelling), None, None).unwrap();
        assert_eq!(check(&policy(vec![key]), &token, NOW), Ok("k".into()));
    }
    let mut off_curve = whole.clone();
    off_curve[64] ^= 1;
    for wrong in [&off_curve, [0].as_slice(), &[], &[4; 65], &[0; 64], &[2; 34], whole.split_at(64).0] {
        let key = TokenKey::new(Arc::from("k"), KeyMaterial::Es256(wrong), None, None);
        assert_eq!(key.err(), Some(KeyProblem::NotAPoint), "{wrong:?}");
    }
}

#[test]
fn ed25519_keys_of_small_order_are_refused_and_so_are_such_signatures() {
    // The canonical encodings of the points of order 1, 2, 4 and 8.
    let small: [&str; 8] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    ];
    let policy = policy(vec![token_key("k", Algorithm::EdDsa, None, None)]);
    let token = mint(&mint_key(Algorithm::EdDsa), None, &claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    for point in small {
        let byte =
            |place: usize| u8::from_str_radix(point.get(place * 2..place * 2 + 2).unwrap(), 16).unwrap();
        let point: [u8; 32] = std::array::from_fn(byte);
        let key = TokenKey::new(Arc::from("k"), KeyMaterial::EdDsa(point), None, None);
        assert_eq!(key.err(), Some(KeyProblem::SmallOrder), "{point:x?}");
        let forged = format!("{message}.{}", BASE64URL.encode([point, [0; 32]].concat()));
        assert_eq!(check(&policy, &forged, NOW), invalid("the signature does not match"));
    }
    let key = TokenKey::new(Arc::from("k"), KeyMaterial::EdDsa([2; 32]), None, None);
    assert_eq!(key.err(), Some(KeyProblem::NotAPoint));
    let key = TokenKey::new(Arc::from("k"), KeyMaterial::Hs256(b""), None, None);
    assert_eq!(key.err(), Some(KeyProblem::EmptySecret));
}

#[test]
fn a_private_key_that_is_none_is_refused() {
    let of = |algorithm, private: &[u8]| MintKey::new(algorithm, private).err();
    assert_eq!(of(Algorithm::Hs256, b""), Some(KeyProblem::EmptySecret));
    for wrong in [&[][..], &[1; 31], &[1; 33], &[0; 32], &[0xff; 32]] {
        assert_eq!(of(Algorithm::Es256, wrong), Some(KeyProblem::NotAPrivateKey));
    }
    for wrong in [&[][..], &[1; 31], &[1; 33], &[1; 64]] {
        assert_eq!(of(Algorithm::EdDsa, wrong), Some(KeyProblem::NotAPrivateKey));
    }
}

#[test]
fn an_opaque_token_is_known_by_its_hash_while_it_is_valid() {
    let (start, end) = (NOW.as_ms(), NOW.as_ms() + 1000);
    let at = Timestamp::from_ms;
    let of = |text: &str, from: Option<u64>, to: Option<u64>| {
        OpaqueToken::new(Arc::from(text), Sha256::digest(text).into(), from.map(at), to.map(at))
    };
    let mut policy = policy(vec![token_key("k", Algorithm::Hs256, None, None)]);
    policy.opaque = vec![of("first", None, None), of("a.b.c", Some(start), Some(end))];
    assert_eq!(check(&policy, "first", NOW), Ok("first".into()));
    let early = TokenReject::Invalid { problem: TokenProblem::NotYetValid, skew_ms: Some(1) };
    assert_eq!(check(&policy, "a.b.c", at(start - 1)), Err(early));
    assert_eq!(check(&policy, "a.b.c", at(start)), Ok("a.b.c".into()));
    assert_eq!(check(&policy, "a.b.c", at(end - 1)), Ok("a.b.c".into()));
    assert_eq!(check(&policy, "a.b.c", at(end)), Err(TokenReject::Expired { skew_ms: 0 }));
    for other in ["firs", "firstt", "First", ""] {
        assert_eq!(
            check(&policy, other, NOW),
            invalid("the token is neither a JWS of three parts nor an opaque token of the partner"),
            "{other}"
        );
    }
    let token = mint(&mint_key(Algorithm::Hs256), None, &claims());
    assert_eq!(check(&policy, &token, NOW), Ok("k".into()), "JWS are still accepted beside them");
    policy.opaque = (0..=OPAQUE_MAX).map(|n| of(&n.to_string(), None, None)).collect();
    assert_eq!(check(&policy, "15", NOW), Ok("15".into()));
    assert_eq!(
        check(&policy, "16", NOW),
        invalid("the token is neither a JWS of three parts nor an opaque token of the partner"),
        "one too many"
    );
}

#[test]
fn the_bearer_is_found_in_one_well_formed_field() {
    let of = |value: &[u8]| {
        let fields = [(&b"Authorization"[..], value)];
        match bearer(Headers(&fields)) {
            Bearer::Missing => "missing".to_owned(),
            Bearer::Unusable(problem) => problem.as_str().to_owned(),
            Bearer::Token(token) => format!("token {}", String::from_utf8_lossy(token)),
        }
    };
    let [scheme, empty, characters] =
        [BearerProblem::OtherScheme, BearerProblem::Empty, BearerProblem::Characters]
            .map(BearerProblem::as_str);
    let cases: &[(&[u8], &str)] = &[
        (b"Bearer abc", "token abc"),
        (b"bearer abc", "token abc"),
        (b"BEARER a-b._~+/=", "token a-b._~+/="),
        (b"", scheme),
        (b"Basic YTpi", scheme),
        (b"Bearerabc", scheme),
        (b"abc", scheme),
        (b"Bearer", empty),
        (b"Bearer ", empty),
        (b"Bearer  abc", characters),
        (b"Bearer abc ", characters),
        (b"Bearer a,b", "Authorization stands twice, or has a comma"),
        (b"Bearer \xff\xfe", characters),
    ];
    for (value, expected) in cases {
        assert_eq!(of(value), *expected, "{}", String::from_utf8_lossy(value));
    }
    // A token that is too long is a token: what is wrong with it is told by the check of tokens.
    assert!(of(format!("Bearer {}", "a".repeat(BYTES_MAX + 1)).as_bytes()).starts_with("token"));
    assert_eq!(bearer(Headers(&[])), Bearer::Missing);
    let twice: [(&[u8], &[u8]); 2] = [(b"authorization", b"Bearer a"), (b"Authorization", b"Bearer a")];
    assert_eq!(bearer(Headers(&twice)), Bearer::Unusable(BearerProblem::Repeated));
}

#[test]
fn the_unverified_issuer_is_read_and_nothing_else_believed() {
    let of =
        |token: &str| unverified_issuer(token.as_bytes(), &mut Tape::default()).map(|text| text.to_string());
    assert_eq!(of(&raw("x", r#"{"iss":"acme"}"#)), Ok("acme".into()));
    assert_eq!(of(&raw("x", r#"{"x":{"a":1,"a":281674916028284931},"iss":"\u0061cme"}"#)), Ok("acme".into()));
    for other in [r#"{"iss":1}"#, r#"{"iss":""}"#, "{}", r#"{"iss":"a","iss":"b"}"#] {
        assert_eq!(of(&raw("x", other)), Err(Anonymous::NoIssuer), "{other}");
    }
    for other in ["[]", "{", "1"] {
        assert_eq!(of(&raw("x", other)), Err(Anonymous::NotAJws), "{other}");
    }
    let issuer = |length: usize| of(&raw("x", &format!(r#"{{"iss":"{}"}}"#, "i".repeat(length))));
    assert_eq!(issuer(128).map(|text| text.len()), Ok(128));
    assert_eq!(issuer(129), Err(Anonymous::NoIssuer));
    assert_eq!(of("opaque"), Err(Anonymous::NotAJws));
}

#[test]
fn keys_show_their_names_and_no_secret() {
    let shown = format!(
        "{:?} {:?}",
        policy(vec![token_key("name", Algorithm::Hs256, None, None)]),
        mint_key(Algorithm::EdDsa)
    );
    assert!(shown.contains("name") && shown.contains("Hs256") && !shown.contains("97,"), "{shown}");
}

#[test]
fn a_warm_verification_allocates_nothing() {
    for algorithm in ALGORITHMS {
        let policy = policy(vec![token_key("k", algorithm, None, None)]);
        let token = mint(&mint_key(algorithm), Some("k"), &claims());
        let mut tape = Tape::default();
        let mut pass = || {
            allocation_counter::measure(|| {
                assert!(unverified_issuer(token.as_bytes(), &mut tape).is_ok());
                assert!(verify(&policy, token.as_bytes(), NOW, &mut tape).is_ok());
            })
        };
        assert!(pass().count_total > 0, "the counter counts");
        assert_eq!(pass().count_total, 0, "{algorithm:?}");
    }
}
