//! From the document to the policy: everything but the partners, and the checks across them.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::check::{self, count, is_visible, networks, whole};
use super::compiler::{Common, Compiler};
use super::keys::{self, Asked};
use super::secret::{Secrets, names_asked_for};
use super::{ClickPolicy, DOCUMENTATION_URL, Dedup, Partner, Policy, RequestLimits, sandbox};
use crate::click::{ClickKey, ClickSecret};
use crate::dedup::TableSize;
use crate::document::{
    self as written, ClickVerify, ConfigError, ConfigErrors, Configuration, DEFAULT_NAME, Environment, Path,
};
use crate::keys::{KEYS_MAX, KEYS_VALID_MAX, Key};
use crate::rate::Rate;
use crate::receipt::{MacKey, ReceiptKeys, ReceiptSecret};
use crate::source::Cidr;
use crate::validity::Validity;

/// Most partners of one document.
pub const PARTNERS_MAX: usize = 1_000;
/// Most proxies that are trusted.
pub const TRUSTED_PROXIES_MAX: usize = 64;

/// Longest `documentation_url` in bytes.
const DOCUMENTATION_URL_BYTES_MAX: usize = 512;
const DAY_MS: u64 = 86_400_000;

impl Policy {
    /// Compiles a document with the secrets that the host resolves. `secrets` gets the name of a secret and answers with
    /// its text, or with `None` where the host has none of that name. Each name is asked for once.
    ///
    /// # Errors
    /// Every mistake that was found, each with its path and with what to write instead (`docs/config.md`). No mistake holds
    /// a secret.
    pub fn compile(
        json: &str,
        secrets: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut errors = ConfigErrors::default();
        let policy = written::read_leniently(json, &mut errors).and_then(|document: Configuration| {
            let secrets = Secrets::new(document.environment, document.name.as_deref(), secrets);
            let compiler = Compiler {
                errors: &mut errors,
                secrets,
                environment: document.environment,
                issuers: BTreeMap::new(),
                opaque_tokens: BTreeMap::new(),
            };
            compiler.policy(&document)
        });
        match policy {
            Some(policy) if errors.is_empty() => Ok(policy),
            Some(_) | None => Err(errors.into_errors()),
        }
    }

    /// The name of every secret that [`Policy::compile`] will ask for, in the order of the document. A sealed secret is not asked
    /// for; the first one needs the seal keys, of which the host may lack the old one.
    ///
    /// # Errors
    /// Every mistake in the size of the document.
    pub fn secret_names(json: &str) -> Result<Vec<String>, Vec<ConfigError>> {
        let document: Configuration = written::read(json)?;
        let click_keys = document.click_id.iter().flat_map(|click_id| click_id.keys.iter().flatten());
        let mut secrets: Vec<_> = click_keys.map(|key| &key.secret).collect();
        for keys in [&document.receipt, &document.attestation].into_iter().flatten() {
            secrets.extend(&keys.secret);
            secrets.extend(keys.keys.iter().flatten().map(|key| &key.secret));
        }
        for partner in document.partners.iter().flat_map(BTreeMap::values) {
            secrets.extend(partner.signature.keys.iter().map(|key| &key.secret));
            let token_keys = partner.token.iter().flat_map(|token| token.keys.iter().flatten());
            secrets.extend(token_keys.filter_map(|key| key.secret.as_ref()));
        }
        Ok(names_asked_for(document.environment, secrets))
    }
}

impl Compiler<'_, '_> {
    fn policy(mut self, document: &Configuration) -> Option<Policy> {
        let root = Path::Root;
        if document.version.get().is_none() {
            self.errors.add(&root.member("version"), "is no version that this program reads", "write 1");
        }
        let documentation_url = self.documentation_url(document.documentation_url.as_deref());
        let (limits, ts_event_future_ms_max) = self.limits(document.limits.unwrap_or_default());
        let trusted_proxies = self.trusted_proxies(document.trusted_proxies.as_deref().unwrap_or_default());
        let dedup = self.dedup(document.dedup.unwrap_or_default());
        let click_id = self.click_id(document.click_id.as_ref());
        let receipt = self.receipt(document.receipt.as_ref());
        let attestation = self.attestation(document.attestation.as_ref());
        let scope = self.scope(document.name.as_deref());
        let common = Common {
            ts_event_future_ms_max,
            retention_ms: dedup.as_ref().map(|dedup| dedup.retention_ms),
            upstream_is_idempotent: document.upstream.and_then(|upstream| upstream.idempotent).unwrap_or(
                match self.environment {
                    Environment::Sandbox => true,
                    Environment::Production => false,
                },
            ),
        };
        let partners = self.partners(document, &common)?;
        Some(Policy {
            environment: self.environment,
            documentation_url,
            scope: scope?,
            upstream_is_idempotent: common.upstream_is_idempotent,
            limits: limits?,
            trusted_proxies,
            dedup: dedup?,
            click_id: click_id?,
            receipt: Arc::new(receipt?),
            attestation: attestation?,
            partners,
            issuers: self.issuers,
            opaque_tokens: self.opaque_tokens,
        })
    }

    fn scope(&mut self, name: Option<&str>) -> Option<Arc<str>> {
        let name = name.unwrap_or(DEFAULT_NAME);
        if !check::is_name(name) {
            let remedy = "write 1 to 64 of a-z, 0-9, _ and -, or leave it out for \"default\"";
            self.errors.add(&Path::Root.member("name"), "is no name of a scope", remedy);
            return None;
        }
        Some(Arc::from(format!("{}/{name}", self.environment.as_str())))
    }

    fn limits(&mut self, limits: written::RequestLimits) -> (Option<RequestLimits>, u64) {
        let path = Path::Root.member("limits");
        let errors = &mut *self.errors;
        let body_bytes_max = whole(errors, &path.member("body_bytes_max"), limits.body_bytes_max, 65_536);
        let refusals = path.member("source_requests_per_minute");
        let refusals = whole(errors, &refusals, limits.source_requests_per_minute, 600);
        let future = path.member("ts_event_future_seconds_max");
        let future = whole(errors, &future, limits.ts_event_future_seconds_max, 300);
        let limits = usize::try_from(body_bytes_max).ok().zip(Rate::per(refusals, 60_000, refusals));
        let limits =
            limits.map(|(body_bytes_max, source_refusals)| RequestLimits { body_bytes_max, source_refusals });
        (limits, u64::from(future).saturating_mul(1_000))
    }

    fn documentation_url(&mut self, url: Option<&str>) -> Arc<str> {
        let Some(url) = url else { return Arc::from(DOCUMENTATION_URL) };
        let schemes: &[&str] = match self.environment {
            Environment::Production => &["https://"],
            Environment::Sandbox => &["https://", "http://"],
        };
        let has_host =
            schemes.iter().filter_map(|scheme| url.strip_prefix(scheme)).any(|rest| !rest.is_empty());
        if !has_host || !is_visible(url, DOCUMENTATION_URL_BYTES_MAX) || url.contains(['#', '"', '\\']) {
            let remedy = format!(
                "write an absolute https: URL of at most {DOCUMENTATION_URL_BYTES_MAX} visible ASCII characters without #"
            );
            self.errors.add(&Path::Root.member("documentation_url"), "is not such a URL", remedy);
        }
        Arc::from(url)
    }

    pub(super) fn trusted_proxies(&mut self, proxies: &[String]) -> Vec<Cidr> {
        let path = Path::Root.member("trusted_proxies");
        count(self.errors, &path, proxies.len(), TRUSTED_PROXIES_MAX);
        let trusted = networks(self.errors, &path, proxies);
        for (index, proxy) in proxies.iter().enumerate() {
            if proxy.ends_with("/0") {
                let problem = "trusts every sender, so that each could name any address as its own";
                self.errors.add(&path.element(index), problem, "write the networks of your own proxies");
            }
        }
        trusted
    }

    fn dedup(&mut self, dedup: written::Dedup) -> Option<Dedup> {
        let path = Path::Root.member("dedup");
        let errors = &mut *self.errors;
        let slots = whole(errors, &path.member("slots"), dedup.slots, 65_536);
        let entries = whole(errors, &path.member("entries_per_slot"), dedup.entries_per_slot, 8);
        let days = whole(errors, &path.member("retention_days"), dedup.retention_days, 30);
        let lease = whole(errors, &path.member("lease_seconds"), dedup.lease_seconds, 30);
        Some(Dedup {
            size: TableSize { slots, entries_per_slot: u8::try_from(entries).ok()? },
            retention_ms: u64::from(days).saturating_mul(DAY_MS),
            lease_ms: u64::from(lease).saturating_mul(1_000),
        })
    }

    pub(super) fn click_id(&mut self, click_id: Option<&written::ClickId>) -> Option<ClickPolicy> {
        let path = Path::Root.member("click_id");
        let Some(click_id) = click_id else {
            let key = ClickKey::new(Arc::from(sandbox::CLICK_KEY_ID), sandbox::CLICK_SECRET.as_bytes());
            let remedy = "write { \"keys\": [{ \"id\": …, \"secret\": { \"name\": … } }] }, or { \"verify\": \"off\" }";
            self.published_only_in_sandbox(&path, remedy)?;
            return Some(ClickPolicy { keys: vec![key], verify: ClickVerify::Require });
        };
        let verify = click_id.verify.unwrap_or(ClickVerify::Require);
        let path = path.member("keys");
        let written = click_id.keys.as_deref().unwrap_or_default();
        if written.is_empty() && verify != ClickVerify::Off {
            let remedy = "write a key, or \"verify\": \"off\" where another tracker mints the click ids";
            self.errors.add(&path, "has no key to verify with", remedy);
        }
        let keys = keys::keys(self.errors, &mut self.secrets, &path, written, Asked::OURS);
        let keys = keys.into_iter().map(|key| key.prepared(|secret| ClickSecret::new(&secret))).collect();
        Some(ClickPolicy { keys, verify })
    }

    fn receipt(&mut self, written: Option<&written::Keys>) -> Option<ReceiptKeys> {
        let path = Path::Root.member("receipt");
        let keys = self.own_keys(&path, written, sandbox::RECEIPT_SECRET, KEYS_MAX)?;
        let keys = keys.into_iter().map(|key| key.prepared(|secret| ReceiptSecret::new(&secret))).collect();
        let keys = ReceiptKeys::new(keys).map_err(|(first, second)| {
            let problem = format!("has the mark of keys[{first}], by chance (1 in 256)");
            let remedy = "make another secret with `countersign keygen`; the mark says which key signs a receipt again";
            self.errors.add(&path.member("keys").element(second).member("secret"), problem, remedy);
        });
        keys.ok()
    }

    /// The hop keys, under the names that metrics and logs show in place of a partner's key: `hop:` and the id.
    fn attestation(&mut self, written: Option<&written::Keys>) -> Option<Vec<Key<MacKey>>> {
        let path = Path::Root.member("attestation");
        let keys = self.own_keys(&path, written, sandbox::ATTESTATION_SECRET, KEYS_VALID_MAX)?;
        let hop = |key: Key<Vec<u8>>| {
            let name = Arc::from(format!("hop:{}", key.id()));
            key.named(name).prepared(|secret| MacKey::new(&secret))
        };
        Some(keys.into_iter().map(hop).collect())
    }

    /// The keys of one use; in the sandbox the published one where none are written.
    fn own_keys(
        &mut self,
        path: &Path<'_>,
        written: Option<&written::Keys>,
        published: &str,
        valid_max: usize,
    ) -> Option<Vec<Key<Vec<u8>>>> {
        let Some(written) = written else {
            self.published_only_in_sandbox(path, "write { \"secret\": { \"name\": … } }")?;
            let always = Validity { not_before: None, not_after: None };
            return Some(vec![Key::with(Arc::from(sandbox::KEY_ID), published.as_bytes().to_vec(), always)]);
        };
        let asked = Asked { valid_max, ..Asked::OURS };
        let secret = path.member("secret");
        let lone = (&secret, written.secret.as_ref());
        let list = written.keys.as_deref();
        Some(keys::own_keys_asked(self.errors, &mut self.secrets, path, lone, list, asked))
    }

    /// A key that is left out is the published one, which production does not believe.
    fn published_only_in_sandbox(&mut self, path: &Path<'_>, remedy: &str) -> Option<()> {
        match self.environment {
            Environment::Sandbox => Some(()),
            Environment::Production => {
                self.errors.add(path, "is missing, and production has no published key", remedy);
                None
            }
        }
    }

    fn partners(&mut self, document: &Configuration, common: &Common) -> Option<Vec<Partner>> {
        let path = Path::Root.member("partners");
        let written = document.partners.iter().flatten();
        count(self.errors, &path, document.partners.as_ref().map_or(0, BTreeMap::len), PARTNERS_MAX);
        let mut partners: Vec<Partner> = Vec::new();
        for (name, partner) in written {
            partners.extend(self.partner(&path.member(name), name, partner, common));
        }
        match self.environment {
            Environment::Sandbox => {
                partners.push(sandbox::partner(
                    check::rate(self.errors, &path, None)?,
                    common.event_rules(),
                    common.ts_event_past_ms_max(),
                ));
            }
            Environment::Production if document.partners.as_ref().is_none_or(BTreeMap::is_empty) => {
                self.errors.add(&path, "has no partner", "write { \"acme\": { \"signature\": … } }");
            }
            Environment::Production => {}
        }
        partners.sort_by(|a, b| a.name.cmp(&b.name));
        Some(partners)
    }
}
