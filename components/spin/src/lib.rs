//! The only crate that knows spin-sdk: requests and replies, the SQLite inbox, clicks, the ledger, configuration.

#![expect(
    clippy::result_large_err,
    reason = "a start fails once in the life of an instance, and nothing is allocated for it"
)]

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
