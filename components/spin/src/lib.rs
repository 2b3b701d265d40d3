//! The only crate that knows spin-sdk: requests and replies, the SQLite inbox, configuration.

pub mod config;
pub mod exchange;
pub mod inbox;
