//! The configuration of a Spin component: a document from a file, secrets from variables (hence from Vault, where Spin is told so).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::rc::Rc;

use countersign_core::policy::{ConfigError, Policy};
use countersign_ledger::click::Redirector;
use countersign_ledger::rules::Rules;
use spin_sdk::variables::{self, Error};

use crate::scope::Scope;

/// Where `spin.toml` mounts the configuration document.
pub const PATH: &str = "/countersign.json";

/// Why there is no policy.
#[derive(Debug)]
pub enum NotConfigured {
    /// The document is missing or wrong, or a secret is. Each line is for the operator's log and names the path in the document and
    /// the remedy. An instance sees the same document for as long as it lives.
    Wrong(Vec<String>),
    /// Spin's provider of variables did not answer, or the document could not be read; the next time it may. The line is for the
    /// operator's log.
    NotNow(String),
}

/// The configuration document as it was read. Its parts are compiled for those that need them, each with its own secrets.
#[derive(Debug)]
pub struct ConfigurationText(String);

impl ConfigurationText {
    /// Reads it.
    ///
    /// # Errors
    /// [`NotConfigured`]: it is missing, or cannot be read at the moment.
    pub fn read() -> Result<Self, NotConfigured> {
        std::fs::read_to_string(PATH).map(Self).map_err(|error| {
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) {
                let remedy = "mount it with `files` in spin.toml: [{ source = \"countersign.json\", destination = \"/countersign.json\" }]";
                return NotConfigured::Wrong(vec![format!("{PATH}: {error}; {remedy}")]);
            }
            // A host without a descriptor left has one a moment later.
            NotConfigured::NotNow(format!(
                "{PATH} cannot be read: {error}; check how many files the host may have open"
            ))
        })
    }

    /// Whose state this document's is.
    ///
    /// # Errors
    /// [`NotConfigured`]: the environment or the name is wrong.
    pub fn scope(&self) -> Result<Scope, NotConfigured> {
        Scope::of_document(&self.0).ok_or_else(|| {
            let remedy = "write \"environment\" as production or sandbox, and \"name\" as 1 to 64 of a-z, 0-9, _ and -";
            NotConfigured::Wrong(vec![format!("configuration: the environment or the name is wrong; {remedy}")])
        })
    }

    /// What the gate follows, with its secrets.
    ///
    /// # Errors
    /// [`NotConfigured`] with every mistake of the document, or with the variable that Spin did not provide.
    pub async fn policy(&self) -> Result<Policy, NotConfigured> {
        let secrets = secrets(Policy::secret_names(&self.0)).await?;
        Policy::compile(&self.0, &mut |name| secrets.get(name).cloned())
            .map_err(|errors| not_configured(&errors))
    }

    /// The document's other half, the tracker's, with its secrets.
    ///
    /// # Errors
    /// As [`Self::policy`].
    pub async fn rules(&self) -> Result<Rules, NotConfigured> {
        let secrets = secrets(Rules::secret_names(&self.0)).await?;
        Rules::compile(&self.0, &mut |name| secrets.get(name).cloned())
            .map_err(|errors| not_configured(&errors))
    }

    /// What the redirector follows, with the secrets of click ids: it holds no other.
    ///
    /// # Errors
    /// As [`Self::policy`], of the redirector's part.
    pub async fn redirector(&self) -> Result<Redirector, NotConfigured> {
        let secrets = secrets(Redirector::secret_names(&self.0)).await?;
        Redirector::compile(&self.0, &mut |name| secrets.get(name).cloned())
            .map_err(|errors| not_configured(&errors))
    }
}

/// Where the worker listens, from the variable `worker_url`; `None` where it is empty or missing.
pub async fn worker_url() -> Option<Rc<str>> {
    variables::get("worker_url").await.ok().filter(|url| !url.is_empty()).map(Rc::from)
}

async fn secrets(
    names: Result<Vec<String>, Vec<ConfigError>>,
) -> Result<BTreeMap<String, Vec<u8>>, NotConfigured> {
    let mut secrets = BTreeMap::new();
    for name in names.map_err(|errors| not_configured(&errors))? {
        match variables::get(&name).await {
            Ok(value) => {
                secrets.insert(name, value.into_bytes());
            }
            // A variable that spin.toml does not pass on is a missing secret: `compile` names it and says what to do.
            Err(Error::Undefined(_) | Error::InvalidName(_)) => {}
            // What the provider says of it may hold anything, so it is not passed on.
            Err(Error::Provider(_) | Error::Other(_)) => {
                let remedy =
                    "check the provider in Spin's runtime configuration, and that it has the variable";
                return Err(NotConfigured::NotNow(format!(
                    "the variable {name} cannot be asked for; {remedy}"
                )));
            }
        }
    }
    Ok(secrets)
}

fn not_configured(errors: &[ConfigError]) -> NotConfigured {
    let line =
        |error: &ConfigError| format!("configuration: {}: {}; {}", error.path, error.problem, error.remedy);
    NotConfigured::Wrong(errors.iter().map(line).collect())
}
