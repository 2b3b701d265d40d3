//! One VM: an instance of the filter's module.

use std::sync::Arc;

use wasmtime::{Store, WasmParams, WasmResults};

use super::config::FilterConfig;
use super::log::{Level, Log};
use super::module::FilterModule;
use super::state::{ROOT, State};
use super::stream::Stream;

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
