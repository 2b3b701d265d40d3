//! The oldest Envoy that is supported and can be had, in short: it starts, it serves, it takes another document.

use conformance::envoy::{Bootstrap, ListenerSpec};

use crate::sender::deposit;
use crate::world::{World, accepted, refused};

/// As in `xtask/src/tools.rs`, which installs it.
const OLDEST: &str = "1.36.2";

fn oldest(bootstrap: &mut Bootstrap) {
    bootstrap.version = Some(OLDEST);
}

#[test]
fn it_serves_and_takes_another_document() {
    let mut world = World::with(oldest);
    accepted(&world.send(&deposit("evt_1")), false);
    refused(&world.send(&deposit("evt_2").signed("not the key")), 403, "signature_invalid");
    let reload = |world: &mut World, document: &str| {
        let configuration = Some(document.to_owned());
        world.envoy.reload(vec![ListenerSpec { configuration, ..ListenerSpec::default() }])
    };
    let refusal =
        reload(&mut world, r#"{ "version": 1, "environment": "sandbox", "limitz": {} }"#).unwrap_err();
    assert!(refusal.to_string().contains("countersign: configuration: limitz"), "{refusal}");
    let event = deposit("evt_3");
    accepted(&world.send(&event), false);
    let smaller = r#"{ "version": 1, "environment": "sandbox", "limits": { "body_bytes_max": 1024 } }"#;
    reload(&mut world, smaller).unwrap();
    let mut long = deposit("evt_4");
    long.body.resize(2_000, b' ');
    refused(&world.send(&long), 413, "payload_too_large");
    accepted(&world.send(&event), true);
    world.saw(&["evt_1", "evt_3"]);
}

/// A listener without the field, and then the same with it: what a reload mends, and where only a restart does.
fn the_field_is_added_in_a_reload(change: impl FnOnce(&mut Bootstrap)) -> World {
    let mut world = World::with(|bootstrap| {
        change(bootstrap);
        bootstrap.listeners[0].allow_on_headers_stop_iteration = false;
    });
    refused(&world.send(&deposit("evt_1")), 503, "filter_misconfigured");
    world.envoy.reload(vec![ListenerSpec::default()]).unwrap();
    world
}

#[test]
fn the_field_for_bodies_is_taken_up_by_a_reload_of_the_newest() {
    let world = the_field_is_added_in_a_reload(|_| {});
    accepted(&world.send(&deposit("evt_1")), false);
}

#[test]
fn the_field_for_bodies_needs_a_restart_of_the_oldest_and_the_log_says_so() {
    let world = the_field_is_added_in_a_reload(oldest);
    refused(&world.send(&deposit("evt_1")), 503, "filter_misconfigured");
    let log = world.envoy.log().unwrap();
    assert!(log.contains("only when it is restarted"), "{log}");
    world.saw(&[]);
}
