//! Calls of the binary, and files to give it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The source's deposit, not in canonical form.
pub(crate) const DEPOSIT: &str = r#"{ "event":"deposit_success", "event_id":"dep_9aa", "click_id":"clk_123", "account_id":"u_456",
  "amount":100.00, "currency":"USD", "is_ftd":true, "ts_event":"2025-10-21T15:12:31Z", "city":"São Paulo" }"#;

/// What RFC 8785 makes of it.
pub(crate) const DEPOSIT_CANONICAL: &str = r#"{"account_id":"u_456","amount":100,"city":"São Paulo","click_id":"clk_123","currency":"USD","event":"deposit_success","event_id":"dep_9aa","is_ftd":true,"ts_event":"2025-10-21T15:12:31Z"}"#;

/// What a call printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A call that may have environment variables and standard input.
pub(crate) struct Call {
    command: Command,
    input: String,
}

/// `countersign` with these arguments, without any variable of this process that is a secret's.
pub(crate) fn countersign(arguments: &[&str]) -> Call {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    Call { command, input: String::new() }
}

impl Call {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    pub(crate) fn run(mut self) -> Said {
        let pipes = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        // A command that does not read its input closes the pipe.
        _ = child.stdin.take().unwrap().write_all(self.input.as_bytes());
        said(child.wait_with_output().unwrap())
    }

    /// Runs a call that must end with 0, and answers what it printed.
    pub(crate) fn stdout(self) -> String {
        let said = self.run();
        assert_eq!(said.code, 0, "{said:?}");
        said.stdout
    }
}

/// Runs another program, which must end with 0, and answers what it printed.
pub(crate) fn program(command: &mut Command) -> String {
    let said = said(command.output().unwrap());
    assert_eq!(said.code, 0, "{command:?}: {said:?}");
    said.stdout
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder that goes with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and answers its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file of the workspace's build folder: in the folder that a variable names, else below `target`. Where it is not
/// there, says so by name, and the test counts as skipped.
pub(crate) fn built(test: &str, variable: &str, default: &str, file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(default), PathBuf::from);
    let path = folder.join(file);
    if path.exists() {
        return Some(path);
    }
    println!(
        "SKIPPED {test}: {} is missing: run `cargo xtask setup` and `cargo xtask build`",
        path.display()
    );
    None
}
