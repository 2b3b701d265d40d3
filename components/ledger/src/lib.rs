//! What an accepted event is worth, and what may be kept of it (source §7 to §10).
//!
//! Every function here is arithmetic: what it needs is an argument, the instant and the random bits included. Nothing does
//! I/O, reads a clock or panics.
#![no_std]

extern crate alloc;

pub mod client;
pub mod cost;
pub mod csv;
pub mod ecb;
pub mod fx;
pub mod retry;
