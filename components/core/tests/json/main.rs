//! The strict JSON reader and the canonical writer, from outside.
#![cfg(test)]

mod allocation;
mod oracle;
mod published;
mod reader;
mod support;
#[path = "../third_party/mod.rs"]
mod third_party;
mod writer;
