//! `countersign keygen`: new keys, and where they go.

use anyhow::{Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, ValueEnum};
use countersign_core::token::{Algorithm, MintKey};
use serde_json::{Value, json};

use crate::input;

/// Make a key: the key on standard output, where to put it on standard error
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign keygen > acme_key_2026_q4           a secret for signatures, receipts, attestations, click ids, HS256
  countersign keygen es256 --id t1 > acme.jwk     a pair of which the gate's configuration has the public half only")]
pub(crate) struct Arguments {
    /// What for: `secret` is 32 random bytes
    #[arg(value_enum, default_value_t = Kind::Secret)]
    kind: Kind,
    /// The id of a key pair, for `kid` and the configuration
    #[arg(long, default_value = "t1")]
    id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Secret,
    Es256,
    Eddsa,
}

/// Runs the command.
///
/// # Errors
/// The system has no random bytes.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match arguments.kind {
        Kind::Secret => {
            println!("base64:{}", STANDARD.encode(input::random::<32>()?));
            eprintln!("{SECRET}");
        }
        Kind::Es256 => pair(Algorithm::Es256, &arguments.id)?,
        Kind::Eddsa => pair(Algorithm::EdDsa, &arguments.id)?,
    }
    Ok(())
}

const SECRET: &str = "\
Give this line to both sides over a channel that you trust, and keep it out of the configuration, which only names it:
  \"secret\": { \"name\": \"acme_key_2026_q4\" }
  Envoy         acme_key_2026_q4 in the proxy's environment, and in host_env_keys of listener.yaml
  Spin          SPIN_VARIABLE_ACME_KEY_2026_Q4, or Vault, and a line in [variables] of spin.toml
  command line  acme_key_2026_q4 in the environment, or a file of that name in the folder of --secrets
A secret has one use: make another for each partner, for receipts, for attestations and for click ids.";

fn pair(algorithm: Algorithm, id: &str) -> Result<()> {
    let (private, public) = new_pair(algorithm)?;
    println!(
        "{}",
        with(&public, [("d", private), ("kid", id.to_owned()), ("alg", algorithm.as_str().to_owned())])
    );
    let entry = json!({ "id": id, "algorithm": algorithm.as_str(), "public_key": public });
    eprintln!(
        "The line above is the private key: the sender keeps it, as the file that `countersign token mint --key-file` takes.\n\
         The gate gets the public half, in partners.<NAME>.token.keys:\n  {entry}"
    );
    Ok(())
}

/// The private key, JWK member `d`, and the public one as a JWK.
fn new_pair(algorithm: Algorithm) -> Result<(String, Value)> {
    // About one scalar in 2³² is beyond the order of P-256.
    const TRIES: usize = 4;
    for _ in 0..TRIES {
        let private = input::random::<32>()?;
        let Ok(key) = MintKey::new(algorithm, &private) else { continue };
        let public = key.public().ok_or_else(|| anyhow!("a shared secret has no public half"))?;
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = match public.as_slice() {
            // SEC1, uncompressed: 4, x, y.
            [4, point @ ..] if point.len() == 64 => {
                let (x, y) = point.split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            point => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(point) }),
        };
        return Ok((encode(&private), jwk));
    }
    bail!("the system's random bytes make no key")
}

/// A JSON object with more members of text.
fn with<const N: usize>(object: &Value, more: [(&str, String); N]) -> Value {
    let mut members = object.as_object().cloned().unwrap_or_default();
    members.extend(more.map(|(name, value)| (name.to_owned(), value.into())));
    members.into()
}
