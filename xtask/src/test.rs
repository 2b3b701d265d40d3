//! Every check of the project in one run, and how many tests there were.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::count::Tally;
use crate::step::Steps;
use crate::{build, process, setup, tidy, tools};

const FORMAT_REMEDY: &str = "run `cargo fmt`; if cargo has no fmt: `rustup component add rustfmt`";
const LINT_REMEDY: &str = "mend what clippy names; if cargo has no clippy: `rustup component add clippy`";
const TEST_REMEDY: &str = "run the failed test alone: `cargo test -p PACKAGE NAME -- --nocapture`";

/// Runs every step and prints the table, the skips and, as its last line, the count. Says whether all passed.
pub(crate) fn test(context: &Context) -> bool {
    let mut steps = Steps::default();
    let mut tally = Tally::default();
    let passed = run(context, &mut steps, &mut tally);
    println!("\nSteps:\n{}", steps.table());
    if !tally.skipped.is_empty() {
        println!("Skipped:");
        for skip in &tally.skipped {
            println!("  {skip}");
        }
        println!();
    }
    // A failed test is already in the count; its step would be a second one.
    let broken = steps.failed().saturating_sub(usize::from(tally.has_failures()));
    println!("{}", tally.closing_line(u64::try_from(broken).unwrap_or(u64::MAX)));
    passed
}

/// Goes on after a failure where the next step does not need the one that failed.
fn run(context: &Context, steps: &mut Steps, tally: &mut Tally) -> bool {
    let tidy = steps.check("tidy", tidy::REMEDY, || tidy::tidy(context));
    let format = steps
        .check("format", FORMAT_REMEDY, || process::run(&mut context.cargo(&["fmt", "--all", "--check"])));
    let ready = steps.check("setup", setup::REMEDY, || setup::ensure_targets(context))
        && steps.check("tools", tools::REMEDY, || tools::ensure_all(context));
    if !ready {
        return false;
    }
    let lint = steps.check("clippy", LINT_REMEDY, || clippy(context));
    let built = steps.check("build", build::REMEDY, || build::build(context));
    if !built {
        return false;
    }
    let tested = steps.check("tests", TEST_REMEDY, || tests(context, tally));
    tidy && format && lint && tested
}

fn clippy(context: &Context) -> Result<()> {
    let mut everything = context.cargo(&["clippy", "--quiet", "--workspace", "--all-targets"]);
    process::run(everything.args(["--", "--deny", "warnings"]))?;
    for artefact in build::present(context) {
        let mut wasm = build::wasm_cargo(context, artefact, &["clippy", "--quiet"])?;
        process::run(wasm.args(["--", "--deny", "warnings"]))?;
    }
    Ok(())
}

fn tests(context: &Context, tally: &mut Tally) -> Result<()> {
    let mut command = context.cargo(&["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    with_artefacts(context, &mut command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", process::describe(&command)))?;
    let mut output = BufReader::new(child.stdout.take().context("no standard output")?);
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        if tally.read(&line) {
            print!("{line}");
        }
        bytes.clear();
    }
    process::check(&command, child.wait()?)?;
    if tally.has_failures() {
        bail!("a test failed in a program that ended with status 0");
    }
    Ok(())
}

/// Tells a program of ours where the tools and the wasm files are.
pub(crate) fn with_artefacts(context: &Context, command: &mut Command) {
    command.env("COUNTERSIGN_TOOLS", context.tools()).env("COUNTERSIGN_WASM", context.wasm());
}
