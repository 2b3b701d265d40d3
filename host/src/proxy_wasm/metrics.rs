//! The metrics that a filter defines, as one Envoy process keeps them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One process's metrics. Clones are the same metrics: a VM that is made anew, or another worker thread, goes on counting.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    by_name: Arc<Mutex<BTreeMap<String, Metric>>>,
}

/// One metric by its plain name, which Envoy shows with the prefix `wasmcustom.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Only ever goes up.
    Counter(u64),
    /// Goes both ways.
    Gauge(u64),
    /// Every recorded value, in order.
    Histogram(Vec<u64>),
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One metric, where it was defined.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Metric> {
        self.lock().get(name).cloned()
    }

    /// The value of a counter or a gauge; 0 where none was defined.
    #[must_use]
    pub fn value(&self, name: &str) -> u64 {
        match self.read(name) {
            Some(Metric::Counter(value) | Metric::Gauge(value)) => value,
            Some(Metric::Histogram(_)) | None => 0,
        }
    }

    /// All metrics by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Metric> {
        self.lock().clone()
    }

    pub(super) fn define(&self, name: &str, fresh: Metric) {
        self.lock().entry(name.to_owned()).or_insert(fresh);
    }

    pub(super) fn change<T>(&self, name: &str, change: impl FnOnce(&mut Metric) -> T) -> Option<T> {
        self.lock().get_mut(name).map(change)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Metric>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
