//! From the JSON document to the policy: every mistake with its path and remedy, the examples, the schema.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod errors;
mod examples;
mod keys;
mod sealed;
mod secrets;

use std::fs;
use std::path::PathBuf;

use countersign_core::policy::{ConfigError, Policy};
use serde_json::Value;

/// The file at `path` from the root of the workspace.
fn file(path: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a host has: a secret of 32 bytes or more for every name, and for these names a bad one.
fn host_secret(name: &str) -> Option<Vec<u8>> {
    let text = match name {
        "absent_key" | "sandbox_absent_key" => return None,
        "empty_key" | "sandbox_empty_key" => String::new(),
        "short_key" | "sandbox_short_key" => "31 bytes, and one would do more.".chars().take(31).collect(),
        "long_key" => "k".repeat(4_097),
        "line_key" => "a file that was written with echo, as they often are\n".into(),
        "published_key" | "sandbox_published_key" => countersign_core::policy::sandbox::SIGNING_SECRET.into(),
        "encoded_key" => "base64:cmVjZWlwdF9rZXkgMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".into(),
        "not_base64_key" => "base64:!".into(),
        "initech_webhook_secret" => "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".into(),
        name => format!("{name} 0123456789abcdef0123456789abcdef"),
    };
    Some(text.into_bytes())
}

fn compile(json: &str) -> Result<Policy, Vec<ConfigError>> {
    Policy::compile(json, &mut host_secret)
}

/// The mistakes of a document, each on a line.
fn mistakes(json: &str) -> Vec<String> {
    match compile(json) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// `document` with the value at each JSON pointer set to the JSON beside it, or taken away where there is none.
fn changed(document: &str, changes: &[(&str, &str)]) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    for (pointer, json) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"));
        let value: Option<Value> =
            if json.is_empty() { None } else { Some(serde_json::from_str(json).unwrap()) };
        match (parent, value) {
            (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value)),
            (Value::Object(members), None) => assert!(members.remove(name).is_some(), "no {pointer}"),
            (Value::Array(elements), Some(value)) if name == "-" => elements.push(value),
            (Value::Array(elements), Some(value)) => elements[name.parse::<usize>().unwrap()] = value,
            (other, _) => panic!("{pointer}: {other} has no members"),
        }
    }
    document.to_string()
}
