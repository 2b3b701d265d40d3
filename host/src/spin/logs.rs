//! What components write, line by line, and why instances failed: where the lines go.

use std::sync::{Arc, Mutex, PoisonError};

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The component's standard output.
    Stdout,
    /// The component's standard error.
    Stderr,
    /// The host: a trap, a start that failed, a refused outbound request.
    Host,
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The component's id in the manifest.
    pub component: String,
    /// Who wrote it.
    pub stream: Stream,
    /// What is no UTF-8 is shown as U+FFFD.
    pub text: String,
}

/// The caller's sink of log lines.
#[derive(Clone)]
pub struct Logs(Arc<dyn Fn(LogLine) + Send + Sync>);

impl Logs {
    /// Hands every line to `sink`, from any thread.
    pub fn to(sink: impl Fn(LogLine) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Keeps every line for a test to look at.
    #[must_use]
    pub fn collected() -> (Self, Arc<Mutex<Vec<LogLine>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        (Self::to(move |line| kept.lock().unwrap_or_else(PoisonError::into_inner).push(line)), lines)
    }

    pub(super) fn write(&self, component: &str, stream: Stream, text: &[u8]) {
        (self.0)(LogLine {
            component: component.to_owned(),
            stream,
            text: String::from_utf8_lossy(text).into_owned(),
        });
    }
}
