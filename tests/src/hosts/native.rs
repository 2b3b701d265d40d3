//! The core in this process, over a table in memory, with an upstream that the vector scripts. The expectations of the
//! vectors are its answers, checked against what their author says.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use countersign_core::dedup::{MemoryTable, Slot, Swap, Table, TableStore};
use countersign_core::drive::drive_now;
use countersign_core::gate::{
    Body, Claimed, Delivery, Gate, Mode, Outcome, Peer, Request, Scratch, UpstreamAnswer, request_id,
};
use countersign_core::headers::Headers;
use countersign_core::outcome::{Facts, Reply};
use countersign_core::policy::Policy;
use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use countersign_host::fault::{Fault, Faults};

use super::{Host, compared, field, handed_on, passed_on, says_replayed, upstream_reply};
use crate::vector::{Expect, Group, Step, Suite, Upstream, Vector, text};
use crate::wire::Wire;

/// The core in this process.
#[derive(Debug)]
pub struct Native {
    mode: Mode,
    faults: Faults,
    /// By configuration: a gate does not change.
    gates: BTreeMap<String, Gate>,
    log: Vec<String>,
}

impl Native {
    /// The core for a suite: in front of an upstream, or as the inbox. Its table fails as `faults` plans, by the names
    /// `read`, `insert` and `replace`.
    #[must_use]
    pub fn new(suite: Suite, faults: Faults) -> Self {
        let mode = match suite {
            Suite::Gate | Suite::HandOn => Mode::Forward,
            Suite::Inbox => Mode::Inbox,
        };
        Self { mode, faults, gates: BTreeMap::new(), log: Vec::new() }
    }

    /// As [`Host::play`], with the code of each step.
    ///
    /// # Errors
    /// As [`Host::play`].
    pub fn play_with_codes(&mut self, group: &Group, vector: &Vector) -> anyhow::Result<Vec<Expect>> {
        if !self.gates.contains_key(&group.config) {
            self.gates.insert(group.config.clone(), gate(group, self.mode)?);
        }
        let gate = self.gates.get(&group.config).context("the gate was just made")?;
        let table = FaultyTable { table: MemoryTable::default(), faults: self.faults.clone() };
        let mut play = Play {
            gate,
            store: TableStore::new(table, &gate.policy().scope, gate.policy().dedup.size),
            scratch: Scratch::default(),
            pending: Vec::new(),
            log: &mut self.log,
        };
        vector.steps.iter().map(|step| play.step(step)).collect()
    }
}

impl Host for Native {
    fn play(&mut self, group: &Group, vector: &Vector) -> anyhow::Result<Vec<Expect>> {
        let mut played = self.play_with_codes(group, vector)?;
        for step in &mut played {
            step.code.clear();
        }
        Ok(played)
    }

    fn log(&self) -> Vec<String> {
        self.log.clone()
    }
}

fn gate(group: &Group, mode: Mode) -> anyhow::Result<Gate> {
    let document = group.configuration()?;
    let mut secrets = |name: &str| group.secrets.get(name).map(|secret| secret.clone().into_bytes());
    match Policy::compile(&document, &mut secrets) {
        Ok(policy) => Ok(Gate::new(policy, mode)),
        Err(errors) => {
            let lines =
                errors.iter().map(|error| format!("{}: {}; {}", error.path, error.problem, error.remedy));
            bail!("configs/{}.json: {}", group.config, lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// One vector under way.
struct Play<'p> {
    gate: &'p Gate,
    store: TableStore<FaultyTable>,
    scratch: Scratch,
    /// Claims whose upstream does not answer before the vector is over.
    pending: Vec<Claimed>,
    log: &'p mut Vec<String>,
}

impl Play<'_> {
    fn step(&mut self, step: &Step) -> anyhow::Result<Expect> {
        let wire = Wire::of(&step.request)?;
        let body = wire.body();
        let fields: Vec<(&[u8], &[u8])> =
            wire.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let request = Request {
            id: request_id(None, || u128::from(step.at_ms)),
            method: &wire.method,
            path: &wire.path,
            headers: Headers(&fields),
            body: Body::Whole(&body),
            peer: Peer { address: Some(wire.peer), certificate: &[] },
            scratch: &mut self.scratch,
        };
        let now = Timestamp::from_ms(step.at_ms);
        match drive_now(&mut self.store, self.gate.begin(request, now)) {
            Outcome::Answer(answer) => {
                self.log.push(answer.reply.facts.to_json());
                Ok(expect(&answer.reply))
            }
            Outcome::Forward(claimed) => Ok(self.hand_on(claimed, &step.upstream, now)),
        }
    }

    fn hand_on(&mut self, claimed: Claimed, upstream: &Upstream, now: Timestamp) -> Expect {
        let handed = claimed.headers().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let handed = Some(handed_on(handed));
        let answered = upstream_reply(upstream);
        let delivery = match (&answered, upstream) {
            (_, Upstream::Pending) => {
                let code = String::new();
                self.pending.push(claimed);
                return Expect { code, handed_on: handed, ..Expect::default() };
            }
            (Some((status, headers, _)), _) => claimed.delivery(&UpstreamAnswer {
                status: *status,
                replayed: says_replayed(headers),
                duplicate_of: field(headers, "x-countersign-duplicate-of"),
                not_accepted: field(headers, "x-countersign-not-accepted"),
            }),
            (None, _) => Delivery::Unknown,
        };
        let settled = claimed.settle(delivery, now);
        if let Some(settlement) = &settled.settlement {
            // The lease stands in where the store does not answer.
            let _unsettled = self.store.settle(settlement);
        }
        self.log.push(settled.reply.facts.to_json());
        match answered {
            // The upstream's own refusal goes to the sender.
            Some((status, headers, body)) if delivery == Delivery::Refused => {
                let fields = passed_on(&headers);
                Expect {
                    code: code(&settled.reply.facts),
                    status: Some(status),
                    headers: compared(fields),
                    body,
                    handed_on: handed,
                }
            }
            _ => Expect { handed_on: handed, ..expect(&settled.reply) },
        }
    }
}

fn expect(reply: &Reply) -> Expect {
    Expect {
        code: code(&reply.facts),
        status: Some(reply.status),
        headers: compared(reply.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))),
        body: text(&reply.body),
        handed_on: None,
    }
}

fn code(facts: &Facts) -> String {
    facts.code.metric().to_owned()
}

/// A table that fails where a test wants it to.
#[derive(Debug)]
struct FaultyTable {
    table: MemoryTable,
    faults: Faults,
}

impl FaultyTable {
    fn swap(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut MemoryTable) -> Result<Swap, StoreFault>,
    ) -> Result<Swap, StoreFault> {
        match self.faults.strike(name) {
            None | Some(Fault::Garbage(_)) => write(&mut self.table),
            Some(Fault::Error) => Err(StoreFault::Unavailable),
            Some(Fault::Conflict) => Ok(Swap::Conflict),
            Some(Fault::ErrorAfterEffect) => {
                write(&mut self.table)?;
                Err(StoreFault::Unavailable)
            }
        }
    }
}

impl Table for FaultyTable {
    type Version = u64;

    fn read(&mut self, slot: Slot<'_>, bytes: &mut Vec<u8>) -> Result<Option<u64>, StoreFault> {
        match self.faults.strike("read") {
            None | Some(Fault::Conflict) => self.table.read(slot, bytes),
            Some(Fault::Error | Fault::ErrorAfterEffect) => Err(StoreFault::Unavailable),
            Some(Fault::Garbage(garbage)) => {
                let version = self.table.read(slot, bytes)?;
                if version.is_some() {
                    *bytes = garbage;
                }
                Ok(version)
            }
        }
    }

    fn insert(&mut self, slot: Slot<'_>, bytes: &[u8]) -> Result<Swap, StoreFault> {
        self.swap("insert", |table| table.insert(slot, bytes))
    }

    fn replace(&mut self, slot: Slot<'_>, bytes: &[u8], version: u64) -> Result<Swap, StoreFault> {
        self.swap("replace", |table| table.replace(slot, bytes, version))
    }
}
