//! Tokens as identity providers make them: any `kid`, any claims, dates in every spelling. And what they may cost.

#![cfg(test)]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use countersign_core::json::{SKIM_DEPTH_MAX, SkimProblem, Tape, members};
use countersign_core::time::Timestamp;
use countersign_core::token::{
    Algorithm, Claims, KeyMaterial, MintKey, OPAQUE_LIFE_MS_MAX, OpaqueToken, TokenKey, TokenPolicy,
    TokenProblem, TokenReject, WITHOUT_KID_MAX, mint, verify,
};
use sha2::{Digest as _, Sha256};

const NOW: Timestamp = Timestamp::from_ms(1_792_595_551_000);
const SECRET: &[u8] = b"a token secret of the tests, 32b";

fn policy(keys: Vec<TokenKey>) -> TokenPolicy {
    TokenPolicy {
        issuer: "acme".into(),
        audience: "countersign".into(),
        lifetime_ms_max: 900_000,
        keys,
        opaque: Vec::new(),
    }
}

fn check(policy: &TokenPolicy, token: &str, now: Timestamp) -> Result<String, TokenReject> {
    verify(policy, token.as_bytes(), now, &mut Tape::default()).map(|verified| verified.key_id.to_string())
}

fn hs256(id: &str) -> TokenKey {
    TokenKey::new(Arc::from(id), KeyMaterial::Hs256(SECRET), None, None).unwrap()
}

/// What becomes of a token with this header and these claims, signed with HS256.
fn of(header: &str, claims: &str) -> Result<String, TokenReject> {
    use hmac::{KeyInit as _, Mac as _};
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(message.as_bytes());
    let token = format!("{message}.{}", BASE64URL.encode(mac.finalize().into_bytes()));
    check(&policy(vec![hs256("k")]), &token, NOW)
}

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// Claims that are good, and more of them.
fn claims(more: &str) -> String {
    format!(r#"{{"iss":"acme","aud":"countersign","iat":1792595550,"exp":1792595850{more}}}"#)
}

fn refused(problem: TokenProblem) -> Result<String, TokenReject> {
    Err(problem.into())
}

#[test]
fn a_date_is_a_json_number_in_any_spelling() {
    let exp = |literal: &str| {
        of(HEADER, &format!(r#"{{"iss":"acme","aud":"countersign","iat":1.79259555e+09,"exp":{literal}}}"#))
    };
    // All of them are a second after NOW, or less than a millisecond more.
    for literal in [
        "1792595552",
        "1792595552.0",
        "1792595552.000",
        "1.792595552E9",
        "1.792595552e+09",
        "1.792595552e+0000000000000000000000009",
        "17925955.52E2",
        "1792595552.0e0",
        "1792595552000e-3",
        "17925955520000000000000000000000e-22",
        "0.0000000001792595552e19",
        "1792595552.0000000000000000000000000001",
        "1792595552.00099999999999999999999999999",
    ] {
        assert_eq!(exp(literal), Ok("k".into()), "{literal}");
    }
    let skew = |literal: &str| match exp(literal) {
        Err(TokenReject::Expired { skew_ms }) => skew_ms,
        other => panic!("{literal}: {other:?}"),
    };
    assert_eq!(skew("1792595551"), 0);
    assert_eq!(skew("1.7925955509999999E9"), -1, "cut off, never rounded");
    assert_eq!(skew("1792595550.5"), -500);
    for epoch in ["0", "-0", "-0.0e5", "0e999999999999999999999", "1e-999999999999999999999", "1e-4"] {
        assert_eq!(skew(epoch), -1_792_595_551_000, "{epoch}");
    }
    assert_eq!(exp("253402300799.999"), Err(TokenReject::LifetimeTooLong));
    // Milliseconds, before 1970, and numbers that nobody can mean.
    for literal in ["1792595852000", "253402300800", "-1", "-1e-9", "1e400", "1e999999999999999999999"] {
        assert_eq!(exp(literal), refused(TokenProblem::DateOutOfRange), "{literal}");
    }
    for value in ["\"1792595852\"", "null", "true", "[1792595852]", "{}"] {
        assert_eq!(exp(value), refused(TokenProblem::DateNotANumber), "{value}");
    }
    for broken in ["01792595852", "1792595852.", "1792595852e", ".5", "+1", "0x6ADB"] {
        assert_eq!(exp(broken), refused(TokenProblem::PayloadNotJson), "{broken}");
    }
}

#[test]
fn what_is_not_read_refuses_nothing() {
    for more in [
        r#","user_id":281674916028284931"#,
        r#","score":0.12345678901234567890,"big":1e400,"small":-1e-400"#,
        r#","x":{"a":1,"a":2}"#,
        r#","x":1,"x":2"#,
        r#","x":"\ud800","\udc00":"\uffff","é":"￿""#,
        r#","realm_access":{"roles":["a",["b",{"c":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}]]}"#,
        r#","":null,"ISS":"evil","iss ":"evil","\u0130ss":"evil","jti":7,"nbf2":"x""#,
        " , \"x\" : [ ] , \"y\"\n:\t{ } ",
    ] {
        assert_eq!(of(HEADER, &claims(more)), Ok("k".into()), "{more}");
    }
    for header in [
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"HS256","typ":7}"#,
        r#"{"alg":"HS256","typ":["at+jwt"],"typ":null}"#,
        r#"{"alg":"HS256","x5c":["MII"],"nonce":281674916028284931,"ver":1.0e0}"#,
    ] {
        assert_eq!(of(header, &claims("")), Ok("k".into()), "{header}");
    }
}

#[test]
fn what_is_read_stands_once_and_means_one_thing() {
    use TokenProblem::{Audience, ClaimRepeated, DateNotANumber, HeaderRepeated, Issuer, KidNotAString};
    for (more, problem) in [
        (r#","iss":"acme""#, ClaimRepeated),
        (r#","\u0069ss":"acme""#, ClaimRepeated),
        (r#","nbf":1,"nbf":1"#, ClaimRepeated),
        (r#","e\u0078p":1"#, ClaimRepeated),
        (r#","nbf":"1""#, DateNotANumber),
    ] {
        assert_eq!(of(HEADER, &claims(more)), refused(problem), "{more}");
    }
    let with = |iss: &str, aud: &str| {
        of(HEADER, &format!(r#"{{"iss":{iss},"aud":{aud},"iat":1792595550,"exp":1792595850}}"#))
    };
    assert_eq!(with(r#""acme""#, r#""countersign""#), Ok("k".into()));
    assert_eq!(with(r#""acme\ud800""#, r#""countersign""#), refused(Issuer));
    assert_eq!(with(r#"["acme"]"#, r#""countersign""#), refused(Issuer));
    assert_eq!(with(r#""acme""#, r#"["countersign","\ud800"]"#), refused(Audience));
    assert_eq!(with(r#""acme""#, r#"["countersign",{"a":1,"a":2}]"#), refused(Audience));
    for (header, problem) in [
        (r#"{"alg":"HS256","alg":"HS256"}"#, HeaderRepeated),
        (r#"{"alg":"HS256","kid":"k","\u006bid":"k"}"#, HeaderRepeated),
        (r#"{"alg":"HS256","kid":"\ud800"}"#, KidNotAString),
    ] {
        assert_eq!(of(header, &claims("")), refused(problem), "{header}");
    }
}

#[test]
fn sixty_four_levels_are_skipped_and_one_more_is_refused() {
    // The object itself is the first level.
    let depth = usize::try_from(SKIM_DEPTH_MAX).unwrap() - 1;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth: usize| format!(r#","x":{}1{}"#, open.repeat(depth), close.repeat(depth));
        assert_eq!(of(HEADER, &claims(&nested(depth))), Ok("k".into()));
        assert_eq!(of(HEADER, &claims(&nested(depth + 1))), refused(TokenProblem::PayloadTooDeep));
    }
    let deep = format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(of(&deep, &claims("")), refused(TokenProblem::HeaderTooDeep));
    assert!(TokenProblem::HeaderTooDeep.as_str().contains(&SKIM_DEPTH_MAX.to_string()));
    assert!(TokenProblem::PayloadTooDeep.as_str().contains(&SKIM_DEPTH_MAX.to_string()));
}

#[test]
fn skipping_refuses_what_is_not_json() {
    let of = |text: &[u8]| members(text, ["a"]).map(|[a]| a.map(|a| String::from_utf8(a.to_vec()).unwrap()));
    assert_eq!(of(b"{\"a\":[1, {\"b\":2}]}"), Ok(Some("[1, {\"b\":2}]".into())));
    assert_eq!(of(b" { \"b\" : 1 } \n"), Ok(None));
    assert_eq!(of(b"{}"), Ok(None));
    for other in ["[]", "1", "\"a\"", "null", "[{}]"] {
        assert_eq!(of(other.as_bytes()), Err(SkimProblem::NotAnObject), "{other}");
    }
    for broken in [
        "",
        " ",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1]",
        "{\"a\":[1}",
        "{\"a\":[1,]}",
        "{\"a\":[,]}",
        "{\"a\":{\"b\"}}",
        "{\"a\":{1:2}}",
        "{\"a\":tru}",
        "{\"a\":nul}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"}",
        "{\"a\":01}",
        "{\"a\":1}{",
        "{\"a\":1}x",
        "\u{feff}{}",
        "[",
        "[1",
        "[}",
        "truefalse",
    ] {
        assert_eq!(of(broken.as_bytes()), Err(SkimProblem::NotJson), "{broken}");
    }
    assert_eq!(of(b"{\"a\":\"\xff\"}"), Err(SkimProblem::NotJson));
}

#[test]
fn a_kid_is_any_text() {
    for kid in [
        "wYzMDNjV2Y4IjZxMDO3EjNlBDM1I2N2MDMxgTYjhjZmJGZxgTY4EDM2UTN0ImNkZjM4YmZxMmMiFWMkVWZ2UDM_ES256",
        "9kZ+Qm/3c1R0bWl0LXRoaXMtaXMtbm90LWEta2V5LTE=",
        "urn:ietf:params:oauth:jwk-thumbprint:sha-256:VfTHzmF4Nc5n3nR2bU1cQ9l0kq5gYw3kD1sXo7mJ8aE",
        "kid@2026",
        "ключ \"1\" \\ 😀",
    ] {
        let key = MintKey::new(Algorithm::Hs256, SECRET).unwrap();
        let claims = Claims { issuer: "acme", audience: "countersign", issued_at: NOW, lifetime_ms: 300_000 };
        let token = mint(&key, Some(kid), &claims);
        assert_eq!(check(&policy(vec![hs256("k"), hs256(kid)]), &token, NOW), Ok(kid.into()), "{kid}");
    }
}

/// Key `n` of an algorithm.
fn pair(algorithm: Algorithm, n: u8) -> (MintKey, TokenKey) {
    let private = MintKey::new(algorithm, &[n; 32]).unwrap();
    let public = private.public().unwrap();
    let material = match algorithm {
        Algorithm::Hs256 => unreachable!("it has no public key"),
        Algorithm::Es256 => KeyMaterial::Es256(&public),
        Algorithm::EdDsa => KeyMaterial::EdDsa(public.as_slice().try_into().unwrap()),
    };
    let key = TokenKey::new(Arc::from(format!("k{n}")), material, None, None).unwrap();
    (private, key)
}

#[test]
fn a_token_without_kid_is_tried_with_two_public_keys_at_most() {
    let claims = Claims { issuer: "acme", audience: "countersign", issued_at: NOW, lifetime_ms: 300_000 };
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (private, public): (Vec<_>, Vec<_>) = (1..=8).map(|n| pair(algorithm, n)).unzip();
        for number in 1..=8 {
            let policy = policy(public.iter().take(number).cloned().collect());
            for (place, private) in private.iter().take(number).enumerate() {
                let id = format!("k{}", place + 1);
                assert_eq!(check(&policy, &mint(private, Some(&id), &claims), NOW), Ok(id.clone()));
                let without = check(&policy, &mint(private, None, &claims), NOW);
                // Even a right signature: it is not looked at.
                let expected =
                    if number > WITHOUT_KID_MAX { refused(TokenProblem::KidNeeded) } else { Ok(id) };
                assert_eq!(without, expected, "{algorithm:?}, key {place} of {number}");
            }
        }
    }
    // Keys of another algorithm, and keys that are not valid now, do not count.
    let ended = |n: u8| {
        let public = pair(Algorithm::EdDsa, n).0.public().unwrap();
        let material = KeyMaterial::EdDsa(public.as_slice().try_into().unwrap());
        TokenKey::new(Arc::from(format!("ended{n}")), material, None, Some(NOW)).unwrap()
    };
    let (private, last) = pair(Algorithm::EdDsa, 9);
    let others = (1..=3).map(|n| pair(Algorithm::Es256, n).1);
    let keys = others.chain((10..=12).map(ended)).chain([pair(Algorithm::EdDsa, 8).1, last]).collect();
    assert_eq!(check(&policy(keys), &mint(&private, None, &claims), NOW), Ok("k9".into()));
}

#[test]
fn an_opaque_token_ends_four_hundred_days_after_its_beginning() {
    let start = NOW.as_ms();
    let of = |from: Option<u64>, to: Option<u64>| {
        let mut policy = policy(Vec::new());
        let (from, to) = (from.map(Timestamp::from_ms), to.map(Timestamp::from_ms));
        policy.opaque = vec![OpaqueToken::new(Arc::from("o"), Sha256::digest("text").into(), from, to)];
        policy
    };
    let end = start + OPAQUE_LIFE_MS_MAX;
    assert_eq!(end - start, 400 * 24 * 60 * 60 * 1000);
    for policy in [of(Some(start), None), of(Some(start), Some(end)), of(Some(start), Some(end + 1))] {
        assert_eq!(check(&policy, "text", Timestamp::from_ms(end - 1)), Ok("o".into()));
        let expired = Err(TokenReject::Expired { skew_ms: 0 });
        assert_eq!(check(&policy, "text", Timestamp::from_ms(end)), expired);
    }
    let early = of(Some(start), Some(start + 1));
    assert_eq!(early.opaque[0].ends_at(), Some(Timestamp::from_ms(start + 1)));
    assert_eq!(of(None, Some(end * 2)).opaque[0].ends_at(), Some(Timestamp::from_ms(end * 2)));
    assert_eq!(of(None, None).opaque[0].ends_at(), None);
}
