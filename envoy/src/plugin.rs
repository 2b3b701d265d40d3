//! One configuration of the filter: its policy, its store, its metrics, and the check that bodies arrive at all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use countersign_core::dedup::TableStore;
use countersign_core::gate::{Gate, Mode, Scratch};
use countersign_core::policy::Policy;
use countersign_core::time::Timestamp;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::abi::{self, Buffer, Level};
use crate::metrics::Metrics;
use crate::stream::{self, Stream};
use crate::table::SharedData;

/// How often waiting streams are looked at.
const TICK_MS: u32 = 500;
/// How long the first callback with a body may lag behind the headers, before any body has ever arrived.
const FIRST_BODY_MS: u64 = 1_000;

/// What all streams of one configuration share.
pub(crate) struct Plugin {
    pub(crate) gate: Gate,
    /// Whether any partner has to present a client certificate: otherwise the proxy need not be asked for it.
    pub(crate) certificates: bool,
    pub(crate) store: RefCell<TableStore<SharedData>>,
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) metrics: RefCell<Metrics>,
    /// Streams that wait for their body, by context. Kept only until the first body arrives.
    waiting: RefCell<BTreeMap<u32, Waiting>>,
    /// Whether a body has ever arrived: the proxy is configured rightly.
    bodies_arrive: Cell<bool>,
}

/// A stream that has its headers and waits for its body.
struct Waiting {
    since: Timestamp,
    /// What the proxy had received of the request by then; `None` where it does not tell.
    received: Option<u64>,
}

impl Plugin {
    /// Notes a stream that has its headers and waits for its body.
    pub(crate) fn waits_for_body(&self, context: u32) {
        if !self.bodies_arrive.get()
            && let Some(now) = now()
            && let Ok(mut waiting) = self.waiting.try_borrow_mut()
        {
            waiting.insert(context, Waiting { since: now, received: bytes_received() });
        }
    }

    /// Notes that a body has arrived.
    pub(crate) fn body_arrived(&self) {
        if !self.bodies_arrive.replace(true)
            && let Ok(mut waiting) = self.waiting.try_borrow_mut()
        {
            waiting.clear();
        }
    }

    /// Notes that a stream is over.
    pub(crate) fn gone(&self, context: u32) {
        if !self.bodies_arrive.get()
            && let Ok(mut waiting) = self.waiting.try_borrow_mut()
        {
            waiting.remove(&context);
        }
    }

    /// The streams whose body the proxy keeps to itself. A sender that is slow is none: the proxy has received nothing either.
    fn withheld(&self, now: Timestamp) -> Vec<u32> {
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return Vec::new() };
        let mut withheld = Vec::new();
        waiting.retain(|context, stream| {
            let overdue = now.since_ms(stream.since) >= FIRST_BODY_MS
                && abi::set_effective_context(*context).is_ok()
                && (stream.received.is_none() || stream.received != bytes_received());
            if overdue {
                withheld.push(*context);
            }
            !overdue
        });
        withheld
    }
}

/// Bytes of the current stream's request that the proxy has received, headers and body; `None` where it does not tell.
fn bytes_received() -> Option<u64> {
    let total = abi::property(b"request\0total_size").ok()?;
    Some(u64::from_le_bytes(*total.first_chunk()?))
}

/// The instant by the proxy's clock; `None` where it has none, and then nothing can be verified.
pub(crate) fn now() -> Option<Timestamp> {
    abi::now_nanoseconds().ok().map(|nanoseconds| Timestamp::from_ms(nanoseconds / 1_000_000))
}

/// The SDK's root context.
#[derive(Default)]
pub(crate) struct Root {
    plugin: Option<Rc<Plugin>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        match configured() {
            Ok(plugin) => {
                self.plugin = Some(Rc::new(plugin));
                true
            }
            Err(()) => false,
        }
    }

    fn on_tick(&mut self) {
        let (Some(plugin), Some(now)) = (&self.plugin, now()) else { return };
        for context in plugin.withheld(now) {
            if abi::set_effective_context(context).is_err() {
                continue;
            }
            abi::log(
                Level::Error,
                "countersign: no request body arrives. Set allow_on_headers_stop_iteration: true in the plugin's \
                 configuration (Envoy 1.35 or newer); see envoy/README.md. Requests are answered 503 until then.",
            );
            stream::reply_misconfigured(plugin, now);
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context, self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Compiles the plugin's configuration; what is wrong with it is in the log by then.
fn configured() -> Result<Plugin, ()> {
    let document = abi::buffer(Buffer::PluginConfiguration, usize::MAX).unwrap_or_default();
    let Ok(document) = core::str::from_utf8(&document) else {
        abi::log(Level::Error, "countersign: the configuration is not UTF-8; save it as UTF-8");
        return Err(());
    };
    let policy = Policy::compile(document, &mut secret).map_err(|errors| {
        for error in errors {
            let line =
                format!("countersign: configuration: {}: {}; {}", error.path, error.problem, error.remedy);
            abi::log(Level::Error, &line);
        }
    })?;
    if abi::set_tick_period(TICK_MS).is_err() {
        abi::log(
            Level::Warn,
            "countersign: the proxy has no ticks; a missing allow_on_headers_stop_iteration will not be noticed",
        );
    }
    let store = TableStore::new(SharedData, &policy.scope, policy.dedup.size);
    let certificates = policy.partners().any(|partner| partner.source.demands_certificate());
    Ok(Plugin {
        certificates,
        gate: Gate::new(policy, Mode::Forward),
        store: RefCell::new(store),
        scratch: RefCell::default(),
        metrics: RefCell::default(),
        waiting: RefCell::default(),
        bodies_arrive: Cell::new(false),
    })
}

/// A secret by its name: the VM's environment variable of that name, which need not be UTF-8.
fn secret(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)
}
