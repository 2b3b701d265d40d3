//! Every decision that Countersign makes about a postback.
//!
//! A host builds a [`gate::Request`], calls [`gate::Gate::begin`], and answers the waits that come back; [`drive`] has the
//! two loops that do so. The core does no I/O, reads no clock, no environment and no random source, and does not panic.
#![no_std]

extern crate alloc;

pub mod attestation;
pub mod canonical;
pub mod click;
mod currency;
pub mod dedup;
pub mod document;
pub mod drive;
pub mod event;
pub mod gate;
pub mod headers;
pub mod identifier;
pub mod json;
pub mod keys;
pub mod label;
mod mac;
pub mod money;
pub mod names;
pub mod outcome;
pub mod policy;
pub mod rate;
pub mod receipt;
pub mod signature;
pub mod source;
pub mod store;
pub mod text;
pub mod time;
pub mod token;
mod validity;
