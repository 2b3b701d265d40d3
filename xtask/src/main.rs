//! The one build tool: `cargo xtask setup | build | up | envoy | test | bench | vectors | replay-cdnow | tidy`.

mod bench;
mod build;
mod chain;
mod context;
mod count;
mod debian;
mod process;
mod setup;
mod step;
mod test;
mod tidy;
mod tools;
mod wasm_std;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use context::Context;
use step::Steps;

const USAGE: &str = "\
Usage: cargo xtask COMMAND [ARGUMENTS]

  setup              make the wasm targets and the tools of the tests usable
  build              build the wasm files for release into target/wasm and check their sizes
  up [--once] …      run the application; with --once play the reference flow against it and end
  envoy [--once]     run the real Envoy with the filter in front of the application
  test               run every check and test of the project; the last line counts them
  bench [NAME] …     run the benches: all, or one by name (core, wasm, inbox, envoy) with its options
  vectors [NAME]     write the vectors anew; or `check` them, or `list` them
  replay-cdnow [N]   send 69,659 real purchases through the application from N senders, and compare the ledger with the file
  tidy               check the house rules that can be computed

Everything it makes is below target/ (or CARGO_TARGET_DIR), apart from the wasm targets in the Rust toolchain.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let context = match Context::find() {
        Ok(context) => context,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let passed = match command.as_str() {
        "test" => test::test(&context),
        "setup" => in_steps(&context, prepare),
        "build" => in_steps(&context, compile),
        "tidy" => {
            in_steps(&context, |context, steps| steps.run("tidy", tidy::REMEDY, || tidy::tidy(context)))
        }
        "up" => in_steps(&context, |context, steps| up(context, steps, &rest)),
        "envoy" => in_steps(&context, |context, steps| envoy(context, steps, &rest)),
        "bench" => in_steps(&context, |context, steps| bench::run(context, steps, &rest)),
        "vectors" => in_steps(&context, |context, steps| vectors(context, steps, &rest)),
        "replay-cdnow" => in_steps(&context, |context, steps| replay_cdnow(context, steps, &rest)),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            true
        }
        unknown => {
            if !unknown.is_empty() {
                eprintln!("xtask has no command `{unknown}`.\n");
            }
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a command that consists of steps, and prints their table when there was more than one.
fn in_steps(context: &Context, command: impl FnOnce(&Context, &mut Steps) -> Result<()>) -> bool {
    let mut steps = Steps::default();
    let passed = command(context, &mut steps).is_ok();
    println!("\n{}", steps.table());
    passed
}

fn prepare(context: &Context, steps: &mut Steps) -> Result<()> {
    steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
    steps.run("tools", tools::REMEDY, || tools::ensure_all(context))
}

fn compile(context: &Context, steps: &mut Steps) -> Result<()> {
    steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
    steps.run("build", build::REMEDY, || build::build(context))
}

/// Becomes the application, so that Ctrl-C and the exit code are its own.
fn up(context: &Context, steps: &mut Steps, rest: &[String]) -> Result<()> {
    steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
    steps.run("build", build::REMEDY, || build::build_application(context))?;
    let program = steps.run("command", build::REMEDY, || build::command_line(context))?;
    println!("\n{}", steps.table());
    let mut command = Command::new(program);
    command.arg("up").args(rest).current_dir(&context.root);
    test::with_artefacts(context, &mut command);
    let remedy = "`cargo xtask up --help` lists the options";
    steps.run("up", remedy, || Err(command.exec()).with_context(|| process::describe(&command)))
}

fn envoy(context: &Context, steps: &mut Steps, rest: &[String]) -> Result<()> {
    steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
    let envoy = steps.run("tools", tools::REMEDY, || tools::ensure_envoy(context))?;
    steps.run("build", build::REMEDY, || build::build_chain(context))?;
    let countersign = steps.run("command", build::REMEDY, || build::command_line(context))?;
    steps.run("envoy", chain::REMEDY, || chain::run(context, &envoy, &countersign, rest))
}

fn replay_cdnow(context: &Context, steps: &mut Steps, rest: &[String]) -> Result<()> {
    steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
    steps.run("build", build::REMEDY, || build::build_application(context))?;
    let program = steps.run("command", build::REMEDY, || build::command_line(context))?;
    let remedy = "the message above says what differs; the state stays in target/replay";
    steps.run("replay", remedy, || {
        let mut command = context.cargo(&["run", "--quiet", "--bin", "replay_cdnow", "--"]);
        command.env("COUNTERSIGN", &program).env("COUNTERSIGN_STATE", context.target.join("replay"));
        test::with_artefacts(context, &mut command);
        process::run(command.args(rest))
    })
}

fn vectors(context: &Context, steps: &mut Steps, rest: &[String]) -> Result<()> {
    let remedy = "the message above names the vector";
    steps.run("vectors", remedy, || {
        let mut command = context.cargo(&["run", "--bin", "vectors", "--"]);
        process::run(command.args(rest))
    })
}
