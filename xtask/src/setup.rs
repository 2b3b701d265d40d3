//! The wasm targets. A target counts as usable only when a program was compiled and linked for it.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, bail};

use crate::context::{Compiler, Context, remove_folder};
use crate::{process, wasm_std};

/// The targets of the project: the filter, the components, the purity checks.
pub(crate) const TARGETS: [&str; 3] = ["wasm32-wasip1", "wasm32-wasip2", "wasm32-unknown-unknown"];

/// What to do when no way works.
pub(crate) const REMEDY: &str = "run `rustup target add wasm32-wasip1 wasm32-wasip2 wasm32-unknown-unknown` where rustup's \
     server can be reached, or set COUNTERSIGN_WASM_STD to a folder or .tar.xz that holds \
     rust-<version>/library and wasi-libc/{wasm32-wasi,wasm32-wasip2} (docs/decisions/0001-toolchain.md)";

/// One way to get the standard library of targets.
type Way = fn(&Context, &Compiler, &[&'static str]) -> Result<()>;

/// The ways, in the order in which they are tried.
const WAYS: [(&str, Way); 4] = [
    ("rustup target add", rustup),
    ("Debian's rust-src and wasi-libc", wasm_std::from_debian),
    ("COUNTERSIGN_WASM_STD", wasm_std::from_variable),
    ("../shared/toolchain", wasm_std::from_shared),
];

/// Makes every target usable; does nothing for those that are.
///
/// # Errors
/// A target is still unusable after every way was tried: the error names each way and why it failed.
pub(crate) fn ensure_targets(context: &Context) -> Result<()> {
    let compiler = context.compiler()?;
    let mut missing = Vec::new();
    for target in TARGETS {
        if usable(context, &compiler, target).is_err() {
            missing.push(target);
        }
    }
    let mut tried = String::new();
    for (name, way) in WAYS {
        if missing.is_empty() {
            break;
        }
        println!("    {}: trying {name}", missing.join(", "));
        let before: Vec<_> = missing.iter().map(|target| fingerprint(&compiler, target)).collect();
        let outcome = way(context, &compiler, &missing);
        let mut still = Vec::new();
        for (target, before) in missing.into_iter().zip(before) {
            if fingerprint(&compiler, target) != before {
                // Artefacts that name the old standard library fail with "can't find crate".
                remove_folder(&context.target.join(target))?;
            }
            if let Err(error) = usable(context, &compiler, target) {
                if outcome.is_ok() {
                    tried.push_str(&format!("\n  {name}: said it had {target}, but: {error:#}"));
                }
                still.push(target);
            }
        }
        if let Err(error) = outcome {
            tried.push_str(&format!("\n  {name}: {error:#}"));
        }
        missing = still;
    }
    if !missing.is_empty() {
        bail!(
            "no standard library for {} in {}; tried:{tried}",
            missing.join(", "),
            compiler.sysroot.display()
        );
    }
    println!("    usable: {}", TARGETS.join(", "));
    Ok(())
}

/// Compiles and links a program for the target. Link-time optimisation is on, since the release builds need the
/// bitcode that a carelessly built standard library lacks. The result is remembered until the library changes.
fn usable(context: &Context, compiler: &Compiler, target: &str) -> Result<()> {
    let folder = context.target.join("setup/usable");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let stamp = folder.join(format!("{target}.stamp"));
    let now = fingerprint(compiler, target);
    if fs::read_to_string(&stamp).is_ok_and(|seen| seen == now) {
        return Ok(());
    }
    let source = folder.join(format!("{target}.rs"));
    fs::write(&source, PROBE)?;
    let mut command = context.rustc(&["--edition=2024", "--crate-type=cdylib", "-Clto=fat", "-Copt-level=1"]);
    command.args(["-Cpanic=abort", "--target", target, "-o"]);
    command.arg(folder.join(format!("{target}.wasm"))).arg(&source);
    process::output(&mut command)?;
    fs::write(&stamp, now).with_context(|| format!("writing {}", stamp.display()))
}

/// Uses the allocator and the formatter, so that the linker needs more of `std` than its name.
const PROBE: &str =
    "#[unsafe(no_mangle)]\npub extern \"C\" fn probe(n: u32) -> usize { format!(\"{n}\").len() }\n";

/// What a target's standard library is, as far as a stamp must notice: the compiler, and name, size and time of each file.
pub(crate) fn fingerprint(compiler: &Compiler, target: &str) -> String {
    let mut lines = vec![compiler.description.clone(), compiler.sysroot.display().to_string()];
    let mut files = Vec::new();
    list(&compiler.target_folder(target).join("lib"), &mut files);
    files.sort();
    lines.append(&mut files);
    lines.join("\n")
}

fn list(folder: &Path, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            list(&entry.path(), files);
            continue;
        }
        let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        files.push(format!("{} {} {changed:?}", entry.path().display(), metadata.len()));
    }
}

/// Always names the toolchain: without a name rustup would change whichever is the default.
fn rustup(context: &Context, _: &Compiler, targets: &[&'static str]) -> Result<()> {
    let toolchain = std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| context.pinned.clone());
    let mut command = std::process::Command::new("rustup");
    command.args(["target", "add"]).args(targets).current_dir(&context.root);
    process::download(command.env("RUSTUP_TOOLCHAIN", toolchain).env_remove("RUST_BACKTRACE"))
}
