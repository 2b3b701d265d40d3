//! The gate as a proxy-wasm filter: holds a request's headers until its body is verified, claims the event in the proxy's shared
//! data, hands it on, and answers truthfully.
//!
//! | file | what it does |
//! |---|---|
//! | `abi` | the only calls to the proxy |
//! | `plugin` | one configuration: policy, store, metrics; the check that bodies arrive at all |
//! | `stream` | one request: `enum Phase` |
//! | `table` | the store's slots in shared data |
//! | `metrics` | counters by partner and answer |

// The purity test holds the artefact to the ABI's imports; nothing here runs on any other target.
#![cfg(target_arch = "wasm32")]

mod abi;
mod metrics;
mod plugin;
mod stream;
mod table;

mod entry {
    use proxy_wasm::traits::RootContext;

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_context| -> Box<dyn RootContext> { Box::<crate::plugin::Root>::default() });
    }}
}
