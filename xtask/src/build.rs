//! The wasm artefacts: which there are, how they are built, and how large they may be.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use wit_component::ComponentEncoder;

use crate::context::Context;
use crate::{process, setup, tools};

/// What to do when an artefact does not build.
pub(crate) const REMEDY: &str = "read the error above; after \"can't find crate\" remove target/wasm32-* and build again; without node or npm: `apt-get install npm`";

/// One wasm file of the product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Artefact {
    /// The cargo package.
    pub(crate) package: &'static str,
    /// Its folder in the workspace.
    pub(crate) folder: &'static str,
    /// The compiler target.
    pub(crate) target: &'static str,
    /// The name in `target/wasm`.
    pub(crate) file: &'static str,
    /// What the compiler's output still needs.
    pub(crate) packaging: Packaging,
    /// The largest size, in KiB.
    pub(crate) size_kib_max: u64,
}

/// What the compiler's output still needs to be an artefact.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packaging {
    /// Nothing.
    AsBuilt,
    /// To be made smaller and faster by `wasm-opt`: every worker of a proxy compiles it, and keeps it (docs/decisions/0009).
    Optimised,
    /// To be wrapped: a core module that names its WIT becomes a component, whose imports are those of the WIT alone. The
    /// WASI targets make components themselves, but their standard library imports WASI.
    Component,
}

/// Every wasm file of the product.
pub(crate) const ARTEFACTS: [Artefact; 6] = [
    Artefact {
        package: "countersign-envoy",
        folder: "envoy",
        target: "wasm32-wasip1",
        file: "countersign_envoy.wasm",
        packaging: Packaging::Optimised,
        size_kib_max: 700,
    },
    Artefact {
        package: "countersign-gate",
        folder: "components/gate",
        target: "wasm32-wasip2",
        file: "gate.wasm",
        packaging: Packaging::AsBuilt,
        size_kib_max: 1228,
    },
    Artefact {
        package: "countersign-click",
        folder: "components/click",
        target: "wasm32-wasip2",
        file: "click.wasm",
        packaging: Packaging::AsBuilt,
        size_kib_max: 1228,
    },
    Artefact {
        package: "countersign-worker",
        folder: "components/worker",
        target: "wasm32-wasip2",
        file: "worker.wasm",
        packaging: Packaging::AsBuilt,
        size_kib_max: 1536,
    },
    Artefact {
        package: "countersign-embed",
        folder: "components/embed",
        target: "wasm32-unknown-unknown",
        file: "embed.wasm",
        packaging: Packaging::Component,
        size_kib_max: 600,
    },
    // The core alone; only the tests load it.
    Artefact {
        package: "countersign-probe",
        folder: "tests/probe",
        target: "wasm32-unknown-unknown",
        file: "countersign_probe.wasm",
        packaging: Packaging::AsBuilt,
        size_kib_max: 600,
    },
];

/// The artefacts whose crate is in the workspace.
pub(crate) fn present(context: &Context) -> impl Iterator<Item = Artefact> {
    let root = context.root.clone();
    ARTEFACTS.into_iter().filter(move |artefact| root.join(artefact.folder).join("Cargo.toml").is_file())
}

/// Builds every artefact for release and copies it to `target/wasm`.
///
/// # Errors
/// One does not build, or is larger than it may be.
pub(crate) fn build(context: &Context) -> Result<()> {
    build_those(context, |_| true)
}

/// Builds the artefacts that the application consists of, and no others.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_application(context: &Context) -> Result<()> {
    build_those(context, is_of_application)
}

/// Builds the filter, and what the application behind it consists of.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_chain(context: &Context) -> Result<()> {
    build_those(context, |artefact| artefact.package == "countersign-envoy" || is_of_application(artefact))
}

/// Whether `spin.toml` has the artefact as a component.
fn is_of_application(artefact: &Artefact) -> bool {
    matches!(artefact.package, "countersign-gate" | "countersign-click" | "countersign-worker")
}

/// Builds the command line, and answers the path of the program.
///
/// # Errors
/// It does not build.
pub(crate) fn command_line(context: &Context) -> Result<PathBuf> {
    // With the features of the whole workspace, as `cargo xtask test` has them: wasmtime is built once for both.
    process::run(&mut context.cargo(&["build", "--workspace", "--bin", "countersign"]))?;
    Ok(context.target.join("debug/countersign"))
}

fn build_those(context: &Context, wanted: impl Fn(&Artefact) -> bool) -> Result<()> {
    let mut too_large = Vec::new();
    for artefact in present(context).filter(wanted) {
        let size = build_one(context, artefact)?;
        println!("    {}", size_line(artefact, size));
        if !fits(artefact, size) {
            too_large.push(artefact.file);
        }
    }
    if too_large.is_empty() { Ok(()) } else { bail!("too large: {}", too_large.join(", ")) }
}

/// Builds one artefact for release, copies it to `target/wasm`, and answers its size in bytes.
///
/// # Errors
/// It does not build, or cannot be copied.
pub(crate) fn build_one(context: &Context, artefact: Artefact) -> Result<u64> {
    let folder = context.wasm();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    process::run(&mut wasm_cargo(context, artefact, &["build", "--release"])?)?;
    let place = folder.join(artefact.file);
    package(context, artefact.packaging, &output_file(context, artefact)?, &place)?;
    Ok(fs::metadata(&place)?.len())
}

/// A cargo call (`build`, `clippy`) for one artefact on its target.
///
/// A compiler cache such as sccache does not notice that the target's standard library was replaced, and serves
/// crates that name the old one: "can't find crate". It does hash every variable whose name begins with `CARGO_`.
///
/// # Errors
/// rustc does not start, or is not the pinned one.
pub(crate) fn wasm_cargo(context: &Context, artefact: Artefact, arguments: &[&str]) -> Result<Command> {
    let mut library = DefaultHasher::new();
    setup::fingerprint(&context.compiler()?, artefact.target).hash(&mut library);
    let mut command = context.cargo(arguments);
    command.args(["--package", artefact.package, "--target", artefact.target]);
    command.env("CARGO_COUNTERSIGN_WASM_STD", format!("{:016x}", library.finish()));
    Ok(command)
}

/// Where cargo puts the artefact: a library's name has underscores, a program's keeps its hyphens.
fn output_file(context: &Context, artefact: Artefact) -> Result<PathBuf> {
    let folder = context.target.join(artefact.target).join("release");
    let names = [artefact.package.replace('-', "_"), artefact.package.to_owned()];
    let changed =
        |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    names
        .iter()
        .map(|name| folder.join(format!("{name}.wasm")))
        .filter(|path| path.is_file())
        .max_by_key(changed)
        .with_context(|| format!("{} built no wasm file: is it a cdylib or a bin?", artefact.package))
}

/// What the filter's code is compiled for: nothing that Envoy's V8 and wasmtime do not have.
const WASM_FEATURES: [&str; 5] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
];

fn package(context: &Context, packaging: Packaging, built: &Path, place: &Path) -> Result<()> {
    match packaging {
        Packaging::AsBuilt => {
            fs::copy(built, place).with_context(|| format!("copying {}", built.display()))?;
        }
        Packaging::Optimised => {
            let mut optimiser = Command::new("node");
            optimiser.arg(tools::ensure_wasm_opt(context)?).arg("-Os").args(WASM_FEATURES);
            process::output(optimiser.arg(built).arg("-o").arg(place))?;
        }
        Packaging::Component => {
            let module = fs::read(built).with_context(|| format!("reading {}", built.display()))?;
            let component = ComponentEncoder::default()
                .module(&module)
                .and_then(|encoder| encoder.validate(true).encode())
                .with_context(|| format!("wrapping {} as a component", built.display()))?;
            fs::write(place, component).with_context(|| format!("writing {}", place.display()))?;
        }
    }
    Ok(())
}

fn fits(artefact: Artefact, size: u64) -> bool {
    size <= artefact.size_kib_max * 1024
}

fn size_line(artefact: Artefact, size: u64) -> String {
    let verdict = if fits(artefact, size) { "ok" } else { "TOO LARGE" };
    let kib = size.div_ceil(1024);
    format!("{:24} {kib:>5} KiB of {:>5} KiB  {verdict}", artefact.file, artefact.size_kib_max)
}

#[cfg(test)]
mod tests {
    use super::{ARTEFACTS, fits, size_line};

    #[test]
    fn the_limit_itself_fits_and_one_byte_more_does_not() {
        for artefact in ARTEFACTS {
            let limit = artefact.size_kib_max * 1024;
            assert!(fits(artefact, limit));
            assert!(!fits(artefact, limit + 1));
            assert!(size_line(artefact, limit + 1).ends_with("TOO LARGE"));
        }
    }
}
