//! The real Envoy with the filter, in front of a canary that counts: it sees exactly the verified events.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a failed assertion is the answer")]

mod alone;
mod attestation;
mod certificates;
mod chain;
mod configuration;
mod control;
mod framings;
mod hand_on;
mod http2;
mod istio;
mod oldest;
mod operation;
mod refusals;
mod reload;
mod sender;
mod transport;
mod world;
