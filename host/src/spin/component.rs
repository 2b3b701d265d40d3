//! One component of an application, and what all of them share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use rand::TryRng;
use rand::rngs::StdRng;

use super::key_value_file::KeyValueFile;
use super::logs::Logs;
use super::state::State;
use crate::clock::Clock;
use crate::fault::Faults;

/// One component as the manifest has it, resolved for this run.
pub(super) struct Component {
    pub(super) id: String,
    pub(super) shared: Arc<Shared>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) environment: Vec<(String, String)>,
    /// The folder of its files, the guest's `/`, read-only.
    pub(super) files: Option<tempfile::TempDir>,
    pub(super) databases: BTreeSet<String>,
    pub(super) stores: BTreeSet<String>,
}

/// What all components of an application share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) requests_at_a_time: usize,
    pub(super) faults: Faults,
    pub(super) logs: Logs,
    pub(super) random: Option<Random>,
    pub(super) state: State,
    pub(super) key_value: Arc<KeyValueFile>,
}

/// A seeded source that all instances draw from, so that a run with one request at a time repeats exactly.
#[derive(Clone)]
pub(super) struct Random(Arc<Mutex<StdRng>>);

impl Random {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(rand::SeedableRng::seed_from_u64(seed))))
    }
}

impl TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_fill_bytes(bytes)
    }
}
