//! The only crate that knows spin-sdk: requests and replies, the SQLite inbox, configuration.

pub mod config;
mod database;
pub mod exchange;
pub mod inbox;
pub mod ledger;
