//! wasmtime hosts that run Countersign's own wasm files, unchanged: the filter behind the proxy-wasm ABI, the Spin
//! application of `spin.toml`, and the bare component.
//!
//! Each host behaves as the real one does, quirks included (`docs/hosts.md` has the table of what was measured), takes its
//! clock and its random bytes from the caller, and lets the caller inject a fault at every host call.

pub mod clock;
pub mod embed;
pub mod engine;
pub mod fault;
pub mod http;
pub mod proxy_wasm;
pub mod spin;
