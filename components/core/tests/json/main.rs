//! The strict JSON reader and the canonical writer, from outside.
#![cfg(test)]

mod allocation;
mod oracle;
mod published;
mod reader;
mod support;
mod writer;
