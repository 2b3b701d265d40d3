//! One instance of the component, with one gate in it.

use std::collections::BTreeMap;

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::bindings::Countersign;
use super::bindings::exports::countersign::gate::gate::{self as wit, Secret};
use super::component::{EmbedModule, StartError};
use super::store::{EmbedStore, Lent};
use super::{Delivery, Facts, request};
use crate::fault::Faults;
use crate::http::{Headers, HttpReply, HttpRequest};

/// What a gate is started with.
///
/// It has no `Debug`: `secrets` holds secrets.
#[derive(Clone, Default)]
pub struct EmbedConfig {
    /// The configuration document (`docs/config.md`).
    pub document: String,
    /// Name → text of the secrets that the document names.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Asked at every call of the store: `store.throttle`, `store.claim`, `store.settle`.
    pub faults: Faults,
}

/// A gate that runs in the component.
pub struct EmbedHost {
    component: Countersign,
    store: Store<Lent>,
    gate: ResourceAny,
    body_bytes_max: usize,
}

/// How a request ends.
#[derive(Debug)]
#[must_use = "an outcome that is dropped leaves the sender without an answer"]
pub enum Outcome {
    /// Send this reply.
    Answer(Reply),
    /// Hand the event on, then [`EmbedHost::settle`] the claim.
    Forward(Claimed),
}

/// What the sender hears.
#[derive(Clone, Debug)]
pub struct Reply {
    /// On the wire.
    pub http: HttpReply,
    /// In metrics and logs.
    pub facts: Facts,
}

/// An event that is claimed and must now be handed on.
#[derive(Debug)]
#[must_use = "hand it on and settle it, or let go of it; until its lease ends it is in flight"]
pub struct Claimed {
    /// The header fields to set on what is handed on, after every `x-countersign-*` that the sender sent is removed.
    pub headers: Headers,
    /// The end of the lease, in milliseconds since the Unix epoch.
    pub lease_until_ms: u64,
    /// What metrics and logs may know by now; there is no code yet.
    pub facts: Facts,
    /// The component's own part; a resource of another instance is refused by wasmtime.
    resource: ResourceAny,
}

impl EmbedHost {
    /// Makes an instance, lends it the store, and opens a gate in it.
    ///
    /// # Errors
    ///
    /// When the configuration is wrong, or the component fails.
    pub fn start(
        module: &EmbedModule,
        config: EmbedConfig,
        store: Box<dyn EmbedStore>,
    ) -> Result<Self, StartError> {
        let linked = module.linked();
        let mut store = Store::new(linked.engine(), Lent::new(store, config.faults));
        let component = linked.instantiate(&mut store)?;
        let secret = |(name, value)| Secret { name, value };
        let secrets: Vec<_> = config.secrets.into_iter().map(secret).collect();
        let gate = component.countersign_gate_gate().gate();
        let opened = gate.call_open(&mut store, &config.document, &secrets)?;
        let opened = opened.map_err(StartError::Configuration)?;
        let body_bytes_max = gate.call_body_bytes_max(&mut store, opened)?;
        let body_bytes_max = usize::try_from(body_bytes_max).unwrap_or(usize::MAX);
        Ok(Self { component, store, gate: opened, body_bytes_max })
    }

    /// Takes a request that was received at `now_ms`, in milliseconds since the Unix epoch, to its outcome.
    ///
    /// # Errors
    ///
    /// When the component traps, which it never should; the instance is of no use from then on.
    pub fn decide(&mut self, request: &HttpRequest, now_ms: u64) -> anyhow::Result<Outcome> {
        let request = request::request(request, self.body_bytes_max);
        let exports = self.component.countersign_gate_gate();
        let outcome = exports.gate().call_decide(&mut self.store, self.gate, &request, now_ms)?;
        let resource = match outcome {
            wit::Outcome::Answer(answer) => return Ok(Outcome::Answer(reply(answer))),
            wit::Outcome::Forward(resource) => resource,
        };
        let claimed = exports.claimed();
        Ok(Outcome::Forward(Claimed {
            headers: request::headers(claimed.call_headers(&mut self.store, resource)?),
            lease_until_ms: claimed.call_lease_until(&mut self.store, resource)?,
            facts: claimed.call_facts(&mut self.store, resource)?,
            resource,
        }))
    }

    /// Ends a claim: tells how the hand-on went, and hears what the sender hears.
    ///
    /// # Errors
    ///
    /// As [`EmbedHost::decide`]; or when the claim is another instance's.
    pub fn settle(&mut self, claimed: Claimed, delivery: &Delivery, now_ms: u64) -> anyhow::Result<Reply> {
        let exports = self.component.countersign_gate_gate().claimed();
        Ok(reply(exports.call_settle(&mut self.store, claimed.resource, delivery, now_ms)?))
    }

    /// Lets go of a claim without an end, as a host does whose sender has gone: it stays in flight until its lease ends.
    ///
    /// # Errors
    ///
    /// As [`EmbedHost::settle`].
    pub fn let_go(&mut self, claimed: Claimed) -> anyhow::Result<()> {
        Ok(claimed.resource.resource_drop(&mut self.store)?)
    }
}

fn reply(reply: wit::Reply) -> Reply {
    let wit::Reply { status, headers, body, facts } = reply;
    Reply { http: HttpReply { status, headers: request::headers(headers), body }, facts }
}
