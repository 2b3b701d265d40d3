//! The SQLite inbox behind HTTP, one operation per request, so that the store contract runs on the very wasm path: in
//! [`wire`] what is said, in `component` who answers.

// A component's exports have names that no native linker takes; natively there is only the wire.
#[cfg(target_arch = "wasm32")]
mod component;
pub mod wire;
