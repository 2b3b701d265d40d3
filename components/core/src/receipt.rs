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

use alloc::vec::Vec;

use crate::canonical::PayloadHash;
use crate::keys::{self, Key};
pub use crate::mac::MacKey;
use crate::mac::{equal, to_base64url};
use crate::text::Text;
use crate::time::Timestamp;

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

/// The keys that sign receipts, each with its mark.
///
/// The mark is one byte that is derived from the secret. A store keeps it with an event, so that a repeat after a rotation gets
/// the receipt of the first time: a key signs those again as long as it is listed, whatever its dates say.
#[derive(Debug)]
pub struct ReceiptKeys(Vec<Key<ReceiptSecret>>);

/// The secret of a receipt key, prepared.
#[derive(Clone, Debug)]
pub struct ReceiptSecret {
    mac: MacKey,
    mark: u8,
}

impl ReceiptSecret {
    /// Prepares a secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mac = MacKey::new(secret);
        let [mark, ..] = mac.tag_of_parts("countersign receipt mark v1", &[]);
        Self { mac, mark }
    }

    /// The mark: the first byte of the HMAC-SHA256 over `countersign receipt mark v1 LF`.
    #[must_use]
    pub const fn mark(&self) -> u8 {
        self.mark
    }
}

impl ReceiptKeys {
    /// The keys of one document.
    ///
    /// # Errors
    /// The places of two keys that have one mark.
    pub fn new(keys: Vec<Key<ReceiptSecret>>) -> Result<Self, (usize, usize)> {
        let mark = |key: &Key<ReceiptSecret>| key.secret().mark;
        let same = keys.iter().enumerate().find_map(|(place, key)| {
            let first = keys.iter().take(place).position(|other| mark(other) == mark(key))?;
            Some((first, place))
        });
        same.map_or(Ok(Self(keys)), Err)
    }

    /// The key that signs first receipts at `now`, and its mark; `None` where no key is valid.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> Option<(&MacKey, u8)> {
        keys::current(&self.0, now).map(|key| (&key.secret().mac, key.secret().mark))
    }

    /// The key of that mark, valid or not; `None` where it is not listed any more.
    #[must_use]
    pub fn of_mark(&self, mark: u8) -> Option<&MacKey> {
        self.0.iter().map(Key::secret).find(|secret| secret.mark == mark).map(|secret| &secret.mac)
    }

    /// Whether any listed key issued `receipt` for just this partner, event id and payload.
    #[must_use]
    pub fn verify(&self, receipt: &str, partner: &str, event_id: &str, payload_hash: &PayloadHash) -> bool {
        self.0.iter().any(|key| verify(&key.secret().mac, receipt, partner, event_id, payload_hash))
    }

    /// Every key, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[Key<ReceiptSecret>] {
        &self.0
    }
}

const PURPOSE: &str = "countersign receipt v1";
const PREFIX: &str = "cs1_";
