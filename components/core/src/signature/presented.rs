//! What a request says of its signature: where it stands, how it is written, and what it covers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{
    Place, Scheme, SignaturePolicy, SignatureReject, WEBHOOK_ID_BYTES_MAX, WEBHOOK_SIGNATURE_BYTES_MAX,
    WEBHOOK_TAGS_MAX,
};
use crate::headers::{Headers, decimal};
use crate::json::{Document, Value};
use crate::mac::{Tag, from_hex};
use crate::text::Text;
use crate::time::Timestamp;

/// What a request says of its signature; nothing of it is believed yet.
pub(super) struct Presented<'a> {
    pub(super) tags: [Option<Tag>; WEBHOOK_TAGS_MAX],
    pub(super) covers: Covers<'a>,
    pub(super) sent_at: Option<Timestamp>,
}

/// The bytes under a signature.
#[derive(Clone, Copy)]
pub(super) enum Covers<'a> {
    Canonical { without: Option<&'a str> },
    Body,
    Webhook { id: &'a [u8], timestamp: &'a [u8] },
}

impl<'a> Presented<'a> {
    pub(super) fn read(
        policy: &'a SignaturePolicy,
        headers: Headers<'a>,
        document: &Document<'_>,
    ) -> Result<Self, SignatureReject> {
        match (policy.scheme, &policy.place) {
            (Scheme::Jcs, Place::Header(name)) => {
                Self::one(field(headers, name)?, Covers::Canonical { without: None })
            }
            (Scheme::Raw, Place::Header(name)) => Self::one(field(headers, name)?, Covers::Body),
            (Scheme::Jcs, Place::Body(name)) => {
                let member = document.object().and_then(|object| object.get(name));
                let Value::String(text) = member.ok_or(SignatureReject::Missing)? else {
                    return Err(SignatureReject::Malformed);
                };
                let text: Text<HEX_FIELD> = text.to_text().ok_or(SignatureReject::Malformed)?;
                Self::one(text.as_str().as_bytes(), Covers::Canonical { without: Some(name) })
            }
            // The configuration refuses a signature in the body over the body; without it, this fails closed.
            (Scheme::Raw, Place::Body(_)) => Err(SignatureReject::Malformed),
            (Scheme::StandardWebhooks, _) => Self::webhook(headers),
        }
    }

    fn one(field: &[u8], covers: Covers<'a>) -> Result<Self, SignatureReject> {
        let tag = field.strip_prefix(b"sha256=").and_then(from_hex).ok_or(SignatureReject::Malformed)?;
        let mut tags = [None; WEBHOOK_TAGS_MAX];
        tags[0] = Some(tag);
        Ok(Self { tags, covers, sent_at: None })
    }

    fn webhook(headers: Headers<'a>) -> Result<Self, SignatureReject> {
        let [id, timestamp, signature] = Family::of(headers).fields();
        let (id, timestamp, signature) =
            (field(headers, id)?, field(headers, timestamp)?, field(headers, signature)?);
        let sent_at = sent_at(timestamp)
            .filter(|_| is_message_id(id) && signature.len() <= WEBHOOK_SIGNATURE_BYTES_MAX)
            .ok_or(SignatureReject::Malformed)?;
        let mut tags = [None; WEBHOOK_TAGS_MAX];
        let mut free = tags.iter_mut();
        // Entries of other versions (`v1a` is asymmetric) and broken ones are passed over, as the libraries do.
        for tag in signature.split(|byte| *byte == b' ').filter_map(webhook_tag) {
            *free.next().ok_or(SignatureReject::Malformed)? = Some(tag);
        }
        if tags.iter().all(Option::is_none) {
            return Err(SignatureReject::Malformed);
        }
        Ok(Self { tags, covers: Covers::Webhook { id, timestamp }, sent_at: Some(sent_at) })
    }
}

/// How the three header fields of Standard Webhooks are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Webhook,
    /// The names that the scheme had before it was a standard. What is signed, and how, is the same.
    Svix,
}

impl Family {
    /// `svix-*` counts only where no `webhook-*` is there. Senders that send both families say the same twice; where one of them was
    /// tampered with, the one that is read is the one that is judged, and nobody behind the gate reads either.
    pub(super) fn of(headers: Headers<'_>) -> Self {
        let is_there = |family: Self| family.fields().iter().any(|name| headers.get(name).is_some());
        if is_there(Self::Svix) && !is_there(Self::Webhook) { Self::Svix } else { Self::Webhook }
    }

    /// Id, timestamp and signature.
    pub(super) const fn fields(self) -> [&'static str; 3] {
        match self {
            Self::Webhook => ["webhook-id", "webhook-timestamp", "webhook-signature"],
            Self::Svix => ["svix-id", "svix-timestamp", "svix-signature"],
        }
    }
}

/// The one header field of that name.
fn field<'a>(headers: Headers<'a>, name: &str) -> Result<&'a [u8], SignatureReject> {
    headers.single(name).map_err(|_| SignatureReject::Malformed)?.ok_or(SignatureReject::Missing)
}

/// Whole seconds since 1970, in one spelling.
pub(super) fn sent_at(timestamp: &[u8]) -> Option<Timestamp> {
    let seconds = decimal(timestamp).filter(|seconds| *seconds <= Timestamp::MAX.as_seconds())?;
    Some(Timestamp::from_ms(seconds.saturating_mul(1000)))
}

/// Whether an id can stand under a signature. Without a full stop in the id and the time, `id.time.body` can be taken
/// apart in one way only, so no message is also another one with a longer id and a shorter body.
pub(super) fn is_message_id(id: &[u8]) -> bool {
    (1..=WEBHOOK_ID_BYTES_MAX).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.')
}

fn webhook_tag(entry: &[u8]) -> Option<Tag> {
    let mut tag = [0; 32];
    (STANDARD.decode_slice(entry.strip_prefix(b"v1,")?, &mut tag) == Ok(32)).then_some(tag)
}

/// `sha256=` and 64 digits.
const HEX_FIELD: usize = 71;
