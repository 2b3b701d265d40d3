//! The real Envoy with the filter, in front of a canary that counts: it sees exactly the verified events.

mod hand_on;
mod sender;
mod world;
