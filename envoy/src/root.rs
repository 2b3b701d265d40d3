//! The root context: it is configured once, and looks at waiting streams twice a second.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use countersign_core::time::Timestamp;

use crate::abi::{self, Level};
use crate::answer;
use crate::metrics::Event;
use crate::plugin::{Plugin, now};
use crate::stream::Stream;

/// How often waiting streams are looked at.
const TICK_MS: u32 = 500;
/// Slots that one tick looks at to tell how full the table is.
const FILL_SAMPLE: u32 = 64;

/// The SDK's root context.
#[derive(Default)]
pub(crate) struct Root {
    plugin: Option<Rc<Plugin>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        self.plugin = Plugin::configured().map(Rc::new);
        if self.plugin.is_some() && abi::set_tick_period(TICK_MS).is_err() {
            abi::log(
                Level::Warn,
                "countersign: the proxy has no ticks; a missing allow_on_headers_stop_iteration will not be noticed",
            );
        }
        self.plugin.is_some()
    }

    fn on_tick(&mut self) {
        let (Some(plugin), Some(now)) = (&self.plugin, now()) else { return };
        answer_withheld(plugin, now);
        answer_beyond_lease(plugin, now);
        if let Ok(metrics) = plugin.metrics.try_borrow() {
            for partner in plugin.waiting.ended_leases(now) {
                metrics.count(partner.as_deref(), Event::LeaseExpiries);
            }
        }
        measure_fill(plugin);
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context, self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Answers the streams whose body the proxy keeps to itself.
fn answer_withheld(plugin: &Plugin, now: Timestamp) {
    for context in plugin.waiting.withheld(now) {
        if abi::set_effective_context(context).is_err() {
            continue;
        }
        abi::log(
            Level::Error,
            "countersign: no request body arrives. Set allow_on_headers_stop_iteration: true in the plugin's \
             configuration (Envoy 1.35 or newer); see envoy/README.md. Requests are answered 503 until then. An Envoy \
             before 1.37 takes the field up only when it is restarted: a reload is not enough.",
        );
        answer::misconfigured(plugin, now);
    }
}

/// Ends the streams that still wait for the upstream though their lease has ended: the stream itself settles, as after a time-out.
fn answer_beyond_lease(plugin: &Plugin, now: Timestamp) {
    for context in plugin.waiting.beyond_lease(now) {
        // The body is never seen: the stream's own answer takes its place.
        if abi::set_effective_context(context).is_ok() {
            let _ended_already = abi::send_local_response(504, &[], b"the lease has ended");
        }
    }
}

/// Looks at some slots of the table, and takes them for all.
fn measure_fill(plugin: &Plugin) {
    let from = plugin.fill_from.replace(plugin.fill_from.get().wrapping_add(FILL_SAMPLE));
    let percent =
        plugin.store.try_borrow_mut().ok().and_then(|mut store| store.fill_percent(from, FILL_SAMPLE).ok());
    if let (Some(percent), Ok(metrics)) = (percent, plugin.metrics.try_borrow()) {
        metrics.filled(u64::from(percent));
    }
}
