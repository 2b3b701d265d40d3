//! `filter_misconfigured`: a proxy that withholds bodies from the filter. It is answered, once, and nothing passes.

use conformance::hosts::filter;
use conformance::vector::{Group, Suite};
use conformance::wire::Wire;
use countersign_core::outcome::Code;
use countersign_host::clock::Clock;
use countersign_host::http::HttpRequest;
use countersign_host::proxy_wasm::{FilterConfig, FilterHost, FilterModule, Progress};

#[test]
fn request_whose_body_is_withheld_is_answered_503_within_two_seconds() {
    let group = Group::load(Suite::Gate, "route").unwrap();
    let wire = Wire::of(&group.vectors[0].steps[0].request).unwrap();
    let wasm = filter::artefact("countersign_envoy.wasm").unwrap_or_else(|error| panic!("{error:#}"));
    let clock = Clock::fixed(1_000_000);
    let mut vm_environment = group.secrets.clone();
    vm_environment.insert("COUNTERSIGN_SANDBOX".to_owned(), "1".to_owned());
    let config = FilterConfig {
        plugin_configuration: group.configuration().unwrap().into_bytes(),
        vm_environment,
        allow_on_headers_stop_iteration: false,
        clock: clock.clone(),
        ..FilterConfig::default()
    };
    let mut host = FilterHost::start(&FilterModule::load(&wasm).unwrap(), config).unwrap();
    let stream = host.open(&HttpRequest {
        method: wire.method.clone(),
        path: wire.path.clone(),
        authority: b"tracker.test".to_vec(),
        headers: wire.headers.clone(),
        body: wire.chunks.clone(),
        peer: std::net::SocketAddr::new(wire.peer, 40_000),
        certificate: None,
    });
    assert!(host.tick_period_ms() > 0 && host.tick_period_ms() <= 1_000);
    host.tick();
    assert!(matches!(host.progress(stream), Progress::Held), "it waits a second before it complains");
    clock.set_ms(1_001_000);
    host.tick();
    assert!(matches!(host.progress(stream), Progress::Over));
    let exchange = host.close(stream).unwrap();
    assert!(exchange.upstream_saw.is_none(), "headers passed before the body was verified");
    let reply = exchange.reply.unwrap();
    assert_eq!(reply.status, Code::FilterMisconfigured.status());
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"], Code::FilterMisconfigured.as_str());
    let remedy = |message: &str| message.contains("allow_on_headers_stop_iteration: true");
    assert!(host.log().iter().any(|line| remedy(&line.message)), "the log has the remedy");
}
