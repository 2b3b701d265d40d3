//! One row under way: its Envoy, the service beside it, and what was measured so far.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use countersign_benches::load::{self, Expected, Load, Pace};
use countersign_benches::postbacks::Batch;

use crate::bootstrap::bootstrap;
use crate::envoy::Envoy;
use crate::kind::Kind;
use crate::process;
use crate::service::Service;

/// What a row was measured at in one round.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Processor time of all the row's processes, per request.
    pub(crate) processor_us: f64,
}

/// One row. What it has started ends with it.
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) rounds: Vec<Measured>,
    pub(crate) envoy: Envoy,
    service: Option<Service>,
    _folder: Folder,
}

impl Row {
    /// Starts the row's service, and then its Envoy, with so many workers each.
    ///
    /// # Errors
    /// One of them does not start.
    pub(crate) fn start(kind: Kind, workers: usize) -> Result<Self> {
        let folder = Folder::make(kind)?;
        let upstream = folder.path().join("upstream");
        let service = kind.service().map(|kind| Service::start(kind, workers, &upstream)).transpose()?;
        let address = service.as_ref().map(|service| service.address);
        let document = bootstrap(kind, workers, &upstream, address)?;
        let envoy = Envoy::start(&document, workers, folder.path())?;
        Ok(Self { kind, rounds: Vec::new(), envoy, service, _folder: folder })
    }

    /// Sends a batch over so many connections, and measures it.
    ///
    /// # Errors
    /// An answer is not what the row answers; or one of its processes has ended.
    pub(crate) fn measure(&self, batch: &Rc<Batch>, connections: usize) -> Result<Measured> {
        let before = self.processor_time()?;
        let load = self.send(batch, connections)?;
        let processor = self.processor_time()?.saturating_sub(before);
        Ok(Measured {
            per_second: load.per_second(),
            p50_ms: load.quantile_ms(0.5),
            p99_ms: load.quantile_ms(0.99),
            processor_us: processor.as_secs_f64() * 1e6 / batch.len() as f64,
        })
    }

    fn send(&self, batch: &Rc<Batch>, connections: usize) -> Result<Load> {
        let expected = Expected::ok(self.kind.expected());
        load::send(self.envoy.address, Rc::clone(batch), connections, Pace::Unbounded, expected)
            .with_context(|| format!("the row `{}`", self.kind.title()))
    }

    fn processes(&self) -> impl Iterator<Item = u32> {
        [Some(self.envoy.id()), self.service.as_ref().map(Service::id)].into_iter().flatten()
    }

    fn processor_time(&self) -> Result<Duration> {
        self.processes().map(process::processor_time).sum()
    }

    /// Resident memory of all the row's processes, in KiB.
    ///
    /// # Errors
    /// One of them has ended.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        self.processes().map(process::resident_kib).sum()
    }
}

/// A temporary folder, removed with this value.
struct Folder(PathBuf);

impl Folder {
    fn make(kind: Kind) -> Result<Self> {
        let name = format!("countersign-bench-{}-{}", std::process::id(), kind.name());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = fs::remove_dir_all(&self.0);
    }
}
