//! `tests/exceptions.toml`: where a host may differ, and why. The goal is an empty file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

/// Host → vector → reason.
pub type Exceptions = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the file.
///
/// # Errors
/// Where it cannot be read or is not a table of host → vector → reason.
pub fn load() -> anyhow::Result<Exceptions> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("exceptions.toml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not host → vector → reason", path.display()))
}
