//! A worker thread of an Envoy that runs one filter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::config::{CallOutcome, FilterConfig, HttpCall, StartError};
use super::filter_manager::Direction;
use super::headers;
use super::log::{Log, LogLine};
use super::module::FilterModule;
use super::state::{CallAnswer, ROOT};
use super::stream::Stream;
use super::vm::Vm;
use crate::http::{HttpReply, HttpRequest, UpstreamAnswer};

/// A filter that runs, and the streams it sees.
pub struct FilterHost {
    module: FilterModule,
    config: Arc<FilterConfig>,
    lines: Log,
    /// The VM of new streams is the last; before it stand dead ones that streams are still open on.
    vms: BTreeMap<u64, Vm>,
    generation: u64,
    /// When the VM of new streams was started.
    started: Duration,
    opened: u64,
    traps: u64,
}

/// Names a stream of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    generation: u64,
    context: u32,
}

/// Where a stream stands.
#[derive(Clone, Debug)]
pub enum Progress {
    /// More of the request is expected, or the filter holds it back: a tick, the answer to a call-out, or
    /// [`FilterHost::time_out`] must move it.
    Held,
    /// The whole request has reached the upstream, and the upstream has not answered; or it has, and the filter holds the
    /// answer back.
    AtUpstream(HttpRequest),
    /// [`FilterHost::close`] has the result.
    Over,
}

/// What became of one stream.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What the sender got; none where the connection ended before it was whole.
    pub reply: Option<HttpReply>,
    /// What the upstream got, if only the headers and part of the body.
    pub upstream_saw: Option<HttpRequest>,
    /// Whether the upstream got the request to its end.
    pub upstream_saw_end: bool,
    /// Whether the filter trapped, or its VM was dead, in a callback that decides on the stream.
    pub trapped: bool,
    /// What was logged on behalf of this stream.
    pub log: Vec<LogLine>,
    /// What the filter set with `proxy_set_property`, by path with NUL between the parts: fields for the access log.
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Envoy's response flags, as `response.flags` shows them.
    pub response_flags: u64,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Option<String>,
    /// Whether a `content-length` does not fit its body in what the filter sent on, which breaks the connection on the wire.
    pub broken_framing: bool,
}

impl FilterHost {
    /// Starts the filter: initialises the module and lets it read its configuration.
    ///
    /// # Errors
    ///
    /// When the module traps meanwhile, or refuses its configuration.
    pub fn start(module: &FilterModule, config: FilterConfig) -> Result<Self, StartError> {
        let started = config.clock.now();
        let (config, lines) = (Arc::new(config), Log::default());
        let vm = Vm::start(module, &config, &lines, 0)
            .map_err(|reason| StartError { reason, log: lines.read() })?;
        Ok(Self {
            module: module.clone(),
            config,
            lines,
            vms: BTreeMap::from([(0, vm)]),
            generation: 0,
            started,
            opened: 0,
            traps: 0,
        })
    }

    /// Plays one stream to its end. `upstream` is asked once the whole request has reached it; a request that the filter holds
    /// back for good ends as Envoy's stream idle timeout ends it, without ticks in between: use [`FilterHost::open`] for those.
    pub fn exchange(
        &mut self,
        request: &HttpRequest,
        upstream: &mut dyn FnMut(&HttpRequest) -> UpstreamAnswer,
    ) -> Exchange {
        let stream = self.open(request);
        if let Progress::AtUpstream(seen) = self.progress(stream) {
            self.upstream_answers(stream, upstream(&seen));
        }
        self.time_out(stream);
        self.close(stream).unwrap_or_else(Exchange::lost)
    }

    /// Opens a stream and delivers the whole request.
    pub fn open(&mut self, request: &HttpRequest) -> StreamId {
        let stream = self.open_headers(request);
        let last = request.body.len().saturating_sub(1);
        for (number, chunk) in request.body.iter().enumerate() {
            self.deliver(stream, chunk, number == last);
        }
        stream
    }

    /// Opens a stream and delivers the headers alone; they end the request where `request.body` has no chunks.
    pub fn open_headers(&mut self, request: &HttpRequest) -> StreamId {
        self.reload();
        self.opened += 1;
        let arrived = Stream::new(request, self.opened, &self.config);
        let generation = self.generation;
        let mut context = 0;
        self.on_vm(generation, |vm| {
            context = vm.create(arrived);
            vm.on_headers(context, Direction::Request, request.body.is_empty());
        });
        StreamId { generation, context }
    }

    /// Delivers a part of the body, and with `last` its end.
    pub fn deliver(&mut self, stream: StreamId, chunk: &[u8], last: bool) {
        self.on_vm(stream.generation, |vm| vm.on_wire(stream.context, Direction::Request, chunk, last));
    }

    /// Where the stream stands.
    #[must_use]
    pub fn progress(&self, stream: StreamId) -> Progress {
        let streams = self.vms.get(&stream.generation).map(|vm| &vm.state().streams);
        match streams.and_then(|streams| streams.get(&stream.context)) {
            Some(stream) if !stream.over => match stream.upstream_saw() {
                Some(seen) if stream.request.passed.end => Progress::AtUpstream(seen),
                _ => Progress::Held,
            },
            _ => Progress::Over,
        }
    }

    /// The upstream answers, or fails to; ignored where it got no request or has answered before.
    pub fn upstream_answers(&mut self, stream: StreamId, answer: UpstreamAnswer) {
        self.on_vm(stream.generation, |vm| vm.answer(stream.context, answer));
    }

    /// The sender hangs up.
    pub fn hang_up(&mut self, stream: StreamId) {
        self.on_vm(stream.generation, |vm| vm.hang_up(stream.context));
    }

    /// The stream idle timeout fires.
    pub fn time_out(&mut self, stream: StreamId) {
        self.on_vm(stream.generation, |vm| vm.time_out(stream.context));
    }

    /// The result of a stream that is over; none while it is not, or after it was taken.
    pub fn close(&mut self, stream: StreamId) -> Option<Exchange> {
        let vm = self.vms.get_mut(&stream.generation)?;
        vm.stream(stream.context).filter(|stream| stream.over)?;
        let ended = vm.state_mut().streams.remove(&stream.context)?;
        let live = self.generation;
        self.vms.retain(|generation, vm| *generation == live || !vm.state().streams.is_empty());
        Some(Exchange::of(ended))
    }

    /// The period the filter asked for, in milliseconds; 0 where it wants no ticks.
    #[must_use]
    pub fn tick_period_ms(&self) -> u32 {
        self.vms.get(&self.generation).map_or(0, |vm| vm.state().tick_period_ms)
    }

    /// Fires the timer once, whatever the clock says; whether the filter had asked for it and lives.
    pub fn tick(&mut self) -> bool {
        let mut fired = false;
        self.on_vm(self.generation, |vm| {
            if vm.state().tick_period_ms > 0 && !vm.failed {
                fired = !vm.call::<u32, ()>(ROOT, "proxy_on_tick", ROOT).failed();
                vm.act();
            }
        });
        fired
    }

    /// The call-outs that wait for an answer.
    #[must_use]
    pub fn calls(&self) -> Vec<HttpCall> {
        self.vms
            .get(&self.generation)
            .map(|vm| vm.state().calls.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Ends a call-out; ignored where none of that token waits.
    pub fn answer_call(&mut self, token: u32, outcome: CallOutcome) {
        self.on_vm(self.generation, |vm| {
            if vm.state_mut().calls.remove(&token).is_none() {
                return;
            }
            let (headers, body) = match outcome {
                CallOutcome::Reset => (Vec::new(), Vec::new()),
                CallOutcome::Reply(reply) => {
                    let mut map = vec![(b":status".to_vec(), reply.status.to_string().into_bytes())];
                    reply.headers.iter().for_each(|(name, value)| headers::add(&mut map, name, value));
                    (map, reply.body)
                }
            };
            let size = |count| u32::try_from(count).unwrap_or(u32::MAX);
            let arguments = (ROOT, token, size(headers.len()), size(body.len()), 0);
            vm.state_mut().call_answer = (!headers.is_empty()).then_some(CallAnswer { headers, body });
            vm.call::<_, ()>(ROOT, "proxy_on_http_call_response", arguments);
            vm.state_mut().call_answer = None;
            vm.act();
        });
    }

    /// How often a VM died.
    #[must_use]
    pub fn traps(&self) -> u64 {
        self.traps
    }

    /// All log lines since the start, of dead VMs too.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.lines.read()
    }

    /// The linear memory of the VM of new streams, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.vms.get(&self.generation).map_or(0, Vm::memory_bytes)
    }

    /// The configuration it runs with: shared data, metrics, clock and faults are live.
    #[must_use]
    pub fn config(&self) -> &FilterConfig {
        &self.config
    }

    /// Makes a new VM where the last one died (`FAIL_RELOAD`); one that does not start leaves the dead one, and 503s.
    fn reload(&mut self) {
        let dead = self.vms.get(&self.generation).is_none_or(|vm| vm.failed);
        let now = self.config.clock.now();
        let rested = now.saturating_sub(self.started) >= Duration::from_millis(self.config.reload_backoff_ms);
        if dead
            && rested
            && let Ok(vm) = Vm::start(&self.module, &self.config, &self.lines, self.generation + 1)
        {
            let old = self.generation;
            self.started = now;
            self.generation += 1;
            self.vms.insert(self.generation, vm);
            self.vms.retain(|generation, vm| *generation != old || !vm.state().streams.is_empty());
        }
    }

    fn on_vm(&mut self, generation: u64, work: impl FnOnce(&mut Vm)) {
        if let Some(vm) = self.vms.get_mut(&generation) {
            let lived = !vm.failed;
            work(vm);
            self.traps += u64::from(lived && vm.failed);
        }
    }
}

impl Exchange {
    fn of(stream: Stream) -> Self {
        let (reply, upstream_saw) = (stream.reply(), stream.upstream_saw());
        let misfit = |headers: &_, size: usize| {
            let declared = headers::first(headers, b"content-length")
                .map(|digits| digits != size.to_string().as_bytes());
            declared.unwrap_or(false)
        };
        let bodiless = stream.is_head() || matches!(stream.response_code, Some(204 | 304));
        let broken_reply =
            reply.as_ref().is_some_and(|reply| !bodiless && misfit(&reply.headers, reply.body.len()));
        let upstream_saw_end = stream.request.passed.end;
        let broken_request = upstream_saw.as_ref().is_some_and(|request| {
            upstream_saw_end && misfit(&request.headers, stream.request.passed.body.len())
        });
        Self {
            reply,
            upstream_saw,
            upstream_saw_end,
            trapped: stream.trapped,
            log: stream.log,
            properties: stream.properties,
            response_flags: stream.flags,
            details: stream.details,
            broken_framing: broken_reply || broken_request,
        }
    }

    /// A stream that its host no longer knows.
    fn lost() -> Self {
        Self {
            reply: None,
            upstream_saw: None,
            upstream_saw_end: false,
            trapped: false,
            log: Vec::new(),
            properties: BTreeMap::new(),
            response_flags: 0,
            details: None,
            broken_framing: false,
        }
    }
}
