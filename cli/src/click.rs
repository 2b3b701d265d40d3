//! `countersign click`: ids as the redirect mints them, and what they say.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand};
use countersign_core::click::{self, ClickKey, ClickReject};
use countersign_core::keys::current;
use countersign_core::policy::{SecretEncoding, sandbox};
use countersign_core::time::Timestamp;

use crate::failure::unusable;
use crate::keys::{Key, Secrets};
use crate::{config, input};

/// Mint a click id, or tell what one says
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Mint a click id; with a configuration, with the newest of its keys that is valid
    Mint {
        #[command(flatten)]
        keys: Keys,
        /// When the click happened, RFC 3339 in UTC [default: now]
        #[arg(long, value_name = "TIME", value_parser = input::parse_time)]
        at: Option<Timestamp>,
        /// Seal it: a text that says nothing to anyone without the key, and that the gate takes in the id's place
        #[arg(long)]
        sealed: bool,
    },
    /// Tell when a click id, plain or sealed, was minted and with which key, or what is wrong with it
    Inspect {
        #[command(flatten)]
        keys: Keys,
        /// The click id; a sealed one is opened
        click_id: String,
    },
}

/// The keys of click ids: those of a configuration, or one.
#[derive(Args, Debug)]
pub(crate) struct Keys {
    /// Take the keys of this configuration
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_env", "key_file", "sandbox"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    secrets: Secrets,
    #[command(flatten)]
    key: Key,
}

impl Keys {
    fn resolve(&self) -> Result<Vec<ClickKey>> {
        let keys = match &self.config {
            Some(file) => {
                let policy = config::compile(&input::text(file)?, file, &mut |name| self.secrets.find(name))?;
                policy.click_id.keys
            }
            None => {
                let id = if self.key.is_sandbox() { sandbox::CLICK_KEY_ID } else { "key" };
                let secret = self.key.bytes(SecretEncoding::Text, sandbox::CLICK_SECRET)?;
                vec![ClickKey::new(Arc::from(id), &secret)]
            }
        };
        if keys.is_empty() {
            Err(unusable("the configuration has no keys in click_id.keys"))
        } else {
            Ok(keys)
        }
    }
}

/// Runs the command.
///
/// # Errors
/// There is no key, or the click id is none of ours.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Mint { keys, at, sealed } => {
            let keys = keys.resolve()?;
            let (at, random) = (at.unwrap_or_else(input::now), input::random()?);
            let newest = current(&keys, at)
                .ok_or_else(|| unusable("no key of click_id.keys is valid at that time: check not_before"))?;
            if *sealed {
                println!("{}", click::seal(newest, at, random, input::random()?).as_str());
            } else {
                println!("{}", click::mint(newest, at, random).as_str());
            }
        }
        Command::Inspect { keys, click_id } => {
            let click = click::inspect(&keys.resolve()?, click_id)
                .map_err(|fault| anyhow!("click_id_invalid: it {}{}", fault.as_str(), length(fault)))?;
            println!("click id   {}", click.id.as_str());
            println!("minted at  {}", click.minted_at.write_rfc3339().as_str());
            println!("key        {}", click.key_id);
        }
    }
    Ok(())
}

/// How long an id of the wrong length is.
fn length(fault: ClickReject) -> String {
    match fault {
        ClickReject::Truncated { length, .. } | ClickReject::TooLong { length, .. } => {
            format!(" (this one has {length})")
        }
        ClickReject::Macro
        | ClickReject::Nothing
        | ClickReject::LetterCase
        | ClickReject::Encoded
        | ClickReject::Quoted
        | ClickReject::Respelled
        | ClickReject::Foreign
        | ClickReject::Alphabet
        | ClickReject::Forged => String::new(),
    }
}
