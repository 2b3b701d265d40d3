//! Checks 4 and 6: which partner, and its token.

use countersign_core::outcome::Code::{
    self, Accepted, PartnerUnknown, SignatureInvalid, TokenExpired, TokenInvalid, TokenLifetimeTooLong,
    TokenMissing,
};
use countersign_core::token::Algorithm::{EdDsa, Es256, Hs256};

use super::draft::Draft;
use super::token::TokenDraft;
use super::{Chapter, Entry, foreign, one};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, entries| Chapter { suite: Suite::Gate, name, comment, config: "gate", entries };
    vec![
        chapter(
            "partner",
            "Check 4: the partner, by the path and by the token.",
            [partner(), authorization()].concat(),
        ),
        chapter(
            "token",
            "Check 6: tokens; algorithm, key, claims, times.",
            [keys(), headers(), claims(), foreign::entries(), times(), opaque()].concat(),
        ),
    ]
}

const ISSUER: &str = "https://bearer.example";
const OPAQUE: &str = "opaque-token-of-the-vectors-0001";

fn bearer() -> Draft {
    Draft::of("bearer").token(token())
}

fn token() -> TokenDraft {
    TokenDraft::written(ISSUER)
}

fn agency() -> Draft {
    let token =
        TokenDraft::signed_with("agency_token_key", "agency").audience("\"tracker\"").expires_ms(59_000);
    Draft::of("agency").token(token)
}

fn partner() -> Vec<Entry> {
    let nobody = || token().issuer("https://nobody.example");
    vec![
        one("token-and-path-agree", "The usual case.", bearer(), Accepted),
        one("token-alone-tells-the-partner", "Its issuer does.", bearer().path("/postback"), Accepted),
        one(
            "opaque-token-alone-tells-the-partner",
            "Its hash does.",
            bearer().path("/postback").token(TokenDraft::text(OPAQUE)),
            Accepted,
        ),
        one(
            "token-and-path-disagree",
            "One partner must not post in another's name.",
            bearer().path("/postback/agency"),
            PartnerUnknown,
        ),
        one(
            "opaque-token-and-path-disagree",
            "The same with opaque tokens.",
            agency().token(TokenDraft::text(OPAQUE)),
            PartnerUnknown,
        ),
        one(
            "token-of-another-does-not-open-a-path-without-tokens",
            "A token that names somebody counts, needed or not.",
            Draft::of("plain").token(token()),
            PartnerUnknown,
        ),
        one(
            "issuer-of-nobody-is-unknown",
            "No partner has it.",
            bearer().path("/postback").token(nobody()),
            PartnerUnknown,
        ),
        one(
            "issuer-of-nobody-contradicts-the-path",
            "It names somebody else.",
            bearer().token(nobody()),
            PartnerUnknown,
        ),
        one(
            "unknown-opaque-token-tells-nobody",
            "Without a path there is nobody to ask for a key.",
            bearer().path("/postback").token(TokenDraft::text("who-knows")),
            PartnerUnknown,
        ),
        one(
            "unknown-opaque-token-is-invalid-for-the-partner-of-the-path",
            "The path tells whose token it should be.",
            bearer().token(TokenDraft::text("who-knows")),
            TokenInvalid,
        ),
        one(
            "unknown-opaque-token-is-no-harm-where-none-is-needed",
            "A proxy's own token, passed on by mistake.",
            Draft::of("plain").token(TokenDraft::text("who-knows")),
            Accepted,
        ),
    ]
}

/// `Authorization`, and tokens in which no partner is named.
fn authorization() -> Vec<Entry> {
    let header = |value: &str| bearer().no_token().header("authorization", value);
    let minted = token().mint(super::keys::T0);
    let nobody = || token().issuer("https://nobody.example");
    let twice = "Which of two fields another reader believes is unknown, so neither is, joined or apart.";
    vec![
        one("missing-token-is-refused", "The partner needs one.", bearer().no_token(), TokenMissing),
        one("basic-authorization-is-no-token", "Another scheme.", header("Basic YWNtZTpwYXNz"), TokenMissing),
        one(
            "missing-token-and-no-path-names-both-ways",
            "A partner without tokens does not know of them: the hint names the path.",
            Draft::of("plain").path("/postback"),
            TokenMissing,
        ),
        one(
            "issuer-of-nobody-on-a-path-without-tokens-is-to-be-left-out",
            "A partner without tokens that sends one: the hint says so.",
            Draft::of("plain").token(nobody()),
            PartnerUnknown,
        ),
        one(
            "token-without-an-issuer-tells-nobody",
            "A JWS, but no text of an issuer in it.",
            bearer().path("/postback").token(token().more(",\"iss\":\"https://bearer.example\"")),
            PartnerUnknown,
        ),
        one(
            "token-with-foreign-claims-tells-the-partner",
            "What is not read cannot hide the issuer either.",
            bearer()
                .path("/postback")
                .token(token().more(",\"user_id\":281674916028284931,\"x\":{\"a\":1,\"a\":2}")),
            Accepted,
        ),
        one(
            "bearer-without-a-token-is-none",
            "An empty variable in a sender's template.",
            header("Bearer "),
            TokenMissing,
        ),
        one(
            "bearer-in-lower-case-is-a-token",
            "Schemes know no case (RFC 9110 §11.1).",
            header(&format!("bearer {minted}")),
            Accepted,
        ),
        one(
            "token-with-white-space-in-it-is-none",
            "RFC 6750 §2.1.",
            header(&format!("Bearer {minted} x")),
            TokenMissing,
        ),
        one(
            "token-over-eight-kibibytes-is-invalid-for-the-partner-of-the-path",
            "A limit on what is decoded; it is not looked up among opaque tokens either.",
            header(&format!("Bearer {}", "a".repeat(8193))),
            TokenInvalid,
        ),
        one(
            "token-over-eight-kibibytes-tells-nobody",
            "It is not read, so nobody is named.",
            header(&format!("Bearer {}", "a".repeat(8193))).path("/postback"),
            PartnerUnknown,
        ),
        one(
            "token-over-eight-kibibytes-is-no-harm-where-none-is-needed",
            "A proxy's own token, passed on by mistake.",
            Draft::of("plain").header("authorization", format!("Bearer {}", "a".repeat(8193))),
            Accepted,
        ),
        one(
            "repeated-authorization-is-none",
            twice,
            header(&format!("Bearer {minted}")).also("authorization", format!("Bearer {minted}")),
            TokenMissing,
        ),
        one(
            "joined-authorization-is-none",
            twice,
            header(&format!("Bearer {minted},Bearer {minted}")),
            TokenMissing,
        ),
    ]
}

fn keys() -> Vec<Entry> {
    let with = |token: TokenDraft| bearer().token(token);
    let pinned = "A token chooses among the keys, never how a key is used.";
    vec![
        one("token-hs256-is-accepted", "A shared secret.", with(TokenDraft::minted(Hs256, ISSUER)), Accepted),
        one(
            "token-es256-is-accepted",
            "A public key on P-256.",
            with(TokenDraft::minted(Es256, ISSUER)),
            Accepted,
        ),
        one(
            "token-eddsa-is-accepted",
            "A public key of Ed25519.",
            with(TokenDraft::minted(EdDsa, ISSUER)),
            Accepted,
        ),
        one(
            "token-with-the-right-kid-is-accepted",
            "The key's id.",
            with(token().header_more(",\"kid\":\"hs\"")),
            Accepted,
        ),
        one(
            "token-with-an-unknown-kid-is-invalid",
            "No key has it.",
            with(token().header_more(",\"kid\":\"hz\"")),
            TokenInvalid,
        ),
        one(
            "token-with-the-kid-of-another-algorithm-is-invalid",
            pinned,
            with(token().header_more(",\"kid\":\"es\"")),
            TokenInvalid,
        ),
        one(
            "token-with-any-text-as-kid-is-accepted",
            "RFC 7515 §4.1.4: identity providers use base64, URNs and thumbprints.",
            with(
                TokenDraft::signed_with("urn_token_key", ISSUER)
                    .header_more(",\"kid\":\"urn:keys:9kZ+Qm/3c1R0bWl0LXRoaXMtaXMtbm90LWEta2V5LTE=\""),
            ),
            Accepted,
        ),
        one(
            "token-with-the-longest-kid-is-looked-up",
            "128 bytes: it is unknown, not too long.",
            with(token().header_more(&format!(",\"kid\":\"{}\"", "k".repeat(128)))),
            TokenInvalid,
        ),
        one(
            "token-with-a-kid-that-is-too-long-is-invalid",
            "129 bytes name no key.",
            with(token().header_more(&format!(",\"kid\":\"{}\"", "k".repeat(129)))),
            TokenInvalid,
        ),
        one(
            "token-with-a-kid-that-is-no-string-is-invalid",
            "RFC 7515 §4.1.4.",
            with(token().header_more(",\"kid\":1")),
            TokenInvalid,
        ),
        one("token-alg-none-is-invalid", pinned, with(TokenDraft::named("none", ISSUER)), TokenInvalid),
        one(
            "token-alg-in-lower-case-is-invalid",
            pinned,
            with(TokenDraft::named("hs256", ISSUER)),
            TokenInvalid,
        ),
        one("token-alg-hs512-is-invalid", pinned, with(TokenDraft::named("HS512", ISSUER)), TokenInvalid),
        one(
            "token-that-says-es256-over-an-hmac-is-invalid",
            pinned,
            with(TokenDraft::named("ES256", ISSUER)),
            TokenInvalid,
        ),
        one(
            "token-of-another-secret-is-invalid",
            "Not the partner's key.",
            with(TokenDraft::signed_with("agency_token_key", ISSUER)),
            TokenInvalid,
        ),
        one(
            "token-of-a-retired-key-is-invalid",
            "not_after has just come.",
            with(TokenDraft::signed_with("gone_token_key", ISSUER)),
            TokenInvalid,
        ),
        one(
            "token-of-a-key-about-to-retire-is-accepted",
            "One millisecond before not_after.",
            with(TokenDraft::signed_with("gone_token_key", ISSUER))
                .earlier_ms(1)
                .string("ts_event", "2026-10-21T15:12:29Z"),
            Accepted,
        ),
        one(
            "token-of-two-parts-is-invalid",
            "No signature.",
            with(TokenDraft::text("e30.e30")),
            TokenInvalid,
        ),
        one(
            "token-of-four-parts-is-invalid",
            "No compact JWS.",
            with(TokenDraft::text("e30.e30.e30.e30")),
            TokenInvalid,
        ),
        one(
            "token-with-padding-is-invalid",
            "RFC 7515 §2: base64url without padding.",
            with(TokenDraft::text("e30=.e30=.e30=")),
            TokenInvalid,
        ),
    ]
}

fn headers() -> Vec<Entry> {
    let with = |token: TokenDraft| bearer().token(token);
    vec![
        one(
            "token-with-crit-is-invalid",
            "RFC 7515 §4.1.11: not understood, not accepted.",
            with(token().header_more(",\"crit\":[\"exp\"]")),
            TokenInvalid,
        ),
        one(
            "token-with-b64-is-invalid",
            "RFC 7797 is another signature.",
            with(token().header_more(",\"b64\":false")),
            TokenInvalid,
        ),
        one(
            "token-with-a-duplicate-alg-is-invalid",
            "Two readers, two algorithms.",
            with(token().header_more(",\"alg\":\"HS256\"")),
            TokenInvalid,
        ),
        one(
            "token-with-any-typ-is-accepted",
            "RFC 7515 §4.1.9: typ is for applications; it is not read.",
            with(token().header_more(",\"typ\":[\"at+jwt\",7]")),
            Accepted,
        ),
        one(
            "token-with-other-header-members-is-accepted",
            "x5c, nonce and whatever a provider adds.",
            with(token().header_more(",\"x5c\":[\"MII\"],\"nonce\":281674916028284931,\"nonce\":1")),
            Accepted,
        ),
    ]
}

fn claims() -> Vec<Entry> {
    let with = |token: TokenDraft| bearer().token(token);
    vec![
        one(
            "token-for-several-audiences-is-accepted",
            "RFC 7519 §4.1.3.",
            with(token().audience("[\"other\",\"countersign\"]")),
            Accepted,
        ),
        one(
            "token-for-another-audience-is-invalid",
            "Meant for somebody else.",
            with(token().audience("\"tracker\"")),
            TokenInvalid,
        ),
        one(
            "token-for-other-audiences-is-invalid",
            "Meant for others.",
            with(token().audience("[\"tracker\",\"x\"]")),
            TokenInvalid,
        ),
        one(
            "token-with-a-broken-audience-is-invalid",
            "One element that is no string.",
            with(token().audience("[\"countersign\",1]")),
            TokenInvalid,
        ),
        one(
            "token-without-an-audience-is-invalid",
            "Good for nobody.",
            with(token().audience("null")),
            TokenInvalid,
        ),
        one(
            "token-with-a-duplicate-claim-is-invalid",
            "Two readers, two issuers; nobody is told by it.",
            with(token().more(",\"exp\":9999999999")),
            TokenInvalid,
        ),
        one(
            "token-with-iat-as-text-is-invalid",
            "RFC 7519 §2: a NumericDate is a number.",
            with(token().more(",\"nbf\":\"1\"")),
            TokenInvalid,
        ),
        one("token-of-the-agency-has-its-own-audience", "Audiences are per partner.", agency(), Accepted),
        one(
            "token-for-the-default-audience-is-not-the-agency-s",
            "Audiences are per partner.",
            agency().map_token(|token| token.audience("\"countersign\"")),
            TokenInvalid,
        ),
        one(
            "token-of-the-agency-has-its-own-lifetime",
            "A minute and no more.",
            agency().map_token(|token| token.expires_ms(59_001)),
            TokenLifetimeTooLong,
        ),
        one(
            "right-token-does-not-replace-the-signature",
            "Both are needed.",
            bearer().forged(),
            SignatureInvalid,
        ),
    ]
}

fn times() -> Vec<Entry> {
    let with = |token: TokenDraft| bearer().token(token);
    let cases: [(&str, &str, TokenDraft, Code); 13] = [
        ("token-about-to-expire-is-accepted", "One millisecond is left.", token().expires_ms(1), Accepted),
        (
            "token-expires-at-exp",
            "RFC 7519 §4.1.4: on or after exp it is over.",
            token().expires_ms(0),
            TokenExpired,
        ),
        (
            "token-after-exp-is-expired",
            "The skew tells the sender how late it is.",
            token().expires_ms(-250),
            TokenExpired,
        ),
        (
            "token-of-fifteen-minutes-is-accepted",
            "The longest life (source §5).",
            token().issued_ms(0).expires_ms(900_000),
            Accepted,
        ),
        (
            "token-of-more-than-fifteen-minutes-is-refused",
            "A millisecond more.",
            token().issued_ms(0).expires_ms(900_001),
            TokenLifetimeTooLong,
        ),
        (
            "token-of-a-week-is-refused",
            "A stolen token must not be good for long.",
            token().expires_ms(604_800_000),
            TokenLifetimeTooLong,
        ),
        (
            "long-token-near-its-end-is-refused",
            "The life counts, not the rest of it.",
            token().issued_ms(-900_000).expires_ms(1_000),
            TokenLifetimeTooLong,
        ),
        (
            "token-issued-a-minute-ahead-is-accepted",
            "Clocks differ a little.",
            token().issued_ms(60_000),
            Accepted,
        ),
        (
            "token-issued-more-than-a-minute-ahead-is-invalid",
            "The answer has our time and the skew.",
            token().issued_ms(60_001),
            TokenInvalid,
        ),
        (
            "token-valid-a-minute-ahead-is-accepted",
            "nbf has the same grace.",
            token().more(",\"nbf\":1792595611"),
            Accepted,
        ),
        (
            "token-valid-later-is-invalid",
            "nbf is too far ahead.",
            token().more(",\"nbf\":1792595611.001"),
            TokenInvalid,
        ),
        (
            "token-with-its-end-first-is-invalid",
            "exp before iat.",
            token().issued_ms(30_000).expires_ms(20_000),
            TokenInvalid,
        ),
        (
            "token-with-a-fraction-is-accepted",
            "RFC 7519 §2 allows it.",
            token().more(",\"nbf\":1792595550.999999"),
            Accepted,
        ),
    ];
    cases.into_iter().map(|(id, why, token, code)| one(id, why, with(token), code)).collect()
}

fn opaque() -> Vec<Entry> {
    let known = || bearer().token(TokenDraft::text(OPAQUE));
    let minute = |draft: Draft| draft.string("ts_event", "2026-10-21T15:11:00Z");
    vec![
        one("opaque-token-is-accepted", "Known by its SHA-256.", known(), Accepted),
        one(
            "opaque-token-in-another-case-is-invalid",
            "Another text, another hash.",
            bearer().token(TokenDraft::text(&OPAQUE.to_uppercase())),
            TokenInvalid,
        ),
        one(
            "opaque-token-is-valid-from-not-before",
            "The first instant counts.",
            minute(known().earlier_ms(31_000)),
            Accepted,
        ),
        one(
            "opaque-token-is-invalid-until-its-not-before",
            "One millisecond early.",
            minute(known().earlier_ms(31_001)),
            TokenInvalid,
        ),
        one(
            "opaque-token-is-valid-up-to-not-after",
            "One millisecond before it.",
            known().later_ms(28_999),
            Accepted,
        ),
        one(
            "opaque-token-at-not-after-is-expired",
            "The first instant at which it no longer is.",
            known().later_ms(29_000),
            TokenExpired,
        ),
    ]
}
