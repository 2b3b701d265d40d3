//! `countersign config`: checks a configuration as every host does, and says what it means.

mod effective;
mod keys;

use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use countersign_core::policy::Policy;
use countersign_ledger::click::Redirector;
use countersign_ledger::rules::Rules;
use serde_json::Value;

use crate::failure::unusable;
use crate::input;
use crate::keys::Secrets;

/// Check a configuration, or print its JSON Schema
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Check a configuration, and explain what it means for each partner
    Check {
        /// The configuration (docs/config.md)
        file: PathBuf,
        /// Print the effective configuration as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        secrets: Secrets,
        /// Check everything but the secrets, where they are not at hand
        #[arg(long, conflicts_with = "secrets")]
        without_secrets: bool,
    },
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Runs the command.
///
/// # Errors
/// The configuration cannot be read, or has mistakes.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Check { file, json, secrets, without_secrets } => {
            let text = input::text(file)?;
            let (policy, rules) = if *without_secrets {
                let mut number = 0_u32;
                compile_whole(&unsealed(&text), file, &mut |_| Some(stand_in(&mut number)))?
            } else {
                compile_whole(&text, file, &mut |name| secrets.find(name))?
            };
            let sealed = serde_json::from_str(&text).map(|document| keys::sealed(&document))?;
            let effective = effective::describe(&policy, &rules, &sealed, input::now());
            match json {
                true => println!("{}", serde_json::to_string_pretty(&effective)?),
                false => print!("{}: right\n\n{}", file.display(), effective::explain(&effective)),
            }
        }
        Command::Schema => print!("{}", countersign_ledger::document::schema()?),
    }
    Ok(())
}

/// Compiles a document with these secrets.
///
/// # Errors
/// Every mistake in it, each with its path and with what to write instead.
pub(crate) fn compile(
    text: &str,
    file: &Path,
    secrets: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Policy> {
    compile_whole(text, file, secrets).map(|(policy, _rules)| policy)
}

/// The gate's half of a document and the tracker's.
fn compile_whole(
    text: &str,
    file: &Path,
    secrets: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Result<(Policy, Rules)> {
    Policy::compile(text, secrets)
        .and_then(|policy| Rules::compile(text, secrets).map(|rules| (policy, rules)))
        .and_then(|halves| Redirector::compile(text, secrets).map(|_redirector| halves))
        .map_err(|errors| {
            let lines: String = errors.iter().map(|error| format!("\n  {error}")).collect();
            let count = match errors.len() {
                1 => "1 mistake".to_owned(),
                more => format!("{more} mistakes"),
            };
            unusable(format!("{}: {count}:{lines}", file.display()))
        })
}

/// The document with every sealed secret as one that the host has: without the seal key nobody can open them. What is not JSON
/// stays as it is, for the compiler to name.
fn unsealed(text: &str) -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    if keys::sealed(&document).is_empty() {
        return text.to_owned();
    }
    keys::unseal(&mut document);
    document.to_string()
}

/// A secret for a check without the real ones: long enough, different from any other, and good for every scheme.
fn stand_in(number: &mut u32) -> Vec<u8> {
    *number = number.saturating_add(1);
    let mut key = [0; 32];
    key.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    format!("base64:{}", STANDARD.encode(key)).into_bytes()
}
