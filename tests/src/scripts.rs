//! Random scripts: partners, repeats, mutations, clock steps, outcomes of the upstream, concurrent claims.

use countersign_core::signature::{Place, Scheme};
use countersign_core::token::Algorithm;

use crate::authoring::draft::{Draft, STRANGER, Signer};
use crate::authoring::token::TokenDraft;
use crate::authoring::{Said, blank, keys, script};
use crate::random::Random;
use crate::vector::{Request, Suite, Upstream, Vector, bytes, text};

/// The configuration that scripts run with.
pub const CONFIG: &str = "gate";
/// The most requests of a script.
pub const STEPS_MAX: u64 = 12;
/// The retention of [`CONFIG`] and a day: every lease, window, quota and memory of a script is over by then.
pub const FORGOTTEN_MS: u64 = 31 * 86_400_000;
/// How many senders there are.
const PARTNERS: u64 = 12;

/// The script of a seed. In [`Suite::HandOn`] the upstream does what it likes and headers hold any bytes; in [`Suite::Gate`]
/// it acknowledges everything, so that hosts without one can play too. It begins `later_ms` after the vectors' first instant:
/// [`FORGOTTEN_MS`] after another script a store has nothing left of that.
#[must_use]
pub fn of_seed(suite: Suite, seed: u64, later_ms: u64) -> Vector {
    let mut random = Random::of(seed);
    let mut at = later_ms;
    // One or two partners and a single event of each type again and again, or nothing would ever meet anything.
    let cast = [random.below(PARTNERS), random.below(PARTNERS)];
    let drafts: Vec<_> = (0..=random.below(STEPS_MAX))
        .map(|_| {
            at = step_of_clock(&mut random, at);
            let partner = random.of_these(&cast);
            let good = sender(&mut random, partner);
            let draft = mutated(&mut random, good).later_ms(at);
            let draft = if suite == Suite::HandOn { draft.upstream(upstream(&mut random)) } else { draft };
            (draft, Said::Prelude)
        })
        .collect();
    let mut vector = blank(script(&format!("script-{seed}"), "A random script.", drafts));
    for step in &mut vector.steps {
        if random.once_in(6) {
            disturb(&mut random, suite, &mut step.request);
        }
    }
    vector
}

/// Mostly a little later; at times much later, at times earlier.
fn step_of_clock(random: &mut Random, at: u64) -> u64 {
    match random.below(10) {
        0..=3 => at,
        4..=6 => at + random.below(2_000),
        7 => at + random.of_these(&[499, 500, 29_999, 30_000, 59_999, 60_000]),
        8 => at + random.below(90_000),
        _ => at.saturating_sub(random.below(5_000)),
    }
}

/// A good request of some partner, with one of few ids and clicks, so that scripts repeat themselves.
fn sender(random: &mut Random, partner: u64) -> Draft {
    let header = || Place::Header("x-signature".into());
    let draft = match partner {
        0 => Draft::of("plain"),
        1 => Draft::of("conflict"),
        2..=4 => Draft::of("shop"),
        5 => Draft::of("slow"),
        6 => Draft::of("member").signed_by(Signer::of(
            Scheme::Jcs,
            Place::Body("signature".into()),
            keys::key("member_key"),
        )),
        7 => Draft::of("raw").signed_by(Signer::of(Scheme::Raw, header(), keys::key("raw_key"))),
        8 => Draft::of("webhook").signed_by(
            Signer::of(Scheme::StandardWebhooks, header(), keys::key("webhook_key"))
                .sent_ms(random.of_these(&[0, 0, 0, 300_000, -301_000])),
        ),
        9 => Draft::of("rotating"),
        10 => Draft::of("bearer").token(token(random)),
        _ => Draft::of("walled").client(random.of_these(&[
            "203.0.113.7",
            "192.0.2.1",
            "2001:db8:42::1",
            "10.0.0.1",
        ])),
    };
    let id = random.of_these(&["a", "a", "b"]);
    let draft = draft.id(id).click(random.below(2));
    match random.below(8) {
        0 => draft.deposit(random.of_these(&["1", "1.00", "2"]), random.of_these(&["USD", "JPY"])),
        1 => draft.string("account_id", random.of_these(&["u-1", "u-2"])),
        2 => draft.rewritten(),
        _ => draft,
    }
}

fn token(random: &mut Random) -> TokenDraft {
    let issuer = "https://bearer.example";
    let algorithm =
        random.of_these(&[Algorithm::Hs256, Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa]);
    let token = TokenDraft::minted(algorithm, issuer);
    match random.below(8) {
        0 => token.expires_ms(random.of_these(&[0, 1, -1])),
        1 => token.issued_ms(random.of_these(&[60_000, 60_001, -700_000])),
        2 => TokenDraft::text(random.of_these(&["opaque-token-of-the-vectors-0001", "e30.e30.e30", "x"])),
        3 => TokenDraft::written(random.of_these(&["agency", issuer, "nobody"])),
        _ => token,
    }
}

/// A change that a sender might make, and that is signed with the rest.
fn mutated(random: &mut Random, draft: Draft) -> Draft {
    match random.below(40) {
        0 => draft.forged(),
        1 => draft.unsigned(),
        2 => draft.less(random.of_these(&["event", "event_id", "click_id", "ts_event"])),
        3 => draft.member(random.of_these(&["event", "ts_event", "geo", "amount"]), "null"),
        4 => draft.string("click_id", random.of_these(&["{click_id}", "clk_1", "other"])),
        5 => draft.string("event", random.of_these(&["refund", "voucher", "nothing"])),
        6 => draft.method(random.of_these(&["PUT", "DELETE"])),
        7 => draft.path(random.of_these(&[
            "/postback",
            "/postback/plain",
            "/postback/nobody",
            "/",
            "/postback/plain?x",
        ])),
        8 => draft.header("idempotency-key", random.of_these(&["a", "\"a\"", "b", ""])),
        9 => draft.tail(random.of_these(&[" ", "x", "}"])),
        10 => draft.peer(STRANGER),
        11 => draft.member("pad", &format!("\"{}\"", "p".repeat(random.of_these(&[1_000, 2_000])))),
        12 => draft.chunked(random.of_these(&[1, 64, 4096])),
        13 => {
            draft.header("content-type", random.of_these(&["text/plain", "application/json; charset=UTF-8"]))
        }
        14 => draft.body(random.of_these(&["", "{", "[]", "{\"a\":1,\"a\":1}", "{\"a\":1e400}"])),
        15 => draft.also("x-countersign-partner", "forged"),
        _ => draft,
    }
}

/// A change on the way, after the signature.
fn disturb(random: &mut Random, suite: Suite, request: &mut Request) {
    let place = random.place(request.headers.len());
    match random.below(6) {
        0 => {
            request.headers.remove(place);
        }
        1 => {
            let again = request.headers[place].clone();
            request.headers.push(again);
        }
        2 => {
            let (_, value) = &mut request.headers[place];
            let mut spoiled = bytes(value).unwrap_or_default();
            let at = random.place(spoiled.len());
            if let Some(byte) = spoiled.get_mut(at) {
                let any: &[u8] = if suite == Suite::HandOn { b"\xffx,; =." } else { b"x,;=." };
                *byte = random.of_these(any);
            }
            *value = text(spoiled.trim_ascii());
        }
        _ => {
            let mut body = bytes(request.body.as_deref().unwrap_or_default()).unwrap_or_default();
            let at = random.place(body.len());
            match random.below(3) {
                0 => body.truncate(at),
                1 => body.insert(at, random.of_these(b"\"{}[],:0 \\\xff")),
                _ => {
                    if let Some(byte) = body.get_mut(at) {
                        *byte ^= random.of_these(&[1, 2, 0x20, 0x80]);
                    }
                }
            }
            request.body = Some(text(&body));
        }
    }
}

fn upstream(random: &mut Random) -> Upstream {
    let reply = |status| Upstream::Reply { status, headers: Vec::new(), body: "upstream's".to_owned() };
    match random.below(12) {
        0 => reply(random.of_these(&[500, 503])),
        1 => reply(random.of_these(&[400, 429])),
        2 => Upstream::Reply {
            status: 302,
            headers: vec![("location".to_owned(), "/x".to_owned())],
            body: String::new(),
        },
        3 => Upstream::Reset,
        4 => Upstream::Timeout,
        5 => Upstream::Pending,
        6 => Upstream::Reply { status: 204, headers: Vec::new(), body: String::new() },
        7 => Upstream::Reply {
            status: 200,
            headers: vec![("idempotent-replayed".to_owned(), "true".to_owned())],
            body: String::new(),
        },
        _ => Upstream::Ok,
    }
}
