//! `istio.yaml` on a connection manager as Istio renders it: the patches are merged as Istio merges them.

use conformance::envoy::bootstrap::read_yaml;
use conformance::envoy::{Bootstrap, EnvoyProcess};
use serde_json::{Value, json};

use crate::sender::deposit;
use crate::world::{World, accepted, refused};

/// The patches of `istio.yaml`.
pub(crate) fn patches() -> Vec<Value> {
    read_yaml("istio.yaml").unwrap()["spec"]["configPatches"].as_array().unwrap().clone()
}

/// The connection manager of a gateway after the patches.
pub(crate) fn manager() -> Value {
    let mut manager: Value = serde_saphyr::from_str(include_str!("istio_gateway.yaml")).unwrap();
    for patch in patches() {
        let (to, patch) = (&patch["applyTo"], &patch["patch"]);
        match to.as_str().unwrap() {
            "NETWORK_FILTER" => {
                assert_eq!(patch["operation"], "MERGE");
                merge(&mut manager, &patch["value"]["typed_config"]);
            }
            "HTTP_FILTER" => {
                assert_eq!(patch["operation"], "INSERT_BEFORE");
                let filters = manager["http_filters"].as_array_mut().unwrap();
                let router = filters.iter().position(|filter| filter["name"] == "envoy.filters.http.router");
                filters.insert(router.unwrap(), patch["value"].clone());
            }
            "LISTENER" | "BOOTSTRAP" => assert_eq!(patch["operation"], "MERGE"),
            other => panic!("no test merges {other}"),
        }
    }
    manager
}

/// Replaces the filter's document.
pub(crate) fn set_document(manager: &mut Value, document: &str) {
    let filters = manager["http_filters"].as_array_mut().unwrap();
    let filter = filters.iter_mut().find(|filter| filter["name"] == "countersign").unwrap();
    filter["typed_config"]["config"]["configuration"]["value"] = json!(document);
}

/// Merges as Istio does (`pkg/proto/merge`): messages member by member, lists appended, and what has its default value is not there at
/// all. A duration is replaced whole; as text it has no members.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(patch)) => into.extend(patch.iter().cloned()),
        (into, patch) if !is_default(patch) => *into = patch.clone(),
        _ => {}
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Bool(true) | Value::Object(_) => false,
    }
}

/// Envoy with the patched manager, and with the bootstrap that `istio.yaml` patches.
fn gateway() -> World {
    World::with(|bootstrap| bootstrap.listeners[0].manager = Some(manager()))
}

#[test]
fn no_line_of_a_merge_is_without_effect() {
    fn effective(path: &str, value: &Value) {
        assert!(!is_default(value), "{path}: merging {value} changes nothing");
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| effective(&format!("{path}/{name}"), value));
            }
            Value::Array(elements) => elements.iter().for_each(|element| effective(path, element)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for patch in patches().iter().filter(|patch| patch["patch"]["operation"] == "MERGE") {
        effective(patch["applyTo"].as_str().unwrap(), &patch["patch"]["value"]);
    }
}

#[test]
fn the_merged_fields_are_those_of_the_listener() {
    let listener = read_yaml("listener.yaml").unwrap();
    let ours = &listener["resources"][0];
    for patch in patches() {
        let value = &patch["patch"]["value"];
        match patch["applyTo"].as_str().unwrap() {
            "NETWORK_FILTER" => {
                for (name, value) in value["typed_config"].as_object().unwrap() {
                    let manager = &ours["filter_chains"][0]["filters"][0]["typed_config"];
                    assert_eq!(value, &manager[name], "{name}");
                }
            }
            "LISTENER" => {
                let name = "per_connection_buffer_limit_bytes";
                assert_eq!(value[name], ours[name]);
            }
            "BOOTSTRAP" => {
                assert_eq!(value["stats_config"], read_yaml("envoy.yaml").unwrap()["stats_config"]);
            }
            _ => {}
        }
    }
}

#[test]
fn envoy_takes_the_patched_manager_and_it_serves() {
    let mut bootstrap = Bootstrap::new(([127, 0, 0, 1], 1).into());
    bootstrap.listeners[0].manager = Some(manager());
    let (taken, log) = EnvoyProcess::validate(&bootstrap).unwrap();
    assert!(taken, "{log}");
    assert!(!log.contains("deprecated"), "{log}");
    let world = gateway();
    accepted(&world.send(&deposit("evt_1")), false);
    refused(&world.send(&deposit("evt_2").signed("not the key")), 403, "signature_invalid");
    let bare = deposit("evt_3")
        .with("authorization", b"Bearer of nothing")
        .with("x-forwarded-client-cert", b"URI=x");
    accepted(&world.send(&bare), false);
    world.canary.wait_for(2).unwrap();
    let seen = world.canary.take();
    for seen in &seen {
        assert!(seen.header("authorization").is_none() && seen.header("x-forwarded-client-cert").is_none());
    }
    let lines = world.envoy.access_log_of(6).unwrap();
    assert!(lines.iter().any(|line| line["of"] == "istio"), "Istio's own log stays");
    assert!(lines.iter().any(|line| line["code"] == "accepted" && line["event_id"] == "evt_1"));
}

#[test]
fn istio_normalizes_paths_and_that_cannot_be_merged_away() {
    let world = gateway();
    accepted(&world.send(&deposit("evt_1").to("/x/../postback/sandbox")), false);
    refused(&world.send(&deposit("evt_2").to("/%2fpostback/sandbox")), 404, "not_found");
    world.saw(&["evt_1"]);
}
