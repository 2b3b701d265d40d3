//! The two adapters over [`TableStore`]: a table in memory, and the proxy's shared data.

use std::sync::{Arc, Mutex};
use std::thread;

use countersign_core::dedup::{MemoryTable, Part as SlotPart, Slot, Swap, Table, TableSize, TableStore};
use countersign_core::store::StoreFault;
use countersign_host::proxy_wasm::SharedData;

use crate::adapter::{Act, Adapter, Part, Until, Worker};

const SCOPE: &str = "tests/default";
/// Small, so that neighbours meet; large enough that nothing is pushed out.
const SHAPE: TableSize = TableSize { slots: 64, entries_per_slot: 8 };
/// A compare-and-swap token that no host issues: writing with it is an insert-if-absent.
const NEVER_ISSUED: u32 = u32::MAX;
const VM: &str = "countersign";

/// A table that threads share.
trait Rows: Clone + Default + Send + 'static {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)>;
    fn insert(&self, key: &str, bytes: &[u8]) -> bool;
    fn replace(&self, key: &str, bytes: &[u8], version: u32) -> bool;
}

/// The core's own table behind a lock.
#[derive(Clone, Default)]
pub(crate) struct MemoryRows(Arc<Mutex<MemoryTable>>);

/// The proxy's shared data.
#[derive(Clone, Default)]
pub(crate) struct SharedRows(SharedData);

pub(crate) type Memory = Tables<MemoryRows>;
pub(crate) type Shared = Tables<SharedRows>;

/// An adapter over a shared table.
#[derive(Default)]
pub(crate) struct Tables<R>(R);

impl Rows for MemoryRows {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let mut bytes = Vec::new();
        let version = self.0.lock().unwrap().read(slot(key), &mut bytes).unwrap()?;
        Some((bytes, u32::try_from(version).unwrap()))
    }

    fn insert(&self, key: &str, bytes: &[u8]) -> bool {
        self.0.lock().unwrap().insert(slot(key), bytes) == Ok(Swap::Done)
    }

    fn replace(&self, key: &str, bytes: &[u8], version: u32) -> bool {
        self.0.lock().unwrap().replace(slot(key), bytes, version.into()) == Ok(Swap::Done)
    }
}

impl Rows for SharedRows {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.read(VM, key.as_bytes())
    }

    fn insert(&self, key: &str, bytes: &[u8]) -> bool {
        self.0.compare_and_set(VM, key.as_bytes(), bytes, NEVER_ISSUED)
    }

    fn replace(&self, key: &str, bytes: &[u8], version: u32) -> bool {
        self.0.compare_and_set(VM, key.as_bytes(), bytes, version)
    }
}

/// The slot of a key, so that one trait serves both tables.
fn slot(key: &str) -> Slot<'_> {
    let rest = key.strip_prefix("countersign/2/").and_then(|rest| rest.strip_prefix(SCOPE));
    let number = |text: &str| text.parse().unwrap();
    let words: Vec<&str> = rest.and_then(|rest| rest.strip_prefix('/')).unwrap().split('/').collect();
    let part = match words[..] {
        ["sizes"] => SlotPart::Sizes,
        ["quota", partner] => SlotPart::Rate(partner),
        ["source", index] => SlotPart::Source(number(index)),
        [slots, "event", index] => SlotPart::Event { slots: number(slots), index: number(index) },
        [slots, "again", index] => SlotPart::Fallback { slots: number(slots), index: number(index) },
        _ => panic!("{key}"),
    };
    Slot { scope: SCOPE, part }
}

/// One worker's view of the table, with the calls that are to fail.
struct View<R> {
    rows: R,
    calls: u64,
    failing: Option<(u64, Until, Act)>,
}

impl<R: Rows> View<R> {
    fn call<T>(&mut self, call: impl FnOnce(&R) -> T) -> Result<T, StoreFault> {
        let number = self.calls;
        self.calls += 1;
        // Rivals get their chance between any two calls.
        thread::yield_now();
        let act = self.failing.and_then(|(from, until, act)| {
            let fails = match until {
                Until::Next => number == from,
                Until::End => number >= from,
            };
            fails.then_some(act)
        });
        match act {
            None => Ok(call(&self.rows)),
            Some(Act::Fault) => Err(StoreFault::Unavailable),
            Some(Act::EffectThenFault) => {
                call(&self.rows);
                Err(StoreFault::Unavailable)
            }
        }
    }
}

fn swap(done: bool) -> Swap {
    if done { Swap::Done } else { Swap::Conflict }
}

impl<R: Rows> Table for View<R> {
    type Version = u32;

    fn read(&mut self, slot: Slot<'_>, bytes: &mut Vec<u8>) -> Result<Option<u32>, StoreFault> {
        Ok(self.call(|rows| rows.read(&slot.to_string()))?.map(|(stored, version)| {
            *bytes = stored;
            version
        }))
    }

    fn insert(&mut self, slot: Slot<'_>, bytes: &[u8]) -> Result<Swap, StoreFault> {
        self.call(|rows| swap(rows.insert(&slot.to_string(), bytes)))
    }

    fn replace(&mut self, slot: Slot<'_>, bytes: &[u8], version: u32) -> Result<Swap, StoreFault> {
        self.call(|rows| swap(rows.replace(&slot.to_string(), bytes, version)))
    }
}

impl<R: Rows> Adapter for Tables<R> {
    fn new() -> Self {
        Self(R::default())
    }

    fn worker(&self) -> Worker {
        Box::new(TableStore::new(View { rows: self.0.clone(), calls: 0, failing: None }, SCOPE, SHAPE))
    }

    fn failing(&self, from: u64, until: Until, act: Act) -> Worker {
        let failing = Some((from, until, act));
        Box::new(TableStore::new(View { rows: self.0.clone(), calls: 0, failing }, SCOPE, SHAPE))
    }

    fn garble(&self, part: Part, way: usize) -> bool {
        let parts: Vec<SlotPart<'_>> = match part {
            Part::Event => (0..64).map(|index| SlotPart::Event { slots: 64, index }).collect(),
            Part::Fallback => (0..16).map(|index| SlotPart::Fallback { slots: 64, index }).collect(),
            Part::Quota => vec![SlotPart::Rate("acme")],
            Part::Source => (0..4096).map(SlotPart::Source).collect(),
        };
        for part in parts {
            let key = Slot { scope: SCOPE, part }.to_string();
            let Some((mut bytes, version)) = self.0.read(&key) else { continue };
            match way {
                0 => bytes.clear(),
                1 => bytes.truncate(bytes.len() - 1),
                2 => bytes.push(0),
                3 => bytes.fill(0xff),
                4 => bytes.fill(0),
                _ => match bytes.get_mut((way - 5) * 8) {
                    Some(byte) => *byte ^= 0x10,
                    None => return false,
                },
            }
            assert!(self.0.replace(&key, &bytes, version));
        }
        true
    }
}
