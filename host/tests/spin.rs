//! The Spin host against a real component built with spin-sdk 7 (`tests/guest-spin`).

#![expect(
    clippy::disallowed_methods,
    reason = "what the host does in time is measured with the machine's clock"
)]

#[path = "spin/instances.rs"]
mod instances;
#[path = "spin/key_value.rs"]
mod key_value;
#[path = "spin/load.rs"]
mod load;
#[path = "spin/outbound.rs"]
mod outbound;
#[path = "spin/redis.rs"]
mod redis;
#[path = "spin/routing.rs"]
mod routing;
#[path = "spin/server.rs"]
mod server;
#[path = "spin/sqlite.rs"]
mod sqlite;
#[path = "spin/support.rs"]
mod support;
#[path = "spin/surroundings.rs"]
mod surroundings;
