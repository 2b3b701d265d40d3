//! The real Envoy process with the configuration that is shipped. Each vector of a group has a listener and a `vm_id` of its own,
//! and so an empty store; the clock is the process's, set before each step.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Host, compared, handed_on, upstream_reply};
use crate::envoy::canary::Reply;
use crate::envoy::{Behaviour, Bootstrap, Canary, Client, EnvoyProcess, ListenerSpec};
use crate::vector::{Expect, Group, Step, Upstream, Vector, text};
use crate::wire::Wire;

/// How long the upstream may take where a vector waits for the proxy's time-out. That time is real.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest that a request may take to reach the upstream.
const PATIENCE: Duration = Duration::from_secs(30);

/// The real Envoy.
#[derive(Debug, Default)]
pub struct Envoy {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    process: EnvoyProcess,
    canary: Canary,
    /// Vector id → index of its listener.
    listeners: BTreeMap<String, usize>,
}

impl Running {
    fn start(group: &Group) -> Result<Self> {
        let canary = Canary::start()?;
        let mut bootstrap = Bootstrap::new(canary.address());
        let first = group.vectors.iter().flat_map(|vector| &vector.steps).next();
        bootstrap.clock_ms = Some(first.map_or(0, |step| step.at_ms));
        bootstrap.listeners.clear();
        let mut listeners = BTreeMap::new();
        for (index, vector) in group.vectors.iter().enumerate() {
            let waits = vector.steps.iter().any(|step| step.upstream == Upstream::Timeout);
            bootstrap.listeners.push(ListenerSpec {
                vm_id: vector.id.clone(),
                configuration: Some(group.configuration()?),
                environment: group.secrets.clone(),
                upstream_timeout: waits.then_some(UPSTREAM_TIMEOUT),
                ..ListenerSpec::default()
            });
            listeners.insert(vector.id.clone(), index);
        }
        Ok(Self { process: EnvoyProcess::start(bootstrap)?, canary, listeners })
    }

    fn step(&self, listener: usize, step: &Step, pending: &mut Vec<Client>) -> Result<Expect> {
        self.process.set_clock_ms(step.at_ms)?;
        self.canary.instead(behaviour(&step.upstream));
        let wire = Wire::of(&step.request)?;
        let mut client = Client::connect(self.process.address(listener), Some(wire.peer))?;
        // A body that is too large is answered before all of it is sent.
        let sent = client.send(&request(&wire));
        if step.upstream == Upstream::Pending && self.reaches_the_upstream(&client)? {
            pending.push(client);
            return Ok(Expect { handed_on: self.handed_on(&wire)?, ..Expect::default() });
        }
        let response = client.response().with_context(|| format!("no answer (sending: {sent:?})"))?;
        Ok(Expect {
            code: String::new(),
            status: Some(response.status),
            headers: compared(pairs(&response.headers)),
            body: text(&response.body),
            handed_on: self.handed_on(&wire)?,
        })
    }

    /// Waits until a request has reached the upstream, or was answered without it.
    fn reaches_the_upstream(&self, client: &Client) -> Result<bool> {
        let started = Instant::now();
        client.stream().set_nonblocking(true)?;
        let reached = loop {
            if self.canary.has_seen() {
                break true;
            }
            if client.stream().peek(&mut [0]).is_ok() {
                break false;
            }
            ensure!(started.elapsed() < PATIENCE, "a request neither reached the upstream nor was answered");
            sleep(Duration::from_millis(2));
        };
        client.stream().set_nonblocking(false)?;
        Ok(reached)
    }

    fn handed_on(&self, wire: &Wire) -> Result<Option<Vec<(String, String)>>> {
        let seen = self.canary.take();
        ensure!(seen.len() <= 1, "the upstream was handed one request {} times", seen.len());
        let Some(seen) = seen.first() else { return Ok(None) };
        ensure!(seen.body == wire.body(), "the upstream was handed another body than the sender sent");
        Ok(Some(handed_on(pairs(&seen.headers))))
    }
}

impl Host for Envoy {
    fn play(&mut self, group: &Group, vector: &Vector) -> Result<Vec<Expect>> {
        let running = match self.running.take().filter(|running| running.listeners.contains_key(&vector.id)) {
            Some(running) => running,
            None => Running::start(group)?,
        };
        let running = self.running.insert(running);
        let listener = *running.listeners.get(&vector.id).context("the vector is not of this group")?;
        let mut pending = Vec::new();
        vector.steps.iter().map(|step| running.step(listener, step, &mut pending)).collect()
    }

    fn log(&self) -> Vec<String> {
        let log = self.running.as_ref().and_then(|running| running.process.log().ok());
        log.iter().flat_map(|log| log.lines()).map(str::to_owned).collect()
    }
}

fn behaviour(upstream: &Upstream) -> Behaviour {
    match (upstream_reply(upstream), upstream) {
        (Some((status, mut headers, body)), _) => {
            headers.retain(|(name, _)| name != "content-length");
            Behaviour::Reply(Reply { status, headers, body: body.into_bytes() })
        }
        (None, Upstream::Reset) => Behaviour::Reset,
        (None, _) => Behaviour::Silent,
    }
}

/// The request as bytes; its chunks, where it has several, without a declared length.
fn request(wire: &Wire) -> Vec<u8> {
    let mut bytes = [&wire.method, &b" "[..], &wire.path, b" HTTP/1.1\r\nhost: tracker.test\r\n"].concat();
    for (name, value) in &wire.headers {
        bytes.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
    }
    let declared = wire.headers.iter().any(|(name, _)| name == b"content-length");
    if declared || wire.chunks.is_empty() {
        bytes.extend_from_slice(b"\r\n");
        bytes.extend(wire.body());
        return bytes;
    }
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    for chunk in &wire.chunks {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn pairs(headers: &[(String, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()))
}
