//! The validated configuration: what the gate decides by. Every number has a unit and a maximum.
//!
//! [`Policy::compile`] makes it from the one JSON document (`docs/config.md`, [`crate::document`]) and the secrets that the
//! host resolves. A policy that exists is usable: nothing is left to check when a request comes.

pub mod check;
mod compile;
mod compiler;
mod keys;
mod minting;
mod partner;
pub mod sandbox;
mod seal;
mod secret;
mod token;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::click::ClickKey;
use crate::dedup::TableSize;
use crate::event::{EventName, EventRules};
use crate::keys::Key;
use crate::rate::Rate;
use crate::receipt::{MacKey, ReceiptKeys};
use crate::signature::SignaturePolicy;
use crate::source::{Cidr, SourcePolicy};
use crate::token::TokenPolicy;

pub use self::compile::{PARTNERS_MAX, TRUSTED_PROXIES_MAX};
pub use self::keys::own_keys;
pub use self::minting::Minting;
pub use self::partner::{CERTIFICATES_MAX, EVENT_RULES_MAX, NETWORKS_MAX, PARTNER_NAME_BYTES_MAX};
pub use self::seal::{Place as SealPlace, SealKey};
pub use self::secret::{Encoding as SecretEncoding, decode as decode_secret};
pub use self::secret::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, Secrets, names_asked_for, seal_place};
pub use self::token::{ISSUER_BYTES_MAX, opaque_tokens};
pub use crate::document::{ClickVerify, ConfigError, Environment};

/// Where a document says nothing of it, and for answers without a document. The name is reserved (RFC 2606): it is nobody's site.
pub const DOCUMENTATION_URL: &str = "https://countersign.example/docs/rejects.md";

/// A validated configuration. Immutable: a new document makes a new policy.
#[derive(Debug)]
pub struct Policy {
    /// Whether real money moves. Production never shows a string-to-sign and knows no published key.
    pub environment: Environment,
    /// What its state belongs to: `production/default`. At most 75 characters.
    pub scope: Arc<str>,
    /// Where the codes of answers are documented; `type` in a refusal is this URL, `#` and the code.
    pub documentation_url: Arc<str>,
    /// Limits on requests, before anything is known of their sender.
    pub limits: RequestLimits,
    /// Proxies whose `x-forwarded-for` and `x-forwarded-client-cert` are believed; at most 64.
    pub trusted_proxies: Vec<Cidr>,
    /// How claims are kept.
    pub dedup: Dedup,
    /// Whether what stands behind the gate knows repeats by itself, however old.
    pub upstream_is_idempotent: bool,
    /// How a `click_id` proves that it is ours (source §3).
    pub click_id: ClickPolicy,
    /// Sign receipts. Their secrets are of no other use, so no partner can make a receipt.
    pub receipt: Arc<ReceiptKeys>,
    /// The hop keys: they sign `x-countersign-attestation` towards the upstream, and verify it at `/collect`; at most 8, of which
    /// at most 4 are valid at once. Each is named `hop:` and its id.
    pub attestation: Vec<Key<MacKey>>,
    /// In the order of their names.
    partners: Vec<Partner>,
    /// Token issuer to name of its partner.
    issuers: BTreeMap<Box<str>, Arc<str>>,
    /// SHA-256 of an opaque token to name of its partner.
    opaque_tokens: BTreeMap<[u8; 32], Arc<str>>,
}

/// Limits on requests, before anything is known of their sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Longest body in bytes; 1,024 to 1,048,576.
    pub body_bytes_max: usize,
    /// Refusals that one source (an IPv4 address, or an IPv6 /64) may collect before it is answered 429.
    pub source_refusals: Rate,
}

/// How claims are kept (source §8).
#[derive(Clone, Debug)]
pub struct Dedup {
    /// The slot table, for hosts that keep claims in memory.
    pub size: TableSize,
    /// How long a committed event is remembered, in milliseconds; 1 to 400 days.
    pub retention_ms: u64,
    /// How long a claim waits for its hand-on to be settled, in milliseconds; 1,000 to 300,000.
    pub lease_ms: u64,
}

/// How a `click_id` proves that it is ours (source §3).
#[derive(Debug)]
pub struct ClickPolicy {
    /// Keys that may have minted it, whatever their dates; at most 8. Empty only where `verify` is [`ClickVerify::Off`].
    pub keys: Vec<ClickKey>,
    /// What becomes of an event whose `click_id` does not prove itself.
    pub verify: ClickVerify,
}

/// Who sends postbacks, how they prove it, and what they may send.
#[derive(Debug)]
pub struct Partner {
    /// Its name: 1 to 64 of `a-z`, `0-9`, `_` and `-`.
    pub name: Arc<str>,
    /// How its payloads are signed (source §5). No partner is without.
    pub signature: SignaturePolicy,
    /// The tokens that it must present (source §5); `None`: none, the path names the partner.
    pub token: Option<TokenPolicy>,
    /// Where its requests must come from (source §5).
    pub source: SourcePolicy,
    /// The quota of its verified events.
    pub rate: Rate,
    /// The answer to an event that is being handed on at this moment.
    pub in_flight_status: InFlightStatus,
    /// How old an event may be that a gate in front of an upstream does not know, in milliseconds; `None`: of any age.
    pub ts_event_past_ms_max: Option<u64>,
    /// What its events may look like (source §4).
    pub events: EventRules,
    /// Event type to length of the fallback window in milliseconds.
    fallback_windows: Vec<(EventName, u64)>,
}

impl Partner {
    /// The window, in milliseconds, in which a second event of the same click and type is a duplicate (source §8); `None`:
    /// this event type is told apart by its id alone.
    #[must_use]
    pub fn fallback_window_ms(&self, event: &str) -> Option<u64> {
        self.fallback_windows.iter().find(|(name, _)| name.as_str() == event).map(|(_, window)| *window)
    }
}

/// The answer to an event that is being handed on at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFlightStatus {
    /// 503 with `Retry-After`: every sender retries a 5xx.
    #[default]
    Unavailable503,
    /// 409 with `Retry-After`, for a partner whose sender retries a 409 but takes a 503 for an outage.
    Conflict409,
}

impl InFlightStatus {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unavailable503 => 503,
            Self::Conflict409 => 409,
        }
    }
}

impl Policy {
    /// The partner of that name.
    #[must_use]
    pub fn partner(&self, name: &str) -> Option<&Partner> {
        let place = self.partners.binary_search_by(|partner| (*partner.name).cmp(name)).ok()?;
        self.partners.get(place)
    }

    /// The partner whose tokens carry that issuer. An issuer read from an unverified token proves nothing: it only finds
    /// the policy that the token then has to satisfy.
    #[must_use]
    pub fn partner_by_issuer(&self, issuer: &str) -> Option<&Partner> {
        self.partner(self.issuers.get(issuer)?)
    }

    /// The partner that holds the opaque token with that SHA-256.
    ///
    /// # Security
    /// The look-up is not constant in time, and need not be: an attacker who can time it learns about the hash of a token,
    /// not about the token.
    #[must_use]
    pub fn partner_by_opaque_token(&self, sha256: &[u8; 32]) -> Option<&Partner> {
        self.partner(self.opaque_tokens.get(sha256)?)
    }

    /// Every partner, in the order of their names.
    pub fn partners(&self) -> impl ExactSizeIterator<Item = &Partner> {
        self.partners.iter()
    }
}
