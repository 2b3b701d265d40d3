//! The slots of the store in the proxy's shared data: written once with the never-issued token, replaced by version ever after.
//!
//! Shared data knows no expiry and no listing, and removing a key keeps it; a fixed set of keys is what keeps it bounded.

use core::fmt::Write as _;

use countersign_core::dedup::{Slot, Swap, Table};
use countersign_core::store::StoreFault;
use countersign_core::text::Text;

use crate::abi::{self, Refused};

/// Shared data as a compare-and-swap table.
#[derive(Debug, Default)]
pub(crate) struct SharedData;

impl Table for SharedData {
    type Version = u32;

    fn read(&mut self, slot: Slot<'_>, into: &mut Vec<u8>) -> Result<Option<u32>, StoreFault> {
        into.clear();
        match abi::shared_data(key(slot).as_str().as_bytes()) {
            Ok(Some((bytes, version))) => {
                *into = bytes;
                Ok(Some(version))
            }
            Ok(None) => Ok(None),
            Err(_) => Err(StoreFault::Unavailable),
        }
    }

    fn insert(&mut self, slot: Slot<'_>, bytes: &[u8]) -> Result<Swap, StoreFault> {
        swap(abi::insert_shared_data(key(slot).as_str().as_bytes(), bytes))
    }

    fn replace(&mut self, slot: Slot<'_>, bytes: &[u8], version: u32) -> Result<Swap, StoreFault> {
        swap(abi::replace_shared_data(key(slot).as_str().as_bytes(), bytes, version))
    }
}

/// A slot's key: at most 96 characters and a partner's name of at most 64.
fn key(slot: Slot<'_>) -> Text<160> {
    let mut key = Text::EMPTY;
    let _fits = write!(key, "{slot}");
    key
}

fn swap(result: Result<(), Refused>) -> Result<Swap, StoreFault> {
    match result {
        Ok(()) => Ok(Swap::Done),
        Err(Refused::CAS_MISMATCH) => Ok(Swap::Conflict),
        Err(_) => Err(StoreFault::Unavailable),
    }
}
