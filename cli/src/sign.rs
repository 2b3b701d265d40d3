//! `countersign sign`: what a partner adds to a request.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use clap::Args;
use countersign_core::canonical;
use countersign_core::click::ClickKey;
use countersign_core::json::Tape;
use countersign_core::policy::sandbox;
use countersign_core::signature::{Message, Signed, sign};
use countersign_core::time::Timestamp;

use crate::failure::unusable;
use crate::keys::Signer;
use crate::sample::Player;
use crate::{curl, headers, input};

/// Sign a payload: prints the headers to send, the body where the signature is in it, or a complete curl
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign sign --key-env ACME_KEY payload.json
  countersign sign --key-file key.txt --scheme standard-webhooks < payload.json
  countersign sign --sandbox --sample --curl http://127.0.0.1:3000 | sh")]
pub(crate) struct Arguments {
    /// The payload; `-` or nothing reads standard input
    #[arg(conflicts_with = "sample")]
    payload: Option<PathBuf>,
    /// Sign a fresh first deposit of the sandbox instead of a payload
    #[arg(long, requires = "sandbox")]
    sample: bool,
    #[command(flatten)]
    signer: Signer,
    /// Print a curl that posts to this URL; with --sandbox its path may be left out
    #[arg(long, value_name = "URL")]
    curl: Option<String>,
    /// standard-webhooks: the webhook-id [default: a fresh one]
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,
    /// standard-webhooks: the webhook-timestamp, RFC 3339 in UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::parse_time)]
    at: Option<Timestamp>,
}

/// Runs the command.
///
/// # Errors
/// The payload is not strict JSON, the key is missing, or the two cannot go together.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let payload = match arguments.sample {
        true => sample()?,
        false => input::payload(arguments.payload.as_deref())?,
    };
    let mut tape = Tape::default();
    let policy = arguments.signer.policy()?;
    let document = input::document(&payload, &mut tape, policy.scheme.read_limits())?;
    let key = policy.keys.first().ok_or_else(|| anyhow!("there is no key"))?;
    let webhook_id = match &arguments.webhook_id {
        Some(id) => id.clone(),
        None => format!("msg_{}", input::random_id()?),
    };
    let message = Message { id: &webhook_id, at: arguments.at.unwrap_or_else(input::now) };
    let signed = sign(policy.scheme, &policy.place, key, &payload, &document, message)
        .map_err(|problem| unusable(problem.as_str()))?;
    let (fields, body) = match signed {
        Signed::Headers(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name.into_string(), value)).collect();
            (fields, String::from_utf8(payload)?)
        }
        Signed::Member(name, value) => {
            let mut rest = Vec::new();
            canonical::write(&document, Some(&name), &mut rest);
            (Vec::new(), with_member(&String::from_utf8(rest)?, &name, &value)?)
        }
    };
    match &arguments.curl {
        Some(url) => println!("{}", posting(url, arguments, fields, &body)?),
        None if fields.is_empty() => println!("{body}"),
        None => print!("{}", headers::write(&fields)),
    }
    Ok(())
}

fn posting(url: &str, arguments: &Arguments, fields: Vec<(String, String)>, body: &str) -> Result<String> {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(fields);
    let (_, rest) =
        url.split_once("://").ok_or_else(|| unusable("--curl: write http://HOST/PATH or https://…"))?;
    let has_path = rest.split_once('/').is_some_and(|(_, path)| !path.is_empty());
    let url = match (has_path, arguments.signer.key().is_sandbox()) {
        (false, true) => sandbox_url(url),
        (false, false) => return Err(unusable("--curl: write the path too, usually /postback/PARTNER")),
        (true, _) => url.to_owned(),
    };
    Ok(curl::command(&url, &headers, body))
}

/// Where the partner `sandbox` sends to, for the address of a gate.
pub(crate) fn sandbox_url(base: &str) -> String {
    format!("{}/postback/{}", base.trim_end_matches('/'), sandbox::PARTNER)
}

/// A JSON object, written without white space, with one more member at its end.
fn with_member(object: &str, name: &str, value: &str) -> Result<String> {
    let members = object.strip_suffix('}').ok_or_else(|| anyhow!("the payload is no JSON object"))?;
    let comma = if members == "{" { "" } else { "," };
    Ok(format!("{members}{comma}{}:{}}}", serde_json::to_string(name)?, serde_json::to_string(value)?))
}

fn sample() -> Result<Vec<u8>> {
    let key = ClickKey::new(Arc::from(sandbox::CLICK_KEY_ID), sandbox::CLICK_SECRET.as_bytes());
    Ok(Player::new(&key, input::now())?.first_deposit()?.to_string().into_bytes())
}
