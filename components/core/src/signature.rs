//! Signatures over postbacks (source §5): HMAC-SHA256 in three schemes, with several keys that overlap during rotation.
//!
//! | scheme | covers | travels as |
//! |---|---|---|
//! | `jcs` | the canonical payload (RFC 8785) | `sha256=<64 hex digits>` in a header field or a top-level member |
//! | `raw` | the body's bytes | `sha256=<64 hex digits>` in a header field |
//! | `standard-webhooks` | `<webhook-id>.<webhook-timestamp>.<body>` | `v1,<base64>` in `webhook-signature`, several apart by spaces |
//!
//! Where none of the three `webhook-*` fields is there, `svix-id`, `svix-timestamp` and `svix-signature` are read in their place.
//!
//! A signature in a member covers the canonical payload without that member.
//!
//! Whatever is signed, an event is known again by the hash of its canonical payload. Where the body's bytes are signed, a number that
//! RFC 8785 cannot write stands in it as it was written ([`crate::json::Numbers::AsWritten`]).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use sha2::{Digest as _, Sha256};

use self::presented::{Covers, Presented};
use crate::canonical::{self, PayloadHash, Sink};
use crate::headers::Headers;
use crate::json::{Document, ReadLimits};
use crate::keys::{self, KEYS_VALID_MAX, Key};
use crate::mac::{Mac, MacKey, Tag, equal};
use crate::time::Timestamp;
use crate::validity::Validity;

mod diagnosis;
mod presented;
mod sign;

pub use diagnosis::{
    DIAGNOSIS_BODY_BYTES_MAX, DIAGNOSIS_MACS_MAX, PUBLISHED_SECRET, SignatureCause, diagnose,
};
pub use sign::{Message, SignProblem, Signed, sign};

/// How a partner signs.
#[derive(Clone, Debug)]
pub struct SignaturePolicy {
    /// What is signed, and how it is written.
    pub scheme: Scheme,
    /// Where the signature stands; of no meaning for [`Scheme::StandardWebhooks`].
    pub place: Place,
    /// At most [`keys::KEYS_MAX`], of which at most [`KEYS_VALID_MAX`] at once; any further are never tried.
    pub keys: Vec<SigningKey>,
    /// How far a `webhook-timestamp` may be from now, either way, in milliseconds; exactly so far is accepted.
    pub tolerance_ms: u64,
}

/// What is signed, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The canonical payload: the order of members and whitespace do not matter.
    Jcs,
    /// The body as it was sent.
    Raw,
    /// Standard Webhooks 1.0.
    StandardWebhooks,
}

impl Scheme {
    /// How a payload that is signed so is read: only the canonical payload needs numbers that RFC 8785 can write.
    #[must_use]
    pub const fn read_limits(self) -> ReadLimits {
        match self {
            Self::Jcs => ReadLimits::POSTBACK,
            Self::Raw | Self::StandardWebhooks => ReadLimits::BYTES_SIGNED,
        }
    }
}

/// Where a signature stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the header field of this name, in lower case; usually [`Place::HEADER`].
    Header(Box<str>),
    /// In the top-level member of this name; usually [`Place::MEMBER`]. For [`Scheme::Jcs`] only.
    Body(Box<str>),
}

/// The most `v1` entries in one `webhook-signature`.
pub const WEBHOOK_TAGS_MAX: usize = 8;
/// The longest `webhook-signature`, in bytes.
pub const WEBHOOK_SIGNATURE_BYTES_MAX: usize = 1024;
/// The longest `webhook-id`, in bytes.
pub const WEBHOOK_ID_BYTES_MAX: usize = 256;

impl Place {
    /// The usual header field.
    pub const HEADER: &str = "x-signature";
    /// The usual member.
    pub const MEMBER: &str = "signature";
}

/// A secret that signs, ready for use.
#[derive(Clone)]
pub struct SigningSecret {
    mac: MacKey,
    /// For [`diagnose`], which tries what a sender may have made of it. It is worth no more than `mac`, which signs too.
    bytes: Box<[u8]>,
}

impl SigningSecret {
    /// Prepares the bytes of a key.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { mac: MacKey::new(secret), bytes: Box::from(secret) }
    }

    /// Begins a signature.
    pub(crate) fn start(&self) -> Mac {
        self.mac.start()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(secret)")
    }
}

/// A key that signs; its id names it in metrics and logs.
pub type SigningKey = Key<SigningSecret>;

impl SigningKey {
    /// Prepares a key that is accepted from `not_before` on and up to, not including, `not_after`.
    #[must_use]
    pub fn new(
        id: Arc<str>,
        secret: &[u8],
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Self {
        Self::with(id, SigningSecret::new(secret), Validity { not_before, not_after })
    }
}

/// A payload whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The key that signed it.
    pub key_id: Arc<str>,
    /// SHA-256 of the canonical payload, less a signature's own member, whatever the scheme.
    pub payload_hash: PayloadHash,
}

/// Why a signature is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureReject {
    /// No signature, or a part of it is absent.
    Missing,
    /// Present, and not of the scheme's form; also where a header field stands twice.
    Malformed,
    /// No key of the partner is valid now.
    NoKeyValid,
    /// Of the right form, and made with none of the valid keys or over other bytes.
    Mismatch,
    /// Right, and of a message too old or too far ahead (Standard Webhooks).
    TimestampOutsideTolerance {
        /// Milliseconds by which the sender's time is ahead of ours; negative where it is old.
        skew_ms: i64,
    },
}

impl SignatureReject {
    /// For the operator's log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "signature is missing",
            Self::Malformed => "signature is malformed or repeated",
            Self::NoKeyValid => "no signing key is valid now",
            Self::Mismatch => "signature is of another key or payload",
            Self::TimestampOutsideTolerance { .. } => "webhook-timestamp is outside the tolerance",
        }
    }
}

/// The secret of Standard Webhooks: `whsec_` (which may be left out) and base64, with or without padding; `None` where it
/// is neither, or empty.
#[must_use]
pub fn webhook_secret(text: &[u8]) -> Option<Vec<u8>> {
    // Secrets were handed out by libraries that set the unused bits of the last character, or leave out the padding.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &ALPHABET,
        PAD.with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let encoded = text.strip_prefix(b"whsec_").unwrap_or(text);
    LENIENT.decode(encoded).ok().filter(|secret| !secret.is_empty())
}

/// Checks the signature of a postback with every key that is valid at `now`.
///
/// `document` is what `body` was read as. Where `canonical` is given, it is left holding the canonical payload.
///
/// # Errors
/// The first [`SignatureReject`] in the order of that type.
///
/// # Security
/// Full tags only, compared in constant time; every valid key is tried, so the time does not tell which one matched.
/// A timestamp is judged after the MAC: only the partner learns that its clock is wrong.
pub fn verify(
    policy: &SignaturePolicy,
    headers: Headers<'_>,
    body: &[u8],
    document: &Document<'_>,
    now: Timestamp,
    canonical: Option<&mut Vec<u8>>,
) -> Result<Verified, SignatureReject> {
    let presented = Presented::read(policy, headers, document)?;
    let mut feed = Feed::start(policy, now, canonical).ok_or(SignatureReject::NoKeyValid)?;
    match &presented.covers {
        Covers::Canonical { without } => canonical::write(document, *without, &mut feed),
        Covers::Body => {
            feed.sign(body);
            canonical::write(document, None, &mut feed.unsigned());
        }
        Covers::Webhook { id, timestamp } => {
            for piece in [*id, b".", *timestamp, b".", body] {
                feed.sign(piece);
            }
            canonical::write(document, None, &mut feed.unsigned());
        }
    }
    let (key, payload_hash) = feed.finish(&presented.tags);
    let key = key.ok_or(SignatureReject::Mismatch)?;
    if let Some(sent_at) = presented.sent_at {
        let skew_ms = sent_at.skew_ms(now);
        if skew_ms.unsigned_abs() > policy.tolerance_ms {
            return Err(SignatureReject::TimestampOutsideTolerance { skew_ms });
        }
    }
    Ok(Verified { key_id: Arc::clone(key.id()), payload_hash })
}

/// Takes the canonical payload into its hash, the caller's copy, and, where it is what is signed, every MAC.
struct Feed<'p, 'c> {
    hash: Sha256,
    macs: [Option<(&'p SigningKey, Mac)>; KEYS_VALID_MAX],
    copy: Option<&'c mut Vec<u8>>,
}

impl<'p, 'c> Feed<'p, 'c> {
    /// One MAC for each key that is valid at `now`; `None` where none is.
    fn start(policy: &'p SignaturePolicy, now: Timestamp, mut copy: Option<&'c mut Vec<u8>>) -> Option<Self> {
        let mut valid = keys::valid(&policy.keys, now);
        let macs = core::array::from_fn(|_| valid.next().map(|key| (key, key.secret().start())));
        if let Some(copy) = &mut copy {
            copy.clear();
        }
        macs.iter().any(Option::is_some).then(|| Self { hash: Sha256::new(), macs, copy })
    }

    /// Adds to what is signed, and to that only.
    fn sign(&mut self, bytes: &[u8]) {
        for (_, mac) in self.macs.iter_mut().flatten() {
            mac.update(bytes);
        }
    }

    /// The same without the MACs, for schemes that sign something else than the canonical payload.
    fn unsigned(&mut self) -> Unsigned<'_, 'p, 'c> {
        Unsigned(self)
    }

    /// The key under which any of `tags` is right, and the hash of the canonical payload.
    fn finish(self, tags: &[Option<Tag>]) -> (Option<&'p SigningKey>, PayloadHash) {
        let mut signer = None;
        for (key, mac) in self.macs.into_iter().flatten() {
            let tag = mac.finish();
            let same = tags.iter().flatten().fold(false, |same, presented| same | equal(presented, &tag));
            signer = signer.or(same.then_some(key));
        }
        (signer, self.hash.finalize().into())
    }
}

impl Sink for Feed<'_, '_> {
    fn put(&mut self, bytes: &[u8]) {
        self.sign(bytes);
        self.unsigned().put(bytes);
    }
}

struct Unsigned<'f, 'p, 'c>(&'f mut Feed<'p, 'c>);

impl Sink for Unsigned<'_, '_, '_> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.hash.update(bytes);
        if let Some(copy) = &mut self.0.copy {
            copy.extend_from_slice(bytes);
        }
    }
}
