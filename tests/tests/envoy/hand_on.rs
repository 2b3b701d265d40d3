//! What becomes of a verified event.

use std::thread;
use std::time::Duration;

use conformance::envoy::canary::Reply;
use conformance::envoy::{Behaviour, Bootstrap};

use crate::sender::{Postback, deposit, deposit_at, now};
use crate::world::{World, accepted, refused};

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reply { status, headers, body: body.into() }
}

#[test]
fn an_event_is_handed_on_once_and_answered_with_one_receipt() {
    let world = World::start();
    let event = deposit("evt_1");
    let receipt = accepted(&world.send(&event), false);
    assert_eq!(accepted(&world.send(&event), true), receipt);
    world.saw(&["evt_1"]);
}

#[test]
fn the_body_is_handed_on_byte_for_byte() {
    let world = World::start();
    let mut event = deposit("evt_1");
    event.body.splice(1..1, b" \n\t ".iter().copied());
    accepted(&world.send(&event), false);
    let seen = world.canary.take();
    assert_eq!(seen[0].body, event.body);
}

#[test]
fn an_event_id_with_another_payload_is_refused() {
    let world = World::start();
    accepted(&world.send(&deposit("evt_1")), false);
    let mut other = deposit("evt_1");
    let text = String::from_utf8(other.body.clone()).unwrap();
    other.body = text.replace("100.5", "900.5").into_bytes();
    refused(
        &world.send(&other.signed(countersign_core::policy::sandbox::SIGNING_SECRET)),
        422,
        "event_id_reused",
    );
    world.saw(&["evt_1"]);
}

#[test]
fn the_upstream_s_own_answer_is_replaced_by_ours() {
    let world = World::start();
    let long = "x".repeat(200_000);
    let odd = [("content-encoding", "gzip"), ("set-cookie", "a=b"), ("x-countersign-receipt", "forged")];
    let created = Behaviour::Reply(reply(201, &odd, &long));
    world.canary.script([
        created,
        Behaviour::status(204),
        Behaviour::status(202),
        Behaviour::Reply(reply(200, &[], "")),
    ]);
    for id in ["evt_1", "evt_2", "evt_3", "evt_4"] {
        let response = world.send(&deposit(id));
        accepted(&response, false);
        for name in ["content-encoding", "set-cookie", "x-countersign-receipt", "transfer-encoding"] {
            assert_eq!(response.header(name), None, "{id}");
        }
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    world.saw(&["evt_1", "evt_2", "evt_3", "evt_4"]);
}

#[test]
fn an_upstream_that_had_it_before_makes_it_a_duplicate() {
    let world = World::start();
    world.canary.script([Behaviour::Reply(reply(200, &[("idempotent-replayed", "true")], "{}"))]);
    accepted(&world.send(&deposit("evt_1")), true);
    world.saw(&["evt_1"]);
}

/// An answer in which the upstream says that it did not accept `evt_1`.
fn vouched(status: u16) -> Behaviour {
    Behaviour::Reply(reply(status, &[("x-countersign-not-accepted", "evt_1")], "the upstream's own body"))
}

#[test]
fn a_duplicate_of_another_event_is_the_upstream_s_word_and_gets_no_receipt() {
    let world = World::start();
    let duplicate = [("x-countersign-duplicate-of", "evt_0"), ("idempotent-replayed", "true")];
    let event = deposit("evt_1");
    for _ in 0..2 {
        world.canary.script([Behaviour::Reply(reply(200, &duplicate, "{}"))]);
        let answer = world.send(&event);
        assert_eq!(
            (answer.status, &answer.json()["duplicate_of"]),
            (200, &"evt_0".into()),
            "{}",
            answer.text()
        );
        assert!(answer.json().get("receipt").is_none(), "{}", answer.text());
    }
    world.saw(&["evt_1"; 2]);
}

#[test]
fn a_known_failure_is_released_and_its_retry_is_served() {
    let world = World::start();
    world.canary.script([500, 501].map(Behaviour::status));
    world.canary.script([502, 503, 504, 599].map(vouched));
    let event = deposit("evt_1");
    for _ in 0..6 {
        let failed = world.send(&event);
        refused(&failed, 503, "upstream_unavailable");
        assert_eq!(failed.header("retry-after"), Some("5"));
    }
    accepted(&world.send(&event), false);
    world.saw(&["evt_1"; 7]);
}

#[test]
fn a_failure_that_a_proxy_may_have_made_leaves_the_lease() {
    let world = World::start();
    for (index, status) in [502, 503, 504, 599].into_iter().enumerate() {
        let event = deposit(&format!("evt_{index}"));
        world.canary.script([Behaviour::status(status)]);
        let unknown = world.send(&event);
        refused(&unknown, 503, "upstream_unavailable");
        assert_eq!(unknown.header("retry-after"), Some("30"));
        refused(&world.send(&event), 503, "in_flight");
    }
    // The word of another event vouches for nothing.
    world.canary.script([vouched(503)]);
    let event = deposit("evt_other");
    refused(&world.send(&event), 503, "upstream_unavailable");
    refused(&world.send(&event), 503, "in_flight");
    world.saw(&["evt_0", "evt_1", "evt_2", "evt_3", "evt_other"]);
}

#[test]
fn a_redirect_is_refused_and_leaves_the_lease() {
    let world = World::start();
    let elsewhere = [("location", "http://elsewhere.test/")];
    for (id, status, body) in [("evt_1", 302, ""), ("evt_2", 308, "moved")] {
        world.canary.script([Behaviour::Reply(reply(status, &elsewhere, body))]);
        let event = deposit(id);
        let response = world.send(&event);
        refused(&response, 502, "upstream_redirect_refused");
        assert_eq!(response.header("location"), None);
        refused(&world.send(&event), 503, "in_flight");
    }
    world.saw(&["evt_1", "evt_2"]);
}

#[test]
fn a_refusal_of_the_event_is_passed_on_without_our_fields_and_released() {
    let world = World::start();
    let own = [
        ("content-type", "application/json"),
        ("x-own", "yes"),
        ("x-countersign-not-accepted", "evt_1"),
        ("x-countersign-receipt", "forged"),
        ("x-envoy-anything", "else"),
    ];
    let event = deposit("evt_1");
    for status in [400, 409, 410, 422, 429, 404, 401] {
        world.canary.script([Behaviour::Reply(reply(status, &own, r#"{"error":"own"}"#))]);
        let response = world.send(&event);
        assert_eq!((response.status, response.text().as_str()), (status, r#"{"error":"own"}"#));
        assert_eq!(response.header("x-own"), Some("yes"));
        assert!(
            !response
                .headers
                .iter()
                .any(|(name, _)| name.starts_with("x-countersign-") || name == "x-envoy-anything")
        );
    }
    accepted(&world.send(&event), false);
    world.saw(&["evt_1"; 8]);
}

#[test]
fn a_refusal_of_the_hop_is_ours_to_mend_and_the_log_names_it() {
    let world = World::start();
    let event = deposit("evt_1");
    let statuses = [401, 403, 404, 405, 407, 408, 411, 413, 414, 415, 417, 421, 426, 431];
    for status in statuses {
        world.canary.script([Behaviour::status(status)]);
        let response = world.send(&event);
        refused(&response, 503, "upstream_unavailable");
        assert_eq!(response.header("retry-after"), Some("5"));
    }
    accepted(&world.send(&event), false);
    let lines = world.envoy.access_log_of(statuses.len() + 1).unwrap();
    for (line, status) in lines.iter().zip(statuses) {
        let detail = line["detail"].as_str().unwrap();
        assert!(detail.contains(&status.to_string()), "{detail}");
    }
    world.saw(&["evt_1"; 15]);
}

#[test]
fn an_upstream_that_cannot_be_reached_has_seen_nothing() {
    let mut world = World::start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.envoy = conformance::envoy::EnvoyProcess::start(Bootstrap::new(nobody)).unwrap();
    let event = deposit("evt_1");
    for _ in 0..2 {
        // A known failure: the second attempt is no repeat of one that may still be under way.
        let failed = world.send(&event);
        refused(&failed, 503, "upstream_unavailable");
        assert_eq!(failed.header("retry-after"), Some("5"));
    }
    world.saw(&[]);
}

const LEASE_MS: u64 = 30_000;

/// Envoy with a clock that stands still, and an upstream timeout of 300 ms.
fn with_a_clock(at_ms: u64) -> World {
    World::with(|bootstrap| {
        bootstrap.clock_ms = Some(at_ms);
        bootstrap.listeners[0].upstream_timeout = Some(Duration::from_millis(300));
    })
}

/// After the first attempt's unknown outcome: in flight until the lease ends to the millisecond, then served.
#[track_caller]
fn the_lease_stands(world: &World, event: &Postback, at_ms: u64) {
    world.envoy.set_clock_ms(at_ms + LEASE_MS - 1).unwrap();
    let waits = world.send(event);
    refused(&waits, 503, "in_flight");
    assert_eq!(waits.header("retry-after"), Some("1"));
    world.envoy.set_clock_ms(at_ms + LEASE_MS).unwrap();
    accepted(&world.send(event), false);
    accepted(&world.send(event), true);
    let seen = world.canary.take();
    assert_eq!(seen.len(), 2, "the first attempt and the one after the lease");
}

#[test]
fn after_a_timeout_the_lease_stands() {
    let at = now();
    let world = with_a_clock(at.as_ms());
    world.canary.script([Behaviour::Silent]);
    let event = deposit_at("evt_1", at);
    let unknown = world.send(&event);
    refused(&unknown, 503, "upstream_unavailable");
    assert_eq!(unknown.header("retry-after"), Some("30"));
    the_lease_stands(&world, &event, at.as_ms());
}

#[test]
fn after_a_reset_the_lease_stands() {
    let at = now();
    let world = with_a_clock(at.as_ms());
    world.canary.script([Behaviour::Reset]);
    let event = deposit_at("evt_1", at);
    let unknown = world.send(&event);
    refused(&unknown, 503, "upstream_unavailable");
    assert_eq!(unknown.header("retry-after"), Some("30"));
    the_lease_stands(&world, &event, at.as_ms());
}

#[test]
fn after_a_sender_hung_up_the_lease_stands() {
    let at = now();
    let world = with_a_clock(at.as_ms());
    world.canary.script([Behaviour::Silent]);
    let event = deposit_at("evt_1", at);
    let mut client = world.envoy.connect(0).unwrap();
    client.send(&event.bytes()).unwrap();
    world.canary.wait_for(1).unwrap();
    drop(client);
    let lines = world.envoy.access_log_of(1).unwrap();
    assert_eq!(lines[0]["code"], "upstream_unavailable", "{}", lines[0]);
    the_lease_stands(&world, &event, at.as_ms());
}

#[test]
fn while_the_upstream_works_the_event_is_in_flight() {
    let world = World::start();
    world.canary.script([Behaviour::Late(Duration::from_millis(600), reply(200, &[], "late"))]);
    let event = deposit("evt_1");
    let mut first = world.envoy.connect(0).unwrap();
    first.send(&event.bytes()).unwrap();
    world.canary.wait_for(1).unwrap();
    refused(&world.send(&event), 503, "in_flight");
    accepted(&first.response().unwrap(), false);
    accepted(&world.send(&event), true);
    world.saw(&["evt_1"]);
}

#[test]
fn of_two_workers_that_race_one_hands_on() {
    const SENDERS: usize = 8;
    // All of them together stay below the sandbox's burst.
    const ROUNDS: usize = 20;
    let world = World::with(|bootstrap| bootstrap.concurrency = 2);
    let events: Vec<_> = (0..ROUNDS).map(|round| deposit(&format!("evt_{round}"))).collect();
    let fresh: usize = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = world.envoy.connect(0).unwrap();
                    let mut fresh = 0;
                    for event in &events {
                        client.send(&event.bytes()).unwrap();
                        let response = client.response().unwrap();
                        match (response.status, response.json()["error"].as_str()) {
                            (200, _) => fresh += usize::from(response.json()["idempotent"] == false),
                            (503, Some("in_flight")) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                    fresh
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    assert_eq!(fresh, ROUNDS);
    let ids: Vec<_> = events.iter().enumerate().map(|(round, _)| format!("evt_{round}")).collect();
    world.saw(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let text = world.envoy.admin_get("/stats?filter=downstream_cx_total").unwrap();
    let used = text.lines().filter(|line| line.contains("worker_") && !line.ends_with(": 0")).count();
    assert!(used == 2 || !text.contains("worker_"), "both workers serve: {text}");
}
