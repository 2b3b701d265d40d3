//! `cargo xtask bench`: the core natively, the core in wasm, the inbox, and the real Envoy under load.

use anyhow::Result;

use crate::build::{self, Artefact, Packaging};
use crate::context::Context;
use crate::step::Steps;
use crate::{process, setup, test, tools};

const REMEDY: &str = "`cargo xtask bench core`, `bench wasm`, `bench inbox` and `bench envoy` run one alone; benches/README.md explains them";

/// The core and the usual crates, as one wasm file.
const GUEST: Artefact = Artefact {
    package: "countersign-bench-guest",
    folder: "benches/guest",
    target: "wasm32-unknown-unknown",
    file: "countersign_bench_guest.wasm",
    packaging: Packaging::AsBuilt,
    size_kib_max: 1024,
};
/// The filter that decides nothing.
const HOLD: Artefact = Artefact {
    package: "countersign-bench-hold",
    folder: "benches/hold",
    target: "wasm32-wasip1",
    file: "countersign_bench_hold.wasm",
    packaging: Packaging::AsBuilt,
    size_kib_max: 1024,
};

/// Runs the bench that the first argument names, with the others as its options; without one, all of them.
///
/// # Errors
/// A bench does not build, or stops with a message.
pub(crate) fn run(context: &Context, steps: &mut Steps, arguments: &[String]) -> Result<()> {
    let (name, options) = match arguments.split_first() {
        None => (None, arguments),
        Some((name, options)) => (Some(name.as_str()), options),
    };
    if let Some(name) = name.filter(|name| !["core", "wasm", "inbox", "envoy"].contains(name)) {
        return steps.run("bench", REMEDY, || anyhow::bail!("there is no bench `{name}`"));
    }
    let wanted = |bench: &str| name.is_none_or(|name| name == bench);
    if wanted("core") {
        steps.run("core", REMEDY, || core(context, options))?;
    }
    if wanted("wasm") {
        steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
        steps.run("wasm", REMEDY, || wasm(context))?;
    }
    if wanted("inbox") {
        steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
        steps.run("build", build::REMEDY, || build::build_application(context))?;
        steps.run("inbox", REMEDY, || inbox(context, options))?;
    }
    if wanted("envoy") {
        steps.run("setup", setup::REMEDY, || setup::ensure_targets(context))?;
        steps.run("build", build::REMEDY, || build::build(context))?;
        steps.run("envoy", REMEDY, || envoy(context, options))?;
    }
    Ok(())
}

fn core(context: &Context, options: &[String]) -> Result<()> {
    let mut command = context.cargo(&["bench", "--package", "countersign-benches", "--bench", "core", "--"]);
    process::run(command.args(options))
}

/// The program that measures is built as for tests: what it measures runs in wasmtime's compiled code and in V8.
fn wasm(context: &Context) -> Result<()> {
    build::build_one(context, GUEST)?;
    let mut command = context.cargo(&["run", "--quiet", "--bin", "countersign-bench-wasm", "--"]);
    process::run(command.arg(context.wasm().join(GUEST.file)))
}

/// The host is built for release, as a Spin that serves is: a build of its own, and some minutes the first time.
fn inbox(context: &Context, options: &[String]) -> Result<()> {
    let mut command =
        context.cargo(&["run", "--quiet", "--profile", "serving", "--bin", "countersign-bench-inbox", "--"]);
    test::with_artefacts(context, &mut command);
    process::run(command.args(options))
}

/// The sender and the native services are built for speed, the core in them too: a build of its own, and some minutes the first time.
fn envoy(context: &Context, options: &[String]) -> Result<()> {
    build::build_one(context, HOLD)?;
    tools::ensure_envoy(context)?;
    let mut command = context.cargo(&["run", "--quiet", "--profile", "native", "--bin", "envoy_load", "--"]);
    test::with_artefacts(context, &mut command);
    process::run(command.args(options))
}
