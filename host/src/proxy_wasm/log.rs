//! What a filter, and the host on its behalf, wrote to the proxy's log.

use std::sync::{Arc, Mutex, PoisonError};

/// The levels of the ABI, from the chattiest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 0
    Trace,
    /// 1
    Debug,
    /// 2, and what the guest writes to its standard output.
    Info,
    /// 3
    Warn,
    /// 4, and what the guest writes to its standard error: a Rust panic ends here.
    Error,
    /// 5, and the traps that the host saw.
    Critical,
}

impl Level {
    pub(super) fn from_number(level: u32) -> Option<Self> {
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical]
            .get(usize::try_from(level).ok()?)
            .copied()
    }

    pub(super) fn number(self) -> u32 {
        match self {
            Self::Trace => 0,
            Self::Debug => 1,
            Self::Info => 2,
            Self::Warn => 3,
            Self::Error => 4,
            Self::Critical => 5,
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How bad it is.
    pub level: Level,
    /// Bytes that are no UTF-8 are replaced.
    pub message: String,
}

/// The log of one host: its VMs write to it one after another.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    lines: Arc<Mutex<Vec<LogLine>>>,
}

impl Log {
    pub(super) fn write(&self, level: Level, message: &[u8]) -> LogLine {
        let line = LogLine { level, message: String::from_utf8_lossy(message).into_owned() };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
        line
    }

    pub(super) fn read(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
