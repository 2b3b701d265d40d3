//! The gate on Spin over TCP: what it answers to a body that is announced and does not come, and to odd HTTP.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a failed assertion is the answer")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use conformance::spin_gate::SpinGate;
use countersign_host::fault::Faults;
use countersign_host::spin::Stream;

const DOCUMENT: &str = r#"{ "version": 1, "environment": "sandbox" }"#;

/// The body of every `internal_error`.
const INTERNAL_ERROR: &str = r#"{"error":"internal_error","hint":"nothing was accepted; retry after Retry-After","type":"https://countersign.example/docs/rejects.md#internal_error","title":"internal_error","status":503}"#;

/// What comes back for `wire` until the gate closes the connection, which the sender never does.
fn exchange(address: SocketAddr, wire: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(wire.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    ended.unwrap_or_else(|error| panic!("{wire:?}: {error} after {answer:?}"));
    answer
}

#[test]
fn a_body_that_is_declared_over_the_limit_is_not_waited_for() {
    let gate = SpinGate::new(DOCUMENT, &BTreeMap::new(), Faults::none()).unwrap();
    let serving = gate.serve().unwrap();
    let json = "Content-Type: application/json\r\n";
    // The last two are no size in a component, where sizes have 32 bits.
    for length in ["65537", "100000000", "5000000000", "9223372036854775807"] {
        for expect in ["", "Expect: 100-continue\r\n"] {
            for (line, fields, status, code) in [
                ("POST /postback", json, 413, "payload_too_large"),
                ("POST /collect", json, 413, "payload_too_large"),
                // The checks before the size decide first.
                ("GET /postback", json, 405, "method_not_allowed"),
                ("POST /nowhere", json, 404, "not_found"),
                ("POST /postback", "", 415, "content_type_unsupported"),
            ] {
                let wire =
                    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}{expect}Content-Length: {length}\r\n\r\n");
                let answer = exchange(serving.address(), &wire);
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{wire:?}: {answer}");
                assert!(answer.contains(&format!("{{\"error\":\"{code}\"")), "{wire:?}: {answer}");
            }
        }
    }
    assert_eq!(gate.failures(), [""; 0]);
}

#[test]
fn a_body_within_the_limit_is_asked_for() {
    let gate = SpinGate::new(DOCUMENT, &BTreeMap::new(), Faults::none()).unwrap();
    let serving = gate.serve().unwrap();
    let mut stream = TcpStream::connect(serving.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = "POST /postback/sandbox HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(go_on, *b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("signature_invalid"), "{answer}");
}

#[test]
fn a_body_that_breaks_off_is_answered_and_logged_as_every_refusal_is() {
    let gate = SpinGate::new(DOCUMENT, &BTreeMap::new(), Faults::none()).unwrap();
    let serving = gate.serve().unwrap();
    let wire = "POST /postback HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nno chunk";
    let answer = exchange(serving.address(), wire);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, INTERNAL_ERROR);
    for field in ["content-type: application/problem+json", "cache-control: no-store", "retry-after: 5"] {
        assert!(head.lines().any(|line| line == field), "{field} is not in {head}");
    }
    let line = r#"{"code":"internal_error","detail":"the request broke off before its end","request_id":""#;
    let log = gate.log();
    assert!(log.len() == 1 && log[0].text.starts_with(line), "{log:?}");
}

/// A postback that is signed with the published key of the sandbox.
const SIGNED: &str = "Content-Type: application/json\r\nContent-Length: 138\r\n\
    X-Signature: sha256=42b007208a26442842190ab8324491ad41b7b6feabc01fc8d6a3cb81cca72e6d\r\n\r\n\
    {\"click_id\":\"clk_06gzgsgd003g20g30g2gc1r85m042fwyx6vqfrye\",\"event\":\"registration\",\"event_id\":\"fc_reg_1\",\
    \"ts_event\":\"2026-11-21T09:00:00Z\"}";

#[test]
fn a_request_whose_host_says_nothing_is_answered_and_logged() {
    let gate = SpinGate::with_redirector(DOCUMENT, &BTreeMap::new(), Faults::none()).unwrap();
    let serving = gate.serve().unwrap();
    let differs = "the Host header differs from the URI's authority";
    let missing = "the request has no Host header";
    for (wire, component, reason) in [
        (
            format!(
                "POST http://tracker.example/postback/sandbox HTTP/1.1\r\nHost: other.example\r\n{SIGNED}"
            ),
            "gate",
            differs,
        ),
        (format!("POST /postback/sandbox HTTP/1.1\r\n{SIGNED}"), "gate", missing),
        (format!("POST /postback/sandbox HTTP/1.0\r\nConnection: close\r\n{SIGNED}"), "gate", missing),
        ("GET /c/demo HTTP/1.0\r\n\r\n".to_owned(), "click", missing),
        (format!("POST /postback/sandbox HTTP/1.1\r\nHost: a b\r\n{SIGNED}"), "gate", "the Host header"),
        (
            format!("POST /postback/sandbox HTTP/1.1\r\nHost: worker.spin.internal\r\n{SIGNED}"),
            "gate",
            missing,
        ),
    ] {
        let before = gate.log().len();
        let mut stream = TcpStream::connect(serving.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(wire.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap_or_else(|error| panic!("{wire:?}: {error}"));
        assert_eq!(&head[9..], b"400", "{wire:?}");
        let log = gate.log();
        let line = &log[before];
        assert_eq!((line.component.as_str(), line.stream), (component, Stream::Host), "{wire:?}");
        assert!(line.text.starts_with(&format!("request refused: {reason}")), "{wire:?}: {}", line.text);
    }
}

#[test]
fn odd_http_that_says_where_it_goes_is_answered_as_any_other() {
    let gate = SpinGate::new(DOCUMENT, &BTreeMap::new(), Faults::none()).unwrap();
    let serving = gate.serve().unwrap();
    let body_of = |head: &str| {
        let answer = exchange(serving.address(), &format!("{head}Connection: close\r\n{SIGNED}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].to_owned(), body.to_owned())
    };
    let usual = body_of("POST /postback/sandbox HTTP/1.1\r\nHost: a.example\r\n");
    // The clock of this gate stands at 1970: what matters is that the component answered.
    assert!(usual.1.contains("event_invalid"), "{usual:?}");
    for head in [
        "POST /postback/sandbox HTTP/1.0\r\nHost: a.example\r\n",
        "POST /postback/sandbox HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n",
        "POST http://tracker.example/postback/sandbox HTTP/1.1\r\nHost: tracker.example\r\n",
        "POST http://tracker.example/postback/sandbox HTTP/1.1\r\n",
    ] {
        assert_eq!(body_of(head), usual, "{head:?}");
    }
    assert_eq!(gate.failures(), [""; 0]);
}

#[test]
fn the_gate_runs_alone_without_the_two_lines_that_the_docs_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (manifest, docs) = (read("spin.toml"), read("docs/hosts.md"));
    let without: Vec<_> = manifest
        .lines()
        .filter(|line| {
            let is_named = ["allowed_outbound_hosts = [\"http://worker.spin.internal\"]", "worker_url = "]
                .iter()
                .any(|named| line.starts_with(named));
            assert!(!is_named || docs.contains(line), "docs/hosts.md does not name {line:?}");
            !is_named
        })
        .collect();
    assert_eq!(without.len() + 2, manifest.lines().count());
    let without: toml::Table = without.join("\n").parse().unwrap();
    // What Spin looks through before it runs one component: no other may be named in its allowed hosts.
    let gate = toml::to_string(&without["component"]["gate"]).unwrap();
    assert!(!gate.contains("spin.internal"), "{gate}");
    // The application of SpinGate is the gate alone, and wakes nobody.
    let alone = SpinGate::new(DOCUMENT, &BTreeMap::new(), Faults::none()).unwrap();
    let serving = alone.serve().unwrap();
    let answer = exchange(
        serving.address(),
        &format!("POST /postback/sandbox HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{SIGNED}"),
    );
    assert!(answer.contains("event_invalid"), "{answer}");
}
