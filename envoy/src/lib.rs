//! The gate as a proxy-wasm filter: holds a request's headers until its body is verified, claims the event in the proxy's shared
//! data, hands it on, and answers truthfully.
//!
//! | file | what it does |
//! |---|---|
//! | `abi` | the only calls to the proxy |
//! | `root` | the root context: configuration, and what happens twice a second |
//! | `plugin` | one configuration: policy, store, metrics |
//! | `stream` | one request: its callbacks |
//! | `phase` | where a request stands |
//! | `peer` | who sent it |
//! | `fields` | header fields that do not pass |
//! | `delivery` | how a hand-on went |
//! | `answer` | answers to the sender, the metrics and the log; the health route |
//! | `waiting` | streams that wait for a body or for the upstream |
//! | `table` | the store's slots in shared data |
//! | `metrics` | counters, gauges and histograms by partner |

// The purity test holds the artefact to the ABI's imports; nothing here runs on any other target.
#![cfg(target_arch = "wasm32")]

mod abi;
mod answer;
mod delivery;
mod fields;
mod metrics;
mod peer;
mod phase;
mod plugin;
mod root;
mod stream;
mod table;
mod waiting;

mod entry {
    use proxy_wasm::traits::RootContext;

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_context| -> Box<dyn RootContext> { Box::<crate::root::Root>::default() });
    }}
}
