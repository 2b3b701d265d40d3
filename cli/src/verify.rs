//! `countersign verify`: what the gate makes of a payload and its headers, and why.

mod diagnosis;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use countersign_core::canonical;
use countersign_core::headers::Headers;
use countersign_core::json::{Document, ReadLimits, Tape};
use countersign_core::signature::{self, Place, Scheme, SignaturePolicy, SignatureReject};
use countersign_core::time::Timestamp;
use countersign_core::token::{self, Bearer, TokenPolicy, TokenReject};

use crate::failure::unusable;
use crate::keys::{Secrets, Signer};
use crate::{config, headers, input};

/// Verify a payload with its headers; on a mismatch show what was to be signed, and look for the cause
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  countersign verify --key-env ACME_KEY -H 'x-signature: sha256=…' payload.json
  countersign verify --config countersign.json --partner acme --headers headers.txt payload.json
  countersign verify --expect-canonical theirs.txt payload.json

With --config the partner's scheme, keys and token come from there, and `authorization` is checked too.")]
pub(crate) struct Arguments {
    /// The payload; `-` or nothing reads standard input
    payload: Option<PathBuf>,
    /// A header of the request, `name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    header: Vec<String>,
    /// A file with the request's headers, one a line
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    #[command(flatten)]
    signer: Signer,
    /// Verify as a gate with this configuration does
    #[arg(long, value_name = "FILE", requires = "partner", conflicts_with_all = ["key_env", "key_file", "sandbox"])]
    config: Option<PathBuf>,
    /// The partner that sent it
    #[arg(long, value_name = "NAME", requires = "config")]
    partner: Option<String>,
    #[command(flatten)]
    secrets: Secrets,
    /// Compare the canonical payload with this file, and show the first byte that differs
    #[arg(long, value_name = "FILE")]
    expect_canonical: Option<PathBuf>,
    /// The time of the check, RFC 3339 in UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::parse_time)]
    at: Option<Timestamp>,
}

/// Runs the command.
///
/// # Errors
/// The gate would refuse the request, or the canonical payload is not the expected one.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let payload = input::payload(arguments.payload.as_deref())?;
    let fields = headers::read(&arguments.header, arguments.headers.as_deref())?;
    let fields: Vec<(&[u8], &[u8])> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let now = arguments.at.unwrap_or_else(input::now);
    let mut tape = Tape::default();
    let Some(checks) = checks(arguments)? else {
        let document = input::document(&payload, &mut tape, ReadLimits::POSTBACK)?;
        return compare(&document, None, arguments.expect_canonical.as_deref());
    };
    let request = Request { payload: &payload, headers: Headers(&fields), now };
    if let Some(policy) = &checks.token {
        println!("token      right, key {}", request.verify_token(policy)?);
    }
    let document = input::document(&payload, &mut tape, checks.signature.scheme.read_limits())?;
    let without = match &checks.signature.place {
        Place::Body(name) if checks.signature.scheme == Scheme::Jcs => Some(&**name),
        Place::Body(_) | Place::Header(_) => None,
    };
    compare(&document, without, arguments.expect_canonical.as_deref())?;
    request.verify_signature(&checks.signature, &document)
}

/// What the sender must prove.
struct Checks {
    signature: SignaturePolicy,
    token: Option<TokenPolicy>,
}

/// From the configuration, or from the options; `None` where only canonical forms are compared.
fn checks(arguments: &Arguments) -> Result<Option<Checks>> {
    if let (Some(file), Some(name)) = (&arguments.config, &arguments.partner) {
        let secrets = &arguments.secrets;
        let policy = config::compile(&input::text(file)?, file, &mut |name| secrets.find(name))?;
        let partner = policy.partner(name);
        let partner =
            partner.ok_or_else(|| unusable(format!("{} has no partner {name:?}", file.display())))?;
        return Ok(Some(Checks { signature: partner.signature.clone(), token: partner.token.clone() }));
    }
    if arguments.expect_canonical.is_some() && !arguments.signer.key().is_named() {
        return Ok(None);
    }
    Ok(Some(Checks { signature: arguments.signer.policy()?, token: None }))
}

/// A request as it arrived.
struct Request<'r> {
    payload: &'r [u8],
    headers: Headers<'r>,
    now: Timestamp,
}

impl Request<'_> {
    /// The id of the key that signed the token.
    fn verify_token(&self, policy: &TokenPolicy) -> Result<Arc<str>> {
        let token = match token::bearer(self.headers) {
            Bearer::Token(token) => token,
            Bearer::Missing => bail!("token_missing: there is no `authorization: Bearer …`"),
            Bearer::Unusable(problem) => bail!("token_missing: {}", problem.as_str()),
        };
        let verified = token::verify(policy, token, self.now, &mut Tape::default());
        let verified = verified.map_err(|fault| match fault {
            TokenReject::Invalid { problem, skew_ms } => {
                let skew =
                    skew_ms.map(|skew| format!(" ({skew} ms ahead of this clock)")).unwrap_or_default();
                anyhow!("token_invalid: {}{skew}", problem.as_str())
            }
            TokenReject::Expired { skew_ms } => {
                anyhow!("token_expired: {} ms ago", skew_ms.unsigned_abs())
            }
            TokenReject::LifetimeTooLong => {
                anyhow!("token_lifetime_too_long: exp - iat is over {} s", policy.lifetime_ms_max / 1000)
            }
        })?;
        Ok(verified.key_id)
    }

    fn verify_signature(&self, policy: &SignaturePolicy, document: &Document<'_>) -> Result<()> {
        match signature::verify(policy, self.headers, self.payload, document, self.now, None) {
            Ok(verified) => {
                println!("signature  right, key {}", verified.key_id);
                Ok(())
            }
            Err(fault) => {
                diagnosis::explain(policy, self, document, fault);
                Err(anyhow!("signature_invalid: {}", fault.as_str()))
            }
        }
    }

    /// The one field of that name.
    fn field(&self, name: &str) -> Option<&str> {
        self.headers.single(name).ok().flatten().and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// What the signature covers; `None` where a part of it did not arrive.
fn string_to_sign(
    policy: &SignaturePolicy,
    request: &Request<'_>,
    document: &Document<'_>,
) -> Option<Vec<u8>> {
    match (policy.scheme, &policy.place) {
        (Scheme::Jcs, Place::Header(_)) => Some(canonical_form(document, None)),
        (Scheme::Jcs, Place::Body(name)) => Some(canonical_form(document, Some(name))),
        (Scheme::Raw, _) => Some(request.payload.to_vec()),
        (Scheme::StandardWebhooks, _) => {
            let field = |name: &str| {
                request.field(&format!("webhook-{name}")).or_else(|| request.field(&format!("svix-{name}")))
            };
            let (id, at) = (field("id")?, field("timestamp")?);
            Some([id.as_bytes(), b".", at.as_bytes(), b".", request.payload].concat())
        }
    }
}

fn canonical_form(document: &Document<'_>, without: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    canonical::write(document, without, &mut bytes);
    bytes
}

/// Compares the canonical payload with the file, where there is one.
fn compare(document: &Document<'_>, without: Option<&str>, expected: Option<&Path>) -> Result<()> {
    let Some(file) = expected else { return Ok(()) };
    let expected = fs::read(file).map_err(|error| unusable(format!("{}: {error}", file.display())))?;
    let ours = canonical_form(document, without);
    if ours == expected {
        println!("canonical  as expected, {} bytes", ours.len());
        return Ok(());
    }
    let at = diagnosis::first_difference(&ours, &expected);
    println!("The canonical payload (RFC 8785) and {} part at byte {at}:", file.display());
    println!("  canonical  {}", diagnosis::around(&ours, at));
    println!("  expected   {}", diagnosis::around(&expected, at));
    if expected.strip_suffix(b"\n") == Some(&ours) {
        println!(
            "  The file has a line break at its end that is not part of the payload: write it with `printf %s`."
        );
    }
    bail!("the canonical payload is not the expected one");
}

/// Whether a fault is about the MAC itself rather than about how the signature arrived.
const fn is_mismatch(fault: SignatureReject) -> bool {
    matches!(fault, SignatureReject::Mismatch | SignatureReject::Malformed)
}
