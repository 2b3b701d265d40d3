//! The sender's side: what a partner adds to a request. The command line and the vectors sign with it; no host does.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::presented::is_message_id;
use super::{Place, Scheme, SigningKey};
use crate::canonical::{self, Sink};
use crate::json::Document;
use crate::mac::{Mac, Tag};
use crate::time::Timestamp;

/// What Standard Webhooks signs beside the body.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The `webhook-id`: 1 to 256 visible ASCII characters without a full stop.
    pub id: &'a str,
    /// The `webhook-timestamp`, which has whole seconds.
    pub at: Timestamp,
}

/// What a sender adds to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// Header fields: name and value.
    Headers(Vec<(Box<str>, String)>),
    /// A top-level member of the body, of type string, in place of one of that name.
    Member(Box<str>, String),
}

/// Why a payload cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignProblem {
    /// A signature in the body over the body itself cannot be.
    BodyNeedsJcs,
    /// A `webhook-id` that cannot be signed.
    MessageId,
}

impl SignProblem {
    /// The problem, and what to do instead.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BodyNeedsJcs => {
                "only the scheme jcs can carry its signature in the body; use a header field"
            }
            Self::MessageId => "a webhook-id has 1 to 256 visible ASCII characters and no full stop",
        }
    }
}

/// Signs a payload as [`super::verify`] wants it. `document` is what `body` was read as; `message` counts for
/// [`Scheme::StandardWebhooks`] only.
///
/// # Errors
/// A [`SignProblem`].
pub fn sign(
    scheme: Scheme,
    place: &Place,
    key: &SigningKey,
    body: &[u8],
    document: &Document<'_>,
    message: Message<'_>,
) -> Result<Signed, SignProblem> {
    let mut mac = Signing(key.secret().start());
    match (scheme, place) {
        (Scheme::Jcs, Place::Header(name)) => {
            canonical::write(document, None, &mut mac);
            Ok(Signed::Headers([(name.clone(), mac.hex())].into()))
        }
        (Scheme::Jcs, Place::Body(name)) => {
            canonical::write(document, Some(name), &mut mac);
            Ok(Signed::Member(name.clone(), mac.hex()))
        }
        (Scheme::Raw, Place::Header(name)) => {
            mac.put(body);
            Ok(Signed::Headers([(name.clone(), mac.hex())].into()))
        }
        (Scheme::Raw, Place::Body(_)) => Err(SignProblem::BodyNeedsJcs),
        (Scheme::StandardWebhooks, _) => {
            if !is_message_id(message.id.as_bytes()) {
                return Err(SignProblem::MessageId);
            }
            let timestamp = alloc::format!("{}", message.at.as_seconds());
            for piece in [message.id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.put(piece);
            }
            let signature = alloc::format!("v1,{}", STANDARD.encode(mac.tag()));
            Ok(Signed::Headers(
                [
                    ("webhook-id".into(), message.id.into()),
                    ("webhook-timestamp".into(), timestamp),
                    ("webhook-signature".into(), signature),
                ]
                .into(),
            ))
        }
    }
}

struct Signing(Mac);

impl Signing {
    fn tag(self) -> Tag {
        self.0.finish()
    }

    fn hex(self) -> String {
        let digits = self.tag().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'));
        "sha256=".chars().chain(digits).collect()
    }
}

impl Sink for Signing {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
