//! Every framing of an upstream's answer: the sender gets a whole answer, on a connection that stays usable.
//!
//! The table is framing × status × protocol. The answers of one pair of protocols go over one connection of the sender, each followed
//! by another request: whatever is left over of an answer would be taken for the next one.

use std::sync::atomic::{AtomicU32, Ordering};

use conformance::envoy::{Behaviour, Bootstrap, Client, EnvoyProcess};
use serde_json::json;

use crate::http2::{Answer, Sender, Upstream};
use crate::sender::{Postback, deposit};
use crate::world::World;

/// Statuses whose answer may have a body.
const WITH_BODY: [u16; 9] = [200, 201, 202, 302, 400, 409, 422, 500, 503];
/// Statuses whose answer has none.
const WITHOUT_BODY: [u16; 2] = [204, 304];

/// What a sender heard, over either protocol.
#[derive(Debug)]
struct Whole {
    status: u16,
    length: Option<usize>,
    body: Vec<u8>,
}

/// A sender's connection of either protocol.
enum Connection {
    One(Client),
    Two(Sender),
}

impl Connection {
    #[track_caller]
    fn send(&mut self, postback: &Postback, case: &str) -> Whole {
        let (status, length, body) = match self {
            Self::One(client) => {
                client.send(&postback.bytes()).unwrap_or_else(|error| panic!("{case}: {error:#}"));
                let response = client.response().unwrap_or_else(|error| panic!("{case}: {error:#}"));
                (response.status, response.header("content-length").map(str::to_owned), response.body)
            }
            Self::Two(sender) => {
                let heard = sender.send(postback, &[]).unwrap_or_else(|| panic!("{case}: reset"));
                assert!(heard.trailers.is_empty() || heard.status >= 400, "{case}: {:?}", heard.trailers);
                let own = |name: &str| name.starts_with("x-countersign-");
                assert!(
                    !heard.headers.keys().chain(heard.trailers.keys()).any(|name| own(name.as_str())),
                    "{case}"
                );
                let length = heard.headers.get("content-length");
                (heard.status, length.map(|length| length.to_str().unwrap().to_owned()), heard.body)
            }
        };
        Whole { status, length: length.map(|length| length.parse().unwrap()), body }
    }
}

/// The answer is whole: ours to a status that is replaced, the upstream's own to a refusal of its own.
#[track_caller]
fn is_whole(whole: &Whole, upstream_status: u16, upstream_body: &str, case: &str) {
    assert!(whole.length.is_none_or(|length| length == whole.body.len()), "{case}: {whole:?}");
    if (400..500).contains(&upstream_status) {
        assert_eq!(
            (whole.status, whole.body.as_slice()),
            (upstream_status, upstream_body.as_bytes()),
            "{case}"
        );
        return;
    }
    let json: serde_json::Value =
        serde_json::from_slice(&whole.body).unwrap_or_else(|_| panic!("{case}: {whole:?}"));
    if (200..300).contains(&upstream_status) {
        assert_eq!((whole.status, &json["status"]), (200, &json!("ok")), "{case}");
    } else {
        assert!(whole.status >= 500 && json["error"].is_string(), "{case}: {whole:?}");
    }
}

/// One answer of the upstream, which is ready; then another request over the same connection.
#[track_caller]
fn one_case(connection: &mut Connection, status: u16, framing: &str, body: &str) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let case = format!("{status} {framing}");
    is_whole(&connection.send(&deposit(&format!("evt_{number}")), &case), status, body, &case);
    let next = connection.send(&deposit("evt_next").signed("not the key"), &case);
    let json: serde_json::Value = serde_json::from_slice(&next.body).unwrap_or_default();
    assert_eq!((next.status, &json["error"]), (403, &json!("signature_invalid")), "after {case}: {next:?}");
}

/// The framings of HTTP/1: name, header lines, what follows them, the body it amounts to, whether the connection ends it.
const OF_HTTP_1: [(&str, &str, &str, &str, bool); 7] = [
    ("with a declared length", "content-length: 4\r\n", "body", "body", false),
    ("of length 0", "content-length: 0\r\n", "", "", false),
    (
        "in chunks",
        "transfer-encoding: chunked\r\n",
        "2\r\nbo\r\n1\r\nd\r\n1\r\ny\r\n0\r\n\r\n",
        "body",
        false,
    ),
    ("of no chunk", "transfer-encoding: chunked\r\n", "0\r\n\r\n", "", false),
    ("of trailers alone", "transfer-encoding: chunked\r\ntrailer: x-t\r\n", "0\r\nx-t: 1\r\n\r\n", "", false),
    (
        "of chunks and trailers",
        "transfer-encoding: chunked\r\n",
        "4\r\nbody\r\n0\r\nx-countersign-duplicate-of: e\r\n\r\n",
        "body",
        false,
    ),
    ("that the connection ends", "connection: close\r\n", "body", "body", true),
];

fn every_answer_of_http_1(world: &World, connection: &mut Connection) {
    let script = |status: u16, fields: &str, rest: &str, closes: bool| {
        let head = format!("HTTP/1.1 {status} Canary\r\n{fields}x-countersign-anything: evt_0\r\n\r\n");
        world.canary.instead(Behaviour::Raw { bytes: [head.as_bytes(), rest.as_bytes()].concat(), closes });
    };
    for (framing, fields, rest, body, closes) in OF_HTTP_1 {
        for status in WITH_BODY {
            script(status, fields, rest, closes);
            one_case(connection, status, framing, body);
        }
    }
    for status in WITHOUT_BODY {
        script(status, "", "", false);
        one_case(connection, status, "without a body", "");
    }
    script(304, "content-length: 4\r\n", "", false);
    one_case(connection, 304, "with the length of another answer", "");
}

/// The framings of HTTP/2: name, declared length, frames, whether trailers end it.
const OF_HTTP_2: [(&str, Option<&str>, &[&str], bool); 8] = [
    ("that its headers end", None, &[], false),
    ("of length 0 that its headers end", Some("0"), &[], false),
    ("of one empty frame", None, &[""], false),
    ("of length 0 and one empty frame", Some("0"), &[""], false),
    ("of one frame", Some("4"), &["body"], false),
    ("of many frames", None, &["", "b", "od", "", "y", ""], false),
    ("of trailers alone", None, &[], true),
    ("of frames and trailers", Some("4"), &["bo", "dy"], true),
];

fn every_answer_of_http_2(upstream: &Upstream, connection: &mut Connection) {
    for (framing, length, frames, trailers) in OF_HTTP_2 {
        let statuses = if frames.is_empty() && !trailers { &WITHOUT_BODY[..] } else { &[] };
        for status in WITH_BODY.iter().chain(statuses) {
            let mut headers = vec![("x-countersign-anything", "evt_0".to_owned())];
            headers.extend(length.map(|length| ("content-length", length.to_owned())));
            upstream.script(Answer { status: *status, headers, frames: frames.to_vec(), trailers });
            one_case(connection, *status, framing, &frames.concat());
        }
    }
}

/// Room for every case of a table at once.
const DOCUMENT: &str = r#"{ "version": 1, "environment": "sandbox", "limits": { "source_requests_per_minute": 60000 },
    "dedup": { "slots": 65536, "entries_per_slot": 8 }, "trusted_proxies": ["127.0.0.0/8"] }"#;

fn roomy(bootstrap: &mut Bootstrap) {
    bootstrap.listeners[0].configuration = Some(DOCUMENT.to_owned());
}

#[test]
fn every_answer_over_http_1_is_whole_for_a_sender_over_http_1() {
    let world = World::with(roomy);
    every_answer_of_http_1(&world, &mut Connection::One(world.envoy.connect(0).unwrap()));
}

#[test]
fn every_answer_over_http_1_is_whole_for_a_sender_over_http_2() {
    let world = World::with(roomy);
    every_answer_of_http_1(&world, &mut Connection::Two(Sender::connect(world.envoy.address(0))));
}

/// Envoy in front of an upstream that speaks HTTP/2.
fn in_front_of_http_2() -> (EnvoyProcess, Upstream) {
    let upstream = Upstream::start();
    let mut bootstrap = Bootstrap::new(upstream.address);
    bootstrap.cluster = Upstream::cluster();
    roomy(&mut bootstrap);
    // Trailers of HTTP/1 reach the filter too.
    bootstrap.listeners[0].manager_fields = vec![("/http_protocol_options/enable_trailers", json!(true))];
    (EnvoyProcess::start(bootstrap).unwrap(), upstream)
}

#[test]
fn every_answer_over_http_2_is_whole_for_a_sender_over_http_1() {
    let (envoy, upstream) = in_front_of_http_2();
    every_answer_of_http_2(&upstream, &mut Connection::One(envoy.connect(0).unwrap()));
}

#[test]
fn every_answer_over_http_2_is_whole_for_a_sender_over_http_2() {
    let (envoy, upstream) = in_front_of_http_2();
    every_answer_of_http_2(&upstream, &mut Connection::Two(Sender::connect(envoy.address(0))));
}

#[test]
fn no_trailer_of_a_sender_reaches_the_upstream() {
    let (envoy, upstream) = in_front_of_http_2();
    let trailers = [
        ("x-countersign-partner", "acme"),
        ("x_countersign_key", "z"),
        ("authorization", "Bearer leaked"),
        ("x-forwarded-client-cert", "URI=spiffe://acme"),
        ("x-anything", "else"),
    ];
    let heard = Sender::connect(envoy.address(0)).send(&deposit("evt_1"), &trailers).unwrap();
    assert_eq!(heard.status, 200, "{heard:?}");
    let mut client = envoy.connect(0).unwrap();
    let event = deposit("evt_2");
    let mut pieces = event.chunks(4096);
    let lines = trailers.map(|(name, value)| format!("{}: {value}\r\n", name.to_uppercase()));
    *pieces.last_mut().unwrap() = format!("0\r\n{}\r\n", lines.concat()).into_bytes();
    client.send(&pieces.concat()).unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    let arrived = upstream.take();
    assert_eq!(arrived.len(), 2);
    for arrived in &arrived {
        assert!(arrived.trailers.is_empty(), "{:?}", arrived.trailers);
        assert_eq!(arrived.headers["x-countersign-partner"], "sandbox");
        assert!(!arrived.headers.contains_key("authorization"));
    }
    assert_eq!(arrived[1].body, event.body);
}

/// The upstream has acknowledged and then breaks off: the sender still gets the whole of our answer. Envoy closes the connection
/// behind it.
#[test]
fn an_answer_that_the_upstream_breaks_off_is_whole_all_the_same() {
    let world = World::start();
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec();
    world.canary.script([Behaviour::Raw { bytes, closes: true }]);
    let event = deposit("evt_1");
    let receipt = crate::world::accepted(&world.send(&event), false);
    assert_eq!(crate::world::accepted(&world.send(&event), true), receipt);
    world.saw(&["evt_1"]);
}
