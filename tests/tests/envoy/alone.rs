//! What Envoy answers by itself, before the filter: `envoy/README.md` lists it, and each line of the list is seen here. The rest is
//! ours, odd forms of HTTP among it.

use std::io::Read as _;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use conformance::envoy::workspace;

use crate::http2::Sender;
use crate::sender::{Postback, deposit};
use crate::world::{World, accepted};

/// Sends bytes on a connection of their own; everything that comes back until the proxy closes it or falls silent.
fn raw(world: &World, bytes: &[u8], patience: Duration) -> (String, bool) {
    let mut client = world.envoy.connect(0).unwrap();
    client.send(bytes).unwrap();
    until_silent(client.stream(), patience)
}

/// What arrives, and whether the connection is closed.
fn until_silent(mut stream: &TcpStream, patience: Duration) -> (String, bool) {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut bytes = Vec::new();
    let closed = stream.read_to_end(&mut bytes).is_ok();
    (String::from_utf8_lossy(&bytes).into_owned(), closed)
}

fn status_and_body(answer: &str) -> (&str, &str) {
    let status = answer.split(' ').nth(1).unwrap_or("");
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body))
}

/// One line of README's list: what is sent, and status and body of what comes back.
struct Alone {
    what: &'static str,
    bytes: Vec<u8>,
    status: &'static str,
    body: &'static str,
}

/// A good postback with one part of it replaced.
fn bent(from: &str, to: &str) -> Vec<u8> {
    bent_event("evt_1", from, to)
}

fn bent_event(event_id: &str, from: &str, to: &str) -> Vec<u8> {
    let event = deposit(event_id);
    let head = String::from_utf8(event.head(&format!("content-length: {}", event.body.len()))).unwrap();
    assert!(head.contains(from), "{from}");
    [head.replacen(from, to, 1).as_bytes(), &event.body].concat()
}

fn alone() -> Vec<Alone> {
    let case = |what, bytes, status, body| Alone { what, bytes, status, body };
    let fields = |count: u32| (0..count).map(|index| format!("x-{index}: 1\r\n")).collect::<String>();
    vec![
        case("no `Host` over HTTP/1.1", bent("host: gate.test\r\n", ""), "400", ""),
        case("a fragment in the path", bent("/sandbox ", "/sandbox#x "), "400", ""),
        case(
            "`https:` in absolute form over plain text",
            bent(" /postback", " https://gate.test/postback"),
            "403",
            "Forbidden",
        ),
        case("`OPTIONS *`", b"OPTIONS * HTTP/1.1\r\nhost: gate.test\r\n\r\n".to_vec(), "404", ""),
        case(
            "a transfer coding that is not `chunked`",
            bent("content-length: ", "transfer-encoding: gzip\r\nx: "),
            "501",
            "Not Implemented",
        ),
        case(
            "two lengths, or a length and chunks",
            bent("content-length: ", "content-length: 1\r\ncontent-length: "),
            "400",
            "Bad Request",
        ),
        case(
            "two lengths, or a length and chunks",
            bent("content-length: ", "transfer-encoding: chunked\r\ncontent-length: "),
            "400",
            "Bad Request",
        ),
        case("what is not HTTP", b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), "400", "Bad Request"),
        case(
            "a path outside ASCII, or with a space",
            bent("/postback", "/post\u{e9}back"),
            "400",
            "Bad Request",
        ),
        case("a path outside ASCII, or with a space", bent("/postback", "/post back"), "400", "Bad Request"),
        case("a method that is not a token of HTTP", bent("POST ", "post "), "400", "Bad Request"),
        case(
            "more than 100 fields, or fields over 60 KiB",
            bent("content-length: ", &format!("{}content-length: ", fields(101))),
            "431",
            "Request Header Fields Too Large",
        ),
        case(
            "more than 100 fields, or fields over 60 KiB",
            bent("content-length: ", &format!("x: {}\r\ncontent-length: ", "a".repeat(70_000))),
            "431",
            "Request Header Fields Too Large",
        ),
    ]
}

#[test]
fn readme_lists_what_envoy_answers_by_itself() {
    let readme = std::fs::read_to_string(workspace().join("envoy/README.md")).unwrap();
    let world = World::start();
    for Alone { what, bytes, status, body } in alone() {
        let (answer, _) = raw(&world, &bytes, Duration::from_secs(1));
        assert_eq!(status_and_body(&answer), (status, body), "{what}: {answer}");
        let shown = if body.is_empty() { "none".to_owned() } else { format!("`{body}`") };
        let line = format!("| {what} | {status} | {shown} |");
        assert!(readme.contains(&line), "envoy/README.md lacks the line {line}");
    }
    world.saw(&[]);
    accepted(&world.send(&deposit("evt_1")), false);
}

#[test]
fn slow_senders_are_answered_408_in_two_forms() {
    let readme = std::fs::read_to_string(workspace().join("envoy/README.md")).unwrap();
    let world = World::start();
    let whole = deposit("evt_1").bytes();
    for (what, bytes, body) in [
        ("header fields that take longer than 5 s", &whole[..40], "request header timeout"),
        ("a request that takes longer than 10 s", &whole[..whole.len() - 10], "request timeout"),
    ] {
        let (answer, closed) = raw(&world, bytes, Duration::from_secs(14));
        assert_eq!((status_and_body(&answer), closed), (("408", body), true), "{answer}");
        let line = format!("| {what} | 408 | `{body}` |");
        assert!(readme.contains(&line), "envoy/README.md lacks the line {line}");
    }
    world.saw(&[]);
}

#[test]
fn over_http_2_envoy_resets_what_it_does_not_take() {
    let world = World::start();
    let mut sender = Sender::connect(world.envoy.address(0));
    let many = (0..101).fold(deposit("evt_1"), |event, index| event.with(&format!("x-{index}"), b"1"));
    assert!(sender.send(&many, &[]).is_none_or(|heard| heard.status == 431));
    let mut sender = Sender::connect(world.envoy.address(0));
    assert_eq!(sender.send(&deposit("evt_1"), &[]).unwrap().status, 200);
    world.saw(&["evt_1"]);
}

/// The answer to a postback in an odd form is ours: 200 with a receipt.
#[track_caller]
fn is_accepted(world: &World, bytes: &[u8], version: &str) {
    let (answer, closed) = raw(world, bytes, Duration::from_secs(1));
    assert!(answer.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{answer}");
    assert!(status_and_body(&answer).1.contains(r#""status":"ok""#), "{answer}");
    assert_eq!(closed, version == "1.0", "{answer}");
    world.canary.wait_for(1).unwrap();
    assert_eq!(world.canary.take().len(), 1);
}

#[test]
fn odd_forms_of_http_are_answered_by_the_gate() {
    let world = World::start();
    is_accepted(&world, &bent_event("evt_1", "HTTP/1.1", "HTTP/1.0"), "1.0");
    is_accepted(&world, &bent_event("evt_2", "HTTP/1.1\r\nhost: gate.test", "HTTP/1.0"), "1.0");
    for (id, protocol) in [("evt_3", "websocket"), ("evt_4", "TLS/1.2"), ("evt_5", "h2c")] {
        let upgrade = format!("connection: Upgrade\r\nupgrade: {protocol}\r\ncontent-length: ");
        is_accepted(&world, &bent_event(id, "content-length: ", &upgrade), "1.1");
    }
    is_accepted(&world, &bent_event("evt_6", " /postback", " http://tracker.example/postback"), "1.1");
    is_accepted(&world, &bent_event("evt_7", "host: gate.test", "host: a.example\r\nhost: b.example"), "1.1");
    // Other versions count as HTTP/1.0.
    is_accepted(&world, &bent_event("evt_8", "HTTP/1.1", "HTTP/1.2"), "1.0");
    is_accepted(&world, &bent_event("evt_9", "content-length: ", "expect: other\r\ncontent-length: "), "1.1");
    is_accepted(
        &world,
        &bent_event("evt_10", "content-length: ", "x-folded: a\r\n b\r\ncontent-length: "),
        "1.1",
    );
}

#[test]
fn other_methods_are_refused_by_the_gate_at_once() {
    let world = World::start();
    for request in ["TRACE /postback", "CONNECT gate.test:443", "GET /postback"] {
        let bytes = format!("{request} HTTP/1.1\r\nhost: gate.test\r\n\r\n");
        let (answer, _) = raw(&world, bytes.as_bytes(), Duration::from_secs(1));
        assert_eq!(status_and_body(&answer).0, "405", "{request}: {answer}");
    }
}

#[test]
fn the_query_is_handed_on() {
    let world = World::start();
    accepted(&world.send(&deposit("evt_1").to("/postback/sandbox?source=old&x=1")), false);
    assert_eq!(world.canary.take()[0].path, "/collect?source=old&x=1");
}

#[test]
fn a_half_closed_connection_is_not_answered_though_its_event_is_delivered() {
    let world = World::start();
    let late = conformance::envoy::canary::Reply { status: 200, headers: Vec::new(), body: Vec::new() };
    world.canary.script([conformance::envoy::Behaviour::Late(Duration::from_millis(500), late)]);
    let event: Postback = deposit("evt_1");
    let mut client = world.envoy.connect(0).unwrap();
    client.send(&event.bytes()).unwrap();
    world.canary.wait_for(1).unwrap();
    client.stream().shutdown(Shutdown::Write).unwrap();
    let (answer, closed) = until_silent(client.stream(), Duration::from_secs(5));
    assert_eq!((answer.as_str(), closed), ("", true));
    assert_eq!(world.canary.take().len(), 1);
}
