//! `countersign token mint`: a token as a partner presents it.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use countersign_core::policy::{SecretEncoding, decode_secret};
use countersign_core::time::Timestamp;
use countersign_core::token::{Algorithm, Claims, MintKey, mint};
use serde_json::Value;

use crate::failure::unusable;
use crate::input;
use crate::keys::Key;

/// Mint the tokens that a gate asks for
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Mint a JWT; print nothing else
    #[command(after_help = "\
The key is a JWK with a private key, as `countersign keygen es256` prints it, or the secret of HS256.

Example:
  curl -H \"authorization: Bearer $(countersign token mint --issuer acme --key-file acme.jwk)\" …")]
    Mint {
        /// `iss`: the partner, as the gate's configuration has it
        #[arg(long)]
        issuer: String,
        /// `aud`: the gate
        #[arg(long, default_value = "countersign")]
        audience: String,
        /// Life in seconds, 1 to 900
        #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=900))]
        ttl: u64,
        /// `kid` [default: that of the JWK]
        #[arg(long)]
        kid: Option<String>,
        /// HS256, ES256 or EdDSA [default: what the key is for]
        #[arg(long, value_parser = ["HS256", "ES256", "EdDSA"])]
        algorithm: Option<String>,
        /// `iat`, RFC 3339 in UTC [default: now]
        #[arg(long, value_name = "TIME", value_parser = input::parse_time)]
        at: Option<Timestamp>,
        #[command(flatten)]
        key: Key,
    },
}

/// Runs the command.
///
/// # Errors
/// The key is missing, or is none of its algorithm.
pub(crate) fn run(command: &Command) -> Result<()> {
    let Command::Mint { issuer, audience, ttl, kid, algorithm, at, key } = command;
    if key.is_sandbox() {
        return Err(unusable(
            "the partner `sandbox` presents no token: name a key with --key-env or --key-file",
        ));
    }
    let found = private_key(&key.text("")?)?;
    if let Some(wanted) = algorithm.as_deref().filter(|wanted| *wanted != found.algorithm.as_str()) {
        return Err(unusable(format!("the key is one of {}, not of {wanted}", found.algorithm.as_str())));
    }
    let minted = MintKey::new(found.algorithm, &found.bytes).map_err(|problem| unusable(problem.as_str()))?;
    let claims = Claims {
        issuer,
        audience,
        issued_at: Timestamp::from_ms(at.unwrap_or_else(input::now).as_seconds().saturating_mul(1000)),
        lifetime_ms: ttl.saturating_mul(1000),
    };
    println!("{}", mint(&minted, kid.as_deref().or(found.kid.as_deref()), &claims));
    Ok(())
}

struct PrivateKey {
    algorithm: Algorithm,
    bytes: Vec<u8>,
    kid: Option<String>,
}

/// A JWK, else the text of a secret. No message quotes anything of it.
fn private_key(text: &[u8]) -> Result<PrivateKey> {
    if text.first() != Some(&b'{') {
        let bytes = decode_secret(text, SecretEncoding::Text)
            .map_err(|(problem, remedy)| unusable(format!("the key {problem}: {remedy}")))?;
        return Ok(PrivateKey { algorithm: Algorithm::Hs256, bytes, kid: None });
    }
    let jwk: Value =
        serde_json::from_slice(text).map_err(|_| unusable("the key begins as a JWK and is not JSON"))?;
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    let (algorithm, private) = match (member("kty"), member("crv")) {
        (Some("EC"), Some("P-256")) => (Algorithm::Es256, "d"),
        (Some("OKP"), Some("Ed25519")) => (Algorithm::EdDsa, "d"),
        (Some("oct"), None) => (Algorithm::Hs256, "k"),
        _ => return Err(unusable("the JWK is none of EC P-256, OKP Ed25519 and oct")),
    };
    let bytes = member(private).and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
    let bytes =
        bytes.ok_or_else(|| unusable(format!("the JWK has no {private:?}: it is not the private key")))?;
    Ok(PrivateKey { algorithm, bytes, kid: member("kid").map(ToOwned::to_owned) })
}
