//! The one build tool: `cargo xtask setup | build | up | envoy | test | bench | vectors | tidy`.

fn main() {}
