//! What is published, so that a partner can try the gate before any secret is exchanged. Nothing here is a secret, and
//! production believes none of it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{InFlightStatus, Partner};
use crate::event::EventRules;
use crate::mac::sha256;
use crate::rate::Rate;
use crate::signature::{Place, Scheme, SignaturePolicy, SigningKey};
use crate::source::SourcePolicy;
use crate::token::OpaqueToken;

/// The partner that every sandbox has, and that no document may name.
pub const PARTNER: &str = "sandbox";
/// Id of the key with which [`PARTNER`] signs.
pub const SIGNING_KEY_ID: &str = "sandbox";
/// Signs the postbacks of [`PARTNER`], scheme `jcs`, header `x-signature`.
pub const SIGNING_SECRET: &str = crate::signature::PUBLISHED_SECRET;
/// Id of the published receipt and hop keys.
pub(crate) const KEY_ID: &str = "sandbox";
/// Id of the key of click ids where a sandbox names none.
pub const CLICK_KEY_ID: &str = "sandbox";
/// Mints click ids where a sandbox names no key.
pub const CLICK_SECRET: &str = "countersign-sandbox-click-key-is-published";
/// Signs receipts where a sandbox names no key.
pub const RECEIPT_SECRET: &str = "countersign-sandbox-receipt-key-is-published";
/// Signs attestations where a sandbox names no hop key.
pub const ATTESTATION_SECRET: &str = "countersign-sandbox-hop-key-is-published";

/// Opens `/internal/…` where a sandbox names no token.
pub const ADMIN_TOKEN: &str = "countersign-sandbox-admin-token-is-published";

/// Every published secret.
pub(crate) const PUBLISHED: [&str; 5] =
    [SIGNING_SECRET, CLICK_SECRET, RECEIPT_SECRET, ATTESTATION_SECRET, ADMIN_TOKEN];

/// Names of the sandbox's secrets begin so, and those of production never do: a host that has both cannot mix them up.
pub(crate) const SECRET_PREFIX: &str = "sandbox_";

/// [`ADMIN_TOKEN`], as it is known.
#[must_use]
pub fn admin_token() -> OpaqueToken {
    OpaqueToken::new(Arc::from(PARTNER), sha256(ADMIN_TOKEN.as_bytes()), None, None)
}

/// [`PARTNER`]: no token, any source, the default quota and the built-in event types.
pub(crate) fn partner(rate: Rate, events: EventRules, ts_event_past_ms_max: Option<u64>) -> Partner {
    let key = SigningKey::new(Arc::from(SIGNING_KEY_ID), SIGNING_SECRET.as_bytes(), None, None);
    Partner {
        name: Arc::from(PARTNER),
        signature: SignaturePolicy {
            scheme: Scheme::Jcs,
            place: Place::Header(Box::from("x-signature")),
            keys: vec![key],
            tolerance_ms: 0,
        },
        token: None,
        source: SourcePolicy {
            allow: Vec::new(),
            certificate_uri: Vec::new(),
            certificate_sha256: Vec::new(),
        },
        rate,
        in_flight_status: InFlightStatus::default(),
        ts_event_past_ms_max,
        events,
        fallback_windows: Vec::new(),
    }
}
