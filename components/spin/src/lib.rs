//! The only crate that knows spin-sdk: requests and replies, the SQLite inbox, clicks, the ledger, configuration.

mod arrivals;
pub mod clicks;
pub mod config;
mod database;
pub mod exchange;
pub mod host;
pub mod inbox;
pub mod ledger;
pub mod opening;
pub mod rejections;
pub mod scope;
mod shared;
pub mod start;
mod upgrade;
