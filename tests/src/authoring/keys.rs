//! The keys of the vectors. All of them are published here, and none protects anything.

use std::collections::BTreeMap;

use anyhow::anyhow;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use countersign_core::click::{self, ClickKey};
use countersign_core::policy::Policy;
use countersign_core::receipt::MacKey;
use countersign_core::time::Timestamp;
use countersign_core::token::{Algorithm, MintKey};

/// 2026-10-21T15:12:31Z: when the vectors happen, if they do not say otherwise; in milliseconds since the Unix epoch.
pub const T0: u64 = 1_792_595_551_000;

/// The text of a secret, as the environment has it. Names that begin with `webhook` have one in the form of Standard Webhooks.
#[must_use]
pub fn secret(name: &str) -> String {
    let text = format!("{name}: published with the vectors, protects nothing");
    if name.starts_with("webhook") { format!("whsec_{}", BASE64_STANDARD.encode(text)) } else { text }
}

/// The bytes of the key that a host makes of [`secret`].
#[must_use]
pub fn key(name: &str) -> Vec<u8> {
    format!("{name}: published with the vectors, protects nothing").into_bytes()
}

/// Every secret that a configuration names, with its text.
///
/// # Errors
/// Where the document is wrong.
pub fn secrets(document: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let names = Policy::secret_names(document).map_err(|errors| {
        let lines: Vec<_> = errors
            .iter()
            .map(|error| format!("{}: {}; {}", error.path, error.problem, error.remedy))
            .collect();
        anyhow!(lines.join("\n"))
    })?;
    Ok(names.into_iter().map(|name| (name.clone(), secret(&name))).collect())
}

/// The `number`th click id of ours, minted with the secret `click_key` at [`T0`] less an hour.
#[must_use]
pub fn click(number: u64) -> String {
    click_with(&key("click_key"), number)
}

/// A click id that was minted with another key.
#[must_use]
pub fn click_with(secret: &[u8], number: u64) -> String {
    click::mint(&ClickKey::new("c".into(), secret), minted_at(), number.to_be_bytes()).as_str().to_owned()
}

/// [`click`], sealed for the `time`th time.
#[must_use]
pub fn sealed(number: u64, time: u8) -> String {
    sealed_with(&key("click_key"), number, time)
}

/// [`click_with`], sealed for the `time`th time.
#[must_use]
pub fn sealed_with(secret: &[u8], number: u64, time: u8) -> String {
    let key = ClickKey::new("c".into(), secret);
    click::seal(&key, minted_at(), number.to_be_bytes(), [time; 24]).as_str().to_owned()
}

/// When the clicks of the vectors were minted.
const fn minted_at() -> Timestamp {
    Timestamp::from_ms(T0 - 3_600_000)
}

/// The hop key of configurations that name `hop_key`.
#[must_use]
pub fn hop() -> MacKey {
    MacKey::new(&key("hop_key"))
}

/// A key that mints tokens; the private halves of ES256 and EdDSA are thirty-two times the same byte.
///
/// # Errors
/// Never, unless a constant here is changed to no key.
pub fn minter(algorithm: Algorithm) -> anyhow::Result<MintKey> {
    let private = match algorithm {
        Algorithm::Hs256 => key("token_key"),
        Algorithm::Es256 => vec![0x45; 32],
        Algorithm::EdDsa => vec![0xed; 32],
    };
    MintKey::new(algorithm, &private).map_err(|problem| anyhow!(problem.as_str()))
}
