//! Receipts: what the sender holds in hand that its event was accepted.
//!
//! A receipt is `cs1_` and the base64url form, without padding, of an HMAC-SHA256 with the receipt key over
//!
//! ```text
//! countersign receipt v1 LF
//! <length of partner>:<partner> LF
//! <length of event id>:<event id> LF
//! 32:<SHA-256 of the canonical payload, 32 bytes> LF
//! ```
//!
//! with lengths in bytes and decimal. It says nothing about time, so that each delivery of one event has the same receipt.

use crate::canonical::PayloadHash;
pub use crate::mac::MacKey;
use crate::mac::{equal, to_base64url};
use crate::text::Text;

/// A receipt: `cs1_` and 43 characters of base64url, an HMAC-SHA256 over partner, event id and payload hash.
///
/// The same event has the same receipt however often it is sent, so a sender whose first answer was lost still gets it.
pub type Receipt = Text<47>;

/// The receipt of an accepted event.
#[must_use]
pub fn issue(key: &MacKey, partner: &str, event_id: &str, payload_hash: &PayloadHash) -> Receipt {
    let tag = key.tag_of_parts(PURPOSE, &[partner.as_bytes(), event_id.as_bytes(), payload_hash]);
    let mut receipt = Receipt::EMPTY;
    // 4 + 43 characters fill the text exactly.
    let _fits = receipt.push_str(PREFIX).and_then(|()| receipt.push_str(to_base64url(&tag).as_str()));
    receipt
}

/// Whether `receipt` was issued with `key` for just this partner, event id and payload.
#[must_use]
pub fn verify(
    key: &MacKey,
    receipt: &str,
    partner: &str,
    event_id: &str,
    payload_hash: &PayloadHash,
) -> bool {
    equal(issue(key, partner, event_id, payload_hash).as_str().as_bytes(), receipt.as_bytes())
}

const PURPOSE: &str = "countersign receipt v1";
const PREFIX: &str = "cs1_";
