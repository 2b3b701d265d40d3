//! `envoy/envoy.yaml` and `listener.yaml` as they are shipped, and the document in them with the partner of the benches.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use countersign_benches::postbacks::{PARTNER, SECRET_NAME};

/// Reads a file of `envoy/`.
///
/// # Errors
/// The file cannot be read, or is not YAML.
pub(crate) fn read_yaml(name: &str) -> Result<Value> {
    let path = workspace().join("envoy").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not YAML", path.display()))
}

/// The shipped listener.
///
/// # Errors
/// As [`read_yaml`]; or the file has no listener.
pub(crate) fn listener() -> Result<Value> {
    let mut listener = pointer(&mut read_yaml("listener.yaml")?, "/resources/0")?.take();
    listener.as_object_mut().context("listener.yaml has no listener")?.remove("@type");
    Ok(listener)
}

/// The shipped document, and a partner whose quota the bench cannot spend.
///
/// # Errors
/// As [`listener`]; or the listener's second HTTP filter has no document.
pub(crate) fn document() -> Result<Value> {
    let path =
        "/filter_chains/0/filters/0/typed_config/http_filters/1/typed_config/config/configuration/value";
    let mut listener = listener()?;
    let text = pointer(&mut listener, path)?.as_str().context("the document is a string")?;
    let mut document: Value = serde_json::from_str(text)?;
    document["partners"][PARTNER] = json!({
        "signature": { "keys": [{ "id": "bench", "secret": { "name": SECRET_NAME } }] },
        "rate": { "per_second": 100_000, "burst": 1_000_000 },
    });
    Ok(document)
}

/// A member by its JSON pointer.
///
/// # Errors
/// There is no such member: the shipped files have changed.
pub(crate) fn pointer<'v>(document: &'v mut Value, pointer: &str) -> Result<&'v mut Value> {
    document.pointer_mut(pointer).with_context(|| format!("the shipped configuration has no {pointer}"))
}

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
