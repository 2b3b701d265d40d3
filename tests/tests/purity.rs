//! Purity, proved on the artefacts: the core imports nothing at all, the filter the proxy-wasm ABI and a few calls of WASI.
#![cfg(test)]

use std::collections::BTreeSet;

use conformance::hosts::filter::artefact;
use conformance::vector::{Group, Suite, bytes};
use countersign_host::proxy_wasm::imports;
use wasmtime::{Engine, Instance, Module, Store};

/// Calls of WASI that the filter may import, and why.
const WASI: [(&str, &str); 4] = [
    ("environ_get", "secrets are environment variables of the VM"),
    ("environ_sizes_get", "secrets are environment variables of the VM"),
    ("fd_write", "the standard library would report a panic there"),
    ("proc_exit", "the standard library would end with it after a failed allocation"),
];

fn wasm(name: &str) -> Vec<u8> {
    artefact(name).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn core_imports_nothing() {
    assert_eq!(imports(&wasm("countersign_probe.wasm")).unwrap(), []);
}

#[test]
fn core_decides_without_a_host() {
    let group = Group::load(Suite::Gate, "sandbox").unwrap();
    let step = &group.vectors[0].steps[0];
    let document = r#"{ "version": 1, "environment": "sandbox" }"#;
    let mut input =
        [document, &step.request.method, &step.request.path, step.request.body.as_deref().unwrap()]
            .join("\0")
            .into_bytes();
    for (name, value) in &step.request.headers {
        for part in [name.as_bytes(), &bytes(value).unwrap()] {
            input.push(0);
            input.extend_from_slice(part);
        }
    }
    let engine = Engine::default();
    let module = Module::new(&engine, wasm("countersign_probe.wasm")).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let put = instance.get_typed_func::<u32, ()>(&mut store, "probe_put").unwrap();
    let play = instance.get_typed_func::<u64, u32>(&mut store, "probe_play").unwrap();
    let take = instance.get_typed_func::<u32, u32>(&mut store, "probe_take").unwrap();
    for byte in input {
        put.call(&mut store, byte.into()).unwrap();
    }
    let status = play.call(&mut store, step.at_ms).unwrap();
    let body: Vec<u8> = (0..)
        .map(|at| take.call(&mut store, at).unwrap())
        .map_while(|byte| u8::try_from(byte).ok())
        .collect();
    assert_eq!(Some(status), step.expect.status.map(u32::from));
    assert_eq!(String::from_utf8(body).unwrap(), step.expect.body);
}

#[test]
fn filter_imports_the_abi_and_the_listed_calls_of_wasi() {
    let mut wasi = BTreeSet::new();
    for (module, name) in imports(&wasm("countersign_envoy.wasm")).unwrap() {
        match module.as_str() {
            // The host refuses a filter that imports what the ABI does not have.
            "env" => assert!(name.starts_with("proxy_"), "{name} is no call of the proxy-wasm ABI"),
            "wasi_snapshot_preview1" => _ = wasi.insert(name),
            other => panic!("the filter imports {name} from {other}"),
        }
    }
    let listed: BTreeSet<String> = WASI.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(wasi, listed, "left is what the filter imports");
}
