//! The bare component (`wit/gate.wit`) on wasmtime: a request goes in, and whatever has to be remembered comes back to a store
//! that the caller brings.
//!
//! ```text
//! EmbedModule::load ─▶ EmbedHost::start ─▶ decide ─▶ Answer(reply)
//!                                             └────▶ Forward(claimed) ─ the caller hands on ─▶ settle ─▶ reply
//! ```

mod component;
mod host;
mod request;
mod store;

pub use self::component::{EmbedModule, StartError};
pub use self::host::{Claimed, EmbedConfig, EmbedHost, Outcome, Reply};
pub use self::store::EmbedStore;

pub use self::bindings::countersign::gate::store as records;
pub use self::bindings::exports::countersign::gate::gate::{ConfigError, Delivery, Facts, UpstreamAnswer};

/// What `wit/gate.wit` generates.
mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "countersign:gate/countersign" });
}
