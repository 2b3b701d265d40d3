//! Secrets: resolved by name, decoded, and each of one use only.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::sandbox;
use crate::document::{ConfigErrors, Environment, Path, Secret};
use crate::signature::webhook_secret;

/// Shortest secret of a production key in bytes, after decoding: a MAC is no stronger than its key.
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest secret in bytes, after decoding.
pub const SECRET_BYTES_MAX: usize = 4_096;
/// Longest name of a secret in bytes.
const NAME_BYTES_MAX: usize = 64;

/// How the text of a secret becomes the bytes of a key. In all of them `base64:` and base64 stand for the decoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The text's own bytes.
    Text,
    /// `whsec_` and base64, as Standard Webhooks has it; its libraries take text without the prefix for base64 too.
    Webhook,
}

/// The secrets of one document.
pub struct Secrets<'s> {
    resolve: &'s mut dyn FnMut(&str) -> Option<Vec<u8>>,
    environment: Environment,
    /// Name to the path of its use.
    names: BTreeMap<String, String>,
    /// Decoded secret to the path of its use.
    values: BTreeMap<Vec<u8>, String>,
}

impl<'s> Secrets<'s> {
    /// The secrets that `resolve` has by name, for a document of that environment.
    #[must_use]
    pub fn new(environment: Environment, resolve: &'s mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Self {
        Self { resolve, environment, names: BTreeMap::new(), values: BTreeMap::new() }
    }

    /// The bytes of a secret, for the one use at `path`.
    pub(super) fn take(
        &mut self,
        errors: &mut ConfigErrors,
        path: &Path<'_>,
        secret: &Secret,
        encoding: Encoding,
    ) -> Option<Vec<u8>> {
        self.take_at(errors, &path.member("secret"), secret, encoding)
    }

    /// The bytes of the secret that is written at `path` itself.
    pub fn take_at(
        &mut self,
        errors: &mut ConfigErrors,
        path: &Path<'_>,
        secret: &Secret,
        encoding: Encoding,
    ) -> Option<Vec<u8>> {
        let path = path.member("name");
        let name = secret.name.as_str();
        self.check_name(errors, &path, name)?;
        let Some(text) = (self.resolve)(name) else {
            let problem = format!("names the secret {name:?}, which the host does not have");
            let remedy = format!(
                "set {name} as an environment variable of the VM (Envoy), a variable (Spin), or in the environment (command line)"
            );
            errors.add(&path, problem, remedy);
            return None;
        };
        let value = decode(&text, encoding).and_then(|value| self.check_strength(value));
        let value = match value {
            Ok(value) => value,
            Err((problem, remedy)) => {
                errors.add(&path, format!("names the secret {name:?}, which {problem}"), remedy);
                return None;
            }
        };
        if let Some(other) = self.values.get(&value) {
            let problem = format!("names the secret {name:?}, which is equal to that of {other}");
            errors.add(
                &path,
                problem,
                "give each key a secret of its own, or who holds one could forge the other",
            );
            return None;
        }
        self.values.insert(value.clone(), path.to_string());
        Some(value)
    }

    fn check_name(&mut self, errors: &mut ConfigErrors, path: &Path<'_>, name: &str) -> Option<()> {
        if !is_name(name) {
            // The text is not repeated: it may be the secret itself.
            let remedy = format!(
                "write 1 to {NAME_BYTES_MAX} of a-z, 0-9 and single _, a letter first and no _ last; the secret itself belongs to the host"
            );
            errors.add(path, "is no name of a secret", remedy);
            return None;
        }
        let marked = name.starts_with(sandbox::SECRET_PREFIX);
        match self.environment {
            Environment::Production if marked => {
                errors.add(
                    path,
                    format!("names the sandbox's secret {name:?}"),
                    "name a secret of production",
                );
                return None;
            }
            Environment::Sandbox if !marked => {
                let remedy = format!(
                    "write \"{}…\", so that no secret of production gets here",
                    sandbox::SECRET_PREFIX
                );
                errors.add(path, format!("names the secret {name:?}, which is not the sandbox's"), remedy);
                return None;
            }
            Environment::Production | Environment::Sandbox => {}
        }
        if let Some(other) = self.names.get(name) {
            let problem = format!("names the secret {name:?}, as {other} does");
            errors.add(
                path,
                problem,
                "give each key a secret of its own, or who holds one could forge the other",
            );
            return None;
        }
        self.names.insert(String::from(name), path.to_string());
        Some(())
    }

    fn check_strength(&self, value: Vec<u8>) -> Result<Vec<u8>, (String, String)> {
        if value.len() > SECRET_BYTES_MAX {
            return Err((format!("has more than {SECRET_BYTES_MAX} bytes"), "use 32 random bytes".into()));
        }
        if sandbox::PUBLISHED.iter().any(|published| published.as_bytes() == value) {
            return Err(("is published".into(), "make a new one with `countersign keygen`".into()));
        }
        match self.environment {
            Environment::Production if value.len() < SECRET_BYTES_MIN => {
                let problem = format!("has {} bytes", value.len());
                let remedy = format!(
                    "use at least {SECRET_BYTES_MIN} random bytes, as `countersign keygen` makes them"
                );
                Err((problem, remedy))
            }
            Environment::Production | Environment::Sandbox => Ok(value),
        }
    }
}

/// What every host takes for a name: Spin is the strictest, and what it takes is an environment variable's name as well.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
}

/// The bytes that a secret's text stands for: the one way from text to key, for every host and for the senders' tools.
///
/// # Errors
/// What is wrong with the text (it follows on "the secret"), and what to do instead. Neither quotes the text.
pub fn decode(text: &[u8], encoding: Encoding) -> Result<Vec<u8>, (String, String)> {
    if text.is_empty() {
        return Err(("is empty".into(), "make one with `countersign keygen`".into()));
    }
    if text.first().is_some_and(u8::is_ascii_whitespace) || text.last().is_some_and(u8::is_ascii_whitespace) {
        // `echo` and most editors end a file so; the sender's copy of the secret has no such byte.
        return Err((
            "begins or ends with white space".into(),
            "write it with `printf %s`, not `echo`".into(),
        ));
    }
    let decoded = match (text.strip_prefix(b"base64:"), encoding) {
        (Some(encoded), Encoding::Text | Encoding::Webhook) => webhook_secret(encoded),
        (None, Encoding::Text) => Some(text.to_vec()),
        (None, Encoding::Webhook) => webhook_secret(text),
    };
    decoded.ok_or_else(|| {
        let remedy = "write the base64 of the key (A-Z a-z 0-9 + /) after whsec_ or base64:";
        ("is not base64".into(), remedy.into())
    })
}
