//! The real Envoy with the filter, in front of a canary that counts: it sees exactly the verified events.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a failed assertion is the answer")]

mod certificates;
mod configuration;
mod hand_on;
mod operation;
mod refusals;
mod sender;
mod transport;
mod world;
