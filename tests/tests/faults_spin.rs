//! The gate on Spin while its database fails: at every host call, in every way, in the midst of every kind of request. What must
//! hold: no 200 without a committed row, no row twice, a retry that ends in a 200 and exactly one row, no panic, an instance
//! that lives, and nothing secret in a log.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a failed assertion is the answer")]

use std::collections::BTreeMap;
use std::time::Duration;

use conformance::spin_gate::SpinGate;
use countersign_core::attestation;
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::policy::Policy;
use countersign_core::signature::{self, Message, Signed};
use countersign_core::time::Timestamp;
use countersign_host::fault::{Fault, Faults};
use countersign_host::http::{HttpReply, HttpRequest};
use countersign_host::spin::Stream;
use sha2::{Digest as _, Sha256};

const AT_MS: u64 = 1_767_225_600_000;
/// More calls of one name than any request makes, the start of an instance and the making of the tables included.
const CALLS_MAX: u64 = 200;
const DOCUMENT: &str = r#"{
  "version": 1,
  "environment": "production",
  "click_id": { "keys": [{ "id": "c1", "secret": { "name": "click_key" } }], "verify": "off" },
  "receipt": { "secret": { "name": "receipt_key" } },
  "attestation": { "secret": { "name": "hop_key" } },
  "partners": {
    "acme": {
      "signature": { "keys": [{ "id": "k1", "secret": { "name": "acme_key" } }] },
      "rate": { "per_second": 50, "burst": 200 },
      "events": { "registration": { "fallback_window_seconds": 86400 } }
    }
  }
}"#;

fn secrets() -> BTreeMap<String, String> {
    ["click_key", "receipt_key", "hop_key", "acme_key"]
        .map(|name| (name.to_owned(), format!("{name}-that-nobody-must-ever-read-in-a-log")))
        .into()
}

fn policy() -> Policy {
    let secrets = secrets();
    Policy::compile(DOCUMENT, &mut |name| secrets.get(name).map(|secret| secret.clone().into_bytes()))
        .unwrap()
}

fn body(event_id: &str, click_id: &str) -> Vec<u8> {
    format!(
        r#"{{"click_id":"{click_id}","event":"registration","event_id":"{event_id}","ts_event":"2025-12-31T23:59:59Z"}}"#
    )
    .into_bytes()
}

fn request(path: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> HttpRequest {
    let mut fields = vec![
        (b"content-type".to_vec(), b"application/json".to_vec()),
        (b"content-length".to_vec(), body.len().to_string().into_bytes()),
    ];
    fields.extend(headers.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())));
    HttpRequest {
        method: b"POST".to_vec(),
        path: path.as_bytes().to_vec(),
        authority: b"tracker.test".to_vec(),
        headers: fields,
        body: vec![body],
        peer: "127.0.0.1:4711".parse().unwrap(),
        certificate: None,
    }
}

/// A partner's signed postback.
fn postback(event_id: &str, click_id: &str) -> HttpRequest {
    let policy = policy();
    let partner = policy.partner("acme").unwrap();
    let body = body(event_id, click_id);
    let mut tape = Tape::default();
    let document = json::read(&body, &mut tape, ReadLimits::POSTBACK).unwrap();
    let message = Message { id: event_id, at: Timestamp::from_ms(AT_MS) };
    let key = partner.signature.keys.first().unwrap();
    let signed =
        signature::sign(partner.signature.scheme, &partner.signature.place, key, &body, &document, message)
            .unwrap();
    let Signed::Headers(headers) = signed else { panic!("the partner signs in a header") };
    let headers = headers.into_iter().map(|(name, value)| (name.into_string(), value)).collect();
    request("/postback/acme", headers, body)
}

/// What a filter in front hands on.
fn collected(event_id: &str, click_id: &str) -> HttpRequest {
    let body = body(event_id, click_id);
    let hash: [u8; 32] = Sha256::digest(&body).into();
    let attestation = attestation::attest(
        policy().attestation[0].secret(),
        "acme",
        event_id,
        &hash,
        Timestamp::from_ms(AT_MS),
    );
    let headers = [
        ("x-countersign-partner", "acme"),
        ("x-countersign-event-id", event_id),
        ("x-countersign-attestation", attestation.as_str()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    request("/collect", headers, body)
}

/// A request under test, after others that went well.
struct Scene {
    name: &'static str,
    before: fn() -> Vec<HttpRequest>,
    request: fn() -> HttpRequest,
    /// The inbox afterwards.
    rows: &'static [&'static str],
    /// What is kept beside it as a duplicate.
    duplicates: &'static [&'static str],
}

const SCENES: [Scene; 5] = [
    Scene {
        name: "accept",
        before: Vec::new,
        request: || postback("e1", "c1"),
        rows: &["e1"],
        duplicates: &[],
    },
    Scene {
        name: "duplicate",
        before: || vec![postback("e1", "c1")],
        request: || postback("e1", "c1"),
        rows: &["e1"],
        duplicates: &[],
    },
    Scene {
        name: "fallback duplicate",
        before: || vec![postback("e1", "c1")],
        request: || postback("e2", "c1"),
        rows: &["e1"],
        duplicates: &["e2"],
    },
    Scene {
        name: "repeated fallback duplicate",
        before: || vec![postback("e1", "c1"), postback("e2", "c1")],
        request: || postback("e2", "c1"),
        rows: &["e1"],
        duplicates: &["e2"],
    },
    Scene {
        name: "collect",
        before: Vec::new,
        request: || collected("e1", "c1"),
        rows: &["e1"],
        duplicates: &[],
    },
];

fn inbox(gate: &SpinGate) -> Vec<String> {
    event_ids(gate, "inbox")
}

fn event_ids(gate: &SpinGate, table: &str) -> Vec<String> {
    let database = gate.database().unwrap();
    // No table is no row: the first request of all failed before it made them.
    let Ok(mut statement) = database.prepare(&format!("SELECT event_id FROM {table} ORDER BY event_id"))
    else {
        return Vec::new();
    };
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn retry_after(reply: &HttpReply) -> bool {
    reply.headers.iter().any(|(name, _)| name == b"retry-after")
}

fn text(reply: &HttpReply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// Plays a scene with one fault; `false` where the fault was not struck.
fn play(gate: &SpinGate, faults: &Faults, scene: &Scene, call: &str, after: u64, fault: &Fault) -> bool {
    let case = format!("{}: {call} {after}, {fault:?}", scene.name);
    for request in (scene.before)() {
        let reply = gate.send(AT_MS, request).unwrap();
        assert_eq!(reply.status, 200, "{case}: {}", text(&reply));
    }
    let calls = || faults.calls().get(call).copied().unwrap_or(0);
    let counted = calls();
    faults.plan(call, after, fault.clone());
    let reply = gate.send(AT_MS, (scene.request)()).unwrap();
    let struck = calls() - counted > after;
    faults.clear();
    match reply.status {
        200 => {
            assert_eq!(inbox(gate), scene.rows, "{case}: a 200 without its row: {}", text(&reply));
            let duplicates = event_ids(gate, "duplicate");
            assert_eq!(duplicates, scene.duplicates, "{case}: a 200 without its record: {}", text(&reply));
        }
        503 => {
            assert!(struck, "{case}: {}", text(&reply));
            assert!(retry_after(&reply), "{case}");
        }
        status => panic!("{case}: {status} {}", text(&reply)),
    }
    let retry = gate.send(AT_MS + 1000, (scene.request)()).unwrap();
    assert_eq!(retry.status, 200, "{case}: the retry: {}", text(&retry));
    assert_eq!(inbox(gate), scene.rows, "{case}: after the retry");
    assert_eq!(event_ids(gate, "duplicate"), scene.duplicates, "{case}: after the retry");
    assert_eq!(gate.failures(), [""; 0], "{case}");
    struck
}

fn faults_of_every_kind() -> [Fault; 5] {
    [
        Fault::Error,
        Fault::Conflict,
        Fault::Garbage(Vec::new()),
        Fault::Garbage(b"\xff\x00garbage".to_vec()),
        Fault::ErrorAfterEffect,
    ]
}

fn check_log(gate: &SpinGate) {
    for line in gate.log() {
        for (name, secret) in secrets() {
            assert!(!line.text.contains(&secret), "{name} is in the log: {}", line.text);
        }
    }
}

#[test]
fn an_instance_that_serves_survives_every_fault() {
    let faults = Faults::none();
    let gate = SpinGate::new(DOCUMENT, &secrets(), faults.clone()).unwrap();
    for scene in &SCENES {
        for fault in faults_of_every_kind() {
            let mut struck = 0;
            for after in 0..CALLS_MAX {
                // A connection that is kept is not opened again, so a fault of `sqlite.open` is for the next test.
                gate.send(AT_MS, postback("warm", "warm")).unwrap();
                gate.empty().unwrap();
                if !play(&gate, &faults, scene, "sqlite.execute", after, &fault) {
                    break;
                }
                struck += 1;
            }
            assert!((1..CALLS_MAX).contains(&struck), "{}: {struck} calls were struck", scene.name);
        }
    }
    check_log(&gate);
}

#[test]
fn an_instance_that_starts_survives_every_fault() {
    // The tables are one transaction, so each fault strikes a share of its many statements.
    for (call, share) in [("sqlite.open", 1), ("sqlite.execute", 4), ("variables.get", 1)] {
        for (first, fault) in (0..).zip(faults_of_every_kind()) {
            // Variables are text: neither a lost race nor an effect is theirs.
            if call == "variables.get" && fault != Fault::Error {
                continue;
            }
            for after in (first % share..CALLS_MAX).step_by(usize::try_from(share).unwrap()) {
                let faults = Faults::none();
                let gate = SpinGate::new(DOCUMENT, &secrets(), faults.clone()).unwrap();
                let struck = play(&gate, &faults, &SCENES[0], call, after, &fault);
                check_log(&gate);
                if !struck {
                    assert!(after > 0, "{call}: never made");
                    break;
                }
                assert!(after + share < CALLS_MAX, "{call}: made too often");
            }
        }
    }
}

/// How often `text` stands in a line on the component's standard error.
fn complaints(gate: &SpinGate, text: &str) -> usize {
    gate.log().iter().filter(|line| line.stream == Stream::Stderr && line.text.contains(text)).count()
}

/// Requests to a gate that cannot start, and how often it may complain: once per instance, of which there is one unless the
/// machine stands still for a second.
const ASKED: usize = 20;
const COMPLAINTS_MAX: usize = 4;

#[test]
fn a_wrong_configuration_is_logged_by_an_instance_and_not_by_each_request() {
    let wrong = DOCUMENT.replace("\"burst\": 200", "\"burst\": 0");
    let gate = SpinGate::new(&wrong, &secrets(), Faults::none()).unwrap();
    for _ in 0..ASKED {
        let reply = gate.send(AT_MS, postback("e1", "c1")).unwrap();
        assert!(reply.status == 503 && retry_after(&reply), "{} {}", reply.status, text(&reply));
        assert!(text(&reply).contains("docs/rejects.md#internal_error"), "{}", text(&reply));
    }
    let complaints = complaints(&gate, "partners.acme.rate.burst");
    assert!((1..=COMPLAINTS_MAX).contains(&complaints), "{complaints}: {:?}", gate.log());
    let line = r#"{"code":"internal_error","detail":"the configuration is wrong; the mistakes were logged at the start","request_id":""#;
    assert_eq!(gate.log().iter().filter(|logged| logged.text.starts_with(line)).count(), ASKED);
}

#[test]
fn a_start_that_fails_is_tried_again_and_logged_once() {
    for (call, complaint) in [
        ("sqlite.open", "the database cannot be opened"),
        ("variables.get", "the variable click_key cannot be asked for"),
    ] {
        let faults = Faults::none();
        let gate = SpinGate::new(DOCUMENT, &secrets(), faults.clone()).unwrap();
        for _ in 0..ASKED {
            faults.plan(call, 0, Fault::Error);
            let reply = gate.send(AT_MS, postback("e1", "c1")).unwrap();
            assert_eq!(reply.status, 503, "{call}: {}", text(&reply));
        }
        let complaints = complaints(&gate, complaint);
        assert!((1..=COMPLAINTS_MAX).contains(&complaints), "{call}: {complaints}: {:?}", gate.log());
        let reply = gate.send(AT_MS, postback("e1", "c1")).unwrap();
        assert_eq!(reply.status, 200, "{call}: {}", text(&reply));
    }
}

#[test]
fn a_crowd_that_meets_a_cold_gate_leaves_each_event_once() {
    let gate = SpinGate::new(DOCUMENT, &secrets(), Faults::none()).unwrap();
    // Every event is sent four times at once; who is told 503 tries again, as senders do.
    std::thread::scope(|scope| {
        for sender in 0..24 {
            let gate = &gate;
            scope.spawn(move || {
                let event = sender / 4;
                for attempt in 0..20 {
                    let request = postback(&format!("e{event}"), &format!("c{event}"));
                    let reply = gate.send(AT_MS, request).unwrap();
                    match reply.status {
                        200 => return,
                        503 => {}
                        status => panic!("attempt {attempt}: {status} {}", text(&reply)),
                    }
                }
                panic!("no attempt was answered 200");
            });
        }
    });
    assert_eq!(inbox(&gate), ["e0", "e1", "e2", "e3", "e4", "e5"]);
    assert_eq!(gate.failures(), [""; 0]);
}

#[test]
fn a_database_that_others_lock_is_waited_for_and_a_fault_in_the_end() {
    let gate = SpinGate::new(DOCUMENT, &secrets(), Faults::none()).unwrap();
    let status =
        |event_id: &str, click_id: &str| gate.send(AT_MS, postback(event_id, click_id)).unwrap().status;
    assert_eq!(status("e1", "c1"), 200);
    let database = gate.database().unwrap();
    // Far longer than one try lasts.
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| status("e2", "c2"));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!sent.is_finished(), "it is answered before it is stored");
        database.execute_batch("COMMIT").unwrap();
        assert_eq!(sent.join().unwrap(), 200);
    });
    // Longer than all tries last.
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(status("e3", "c3"), 503);
    database.execute_batch("COMMIT").unwrap();
    assert_eq!(inbox(&gate), ["e1", "e2"]);
    assert_eq!(status("e3", "c3"), 200);
    assert_eq!(inbox(&gate), ["e1", "e2", "e3"]);
    check_log(&gate);
}
