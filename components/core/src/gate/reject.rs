//! A refusal as a value. One function, `into_reply`, turns it into what the sender hears.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::event::{EventId, EventRejects};
use crate::json::Malformed;
use crate::outcome::{Code, Facts};
use crate::rate::Quota;
use crate::time::Timestamp;

/// Advice for a retry after a failure of ours: long enough for a store to come back, short enough for a sender's patience.
pub(super) const RETRY_AFTER_FAILURE_MS: u64 = 5_000;

/// Why a request ends without an accepted event.
#[derive(Debug)]
pub(super) struct Reject {
    /// With the code and the detail of the refusal.
    pub(super) facts: Facts,
    /// What the answer says beyond its code.
    pub(super) more: More,
    /// A hint that is more to the point than the code's own.
    pub(super) hint: Option<&'static str>,
    /// In place of the code's own status.
    pub(super) status: Option<u16>,
    /// The event that a hop asked about: the answer vouches that it was not accepted.
    pub(super) not_accepted: Option<EventId>,
}

/// What a refusal says beyond its code.
#[derive(Debug, Default)]
pub(super) enum More {
    /// Nothing.
    #[default]
    Nothing,
    /// When to come again, in milliseconds.
    RetryAfter(u64),
    /// When to come again, in milliseconds, and what is left of the quota.
    Quota(u64, Quota),
    /// Where the payload stops being JSON.
    Malformed(Malformed),
    /// What is wrong with the event.
    Event(Box<EventRejects>),
    /// How far the sender's clock is ahead of ours, in milliseconds.
    Skew(i64),
    /// The earliest `ts_event` that would be taken.
    TsEventMin(Timestamp),
    /// What was to be signed: the sandbox shows it, production never does.
    StringToSign(Vec<u8>),
}

impl Reject {
    pub(super) fn new(mut facts: Facts, code: Code, detail: &'static str, more: More) -> Box<Self> {
        facts.code = code;
        facts.detail = detail;
        Box::new(Self { facts, more, hint: None, status: None, not_accepted: None })
    }

    /// With a hint that speaks of the cause; `None` leaves the one that is there.
    pub(super) fn with_hint(mut self: Box<Self>, hint: impl Into<Option<&'static str>>) -> Box<Self> {
        self.hint = hint.into().or(self.hint);
        self
    }

    /// The same refusal for a filter that vouched for the event. It has accepted the event by its own document, so the fault lies
    /// between two configurations of the operator: the sender must keep the event and come again, and the filter may know that
    /// nothing was accepted.
    pub(super) fn of_the_hop(mut self: Box<Self>, event_id: Option<EventId>) -> Box<Self> {
        self.hint =
            Some("the filter in front and this inbox disagree: compare their documents, hop keys and clocks");
        self.status = Some(Code::StoreUnavailable.status());
        self.not_accepted = event_id;
        self
    }
}
