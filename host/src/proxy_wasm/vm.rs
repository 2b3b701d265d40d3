//! One VM: an instance of the filter's module, and what its host calls work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::{Memory, Store, StoreLimits, StoreLimitsBuilder, TypedFunc, WasmParams, WasmResults};

use super::config::{FilterConfig, FilterModule, HttpCall};
use super::log::{Level, Log};
use super::stream::Stream;
use crate::http::Headers;

/// Envoy's own bound on the memory of one VM.
const MEMORY_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The context that is the plugin itself; streams follow from 2.
pub(super) const ROOT: u32 = 1;

/// What a guest asked for in a callback, and gets once it has returned.
#[derive(Debug)]
pub(super) enum Action {
    ContinueRequest(u32),
    ContinueResponse(u32),
    Close(u32),
    LocalReply { context: u32, status: u32, headers: Headers, body: Vec<u8>, details: String },
}

/// The answer to a call-out, while the callback that reads it runs.
#[derive(Debug)]
pub(super) struct CallAnswer {
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

/// What host calls work on.
pub(super) struct State {
    pub(super) config: Arc<FilterConfig>,
    pub(super) lines: Log,
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) current: u32,
    /// 0 where `proxy_set_effective_context` was not called in this callback.
    pub(super) effective: u32,
    pub(super) actions: Vec<Action>,
    /// Whether a local reply keeps the filter chain from going on, whatever the callback returns.
    pub(super) stop_next: bool,
    /// Whether the module initialises itself, when only logging and WASI may be called.
    pub(super) starting: bool,
    /// Whether `proxy_on_configure` runs: only then can the plugin configuration be read.
    pub(super) configuring: bool,
    pub(super) tick_period_ms: u32,
    /// id → name; the two low bits of an id are the type.
    pub(super) metrics: BTreeMap<u32, String>,
    pub(super) calls: BTreeMap<u32, HttpCall>,
    pub(super) calls_made: u32,
    pub(super) call_answer: Option<CallAnswer>,
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
    random: u64,
    limits: StoreLimits,
}

impl State {
    fn new(config: Arc<FilterConfig>, lines: Log, generation: u64) -> Self {
        Self {
            random: config.seed.wrapping_add(generation.wrapping_mul(0xD1B5_4A32_D192_ED03)),
            limits: StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build(),
            config,
            lines,
            streams: BTreeMap::new(),
            current: 0,
            effective: 0,
            actions: Vec::new(),
            stop_next: false,
            starting: false,
            configuring: false,
            tick_period_ms: 0,
            metrics: BTreeMap::new(),
            calls: BTreeMap::new(),
            calls_made: 0,
            call_answer: None,
            memory: None,
            allocate: None,
        }
    }

    /// The context that host calls are for.
    pub(super) fn context(&self) -> u32 {
        if self.effective == 0 { self.current } else { self.effective }
    }

    pub(super) fn stream(&self) -> Option<&Stream> {
        self.streams.get(&self.context())
    }

    pub(super) fn stream_mut(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    pub(super) fn log(&mut self, level: Level, message: &[u8]) {
        let line = self.lines.write(level, message);
        if let Some(stream) = self.stream_mut() {
            stream.log.push(line);
        }
    }

    /// Random bytes that depend on the configured seed alone (SplitMix64).
    pub(super) fn random(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = self.random;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.extend((word ^ (word >> 31)).to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }
}

/// How a callback ended.
pub(super) enum Called<R> {
    /// The module does not export it.
    Absent,
    /// With this value, and with or without a wish to stop the filter chain.
    Returned { value: R, stop: bool },
    /// It trapped, or the VM had been dead before.
    Failed,
}

pub(super) struct Vm {
    store: Store<State>,
    instance: wasmtime::Instance,
    pub(super) failed: bool,
    next_context: u32,
}

impl Vm {
    /// Makes an instance, initialises it, and lets it read its configuration.
    ///
    /// # Errors
    ///
    /// One sentence on what failed; the log has the filter's own words.
    pub(super) fn start(
        module: &FilterModule,
        config: &Arc<FilterConfig>,
        lines: &Log,
        generation: u64,
    ) -> Result<Self, String> {
        let mut store = Store::new(module.engine(), State::new(config.clone(), lines.clone(), generation));
        store.limiter(|state| &mut state.limits);
        store.data_mut().starting = true;
        let instance = module
            .linked()
            .instantiate(&mut store)
            .map_err(|error| format!("the module did not start: {error:#}"))?;
        let mut vm = Self { store, instance, failed: false, next_context: ROOT + 1 };
        vm.find_memory()?;
        vm.initialise()?;
        vm.configure()?;
        Ok(vm)
    }

    fn find_memory(&mut self) -> Result<(), String> {
        let memory = self.instance.get_memory(&mut self.store, "memory");
        let allocate = ["malloc", "proxy_on_memory_allocate"]
            .iter()
            .find_map(|name| self.instance.get_typed_func::<u32, u32>(&mut self.store, name).ok());
        if memory.is_none() || allocate.is_none() {
            return Err(
                "the module exports no memory, or neither malloc nor proxy_on_memory_allocate".to_owned()
            );
        }
        let state = self.store.data_mut();
        (state.memory, state.allocate) = (memory, allocate);
        Ok(())
    }

    fn initialise(&mut self) -> Result<(), String> {
        let reactor = self.instance.get_func(&mut self.store, "_initialize").is_some();
        for name in if reactor { ["_initialize", "__main_void"] } else { ["_start", ""] } {
            // A main function returns its exit code, the other two nothing.
            let called = match name {
                "__main_void" => self.call::<(), u32>(0, name, ()).failed(),
                _ => self.call::<(), ()>(0, name, ()).failed(),
            };
            if called {
                return Err(format!("{name} trapped"));
            }
        }
        self.store.data_mut().starting = false;
        Ok(())
    }

    fn configure(&mut self) -> Result<(), String> {
        let config = self.store.data().config.clone();
        self.store.data_mut().configuring = true;
        self.call::<(u32, u32), ()>(ROOT, "proxy_on_context_create", (ROOT, 0));
        self.store.data_mut().configuring = false;
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let started = self.call(ROOT, "proxy_on_vm_start", (ROOT, size(&config.vm_configuration)));
        self.accepted("proxy_on_vm_start", &started)?;
        self.store.data_mut().configuring = true;
        let configured = self.call(ROOT, "proxy_on_configure", (ROOT, size(&config.plugin_configuration)));
        self.store.data_mut().configuring = false;
        self.accepted("proxy_on_configure", &configured)
    }

    fn accepted(&self, name: &str, called: &Called<u32>) -> Result<(), String> {
        match called {
            Called::Returned { value: 0, .. } => Err(format!("{name} refused the configuration")),
            Called::Absent | Called::Returned { .. } if !self.failed => Ok(()),
            Called::Absent | Called::Returned { .. } | Called::Failed => Err(format!("{name} trapped")),
        }
    }

    pub(super) fn state(&self) -> &State {
        self.store.data()
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        self.store.data_mut()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Makes a context for a stream, in the host and in the guest.
    pub(super) fn create(&mut self, stream: Stream) -> u32 {
        let context = self.next_context;
        self.next_context = self.next_context.wrapping_add(1);
        self.state_mut().streams.insert(context, stream);
        self.call::<(u32, u32), ()>(context, "proxy_on_context_create", (context, ROOT));
        context
    }

    /// Calls the export `name` for a context; a trap is logged and kills the VM.
    pub(super) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        name: &str,
        args: P,
    ) -> Called<R> {
        if self.failed {
            return Called::Failed;
        }
        let Some(function) = self.instance.get_func(&mut self.store, name) else {
            return Called::Absent;
        };
        let state = self.store.data_mut();
        (state.current, state.effective, state.stop_next) = (context, 0, false);
        let outcome = function.typed::<P, R>(&self.store).and_then(|typed| typed.call(&mut self.store, args));
        let state = self.store.data_mut();
        match outcome {
            Ok(value) => Called::Returned { value, stop: state.stop_next },
            Err(trap) => {
                state.effective = 0;
                state.log(Level::Critical, format!("Function: {name} failed: {trap:#}").as_bytes());
                // What the callback asked for is not done: the 503 of the dead VM answers instead.
                state.actions.clear();
                self.failed = true;
                Called::Failed
            }
        }
    }
}

impl<R> Called<R> {
    pub(super) fn failed(&self) -> bool {
        match self {
            Self::Failed => true,
            Self::Absent | Self::Returned { .. } => false,
        }
    }
}
