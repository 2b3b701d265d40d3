//! The scenarios of the `Idempotency-Key` draft and the field syntax of the `RateLimit` drafts, played on the gate.
#![cfg(test)]

use countersign_core::click::{self, ClickKey};
use countersign_core::dedup::{MemoryTable, TableSize, TableStore};
use countersign_core::drive::drive_now;
use countersign_core::gate::{Body, Delivery, Gate, Mode, Outcome, Peer, Request, Scratch, request_id};
use countersign_core::headers::Headers;
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::outcome::Reply;
use countersign_core::policy::{Policy, sandbox};
use countersign_core::signature::{Message, Place, Scheme, Signed, SigningKey, sign};
use countersign_core::time::Timestamp;
use serde_json::Value;

mod third_party;

const NOW: Timestamp = Timestamp::from_ms(1_767_225_600_000);
const DAY_MS: u64 = 86_400_000;

struct Bench {
    gate: Gate,
    store: TableStore<MemoryTable>,
    scratch: Scratch,
}

impl Bench {
    fn new() -> Self {
        let document = r#"{ "version": 1, "environment": "sandbox", "dedup": { "retention_days": 1 } }"#;
        let policy = Policy::compile(document, &mut |_| None).unwrap();
        Self {
            gate: Gate::new(policy, Mode::Forward),
            store: TableStore::new(MemoryTable::default(), "sandbox/default", TableSize::default()),
            scratch: Scratch::default(),
        }
    }

    /// Sends a registration with these `Idempotency-Key` fields.
    fn send(&mut self, event_id: &str, session: &str, keys: &[&str], now: Timestamp) -> Outcome {
        let click_key = ClickKey::new(sandbox::CLICK_KEY_ID.into(), sandbox::CLICK_SECRET.as_bytes());
        let click_id = click::mint(&click_key, NOW, [7; 8]);
        let body = format!(
            r#"{{"event":"registration","event_id":"{event_id}","click_id":"{click_id}","session_id":"{session}","ts_event":"2026-01-01T00:00:00Z"}}"#
        );
        let key =
            SigningKey::new(sandbox::SIGNING_KEY_ID.into(), sandbox::SIGNING_SECRET.as_bytes(), None, None);
        let mut tape = Tape::default();
        let parsed = json::read(body.as_bytes(), &mut tape, ReadLimits::POSTBACK).unwrap();
        let place = Place::Header("x-signature".into());
        let message = Message { id: "unused", at: now };
        let signed = sign(Scheme::Jcs, &place, &key, body.as_bytes(), &parsed, message).unwrap();
        let Signed::Headers(signature) = signed else { panic!("a signature in a header was asked for") };
        let mut headers: Vec<(&[u8], &[u8])> = vec![(b"content-type", b"application/json")];
        headers.extend(signature.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        headers.extend(keys.iter().map(|key| (&b"idempotency-key"[..], key.as_bytes())));
        let request = Request {
            id: request_id(Some(b"r-1"), || 0),
            method: b"POST",
            path: b"/postback/sandbox",
            headers: Headers(&headers),
            body: Body::Whole(body.as_bytes()),
            peer: Peer::default(),
            scratch: &mut self.scratch,
        };
        drive_now(&mut self.store, self.gate.begin(request, now))
    }

    fn accept(&mut self, event_id: &str, session: &str, keys: &[&str], now: Timestamp) -> Box<Reply> {
        match self.send(event_id, session, keys, now) {
            Outcome::Answer(answer) => answer.reply,
            Outcome::Forward(claimed) => {
                let settled = claimed.settle(Delivery::Acknowledged { replayed: false }, now);
                self.store.settle(&settled.settlement.unwrap()).unwrap();
                settled.reply
            }
        }
    }
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn every_scenario_of_the_idempotency_key_draft_ends_as_it_says_or_for_a_named_reason() {
    let Some(text) = third_party::read("idempotency-ratelimit-drafts/idempotency-key-scenarios.json") else {
        return;
    };
    let data: Value = serde_json::from_str(&text).unwrap();
    for scenario in data["scenarios"].as_array().unwrap() {
        let id = "8e03978e-40d5-43e8-bc93-6894a57f9324";
        let quoted = format!("\"{id}\"");
        let mut bench = Bench::new();
        match scenario["id"].as_str().unwrap() {
            "first" => {
                let reply = bench.accept(id, "s", &[scenario["key"].as_str().unwrap()], NOW);
                assert_eq!((reply.status, &body(&reply)["idempotent"]), (200, &Value::Bool(false)));
            }
            "retry-after-completion-same-payload" => {
                let first = bench.accept(id, "s", &[&quoted], NOW);
                let again = bench.accept(id, "s", &[&quoted], NOW);
                assert_eq!((again.status, &body(&again)["idempotent"]), (200, &Value::Bool(true)));
                assert_eq!(
                    body(&first)["receipt"],
                    body(&again)["receipt"],
                    "the stored result is the receipt"
                );
            }
            // 503 and not the draft's 409: many senders retry 5xx only, and a 4xx would lose the event if the first attempt
            // then fails. A partner may ask for 409 (`in_flight_status`).
            "retry-while-first-in-flight" => {
                let Outcome::Forward(_pending) = bench.send(id, "s", &[&quoted], NOW) else {
                    panic!("the first is handed on")
                };
                let reply = bench.accept(id, "s", &[&quoted], NOW);
                assert_eq!((reply.status, reply.facts.code.as_str()), (503, "in_flight"));
            }
            "same-key-different-payload" => {
                bench.accept(id, "s", &[&quoted], NOW);
                let reply = bench.accept(id, "other", &[&quoted], NOW);
                assert_eq!(Some(u64::from(reply.status)), scenario["expect_status"].as_u64());
            }
            // The key is not required: the event_id in the signed payload is what identifies the event.
            "missing-key-where-required" => assert_eq!(bench.accept(id, "s", &[], NOW).status, 200),
            // 422 and not 400: the payload is well formed, and check 9 is where the key is compared with it.
            "two-header-fields" => assert_eq!(bench.accept(id, "s", &[&quoted, &quoted], NOW).status, 422),
            // Accepted unquoted, as many deployed interfaces do.
            "unquoted-value" => {
                assert_eq!(bench.accept(id, "s", &[scenario["key"].as_str().unwrap()], NOW).status, 200);
            }
            "expired-key" => {
                bench.accept(id, "s", &[&quoted], NOW);
                let reply = bench.accept(id, "s", &[&quoted], NOW.plus_ms(DAY_MS + 1));
                assert_eq!(body(&reply)["idempotent"], Value::Bool(false), "after the retention it is new");
            }
            other => panic!("a scenario that this test does not know: {other}"),
        }
    }
}

#[test]
fn a_key_that_contradicts_the_event_is_refused() {
    let reply = Bench::new().accept("reg_1", "s", &["reg_2"], NOW);
    assert_eq!((reply.status, reply.facts.code.as_str()), (422, "event_invalid"));
}

/// The later drafts' syntax: a policy's name is a string, `q`, `w`, `r` and `t` are non-negative integers.
#[test]
fn the_rate_limit_fields_are_written_as_the_later_drafts_have_them() {
    let Some(text) = third_party::read("idempotency-ratelimit-drafts/ratelimit-fields.json") else { return };
    let data: Value = serde_json::from_str(&text).unwrap();
    let reply = Bench::new().accept("reg_1", "s", &[], NOW);
    for (ours, theirs) in [("ratelimit-policy", "RateLimit-Policy"), ("ratelimit", "RateLimit")] {
        let shape = |field: &str| -> String {
            let shown = field.split(';').map(|part| part.split('=').next().unwrap_or_default().to_owned());
            shown.skip(1).collect::<Vec<_>>().join(";")
        };
        let example = data["string_examples_same_values"][theirs][0].as_str().unwrap();
        let (_, written) = reply.headers.iter().find(|(name, _)| *name == ours).unwrap();
        assert!(written.starts_with("\"partner\";"), "{written}");
        assert_eq!(shape(written), shape(example), "{written} and {example}");
        for number in written.split(';').skip(1) {
            number.split_once('=').unwrap().1.parse::<u32>().unwrap();
        }
    }
}
