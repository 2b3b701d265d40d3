//! Secrets: resolved by name or opened, decoded, and each of one use only.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::sandbox;
use super::seal::{self, Place, SealKey, Sealed};
use crate::document::{ConfigErrors, DEFAULT_NAME, Environment, Path, Secret};
use crate::signature::webhook_secret;

/// Shortest secret of a production key in bytes, after decoding: a MAC is no stronger than its key.
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest secret in bytes, after decoding.
pub const SECRET_BYTES_MAX: usize = 4_096;
/// Longest name of a secret in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Where a host has its secrets.
const HOSTS: &str =
    "as an environment variable of the VM (Envoy), a variable (Spin), or in the environment (command line)";

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
    /// The document's name.
    document: String,
    /// Name to the path of its use.
    names: BTreeMap<String, String>,
    /// Decoded secret to the path of its use.
    values: BTreeMap<Vec<u8>, String>,
    /// The seal keys, once a sealed secret needed them; none where there is none to be used, which is noted then.
    seal_keys: Option<Vec<SealKey>>,
}

impl<'s> Secrets<'s> {
    /// The secrets that `resolve` has by name, for a document of that environment and name.
    #[must_use]
    pub fn new(
        environment: Environment,
        document: Option<&str>,
        resolve: &'s mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Self {
        Self {
            resolve,
            environment,
            document: String::from(document.unwrap_or(DEFAULT_NAME)),
            names: BTreeMap::new(),
            values: BTreeMap::new(),
            seal_keys: None,
        }
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
        let name = secret.name.as_str();
        self.check_name(errors, &path.member("name"), name)?;
        let path = path.member(if secret.sealed.is_some() { "sealed" } else { "name" });
        let verb = if secret.sealed.is_some() { "holds" } else { "names" };
        let text = match &secret.sealed {
            Some(sealed) => self.open(errors, &path, name, sealed)?,
            None => self.resolve(errors, &path, name)?,
        };
        let value = decode(&text, encoding).and_then(|value| self.check_strength(value));
        let value = match value {
            Ok(value) => value,
            Err((problem, remedy)) => {
                errors.add(&path, format!("{verb} the secret {name:?}, which {problem}"), remedy);
                return None;
            }
        };
        if let Some(other) = self.values.get(&value) {
            let problem = format!("{verb} the secret {name:?}, which is equal to that of {other}");
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

    /// The text of a secret that the host has by name.
    fn resolve(&mut self, errors: &mut ConfigErrors, path: &Path<'_>, name: &str) -> Option<Vec<u8>> {
        let text = (self.resolve)(name);
        if text.is_none() {
            let problem = format!("names the secret {name:?}, which the host does not have");
            errors.add(path, problem, format!("set {name} {HOSTS}"));
        }
        text
    }

    /// The text of a sealed secret.
    fn open(
        &mut self,
        errors: &mut ConfigErrors,
        path: &Path<'_>,
        name: &str,
        sealed: &str,
    ) -> Option<Vec<u8>> {
        let sealed =
            Sealed::read(sealed).map_err(|(problem, remedy)| errors.add(path, problem, remedy)).ok()?;
        let keys = self.seal_keys(errors, path);
        let place = Place { environment: self.environment, document: &self.document, name };
        let text = keys.iter().find_map(|key| sealed.open(key, place));
        if text.is_none() && !keys.is_empty() {
            let problem = format!(
                "cannot be opened: it was sealed with another key, under another name or for another scope than {}, or it was changed",
                place.scope()
            );
            let option = match &*self.document {
                DEFAULT_NAME => String::new(),
                // What is not a name has a message of its own.
                document => format!(" --document-name {document}"),
            };
            errors.add(path, problem, format!("seal the secret again: `countersign seal {name}{option}`"));
        }
        text
    }

    /// The seal keys. `path` is that of the first secret that needs them.
    fn seal_keys(&mut self, errors: &mut ConfigErrors, path: &Path<'_>) -> Vec<SealKey> {
        if let Some(keys) = &self.seal_keys {
            return keys.clone();
        }
        let mut keys = Vec::new();
        let [current, old] = seal::key_names(self.environment);
        for name in [current, old] {
            let Some(text) = (self.resolve)(name) else {
                if name == current {
                    let problem = format!("needs the seal key {name:?}, which the host does not have");
                    errors.add(path, problem, format!("set {name} {HOSTS}"));
                    break;
                }
                continue;
            };
            match decode(&text, Encoding::Text).and_then(|value| self.check_strength(value)) {
                Ok(value) if !self.values.contains_key(&value) => {
                    keys.push(SealKey::new(&value));
                    self.values.insert(value, format!("the seal key {name:?}"));
                }
                Ok(_) => {
                    let problem = format!("needs the seal key {name:?}, which is equal to another secret");
                    errors.add(path, problem, "make another with `countersign seal --new-key`");
                    keys.clear();
                    break;
                }
                Err((problem, remedy)) => {
                    errors.add(path, format!("needs the seal key {name:?}, which {problem}"), remedy);
                    keys.clear();
                    break;
                }
            }
        }
        self.seal_keys = Some(keys.clone());
        keys
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
        if seal::is_key_name(name) {
            let problem = format!("is {name:?}, the name of a key that opens sealed secrets");
            errors.add(path, problem, "name a secret of its own");
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

/// The names that compiling these secrets asks the host for: a sealed one needs the seal keys in place of its own name.
pub fn names_asked_for<'s>(
    environment: Environment,
    secrets: impl IntoIterator<Item = &'s Secret>,
) -> Vec<String> {
    let (mut names, mut any_sealed) = (Vec::new(), false);
    for secret in secrets {
        if secret.sealed.is_none() {
            names.push(secret.name.clone());
        } else if !any_sealed {
            any_sealed = true;
            names.extend(seal::key_names(environment).map(String::from));
        }
    }
    names
}

/// Where a sealed secret of that name belongs, in a document that writes no name of its own; `None` where no secret may have the
/// name. The secret's name tells the environment.
#[must_use]
pub fn seal_place(name: &str) -> Option<Place<'_>> {
    let is_sandbox = name.starts_with(sandbox::SECRET_PREFIX);
    let environment = if is_sandbox { Environment::Sandbox } else { Environment::Production };
    let place = Place { environment, document: DEFAULT_NAME, name };
    (is_name(name) && !seal::is_key_name(name)).then_some(place)
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
