//! One configuration of the filter: its policy, its store, its metrics.

use std::cell::{Cell, RefCell};

use countersign_core::dedup::TableStore;
use countersign_core::gate::{Gate, Mode, Scratch};
use countersign_core::policy::{Environment, Policy};
use countersign_core::time::Timestamp;

use crate::abi::{self, Buffer, Level};
use crate::metrics::Metrics;
use crate::table::SharedData;
use crate::waiting::Waiting;

/// The variable of the VM's environment without which no sandbox starts.
const SANDBOX: &str = "COUNTERSIGN_SANDBOX";

/// What all streams of one configuration share.
pub(crate) struct Plugin {
    pub(crate) gate: Gate,
    /// Whether any partner has to present a client certificate: otherwise the proxy need not be asked for it.
    pub(crate) certificates: bool,
    pub(crate) store: RefCell<TableStore<SharedData>>,
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) metrics: RefCell<Metrics>,
    pub(crate) waiting: Waiting,
    /// The slot from which the next sample of the table's fill is taken.
    pub(crate) fill_from: Cell<u32>,
}

/// The instant by the proxy's clock; `None` where it has none, and then nothing can be verified.
pub(crate) fn now() -> Option<Timestamp> {
    abi::now_nanoseconds().ok().map(|nanoseconds| Timestamp::from_ms(nanoseconds / 1_000_000))
}

impl Plugin {
    /// Compiles the plugin's configuration. `None`: it is wrong, and the log says what.
    pub(crate) fn configured() -> Option<Self> {
        let document = abi::buffer(Buffer::PluginConfiguration, usize::MAX).unwrap_or_default();
        let Ok(document) = core::str::from_utf8(&document) else {
            abi::log(Level::Error, "countersign: the configuration is not UTF-8; save it as UTF-8");
            return None;
        };
        let policy = Policy::compile(document, &mut secret).map_err(|errors| {
            for error in errors {
                let line = format!(
                    "countersign: configuration: {}: {}; {}",
                    error.path, error.problem, error.remedy
                );
                abi::log(Level::Error, &line);
            }
        });
        let policy = policy.ok().filter(may_start)?;
        let certificates = policy.partners().any(|partner| partner.source.demands_certificate());
        let metrics = Metrics::define(&policy);
        let mut store = TableStore::new(SharedData, &policy.scope, policy.dedup.size);
        // Where it fails now, the first claim tries again.
        let _later = now().is_some_and(|now| store.begin(now).is_ok());
        Some(Self {
            certificates,
            gate: Gate::new(policy, Mode::Forward),
            store: RefCell::new(store),
            scratch: RefCell::default(),
            metrics: RefCell::new(metrics),
            waiting: Waiting::default(),
            fill_from: Cell::new(0),
        })
    }
}

/// Whether this environment may start here. The shipped configuration is the sandbox: applied as it is, it must not take postbacks
/// that anybody can sign.
fn may_start(policy: &Policy) -> bool {
    let allowed = match policy.environment {
        Environment::Production => true,
        Environment::Sandbox => std::env::var_os(SANDBOX).is_some_and(|value| value == "1"),
    };
    if !allowed {
        abi::log(
            Level::Error,
            "countersign: the document is a sandbox, whose keys everybody knows, and it does not start by itself. For production \
             write a document of your own (\"environment\": \"production\"; examples/production.json). To try the sandbox, set \
             COUNTERSIGN_SANDBOX=1 in the proxy's environment.",
        );
    }
    allowed
}

/// A secret by its name: the VM's environment variable of that name, which need not be UTF-8.
fn secret(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)
}
