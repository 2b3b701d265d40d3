//! What the load benches have in common: events that were never sent before, and a sender that costs little.

pub mod load;
pub mod postbacks;
