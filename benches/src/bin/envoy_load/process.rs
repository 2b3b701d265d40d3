//! What a process has used, by `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Processor time, user and system, of the threads that a process has now. It is exact to the nanosecond, where `/proc/PID/stat`
/// counts in hundredths of a second. A thread that has ended is not in it: no process here ends one while it is measured.
///
/// # Errors
/// The process has ended; or the kernel keeps no `schedstat`.
pub(crate) fn processor_time(id: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        nanoseconds += text.split_whitespace().next().context("schedstat is empty")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory, in KiB.
///
/// # Errors
/// The process has ended.
pub(crate) fn resident_kib(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
