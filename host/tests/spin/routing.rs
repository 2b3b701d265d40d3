//! Routes, and the header fields that Spin adds.

use countersign_host::http::HttpReply;

use crate::support::{World, request, text};

/// The values of `name` among the header fields that the component saw, in order.
fn seen(reply: &HttpReply, name: &str) -> Vec<String> {
    let prefix = format!("{name}: ");
    text(reply).lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect()
}

#[test]
fn the_exact_route_wins_over_the_parameter_and_the_wildcard() {
    let world = World::new();
    for (path, route) in
        [("/echo/exact", "/echo/exact"), ("/echo/acme/x", "/echo/:partner/..."), ("/echo", "/...")]
    {
        let reply = world.app.handle(request(path, "")).unwrap();
        assert_eq!(seen(&reply, "spin-matched-route"), [route], "{path}");
    }
}

#[test]
fn spin_tells_the_component_of_route_url_and_peer() {
    let world = World::new();
    let reply = world.app.handle(request("/echo/acme/x/y?z=1", "body")).unwrap();
    for (name, value) in [
        ("spin-path-info", "/x/y"),
        ("spin-full-url", "http://gate.example/echo/acme/x/y?z=1"),
        ("spin-matched-route", "/echo/:partner/..."),
        ("spin-raw-component-route", "/echo/:partner/..."),
        ("spin-component-route", "/echo/:partner"),
        ("spin-base-path", "/"),
        ("spin-client-addr", "203.0.113.9:4711"),
        ("spin-path-match-partner", "acme"),
    ] {
        assert_eq!(seen(&reply, name), [value], "{name}");
    }
    assert!(text(&reply).starts_with("POST http://gate.example/echo/acme/x/y?z=1\n"), "{}", text(&reply));
    assert!(text(&reply).ends_with("\n\nbody"));
}

#[test]
fn a_senders_own_spin_headers_stay_in_front_of_the_hosts() {
    let world = World::new();
    let mut forged = request("/echo/acme", "");
    forged.headers = vec![
        (b"spin-client-addr".to_vec(), b"10.0.0.1:1".to_vec()),
        (b"x-a".to_vec(), b"1".to_vec()),
        (b"x-a".to_vec(), b"2".to_vec()),
    ];
    let reply = world.app.handle(forged).unwrap();
    assert_eq!(seen(&reply, "spin-client-addr"), ["10.0.0.1:1", "203.0.113.9:4711"]);
    assert_eq!(seen(&reply, "x-a"), ["1", "2"]);
}

#[test]
fn a_header_that_is_no_utf8_is_500_before_the_component_runs() {
    let world = World::new();
    let mut broken = request("/echo/acme", "");
    broken.headers = vec![(b"x-a".to_vec(), vec![0xFF])];
    let reply = world.app.handle(broken).unwrap();
    assert_eq!((reply.status, reply.body.len()), (500, 0));
    assert_eq!(world.ok("/hello", ""), "hello /hello");
}

#[test]
fn a_path_without_a_route_is_an_empty_404() {
    let world = World::with(|manifest| manifest.replacen("\"/...\"", "\"/only/...\"", 1), |_| {});
    let reply = world.app.handle(request("/hello", "")).unwrap();
    assert_eq!((reply.status, reply.body.len()), (404, 0));
    assert_eq!(world.post("/only/x", "").0, 503);
}

#[test]
fn spins_own_health_path_answers_whatever_the_routes() {
    let world = World::new();
    assert_eq!(world.ok("/.well-known/spin/health", ""), "OK");
    assert_eq!(world.post("/.well-known/spin/nope", "").0, 404);
}

#[test]
fn a_host_that_names_a_component_does_not_reach_it() {
    let world = World::new();
    let mut sly = request("/echo/acme", "");
    sly.authority = b"hidden.spin.internal".to_vec();
    assert_eq!(world.app.handle(sly).unwrap().status, 400);
    let mut none = request("/echo/acme", "");
    none.authority = Vec::new();
    assert_eq!(world.app.handle(none).unwrap().status, 400);
}

#[test]
fn the_reply_keeps_the_content_length_that_the_component_set() {
    let world = World::new();
    let reply = world.app.handle(request("/hello", "")).unwrap();
    let lengths: Vec<_> = reply.headers.iter().filter(|(name, _)| name == b"content-length").collect();
    assert_eq!(lengths, [&(b"content-length".to_vec(), b"12".to_vec())]);
}
