//! Whose state it is: that of one environment and name of the document.

use std::fmt;

use countersign_core::document::{DEFAULT_NAME, Environment};
use countersign_core::text::Text;
use serde::Deserialize;

/// An environment and a name. What one scope has stored is not read by another: a sandbox event would swallow a production deposit of
/// the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    environment: Environment,
    name: Text<NAME_BYTES_MAX>,
}

/// Longest name.
const NAME_BYTES_MAX: usize = 64;

/// What is read of the document.
#[derive(Deserialize)]
struct Named {
    environment: Environment,
    name: Option<String>,
}

impl Scope {
    /// The scope of a document; `None` where it has none: the readers of its other parts say what is wrong.
    #[must_use]
    pub fn of_document(document: &str) -> Option<Self> {
        let Named { environment, name } = serde_json::from_str(document).ok()?;
        Self::new(environment, name.as_deref().unwrap_or(DEFAULT_NAME))
    }

    fn new(environment: Environment, name: &str) -> Option<Self> {
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let name = Text::new(name).filter(|name| !name.is_empty() && name.as_str().bytes().all(is_plain))?;
        Some(Self { environment, name })
    }

    /// The scope that is stored; `None` where nobody can have stored it.
    pub(crate) fn of_stored(environment: &str, name: &str) -> Option<Self> {
        let environment = [Environment::Production, Environment::Sandbox]
            .into_iter()
            .find(|known| known.as_str() == environment)?;
        Self::new(environment, name)
    }

    /// `production` or `sandbox`.
    pub(crate) const fn environment(&self) -> &'static str {
        self.environment.as_str()
    }

    /// The name: 1 to 64 of `a-z`, `0-9`, `_` and `-`.
    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.environment(), self.name())
    }
}
