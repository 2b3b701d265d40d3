//! Shared data: the store that all VMs of one `vm_id` in one Envoy process see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::status::Status;

/// One process's shared data. Clones are the same store: hand one to each [`super::FilterHost`] that is to be another worker
/// thread of the same Envoy.
///
/// As in the C++ host: a token is never 0; a write without a token (0) is blind; a write with any token to a key that is not
/// there inserts, which makes a token that was never issued an insert-if-absent; a write with another token than the key's own
/// is refused. There is no removal in the ABI: the Rust SDK "removes" by writing an empty value, so the key and its token stay.
#[derive(Clone, Debug, Default)]
pub struct SharedData {
    store: Arc<Mutex<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    /// By `vm_id`.
    values: BTreeMap<String, Values>,
    /// How many tokens were issued, over all keys.
    issued: u32,
}

/// key → (value, token)
type Values = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

impl SharedData {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value and its token.
    #[must_use]
    pub fn read(&self, vm_id: &str, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.lock().values.get(vm_id)?.get(key).cloned()
    }

    /// Writes what a test wants the filter to find, whatever is there.
    pub fn write(&self, vm_id: &str, key: &[u8], value: &[u8]) {
        // A blind write is never refused.
        let _ = self.set(vm_id, key, value, 0);
    }

    /// Writes as a filter does: with a token. `false` where the key has another one, and nothing is written then.
    #[must_use]
    pub fn compare_and_set(&self, vm_id: &str, key: &[u8], value: &[u8], token: u32) -> bool {
        self.set(vm_id, key, value, token).is_ok()
    }

    /// The keys of a `vm_id`, in byte order.
    #[must_use]
    pub fn keys(&self, vm_id: &str) -> Vec<Vec<u8>> {
        self.lock().values.get(vm_id).map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
    }

    /// How many bytes the values of a `vm_id` take.
    #[must_use]
    pub fn value_bytes(&self, vm_id: &str) -> usize {
        let store = self.lock();
        store.values.get(vm_id).map_or(0, |keys| keys.values().map(|(value, _)| value.len()).sum())
    }

    pub(super) fn set(&self, vm_id: &str, key: &[u8], value: &[u8], token: u32) -> Result<(), Status> {
        let mut store = self.lock();
        let held = store.values.get(vm_id).and_then(|keys| keys.get(key)).map(|(_, token)| *token);
        if token != 0 && held.is_some_and(|held| held != token) {
            return Err(Status::CasMismatch);
        }
        store.issued = store.issued.checked_add(1).unwrap_or(1);
        let issued = store.issued;
        store.values.entry(vm_id.to_owned()).or_default().insert(key.to_vec(), (value.to_vec(), issued));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
