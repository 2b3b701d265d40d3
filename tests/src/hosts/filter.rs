//! `countersign_envoy.wasm` under wasmtime, in the proxy-wasm host.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, anyhow, bail, ensure};
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use countersign_host::http::{HttpReply, HttpRequest, UpstreamAnswer};
use countersign_host::proxy_wasm::{FilterConfig, FilterHost, FilterModule, Progress, StreamId};

use super::{Host, compared, handed_on, upstream_reply};
use crate::vector::{Expect, Group, Step, Upstream, Vector, text};
use crate::wire::Wire;

/// The filter under wasmtime.
#[derive(Debug)]
pub struct Filter {
    module: Module,
    faults: Faults,
    log: Vec<String>,
    traps: u64,
}

#[derive(Clone)]
struct Module(FilterModule);

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("countersign_envoy.wasm")
    }
}

/// A wasm file of the product: in the folder `COUNTERSIGN_WASM`, else in `target/wasm`.
///
/// # Errors
/// Where the file is not there, with the remedy.
pub fn artefact(name: &str) -> anyhow::Result<Vec<u8>> {
    let folder = std::env::var_os("COUNTERSIGN_WASM")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/wasm"), PathBuf::from);
    let path = folder.join(name);
    std::fs::read(&path).with_context(|| {
        format!("{} cannot be read: run `cargo xtask build`, or set COUNTERSIGN_WASM to the folder of the wasm files", path.display())
    })
}

/// Compiled once per process: the compiler takes longer than all vectors.
fn module() -> anyhow::Result<Module> {
    static MODULE: OnceLock<Result<Module, String>> = OnceLock::new();
    MODULE
        .get_or_init(|| {
            let wasm = artefact("countersign_envoy.wasm").map_err(|error| format!("{error:#}"))?;
            FilterModule::load(&wasm).map(Module).map_err(|error| format!("{error:#}"))
        })
        .clone()
        .map_err(|error| anyhow!(error))
}

impl Filter {
    /// The filter, in a proxy that fails as `faults` plans, by the full names of the `proxy_*` calls.
    ///
    /// # Errors
    /// Where there is no wasm file, or it is no filter.
    pub fn new(faults: Faults) -> anyhow::Result<Self> {
        Ok(Self { module: module()?, faults, log: Vec::new(), traps: 0 })
    }

    fn start(&self, group: &Group, clock: &Clock) -> anyhow::Result<FilterHost> {
        let mut vm_environment = group.secrets.clone();
        vm_environment.insert("COUNTERSIGN_SANDBOX".to_owned(), "1".to_owned());
        let config = FilterConfig {
            plugin_configuration: group.configuration()?.into_bytes(),
            vm_environment,
            allow_on_headers_stop_iteration: true,
            forward_client_certificate_header: true,
            clock: clock.clone(),
            faults: self.faults.clone(),
            ..FilterConfig::default()
        };
        FilterHost::start(&self.module.0, config)
            .map_err(|error| anyhow!("the filter did not start: {error}"))
    }
}

impl Host for Filter {
    fn play(&mut self, group: &Group, vector: &Vector) -> anyhow::Result<Vec<Expect>> {
        let clock = Clock::fixed(vector.steps.first().map_or(0, |step| step.at_ms));
        let mut host = self.start(group, &clock)?;
        let mut pending = Vec::new();
        let played = vector.steps.iter().map(|step| {
            clock.set_ms(step.at_ms);
            self::step(&mut host, step, &mut pending)
        });
        let played = played.collect();
        self.log.extend(host.log().into_iter().map(|line| line.message));
        self.traps += host.traps();
        if self.traps > 0 {
            bail!("the VM died: {}", self.log.join("\n"));
        }
        played
    }

    fn log(&self) -> Vec<String> {
        self.log.clone()
    }
}

fn step(host: &mut FilterHost, step: &Step, pending: &mut Vec<StreamId>) -> anyhow::Result<Expect> {
    let wire = Wire::of(&step.request)?;
    let sent = wire.body();
    let request = HttpRequest {
        method: wire.method,
        path: wire.path,
        authority: b"tracker.test".to_vec(),
        headers: wire.headers,
        body: wire.chunks,
        peer: SocketAddr::new(wire.peer, 40_000),
        certificate: None,
    };
    let stream = host.open(&request);
    let mut handed = None;
    if let Progress::AtUpstream(seen) = host.progress(stream) {
        ensure!(seen.body.concat() == sent, "the upstream was handed another body than the sender sent");
        handed = Some(handed_on(pairs(&seen.headers)));
        if step.upstream == Upstream::Pending {
            pending.push(stream);
            return Ok(Expect { handed_on: handed, ..Expect::default() });
        }
        host.upstream_answers(stream, answer(&step.upstream));
    }
    host.time_out(stream);
    let exchange = host.close(stream).context("the stream is not over")?;
    let reply = match exchange.reply {
        Some(reply) if !exchange.broken_framing => reply,
        Some(_) => return Ok(broken("(a content-length does not fit its body)", handed)),
        None => return Ok(broken("(no answer)", handed)),
    };
    Ok(Expect {
        code: String::new(),
        status: Some(reply.status),
        headers: compared(pairs(&reply.headers)),
        body: text(&reply.body),
        handed_on: handed,
    })
}

/// What a sender sees that gets no whole answer.
fn broken(what: &str, handed_on: Option<Vec<(String, String)>>) -> Expect {
    Expect { body: what.to_owned(), handed_on, ..Expect::default() }
}

fn answer(upstream: &Upstream) -> UpstreamAnswer {
    match upstream_reply(upstream) {
        Some((status, headers, body)) => UpstreamAnswer::Reply(HttpReply {
            status,
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
                .collect(),
            body: body.into_bytes(),
        }),
        None if *upstream == Upstream::Reset => UpstreamAnswer::Reset,
        None => UpstreamAnswer::Timeout,
    }
}

fn pairs(headers: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
}
