//! The real Envoy with the filter, in front of a canary that counts: it sees exactly the verified events.

mod configuration;
mod hand_on;
mod refusals;
mod sender;
mod transport;
mod world;
