//! The strict JSON reader and the canonical writer, from outside.
#![cfg(test)]

mod allocation;
mod oracle;
mod published;
mod reader;
mod support;
#[expect(dead_code, reason = "these suites read folders, and bytes that are not text")]
#[path = "../third_party/mod.rs"]
mod third_party;
mod writer;
