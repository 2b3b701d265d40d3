//! What never reaches the upstream.

use countersign_core::token::{Algorithm, Claims, MintKey, mint};
use serde_json::json;

use crate::sender::{Postback, deposit, now};
use crate::world::{World, accepted, refused};

/// Sends a refused request between two accepted ones: the VM lives, and the canary sees just the two.
#[track_caller]
fn between_two_accepted(world: &World, bent: &Postback, status: u16, error: &str) {
    accepted(&world.send(&deposit("evt_before")), false);
    refused(&world.send(bent), status, error);
    accepted(&world.send(&deposit("evt_after")), false);
    world.saw(&["evt_before", "evt_after"]);
}

#[test]
fn a_bad_signature_is_refused() {
    let mut bent = deposit("evt_1");
    let (_, signature) = bent.headers.last_mut().unwrap();
    *signature.last_mut().unwrap() ^= 1;
    between_two_accepted(&World::start(), &bent, 403, "signature_invalid");
}

#[test]
fn a_payload_that_was_changed_after_signing_is_refused() {
    let mut bent = deposit("evt_1");
    let text = String::from_utf8(bent.body.clone()).unwrap();
    bent.body = text.replace("100.5", "900.5").into_bytes();
    between_two_accepted(&World::start(), &bent, 403, "signature_invalid");
}

#[test]
fn malformed_json_is_refused_with_its_offset() {
    let mut bent = deposit("evt_1");
    bent.body.truncate(bent.body.len() - 1);
    let world = World::start();
    let length = bent.body.len();
    assert_eq!(world.send(&bent).json()["offset"], length);
    between_two_accepted(&world, &bent, 400, "payload_malformed");
}

#[test]
fn a_body_that_is_no_text_is_refused() {
    let mut bent = deposit("evt_1");
    bent.body = vec![0xFF; 300];
    between_two_accepted(&World::start(), &bent, 400, "payload_malformed");
}

#[test]
fn a_body_of_no_bytes_is_refused() {
    let mut bent = deposit("evt_1");
    bent.body.clear();
    between_two_accepted(&World::start(), &bent, 400, "payload_malformed");
}

#[test]
fn a_method_or_path_of_no_route_is_refused() {
    let world = World::start();
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let mut bent = deposit("evt_1");
        bent.method = method;
        let response = world.send(&bent);
        refused(&response, 405, "method_not_allowed");
        assert_eq!(response.header("allow"), Some("POST"));
    }
    for path in [
        "/",
        "/collect",
        "/postback/",
        "/postback/a/b",
        "//postback",
        "/x/../postback",
        "/%70ostback",
        "/POSTBACK",
    ] {
        refused(&world.send(&deposit("evt_1").to(path)), 404, "not_found");
    }
    world.saw(&[]);
}

#[test]
fn a_token_is_verified() {
    let key = "a-token-key-of-thirty-two-bytes-or-more";
    let mut document = json!({ "version": 1, "environment": "sandbox", "partners": { "acme": {
        "signature": { "keys": [{ "id": "s1", "secret": { "name": "sandbox_acme" } }] },
        "token": { "issuer": "acme", "keys": [{ "id": "t1", "algorithm": "HS256", "secret": { "name": "sandbox_token" } }] } } } });
    document["limits"] = json!({ "body_bytes_max": 65536 });
    let world = World::with(|bootstrap| {
        let listener = &mut bootstrap.listeners[0];
        listener.configuration = Some(document.to_string());
        listener.environment = [("sandbox_acme", "acme-signs-with-this"), ("sandbox_token", key)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    });
    let token = |key: &str, audience| {
        let claims = Claims { issuer: "acme", audience, issued_at: now(), lifetime_ms: 600_000 };
        let key = MintKey::new(Algorithm::Hs256, key.as_bytes()).unwrap();
        format!("Bearer {}", mint(&key, Some("t1"), &claims)).into_bytes()
    };
    let event = |id| deposit(id).signed("acme-signs-with-this").to("/postback");
    refused(&world.send(&event("evt_1")), 401, "token_missing");
    let missing = world.send(&event("evt_1"));
    assert_eq!(missing.header("www-authenticate"), Some(r#"Bearer realm="countersign""#));
    let forged = token("another-key-of-thirty-two-bytes-or-more", "countersign");
    refused(&world.send(&event("evt_1").with("authorization", &forged)), 401, "token_invalid");
    let elsewhere = token(key, "another-gate");
    refused(&world.send(&event("evt_1").with("authorization", &elsewhere)), 401, "token_invalid");
    let odd = event("evt_1").to("/postback/acme").with("authorization", b"Bearer \xFF\xFE");
    refused(&world.send(&odd), 401, "token_missing");
    accepted(&world.send(&event("evt_1").with("authorization", &token(key, "countersign"))), false);
    let seen = world.canary.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("x-countersign-partner"), Some("acme"));
    assert_eq!(seen[0].header("authorization"), None, "the upstream needs no credential of the sender");
}

#[test]
fn a_declared_length_over_the_limit_is_refused_before_the_body_comes() {
    let world = World::start();
    let event = deposit("evt_1");
    // The last one has more than the filter's 32 bits.
    for length in ["65537", "5000000000"] {
        let mut client = world.envoy.connect(0).unwrap();
        client.send(&event.head(&format!("content-length: {length}"))).unwrap();
        refused(&client.response().unwrap(), 413, "payload_too_large");
    }
    world.saw(&[]);
}

#[test]
fn a_real_length_over_the_limit_is_refused_before_the_body_ends() {
    let world = World::start();
    let mut event = deposit("evt_1");
    event.body.resize(70_000, b' ');
    let mut client = world.envoy.connect(0).unwrap();
    let pieces = event.chunks(10_000);
    let (_end, pieces) = pieces.split_last().unwrap();
    for piece in pieces {
        client.send(piece).unwrap();
    }
    refused(&client.response().unwrap(), 413, "payload_too_large");
    world.saw(&[]);
}

#[test]
fn a_body_of_just_the_limit_is_accepted() {
    let world = World::start();
    let mut event = deposit("evt_1");
    event.body.resize(65_536, b' ');
    accepted(&world.send(&event), false);
    world.saw(&["evt_1"]);
}

#[test]
fn header_fields_of_any_bytes_harm_nothing() {
    let world = World::start();
    let odd = deposit("evt_1")
        .with("x-odd", b"\xFF\xFE\x80")
        .with("x-forwarded-for", b"\xFF")
        .with("cookie", b"\xC3\x28");
    // What the trusted proxy names is no address, so the sender's is unknown; the sandbox takes any.
    accepted(&world.send(&odd), false);
    let bent = deposit("evt_2").with("x-signature", b"\xFF\xFE");
    refused(&world.send(&bent), 403, "signature_invalid");
    let mut bent = deposit("evt_2");
    bent.headers[0].1 = b"application/json; charset=\xFF".to_vec();
    refused(&world.send(&bent), 415, "content_type_unsupported");
    // The proxy itself refuses a path that is not ASCII.
    assert_eq!(world.send(&deposit("evt_2").to("/postback/\u{e9}")).status, 400);
    accepted(&world.send(&deposit("evt_3")), false);
    world.saw(&["evt_1", "evt_3"]);
}

#[test]
fn what_a_sender_claims_of_the_gate_is_thrown_away() {
    let world = World::start();
    let event = deposit("evt_1")
        .with("x-countersign-partner", b"acme")
        .with("X-Countersign-Attestation", b"v1;t=1;mac=x")
        .with("x-countersign-event-id", b"evt_other")
        .with("x-countersign-anything", b"else")
        .with("x_countersign_partner", b"acme")
        .with("x-countersign_partner", b"acme");
    accepted(&world.send(&event), false);
    world.canary.wait_for(1).unwrap();
    let seen = world.canary.take();
    let mut ours: Vec<_> = seen[0]
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.replace('_', "-").starts_with("x-countersign"))
        .collect();
    ours.sort_unstable();
    let expected = [
        "x-countersign-attestation",
        "x-countersign-event-id",
        "x-countersign-partner",
        "x-countersign-receipt",
    ];
    assert_eq!(ours, expected);
    assert_eq!(seen[0].header("x-countersign-partner"), Some("sandbox"));
}

#[test]
fn a_source_with_many_refusals_is_limited_and_others_are_not() {
    let document =
        r#"{ "version": 1, "environment": "sandbox", "limits": { "source_requests_per_minute": 3 } }"#;
    let world = World::with(|bootstrap| bootstrap.listeners[0].configuration = Some(document.to_owned()));
    let from = |last: u8, postback: &Postback| {
        let mut client =
            conformance::envoy::Client::connect(world.envoy.address(0), Some([127, 0, 0, last].into()))
                .unwrap();
        client.send(&postback.bytes()).unwrap();
        client.response().unwrap()
    };
    let bent = deposit("evt_1").signed("not the key");
    for _ in 0..3 {
        refused(&from(9, &bent), 403, "signature_invalid");
    }
    let limited = from(9, &bent);
    refused(&limited, 429, "rate_limited");
    assert!(limited.header("retry-after").is_some());
    accepted(&from(10, &deposit("evt_2")), false);
    world.saw(&["evt_2"]);
}

/// Envoy answers what it takes for gRPC with 200 and a `grpc-status`; a sender that looks at the status would take that for an accept.
#[test]
fn what_the_proxy_takes_for_grpc_is_refused_with_the_status_of_the_refusal() {
    let world = World::start();
    let typed = |content_type: &str| {
        let mut postback = deposit("evt_1");
        postback.headers[0].1 = content_type.as_bytes().to_vec();
        postback
    };
    let get = Postback { method: "GET", ..typed("application/grpc") };
    for (postback, status) in [
        (typed("application/grpc"), 415),
        (typed("application/grpc+json"), 415),
        (typed("Application/GRPC"), 415),
        (typed("application/grpc-web"), 415),
        (typed("application/grpc").to("/elsewhere"), 404),
        (get.clone(), 405),
        (get.to("/countersign/health"), 405),
    ] {
        let answer = world.send(&postback);
        assert_eq!(answer.status, status, "{postback:?}: {}", answer.text());
        assert_eq!((answer.header("grpc-status"), answer.header("grpc-message")), (None, None));
    }
    let mut client = world.envoy.connect(0).unwrap();
    client.send(&typed("application/grpc").bytes()).unwrap();
    assert_eq!(client.response().unwrap().status, 415);
    client.send(&deposit("evt_2").bytes()).unwrap();
    accepted(&client.response().unwrap(), false);
    world.saw(&["evt_2"]);
    // Its tick answers here, without the stream: nothing was accepted either way.
    let world = World::with(|bootstrap| bootstrap.listeners[0].allow_on_headers_stop_iteration = false);
    assert_eq!(world.send(&typed("application/grpc")).status, 503);
    world.saw(&[]);
}

/// What is longer than the filter keeps while a body is on its way is read again: the event is verified and handed on all the same.
#[test]
fn many_header_fields_and_a_late_body_are_taken() {
    let world = World::start();
    let event =
        (0..8).fold(deposit("evt_1"), |event, index| event.with(&format!("x-long-{index}"), &[b'a'; 1_000]));
    let bytes = event.bytes();
    let (head, body) = bytes.split_at(bytes.len() - event.body.len());
    let mut client = world.envoy.connect(0).unwrap();
    client.send(head).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    client.send(body).unwrap();
    accepted(&client.response().unwrap(), false);
    let seen = world.canary.take();
    assert_eq!((seen.len(), seen[0].header("x-long-7").map(str::len)), (1, Some(1_000)));
}
