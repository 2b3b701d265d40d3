//! `countersign seal`: secrets that may stand in a configuration.

use std::io::{Read as _, stdin};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use countersign_core::document::DEFAULT_NAME;
use countersign_core::policy::{
    SECRET_BYTES_MAX, SECRET_BYTES_MIN, SealKey, SealPlace, SecretEncoding, decode_secret, seal_place,
};
use serde_json::json;

use crate::failure::unusable;
use crate::input;
use crate::keys::{Secrets, from_file, without_line_break};

/// Seal a secret, so that it may stand in a configuration: it is read from standard input, never from an argument
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign seal --new-key > countersign_seal_key            once for each environment; it goes where secrets are kept
  countersign seal receipt_key --file receipt_key --secrets .  a secret and the seal key, each in a file
  countersign seal hop_key --document-name shop --file hop     for a configuration with \"name\": \"shop\"

The seal key is the secret countersign_seal_key; for a secret of the sandbox, sandbox_…, it is sandbox_seal_key.")]
pub(crate) struct Arguments {
    /// The secret's name, as the configuration has it; the sealed text opens under no other
    #[arg(required_unless_present = "new_key")]
    name: Option<String>,
    /// Take the secret from this file instead of standard input (one line break at its end does not count)
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The `name` of the configuration that the secret is for; the sealed text opens in no other
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAME)]
    document_name: String,
    #[command(flatten)]
    secrets: Secrets,
    /// Make a seal key
    #[arg(long, conflicts_with_all = ["name", "file", "document_name", "secrets"])]
    new_key: bool,
}

/// Longest text of a secret in bytes: the longest key, in base64, and room for what stands before it.
const TEXT_BYTES_MAX: u64 = 6_000;

/// Runs the command.
///
/// # Errors
/// The name, the secret or the seal key is not one; or the system has no random bytes.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(name) = &arguments.name else {
        println!("base64:{}", STANDARD.encode(input::random::<32>()?));
        eprintln!("{NEW_KEY}");
        return Ok(());
    };
    // An argument that is not a name is not repeated: it may be the secret.
    let place = seal_place(name)
        .ok_or_else(|| unusable("NAME is not the name of a secret: write it as in { \"name\": … }"))?;
    let place = place.in_document(&arguments.document_name).ok_or_else(|| {
        unusable("--document-name is not the name of a configuration: write 1 to 64 of a-z, 0-9, _ and -, as its \"name\" has it")
    })?;
    let key = seal_key(&arguments.secrets, place)?;
    let text = match &arguments.file {
        Some(file) => from_file(file)?,
        None => {
            let mut text = Vec::new();
            stdin().lock().take(TEXT_BYTES_MAX).read_to_end(&mut text).context("reading standard input")?;
            without_line_break(text)
        }
    };
    let encoding = if text.starts_with(b"whsec_") { SecretEncoding::Webhook } else { SecretEncoding::Text };
    strong("secret", &text, encoding, place)?;
    let sealed = key.seal(place, &text, input::random()?);
    println!("{}", json!({ "name": name, "sealed": sealed }));
    eprintln!(
        "The line above takes the place of {{ \"name\": \"{name}\" }} in the configuration. It opens under this name only, \
         and only in the scope {}; the host needs {} and no longer {name}.",
        place.scope(),
        place.key_name()
    );
    Ok(())
}

const NEW_KEY: &str = "\
This line opens every secret that is sealed with it. Keep it out of the configuration:
  Envoy         countersign_seal_key in the proxy's environment, and in host_env_keys of listener.yaml
  Spin          SPIN_VARIABLE_COUNTERSIGN_SEAL_KEY, or Vault, and a line in [variables] of spin.toml
  command line  countersign_seal_key in the environment, or a file of that name in the folder of --secrets
In the sandbox it is called sandbox_seal_key. To replace it, keep the one before it as countersign_seal_key_old
until every secret is sealed again.";

/// The seal key for `place`.
fn seal_key(secrets: &Secrets, place: SealPlace<'_>) -> Result<SealKey> {
    let name = place.key_name();
    let text = secrets.find(name).ok_or_else(|| {
        unusable(format!(
            "the seal key {name} is not there: set it in the environment, or put it into a file of that name and add --secrets FOLDER; \
             `countersign seal --new-key` makes one"
        ))
    })?;
    Ok(SealKey::new(&strong("seal key", &text, SecretEncoding::Text, place)?))
}

/// The bytes of a key, as a host takes it.
fn strong(what: &str, text: &[u8], encoding: SecretEncoding, place: SealPlace<'_>) -> Result<Vec<u8>> {
    let bytes = decode_secret(text, encoding)
        .map_err(|(problem, remedy)| unusable(format!("the {what} {problem}: {remedy}")))?;
    let shortest = if place.is_sandbox() { 1 } else { SECRET_BYTES_MIN };
    if (shortest..=SECRET_BYTES_MAX).contains(&bytes.len()) {
        return Ok(bytes);
    }
    Err(unusable(format!(
        "the {what} has {} bytes: use {shortest} to {SECRET_BYTES_MAX}, as `countersign keygen` makes them",
        bytes.len()
    )))
}
