//! The order of the checks: for each pair of rows of the table in `docs/architecture.md`, a request that fails both. The earlier
//! row must answer. The pairs are made from one list of breaches, so that a new one meets all the others.

use countersign_core::outcome::Code;
use countersign_core::outcome::Code::{
    CertificateNotAllowed, ClickIdInvalid, ContentTypeUnsupported, Duplicate, EventIdReused, EventInvalid,
    FallbackDuplicate, InFlight, MethodNotAllowed, NotFound, PartnerUnknown, PayloadMalformed,
    PayloadTooLarge, RateLimited, SignatureInvalid, SourceLimited, SourceNotAllowed, TokenExpired,
    TokenInvalid, TokenLifetimeTooLong, TokenMissing, UpstreamRedirectRefused, UpstreamRefused,
    UpstreamUnavailable,
};

use super::draft::Draft;
use super::token::TokenDraft;
use super::{Chapter, Entry, Said, keys};
use crate::vector::{Suite, Upstream};

/// One way to fail one check, on a request that is good otherwise.
struct Breach {
    name: &'static str,
    code: Code,
    /// What must have happened before; it is given the request as it will be.
    before: fn(&Draft) -> Vec<Draft>,
    change: fn(Draft) -> Draft,
    /// Parts of the request that the breach claims: no other breach can be had that claims or needs one of them.
    parts: &'static [Part],
    /// Parts that the breach needs and shares with others that need them.
    needs: &'static [Part],
    /// Needs an upstream that fails, or one that takes its time.
    upstream: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Token,
    Claim,
    Answer,
}

pub(super) fn chapters() -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    let breaches = breaches();
    for (place, first) in breaches.iter().enumerate() {
        for second in breaches.iter().skip(place + 1) {
            if excludes(first, second) || excludes(second, first) {
                continue;
            }
            let (suite, name) = home(first, second);
            let entry = pair(first, second);
            match chapters.iter_mut().find(|chapter| chapter.suite == suite && chapter.name == name) {
                Some(chapter) => chapter.entries.push(entry),
                None => chapters.push(Chapter {
                    suite,
                    name,
                    comment: COMMENT,
                    config: "precedence",
                    entries: vec![entry],
                }),
            }
        }
    }
    chapters
}

/// Whether a breach leaves nothing of what another one is about.
fn excludes(one: &Breach, other: &Breach) -> bool {
    one.parts.iter().any(|part| other.parts.contains(part) || other.needs.contains(part))
}

const COMMENT: &str = "Requests that fail two checks: the earlier one answers.";

/// The group of a pair.
fn home(first: &Breach, second: &Breach) -> (Suite, &'static str) {
    if first.upstream || second.upstream {
        return (Suite::HandOn, "precedence");
    }
    let name = match first.code {
        MethodNotAllowed | NotFound | ContentTypeUnsupported | PayloadTooLarge => "precedence_of_shape",
        SourceLimited | TokenMissing | PartnerUnknown | SourceNotAllowed | CertificateNotAllowed => {
            "precedence_of_sender"
        }
        _ => "precedence_of_event",
    };
    (Suite::Gate, name)
}

fn pair(first: &Breach, second: &Breach) -> Entry {
    let last = (first.change)((second.change)(good()));
    // What a claim has to find is there before the quota is spent on other events.
    let (early, late) = if second.code == RateLimited { (first, second) } else { (second, first) };
    let mut before = (early.before)(&last);
    before.extend((late.before)(&last));
    let mut steps: Vec<_> = before.into_iter().map(|draft| (draft, Said::Prelude)).collect();
    steps.push((last, said(first.code)));
    Entry {
        id: format!("{}-before-{}", first.name, second.name),
        why: format!("{} is checked before {}.", first.code.metric(), second.code.metric()),
        steps,
        is_pair: true,
    }
}

fn said(code: Code) -> Said {
    if code == UpstreamRefused { Said::Status(code, 400) } else { Said::Code(code) }
}

/// A request of the partner that demands everything.
fn good() -> Draft {
    Draft::of("fortress")
        .header("x-forwarded-client-cert", "URI=spiffe://fortress/postbacks")
        .token(TokenDraft::written("fortress"))
}

fn nothing(_: &Draft) -> Vec<Draft> {
    Vec::new()
}

fn shape(name: &'static str, code: Code, change: fn(Draft) -> Draft) -> Breach {
    Breach { name, code, before: nothing, change, parts: &[], needs: &[], upstream: false }
}

/// A breach of the token that the request comes with.
fn token(name: &'static str, code: Code, change: fn(Draft) -> Draft) -> Breach {
    Breach { needs: &[Part::Token], ..shape(name, code, change) }
}

fn claim(
    name: &'static str,
    code: Code,
    before: fn(&Draft) -> Vec<Draft>,
    change: fn(Draft) -> Draft,
) -> Breach {
    Breach { before, parts: &[Part::Claim], ..shape(name, code, change) }
}

fn answer(name: &'static str, code: Code, change: fn(Draft) -> Draft) -> Breach {
    Breach { parts: &[Part::Answer], upstream: true, ..shape(name, code, change) }
}

/// Every breach, in the order of the checks.
fn breaches() -> Vec<Breach> {
    let later = |draft: Draft| draft.map_token(|token| token.expires_ms(0));
    vec![
        shape("method", MethodNotAllowed, |draft| draft.method("PUT")),
        shape("path", NotFound, |draft| draft.path("/postback/fortress/x")),
        shape("content-type", ContentTypeUnsupported, |draft| draft.header("content-type", "text/plain")),
        shape("size", PayloadTooLarge, |draft| draft.member("pad", &format!("\"{}\"", "x".repeat(1024)))),
        Breach { before: two_refusals, ..shape("throttle", SourceLimited, |draft| draft) },
        Breach { parts: &[Part::Token], ..shape("token-missing", TokenMissing, Draft::no_token) },
        token("partner", PartnerUnknown, |draft| draft.map_token(|token| token.issuer("nobody"))),
        shape("address", SourceNotAllowed, |draft| draft.client("198.51.100.1")),
        shape("certificate", CertificateNotAllowed, |draft| {
            draft.header("x-forwarded-client-cert", "URI=spiffe://x")
        }),
        token("token", TokenInvalid, |draft| draft.map_token(|token| token.audience("\"x\""))),
        token("token-expiry", TokenExpired, later),
        token("token-lifetime", TokenLifetimeTooLong, |draft| {
            draft.map_token(|token| token.issued_ms(-901_000))
        }),
        shape("json", PayloadMalformed, |draft| draft.tail("x")),
        shape("signature", SignatureInvalid, Draft::forged),
        shape("event", EventInvalid, |draft| draft.less("ts_event")),
        shape("click", ClickIdInvalid, |draft| draft.string("click_id", &keys::click_with(b"another", 1))),
        claim("repeat", Duplicate, |_| vec![good()], |draft| draft),
        claim("reuse", EventIdReused, |_| vec![good()], |draft| draft.string("account_id", "u-2")),
        Breach {
            upstream: true,
            ..claim("in-flight", InFlight, |_| vec![good().upstream(Upstream::Pending)], |draft| draft)
        },
        // The first time, a fallback duplicate is written down: that costs quota like any event.
        Breach { before: three_events, ..shape("quota", RateLimited, |draft| draft) },
        claim("fallback", FallbackDuplicate, |_| vec![good().id("e-0")], |draft| draft),
        answer("upstream-failure", UpstreamUnavailable, |draft| draft.answered(503, "down")),
        answer("upstream-redirect", UpstreamRedirectRefused, |draft| draft.answered(302, "")),
        answer("upstream-refusal", UpstreamRefused, |draft| draft.answered(400, "no")),
    ]
}

/// Uses up what the request's source may be refused.
fn two_refusals(last: &Draft) -> Vec<Draft> {
    vec![Draft::of("plain").from_where(last).forged(); 2]
}

/// Spends the partner's quota on other events.
fn three_events(_: &Draft) -> Vec<Draft> {
    (1..=3).map(|number| good().id(&format!("q-{number}")).click(100 + number)).collect()
}
