//! The redirector on Spin: every answer over HTTP, what is stored of a click, and what becomes of one that cannot be stored.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a failed assertion is the answer")]

mod many;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use conformance::spin_gate::SpinGate;
use countersign_core::click::{self, ClickKey};
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::policy::{Minting, Policy};
use countersign_core::signature::{self, Message, Signed};
use countersign_core::time::Timestamp;
use countersign_host::fault::{Fault, Faults};
use countersign_host::http::{HttpReply, HttpRequest};
use rusqlite::types::Value;

const AT_MS: u64 = 1_767_225_600_000;
const DAY: i64 = 20_454;
const PHONE: &str = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
/// More than the redirector waits for a store, pauses and attempts together.
const PATIENCE: Duration = Duration::from_secs(60);

const DOCUMENT: &str = r#"{
  "version": 1,
  "environment": "production",
  "trusted_proxies": ["127.0.0.0/8"],
  "click_id": { "keys": [{ "id": "c1", "secret": { "name": "click_key" } }] },
  "receipt": { "secret": { "name": "receipt_key" } },
  "attestation": { "secret": { "name": "hop_key" } },
  "redirect": { "durability": "redirect_first", "geo_header": "cf-ipcountry" },
  "campaigns": {
    "plain": { "partner": "acme", "landing": "https://casino.example/Welcome%7E?lang=en", "parameter": "cid" },
    "sealed": { "partner": "acme", "landing": "https://casino.example/s", "click_id": "sealed" }
  },
  "partners": { "acme": { "signature": { "keys": [{ "id": "k1", "secret": { "name": "acme_key" } }] } } }
}"#;
const PLAIN: &str = "https://casino.example/Welcome%7E?lang=en&cid=";
const SEALED: &str = "https://casino.example/s?click_id=";

fn click_first() -> String {
    DOCUMENT.replace("redirect_first", "click_first")
}

fn secrets() -> BTreeMap<String, String> {
    ["click_key", "receipt_key", "hop_key", "acme_key"]
        .map(|name| (name.to_owned(), format!("{name}-that-nobody-must-ever-read-in-a-log")))
        .into()
}

fn secret(name: &str) -> Option<Vec<u8>> {
    secrets().get(name).map(|secret| secret.clone().into_bytes())
}

fn keys() -> Vec<ClickKey> {
    Minting::compile(DOCUMENT, &mut secret).unwrap().keys
}

fn start(document: &str, faults: &Faults) -> SpinGate {
    SpinGate::with_redirector(document, &secrets(), faults.clone()).unwrap()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: method.as_bytes().to_vec(),
        path: path.as_bytes().to_vec(),
        authority: b"tracker.test".to_vec(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect(),
        body: Vec::new(),
        peer: "127.0.0.1:4711".parse().unwrap(),
        certificate: None,
    }
}

fn field<'r>(reply: &'r HttpReply, name: &str) -> Option<&'r str> {
    let (_, value) = reply.headers.iter().find(|(field, _)| field == name.as_bytes())?;
    Some(std::str::from_utf8(value).unwrap())
}

/// Follows a link, which must be answered with a redirect to `landing`, and answers the click id behind it.
fn follow(app: &SpinGate, at_ms: u64, path: &str, headers: &[(&str, &str)], landing: &str) -> String {
    let reply = app.send(at_ms, request("GET", path, headers)).unwrap();
    assert_eq!(reply.status, 302, "{path}");
    let location = field(&reply, "location").unwrap();
    location.strip_prefix(landing).unwrap_or_else(|| panic!("{path}: {location}")).to_owned()
}

fn plain_id(id: &str) -> String {
    click::inspect(&keys(), id).unwrap().id.as_str().to_owned()
}

/// Asks the database until it answers as it must; a table that is not made yet has no rows.
fn eventually<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, ask: impl Fn() -> Option<T>) {
    let begin = Instant::now();
    loop {
        let found = ask();
        if found.as_ref() == Some(expected) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: {found:?} is not {expected:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn number(app: &SpinGate, sql: &str) -> Option<i64> {
    app.database().unwrap().query_row(sql, [], |row| row.get(0)).ok()
}

/// The row of a click, by column.
fn row(app: &SpinGate, click_id: &str) -> BTreeMap<String, Value> {
    eventually("the click's row", &1, || {
        number(app, &format!("SELECT count(*) FROM click WHERE click_id = '{click_id}'"))
    });
    let database = app.database().unwrap();
    let mut statement = database.prepare("SELECT * FROM click WHERE click_id = ?1").unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    statement
        .query_row([click_id], |row| {
            names.iter().map(|name| Ok((name.clone(), row.get(name.as_str())?))).collect()
        })
        .unwrap()
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// The lines of that code.
fn logged(app: &SpinGate, code: &str) -> Vec<String> {
    let start = format!("{{\"code\":\"{code}\"");
    app.log().into_iter().map(|line| line.text).filter(|line| line.starts_with(&start)).collect()
}

/// What comes back for `wire` until the application closes the connection.
fn exchange(address: SocketAddr, wire: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(wire.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// Status, header fields without `date`, and body.
fn parts(answer: &str) -> (&str, BTreeSet<&str>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
    (status, lines.filter(|line| !line.starts_with("date: ") && *line != "connection: close").collect(), body)
}

#[test]
fn every_answer_over_http() {
    let app = start(DOCUMENT, &Faults::none());
    let serving = app.serve().unwrap();
    let ask = |line: &str| {
        exchange(serving.address(), &format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    };
    for method in ["GET", "HEAD"] {
        let answer = ask(&format!("{method} /c/plain?sub1=a"));
        let (status, mut fields, body) = parts(&answer);
        assert_eq!((status, body), ("302 Found", ""));
        let location = *fields.iter().find(|field| field.starts_with("location: ")).unwrap();
        fields.remove(location);
        let id = location.strip_prefix("location: ").unwrap().strip_prefix(PLAIN).unwrap();
        assert_eq!(plain_id(id), id);
        let expected = [
            "cache-control: no-store",
            "content-length: 0",
            "referrer-policy: no-referrer",
            "x-robots-tag: noindex",
        ];
        assert_eq!(fields, BTreeSet::from(expected), "{method}");
    }
    let problem = |code: &str, hint: &str, status: u16| {
        format!(r#"{{"error":"{code}","hint":"{hint}","status":{status},"title":"{code}"}}"#)
    };
    let unknown = problem("campaign_unknown", "check the campaign's name in the link: /c/{campaign}", 404);
    let method = problem("method_not_allowed", "open the link with GET", 405);
    for (line, expected, expected_body, allow) in [
        ("GET /c/unknown", "404 Not Found", &unknown, false),
        ("GET /c/", "404 Not Found", &unknown, false),
        ("GET /c", "404 Not Found", &unknown, false),
        ("GET /c/plain/x", "404 Not Found", &unknown, false),
        ("GET /c/unknown?url=https://evil.example", "404 Not Found", &unknown, false),
        ("POST /c/plain", "405 Method Not Allowed", &method, true),
        ("PUT /c/unknown", "405 Method Not Allowed", &method, true),
        ("OPTIONS /c/plain", "405 Method Not Allowed", &method, true),
        ("DELETE /c/plain", "405 Method Not Allowed", &method, true),
    ] {
        let answer = ask(line);
        let (status, fields, body) = parts(&answer);
        assert_eq!((status, body), (expected, expected_body.as_str()), "{line}");
        assert_eq!(fields.contains("allow: GET, HEAD"), allow, "{line}");
        assert!(fields.contains("content-type: application/problem+json"), "{line}: {fields:?}");
        assert!(fields.contains("cache-control: no-store"), "{line}: {fields:?}");
        assert!(!answer.contains("location:") && !answer.contains("evil"), "{line}: {answer}");
    }
    let answer = ask("HEAD /c/unknown");
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(app.failures(), [""; 0]);
}

#[test]
fn no_request_leads_anywhere_but_to_the_landing_page() {
    let app = start(DOCUMENT, &Faults::none());
    let serving = app.serve().unwrap();
    for target in [
        "/c/plain?url=https://evil.example",
        "/c/plain?landing=//evil.example&redirect=https%3A%2F%2Fevil.example",
        "/c/plain?//evil.example",
        "/c/plain?x=%0d%0aLocation:%20https://evil.example%0d%0a%0d%0a",
        "/c/plain?cid=evil&sub1=%0aevil:%20b",
        "/c/plain?@evil.example",
        "/c/plain?%5c%5cevil.example",
        "http://evil.example/c/plain",
        "//evil.example/c/plain",
        "/c//evil.example",
        "/c/https://evil.example",
        "/c/%2f%2fevil.example",
        "/c/plain%2f..%2f..%2fevil.example",
        "/c/plain%0d%0aLocation:%20https://evil.example",
        "/c/../evil.example",
        "/c/@evil.example",
    ] {
        // Where the target has an authority the Host has to be the same.
        let host = if target.starts_with("http:") { "evil.example" } else { "a" };
        let wire = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.example\r\nX-Original-URL: //evil.example\r\n\
             Referer: https://evil.example/%0d%0aevil: b\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange(serving.address(), &wire);
        let (status, fields, _) = parts(&answer);
        assert!(
            matches!(status.split(' ').next(), Some("302" | "404" | "400" | "405")),
            "{target}: {answer}"
        );
        assert!(!answer.contains("evil"), "{target}: {answer}");
        for location in fields.iter().filter_map(|field| field.strip_prefix("location: ")) {
            plain_id(location.strip_prefix(PLAIN).unwrap_or_else(|| panic!("{target}: {location}")));
        }
    }
}

#[test]
fn what_a_click_said_is_in_its_row() {
    let app = start(DOCUMENT, &Faults::none());
    let long = "y".repeat(200);
    let query = format!(
        "utm_source=news&utm_medium=email&utm_campaign=may&utm_term={long}&utm_content=top&sub1=a+b&aff_sub2=b%20c&sub3=%7Bsub3%7D\
         &sub4=ana%40example.com&sub5=S%C3%A3o&creative_id=77&consent_version=v3&consent_analytics=0&consent_ads=1&phone=555"
    );
    let headers = [
        ("user-agent", PHONE),
        ("referer", "https://News.example/ana?mail=ana@example.com"),
        ("cf-ipcountry", "br"),
        ("x-forwarded-for", "203.0.113.77"),
    ];
    let id = follow(&app, AT_MS, &format!("/c/plain?{query}"), &headers, PLAIN);
    let mut found = row(&app, &id);
    let mut expected: BTreeMap<String, Value> = [
        ("click_id", text(&id)),
        ("campaign", text("plain")),
        ("partner", text("acme")),
        ("clicked_at", Value::Integer(AT_MS.try_into().unwrap())),
        ("kind", text("click")),
        ("counted", Value::Integer(1)),
        ("utm_source", text("news")),
        ("utm_medium", text("email")),
        ("utm_campaign", text("may")),
        ("utm_term", text(&"y".repeat(128))),
        ("utm_content", text("top")),
        ("sub1", text("a b")),
        ("sub2", text("b c")),
        ("sub3", Value::Null),
        ("sub4", Value::Null),
        ("sub5", text("São")),
        ("creative_id", text("77")),
        ("consent_version", text("v3")),
        ("consent_analytics", Value::Integer(0)),
        ("consent_ads", Value::Integer(1)),
        ("cut", text("utm_term")),
        ("referrer_host", text("news.example")),
        ("geo", text("BR")),
        ("device_class", text("mobile")),
        ("ip_prefix", text("203.0.113.0")),
        ("ip", Value::Null),
        ("agent", text("Chrome/141 Android")),
        ("user_agent", Value::Null),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    assert_eq!(found, expected);

    let id = follow(&app, AT_MS + 1, "/c/plain?consent_analytics=1", &headers, PLAIN);
    found = row(&app, &id);
    for name in ["ip", "user_agent", "ip_prefix", "agent", "consent_analytics"] {
        expected.insert(name.to_owned(), found[name].clone());
    }
    assert_eq!((&found["ip"], &found["user_agent"]), (&text("203.0.113.77"), &text(PHONE)));
    assert_eq!((&found["ip_prefix"], &found["agent"]), (&text("203.0.113.0"), &text("Chrome/141 Android")));

    // Nothing personal, nothing secret, in any line; macros and addresses by the name of their parameter.
    let lines = logged(&app, "click_stored");
    let first = r#"{"code":"click_stored","campaign":"plain","partner":"acme","kind":"click","counted":true,"unreplaced":["sub3"],"personal":["sub4"],"cut":["utm_term"]}"#;
    assert!(lines.iter().any(|line| line == first), "{lines:?}");
    for line in app.log() {
        let never = ["203.0.113", "ana", "News", "news", "Chrome", "São", "555", "that-nobody-must", "clk_"];
        assert!(!never.iter().any(|never| line.text.contains(never)), "{}", line.text);
    }
    assert_eq!(app.failures(), [""; 0]);
}

#[test]
fn only_people_are_counted() {
    let app = start(&click_first(), &Faults::none());
    for (method, headers, kind, counted) in [
        ("GET", &[("user-agent", PHONE)][..], "click", 1),
        ("GET", &[], "click", 1),
        ("HEAD", &[("user-agent", PHONE)], "head", 0),
        ("GET", &[("user-agent", CRAWLER)], "bot", 0),
        ("GET", &[("user-agent", PHONE), ("sec-purpose", "prefetch;prerender")], "prefetch", 0),
        ("GET", &[("user-agent", PHONE), ("purpose", "prefetch")], "prefetch", 0),
        ("GET", &[("user-agent", PHONE), ("x-moz", "prefetch")], "prefetch", 0),
    ] {
        let reply = app.send(AT_MS, request(method, "/c/plain", headers)).unwrap();
        assert_eq!(reply.status, 302, "{method} {headers:?}");
        let id = field(&reply, "location").unwrap().strip_prefix(PLAIN).unwrap().to_owned();
        let row = row(&app, &id);
        assert_eq!(
            (&row["kind"], &row["counted"]),
            (&text(kind), &Value::Integer(counted)),
            "{method} {headers:?}"
        );
        let line = format!(
            r#"{{"code":"click_stored","campaign":"plain","partner":"acme","kind":"{kind}","counted":{}}}"#,
            counted == 1
        );
        assert!(logged(&app, "click_stored").contains(&line), "{line}");
    }
    // What is refused leaves no row.
    for (method, path) in [("GET", "/c/unknown"), ("POST", "/c/plain"), ("OPTIONS", "/c/plain")] {
        app.send(AT_MS, request(method, path, &[])).unwrap();
    }
    assert_eq!(number(&app, "SELECT count(*) FROM click"), Some(7));
}

/// A signed deposit that brings a click id.
fn postback(event_id: &str, click_id: &str) -> HttpRequest {
    let policy = Policy::compile(DOCUMENT, &mut secret).unwrap();
    let partner = policy.partner("acme").unwrap();
    let body = format!(
        r#"{{"amount":10,"click_id":"{click_id}","currency":"EUR","event":"deposit_success","event_id":"{event_id}","ts_event":"2025-12-31T23:59:59Z"}}"#
    );
    let mut tape = Tape::default();
    let document = json::read(body.as_bytes(), &mut tape, ReadLimits::POSTBACK).unwrap();
    let message = Message { id: event_id, at: Timestamp::from_ms(AT_MS) };
    let key = partner.signature.keys.first().unwrap();
    let (scheme, place) = (partner.signature.scheme, &partner.signature.place);
    let signed = signature::sign(scheme, place, key, body.as_bytes(), &document, message).unwrap();
    let Signed::Headers(signed) = signed else { panic!("the partner signs in a header") };
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(signed.into_iter().map(|(name, value)| (name.into_string(), value)));
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    HttpRequest { body: vec![body.clone().into_bytes()], ..request("POST", "/postback/acme", &headers) }
}

#[test]
fn a_postback_with_the_click_s_id_is_accepted_plain_or_sealed() {
    let app = start(DOCUMENT, &Faults::none());
    for (campaign, landing, prefix) in [("plain", PLAIN, "clk_"), ("sealed", SEALED, "cls_")] {
        let id = follow(&app, AT_MS, &format!("/c/{campaign}"), &[], landing);
        assert!(id.starts_with(prefix), "{id}");
        let genuine = click::inspect(&keys(), &id).unwrap();
        assert_eq!(genuine.minted_at, Timestamp::from_ms(AT_MS));
        assert_eq!(row(&app, genuine.id.as_str())["campaign"], text(campaign), "the plain id is stored");
        let reply = app.send(AT_MS, postback(&format!("dep_{campaign}"), &id)).unwrap();
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let inbox = format!("SELECT count(*) FROM inbox WHERE click_id = '{}'", genuine.id.as_str());
        assert_eq!(number(&app, &inbox), Some(1), "the inbox has the plain id too");
    }
    let other = follow(&app, AT_MS, "/c/sealed", &[], SEALED);
    let mut forged = other.into_bytes();
    let last = forged.last_mut().unwrap();
    *last = if *last == b'0' { b'1' } else { b'0' };
    let reply = app.send(AT_MS, postback("dep_forged", &String::from_utf8(forged).unwrap())).unwrap();
    assert_eq!(reply.status, 422, "{}", String::from_utf8_lossy(&reply.body));
}

/// Lets the next `attempts` attempts to open the database fail.
fn close_the_store(faults: &Faults, attempts: usize) {
    for _ in 0..attempts {
        faults.plan("sqlite.open", 0, Fault::Error);
    }
}

/// An instance looks at the database when it starts.
const START: usize = 1;
/// The attempts behind the reply.
const ATTEMPTS: usize = 5;

#[test]
fn a_store_that_is_away_for_a_moment_loses_nothing() {
    for document in [DOCUMENT, &click_first()] {
        let faults = Faults::none();
        let app = start(document, &faults);
        close_the_store(&faults, START + ATTEMPTS - 2);
        let id = follow(&app, AT_MS, "/c/plain", &[], PLAIN);
        row(&app, &id);
        eventually("the log", &1, || Some(logged(&app, "click_stored").len()));
        assert_eq!(logged(&app, "click_lost"), [""; 0]);
        assert_eq!(number(&app, "SELECT count(*) FROM click_lost"), Some(0));
    }
}

#[test]
fn a_click_that_cannot_be_stored_is_redirected_and_counted_as_lost() {
    for (document, before_the_reply) in [(DOCUMENT, 0), (&click_first(), 1)] {
        let faults = Faults::none();
        let app = start(document, &faults);
        close_the_store(&faults, START + 2 * (before_the_reply + ATTEMPTS));
        let begin = Instant::now();
        follow(&app, AT_MS, "/c/plain", &[("user-agent", PHONE)], PLAIN);
        follow(&app, AT_MS, "/c/sealed", &[], SEALED);
        assert!(begin.elapsed() < Duration::from_secs(4), "nobody waits for all attempts");
        eventually("the log", &2, || Some(logged(&app, "click_lost").len()));
        assert!(
            logged(&app, "click_lost").contains(
                &r#"{"code":"click_lost","campaign":"plain","partner":"acme","kind":"click","counted":true}"#
                    .to_owned()
            )
        );
        // The store is back. A count whose writing is interrupted is written again, and is no other count then.
        let id = follow(&app, AT_MS + 1, "/c/plain", &[], PLAIN);
        row(&app, &id);
        let lost = || number(&app, &format!("SELECT sum(count) FROM click_lost WHERE day = {DAY}"));
        eventually("the count", &2, lost);
        let id = follow(&app, AT_MS + 2, "/c/plain", &[], PLAIN);
        row(&app, &id);
        assert_eq!(lost(), Some(2));
        let campaigns = "SELECT count(DISTINCT campaign) FROM click_lost WHERE count = 1";
        assert_eq!(number(&app, campaigns), Some(2));
        assert_eq!(number(&app, "SELECT count(*) FROM click"), Some(2));
        assert_eq!(app.failures(), [""; 0]);
    }
}

/// More calls of one name than a first click makes where the tables are there.
const CALLS_MAX: u64 = 10;

#[test]
fn whatever_fails_once_leaves_one_row() {
    let faults_of_every_kind = [
        Fault::Error,
        Fault::Conflict,
        Fault::Garbage(Vec::new()),
        Fault::Garbage(b"\xff\x00garbage".to_vec()),
        Fault::ErrorAfterEffect,
    ];
    for call in ["sqlite.open", "sqlite.execute"] {
        for fault in &faults_of_every_kind {
            let mut struck = 0;
            for after in 0..CALLS_MAX {
                let faults = Faults::none();
                let app = start(DOCUMENT, &faults);
                // The gate makes the tables.
                app.send(AT_MS, request("GET", "/postback", &[])).unwrap();
                let before = faults.calls()[call];
                faults.plan(call, after, fault.clone());
                let id = follow(&app, AT_MS, "/c/plain", &[], PLAIN);
                row(&app, &id);
                eventually("the log", &1, || Some(logged(&app, "click_stored").len()));
                assert_eq!(app.failures(), [""; 0], "{call} {after} {fault:?}");
                if faults.calls()[call] - before <= after {
                    break;
                }
                struck += 1;
            }
            assert!((1..CALLS_MAX).contains(&struck), "{call} {fault:?}: {struck}");
        }
    }
}

#[test]
fn a_count_of_lost_clicks_is_written_once_whatever_fails() {
    let faults = Faults::none();
    let app = start(DOCUMENT, &faults);
    close_the_store(&faults, START + ATTEMPTS);
    follow(&app, AT_MS, "/c/plain", &[], PLAIN);
    eventually("the log", &1, || Some(logged(&app, "click_lost").len()));
    let calls = || faults.calls().get("sqlite.execute").copied().unwrap_or(0);
    assert_eq!(calls(), 0, "the store was never open");
    // The gate makes the tables, so that the next click needs two statements to find them, and one of its own. Then comes the count,
    // which is written without an answer.
    app.send(AT_MS, request("GET", "/postback", &[])).unwrap();
    let made = calls();
    faults.plan("sqlite.execute", 3, Fault::ErrorAfterEffect);
    let id = follow(&app, AT_MS + 1, "/c/plain", &[], PLAIN);
    row(&app, &id);
    eventually("the first writing", &1, || number(&app, "SELECT sum(count) FROM click_lost"));
    eventually("the fault", &(made + 4), || Some(calls()));
    let id = follow(&app, AT_MS + 2, "/c/plain", &[], PLAIN);
    row(&app, &id);
    eventually("the second writing", &(made + 6), || Some(calls()));
    assert_eq!(number(&app, "SELECT sum(count) FROM click_lost"), Some(1));
}

#[test]
fn a_count_of_lost_clicks_is_written_without_another_click() {
    let faults = Faults::none();
    let app = start(DOCUMENT, &faults);
    close_the_store(&faults, START + ATTEMPTS);
    follow(&app, AT_MS, "/c/plain", &[], PLAIN);
    eventually("the count", &1, || number(&app, "SELECT sum(count) FROM click_lost"));
    assert_eq!(number(&app, "SELECT count(*) FROM click"), Some(0));
}

#[test]
fn a_crowd_is_stored_to_the_last_click() {
    let app = start(DOCUMENT, &Faults::none());
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..20 {
                    follow(&app, AT_MS, "/c/plain", &[], PLAIN);
                }
            });
        }
    });
    eventually("all clicks", &400, || number(&app, "SELECT count(*) FROM click"));
    eventually("the log", &400, || Some(logged(&app, "click_stored").len()));
    assert_eq!(logged(&app, "click_lost"), [""; 0]);
    assert_eq!(app.failures(), [""; 0]);
}

#[test]
fn an_event_that_came_before_its_click_is_woken_by_it() {
    let faults = Faults::none();
    let app = start(DOCUMENT, &faults);
    assert_eq!(
        app.send(
            AT_MS,
            postback("dep_0", &click::mint(&keys()[0], Timestamp::from_ms(1), [0; 8]).to_string())
        )
        .unwrap()
        .status,
        200
    );
    // The gate has its connection; the click's is refused for some seconds.
    close_the_store(&faults, START + ATTEMPTS - 1);
    let id = follow(&app, AT_MS, "/c/plain", &[], PLAIN);
    assert_eq!(app.send(AT_MS + 1, postback("dep_1", &id)).unwrap().status, 200);
    // As a worker leaves it that does not know the click.
    let later = i64::try_from(AT_MS + 60_000).unwrap();
    let of_click = "inbox_id = (SELECT id FROM inbox WHERE event_id = 'dep_1')";
    let sql = format!("UPDATE queue SET waits_for = 'click:{id}', due_at = {later} WHERE {of_click}");
    assert_eq!(app.database().unwrap().execute(&sql, []).unwrap(), 1);
    assert_eq!(number(&app, "SELECT count(*) FROM click"), Some(0));
    row(&app, &id);
    let due = |condition: &str| number(&app, &format!("SELECT due_at FROM queue WHERE {condition}"));
    assert_eq!(due(of_click), Some(i64::try_from(AT_MS).unwrap()));
    assert_eq!(
        due("inbox_id = (SELECT id FROM inbox WHERE event_id = 'dep_0')"),
        Some(i64::try_from(AT_MS).unwrap())
    );
}

#[test]
fn a_wrong_configuration_redirects_nobody_and_says_so_once() {
    let wrong = DOCUMENT.replace("https://casino.example/s", "//casino.example/s");
    let app = start(&wrong, &Faults::none());
    for _ in 0..5 {
        let reply = app.send(AT_MS, request("GET", "/c/plain", &[])).unwrap();
        assert_eq!((reply.status, field(&reply, "location")), (503, None));
        assert!(field(&reply, "retry-after").is_some());
    }
    let said = |text: &str| app.log().iter().filter(|line| line.text.contains(text)).count();
    assert_eq!(said("campaigns.sealed.landing"), 1);
    assert_eq!(said(r#"{"code":"internal_error""#), 5);
}
