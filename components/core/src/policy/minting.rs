//! What a redirector follows of the gate's half of a document. It asks for no other secret than those of click ids, so that the
//! component that the whole world may call holds no partner's key.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::compiler::Compiler;
use super::secret::{Secrets, names_asked_for};
use crate::click::ClickKey;
use crate::document::{self as written, ConfigError, ConfigErrors, Configuration};
use crate::source::Cidr;

/// How click ids are minted, and from whom a client's address is believed.
#[derive(Debug)]
pub struct Minting {
    /// The keys of click ids; at most 8. [`crate::keys::current`] mints. Empty where another tracker mints them.
    pub keys: Vec<ClickKey>,
    /// Proxies whose `x-forwarded-for` is believed; at most 64.
    pub trusted_proxies: Vec<Cidr>,
}

impl Minting {
    /// Compiles these parts of a document, with the secrets that the host resolves. [`Policy::compile`](super::Policy::compile)
    /// checks the rest of it.
    ///
    /// # Errors
    /// Every mistake in the shape of the document and in these parts, each with its path and with what to write instead.
    pub fn compile(
        json: &str,
        secrets: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut errors = ConfigErrors::default();
        let minting = written::read_leniently(json, &mut errors).and_then(|document: Configuration| {
            let mut compiler = Compiler {
                errors: &mut errors,
                secrets: Secrets::new(document.environment, document.name.as_deref(), secrets),
                environment: document.environment,
                issuers: BTreeMap::new(),
                opaque_tokens: BTreeMap::new(),
            };
            let trusted_proxies =
                compiler.trusted_proxies(document.trusted_proxies.as_deref().unwrap_or_default());
            let keys = compiler.click_id(document.click_id.as_ref())?.keys;
            Some(Self { keys, trusted_proxies })
        });
        match minting {
            Some(minting) if errors.is_empty() => Ok(minting),
            Some(_) | None => Err(errors.into_errors()),
        }
    }

    /// The name of every secret that [`Minting::compile`] will ask for, in the order of the document.
    ///
    /// # Errors
    /// Every mistake in the shape of the document.
    pub fn secret_names(json: &str) -> Result<Vec<String>, Vec<ConfigError>> {
        let document: Configuration = written::read(json)?;
        let keys = document.click_id.iter().flat_map(|click_id| click_id.keys.iter().flatten());
        Ok(names_asked_for(document.environment, keys.map(|key| &key.secret)))
    }
}
