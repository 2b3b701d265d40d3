//! The vectors are the specification: scripts of requests with a clock, and the exact answers. This crate plays them on every
//! host, through one trait, and the hosts may differ in nothing.

pub mod hosts;
pub mod spin_gate;
pub mod vector;
