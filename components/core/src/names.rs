//! How events and their weaker identities are named in stores.
//!
//! An inbox keeps the names for good, so their form never changes: an event of another name would be a new one.

use core::fmt::Write as _;

use crate::money::Amount;
use crate::store::Fingerprint;
use crate::text::Text;

/// Names an event among all events of all partners.
#[must_use]
pub fn event(partner: &str, event_id: &str) -> Fingerprint {
    fingerprint("event", &[partner, event_id, ""])
}

/// Names the weaker identity of an event (source §8): its partner, type and click, and the money of an event that has any, for two
/// deposits of different amounts are never one.
#[must_use]
pub fn fallback(partner: &str, event: &str, click_id: &str, amount: Option<&Amount>) -> Fingerprint {
    let Some(amount) = amount else { return fingerprint("fallback", &[partner, event, click_id]) };
    let mut minor: Text<20> = Text::EMPTY;
    // An `i64` has 20 characters at the most.
    let _fits = write!(minor, "{}", amount.minor);
    fingerprint("fallback", &[partner, event, click_id, amount.currency.code(), minor.as_str()])
}

/// 128 bits of a SHA-256 over a domain and length-prefixed parts, so that no two lists of parts read alike.
fn fingerprint(domain: &str, parts: &[&str]) -> Fingerprint {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in core::iter::once(domain).chain(parts.iter().copied()) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(digest) {
        *to = from;
    }
    name
}
