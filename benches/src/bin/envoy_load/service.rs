//! A service beside Envoy: this very program, run once more as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::kind;

/// The first argument of a process that serves.
pub(crate) const SERVE: &str = "serve";

/// A service that ends with this value. It holds the other end of its standard input too, so it also ends where this program is
/// killed.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Service {
    /// Starts one with so many threads. `upstream` is the socket that a proxy hands on to.
    ///
    /// # Errors
    /// It does not start; it has written the reason to standard error.
    pub(crate) fn start(kind: kind::Service, workers: usize, upstream: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SERVE, kind.name(), &workers.to_string()])
            .arg(upstream)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the service {}", kind.name()))?;
        let output = child.stdout.take();
        let mut service = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut line = String::new();
        BufReader::new(output.context("the service has no output")?).read_line(&mut line)?;
        service.address =
            line.trim().parse().with_context(|| format!("the service {} has no address", kind.name()))?;
        Ok(service)
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
