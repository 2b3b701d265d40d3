//! The gate on Spin over TCP: what it answers to a body that is announced and does not come.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a failed assertion is the answer")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use conformance::spin_gate::SpinGate;
use countersign_host::fault::Faults;

const DOCUMENT: &str = r#"{ "version": 1, "environment": "sandbox" }"#;

/// The body of every `internal_error`.
const INTERNAL_ERROR: &str = r#"{"error":"internal_error","hint":"nothing was accepted; retry after Retry-After","type":"docs/rejects.md#internal_error","title":"internal_error","status":503}"#;

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
    let line = r#"{"code":"internal_error","detail":"the request broke off before its end"}"#;
    assert_eq!(gate.log().iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), [line]);
}
