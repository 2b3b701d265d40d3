//! A request as a host brings it, and what every check knows of it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::net::IpAddr;

use super::reject::{More, Reject};
use crate::event::EventId;
use crate::headers::Headers;
use crate::json::Tape;
use crate::outcome::{Code, Facts, RequestId};
use crate::policy::Policy;
use crate::source::Identity;
use crate::time::Timestamp;

/// What stands behind the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An upstream: a claimed event is handed on, and the claim is settled by how that went.
    Forward,
    /// The inbox: the claim is the hand-on. Attested events are taken at `POST /collect` too.
    Inbox,
}

/// A request as the host received it.
#[derive(Debug)]
pub struct Request<'r> {
    /// Names the request in the answer (`x-request-id`) and in logs; see [`request_id`].
    pub id: RequestId,
    /// The method, as sent.
    pub method: &'r [u8],
    /// Path and query, as sent.
    pub path: &'r [u8],
    /// Header fields, as sent, without pseudo headers.
    pub headers: Headers<'r>,
    /// The body.
    pub body: Body<'r>,
    /// The other end of the connection.
    pub peer: Peer<'r>,
    /// Memory that the host keeps between requests.
    pub scratch: &'r mut Scratch,
}

/// A request's body.
#[derive(Clone, Copy, Debug)]
pub enum Body<'r> {
    /// All of it.
    Whole(&'r [u8]),
    /// It went over the limit; the host read no further.
    TooLarge,
}

/// The other end of the connection, as the host knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'r> {
    /// The socket's address; `None` where the host cannot tell (a pipe).
    pub address: Option<IpAddr>,
    /// What the host itself verified of the client certificate; nothing where there is none.
    pub certificate: &'r [Identity<'r>],
}

/// Memory for reading one request at a time. Kept between requests, it makes a request allocate nothing but its reply (and, with
/// an inbox, the canonical payload that the inbox keeps).
#[derive(Default)]
pub struct Scratch {
    pub(super) tape: Tape,
}

impl fmt::Debug for Scratch {
    /// Without what is in it: that was a sender's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// The id of a request: the one that a proxy in front wrote, where it is 1 to 64 letters, digits and `.`, `_`, `-`; otherwise
/// the number that `otherwise` draws, which the host does not give twice, in hexadecimal.
///
/// An id proves nothing. It only lets the sender and the operator speak of the same request.
#[must_use]
pub fn request_id(given: Option<&[u8]>, otherwise: impl FnOnce() -> u128) -> RequestId {
    let is_id = |id: &&[u8]| {
        !id.is_empty()
            && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    let given = given.filter(is_id).and_then(|id| RequestId::new(core::str::from_utf8(id).ok()?));
    given.unwrap_or_else(|| {
        let mut id = RequestId::EMPTY;
        // 32 digits fit into 64 bytes.
        let _fits = fmt::Write::write_fmt(&mut id, format_args!("{:032x}", otherwise()));
        id
    })
}

/// What every check knows: who asks, by what it is judged, and what was found so far.
#[derive(Debug)]
pub(super) struct Exchange<'r> {
    pub(super) policy: &'r Policy,
    pub(super) mode: Mode,
    pub(super) now: Timestamp,
    pub(super) headers: Headers<'r>,
    pub(super) peer: Peer<'r>,
    /// The client's address, where it can be known.
    pub(super) address: Option<IpAddr>,
    pub(super) facts: Facts,
    /// The event that a filter vouches for.
    pub(super) hop: Option<EventId>,
}

/// Who answers for an event.
#[derive(Clone, Debug)]
pub(super) enum Authority {
    /// Its partner, who has signed it.
    Signature,
    /// A filter that has verified the signature, for the event of this id, with the hop key of that name.
    Hop(EventId, Arc<str>),
}

impl Exchange<'_> {
    /// The end of the request: a check says no.
    pub(super) fn reject(self, code: Code, detail: &'static str, more: More) -> Box<Reject> {
        let reject = Reject::new(self.facts, code, detail, more);
        if self.hop.is_some() { reject.of_the_hop(self.hop) } else { reject }
    }
}
