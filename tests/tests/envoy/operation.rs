//! What an operator sees: metrics, the health route, the access log.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use conformance::envoy::canary::Reply;
use conformance::envoy::{Behaviour, Client};
use countersign_core::gate::DeliveryFault;
use countersign_core::outcome::Code;
use countersign_core::policy::sandbox;
use countersign_core::token::{Algorithm, Claims, MintKey, mint};

use crate::sender::{deposit, now};
use crate::world::{World, accepted, refused};

/// The series of a metric: its labels, without those that Envoy adds, and its value.
fn series(text: &str, name: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
        Some((labels.to_owned(), value.parse().unwrap()))
    });
    lines.collect()
}

/// The same without what stands at 0.
pub(crate) fn counted(text: &str, name: &str) -> BTreeMap<String, u64> {
    let mut series = series(text, name);
    series.retain(|_, value| *value > 0);
    series
}

/// Waits until a metric of the sandbox's partner is as it has to be; the filter looks around twice a second.
#[track_caller]
pub(crate) fn until_counted(world: &World, name: &str, is_right: impl Fn(u64) -> bool) {
    let started = Instant::now();
    loop {
        let text = world.envoy.admin_get("/stats/prometheus").unwrap();
        let now = series(&text, name)[r#"partner="sandbox""#];
        if is_right(now) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{name} stands at {now}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn metrics_have_tags_of_their_own() {
    let world = World::start();
    let event = deposit("evt_1");
    let before = now().as_seconds();
    accepted(&world.send(&event), false);
    accepted(&world.send(&event), true);
    accepted(&world.send(&event), true);
    refused(&world.send(&deposit("evt_2").signed("not the key")), 403, "signature_invalid");
    refused(&world.send(&deposit("evt_3").to("/postback/nobody")), 403, "partner_unknown");
    let text = world.envoy.admin_get("/stats/prometheus").unwrap();
    let expected: BTreeMap<_, _> = [
        (r#"partner="sandbox",code="accepted""#, 1),
        (r#"partner="sandbox",code="duplicate""#, 2),
        (r#"partner="sandbox",code="signature_invalid""#, 1),
        (r#"partner="-",code="partner_unknown""#, 1),
    ]
    .map(|(labels, value)| (labels.to_owned(), value))
    .into();
    assert_eq!(counted(&text, "countersign_answers"), expected, "{text}");
    assert!(text.contains("# TYPE countersign_answers counter"));
    let used = series(&text, "countersign_key_last_used_seconds");
    let used = used[r#"partner="sandbox",kind="signature",key="sandbox""#];
    assert!((before..=now().as_seconds()).contains(&used), "{used}");
    let clicks = series(&text, "countersign_key_last_used_seconds");
    let click = format!(r#"partner="sandbox",kind="click",key="{}""#, sandbox::CLICK_KEY_ID);
    assert!(clicks.contains_key(&click), "{clicks:?}");
    // Envoy adds to its histograms every five seconds.
    until_counted(&world, "countersign_latency_ms_count", |count| count == 4);
    until_counted(&world, "countersign_lag_seconds_count", |count| count == 3);
    world.saw(&["evt_1"]);
}

#[test]
fn every_counter_is_there_from_the_start() {
    let text = World::start().envoy.admin_get("/stats/prometheus").unwrap();
    for name in
        ["evictions", "lease_expiries", "swap_retries", "sources_evicted", "heals", "settlements_failed"]
    {
        for partner in ["-", "sandbox"] {
            let series = series(&text, &format!("countersign_{name}"));
            assert_eq!(series.get(&format!(r#"partner="{partner}""#)), Some(&0), "{name}");
        }
    }
    let faults = series(&text, "countersign_delivery_faults");
    for fault in DeliveryFault::ALL {
        let labels = format!(r#"partner="sandbox",cause="{}""#, fault.metric());
        assert_eq!(faults.get(&labels), Some(&0), "{fault:?}");
    }
    let answers = series(&text, "countersign_answers");
    for code in Code::ALL {
        assert_eq!(
            answers.get(&format!(r#"partner="sandbox",code="{}""#, code.metric())),
            Some(&0),
            "{code:?}"
        );
    }
    let build = series(&text, "countersign_build");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(build, [(format!(r#"environment="sandbox",version="{version}""#), 1)].into());
}

#[test]
fn a_metric_and_the_log_name_why_an_event_is_not_with_the_upstream() {
    let vouched = Reply {
        status: 503,
        headers: vec![("x-countersign-not-accepted".to_owned(), "evt_not_accepted".to_owned())],
        body: Vec::new(),
    };
    let cases = [
        ("hop_refused", Behaviour::status(404), "the upstream answered 404: check the route's path"),
        ("not_accepted", Behaviour::Reply(vouched), "its log has why"),
        ("failed", Behaviour::status(500), "the upstream answered 500 or 501"),
        ("redirected", Behaviour::status(307), "redirect"),
        ("unknown", Behaviour::status(503), "nobody knows"),
    ];
    let world = World::start();
    for (cause, behaviour, _) in &cases {
        world.canary.script([behaviour.clone()]);
        let answer = world.send(&deposit(&format!("evt_{cause}")));
        assert!(matches!(answer.status, 502 | 503), "{cause}: {}", answer.text());
    }
    let text = world.envoy.admin_get("/stats/prometheus").unwrap();
    let expected = cases.iter().map(|(cause, ..)| (format!(r#"partner="sandbox",cause="{cause}""#), 1));
    assert_eq!(counted(&text, "countersign_delivery_faults"), expected.collect());
    let lines = world.envoy.access_log_of(cases.len()).unwrap();
    for (line, (cause, _, detail)) in lines.iter().zip(&cases) {
        assert!(line["detail"].as_str().unwrap().contains(detail), "{cause}: {line}");
    }
}

#[test]
fn an_upstream_that_is_not_there_is_named_too() {
    let world = World::with(|bootstrap| bootstrap.upstream = ([127, 0, 0, 1], 1).into());
    refused(&world.send(&deposit("evt_1")), 503, "upstream_unavailable");
    let text = world.envoy.admin_get("/stats/prometheus").unwrap();
    let expected = [(r#"partner="sandbox",cause="not_reached""#.to_owned(), 1)].into();
    assert_eq!(counted(&text, "countersign_delivery_faults"), expected);
}

#[test]
fn the_health_route_says_whether_postbacks_are_served() {
    let health = |world: &World, path: &str| {
        let mut client = world.envoy.connect(0).unwrap();
        client.send(format!("GET {path} HTTP/1.1\r\nhost: probe\r\n\r\n").as_bytes()).unwrap();
        client.response().unwrap()
    };
    let world = World::start();
    for path in ["/countersign/health", "/countersign/health?from=probe"] {
        let answer = health(&world, path);
        assert_eq!((answer.status, &answer.json()["status"]), (200, &"ok".into()), "{}", answer.text());
        assert_eq!(answer.json()["environment"], "sandbox");
        assert_eq!(answer.json()["build"], env!("CARGO_PKG_VERSION"));
    }
    refused(&health(&world, "/countersign/healthy"), 405, "method_not_allowed");
    let world = World::with(|bootstrap| bootstrap.listeners[0].allow_on_headers_stop_iteration = false);
    assert_eq!(health(&world, "/countersign/health").status, 200, "nothing was withheld yet");
    refused(&world.send(&deposit("evt_1")), 503, "filter_misconfigured");
    let answer = health(&world, "/countersign/health");
    assert_eq!((answer.status, &answer.json()["status"]), (503, &"unavailable".into()), "{}", answer.text());
}

#[test]
fn when_its_lease_ends_a_stream_that_still_waits_is_answered() {
    let at = now();
    let world = World::with(|bootstrap| {
        bootstrap.clock_ms = Some(at.as_ms());
        // An operator's mistake: the proxy would wait longer than the lease.
        bootstrap.listeners[0].upstream_timeout = Some(Duration::from_secs(300));
    });
    world.canary.script([Behaviour::Silent]);
    let mut client = world.envoy.connect(0).unwrap();
    client.send(&crate::sender::deposit_at("evt_1", at).bytes()).unwrap();
    world.canary.wait_for(1).unwrap();
    world.envoy.set_clock_ms(at.as_ms() + 30_000).unwrap();
    let answer = client.response().unwrap();
    refused(&answer, 503, "upstream_unavailable");
    assert!(answer.header("retry-after").is_some());
    until_counted(&world, "countersign_lease_expiries", |count| count == 1);
    // The connection is usable, and the event is free.
    client.send(&crate::sender::deposit_at("evt_1", at).bytes()).unwrap();
    accepted(&client.response().unwrap(), false);
}

#[test]
fn evictions_and_ended_leases_are_counted() {
    let at = now();
    let document = r#"{ "version": 1, "environment": "sandbox", "dedup": { "slots": 64, "entries_per_slot": 1, "lease_seconds": 30 } }"#;
    let world = World::with(|bootstrap| {
        bootstrap.clock_ms = Some(at.as_ms());
        bootstrap.listeners[0].configuration = Some(document.to_owned());
        bootstrap.listeners[0].upstream_timeout = Some(std::time::Duration::from_millis(200));
    });
    world.canary.script([Behaviour::Silent]);
    let late = crate::sender::deposit_at("evt_late", at);
    refused(&world.send(&late), 503, "upstream_unavailable");
    world.envoy.set_clock_ms(at.as_ms() + 30_000).unwrap();
    accepted(&world.send(&late), false);
    for index in 0..120 {
        accepted(&world.send(&crate::sender::deposit_at(&format!("evt_{index}"), at)), false);
    }
    until_counted(&world, "countersign_lease_expiries", |count| count == 1);
    let text = world.envoy.admin_get("/stats/prometheus").unwrap();
    let evictions = series(&text, "countersign_evictions");
    assert!(evictions[r#"partner="sandbox""#] >= 56, "{evictions:?}");
    assert!(counted(&text, "countersign_table_fill_percent").values().all(|percent| *percent > 50), "{text}");
    assert_eq!(world.canary.take().len(), 122);
}

/// A document with a partner that shows a token, and what it signs and mints with.
const DOCUMENT: &str = r#"{ "version": 1, "environment": "sandbox", "partners": { "acme": {
    "signature": { "keys": [{ "id": "s1", "secret": { "name": "sandbox_acme" } }] },
    "token": { "issuer": "acme", "keys": [{ "id": "t1", "algorithm": "HS256", "secret": { "name": "sandbox_token" } }] } } } }"#;
const SIGNING: &str = "acme-signs-with-this-and-tells-nobody";
const TOKEN: &str = "acme-mints-with-this-and-tells-nobody";

#[test]
fn the_access_log_says_what_was_decided_and_nothing_of_whom() {
    let world = World::with(|bootstrap| {
        let listener = &mut bootstrap.listeners[0];
        listener.configuration = Some(DOCUMENT.to_owned());
        listener.environment = [("sandbox_acme", SIGNING), ("sandbox_token", TOKEN)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    });
    let claims = Claims { issuer: "acme", audience: "countersign", issued_at: now(), lifetime_ms: 600_000 };
    let token = mint(&MintKey::new(Algorithm::Hs256, TOKEN.as_bytes()).unwrap(), None, &claims);
    let from = |postback: &crate::sender::Postback| {
        let address = world.envoy.address(0);
        let mut client = Client::connect(address, Some([127, 45, 67, 89].into())).unwrap();
        client.send(&postback.bytes()).unwrap();
        client.response().unwrap()
    };
    let good = deposit("evt_1")
        .signed(SIGNING)
        .to("/postback/acme?email=someone@example.test")
        .with("authorization", format!("Bearer {token}").as_bytes())
        .with("x-forwarded-for", b"198.51.100.77")
        .with("user-agent", b"acme-sender/1.0")
        .with("cookie", b"session=abcdef");
    let before = now().as_seconds();
    accepted(&from(&good), false);
    let used =
        series(&world.envoy.admin_get("/stats/prometheus").unwrap(), "countersign_key_last_used_seconds");
    for (kind, key) in [("signature", "s1"), ("token", "t1")] {
        let used = used[&format!(r#"partner="acme",kind="{kind}",key="{key}""#)];
        assert!((before..=now().as_seconds()).contains(&used), "{kind}: {used}");
    }
    let bad = good.clone().signed("another key");
    refused(&from(&bad), 403, "signature_invalid");
    refused(&from(&deposit("evt_2").to("/postback/acme")), 401, "token_missing");
    let lines = world.envoy.access_log_of(3).unwrap();
    let fields =
        |line: usize| ["code", "partner", "key", "event", "event_id"].map(|name| lines[line][name].as_str());
    let accepted = [Some("accepted"), Some("acme"), Some("s1"), Some("deposit_success"), Some("evt_1")];
    assert_eq!(fields(0), accepted);
    assert_eq!(fields(1), [Some("signature_invalid"), Some("acme"), None, None, None]);
    assert_eq!(fields(2), [Some("token_missing"), Some("acme"), None, None, None]);
    assert!(lines[1]["detail"].is_string());
    assert_eq!((&lines[0]["status"], &lines[0]["upstream_cluster"]), (&200.into(), &"application".into()));
    let click_id = serde_json::from_slice::<serde_json::Value>(&good.body).unwrap()["click_id"].clone();
    let told = format!("{lines:?}{}", world.envoy.log().unwrap());
    let stats = world.envoy.admin_get("/stats").unwrap();
    for sensitive in [
        SIGNING,
        TOKEN,
        &token,
        &good.signature(),
        &bad.signature(),
        "127.45.67.89",
        "198.51.100.77",
        "someone@",
        "100.5",
        click_id.as_str().unwrap(),
        "acme-sender",
        "session=",
        sandbox::RECEIPT_SECRET,
        "cs1_",
    ] {
        assert!(!told.contains(sensitive) && !stats.contains(sensitive), "{sensitive}");
    }
    assert_eq!(world.canary.take().len(), 1);
}
