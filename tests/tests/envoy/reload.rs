//! What outlives a change of the document or a restart, and what does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use conformance::envoy::{Behaviour, Client, ListenerSpec};
use countersign_core::policy::{SealKey, seal_place};

use crate::operation::until_counted;
use crate::sender::{deposit, deposit_at, now};
use crate::world::{World, accepted, refused};

/// A listener with a document of the sandbox.
fn listener(rest: &str) -> ListenerSpec {
    let document = format!(r#"{{ "version": 1, "environment": "sandbox", {rest} }}"#);
    ListenerSpec { configuration: Some(document), ..ListenerSpec::default() }
}

#[test]
fn a_reload_during_traffic_loses_nothing_and_keeps_the_claims() {
    const SENDERS: usize = 3;
    let mut world = World::with(|bootstrap| bootstrap.concurrency = 2);
    let before = deposit("evt_before");
    accepted(&world.send(&before), false);
    let address = world.envoy.address(0);
    let over = AtomicBool::new(false);
    let handed_on: Vec<String> = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let over = &over;
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        // A connection of its own for each request: what is drained closes connections between requests.
                        let id = format!("evt_{sender}_{}", ids.len());
                        let mut client = Client::connect(address, None).unwrap();
                        client.send(&deposit(&id).bytes()).unwrap();
                        accepted(&client.response().unwrap(), false);
                        let mut client = Client::connect(address, None).unwrap();
                        client.send(&deposit(&format!("{id}_bad")).signed("not the key").bytes()).unwrap();
                        refused(&client.response().unwrap(), 403, "signature_invalid");
                        ids.push(id);
                        thread::sleep(Duration::from_millis(30));
                    }
                    ids
                })
            })
            .collect();
        for refusals in [9_000, 9_010, 9_020] {
            let document = format!(
                r#"{{ "version": 1, "environment": "sandbox", "limits": {{ "source_requests_per_minute": {refusals} }}, "dedup": {{ "slots": 65536, "entries_per_slot": 8 }} }}"#
            );
            let reloaded = world
                .envoy
                .reload(vec![ListenerSpec { configuration: Some(document), ..ListenerSpec::default() }]);
            if reloaded.is_err() {
                over.store(true, Ordering::Relaxed);
            }
            reloaded.unwrap();
            assert_eq!(world.envoy.address(0), address, "a reload keeps the port");
            thread::sleep(Duration::from_millis(300));
        }
        over.store(true, Ordering::Relaxed);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    // The event that was claimed before the reload is a duplicate after it.
    accepted(&world.send(&before), true);
    let mut expected: Vec<_> = handed_on.iter().map(String::as_str).collect();
    expected.push("evt_before");
    assert!(expected.len() > SENDERS * 3, "{}", expected.len());
    world.saw(&expected);
}

#[test]
fn a_bad_document_in_a_reload_changes_nothing() {
    let mut world = World::start();
    let event = deposit("evt_1");
    accepted(&world.send(&event), false);
    let address = world.envoy.address(0);
    let bad = ListenerSpec {
        configuration: Some(r#"{ "version": 1, "environment": "sandbox", "limitz": {} }"#.to_owned()),
        ..ListenerSpec::default()
    };
    let refusal = world.envoy.reload(vec![bad]).unwrap_err().to_string();
    assert!(refusal.contains("countersign: configuration: limitz"), "{refusal}");
    assert_eq!(world.envoy.address(0), address);
    accepted(&world.send(&event), true);
    world.saw(&["evt_1"]);
}

#[test]
fn a_reload_with_a_larger_table_forgets_nothing() {
    let slots = |slots: u32| listener(&format!(r#""dedup": {{ "slots": {slots}, "entries_per_slot": 8 }}"#));
    let mut world = World::with(|bootstrap| {
        bootstrap.concurrency = 2;
        bootstrap.listeners = vec![slots(64)];
    });
    let events: Vec<_> = (0..40).map(|index| deposit(&format!("evt_{index}"))).collect();
    events.iter().for_each(|event| drop(accepted(&world.send(event), false)));
    // One is with the upstream, which does not answer yet.
    world.canary.script([Behaviour::Silent]);
    let waiting = deposit("evt_waiting");
    let mut waits = world.envoy.connect(0).unwrap();
    waits.send(&waiting.bytes()).unwrap();
    world.canary.wait_for(41).unwrap();
    for larger in [4_096, 65_536] {
        world.envoy.reload(vec![slots(larger)]).unwrap();
        events.iter().for_each(|event| drop(accepted(&world.send(event), true)));
        refused(&world.send(&waiting), 503, "in_flight");
    }
    until_counted(&world, "countersign_moved", |moved| moved >= 41);
    until_counted(&world, "countersign_evictions", |evictions| evictions == 0);
    assert_eq!(world.canary.take().len(), 41);
}

#[test]
fn a_restart_forgets_and_therefore_takes_no_event_from_before_it() {
    let at = now();
    let world = |clock_ms: u64, upstream: &str| {
        World::with(|bootstrap| {
            bootstrap.clock_ms = Some(clock_ms);
            bootstrap.listeners = vec![listener(upstream)];
        })
    };
    let unknowing = r#""upstream": { "idempotent": false }"#;
    let event = deposit_at("evt_1", at);
    let first = world(at.as_ms(), unknowing);
    accepted(&first.send(&event), false);
    accepted(&first.send(&event), true);
    first.saw(&["evt_1"]);
    drop(first);
    // Ten seconds later, in a proxy that remembers nothing.
    let restarted = world(at.as_ms() + 10_000, unknowing);
    let answer = restarted.send(&event);
    refused(&answer, 422, "event_too_old");
    assert!(answer.json()["ts_event_min"].is_string(), "{}", answer.text());
    accepted(&restarted.send(&deposit_at("evt_2", at.plus_ms(10_000))), false);
    restarted.saw(&["evt_2"]);
    drop(restarted);
    // The memory begins with the proxy and not with the first postback: what happened between the two is taken.
    let idle = world(at.as_ms(), unknowing);
    idle.envoy.set_clock_ms(at.as_ms() + 25_000).unwrap();
    accepted(&idle.send(&deposit_at("evt_3", at.plus_ms(5_000))), false);
    idle.saw(&["evt_3"]);
    drop(idle);
    // An upstream that knows its own events is asked.
    let asking = world(at.as_ms() + 10_000, r#""upstream": { "idempotent": true }"#);
    accepted(&asking.send(&event), false);
    asking.saw(&["evt_1"]);
}

#[test]
fn a_sealed_secret_is_added_and_replaced_without_a_restart() {
    const SEAL: &str = "the seal key of this proxy, which it was started with";
    let sealed = |secret: &str, nonce: u8| {
        let place = seal_place("sandbox_acme").unwrap();
        let text = SealKey::new(SEAL.as_bytes()).seal(place, secret.as_bytes(), [nonce; 24]);
        let mut listener = listener(&format!(
            r#""partners": {{ "acme": {{ "signature": {{ "keys": [{{ "id": "s1", "secret": {{ "name": "sandbox_acme", "sealed": "{text}" }} }}] }} }} }}"#
        ));
        listener.environment = [("sandbox_seal_key".to_owned(), SEAL.to_owned())].into();
        listener
    };
    let signed = |id: &str, secret: &str| deposit(id).signed(secret).to("/postback/acme");
    let mut world = World::with(|bootstrap| {
        let mut without = listener(r#""limits": {}"#);
        without.environment = sealed("", 0).environment;
        bootstrap.listeners = vec![without];
    });
    let event = signed("evt_1", "the first secret");
    refused(&world.send(&event), 403, "partner_unknown");
    world.envoy.reload(vec![sealed("the first secret", 1)]).unwrap();
    accepted(&world.send(&event), false);
    world.envoy.reload(vec![sealed("the second secret", 2)]).unwrap();
    accepted(&world.send(&signed("evt_2", "the second secret")), false);
    refused(&world.send(&signed("evt_3", "the first secret")), 403, "signature_invalid");
    accepted(&world.send(&event.signed("the second secret")), true);
    // One that this proxy's seal key does not open changes nothing, and the log says which.
    let mut foreign = sealed("the third secret", 3);
    foreign.configuration =
        foreign.configuration.map(|text| text.replacen("sandbox_acme", "sandbox_acne", 1));
    let refusal = world.envoy.reload(vec![foreign]).unwrap_err().to_string();
    assert!(refusal.contains("partners.acme.signature.keys[0].secret.sealed"), "{refusal}");
    assert!(!refusal.contains("the third secret") && !refusal.contains(SEAL), "{refusal}");
    accepted(&world.send(&signed("evt_4", "the second secret")), false);
    world.saw(&["evt_1", "evt_2", "evt_4"]);
}
