//! How events become money (source §3, §7 to §10): rules that decide, and the SQL that keeps what was decided.
//!
//! Nothing here does I/O, reads a clock or draws a random number: what a rule needs is an argument. A rule takes an event
//! with what is known around it and answers with what to post, what to wait for, or why it cannot be posted; a component
//! carries that out.
#![no_std]

extern crate alloc;

pub mod attribution;
pub mod book;
pub mod click;
pub mod client;
pub mod cost;
pub mod csv;
pub mod decision;
pub mod document;
pub mod ecb;
pub mod fx;
pub mod minimise;
mod names;
pub mod payload;
pub mod poster;
pub mod posting;
pub mod posting_row;
pub mod probable;
pub mod redecide;
pub mod retry;
pub mod rules;
pub mod schema;
pub mod settling;
pub mod spreadsheet;
pub mod trace;
