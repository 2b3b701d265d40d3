//! Running other programs: every failure names the command, and a command that hangs ends.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context as _, Result, bail};

/// The longest that a download may take before it counts as impossible.
pub(crate) const DOWNLOAD_SECONDS_MAX: u64 = 300;

/// Whether a program is on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<std::path::PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Runs a command with its output on the terminal.
///
/// # Errors
/// It does not start, or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", describe(command)))?;
    check(command, status)
}

/// Runs a command and returns what it printed on standard output.
///
/// # Errors
/// It does not start, ends with another status than 0 (the error then quotes its standard error), or prints
/// something that is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {}", describe(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}):\n{}", describe(command), output.status, tail(&said));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", describe(command)))
}

/// Runs a command that goes to the network: quietly, and not for ever.
///
/// # Errors
/// It does not start, fails, or is still running after [`DOWNLOAD_SECONDS_MAX`].
pub(crate) fn download(command: &mut Command) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", describe(command)))?;
    let stderr = child.stderr.take().context("no standard error")?;
    let reader = thread::spawn(move || std::io::read_to_string(stderr).unwrap_or_default());
    let status = wait(&mut child, Duration::from_secs(DOWNLOAD_SECONDS_MAX))?;
    let Some(status) = status else {
        bail!("{} was still running after {DOWNLOAD_SECONDS_MAX} s", describe(command));
    };
    if !status.success() {
        let said = reader.join().unwrap_or_default();
        bail!("{} failed ({status}):\n{}", describe(command), tail(&said));
    }
    Ok(())
}

/// Waits for a child, at most so long; a child that is still running is killed, and the answer is `None`.
fn wait(child: &mut Child, longest: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < longest {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// The error of a status other than 0.
///
/// # Errors
/// The status is not 0.
pub(crate) fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("{} failed ({status})", describe(command)) }
}

/// A command as a person would type it.
pub(crate) fn describe(command: &Command) -> String {
    let mut text = format!("`{}", command.get_program().to_string_lossy());
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text.push('`');
    text
}

/// The last lines of what a program said: enough to see the cause, not the whole log.
fn tail(text: &str) -> String {
    const LINES_MAX: usize = 15;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let skip = lines.len().saturating_sub(LINES_MAX);
    lines.iter().skip(skip).map(|line| format!("    {line}\n")).collect()
}
