//! Attestations: the proof, on a request that was handed on, that it came through the gate.
//!
//! The header field `x-countersign-attestation: v1;t=<ms>;mac=<base64url>` carries an HMAC-SHA256 with the hop key, in
//! base64url without padding, over
//!
//! ```text
//! countersign attestation v1 LF
//! <length of t>:<t, as in the field> LF
//! <length of partner>:<x-countersign-partner> LF
//! <length of event id>:<x-countersign-event-id> LF
//! 32:<SHA-256 of the body as received, 32 bytes> LF
//! ```
//!
//! with lengths in bytes and decimal. An upstream verifies it in a few lines, here in Python:
//!
//! ```python
//! t, mac = re.fullmatch(r"v1;t=(\d{1,15});mac=([\w-]{43})", field, re.ASCII).groups()
//! parts = [t.encode(), partner.encode(), event_id.encode(), hashlib.sha256(body).digest()]
//! message = b"countersign attestation v1\n" + b"".join(b"%d:%s\n" % (len(p), p) for p in parts)
//! tag = hmac.new(hop_key, message, "sha256").digest()
//! genuine = hmac.compare_digest(base64.urlsafe_b64encode(tag).rstrip(b"="), mac.encode())
//! fresh = -60_000 <= time.time() * 1000 - int(t) <= 300_000
//! ```

use core::fmt::Write as _;

use crate::headers::decimal;
use crate::keys::{self, Key};
use crate::mac::{MacKey, Tag, equal, from_base64url, to_base64url};
use crate::text::Text;
use crate::time::Timestamp;

/// How old an attestation may be, in milliseconds; exactly so old is still accepted.
pub const AGE_MS_MAX: u64 = 300_000;
/// How far ahead of the verifier's clock an attestation may be, in milliseconds: two hosts' clocks differ a little.
pub const AHEAD_MS_MAX: u64 = 60_000;

/// Why an attestation is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttestationReject {
    /// Not of the form `v1;t=<ms>;mac=<43 characters of base64url>`.
    Malformed,
    /// No hop key is valid now.
    NoKeyValid,
    /// Made with another key, or for another partner, event id, body or time.
    Mismatch,
    /// Genuine, and too old or too far ahead.
    Stale {
        /// Milliseconds by which it is ahead of the verifier's clock; negative where it is old.
        skew_ms: i64,
    },
}

impl AttestationReject {
    /// For the operator's log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "attestation is not v1;t=<ms>;mac=<base64url>",
            Self::NoKeyValid => "no hop key is valid now",
            Self::Mismatch => "attestation is of another key, partner, event id, body or time",
            Self::Stale { .. } => "attestation is too old or too far ahead",
        }
    }
}

/// The value of the header field for a request that is handed on at `at`.
#[must_use]
pub fn attest(
    key: &MacKey,
    partner: &str,
    event_id: &str,
    body_sha256: &[u8; 32],
    at: Timestamp,
) -> Text<96> {
    let mut field = Text::EMPTY;
    let mac = to_base64url(&tag(key, partner, event_id, body_sha256, at));
    // 5 + 15 + 5 + 43 characters at the most.
    let _fits = write!(field, "v1;t={};mac={mac}", at.as_ms());
    field
}

/// The time at which the request was attested.
///
/// # Errors
/// An [`AttestationReject`]. The MAC is checked before the age, so that only a hop learns of a skewed clock.
pub fn verify(
    key: &MacKey,
    header: &[u8],
    partner: &str,
    event_id: &str,
    body_sha256: &[u8; 32],
    now: Timestamp,
) -> Result<Timestamp, AttestationReject> {
    let (at, mac) = parse(header).ok_or(AttestationReject::Malformed)?;
    if !equal(&tag(key, partner, event_id, body_sha256, at), &mac) {
        return Err(AttestationReject::Mismatch);
    }
    if now.since_ms(at) > AGE_MS_MAX || at.since_ms(now) > AHEAD_MS_MAX {
        return Err(AttestationReject::Stale { skew_ms: at.skew_ms(now) });
    }
    Ok(at)
}

/// The hop key with which the request was attested, of those that are valid at `now`.
///
/// # Errors
/// An [`AttestationReject`], as of [`verify`]: stale where it is that of any valid key.
pub fn verify_any<'k>(
    keys: &'k [Key<MacKey>],
    header: &[u8],
    partner: &str,
    event_id: &str,
    body_sha256: &[u8; 32],
    now: Timestamp,
) -> Result<&'k Key<MacKey>, AttestationReject> {
    let mut reject = AttestationReject::NoKeyValid;
    for key in keys::valid(keys, now) {
        match verify(key.secret(), header, partner, event_id, body_sha256, now) {
            Ok(_attested_at) => return Ok(key),
            Err(AttestationReject::Mismatch) => reject = AttestationReject::Mismatch,
            // No other key can say more.
            Err(other) => return Err(other),
        }
    }
    Err(reject)
}

fn parse(header: &[u8]) -> Option<(Timestamp, Tag)> {
    let rest = header.strip_prefix(b"v1;t=")?;
    let (digits, rest) = rest.split_at_checked(rest.iter().position(|byte| *byte == b';')?)?;
    let milliseconds = decimal(digits).filter(|milliseconds| *milliseconds <= Timestamp::MAX.as_ms())?;
    Some((Timestamp::from_ms(milliseconds), from_base64url(rest.strip_prefix(b";mac=")?)?))
}

fn tag(key: &MacKey, partner: &str, event_id: &str, body_sha256: &[u8; 32], at: Timestamp) -> Tag {
    let mut time = Text::<20>::EMPTY;
    // 20 bytes hold every 64-bit number.
    let _fits = write!(time, "{}", at.as_ms());
    let parts = [time.as_str().as_bytes(), partner.as_bytes(), event_id.as_bytes(), body_sha256];
    key.tag_of_parts("countersign attestation v1", &parts)
}
