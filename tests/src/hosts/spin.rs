//! `gate.wasm` under wasmtime, on the Spin host.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use countersign_host::fault::Faults;
use countersign_host::http::HttpRequest;

use super::{Host, compared};
use crate::spin_gate::SpinGate;
use crate::vector::{Expect, Group, Step, Vector, text};
use crate::wire::Wire;

/// The gate component, in an application for each configuration: loading one takes longer than a vector. Every vector meets an
/// empty database.
pub struct Spin {
    faults: Faults,
    gates: BTreeMap<String, SpinGate>,
}

impl fmt::Debug for Spin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spin").field("configurations", &self.gates.keys()).finish_non_exhaustive()
    }
}

impl Spin {
    /// The component on a host that fails as `faults` plans, by the names of Spin's interfaces.
    #[must_use]
    pub const fn new(faults: Faults) -> Self {
        Self { faults, gates: BTreeMap::new() }
    }
}

impl Host for Spin {
    fn play(&mut self, group: &Group, vector: &Vector) -> anyhow::Result<Vec<Expect>> {
        if !self.gates.contains_key(&group.config) {
            let gate = SpinGate::new(&group.configuration()?, &group.secrets, self.faults.clone())?;
            self.gates.insert(group.config.clone(), gate);
        }
        let gate = self.gates.get(&group.config).context("the gate was just made")?;
        gate.empty()?;
        let played = vector.steps.iter().map(|step| self::step(gate, step)).collect();
        let failures = gate.failures();
        ensure!(failures.is_empty(), "an instance failed: {}", failures.join("\n"));
        played
    }

    fn log(&self) -> Vec<String> {
        self.gates.values().flat_map(|gate| gate.log()).map(|line| line.text).collect()
    }
}

fn step(gate: &SpinGate, step: &Step) -> anyhow::Result<Expect> {
    let wire = Wire::of(&step.request)?;
    let request = HttpRequest {
        method: wire.method,
        path: wire.path,
        authority: b"tracker.test".to_vec(),
        headers: wire.headers,
        body: wire.chunks,
        peer: SocketAddr::new(wire.peer, 40_000),
        certificate: None,
    };
    let reply = gate.send(step.at_ms, request)?;
    Ok(Expect {
        code: String::new(),
        status: Some(reply.status),
        headers: compared(reply.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))),
        body: text(&reply.body),
        handed_on: None,
    })
}
