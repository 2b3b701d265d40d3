//! The bare component, as `cargo xtask build` makes it, against a small store in memory.

mod garbage;
mod gate;
mod memory;
mod purity;
