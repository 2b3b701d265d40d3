//! A proxy's control headers from outside, and the client's address: a sender steers neither. Each test runs with the connection
//! manager of `listener.yaml` and with the one that Istio makes of `istio.yaml`.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use conformance::envoy::canary::Reply;
use conformance::envoy::{Behaviour, Bootstrap, Client, Response};
use serde_json::{Value, json};

use crate::istio;
use crate::sender::{Postback, deposit};
use crate::world::{World, accepted, refused};

/// Both connection managers, in a proxy whose cluster allows retries, as clusters do by default.
fn worlds(change: impl Fn(&mut Bootstrap)) -> [World; 2] {
    let with = |manager: Option<Value>| {
        World::with(|bootstrap| {
            bootstrap.cluster.push(("/circuit_breakers", Value::Null));
            bootstrap.listeners[0].manager = manager;
            change(bootstrap);
        })
    };
    [with(None), with(Some(istio::manager()))]
}

/// All clients are internal, as an operator may have it: their control headers count for the proxy.
fn everybody_is_internal(bootstrap: &mut Bootstrap) {
    let ranges = json!([{ "address_prefix": "127.0.0.0", "prefix_len": 8 }]);
    bootstrap.listeners[0].manager_fields.push(("/internal_address_config/cidr_ranges", ranges));
}

fn control_headers(postback: Postback, milliseconds: &str) -> Postback {
    [
        ("x-envoy-retry-on", "5xx,reset,connect-failure,retriable-status-codes"),
        ("x-envoy-retriable-status-codes", "503"),
        ("x-envoy-max-retries", "5"),
        ("x-envoy-retry-grpc-on", "internal"),
        ("x-envoy-upstream-rq-timeout-ms", milliseconds),
        ("x-envoy-upstream-rq-per-try-timeout-ms", milliseconds),
        ("x-envoy-upstream-stream-duration-ms", milliseconds),
        ("x-envoy-expected-rq-timeout-ms", milliseconds),
        ("grpc-timeout", "300m"),
        ("x-envoy-hedge-on-per-try-timeout", "true"),
        ("x-envoy-upstream-rq-timeout-alt-response", "true"),
        ("x-envoy-upstream-alt-stat-name", "a_name_of_the_sender"),
        ("x-envoy-original-path", "/elsewhere"),
        ("x-envoy-internal", "true"),
        ("x-envoy-external-address", "198.51.100.9"),
        ("x_envoy_retry_on", "5xx"),
    ]
    .into_iter()
    .fold(postback, |postback, (name, value)| postback.with(name, value.as_bytes()))
}

#[track_caller]
fn asked_once(world: &World) {
    std::thread::sleep(Duration::from_millis(300));
    let seen = world.canary.take();
    assert_eq!(seen.len(), 1, "the upstream is asked once for each attempt of the sender");
    let control: Vec<_> = seen[0]
        .headers
        .iter()
        .filter(|(name, _)| name.replace('_', "-").starts_with("x-envoy-") || name == "grpc-timeout")
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    // What the router itself tells the upstream.
    for (name, value) in &control {
        let own = [
            ("x-envoy-expected-rq-timeout-ms", "15000"),
            ("x-envoy-original-path", "/postback/sandbox"),
            ("x-envoy-attempt-count", "1"),
        ];
        assert!(own.contains(&(*name, value.as_str())), "{name}: {value}");
    }
}

#[test]
fn a_sender_cannot_make_the_proxy_retry() {
    for internal in [false, true] {
        for world in worlds(|bootstrap| {
            if internal {
                everybody_is_internal(bootstrap)
            }
        }) {
            world.canary.script([Behaviour::status(500)]);
            refused(&world.send(&control_headers(deposit("evt_1"), "60000")), 503, "upstream_unavailable");
            asked_once(&world);
        }
    }
}

#[test]
fn a_sender_cannot_shorten_or_lengthen_the_time_of_the_upstream() {
    for world in worlds(everybody_is_internal) {
        let late = Reply { status: 200, headers: Vec::new(), body: Vec::new() };
        world.canary.script([Behaviour::Late(Duration::from_millis(1_200), late)]);
        accepted(&world.send(&control_headers(deposit("evt_1"), "300")), false);
        asked_once(&world);
    }
    for world in worlds(|bootstrap| {
        everybody_is_internal(bootstrap);
        bootstrap.listeners[0].upstream_timeout = Some(Duration::from_millis(500));
    }) {
        world.canary.script([Behaviour::Silent]);
        let started = Instant::now();
        let late = control_headers(deposit("evt_1"), "60000");
        refused(&world.send(&late), 503, "upstream_unavailable");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

#[test]
fn a_sender_cannot_name_statistics() {
    for world in worlds(everybody_is_internal) {
        accepted(&world.send(&control_headers(deposit("evt_1"), "60000")), false);
        let stats = world.envoy.admin_get("/stats").unwrap();
        assert!(!stats.contains("a_name_of_the_sender"));
    }
}

#[test]
fn names_with_underscores_do_not_pass_as_look_alikes() {
    for drops in [true, false] {
        for world in worlds(|bootstrap| {
            if !drops {
                let action = "/common_http_protocol_options/headers_with_underscores_action";
                bootstrap.listeners[0].manager_fields.push((action, json!("ALLOW")));
            }
        }) {
            let event = [
                "X_Countersign_Partner",
                "x-countersign_event_id",
                "content_length",
                "transfer_encoding",
                "x_forwarded_for",
                "x_forwarded_client_cert",
                "Authorization_",
                "x_real_ip",
            ]
            .into_iter()
            .fold(deposit("evt_1"), |event, name| event.with(name, b"17"));
            accepted(&world.send(&event), false);
            let seen = world.canary.take();
            let odd: Vec<_> = seen[0].headers.iter().filter(|(name, _)| name.contains('_')).collect();
            // The proxy drops all such names; where it is told not to, the filter takes out those that read as something else.
            let expected = if drops { 0 } else { 1 };
            assert_eq!(odd.len(), expected, "{odd:?}");
        }
    }
}

fn send_from(world: &World, from: [u8; 4], postback: &Postback) -> Response {
    let mut client = Client::connect(world.envoy.address(0), Some(IpAddr::from(from))).unwrap();
    client.send(&postback.bytes()).unwrap();
    client.response().unwrap()
}

/// Every field in which an upstream may look for the client's address.
const ADDRESS_FIELDS: [&str; 7] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "cf-connecting-ip",
    "x-envoy-external-address",
];

fn forged(event_id: &str) -> Postback {
    let event = ADDRESS_FIELDS.into_iter().filter(|name| *name != "forwarded");
    let event = event.fold(deposit(event_id), |event, name| event.with(name, b"198.51.100.7, 203.0.113.9"));
    event.with("forwarded", b"for=198.51.100.7")
}

#[track_caller]
fn the_upstream_hears_only(world: &World, address: &str) {
    let seen = world.canary.take();
    for name in ADDRESS_FIELDS {
        let values: Vec<_> =
            seen[0].headers.iter().filter(|(field, _)| field == name).map(|(_, value)| value).collect();
        let expected = if name == "x-forwarded-for" { vec![address.as_bytes()] } else { Vec::new() };
        assert_eq!(values, expected, "{name}");
    }
}

#[test]
fn the_upstream_hears_the_address_that_was_verified() {
    // The shipped document trusts 127.0.0.0/8, so the last address that such a peer names is the client.
    for world in worlds(|_| {}) {
        accepted(&send_from(&world, [127, 0, 0, 9], &forged("evt_1")), false);
        the_upstream_hears_only(&world, "203.0.113.9");
    }
}

/// As shipped, but that no proxy is trusted.
fn without_trusted_proxies(bootstrap: &mut Bootstrap) {
    let listener = &mut bootstrap.listeners[0];
    let document = json!({ "version": 1, "environment": "sandbox" }).to_string();
    match &mut listener.manager {
        Some(manager) => istio::set_document(manager, &document),
        None => listener.configuration = Some(document),
    }
}

#[test]
fn what_a_stranger_claims_of_its_address_counts_for_nothing() {
    for hops in [0, 1, 2] {
        for world in worlds(|bootstrap| {
            without_trusted_proxies(bootstrap);
            // What an operator, or Istio's numTrustedProxies, sets beside the document.
            bootstrap.listeners[0].manager_fields.push(("/xff_num_trusted_hops", json!(hops)));
        }) {
            accepted(&send_from(&world, [127, 0, 0, 9], &forged("evt_1")), false);
            the_upstream_hears_only(&world, "127.0.0.9");
        }
    }
}

#[test]
fn every_answer_has_the_request_id_of_the_log() {
    // In Istio's network the clients of the tests are internal, and an internal client may name the request. Istio's
    // own log stands beside ours.
    for (world, (is_renamed, logs)) in worlds(|_| {}).into_iter().zip([(true, 1), (false, 2)]) {
        let answers = [
            world.send(&deposit("evt_1")),
            world.send(&deposit("evt_2").signed("not the key")),
            world.send(&deposit("evt_3").with("x-request-id", b"of the sender's own")),
        ];
        let lines = world.envoy.access_log_of(answers.len() * logs).unwrap();
        for answer in &answers {
            let id = answer.header("x-request-id").unwrap();
            assert!(id.len() == 36 || !is_renamed, "{id}");
            assert!(lines.iter().any(|line| line["request_id"] == id), "{id} in {lines:?}");
        }
    }
}
