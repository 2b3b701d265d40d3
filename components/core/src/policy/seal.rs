//! Sealed secrets: encrypted under the seal key, so that a document can carry them (`docs/config.md`).
//!
//! ```text
//! cs-seal1_ + base64url without padding of
//!   24 bytes  nonce, random
//!    n bytes  the secret's text, encrypted
//!   16 bytes  tag of XChaCha20-Poly1305, over this as well:
//!             countersign seal v1 LF
//!             <length of scope>:<scope> LF
//!             <length of name>:<the secret's name> LF
//! ```
//!
//! with lengths in bytes and decimal. The scope is the environment, `/` and the document's name, `production/default`. The cipher's
//! key is the HMAC-SHA256 with the seal key over `countersign seal key v1 LF`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};

use super::check::is_name;
use crate::document::Environment;
use crate::mac::MacKey;

/// What a sealed secret begins with; the digit is the format's version.
const PREFIX: &str = "cs-seal1_";
/// What a sealed secret of any version begins with.
const FAMILY: &str = "cs-seal";
const NONCE: usize = 24;
const TAG: usize = 16;
/// Longest sealed secret in characters: enough for the longest secret, written in base64.
const LENGTH_MAX: usize = 8_192;

/// The names under which the host has the seal keys: the current one, and the one before it.
pub(super) const fn key_names(environment: Environment) -> [&'static str; 2] {
    match environment {
        Environment::Production => ["countersign_seal_key", "countersign_seal_key_old"],
        Environment::Sandbox => ["sandbox_seal_key", "sandbox_seal_key_old"],
    }
}

/// Whether that is the name of a seal key of either environment.
pub(super) fn is_key_name(name: &str) -> bool {
    [Environment::Production, Environment::Sandbox].into_iter().flat_map(key_names).any(|key| key == name)
}

/// The key that seals and opens.
#[derive(Clone)]
pub struct SealKey([u8; 32]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(secret)")
    }
}

/// Where a sealed text belongs. It opens nowhere else, so a person who writes the document cannot make one partner's key another's, bring
/// a secret of production into a sandbox, nor use one application's secret in another's document.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// The environment of the document.
    pub(super) environment: Environment,
    /// The document's name.
    pub(super) document: &'p str,
    /// The secret's name.
    pub(super) name: &'p str,
}

impl<'p> Place<'p> {
    /// The name under which the host has the key that seals for this place.
    #[must_use]
    pub const fn key_name(&self) -> &'static str {
        let [current, _old] = key_names(self.environment);
        current
    }

    /// Whether the place is in a sandbox.
    #[must_use]
    pub const fn is_sandbox(&self) -> bool {
        matches!(self.environment, Environment::Sandbox)
    }

    /// The same place in the document of that name; `None` where no document may have the name.
    #[must_use]
    pub fn in_document(self, name: &'p str) -> Option<Self> {
        is_name(name).then_some(Self { document: name, ..self })
    }

    /// The scope of the document: `production/default`.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}/{}", self.environment.as_str(), self.document)
    }

    fn associated(&self) -> Vec<u8> {
        let scope = self.scope();
        format!("countersign seal v1\n{}:{scope}\n{}:{}\n", scope.len(), self.name.len(), self.name)
            .into_bytes()
    }
}

impl SealKey {
    /// Prepares a seal key.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(MacKey::new(secret).tag_of_parts("countersign seal key v1", &[]))
    }

    /// Seals the text of a secret for `place`. `nonce` comes from the system's secure random source, anew for each.
    #[must_use]
    pub fn seal(&self, place: Place<'_>, text: &[u8], nonce: [u8; NONCE]) -> String {
        let mut sealed = text.to_vec();
        let tag = XChaCha20Poly1305::new(&self.0.into())
            .encrypt_inout_detached(&nonce.into(), &place.associated(), sealed.as_mut_slice().into())
            // Only a text of 256 GiB is too long to encrypt. A tag of zeros opens nothing.
            .map_or([0; TAG], Into::into);
        let bytes = [&nonce, sealed.as_slice(), &tag].concat();
        let mut written = String::from(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut written);
        written
    }
}

/// A sealed secret that has the right form.
pub(super) struct Sealed {
    nonce: [u8; NONCE],
    text: Vec<u8>,
    tag: [u8; TAG],
}

impl Sealed {
    /// Reads a sealed secret.
    ///
    /// # Errors
    /// What is wrong with it, and what to do instead. Neither quotes it: it may be a secret in the clear.
    pub(super) fn read(text: &str) -> Result<Self, (&'static str, &'static str)> {
        const AGAIN: &str = "paste all of what `countersign seal NAME` printed, or seal the secret again";
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            let is_other_version = text.starts_with(FAMILY);
            return Err(if is_other_version {
                ("has a format that this program does not know", "seal the secret again with this version")
            } else {
                (
                    "is not a sealed secret",
                    "write what `countersign seal NAME` prints; it begins with cs-seal1_",
                )
            });
        };
        if text.len() > LENGTH_MAX {
            return Err(("is longer than any sealed secret", AGAIN));
        }
        let bytes =
            URL_SAFE_NO_PAD.decode(encoded).map_err(|_| ("is not base64url, or is cut off", AGAIN))?;
        let parts = bytes.split_first_chunk::<NONCE>().and_then(|(nonce, rest)| {
            let (text, tag) = rest.split_last_chunk::<TAG>()?;
            Some(Self { nonce: *nonce, text: text.to_vec(), tag: *tag })
        });
        parts.ok_or(("is cut off", AGAIN))
    }

    /// The text of the secret; `None` where it was sealed with another key or for another place, or was changed since.
    pub(super) fn open(&self, key: &SealKey, place: Place<'_>) -> Option<Vec<u8>> {
        let mut text = self.text.clone();
        XChaCha20Poly1305::new(&key.0.into())
            .decrypt_inout_detached(
                &self.nonce.into(),
                &place.associated(),
                text.as_mut_slice().into(),
                &self.tag.into(),
            )
            .ok()?;
        Some(text)
    }
}
