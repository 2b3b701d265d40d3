//! Where one request stands.

use countersign_core::gate::Claimed;
use countersign_core::outcome::Reply;
use countersign_core::time::Timestamp;

/// Where a stream stands. Every callback takes the phase out and puts the next one in.
#[derive(Default)]
pub(crate) enum Phase {
    /// Nothing has come yet.
    #[default]
    New,
    /// The headers are held; the body is on its way.
    Reading,
    /// The event is with the upstream, since this instant.
    Forwarded(Box<Claimed>, Timestamp),
    /// Our answer stands in the headers, which are held until its body has a place: the first piece of the upstream's body.
    Replacing(Box<Reply>),
    /// Our answer is on its way; what is left of the upstream's is thrown away.
    Discarding,
    /// Nothing more is to be done: the answer passes as it is.
    Over,
}
