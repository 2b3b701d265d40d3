//! The standard library of the wasm targets, built on the spot from its sources where rustup cannot download it.
//! About 25 s per target on two cores; afterwards plain `cargo build --target …` works.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::context::{Compiler, Context, fresh_folder, remove_folder};
use crate::{debian, process};

/// The Debian suite that carries the pinned compiler's `rust-src`.
const SUITE: &str = "trixie-backports";

/// The crate that is built for the sake of the library below it.
const EMPTY_CRATE: &str = "std_probe";

/// Start-up objects and C library that rustc expects beside the library of a WASI target.
const SELF_CONTAINED: [&str; 3] = ["libc.a", "crt1-command.o", "crt1-reactor.o"];

/// The standard library's sources, and wasi-libc's folders by target.
#[derive(Debug)]
struct Sources {
    library: PathBuf,
    wasi_libc: PathBuf,
}

/// Builds the targets from the Debian packages `rust-src` (of exactly the compiler's version) and `wasi-libc`.
///
/// # Errors
/// The suite does not have them, or the build fails.
pub(crate) fn from_debian(context: &Context, compiler: &Compiler, targets: &[&'static str]) -> Result<()> {
    let folder = context.target.join("setup/debian");
    let unpacked = folder.join("unpacked");
    let suite = debian::Suite::open(SUITE, folder.join("apt")).with_context(|| format!("reading {SUITE}"))?;
    remove_folder(&unpacked)?;
    suite.unpack("rust-src", Some(&context.pinned), &unpacked)?;
    suite.unpack("wasi-libc", None, &unpacked)?;
    let library = unpacked.join(format!("usr/src/rustc-{}/library", context.pinned));
    install(context, compiler, targets, &Sources { library, wasi_libc: unpacked.join("usr/lib") })
}

/// Builds the targets from the folder or archive that `COUNTERSIGN_WASM_STD` names.
///
/// # Errors
/// The variable is not set, what it names has another layout, or the build fails.
pub(crate) fn from_variable(context: &Context, compiler: &Compiler, targets: &[&'static str]) -> Result<()> {
    let path = env::var_os("COUNTERSIGN_WASM_STD").context("the variable is not set")?;
    from_path(context, compiler, targets, Path::new(&path))
}

/// Builds the targets from an archive of the pinned version that lies beside the checkout.
///
/// # Errors
/// There is none, or the build fails.
pub(crate) fn from_shared(context: &Context, compiler: &Compiler, targets: &[&'static str]) -> Result<()> {
    let beside = context.root.parent().context("the checkout has no parent folder")?;
    let path = beside.join(format!("shared/toolchain/wasm-std-{}.tar.xz", context.pinned));
    from_path(context, compiler, targets, &path)
}

fn from_path(context: &Context, compiler: &Compiler, targets: &[&'static str], path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let folder = if metadata.is_dir() {
        path.canonicalize()?
    } else {
        let folder = context.target.join("setup/archive");
        fresh_folder(&folder)?;
        process::output(Command::new("tar").arg("-xf").arg(path.canonicalize()?).arg("-C").arg(&folder))?;
        folder
    };
    let library = folder.join(format!("rust-{}/library", context.pinned));
    install(context, compiler, targets, &Sources { library, wasi_libc: folder.join("wasi-libc") })
}

fn install(
    context: &Context,
    compiler: &Compiler,
    targets: &[&'static str],
    sources: &Sources,
) -> Result<()> {
    if !sources.library.join("std").is_dir() {
        bail!(
            "{} is not there: the sources must be those of Rust {}",
            sources.library.display(),
            context.pinned
        );
    }
    let link = LibraryLink::make(compiler, &sources.library)?;
    let outcome = targets.iter().try_for_each(|target| {
        println!("    building the standard library of {target} (about 25 s)");
        let rlibs = build(context, target, sources)?;
        place(compiler, target, &rlibs, wasi_libc(target).map(|name| sources.wasi_libc.join(name)))
    });
    link.remove()?;
    outcome
}

/// `-Zbuild-std` reads the sources at one fixed place in the sysroot. A link of ours is gone after the build: its
/// end lies in a build folder that somebody may clean.
#[derive(Debug)]
struct LibraryLink(Option<PathBuf>);

impl LibraryLink {
    fn make(compiler: &Compiler, library: &Path) -> Result<Self> {
        let place = compiler.library_source();
        if place.join("std").is_dir() {
            // rustup's own component `rust-src`, which is always of the compiler's version.
            return Ok(Self(None));
        }
        if place.is_symlink() {
            fs::remove_file(&place).with_context(|| format!("removing {}", place.display()))?;
        }
        let parent = place.parent().context("the sysroot has no parent")?;
        fs::create_dir_all(parent).and_then(|()| std::os::unix::fs::symlink(library, &place)).with_context(
            || format!("{} must be writable to add targets to it", compiler.sysroot.display()),
        )?;
        Ok(Self(Some(place)))
    }

    fn remove(self) -> Result<()> {
        let Some(place) = self.0 else { return Ok(()) };
        fs::remove_file(&place).with_context(|| format!("removing {}", place.display()))
    }
}

/// The folder of wasi-libc that a target links; `None` for the target without a system.
fn wasi_libc(target: &str) -> Option<&'static str> {
    match target {
        "wasm32-wasip1" => Some("wasm32-wasi"),
        "wasm32-wasip2" => Some("wasm32-wasip2"),
        _ => None,
    }
}

/// Builds the library and returns its files.
fn build(context: &Context, target: &str, sources: &Sources) -> Result<Vec<PathBuf>> {
    let folder = context.target.join("setup/std");
    let source = folder.join("crate");
    fs::create_dir_all(source.join("src"))?;
    fs::write(source.join("src/lib.rs"), "")?;
    fs::write(
        source.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{EMPTY_CRATE}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n"
        ),
    )?;
    remove_folder(&folder.join("target").join(target))?;
    // Without the bitcode, link-time optimisation fails later with "failed to get bitcode".
    let mut flags = "-Cembed-bitcode=yes".to_owned();
    if let Some(name) = wasi_libc(target) {
        flags.push_str(&format!(" -Lnative={}", sources.wasi_libc.join(name).display()));
    }
    let mut command =
        context.cargo(&["build", "--release", "--quiet", "-Zbuild-std=std,panic_abort", "--target", target]);
    command.current_dir(&source).env("CARGO_TARGET_DIR", folder.join("target"));
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags).env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::output(&mut command)?;
    let built = folder.join("target").join(target).join("release/deps");
    let mut rlibs = Vec::new();
    for entry in fs::read_dir(&built).with_context(|| format!("reading {}", built.display()))? {
        let path = entry?.path();
        let ours = path.file_name().is_some_and(|name| name.to_string_lossy().contains(EMPTY_CRATE));
        if path.extension() == Some(OsStr::new("rlib")) && !ours {
            rlibs.push(path);
        }
    }
    if rlibs.is_empty() {
        bail!("the build left no library in {}", built.display());
    }
    Ok(rlibs)
}

/// Replaces the target's folder in the sysroot as a whole, so that two libraries are never mixed.
fn place(compiler: &Compiler, target: &str, rlibs: &[PathBuf], libc: Option<PathBuf>) -> Result<()> {
    let place = compiler.target_folder(target);
    let staged = compiler.target_folder(&format!("{target}.new"));
    let contained = staged.join("lib/self-contained");
    fresh_folder(&contained)?;
    let copies = rlibs.iter().map(|path| (path.clone(), staged.join("lib"))).chain(
        libc.iter()
            .flat_map(|folder| SELF_CONTAINED.iter().map(|name| (folder.join(name), contained.clone()))),
    );
    for (from, folder) in copies {
        let name = from.file_name().context("a file without a name")?;
        fs::copy(&from, folder.join(name)).with_context(|| format!("copying {}", from.display()))?;
    }
    remove_folder(&place)?;
    fs::rename(&staged, &place).with_context(|| format!("replacing {}", place.display()))
}
