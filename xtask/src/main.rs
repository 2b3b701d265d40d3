//! The one build tool: `cargo xtask setup | build | up | envoy | test | bench | vectors | tidy`.

mod context;
mod debian;
mod process;
mod setup;
mod step;
mod wasm_std;

use std::process::ExitCode;

use context::Context;
use step::Steps;

fn main() -> ExitCode {
    let mut steps = Steps::default();
    let context = match Context::find() {
        Ok(c) => c,
        Err(e) => {
            eprintln!("{e:#}");
            return ExitCode::FAILURE;
        }
    };
    let r = steps.run("setup", setup::REMEDY, || setup::ensure_targets(&context));
    println!("{}", steps.table());
    if r.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
