//! One verification of a postback, twice over: by [`countersign_core`], and by the crates that one would otherwise take.
//!
//! | what | does |
//! |---|---|
//! | [`Work::library`] | `serde_json` into a tree, `serde_json_canonicalizer`, `hmac` with a prepared key, compared in constant time |
//! | [`Work::library_hashed`] | the same, and the SHA-256 of the canonical payload, which the core always computes |
//! | [`Work::core`] | [`json::read`], and [`canonical::write`] straight into the same `hmac`: what the library row does, by the core |
//! | [`Work::countersign`] | [`json::read`] and [`signature::verify`] as the gate calls them: header field, hex, MAC, and the SHA-256 |
//!
//! So the first is to be compared with the third, and the second with the fourth. The fourth leans towards the library, whose tag is
//! decoded beforehand, which looks for no header field, and which accepts duplicate members and inexact numbers.
//!
//! As wasm it imports nothing and exports one function per row: so many verifications, and how many were right.

use std::sync::Arc;

use countersign_core::canonical::{self, Sink};
use countersign_core::headers::Headers;
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::signature::{self, Place, Scheme, SignaturePolicy, SigningKey};
use countersign_core::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The source's §4.3 deposit event. Its spaces inside `100. 00` are mended; the others, and the order of the members, are its own.
pub const DEPOSIT: &str = r#"{
"event": "deposit_success", "event_id": "dep_9aa...", "click_id": "clk_123...", "account_id": "u_456...", "amount": 100.00, "currency": "USD", "is_ftd": true, "payment_method": "card pix crypto wallet", "ts_event": "2025-10-21T15:12:31Z", "signature": "..."
}"#;

const SECRET: &[u8] = b"a key of the benches, which is not a secret";
const NOW: Timestamp = Timestamp::from_ms(1_761_059_551_000);

/// A signed event, and what each side keeps between requests.
pub struct Work {
    policy: SignaturePolicy,
    header: Vec<u8>,
    tape: Tape,
    key: Hmac<Sha256>,
    tag: [u8; 32],
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

impl Work {
    /// Prepares the keys, and signs the event with the library.
    ///
    /// # Panics
    /// Where the event is no JSON, or a key is refused: never.
    #[must_use]
    pub fn new() -> Self {
        let key = Hmac::<Sha256>::new_from_slice(SECRET).expect("HMAC takes keys of any length");
        let value: serde_json::Value = serde_json::from_str(DEPOSIT).expect("the event is JSON");
        let canonical = serde_json_canonicalizer::to_vec(&value).expect("it has a canonical form");
        let tag: [u8; 32] = key.clone().chain_update(canonical).finalize().into_bytes().into();
        let digits: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let policy = SignaturePolicy {
            scheme: Scheme::Jcs,
            place: Place::Header(Place::HEADER.into()),
            keys: vec![SigningKey::new(Arc::from("bench"), SECRET, None, None)],
            tolerance_ms: 0,
        };
        Self { policy, header: format!("sha256={digits}").into_bytes(), tape: Tape::default(), key, tag }
    }

    /// By the library: tree, canonicalised text, HMAC.
    pub fn library(&mut self, body: &[u8]) -> bool {
        self.library_canonical(body).is_some()
    }

    /// By the library, with the SHA-256 of the canonical payload.
    pub fn library_hashed(&mut self, body: &[u8]) -> bool {
        self.library_canonical(body).is_some_and(|canonical| {
            std::hint::black_box(Sha256::digest(canonical));
            true
        })
    }

    fn library_canonical(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        let canonical = serde_json_canonicalizer::to_vec(&value).ok()?;
        self.key.clone().chain_update(&canonical).verify_slice(&self.tag).ok()?;
        Some(canonical)
    }

    /// By the core's reader and writer, into the library's MAC.
    pub fn core(&mut self, body: &[u8]) -> bool {
        let Ok(document) = json::read(body, &mut self.tape, ReadLimits::POSTBACK) else { return false };
        let mut mac = Signed(self.key.clone());
        canonical::write(&document, None, &mut mac);
        mac.0.verify_slice(&self.tag).is_ok()
    }

    /// By the core, as the gate does it; the SHA-256 of the canonical payload is part of what it answers.
    pub fn countersign(&mut self, body: &[u8]) -> bool {
        let headers: [(&[u8], &[u8]); 1] = [(Place::HEADER.as_bytes(), &self.header)];
        let Ok(document) = json::read(body, &mut self.tape, ReadLimits::POSTBACK) else { return false };
        let verified = signature::verify(&self.policy, Headers(&headers), body, &document, NOW, None);
        verified.is_ok_and(|verified| {
            std::hint::black_box(verified.payload_hash);
            true
        })
    }

    fn times(mut self, count: u32, verify: impl Fn(&mut Self, &[u8]) -> bool) -> u32 {
        let mut right = 0;
        for _ in 0..count {
            right += u32::from(verify(&mut self, std::hint::black_box(DEPOSIT.as_bytes())));
        }
        right
    }
}

struct Signed(Hmac<Sha256>);

impl Sink for Signed {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// [`Work::library`], `count` times; how many were right.
#[unsafe(no_mangle)]
pub extern "C" fn library(count: u32) -> u32 {
    Work::new().times(count, Work::library)
}

/// [`Work::library_hashed`], `count` times; how many were right.
#[unsafe(no_mangle)]
pub extern "C" fn library_hashed(count: u32) -> u32 {
    Work::new().times(count, Work::library_hashed)
}

/// [`Work::core`], `count` times; how many were right.
#[unsafe(no_mangle)]
pub extern "C" fn core(count: u32) -> u32 {
    Work::new().times(count, Work::core)
}

/// [`Work::countersign`], `count` times; how many were right.
#[unsafe(no_mangle)]
pub extern "C" fn countersign(count: u32) -> u32 {
    Work::new().times(count, Work::countersign)
}

#[cfg(test)]
mod tests {
    use super::{DEPOSIT, Work};

    #[test]
    fn both_accept_the_event_and_refuse_another() {
        let other = DEPOSIT.replace("100.00", "100.01");
        for verify in [Work::library, Work::library_hashed, Work::core, Work::countersign] {
            let mut work = Work::new();
            assert!(verify(&mut work, DEPOSIT.as_bytes()));
            assert!(!verify(&mut work, other.as_bytes()));
        }
    }
}
