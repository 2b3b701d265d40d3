//! The store contract over a compare-and-swap table: each clause with its attack, a model, rivals, garbage, and bounds.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that overflows, indexes beyond the end or unwraps nothing fails, as it should"
)]

mod bounds;
#[path = "../claims/mod.rs"]
mod claims;
mod contract;
mod garbage;
mod grow;
mod hooked;
mod limits;
mod model;
mod race;
mod script;
