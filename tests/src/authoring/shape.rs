//! Checks 1 to 3: method, path, content type, size, and the sources that were refused too often.

use countersign_core::outcome::Code::{
    self, Accepted, ContentTypeUnsupported, EventInvalid, MethodNotAllowed, NotFound, PartnerUnknown,
    PayloadTooLarge, SignatureInvalid, SourceLimited, TokenMissing,
};

use super::draft::{Draft, STRANGER};
use super::{Chapter, Entry, one, script};
use crate::vector::Suite;

pub(super) fn chapters() -> Vec<Chapter> {
    let chapter =
        |name, comment, entries| Chapter { suite: Suite::Gate, name, comment, config: "gate", entries };
    vec![
        chapter("route", "Check 1: method and path.", route()),
        chapter(
            "content",
            "Check 2: content type, declared and real size.",
            [content_type(), size()].concat(),
        ),
        chapter("throttle", "Check 3: sources with too many refusals.", throttle()),
    ]
}

fn plain() -> Draft {
    Draft::of("plain")
}

fn route() -> Vec<Entry> {
    let mut entries = vec![
        one("good-registration-is-accepted", "The plainest postback there is.", plain(), Accepted),
        one(
            "query-is-no-part-of-the-path",
            "A tracker appends what it likes.",
            plain().path("/postback/plain?a=b&c"),
            Accepted,
        ),
        one(
            "query-may-hold-a-path",
            "Only what stands before the first ? is the path.",
            plain().path("/postback/plain?/../x?y"),
            Accepted,
        ),
        one("empty-query-is-accepted", "An empty query is none.", plain().path("/postback/plain?"), Accepted),
        one(
            "path-without-partner-needs-a-token",
            "Nothing else tells the partner.",
            plain().path("/postback"),
            TokenMissing,
        ),
    ];
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let id = format!("{}-is-not-allowed", method.to_lowercase());
        let why = "Only POST brings events; Allow says so (RFC 9110 §15.5.6).";
        entries.push(one(&id, why, plain().method(method), MethodNotAllowed));
    }
    for (id, path) in [
        ("root-is-not-found", "/"),
        ("other-path-is-not-found", "/postbacks/plain"),
        ("path-below-the-partner-is-not-found", "/postback/plain/x"),
        ("trailing-slash-is-not-found", "/postback/plain/"),
        ("empty-partner-is-not-found", "/postback/"),
        ("upper-case-path-is-not-found", "/Postback/plain"),
        ("doubled-slash-is-not-found", "/postback//plain"),
    ] {
        entries.push(one(
            id,
            "Two routes and no others: paths are compared byte for byte.",
            plain().path(path),
            NotFound,
        ));
    }
    for (id, path) in [
        ("partner-in-upper-case-is-unknown", "/postback/Plain"),
        ("partner-that-is-percent-encoded-is-unknown", "/postback/%70lain"),
        ("partner-that-nobody-has-is-unknown", "/postback/nobody"),
        ("partner-is-compared-whole", "/postback/plai"),
    ] {
        entries.push(one(
            id,
            "Names are compared byte for byte: nothing is decoded.",
            plain().path(path),
            PartnerUnknown,
        ));
    }
    entries
}

fn content_type() -> Vec<Entry> {
    let mut entries = Vec::new();
    for (id, value, code) in [
        ("json-with-charset-is-accepted", "application/json; charset=utf-8", Accepted),
        ("json-with-quoted-charset-is-accepted", "application/json;charset=\"UTF-8\"", Accepted),
        ("json-in-upper-case-is-accepted", "Application/JSON", Accepted),
        ("json-with-an-empty-parameter-is-accepted", "application/json;", Accepted),
        ("json-in-latin-1-is-refused", "application/json; charset=iso-8859-1", ContentTypeUnsupported),
        ("json-with-another-parameter-is-refused", "application/json; version=1", ContentTypeUnsupported),
        ("form-is-refused", "application/x-www-form-urlencoded", ContentTypeUnsupported),
        ("text-is-refused", "text/plain", ContentTypeUnsupported),
        ("json-suffix-is-refused", "application/problem+json", ContentTypeUnsupported),
        ("json-prefix-is-refused", "application/jsonp", ContentTypeUnsupported),
        ("empty-content-type-is-refused", "", ContentTypeUnsupported),
        ("two-content-types-in-one-are-refused", "application/json,application/json", ContentTypeUnsupported),
    ] {
        let why = "JSON in UTF-8 and nothing else: another reader of the body might read it otherwise.";
        entries.push(one(id, why, plain().header("content-type", value), code));
    }
    let twice = "A proxy joins repeated fields with a comma, so they are refused joined and apart alike.";
    let coding = |value| plain().header("content-encoding", value);
    entries.extend([
        one(
            "missing-content-type-is-refused",
            "A body without a type is a guess.",
            plain().without("content-type"),
            ContentTypeUnsupported,
        ),
        one(
            "repeated-content-type-is-refused",
            twice,
            plain().also("content-type", "application/json"),
            ContentTypeUnsupported,
        ),
        one(
            "contradicting-content-types-are-refused",
            twice,
            plain().also("content-type", "text/plain"),
            ContentTypeUnsupported,
        ),
        one(
            "identity-coding-is-accepted",
            "The coding that is none (RFC 9110 §12.5.3).",
            coding("identity"),
            Accepted,
        ),
        one(
            "compressed-body-is-refused",
            "A small body that grows is an attack on memory.",
            coding("gzip"),
            ContentTypeUnsupported,
        ),
        one(
            "unknown-coding-is-refused",
            "What is signed must be what is read.",
            coding("aes128gcm"),
            ContentTypeUnsupported,
        ),
        one(
            "repeated-coding-is-refused",
            twice,
            coding("identity").also("content-encoding", "gzip"),
            ContentTypeUnsupported,
        ),
    ]);
    entries
}

fn size() -> Vec<Entry> {
    let limit = 2048;
    let of = |bytes: usize| plain().padded_to(bytes);
    vec![
        one("body-at-the-limit-is-accepted", "The limit itself is allowed.", of(limit), Accepted),
        one(
            "body-over-the-limit-is-refused",
            "One byte more is not; its length was declared.",
            of(limit + 1),
            PayloadTooLarge,
        ),
        one(
            "chunked-body-is-accepted",
            "No length is declared, and none is needed.",
            plain().chunked(7),
            Accepted,
        ),
        one(
            "chunked-body-at-the-limit-is-accepted",
            "The limit itself, in chunks.",
            of(limit).chunked(500),
            Accepted,
        ),
        one(
            "chunked-body-over-the-limit-is-refused",
            "Nothing declared the length: it is counted.",
            of(limit + 1).chunked(500),
            PayloadTooLarge,
        ),
        one(
            "chunked-body-far-over-the-limit-is-refused",
            "What is not read is not kept.",
            of(9 * limit).chunked(4096),
            PayloadTooLarge,
        ),
        one("body-in-single-bytes-is-accepted", "A slow sender is a sender.", plain().chunked(1), Accepted),
        one(
            "empty-body-is-malformed",
            "Empty is no JSON document.",
            plain().body(""),
            Code::PayloadMalformed,
        ),
    ]
}

fn throttle() -> Vec<Entry> {
    let bad = || plain().forged();
    let refused = |count: usize, draft: &Draft| vec![(draft.clone(), SignatureInvalid); count];
    let then = |mut steps: Vec<(Draft, Code)>, last: (Draft, Code)| {
        steps.push(last);
        steps
    };
    vec![
        script("sixth-refusal-is-still-an-answer", "Six refusals may be collected.", refused(6, &bad())),
        script(
            "source-is-limited-after-six-refusals",
            "Guessing signatures is slowed down, and the good ones of that source with them.",
            then(refused(6, &bad()), (plain(), SourceLimited)),
        ),
        script(
            "limited-source-hears-nothing-of-its-request",
            "Check 3 comes before 4: an attacker learns no more of partners.",
            then(refused(6, &bad()), (plain().path("/postback/nobody"), SourceLimited)),
        ),
        script(
            "other-source-is-not-limited",
            "The attacker's neighbour goes on.",
            then(refused(6, &bad()), (plain().client("203.0.113.8"), Accepted)),
        ),
        script(
            "source-is-limited-until-a-refusal-is-forgotten",
            "Six a minute: one is forgotten every ten seconds, and not a millisecond before.",
            then(refused(6, &bad()), (plain().later_ms(9_999), SourceLimited)),
        ),
        script(
            "source-is-free-once-a-refusal-is-forgotten",
            "Ten seconds later there is room for one request again.",
            then(refused(6, &bad()), (plain().later_ms(10_000), Accepted)),
        ),
        script(
            "ipv6-sources-are-limited-by-network",
            "One sender commands a whole /64.",
            then(
                refused(6, &bad().client("2001:db8::1")),
                (plain().client("2001:db8:0:0:ffff::2"), SourceLimited),
            ),
        ),
        script(
            "neighbouring-ipv6-network-is-not-limited",
            "The next /64 may be another's.",
            then(refused(6, &bad().client("2001:db8::1")), (plain().client("2001:db8:0:1::1"), Accepted)),
        ),
        script(
            "mapped-address-shares-the-limit-of-its-ipv4-address",
            "One client has one address, however a dual-stack listener writes it.",
            then(refused(6, &bad()), (plain().client("::ffff:203.0.113.7"), SourceLimited)),
        ),
        script(
            "sources-behind-a-translator-are-limited-one-by-one",
            "NAT64 puts every IPv4 address into one /64 (RFC 6052).",
            then(
                refused(6, &bad().client("64:ff9b::cb00:7107")),
                (plain().client("64:ff9b::c633:6401"), Accepted),
            ),
        ),
        script(
            "translated-address-shares-the-limit-of-its-ipv4-address",
            "One sender, whichever way it comes.",
            then(refused(6, &bad()), (plain().client("64:ff9b::cb00:7107"), SourceLimited)),
        ),
        script(
            "address-in-brackets-shares-the-limit-of-the-bare-one",
            "One client has one address in every spelling.",
            then(refused(6, &bad().client("[2001:db8::1]")), (plain().client("2001:db8::1"), SourceLimited)),
        ),
        script(
            "partners-behind-one-address-share-its-limit",
            "docs/config.md, source_requests_per_minute: one partner's wrong secret shuts out another.",
            then(refused(6, &bad()), (Draft::of("walled"), SourceLimited)),
        ),
        script(
            "stranger-is-limited-by-its-own-address",
            "What it says in x-forwarded-for is not believed, so it cannot shift the blame or the limit.",
            then(
                (1..=6)
                    .map(|n| (bad().peer(STRANGER).client(&format!("192.0.2.{n}")), SignatureInvalid))
                    .collect(),
                (plain().peer(STRANGER).client("192.0.2.99"), SourceLimited),
            ),
        ),
        script(
            "authenticated-refusals-do-not-count",
            "Who has proved itself and sends a faulty event pays no fine.",
            then(vec![(plain().less("ts_event"), EventInvalid); 7], (plain(), Accepted)),
        ),
        script(
            "refusals-of-shape-do-not-count",
            "Checks 1 and 2 look at nothing that could be guessed.",
            then(vec![(plain().method("PUT"), MethodNotAllowed); 7], (plain(), Accepted)),
        ),
    ]
}
