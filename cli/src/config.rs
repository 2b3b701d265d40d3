//! `countersign config`: checks a configuration as every host does, and says what it means.

mod effective;

use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use countersign_core::document::{self, Configuration};
use countersign_core::policy::Policy;
use countersign_ledger::click::Redirector;
use countersign_ledger::rules::Rules;

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
            let policy = if *without_secrets {
                let mut number = 0_u32;
                compile(&text, file, &mut |_| Some(stand_in(&mut number)))?
            } else {
                compile(&text, file, &mut |name| secrets.find(name))?
            };
            let written = document::read::<Configuration>(&text)
                .map_err(|_| unusable("the configuration cannot be read twice"))?;
            let effective = effective::describe(&policy, &written, input::now());
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
    Policy::compile(text, secrets)
        .and_then(|policy| Rules::compile(text, secrets).map(|_rules| policy))
        .and_then(|policy| Redirector::compile(text, secrets).map(|_redirector| policy))
        .map_err(|errors| {
            let lines: String = errors.iter().map(|error| format!("\n  {error}")).collect();
            let count = match errors.len() {
                1 => "1 mistake".to_owned(),
                more => format!("{more} mistakes"),
            };
            unusable(format!("{}: {count}:{lines}", file.display()))
        })
}

/// A secret for a check without the real ones: long enough, different from any other, and good for every scheme.
fn stand_in(number: &mut u32) -> Vec<u8> {
    *number = number.saturating_add(1);
    let mut key = [0; 32];
    key.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    format!("base64:{}", STANDARD.encode(key)).into_bytes()
}
