//! Where a command's secrets come from: the environment or a file. Nothing in here is ever printed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use countersign_core::policy::{SecretEncoding, decode_secret, sandbox};
use countersign_core::signature::{Place, Scheme, SignaturePolicy, SigningKey};

use crate::failure::unusable;

/// The scheme of a signature and its key.
#[derive(Args, Debug)]
pub(crate) struct Signer {
    /// What is signed: the canonical payload (RFC 8785), the body byte for byte, or Standard Webhooks
    #[arg(long, default_value = "jcs", value_parser = ["jcs", "raw", "standard-webhooks"])]
    scheme: String,
    /// Where the signature stands; `body` with jcs only
    #[arg(long = "in", default_value = "header", value_parser = ["header", "body"])]
    place: String,
    /// The header or the member of the signature [default: x-signature, in the body signature]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    key: Key,
}

/// One secret: a variable of the environment, a file, or what the sandbox publishes.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct Key {
    /// Take the key from this environment variable
    #[arg(long, value_name = "VARIABLE")]
    key_env: Option<String>,
    /// Take the key from this file (one line break at its end does not count)
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Take the published key of the partner `sandbox`
    #[arg(long)]
    sandbox: bool,
}

impl Key {
    /// Whether any key was named.
    pub(crate) const fn is_named(&self) -> bool {
        self.sandbox || self.key_env.is_some() || self.key_file.is_some()
    }

    /// Whether the sandbox's key was asked for.
    pub(crate) const fn is_sandbox(&self) -> bool {
        self.sandbox
    }

    /// The text of the secret, as an operator or a partner keeps it.
    ///
    /// # Errors
    /// No key is named, the variable is not set, or the file cannot be read.
    pub(crate) fn text(&self, published: &str) -> Result<Vec<u8>> {
        match (&self.key_env, &self.key_file) {
            (Some(name), _) => match env::var_os(name) {
                Some(value) => Ok(value.into_encoded_bytes()),
                None => Err(unusable(format!("the environment variable {name} is not set"))),
            },
            (None, Some(file)) => from_file(file),
            (None, None) if self.sandbox => Ok(published.as_bytes().to_vec()),
            (None, None) => Err(unusable("which key? Name it with --key-env, --key-file or --sandbox")),
        }
    }

    /// The bytes of the key: what a gate makes of the same text.
    ///
    /// # Errors
    /// As [`Self::text`]; or the text is none that a gate takes.
    pub(crate) fn bytes(&self, encoding: SecretEncoding, published: &str) -> Result<Vec<u8>> {
        decode_secret(&self.text(published)?, encoding)
            .map_err(|(problem, remedy)| unusable(format!("the key {problem}: {remedy}")))
    }
}

/// The text in a file, less one line break at its end, which most programs leave there.
///
/// # Errors
/// It cannot be read.
pub(crate) fn from_file(file: &Path) -> Result<Vec<u8>> {
    let text =
        fs::read(file).map_err(|error| unusable(format!("the secret's file {}: {error}", file.display())))?;
    Ok(without_line_break(text))
}

/// A text less one line break at its end.
pub(crate) fn without_line_break(mut text: Vec<u8>) -> Vec<u8> {
    if text.ends_with(b"\n") {
        text.pop();
        if text.ends_with(b"\r") {
            text.pop();
        }
    }
    text
}

impl Signer {
    /// The key's source.
    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// The policy that a gate would have for such a partner.
    ///
    /// # Errors
    /// The scheme and the place do not go together, or the key is none.
    pub(crate) fn policy(&self) -> Result<SignaturePolicy> {
        let scheme = match self.scheme.as_str() {
            "raw" => Scheme::Raw,
            "standard-webhooks" => Scheme::StandardWebhooks,
            _ => Scheme::Jcs,
        };
        let place = match (self.place.as_str(), scheme) {
            ("body", Scheme::Jcs) => Place::Body(self.name.as_deref().unwrap_or(Place::MEMBER).into()),
            ("body", Scheme::Raw | Scheme::StandardWebhooks) => {
                return Err(unusable("only jcs can carry its signature in the body: leave out `--in body`"));
            }
            _ if scheme == Scheme::StandardWebhooks && self.name.is_some() => {
                return Err(unusable(
                    "the headers of standard-webhooks have fixed names: leave out `--name`",
                ));
            }
            _ => Place::Header(self.name.as_deref().unwrap_or(Place::HEADER).to_ascii_lowercase().into()),
        };
        let key = SigningKey::new(Arc::from("key"), &self.key_bytes(scheme)?, None, None);
        Ok(SignaturePolicy { scheme, place, keys: vec![key], tolerance_ms: 300_000 })
    }

    fn key_bytes(&self, scheme: Scheme) -> Result<Vec<u8>> {
        let encoding = match scheme {
            // What is published is text for every scheme.
            Scheme::StandardWebhooks if !self.key.sandbox => SecretEncoding::Webhook,
            Scheme::StandardWebhooks | Scheme::Jcs | Scheme::Raw => SecretEncoding::Text,
        };
        self.key.bytes(encoding, sandbox::SIGNING_SECRET)
    }
}

/// Where the secrets that a configuration names come from.
#[derive(Args, Debug, Clone)]
pub(crate) struct Secrets {
    /// A folder with one file per secret, named as the configuration names the secret; else the environment
    #[arg(long, value_name = "FOLDER")]
    secrets: Option<PathBuf>,
}

impl Secrets {
    /// The text of a secret: the file of that name, else the environment variable of that name.
    pub(crate) fn find(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.secrets.as_ref().map(|folder| folder.join(name));
        match file.filter(|file| file.is_file()) {
            Some(file) => from_file(&file).ok(),
            None => env::var_os(name).map(std::ffi::OsString::into_encoded_bytes),
        }
    }
}
