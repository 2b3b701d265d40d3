//! The configuration of a Spin component: a document from a file, secrets from variables (hence from Vault, where Spin is told so).

use std::collections::BTreeMap;

use countersign_core::policy::{ConfigError, Policy};
use spin_sdk::variables;

/// Where `spin.toml` mounts the configuration document.
pub const PATH: &str = "/countersign.json";

/// Why there is no policy. Each line is for the operator's log and names the path in the document and the remedy.
#[derive(Debug)]
pub struct NotConfigured(pub Vec<String>);

/// Reads the document and resolves its secrets.
///
/// # Errors
/// [`NotConfigured`] with every mistake of the document, or with the variable that Spin does not provide.
pub async fn load() -> Result<Policy, NotConfigured> {
    let document = std::fs::read_to_string(PATH).map_err(|error| {
        let remedy =
            "mount it with `files` in spin.toml: [{ source = \"countersign.json\", destination = \"/\" }]";
        NotConfigured(vec![format!("countersign: {PATH}: {error}; {remedy}")])
    })?;
    let mut secrets = BTreeMap::new();
    for name in Policy::secret_names(&document).map_err(|errors| not_configured(&errors))? {
        // A variable that spin.toml does not pass on is a missing secret: `compile` names it and says what to do.
        if let Ok(value) = variables::get(&name).await {
            secrets.insert(name, value.into_bytes());
        }
    }
    Policy::compile(&document, &mut |name| secrets.get(name).cloned())
        .map_err(|errors| not_configured(&errors))
}

fn not_configured(errors: &[ConfigError]) -> NotConfigured {
    let line = |error: &ConfigError| {
        format!("countersign: configuration: {}: {}; {}", error.path, error.problem, error.remedy)
    };
    NotConfigured(errors.iter().map(line).collect())
}
