//! The gate as a bare WIT component (`wit/gate.wit`): it exports `gate`, imports `store`, and nothing else.
//!
//! | file | what it does |
//! |---|---|
//! | `lib` | the exported resources: from WIT to the core and back |
//! | `store` | the imported store, as the core sees it |

// The purity test holds the artefact to the imports of the WIT; nothing here runs on any other target.
#![cfg(target_arch = "wasm32")]

mod store;

use std::cell::Cell;

use countersign_core::drive;
use countersign_core::gate::{self as core_gate, Body, Mode, Peer, Scratch, UpstreamAnswer};
use countersign_core::headers::Headers;
use countersign_core::outcome;
use countersign_core::policy::Policy;
use countersign_core::source::Identity;
use countersign_core::store::Store;
use countersign_core::time::Timestamp;

use self::bindings::exports::countersign::gate::gate::{
    Certificate, Claimed, ConfigError, Delivery, Facts, Field, Gate, Guest, GuestClaimed, GuestGate, Outcome,
    Reply, Request, Secret,
};
use self::store::Imported;

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "countersign" });
}

/// The component.
struct Component;

#[expect(unsafe_code, reason = "generated: the exported functions read and write the host's memory layout")]
mod entry {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    type Gate = OpenGate;
    type Claimed = OpenClaim;
}

/// The resource `gate`.
struct OpenGate {
    gate: core_gate::Gate,
    /// Taken by a request and put back after it; a component runs one request at a time.
    scratch: Cell<Scratch>,
}

impl GuestGate for OpenGate {
    fn open(config: String, secrets: Vec<Secret>) -> Result<Gate, Vec<ConfigError>> {
        let mut resolve =
            |name: &str| secrets.iter().find(|secret| secret.name == name).map(|secret| secret.value.clone());
        let policy = Policy::compile(&config, &mut resolve).map_err(|errors| {
            let error = |error: countersign_core::policy::ConfigError| ConfigError {
                path: error.path,
                problem: error.problem,
                remedy: error.remedy,
            };
            errors.into_iter().map(error).collect::<Vec<_>>()
        })?;
        let gate = core_gate::Gate::new(policy, Mode::Forward);
        Ok(Gate::new(Self { gate, scratch: Cell::default() }))
    }

    fn body_bytes_max(&self) -> u32 {
        u32::try_from(self.gate.policy().limits.body_bytes_max).unwrap_or(u32::MAX)
    }

    fn decide(&self, request: Request, now: u64) -> Outcome {
        let headers: Vec<(&[u8], &[u8])> =
            request.headers.iter().map(|field| (field.name.as_bytes(), &*field.value)).collect();
        let certificate: Vec<Identity<'_>> = request.peer_certificate.iter().flat_map(identities).collect();
        let address = request.peer_address.as_deref().and_then(|address| address.parse().ok());
        let mut scratch = self.scratch.take();
        let step = self.gate.begin(
            core_gate::Request {
                id: core_gate::request_id(Some(request.id.as_bytes()), || 0),
                method: &request.method,
                path: &request.path,
                headers: Headers(&headers),
                body: request.body.as_deref().map_or(Body::TooLarge, Body::Whole),
                peer: Peer { address, certificate: &certificate },
                scratch: &mut scratch,
            },
            Timestamp::from_ms(now),
        );
        let outcome = drive::drive_now(&mut Imported, step);
        self.scratch.set(scratch);
        match outcome {
            core_gate::Outcome::Answer(answer) => Outcome::Answer(reply(*answer.reply)),
            core_gate::Outcome::Forward(claimed) => Outcome::Forward(Claimed::new(OpenClaim(claimed))),
        }
    }
}

/// The resource `claimed`.
struct OpenClaim(core_gate::Claimed);

impl GuestClaimed for OpenClaim {
    fn headers(&self) -> Vec<Field> {
        let field = |(name, value): (&str, &str)| Field { name: name.to_owned(), value: value.into() };
        self.0.headers().map(field).collect()
    }

    fn lease_until(&self) -> u64 {
        self.0.lease_until().as_ms()
    }

    fn facts(&self) -> Facts {
        facts(self.0.facts())
    }

    fn settle(this: Claimed, delivery: Delivery, now: u64) -> Reply {
        let Self(claimed) = this.into_inner();
        let delivery = match &delivery {
            Delivery::Answered(answer) => claimed.delivery(&UpstreamAnswer {
                status: answer.status,
                replayed: answer.replayed,
                duplicate_of: answer.duplicate_of.as_deref(),
                not_accepted: answer.not_accepted.as_deref(),
            }),
            Delivery::NotDelivered => core_gate::Delivery::NotReached,
            Delivery::Unknown => core_gate::Delivery::Unknown,
        };
        let settled = claimed.settle(delivery, Timestamp::from_ms(now));
        if let Some(settlement) = &settled.settlement {
            // The answer stands whether or not the claim could be settled: its lease ends it.
            let _unsettled = Store::settle(&mut Imported, settlement);
        }
        reply(*settled.reply)
    }
}

fn identities(certificate: &Certificate) -> impl Iterator<Item = Identity<'_>> {
    let digest = certificate.sha256.as_deref().and_then(|digest| digest.try_into().ok());
    let uris = certificate.uris.iter().map(|uri| Identity::Uri(uri));
    uris.chain(digest.map(Identity::Sha256))
}

fn reply(reply: outcome::Reply) -> Reply {
    let field = |(name, value): (&str, String)| Field { name: name.to_owned(), value: value.into_bytes() };
    Reply {
        status: reply.status,
        headers: reply.headers.into_iter().map(field).collect(),
        body: reply.body,
        facts: facts(&reply.facts),
    }
}

fn facts(facts: &outcome::Facts) -> Facts {
    Facts {
        code: facts.code.metric().to_owned(),
        detail: facts.detail.to_owned(),
        partner: facts.partner.as_deref().map(str::to_owned),
        key_id: facts.key_id.as_deref().map(str::to_owned),
        event_id: facts.event_id.map(|event_id| event_id.as_str().to_owned()),
        event: facts.event.map(|event| event.as_str().to_owned()),
    }
}
