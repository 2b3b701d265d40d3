//! The vectors are the specification: scripts of requests with a clock, and the exact answers. This crate writes them ([`authoring`]),
//! reads them ([`vector`]), and plays them on every host through one trait ([`hosts`]), and the hosts may differ in nothing.

pub mod authoring;
pub mod compare;
pub mod envoy;
pub mod exceptions;
pub mod hosts;
pub mod matrix;
pub mod random;
pub mod scripts;
pub mod small_disk;
pub mod spin_app;
pub mod spin_gate;
pub mod vector;
pub mod wire;
