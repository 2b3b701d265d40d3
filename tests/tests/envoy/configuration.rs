//! The shipped configurations, and those that must not start or must not serve.

use std::time::{Duration, Instant};

use conformance::envoy::bootstrap::read_yaml;
use conformance::envoy::{Bootstrap, Canary, EnvoyProcess, workspace};
use serde_json::Value;

use crate::istio;
use crate::sender::deposit;
use crate::world::{World, refused};

fn example(name: &str) -> String {
    std::fs::read_to_string(workspace().join("examples").join(name)).unwrap()
}

/// A text of 32 bytes and more for each secret that the shipped configuration takes from the proxy's environment.
fn secrets() -> Vec<(String, String)> {
    let yaml = read_yaml("listener.yaml").unwrap();
    let names = find(&yaml, "host_env_keys").as_array().unwrap();
    names
        .iter()
        .map(|name| {
            let name = name.as_str().unwrap().to_owned();
            let text = if name.contains("webhook") {
                // Base64 of 40 bytes.
                format!("whsec_{}", "QUJD".repeat(13)) + "QQ=="
            } else {
                format!("the secret text of {name}, long enough")
            };
            (name, text)
        })
        .collect()
}

/// The one value of that name, however deep.
fn find<'v>(value: &'v Value, name: &str) -> &'v Value {
    fn all<'v>(value: &'v Value, name: &str, found: &mut Vec<&'v Value>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get(name));
                members.values().for_each(|member| all(member, name, found));
            }
            Value::Array(elements) => elements.iter().for_each(|element| all(element, name, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    all(value, name, &mut found);
    assert_eq!(found.len(), 1, "{name}");
    found[0]
}

/// The filters that `istio.yaml` inserts, in order.
fn istio_filters() -> Vec<Value> {
    let patches = istio::patches();
    let filters = patches.iter().filter(|patch| patch["applyTo"] == "HTTP_FILTER");
    filters.map(|patch| patch["patch"]["value"].clone()).collect()
}

#[test]
fn envoy_takes_the_shipped_configuration() {
    let (taken, log) = EnvoyProcess::validate(&Bootstrap::new(([127, 0, 0, 1], 1).into())).unwrap();
    assert!(taken, "{log}");
    assert!(!log.contains("deprecated"), "{log}");
}

#[test]
fn both_configurations_have_the_same_filters() {
    let shipped = read_yaml("listener.yaml").unwrap();
    let mut ours = find(&shipped, "http_filters").as_array().unwrap().clone();
    ours.pop();
    let mut istio = istio_filters();
    for filter in ours.iter_mut().chain(&mut istio) {
        if let Some(file) = filter.pointer_mut("/typed_config/config/vm_config/code/local/filename") {
            file.take();
        }
    }
    assert_eq!(ours, istio);
    assert_eq!(find(&istio[1], "allow_on_headers_stop_iteration"), true);
    assert_eq!(find(&istio[1], "failure_policy"), "FAIL_RELOAD");
}

/// What both files ship is a sandbox: a proxy to which nobody said that it is one takes nothing.
#[test]
fn as_shipped_neither_configuration_starts_in_production() {
    for manager in [None, Some(istio::manager())] {
        let mut bootstrap = Bootstrap::new(([127, 0, 0, 1], 1).into());
        bootstrap.listeners[0].manager = manager;
        bootstrap.environment.clear();
        let log = EnvoyProcess::refusal(&bootstrap).unwrap();
        for part in
            ["countersign: the document is a sandbox", "COUNTERSIGN_SANDBOX=1", "examples/production.json"]
        {
            assert!(log.contains(part), "{part} in {log}");
        }
    }
}

#[test]
fn no_lease_ends_before_the_proxy_gives_up() {
    let envoy = read_yaml("listener.yaml").unwrap();
    let document = find(&envoy, "configuration")["value"].as_str().unwrap();
    let document: Value = serde_json::from_str(document).unwrap();
    let seconds = |text: &Value| text.as_str().unwrap().trim_end_matches('s').parse::<u64>().unwrap();
    let routes = &find(&envoy, "virtual_hosts")[0]["routes"];
    for route in routes.as_array().unwrap() {
        assert!(seconds(&route["route"]["timeout"]) < document["dedup"]["lease_seconds"].as_u64().unwrap());
        assert!(route["route"].get("retry_policy").is_none());
    }
}

#[test]
fn the_production_example_starts_with_the_secrets_that_are_named() {
    let world = World::with(|bootstrap| {
        bootstrap.environment.extend(secrets());
        bootstrap.listeners[0].configuration = Some(example("production.json"));
    });
    refused(&world.send(&deposit("evt_1")), 403, "partner_unknown");
    let dump = [world.envoy.admin_get("/config_dump").unwrap(), world.envoy.log().unwrap()].concat();
    for (name, secret) in secrets() {
        assert!(dump.contains(&name) && !dump.contains(&secret), "{name} is named, and not told");
    }
    world.saw(&[]);
}

#[test]
fn a_missing_or_weak_secret_stops_the_start() {
    let canary = Canary::start().unwrap();
    let start = |receipt_key: Option<&str>| {
        let mut bootstrap = Bootstrap::new(canary.address());
        bootstrap.environment.extend(secrets());
        match receipt_key {
            Some(secret) => bootstrap.environment.insert("receipt_key".to_owned(), secret.to_owned()),
            None => bootstrap.environment.remove("receipt_key"),
        };
        bootstrap.listeners[0].configuration = Some(example("production.json"));
        EnvoyProcess::refusal(&bootstrap).unwrap()
    };
    let log = start(None);
    assert!(log.contains("receipt.secret.name") && log.contains("receipt_key"), "{log}");
    let log = start(Some("too-short-by-far"));
    assert!(log.contains("receipt.secret.name") && !log.contains("too-short-by-far"), "{log}");
}

#[test]
fn a_bad_document_stops_the_start_and_every_mistake_is_in_the_log() {
    let document = r#"{ "version": 1, "environment": "sandbox", "limitz": {}, "dedup": { "slots": 1 } }"#;
    let mut bootstrap = Bootstrap::new(([127, 0, 0, 1], 1).into());
    bootstrap.listeners[0].configuration = Some(document.to_owned());
    let log = EnvoyProcess::refusal(&bootstrap).unwrap();
    for part in ["countersign: configuration: limitz", r#"write "limits""#, "dedup.slots"] {
        assert!(log.contains(part), "{part} in {log}");
    }
}

#[test]
fn without_the_flag_nothing_passes_and_the_log_has_the_remedy() {
    let world = World::with(|bootstrap| bootstrap.listeners[0].allow_on_headers_stop_iteration = false);
    for id in ["evt_1", "evt_2"] {
        let started = Instant::now();
        let response = world.send(&deposit(id));
        refused(&response, 503, "filter_misconfigured");
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        assert!(response.header("retry-after").is_some());
    }
    let log = world.envoy.log().unwrap();
    assert!(log.contains("Set allow_on_headers_stop_iteration: true"), "{log}");
    let lines = world.envoy.access_log_of(2).unwrap();
    assert!(lines.iter().all(|line| line["code"] == "filter_misconfigured"), "{lines:?}");
    world.saw(&[]);
}
