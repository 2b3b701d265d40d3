//! The contract of the proxy-wasm host: what Envoy 1.40 was measured to do, or its source says, with guests of a few lines.

mod guest;
mod start;
mod store;
mod streams;
