//! Check 14: the hand-on, and what its outcome means for the claim and for the sender.

use alloc::boxed::Box;

use super::reject::{More, RETRY_AFTER_FAILURE_MS, Reject};
use super::reply;
use super::valid::Valid;
use crate::event::EventId;
use crate::outcome::{Code, Facts, Reply};
use crate::rate::Quota;
use crate::store::{End, Settlement};
use crate::time::Timestamp;

/// An event that is claimed and must now be handed on.
#[derive(Debug)]
#[must_use = "hand it on and settle it; dropped, it stays in flight until its lease ends"]
pub struct Claimed {
    pub(super) valid: Valid,
    pub(super) quota: Option<Quota>,
}

/// What an upstream has answered, as far as it decides anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamAnswer<'u> {
    /// The HTTP status.
    pub status: u16,
    /// `Idempotent-Replayed: true`: the upstream had the event before.
    pub replayed: bool,
    /// The value of `x-countersign-duplicate-of`: with a 2xx, the upstream counts the event as a fallback duplicate of that one.
    pub duplicate_of: Option<&'u [u8]>,
    /// The value of `x-countersign-not-accepted`: where it is the id of the event that was handed on, the upstream itself says
    /// that it did not accept it.
    pub not_accepted: Option<&'u [u8]>,
}

/// How the hand-on went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The upstream has it (2xx). `replayed`: it said that it had it before (`Idempotent-Replayed: true`).
    Acknowledged {
        /// Whether the upstream called it a repeat.
        replayed: bool,
    },
    /// The upstream has it (2xx), and counts it as a fallback duplicate of another event; `None` where that one is not named.
    DuplicateOf(Option<EventId>),
    /// The upstream refused the event (4xx); its own answer goes to the sender.
    Refused,
    /// The upstream refused the hop and not the event (such as 401, 404 or 413): an operator has to mend it. The text says which.
    HopRefused(&'static str),
    /// The upstream answered with a redirect (3xx). Whether it took the event is not known.
    Redirected,
    /// The upstream says that it did not accept the event (5xx with `x-countersign-not-accepted`), such as an inbox that has another
    /// hop key.
    NotAccepted,
    /// The upstream failed and has nothing (500, 501).
    Failed,
    /// The request never left for the upstream, or never arrived there.
    NotReached,
    /// Nobody knows: timeout, reset, a sender that hung up, or a failure that a proxy on the way may have made.
    Unknown,
}

/// Why an event is not with the upstream, or why nobody knows whether it is; what an operator has to mend. Metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryFault {
    /// The upstream refused the hop (401, 403, 404, 413 …): its credentials, its path, its limits.
    HopRefused,
    /// The upstream says that it did not accept the event: its own log has why.
    NotAccepted,
    /// The upstream failed (500, 501).
    Failed,
    /// The proxy did not reach the upstream.
    NotReached,
    /// The upstream answered with a redirect.
    Redirected,
    /// Nobody knows: no answer in time, a reset, or a 502, 503 or 504 that a proxy on the way may have made.
    Unknown,
}

impl DeliveryFault {
    /// Every fault.
    pub const ALL: [Self; 6] = [
        Self::HopRefused,
        Self::NotAccepted,
        Self::Failed,
        Self::NotReached,
        Self::Redirected,
        Self::Unknown,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn metric(self) -> &'static str {
        match self {
            Self::HopRefused => "hop_refused",
            Self::NotAccepted => "not_accepted",
            Self::Failed => "failed",
            Self::NotReached => "not_reached",
            Self::Redirected => "redirected",
            Self::Unknown => "unknown",
        }
    }
}

impl Delivery {
    /// What went wrong; `None` where the upstream gave a verdict on the event.
    #[must_use]
    pub const fn fault(&self) -> Option<DeliveryFault> {
        Some(match self {
            Self::Acknowledged { .. } | Self::DuplicateOf(_) | Self::Refused => return None,
            Self::HopRefused(_) => DeliveryFault::HopRefused,
            Self::NotAccepted => DeliveryFault::NotAccepted,
            Self::Failed => DeliveryFault::Failed,
            Self::NotReached => DeliveryFault::NotReached,
            Self::Redirected => DeliveryFault::Redirected,
            Self::Unknown => DeliveryFault::Unknown,
        })
    }
}

/// What is left to do once the hand-on is over.
#[derive(Debug)]
#[must_use = "apply the settlement, then reply"]
pub struct Settled {
    /// For the store; none where the outcome is unknown, so that the lease ends the claim. A fault in it changes nothing
    /// for the sender: the lease stands in.
    pub settlement: Option<Settlement>,
    /// What the sender hears; with [`Delivery::Refused`] the host passes the upstream's own answer on instead, and uses
    /// this one only where there is none.
    pub reply: Box<Reply>,
}

impl Claimed {
    /// The event's id.
    #[must_use]
    pub const fn event_id(&self) -> &EventId {
        &self.valid.claim.row.event_id
    }

    /// What metrics and logs may know, before the hand-on is over.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.valid.facts
    }

    /// The end of the lease.
    #[must_use]
    pub const fn lease_until(&self) -> Timestamp {
        self.valid.claim.key.lease_until
    }

    /// The header fields to set on what is handed on, in place of any `x-countersign-*` that the sender sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let claim = &self.valid.claim;
        [
            Some(("x-countersign-partner", &*claim.partner)),
            Some(("x-countersign-event-id", claim.row.event_id.as_str())),
            Some(("x-countersign-receipt", claim.row.receipt.as_str())),
            self.valid.attestation.as_ref().map(|value| ("x-countersign-attestation", value.as_str())),
        ]
        .into_iter()
        .flatten()
    }

    /// The delivery that an upstream's answer tells of.
    ///
    /// # Security
    /// A failure is known only where nobody but the upstream can have said so. A proxy on the way answers 502, 503, 504 or with a
    /// redirect also for a request that it has passed on: were the claim released then, the sender's retry would race the first
    /// attempt, and one event would be counted twice. 500 and 501 are an application's own words. The field
    /// `x-countersign-not-accepted` has to name the event: an answer that a proxy repeats for another request does not count.
    #[must_use]
    pub fn delivery(&self, answer: &UpstreamAnswer<'_>) -> Delivery {
        let vouched = answer.not_accepted == Some(self.event_id().as_str().as_bytes());
        match answer.status {
            // It says both that it has the event and that it has not.
            200..=299 if vouched => Delivery::Unknown,
            200..=299 => match answer.duplicate_of {
                Some(original) => Delivery::DuplicateOf(event_id(original)),
                None => Delivery::Acknowledged { replayed: answer.replayed },
            },
            300..=399 => Delivery::Redirected,
            400..=499 if vouched => Delivery::Refused,
            400..=499 => hop_refusal(answer.status).map_or(Delivery::Refused, Delivery::HopRefused),
            500..=599 if vouched => Delivery::NotAccepted,
            500 | 501 => Delivery::Failed,
            _ => Delivery::Unknown,
        }
    }

    /// Ends the claim: commit on a durable hand-on, release on a failure that is known, neither where nobody knows.
    pub fn settle(self, delivery: Delivery, now: Timestamp) -> Settled {
        let Self { valid: Valid { claim, facts, documentation_url, .. }, quota } = self;
        let refused = |facts, code, detail, more| {
            Reject::new(facts, code, detail, more).into_reply(&documentation_url, now)
        };
        let soon = More::RetryAfter(RETRY_AFTER_FAILURE_MS);
        // A retry before the lease ends would only hear in_flight.
        let after_lease = More::RetryAfter(claim.key.lease_until.since_ms(now));
        let (end, reply) = match delivery {
            Delivery::Acknowledged { replayed } => {
                let code = if replayed { Code::Duplicate } else { Code::Accepted };
                (Some(End::Commit), reply::accepted(facts, code, &claim.row.receipt, quota))
            }
            // The upstream keeps this verdict and gives it again: with the claim gone, each repeat hears it from there.
            Delivery::DuplicateOf(original) => {
                (Some(End::Release), reply::fallback_duplicate(facts, original.as_ref()))
            }
            Delivery::Refused => {
                let detail = "the upstream refused the event";
                (Some(End::Release), refused(facts, Code::UpstreamRefused, detail, More::Nothing))
            }
            Delivery::HopRefused(detail) => {
                (Some(End::Release), refused(facts, Code::UpstreamUnavailable, detail, soon))
            }
            Delivery::NotAccepted => {
                let detail = "the upstream says that it did not accept the event: its log has why";
                (Some(End::Release), refused(facts, Code::UpstreamUnavailable, detail, soon))
            }
            Delivery::Failed => {
                let detail = "the upstream answered 500 or 501: it failed";
                (Some(End::Release), refused(facts, Code::UpstreamUnavailable, detail, soon))
            }
            Delivery::NotReached => {
                let detail = "the proxy did not reach the upstream";
                (Some(End::Release), refused(facts, Code::UpstreamUnavailable, detail, soon))
            }
            Delivery::Redirected => {
                let detail = "the upstream answered with a redirect; the lease stands";
                (None, refused(facts, Code::UpstreamRedirectRefused, detail, after_lease))
            }
            Delivery::Unknown => {
                let detail = "nobody knows whether the upstream has the event; the lease stands";
                (None, refused(facts, Code::UpstreamUnavailable, detail, after_lease))
            }
        };
        let settlement = end.map(|end| Settlement {
            end,
            key: claim.key,
            payload_hash: claim.payload_hash,
            receipt_key: claim.receipt_key,
            ts_event: claim.row.ts_event,
            fallback: claim.fallback,
            retention_ms: claim.retention_ms,
            now,
        });
        Settled { settlement, reply }
    }
}

/// An id as it may stand in a field; nothing where it is not one.
fn event_id(field: &[u8]) -> Option<EventId> {
    let text = core::str::from_utf8(field).ok()?;
    EventId::new(text).filter(|_| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// What a 4xx says that speaks of the hop between gate and upstream, and not of the event. `None`: it is a verdict on the event.
const fn hop_refusal(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "the upstream answered 401: it wants a credential of the hop",
        403 => "the upstream answered 403: it does not let the hop in",
        404 => "the upstream answered 404: check the route's path",
        405 => "the upstream answered 405: check the route's path and method",
        407 => "the upstream answered 407: a proxy on the way wants a credential",
        408 => "the upstream answered 408: it waited too long for the request",
        411 => "the upstream answered 411: it wants a content-length",
        413 => "the upstream answered 413: its limit for bodies is lower than the gate's",
        414 => "the upstream answered 414: its limit for paths is too low",
        415 => "the upstream answered 415: it does not take JSON at this path",
        417 => "the upstream answered 417: it does not know the request's Expect field",
        421 => "the upstream answered 421: it is not the server of this host name",
        426 => "the upstream answered 426: it wants another protocol",
        431 => "the upstream answered 431: its limit for header fields is too low",
        _ => return None,
    })
}
