//! Outbound HTTP: what is allowed, calls between components, and faults.

use countersign_host::fault::Fault;
use countersign_host::spin::Stream;

use crate::support::World;

#[test]
fn a_component_calls_another_by_name() {
    let world = World::new();
    let answer = world.ok("/call", "http://hidden.spin.internal/echo/x?y=1");
    for line in [
        "200",
        "GET http://hidden.spin.internal/echo/x?y=1",
        "spin-path-info: /echo/x",
        "spin-matched-route: /...",
        "spin-client-addr: 0.0.0.0:0",
    ] {
        assert!(answer.lines().any(|seen| seen == line), "{line} is not in {answer}");
    }
}

#[test]
fn a_private_component_has_no_route_and_no_access_of_its_callers() {
    let world = World::with(|manifest| manifest.replacen("\"/...\"", "\"/call\"", 1), |_| {});
    assert_eq!(world.post("/echo/hidden", "").0, 200);
    assert_eq!(world.post("/hidden", "").0, 404);
    assert!(world.ok("/call", "http://hidden.spin.internal/variable/key").contains("Undefined"));
    assert!(world.ok("/call", "http://hidden.spin.internal/call").starts_with("503"));
}

#[test]
fn a_destination_that_is_not_listed_is_denied() {
    let world = World::new();
    for url in ["http://other.spin.internal/hello", "https://example.com/", "http://127.0.0.1:1/"] {
        assert!(world.post("/call", url).1.contains("HttpRequestDenied"), "{url}");
    }
    let lines = world.lines.lock().unwrap();
    let denied = lines
        .iter()
        .filter(|line| line.stream == Stream::Host && line.text.contains("not in allowed_outbound_hosts"));
    assert_eq!(denied.count(), 3);
}

#[test]
fn the_application_may_call_itself() {
    let world = World::new();
    assert_eq!(world.ok("/call", "http://self.alt/hello/self"), "200\nhello /hello/self");
}

#[test]
fn a_listed_upstream_is_reached_over_the_network() {
    let upstream = World::new();
    let serving = upstream.app.serve("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", serving.address());
    let world = World::with(
        |manifest| manifest,
        |options| {
            options.variables.insert("upstream".to_owned(), url.clone());
        },
    );
    assert_eq!(world.ok("/call", &format!("{url}/hello/there")), "200\nhello /hello/there");
    upstream.app.stop(serving);
    assert!(world.post("/call", &format!("{url}/hello/there")).1.contains("ConnectionRefused"));
}

#[test]
fn every_fault_shows_what_the_network_would() {
    let world = World::new();
    let url = "http://hidden.spin.internal/log";
    for (fault, expected, effects) in [
        (Fault::Error, "ConnectionRefused", 0),
        (Fault::Conflict, "ConnectionReadTimeout", 0),
        (Fault::ErrorAfterEffect, "ConnectionTerminated", 1),
    ] {
        world.faults.plan("http.send", 0, fault);
        world.lines.lock().unwrap().clear();
        assert!(world.post("/call", url).1.contains(expected), "{expected}");
        let lines = world.lines.lock().unwrap();
        assert_eq!(
            lines.iter().filter(|line| line.component == "hidden" && line.stream == Stream::Stdout).count(),
            effects
        );
    }
    world.faults.plan("http.send", 0, Fault::Garbage(b"??".to_vec()));
    assert_eq!(world.ok("/call", url), "200\n??");
}
