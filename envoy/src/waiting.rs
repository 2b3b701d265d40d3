//! Streams that wait: for a body that the proxy may keep to itself, and for an upstream whose lease may end first.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::gate::Claimed;
use countersign_core::time::Timestamp;

use crate::abi;

/// How long the first callback with a body may lag behind the headers, before any body has ever arrived.
const FIRST_BODY_MS: u64 = 1_000;
/// The most leases that are remembered beyond their stream. Those beyond it count as ended at once.
const LEASES_MAX: usize = 4_096;

/// A partner's name; none where the claim had none.
type PartnerName = Option<Arc<str>>;

/// The streams of one VM that wait, and the leases that outlive their stream.
#[derive(Default)]
pub(crate) struct Waiting {
    /// Streams that wait for their body, by context. Kept only until the first body arrives.
    bodies: RefCell<BTreeMap<u32, Headed>>,
    /// Whether a body has ever arrived: the proxy is configured rightly.
    bodies_arrive: Cell<bool>,
    /// Whether a body was withheld since.
    bodies_withheld: Cell<bool>,
    /// Streams whose event is with the upstream, by context: the end of the lease.
    upstreams: RefCell<BTreeMap<u32, Timestamp>>,
    /// Claims that nobody will settle: the end of the lease, in no order.
    leases: RefCell<Vec<(Timestamp, PartnerName)>>,
}

/// A stream that has its headers and waits for its body.
struct Headed {
    since: Timestamp,
    /// What the proxy had received of the request by then; `None` where it does not tell.
    received: Option<u64>,
}

impl Waiting {
    /// Notes a stream that has its headers and waits for its body.
    pub(crate) fn for_body(&self, context: u32, now: Option<Timestamp>) {
        if !self.bodies_arrive.get()
            && let Some(since) = now
            && let Ok(mut bodies) = self.bodies.try_borrow_mut()
        {
            bodies.insert(context, Headed { since, received: bytes_received() });
        }
    }

    /// Notes that a body has arrived.
    pub(crate) fn body_arrived(&self) {
        if !self.bodies_arrive.replace(true)
            && let Ok(mut bodies) = self.bodies.try_borrow_mut()
        {
            bodies.clear();
        }
    }

    /// Notes that a stream waits for a body no longer.
    pub(crate) fn body_over(&self, context: u32) {
        if !self.bodies_arrive.get()
            && let Ok(mut bodies) = self.bodies.try_borrow_mut()
        {
            bodies.remove(&context);
        }
    }

    /// Whether the proxy keeps bodies to itself, as far as it is known.
    pub(crate) const fn bodies_are_withheld(&self) -> bool {
        self.bodies_withheld.get() && !self.bodies_arrive.get()
    }

    /// The streams whose body the proxy keeps to itself. A slow sender is not one of them: the proxy has received nothing either.
    pub(crate) fn withheld(&self, now: Timestamp) -> Vec<u32> {
        let Ok(mut bodies) = self.bodies.try_borrow_mut() else { return Vec::new() };
        let withheld: Vec<u32> = bodies
            .extract_if(.., |context, stream| {
                now.since_ms(stream.since) >= FIRST_BODY_MS
                    && abi::set_effective_context(*context).is_ok()
                    && (stream.received.is_none() || stream.received != bytes_received())
            })
            .map(|(context, _)| context)
            .collect();
        if !withheld.is_empty() {
            self.bodies_withheld.set(true);
        }
        withheld
    }

    /// Notes a stream whose event is with the upstream.
    pub(crate) fn for_upstream(&self, context: u32, claimed: &Claimed) {
        if let Ok(mut upstreams) = self.upstreams.try_borrow_mut() {
            upstreams.insert(context, claimed.lease_until());
        }
    }

    /// Notes that a stream waits for the upstream no longer.
    pub(crate) fn upstream_over(&self, context: u32) {
        if let Ok(mut upstreams) = self.upstreams.try_borrow_mut() {
            upstreams.remove(&context);
        }
    }

    /// The streams that still wait for the upstream though their lease has ended.
    pub(crate) fn beyond_lease(&self, now: Timestamp) -> Vec<u32> {
        let Ok(mut upstreams) = self.upstreams.try_borrow_mut() else { return Vec::new() };
        upstreams.extract_if(.., |_, until| *until <= now).map(|(context, _)| context).collect()
    }

    /// Notes a claim that only the end of its lease will end. `false`: too many are noted already.
    pub(crate) fn for_lease(&self, until: Timestamp, partner: PartnerName) -> bool {
        let Ok(mut leases) = self.leases.try_borrow_mut() else { return false };
        let room = leases.len() < LEASES_MAX;
        if room {
            leases.push((until, partner));
        }
        room
    }

    /// The partners of the leases that have ended since this was last asked.
    pub(crate) fn ended_leases(&self, now: Timestamp) -> Vec<PartnerName> {
        let Ok(mut leases) = self.leases.try_borrow_mut() else { return Vec::new() };
        leases.extract_if(.., |(until, _)| *until <= now).map(|(_, partner)| partner).collect()
    }
}

/// Bytes of the current stream's request that the proxy has received, headers and body; `None` where it does not tell.
fn bytes_received() -> Option<u64> {
    let total = abi::property(b"request\0total_size").ok()?;
    Some(u64::from_le_bytes(*total.first_chunk()?))
}
