//! The proxy-wasm ABI 0.2 as Envoy 1.40 offers it, on wasmtime: enough to run a real HTTP filter without Envoy, with a clock,
//! random bytes and failures that the caller controls.
//!
//! [`FilterModule`] is the compiled filter, [`FilterHost`] one worker thread that runs it, [`SharedData`] and [`Metrics`] what
//! the worker threads of one process share. Not played: trailers, metadata, shared queues, gRPC, TCP filters, and the headers
//! that Envoy adds around the filter (`date`, `server`, `x-envoy-*`; `x-request-id` and `x-forwarded-proto` are there).

mod abi;
mod calls;
mod config;
mod filter_manager;
mod headers;
mod host;
mod log;
mod metrics;
mod module;
mod pairs;
mod property;
mod shared_data;
mod state;
mod status;
mod stream;
mod vm;
mod wasi;

pub use config::{CallOutcome, FilterConfig, HttpCall, Protocol, StartError};
pub use host::{Exchange, FilterHost, Progress, StreamId};
pub use log::{Level, LogLine};
pub use metrics::{Metric, Metrics};
pub use module::{FilterModule, imports};
pub use shared_data::SharedData;
