//! Where things are, and which toolchain builds them: what every command needs to know.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// The checkout, its build folder and its compiler.
#[derive(Debug)]
pub(crate) struct Context {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// The build folder, absolute: `CARGO_TARGET_DIR` if set, else `target/` in the root.
    pub(crate) target: PathBuf,
    /// The compiler version that `rust-toolchain.toml` pins, e.g. `1.95.0`.
    pub(crate) pinned: String,
}

impl Context {
    /// Finds the workspace.
    ///
    /// # Errors
    /// `rust-toolchain.toml` cannot be read, or pins no exact version.
    pub(crate) fn find() -> Result<Self> {
        // cargo sets the variable for `cargo xtask`; the compiled-in path serves a binary that is started by hand.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask has no parent folder")?.to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => env::current_dir()?.join(folder),
            None => root.join("target"),
        };
        let file = root.join("rust-toolchain.toml");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let pinned = pinned_version(&text)
            .with_context(|| format!("{}: write `channel = \"MAJOR.MINOR.PATCH\"`", file.display()))?;
        Ok(Self { root, target, pinned })
    }

    /// Where the tools of the tests are installed; tests find it in `COUNTERSIGN_TOOLS`.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Where the wasm artefacts are collected; tests find it in `COUNTERSIGN_WASM`.
    pub(crate) fn wasm(&self) -> PathBuf {
        self.target.join("wasm")
    }

    /// A cargo call in the workspace, with the environment that a call typed by hand would have.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // `cargo run` describes xtask to itself in these; left in place they would describe it to every build below.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        command
    }

    /// A rustc call with the workspace's toolchain.
    pub(crate) fn rustc(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("rustc");
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Checks that the compiler in use is the pinned one, and returns its description and its sysroot.
    ///
    /// # Errors
    /// rustc does not start, or is another version.
    pub(crate) fn compiler(&self) -> Result<Compiler> {
        let description = process::output(&mut self.rustc(&["-vV"]))?;
        let release =
            description.lines().find_map(|line| line.strip_prefix("release: ")).unwrap_or("unknown");
        if release != self.pinned {
            bail!(
                "rustc is {release}, and rust-toolchain.toml pins {}.\n  Remedy: unset RUSTUP_TOOLCHAIN and RUSTC, \
                 and run `rustup toolchain install {}`",
                self.pinned,
                self.pinned
            );
        }
        let sysroot = PathBuf::from(process::output(&mut self.rustc(&["--print", "sysroot"]))?.trim());
        Ok(Compiler { description, sysroot })
    }
}

/// The compiler in use.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// What `rustc -vV` prints.
    pub(crate) description: String,
    /// Its folder, with `lib/rustlib` in it.
    pub(crate) sysroot: PathBuf,
}

impl Compiler {
    /// The folder of one target's standard library.
    pub(crate) fn target_folder(&self, target: &str) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(target)
    }

    /// The folder in which `-Zbuild-std` looks for the standard library's sources.
    pub(crate) fn library_source(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }
}

/// The exact version in the text of a `rust-toolchain.toml`; `None` if there is none.
pub(crate) fn pinned_version(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "channel").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let numbers: Vec<&str> = value.split('.').collect();
    let exact =
        numbers.len() == 3 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    exact.then_some(value)
}

/// Removes a folder that may not be there.
///
/// # Errors
/// It is there and cannot be removed.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a folder, empty, whatever was there before.
///
/// # Errors
/// It cannot be emptied or made.
pub(crate) fn fresh_folder(folder: &Path) -> Result<()> {
    remove_folder(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::pinned_version;

    #[test]
    fn an_exact_channel_is_the_pin() {
        let text = "# why\n[toolchain]\nchannel = \"1.95.0\"\nprofile = \"minimal\"\n";
        assert_eq!(pinned_version(text).as_deref(), Some("1.95.0"));
    }

    #[test]
    fn a_channel_that_moves_is_no_pin() {
        for channel in ["stable", "1.95", "1.95.x", "1..0", "nightly-2026-01-01", ""] {
            assert_eq!(pinned_version(&format!("channel = \"{channel}\"")), None, "{channel}");
        }
        assert_eq!(pinned_version("[toolchain]\n# channel is missing\n"), None);
    }
}
