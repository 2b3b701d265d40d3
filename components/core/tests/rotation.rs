//! A filter and the inbox behind it, while every key of their document is rotated (`tests/vectors/configs/rotation.json`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that stops has failed")]

use std::fs;
use std::sync::Arc;

use countersign_core::click::{self, ClickKey};
use countersign_core::gate::{Body, Gate, Mode, Outcome, Peer, Request, Scratch, Step, request_id};
use countersign_core::headers::Headers;
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::policy::Policy;
use countersign_core::receipt::{MacKey, issue};
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::store::{Claim, ClaimAnswer, ThrottleAnswer};
use countersign_core::time::Timestamp;

fn secret(name: &str) -> Vec<u8> {
    format!("{name} 0123456789abcdef0123456789abcdef").into_bytes()
}

fn gate(mode: Mode) -> Gate {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/configs/rotation.json");
    let json = fs::read_to_string(path).unwrap();
    Gate::new(Policy::compile(&json, &mut |name| Some(secret(name))).unwrap(), mode)
}

/// An event whose click the key of that name minted, and its signature's field.
fn event(click_secret: &str, now: Timestamp) -> (String, String) {
    let click_key = ClickKey::new(Arc::from("c"), &secret(click_secret));
    let click_id = click::mint(&click_key, now, [7; 8]);
    let body = format!(
        r#"{{ "event": "registration", "event_id": "e-1", "click_id": "{click_id}", "ts_event": "2026-10-21T15:11:00Z" }}"#
    );
    let mut tape = Tape::default();
    let document = json::read(body.as_bytes(), &mut tape, ReadLimits::POSTBACK).unwrap();
    let key = SigningKey::new(Arc::from("p1"), &secret("plain_key"), None, None);
    let place = Place::Header(Place::HEADER.into());
    let message = Message { id: "unused", at: now };
    let signed = sign(Scheme::Jcs, &place, &key, body.as_bytes(), &document, message).unwrap();
    let Signed::Headers(fields) = signed else { panic!("the scheme signs in a header field") };
    (body, fields.into_iter().next().unwrap().1)
}

/// Header fields of what is handed on.
type Fields = Vec<(String, String)>;

/// Asks a gate whose store finds the event fresh: what it claims and hands on, or the status and detail of its refusal.
fn ask(
    gate: &Gate,
    path: &str,
    fields: &[(String, String)],
    body: &str,
    now: Timestamp,
) -> Result<(Claim, Fields), (u16, &'static str)> {
    let fields: Vec<(&[u8], &[u8])> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut scratch = Scratch::default();
    let request = Request {
        id: request_id(None, || 0),
        method: b"POST",
        path: path.as_bytes(),
        headers: Headers(&fields),
        body: Body::Whole(body.as_bytes()),
        peer: Peer { address: Some([192, 0, 2, 1].into()), certificate: &[] },
        scratch: &mut scratch,
    };
    let step = match gate.begin(request, now) {
        Step::Throttle(wait) => wait.resume(Ok(ThrottleAnswer::Pass)),
        step @ (Step::Claim(_) | Step::Done(_)) => step,
    };
    let wait = match step {
        Step::Claim(wait) => wait,
        Step::Done(Outcome::Answer(answer)) => return Err((answer.reply.status, answer.reply.facts.detail)),
        step @ (Step::Throttle(_) | Step::Done(_)) => panic!("{step:?}"),
    };
    let claim = wait.operation().clone();
    let handed = match wait.resume(Ok(ClaimAnswer::Fresh { quota: None })) {
        Step::Done(Outcome::Forward(claimed)) => {
            claimed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
        Step::Throttle(_) | Step::Claim(_) | Step::Done(_) => Vec::new(),
    };
    Ok((claim, handed))
}

fn json_field() -> (String, String) {
    ("content-type".to_owned(), "application/json".to_owned())
}

#[test]
fn every_request_is_answered_right_before_in_and_after_the_overlap() {
    let (filter, inbox) = (gate(Mode::Forward), gate(Mode::Inbox));
    for (now, receipt_key, hop) in [
        ("2026-10-21T15:11:59.999Z", "old_receipt_key", "hop:h1"),
        ("2026-10-21T15:12:00Z", "receipt_key", "hop:h2"),
        ("2026-10-21T15:12:59.999Z", "receipt_key", "hop:h2"),
        ("2026-10-21T15:13:00Z", "receipt_key", "hop:h2"),
    ] {
        let at = Timestamp::parse_rfc3339(now).unwrap();
        // Both keys of click ids are recognised throughout.
        for click_secret in ["old_click_key", "click_key"] {
            let (body, signature) = event(click_secret, at);
            let fields = [json_field(), ("x-signature".to_owned(), signature)];
            let (claim, mut handed) = ask(&filter, "/postback/plain", &fields, &body, at).unwrap();
            let receipt = issue(&MacKey::new(&secret(receipt_key)), "plain", "e-1", &claim.payload_hash);
            assert_eq!((claim.row.receipt, &*claim.row.key_id), (receipt, "p1"), "{now}");
            // What the filter hands on, the inbox believes, and both give one receipt.
            handed.push(json_field());
            let (collected, _) = ask(&inbox, "/collect", &handed, &body, at).unwrap();
            assert_eq!((collected.row.receipt, &*collected.row.key_id), (receipt, hop), "{now}");
        }
    }
}

#[test]
fn what_the_old_hop_key_attested_is_believed_until_it_ends() {
    let (filter, inbox) = (gate(Mode::Forward), gate(Mode::Inbox));
    let at = |text| Timestamp::parse_rfc3339(text).unwrap();
    let sent = at("2026-10-21T15:11:59.999Z");
    let (body, signature) = event("click_key", sent);
    let fields = [json_field(), ("x-signature".to_owned(), signature)];
    let (_, mut handed) = ask(&filter, "/postback/plain", &fields, &body, sent).unwrap();
    handed.push(json_field());
    let collect = |now| ask(&inbox, "/collect", &handed, &body, at(now)).map(|(claim, _)| claim.row.key_id);
    assert_eq!(collect("2026-10-21T15:12:59.999Z").as_deref(), Ok("hop:h1"));
    let mismatch = "attestation is of another key, partner, event id, body or time";
    assert_eq!(collect("2026-10-21T15:13:00Z"), Err((503, mismatch)));
}

#[test]
fn before_the_first_key_nothing_passes_and_the_log_says_why() {
    let now = Timestamp::parse_rfc3339("2026-10-21T15:09:59.999Z").unwrap();
    let (body, signature) = event("click_key", now);
    let fields = [json_field(), ("x-signature".to_owned(), signature)];
    for mode in [Mode::Forward, Mode::Inbox] {
        let answer = ask(&gate(mode), "/postback/plain", &fields, &body, now).map(|_| ());
        assert_eq!(answer, Err((503, "no receipt key is valid now")));
    }
}
