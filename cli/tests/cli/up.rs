//! `countersign up`: the application itself, over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::application::{Up, wasm};
use crate::support::{Folder, countersign, program};

fn deposit(event_id: &str, amount: &str) -> String {
    let click_id = countersign(&["click", "mint", "--sandbox"]).stdout();
    format!(
        r#"{{"event":"deposit_success","event_id":"{event_id}","click_id":"{}","amount":{amount},"currency":"EUR","ts_event":"2025-10-21T15:12:31Z"}}"#,
        click_id.trim()
    )
}

#[test]
fn the_reference_flow_is_right() {
    let Some(wasm) = wasm("the_reference_flow_is_right") else { return };
    let folder = Folder::new();
    let state = folder.path("state").to_str().unwrap().to_owned();
    for _ in 0..2 {
        let call =
            countersign(&["up", "--once", "--state", &state]).env("COUNTERSIGN_WASM", wasm.to_str().unwrap());
        let said = call.run();
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(said.stdout.lines().filter(|line| line.ends_with(" ok")).count(), 6, "{said:?}");
        assert!(said.stdout.contains("403 signature_invalid"), "{said:?}");
    }
}

#[test]
fn the_announced_curl_works_when_pasted() {
    let Some(wasm) = wasm("the_announced_curl_works_when_pasted") else { return };
    let folder = Folder::new();
    let up = Up::start(&wasm, &folder.path("state"));
    let paste = || program(Command::new("sh").args(["-c", &up.curl]));
    let answer = paste();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"idempotent\":false"), "{answer}");
    // An instance that has nothing to do ends after a second; the next one starts with the same configuration and inbox.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let answer = paste();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"idempotent\":true"), "{answer}");
}

#[test]
fn the_demo_campaign_leads_to_its_landing_page_and_is_one_line() {
    let Some(wasm) = wasm("the_demo_campaign_leads_to_its_landing_page_and_is_one_line") else { return };
    let folder = Folder::new();
    let mut up = Up::start(&wasm, &folder.path("state"));
    assert!(
        up.announced.iter().any(|line| line.trim() == format!("clicks          {}/c/{{campaign}}", up.base))
    );
    assert!(up.announced.iter().any(|line| line.trim() == "campaigns       demo"), "{:?}", up.announced);
    let mut stream = TcpStream::connect(up.base.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /c/demo?sub1=a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (_, location) = reply.split_once("location: https://operator.example/welcome?click_id=").unwrap();
    let click_id = location.split_once("\r\n").unwrap().0;
    let said = countersign(&["click", "inspect", "--sandbox", click_id]).stdout();
    assert!(said.contains(click_id), "{said}");
    let line =
        up.lines.by_ref().map(|line| line.unwrap()).find(|line| line.contains("click_stored")).unwrap();
    assert!(line.ends_with("campaign=demo partner=sandbox kind=click"), "{line}");
    // The manifest that runs gives the redirector no key but those of click ids.
    let manifest = std::fs::read_to_string(folder.path("state").join("spin.toml")).unwrap();
    let (_, variables) = manifest.split_once("[component.click.variables]\n").unwrap();
    let variables: Vec<&str> = variables.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(variables, ["click_key = \"{{ click_key }}\""]);
}

#[test]
fn the_inbox_remembers_over_a_restart_and_each_request_is_one_line() {
    let Some(wasm) = wasm("the_inbox_remembers_over_a_restart_and_each_request_is_one_line") else { return };
    let folder = Folder::new();
    let state = folder.path("state");
    let mut up = Up::start(&wasm, &state);
    let payload = deposit("dep_1", "10");
    let (status, first) = up.post(&payload);
    assert!(status == 200 && first.contains("\"idempotent\":false"), "{status} {first}");
    let line = up.lines.by_ref().map(|line| line.unwrap()).find(|line| line.contains("accepted")).unwrap();
    assert!(line.contains("event_id=dep_1") && line.contains("partner=sandbox"), "{line}");
    assert_eq!(up.interrupt(), Some(0));

    let up = Up::start(&wasm, &state);
    let (status, again) = up.post(&payload);
    assert_eq!((status, again), (200, first.replace("\"idempotent\":false", "\"idempotent\":true")));
    let (status, other) = up.post(&deposit("dep_1", "11"));
    assert!(status == 422 && other.contains("event_id_reused"), "{status} {other}");
}

#[test]
fn every_row_of_the_table_answers_over_http() {
    let Some(wasm) = wasm("every_row_of_the_table_answers_over_http") else { return };
    let folder = Folder::new();
    let up = Up::start(&wasm, &folder.path("state"));
    let json = "content-type: application/json";
    for (head, body, status, error) in [
        ("GET /postback HTTP/1.1".to_owned(), String::new(), 405, "method_not_allowed"),
        ("POST /postback/a/b HTTP/1.1".to_owned(), String::new(), 404, "not_found"),
        ("POST /postback/sandbox HTTP/1.1".to_owned(), "{}".to_owned(), 415, "content_type_unsupported"),
        (format!("POST /postback/sandbox HTTP/1.1\r\n{json}"), " ".repeat(70_000), 413, "payload_too_large"),
        (format!("POST /postback HTTP/1.1\r\n{json}"), "{}".to_owned(), 401, "token_missing"),
        (format!("POST /postback/nobody HTTP/1.1\r\n{json}"), "{}".to_owned(), 403, "partner_unknown"),
        (format!("POST /postback/sandbox HTTP/1.1\r\n{json}"), "{".to_owned(), 400, "payload_malformed"),
        (format!("POST /postback/sandbox HTTP/1.1\r\n{json}"), "{}".to_owned(), 403, "signature_invalid"),
        // Without an attestation; with one that nobody made.
        (format!("POST /collect HTTP/1.1\r\n{json}"), "{}".to_owned(), 503, "attestation_invalid"),
    ] {
        let (answered, reply) = up.send(&head, &body);
        assert!(
            answered == status && reply.contains(&format!("\"error\":\"{error}\"")),
            "{head}: {answered} {reply}"
        );
    }
    let (status, reply) = up.post(&deposit("dep_1", "10").replace("EUR", "eur"));
    assert!(status == 422 && reply.contains("/currency"), "{status} {reply}");
    let (status, reply) = up.post(&deposit("dep_1", "10").replace("clk_", "clk_0"));
    assert!(status == 422 && reply.contains("click_id_invalid"), "{status} {reply}");
}

/// The attestation as `components/core/src/attestation.rs` tells an upstream to compute it.
const ATTEST: &str = r#"
import base64, hashlib, hmac, sys, time
key, partner, event_id, body, ahead = (argument.encode() for argument in sys.argv[1:6])
t = b"%d" % (time.time() * 1000 + int(ahead))
parts = [t, partner, event_id, hashlib.sha256(body).digest()]
message = b"countersign attestation v1\n" + b"".join(b"%d:%s\n" % (len(p), p) for p in parts)
tag = hmac.new(key, message, "sha256").digest()
print("v1;t=%s;mac=%s" % (t.decode(), base64.urlsafe_b64encode(tag).rstrip(b"=").decode()))
"#;

#[test]
fn an_event_that_a_filter_vouches_for_is_collected() {
    let Some(wasm) = wasm("an_event_that_a_filter_vouches_for_is_collected") else { return };
    let folder = Folder::new();
    let up = Up::start(&wasm, &folder.path("state"));
    let key = "countersign-sandbox-hop-key-is-published";
    let attest = |key: &str, body: &str, ahead: &str| {
        program(Command::new("python3").args(["-c", ATTEST, key, "sandbox", "dep_7", body, ahead]))
    };
    let collect = |attestation: &str, body: &str| {
        let head = format!(
            "POST /collect HTTP/1.1\r\ncontent-type: application/json\r\nx-countersign-partner: sandbox\r\n\
             x-countersign-event-id: dep_7\r\nx-countersign-attestation: {}",
            attestation.trim()
        );
        up.send(&head, body)
    };
    let body = deposit("dep_7", "10");
    for (attestation, body) in [
        (attest("another key", &body, "0"), &body),
        (attest(key, &body, "-400000"), &body),
        (attest(key, &body, "0"), &body.replace(":10,", ":11,")),
    ] {
        let (status, reply) = collect(&attestation, body);
        assert!(status == 503 && reply.contains("attestation_invalid"), "{status} {reply}");
    }
    let (status, reply) = collect(&attest(key, &body, "0"), &body);
    assert!(status == 200 && reply.contains("\"idempotent\":false"), "{status} {reply}");
    let (status, reply) = collect(&attest(key, &body, "0"), &body);
    assert!(status == 200 && reply.contains("\"idempotent\":true"), "{status} {reply}");
    // It is the same event, whichever way it comes.
    let (status, reply) = up.post(&body);
    assert!(status == 200 && reply.contains("\"idempotent\":true"), "{status} {reply}");
}

#[test]
fn a_bad_configuration_stops_the_start() {
    let folder = Folder::new();
    let file = folder
        .file("countersign.json", r#"{ "version": 1, "environment": "sandbox", "dedup": { "slots": 1 } }"#);
    let said = countersign(&["up", "--config", &file]).run();
    assert!(said.code == 2 && said.stderr.contains("dedup.slots"), "{said:?}");
    let said = countersign(&["up", "--app", "nowhere.toml"]).run();
    assert!(said.code == 2 && said.stderr.contains("--app"), "{said:?}");
    let said = countersign(&["up", "--once", "--against", "ftp://x"]).run();
    assert_eq!(said.code, 2, "{said:?}");
    let said = countersign(&["up", "--once", "--against", "http://127.0.0.1:1"]).run();
    assert!(said.code == 1 && said.stderr.contains("nobody listens there"), "{said:?}");
}

#[test]
fn a_configuration_of_one_s_own_brings_its_partners_and_secrets() {
    let Some(wasm) = wasm("a_configuration_of_one_s_own_brings_its_partners_and_secrets") else { return };
    let folder = Folder::new();
    let document = r#"{ "version": 1, "environment": "sandbox",
        "receipt": { "secret": { "name": "sandbox_receipt" } },
        "click_id": { "keys": [{ "id": "c1", "secret": { "name": "sandbox_click" } }] } }"#;
    let file = folder.file("countersign.json", document);
    let state = folder.path("state").to_str().unwrap().to_owned();
    let up = || {
        countersign(&["up", "--once", "--config", &file, "--state", &state])
            .env("COUNTERSIGN_WASM", wasm.to_str().unwrap())
            .env("sandbox_click", "one secret")
    };
    // The flow's click ids and the receipts that it checks are of these keys, not of the published ones.
    let said = up().env("SPIN_VARIABLE_SANDBOX_RECEIPT", "another").run();
    assert_eq!(said.code, 0, "{said:?}");
    let said = up().run();
    assert!(said.code == 2 && said.stderr.contains("sandbox_receipt"), "{said:?}");
}
