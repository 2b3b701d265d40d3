//! Check 6: tokens as identity providers make them: any `kid`, claims that nobody reads, dates in every spelling.

use countersign_core::outcome::Code::{Accepted, TokenInvalid};
use countersign_core::token::Algorithm::{EdDsa, Es256};

use super::draft::Draft;
use super::token::TokenDraft;
use super::{Entry, one};

pub(super) fn entries() -> Vec<Entry> {
    [keys_without_kid(), foreign_claims(), dates()].concat()
}

fn bearer() -> Draft {
    Draft::of("bearer").token(token())
}

fn token() -> TokenDraft {
    TokenDraft::written("https://bearer.example")
}

/// Partner `keyring` has three public keys of EdDSA and two of ES256.
fn keys_without_kid() -> Vec<Entry> {
    let with = |algorithm, kid: Option<&str>| {
        let token = TokenDraft::minted(algorithm, "keyring");
        Draft::of("keyring").token(kid.into_iter().fold(token, TokenDraft::kid))
    };
    let why = "A verification with a public key is dear: without kid there are two at most, or none.";
    vec![
        one("token-with-kid-has-one-key-of-three", why, with(EdDsa, Some("ed 1")), Accepted),
        one("token-without-kid-has-none-of-three", why, with(EdDsa, None), TokenInvalid),
        one("token-without-kid-is-tried-with-two", why, with(Es256, None), Accepted),
    ]
}

/// Claims that identity providers add, and that nobody here reads.
fn foreign_claims() -> Vec<Entry> {
    let with = |more: &str| bearer().token(token().more(more));
    let nested = |depth: usize| format!(",\"x\":{}{}", "[".repeat(depth), "]".repeat(depth));
    let why = "A claim that is not read cannot refuse a token.";
    let mut entries = Vec::new();
    for (id, more, code) in [
        ("an-id-beyond-a-double", ",\"user_id\":281674916028284931".to_owned(), Accepted),
        ("a-number-of-too-many-digits", ",\"score\":0.12345678901234567890,\"x\":1e400".to_owned(), Accepted),
        ("a-duplicate-member-inside-a-claim", ",\"x\":{\"a\":1,\"a\":2}".to_owned(), Accepted),
        ("a-duplicate-claim-that-is-not-read", ",\"x\":1,\"x\":2".to_owned(), Accepted),
        ("half-a-surrogate-pair", ",\"x\":\"\\ud800\"".to_owned(), Accepted),
        ("sixty-four-levels", nested(63), Accepted),
        ("sixty-five-levels", nested(64), TokenInvalid),
        ("a-claim-that-is-not-json", ",\"x\":01".to_owned(), TokenInvalid),
        ("an-issuer-behind-an-escape", ",\"\\u0069ss\":\"x\"".to_owned(), TokenInvalid),
    ] {
        let verdict = if code == Accepted { "accepted" } else { "invalid" };
        entries.push(one(&format!("token-with-{id}-is-{verdict}"), why, with(&more), code));
    }
    let roles = (0..300).map(|n| format!("\"role-{n:04}\"")).collect::<Vec<_>>().join(",");
    entries.push(one(
        "token-of-five-kibibytes-is-accepted",
        "Identity providers list the roles of an account.",
        with(&format!(",\"roles\":[{roles}]")),
        Accepted,
    ));
    entries.push(one(
        "token-of-nine-kibibytes-is-invalid",
        "Its length is told, and the limit.",
        with(&format!(",\"roles\":[{roles},{roles}]")),
        TokenInvalid,
    ));
    for (number, token) in CASES.iter().enumerate() {
        entries.push(one(
            &format!("token-of-another-library-{}-is-accepted", number + 1),
            "Minted elsewhere, taken as it came: dates with an exponent, foreign claims.",
            bearer().token(TokenDraft::text(token)),
            Accepted,
        ));
    }
    entries
}

/// A NumericDate is a JSON number (RFC 7519 §2), in any spelling.
fn dates() -> Vec<Entry> {
    let with = |more: &str| bearer().token(token().more(more));
    let mut entries = Vec::new();
    for (id, nbf, code) in [
        ("an-exponent", "1e9", Accepted),
        ("an-exponent-and-a-sign", "1.79259555e+09", Accepted),
        ("a-negative-exponent", "1792595550000E-3", Accepted),
        ("more-digits-than-a-double-has", "1792595550.00000000000000000001", Accepted),
        ("a-date-of-1970", "0", Accepted),
        ("a-date-before-1970", "-1", TokenInvalid),
        ("a-date-in-milliseconds", "1792595551000", TokenInvalid),
        ("a-date-that-is-no-number", "null", TokenInvalid),
        ("a-date-without-an-end", "1e999999999999999999999", TokenInvalid),
    ] {
        let verdict = if code == Accepted { "accepted" } else { "invalid" };
        entries.push(one(
            &format!("token-with-{id}-is-{verdict}"),
            "RFC 7519 §2: any JSON number of seconds, from 1970 to 9999, by exact arithmetic.",
            with(&format!(",\"nbf\":{nbf}")),
            code,
        ));
    }
    entries
}

/// Tokens of `bearer` that other libraries minted, with the secret `token_key`, at the time of the vectors.
const CASES: [&str; 6] = [
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2JlYXJlci5leGFtcGxlIiwiYXVkIjoiY291bnRlcnNpZ24iLCJpYXQiOjEuNzkyNTk1NTVlKzA5LCJleHAiOjEuNzkyNTk1ODVlKzA5fQ.wN90WXYbfRS-TiZSAX_nfsByygKVol2iMXn47ymfbrY",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2JlYXJlci5leGFtcGxlIiwiYXVkIjoiY291bnRlcnNpZ24iLCJpYXQiOjE3OTI1OTU1NTAuMGUwLCJleHAiOjE3OTI1OTU4NTB9.B7mm57vHVdavTmXYWpXywciBG0nw7T7iucNUCBBSEJc",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2JlYXJlci5leGFtcGxlIiwiYXVkIjoiY291bnRlcnNpZ24iLCJpYXQiOjE3OTI1OTU1LjVFMiwiZXhwIjoxNzkyNTk1ODUwfQ.BjVto7zOX1fuG3-wHlF8Qa-gnsHA41GG9pdokVwLfMA",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2JlYXJlci5leGFtcGxlIiwiYXVkIjoiY291bnRlcnNpZ24iLCJpYXQiOjE3OTI1OTU1NTAsImV4cCI6MTc5MjU5NTg1MCwidXNlcl9pZCI6MjgxNjc0OTE2MDI4Mjg0OTMxfQ.Te1lCVkTRsU2ixxfwbbkjgTsWHkGwCIJbd_VE4k6G0Q",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2JlYXJlci5leGFtcGxlIiwiYXVkIjoiY291bnRlcnNpZ24iLCJpYXQiOjE3OTI1OTU1NTAsImV4cCI6MTc5MjU5NTg1MCwic2NvcmUiOjAuMTIzNDU2Nzg5MDEyMzQ1Njc4OTB9.Z8W9pn8hNUsyD-6L1YToe5zYi2gRSX8FKf-7jT_lPrc",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2JlYXJlci5leGFtcGxlIiwiYXVkIjoiY291bnRlcnNpZ24iLCJpYXQiOjE3OTI1OTU1NTAsImV4cCI6MTc5MjU5NTg1MCwieCI6eyJhIjoxLCJhIjoyfX0.Qu-OlluqICau2rNqLBLY8LnG3Li1HRZ3atdV5VuLFuU",
];
