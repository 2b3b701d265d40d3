//! Why a signature is not believed, as far as the request itself tells: the mistakes that are made most, looked for one by one.
//!
//! The gate tells a refused sender what is found, and `countersign verify` a sender that looks for it at home.
//!
//! # Security
//! This must not become an oracle, so each arm of [`SignatureCause`] is one of two kinds.
//!
//! - *Form*: what stands in the request's header fields. The sender wrote them, and how they have to be written is documented. No key is
//!   touched.
//! - *Key*: the signature is right, in full, under something that is made of the partner's own key, or over other bytes under that key.
//!   Whoever presents such a signature holds the key (or has a message that its holder signed), and learns which mistake was made with it.
//!   A forger holds neither, and hears what every wrong signature hears. Keys of other partners are never tried; the one other key is
//!   the sandbox's, which is published.
//!
//! A captured message that was signed with an ended key tells its thief that the key has ended: so does the refusal of a fresh one.
//!
//! # Cost
//! Only a refused signature is looked at, after check 3 (where the host asks it first). At most [`DIAGNOSIS_MACS_MAX`] MACs are made,
//! and none over a body of more than [`DIAGNOSIS_BODY_BYTES_MAX`].

use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::presented::{Covers, Family, Presented};
use super::{Place, Scheme, SignaturePolicy, SignatureReject, SigningKey, webhook_secret};
use crate::canonical::{self, Sink};
use crate::headers::Headers;
use crate::json::{Document, Value};
use crate::keys::{KEYS_MAX, KEYS_VALID_MAX};
use crate::mac::{Mac, MacKey, equal, from_hex};
use crate::time::Timestamp;

/// The most MACs that one diagnosis makes.
pub const DIAGNOSIS_MACS_MAX: usize = 32;
/// The longest body over which any is made, in bytes. Events are much shorter.
pub const DIAGNOSIS_BODY_BYTES_MAX: usize = 8_192;

/// The key of the sandbox's partner. Everybody has it, so whoever signs with it learns nothing from hearing so.
pub const PUBLISHED_SECRET: &str = "countersign-sandbox-signing-key-is-published";

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A mistake that explains why a signature is not believed. Closed; the text is public and says what to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum SignatureCause { $($(#[$doc])* $name,)* }

        impl SignatureCause {
            /// Every cause.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What the sender is told.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

causes! {
    /// Form: header fields of Standard Webhooks, and another scheme is agreed on.
    SignedAsWebhook = "the request is signed as Standard Webhooks, and another scheme is agreed on: send the signature header that was agreed on";
    /// Form: `x-signature`, and Standard Webhooks is agreed on.
    NotSignedAsWebhook = "Standard Webhooks is agreed on: send webhook-id, webhook-timestamp and webhook-signature";
    /// Form: some fields of both families, all three of neither.
    FamiliesMixed = "webhook-* and svix-* are mixed: send all three of one family, and webhook-* where both are sent";
    /// Form: not all three fields.
    FamilyIncomplete = "send webhook-id, webhook-timestamp and webhook-signature, or svix-id, svix-timestamp and svix-signature: all three of one family";
    /// Form: a field stands twice.
    Repeated = "a header of the signature stands twice: send it once";
    /// Form: 64 hex digits alone.
    PrefixMissing = "write sha256= before the 64 hex digits of the signature";
    /// Form: `SHA256=`.
    PrefixCase = "write sha256= in lower case";
    /// Form: 32 bytes in base64 where hex is agreed on.
    Base64NotHex = "the signature is base64: write its 32 bytes as sha256= and 64 hex digits";
    /// Form: `sha1=`, `sha512=`, or as many digits as their like have.
    OtherHash = "the signature is of another hash: use HMAC-SHA256, written as sha256= and 64 hex digits";
    /// Form: not 64 digits.
    DigitsOff = "after sha256= there must be exactly 64 hex digits";
    /// Form: `v1,` and hex.
    HexNotBase64 = "the signature is hex: write its 32 bytes as v1, and base64";
    /// Form: base64 without `v1,`.
    VersionMissing = "write v1, before the base64 of the signature";
    /// Form: only versions that are not verified here, such as `v1a`.
    OtherVersion = "no v1 signature is there: only v1 (HMAC-SHA256) is verified";
    /// Form: not whole seconds.
    TimestampForm = "the webhook timestamp must be whole seconds since 1970, not milliseconds";
    /// Form: what would make the signed text ambiguous, or too long.
    MessageIdForm = "the webhook id must have 1 to 256 visible ASCII characters and no full stop";
    /// Key: right, and old.
    TimestampOld = "the webhook timestamp is too old: sign each attempt anew, with its own time";
    /// Key: right, and of a clock that is ahead.
    TimestampAhead = "the webhook timestamp is ahead of our clock: compare your clock with server_time";
    /// Key: right under a key before its `not_before`.
    KeyNotYetValid = "the signature is right, with a key that is not valid yet: sign with the present key";
    /// Key: right under a key after its `not_after`.
    KeyExpired = "the signature is right, with a key that has ended: sign with the new key";
    /// Key: right under a published key.
    SandboxKey = "the signature was made with the sandbox's published key: use the key that was agreed on";
    /// Key: right over the body.
    BodyNotCanonical = "the signature is right over the body as it was sent: sign its canonical form (RFC 8785)";
    /// Key: right over the canonical payload.
    CanonicalNotBody = "the signature is right over the canonical payload: sign the body as it is sent, byte for byte";
    /// Key: right over the body without white space at its ends.
    BodyTrimmed = "the signature is right over the body without the white space around it: sign what is sent";
    /// Key: right over the body without id and time.
    BodyAlone = "the signature is right over the body alone: sign the webhook id, timestamp and body, apart by full stops";
    /// Key: right under the text `base64:…` or `whsec_…`.
    KeyAsText = "the key's text was taken for the key, base64: or whsec_ included: decode the base64 behind it";
    /// Key: right under the base64 text of the key.
    KeyAsBase64 = "the key's base64 text was taken for the key: decode it first";
    /// Key: right under the decoded text of the key.
    KeyDecoded = "the key's text was decoded as base64 or hex: use the text's own bytes as the key";
    /// Key: right under the key and a line feed.
    KeyWithLineBreak = "the key has a line break at its end that is not part of it: write it with printf %s, not echo";
}

/// Looks for the mistake behind `reject`, with which [`super::verify`] refused the same request.
#[must_use]
pub fn diagnose(
    policy: &SignaturePolicy,
    headers: Headers<'_>,
    body: &[u8],
    document: &Document<'_>,
    now: Timestamp,
    reject: SignatureReject,
) -> Option<SignatureCause> {
    match reject {
        SignatureReject::Missing => missing(policy, headers),
        SignatureReject::Malformed => malformed(policy, headers, document),
        SignatureReject::TimestampOutsideTolerance { skew_ms: ..0 } => Some(SignatureCause::TimestampOld),
        SignatureReject::TimestampOutsideTolerance { skew_ms: 0.. } => Some(SignatureCause::TimestampAhead),
        SignatureReject::NoKeyValid | SignatureReject::Mismatch => {
            let presented = Presented::read(policy, headers, document).ok()?;
            let within = body.len() <= DIAGNOSIS_BODY_BYTES_MAX;
            let mut trials = Trials { presented: &presented, body, document, left: DIAGNOSIS_MACS_MAX };
            within.then(|| trials.find(policy, now)).flatten()
        }
    }
}

fn missing(policy: &SignaturePolicy, headers: Headers<'_>) -> Option<SignatureCause> {
    let some = |family: Family| family.fields().iter().any(|name| headers.get(name).is_some());
    match (policy.scheme, some(Family::Webhook), some(Family::Svix)) {
        (Scheme::StandardWebhooks, true, true) => Some(SignatureCause::FamiliesMixed),
        (Scheme::StandardWebhooks, false, false) => {
            headers.get(Place::HEADER).map(|_| SignatureCause::NotSignedAsWebhook)
        }
        (Scheme::StandardWebhooks, true, false) | (Scheme::StandardWebhooks, false, true) => {
            Some(SignatureCause::FamilyIncomplete)
        }
        (Scheme::Jcs | Scheme::Raw, false, false) => None,
        (Scheme::Jcs | Scheme::Raw, true, _) | (Scheme::Jcs | Scheme::Raw, _, true) => {
            Some(SignatureCause::SignedAsWebhook)
        }
    }
}

fn malformed(
    policy: &SignaturePolicy,
    headers: Headers<'_>,
    document: &Document<'_>,
) -> Option<SignatureCause> {
    match (policy.scheme, &policy.place) {
        (Scheme::StandardWebhooks, _) => webhook_form(headers),
        (Scheme::Jcs | Scheme::Raw, Place::Header(name)) => match headers.single(name) {
            Err(_) => Some(SignatureCause::Repeated),
            Ok(field) => hex_form(field?),
        },
        (Scheme::Jcs | Scheme::Raw, Place::Body(name)) => {
            let Value::String(text) = document.object()?.get(name)? else { return None };
            // Longer than any signature: SHA-512 in hex has 135 characters.
            hex_form(text.to_text::<256>()?.as_str().as_bytes())
        }
    }
}

/// How a signature is written that is not `sha256=` and 64 hex digits.
fn hex_form(field: &[u8]) -> Option<SignatureCause> {
    const PREFIX: &[u8] = b"sha256=";
    let is_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    let (prefix, rest) = field.split_at_checked(PREFIX.len()).unwrap_or((&[], field));
    let digits = if prefix.eq_ignore_ascii_case(PREFIX) { rest } else { field };
    if is_base64_of_32(digits) {
        return Some(SignatureCause::Base64NotHex);
    }
    let is_other_hash = [&b"sha1="[..], b"sha512=", b"sha384=", b"md5="]
        .iter()
        .any(|other| field.get(..other.len()).is_some_and(|start| start.eq_ignore_ascii_case(other)));
    // MD5, SHA-1, SHA-384 and SHA-512.
    if is_other_hash || (is_hex(digits) && matches!(digits.len(), 32 | 40 | 96 | 128)) {
        return Some(SignatureCause::OtherHash);
    }
    match (prefix == PREFIX, from_hex(digits).is_some()) {
        (true, _) => Some(SignatureCause::DigitsOff),
        (false, true) if digits.len() == field.len() => Some(SignatureCause::PrefixMissing),
        (false, true) => Some(SignatureCause::PrefixCase),
        (false, false) => None,
    }
}

/// What is wrong with the fields of Standard Webhooks, all three of which are there.
fn webhook_form(headers: Headers<'_>) -> Option<SignatureCause> {
    let [Ok(id), Ok(timestamp), Ok(signature)] =
        Family::of(headers).fields().map(|name| headers.single(name))
    else {
        return Some(SignatureCause::Repeated);
    };
    let (id, timestamp, signature) = (id?, timestamp?, signature?);
    if !super::presented::is_message_id(id) {
        return Some(SignatureCause::MessageIdForm);
    }
    if super::presented::sent_at(timestamp).is_none() {
        return Some(SignatureCause::TimestampForm);
    }
    let mut entries = signature.split(|byte| *byte == b' ').filter(|entry| !entry.is_empty());
    let first = entries.next()?;
    let Some(encoded) = first.strip_prefix(b"v1,") else {
        let is_bare = is_base64_of_32(first) || from_hex(first).is_some();
        return Some(if is_bare { SignatureCause::VersionMissing } else { SignatureCause::OtherVersion });
    };
    from_hex(encoded).map(|_| SignatureCause::HexNotBase64)
}

/// Whether a text is 32 bytes in base64, with padding or without.
fn is_base64_of_32(text: &[u8]) -> bool {
    let mut bytes = [0; 33];
    match text.len() {
        43 => STANDARD_NO_PAD.decode_slice(text, &mut bytes) == Ok(32),
        44 => STANDARD.decode_slice(text, &mut bytes) == Ok(32),
        _ => false,
    }
}

/// The MACs that are made to find a cause, and how many are left.
struct Trials<'t> {
    presented: &'t Presented<'t>,
    body: &'t [u8],
    document: &'t Document<'t>,
    left: usize,
}

impl Trials<'_> {
    fn find(&mut self, policy: &SignaturePolicy, now: Timestamp) -> Option<SignatureCause> {
        let (own, body) = (self.presented.covers, self.body);
        let keys = || policy.keys.iter().take(KEYS_MAX);
        let valid = || keys().filter(|key| key.is_valid_at(now)).take(KEYS_VALID_MAX);
        if self.fits(&MacKey::new(PUBLISHED_SECRET.as_bytes()), own, body) {
            return Some(SignatureCause::SandboxKey);
        }
        for key in keys().filter(|key| !key.is_valid_at(now)) {
            if self.fits(&key.secret().mac, own, body) {
                let is_early = key.not_before().is_some_and(|start| now < start);
                return Some(if is_early {
                    SignatureCause::KeyNotYetValid
                } else {
                    SignatureCause::KeyExpired
                });
            }
        }
        let others = others(own, body);
        for (cause, covers, body) in others.into_iter().flatten() {
            if valid().any(|key| self.fits(&key.secret().mac, covers, body)) {
                return Some(cause);
            }
        }
        valid().find_map(|key| {
            misreadings(key).find_map(|(cause, secret)| {
                let secret = secret?;
                self.fits(&MacKey::new(&secret), own, body).then_some(cause)
            })
        })
    }

    /// Whether one of the signatures is right under `key` over these bytes. No MAC is made once none is left.
    fn fits(&mut self, key: &MacKey, covers: Covers<'_>, body: &[u8]) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        let mut mac = Signed(key.start());
        match covers {
            Covers::Canonical { without } => canonical::write(self.document, without, &mut mac),
            Covers::Body => mac.put(body),
            Covers::Webhook { id, timestamp } => {
                for piece in [id, b".", timestamp, b".", body] {
                    mac.put(piece);
                }
            }
        }
        let tag = mac.0.finish();
        self.presented.tags.iter().flatten().fold(false, |fits, presented| fits | equal(presented, &tag))
    }
}

/// What a sender may have signed in place of what is agreed on.
fn others<'o>(own: Covers<'o>, body: &'o [u8]) -> [Option<(SignatureCause, Covers<'o>, &'o [u8])>; 3] {
    use SignatureCause::{BodyAlone, BodyNotCanonical, BodyTrimmed, CanonicalNotBody};
    let canonical = Covers::Canonical { without: None };
    let trimmed = Some(body.trim_ascii()).filter(|trimmed| trimmed.len() < body.len());
    let trimmed = trimmed.map(|trimmed| (BodyTrimmed, Covers::Body, trimmed));
    match own {
        Covers::Canonical { .. } => [Some((BodyNotCanonical, Covers::Body, body)), trimmed, None],
        Covers::Body => [Some((CanonicalNotBody, canonical, body)), trimmed, None],
        Covers::Webhook { id, timestamp } => {
            let trimmed = trimmed.map(|(cause, _, body)| (cause, Covers::Webhook { id, timestamp }, body));
            [Some((BodyAlone, Covers::Body, body)), Some((CanonicalNotBody, canonical, body)), trimmed]
        }
    }
}

/// What a sender may have made of the key, each once.
fn misreadings(key: &SigningKey) -> impl Iterator<Item = (SignatureCause, Option<Vec<u8>>)> + '_ {
    type Misreading = fn(&[u8]) -> Option<Vec<u8>>;
    let all: [(SignatureCause, Misreading); 6] = [
        (SignatureCause::KeyAsText, |secret| {
            Some(["base64:", &STANDARD.encode(secret)].concat().into_bytes())
        }),
        (SignatureCause::KeyAsText, |secret| {
            Some(["whsec_", &STANDARD.encode(secret)].concat().into_bytes())
        }),
        (SignatureCause::KeyAsBase64, |secret| Some(STANDARD.encode(secret).into_bytes())),
        (SignatureCause::KeyDecoded, webhook_secret),
        (SignatureCause::KeyDecoded, |secret| from_hex(secret).map(Vec::from)),
        (SignatureCause::KeyWithLineBreak, |secret| Some([secret, b"\n"].concat())),
    ];
    all.into_iter().map(|(cause, misread)| (cause, misread(&key.secret().bytes)))
}

struct Signed(Mac);

impl Sink for Signed {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
