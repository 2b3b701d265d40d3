//! A table that several stores share, and in which something may happen before and after every call.

use std::sync::{Arc, Mutex};

use countersign_core::dedup::{MemoryTable, Slot, Swap, Table, TableSize, TableStore};
use countersign_core::store::StoreFault;

use crate::claims::{claim, release};
use crate::script::SCOPE;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The call is made.
    Go,
    /// The call fails without effect.
    Fault,
    /// The call has its effect, and the answer is lost.
    GoThenFault,
}

/// One call of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The number of the call, from 0.
    pub(crate) number: u32,
    /// The slot's key.
    pub(crate) slot: String,
    /// Whether it is a swap.
    pub(crate) is_swap: bool,
}

type Before = Box<dyn FnMut(&Call) -> Act + Send>;

/// A handle on a shared table.
pub(crate) struct Hooked {
    pub(crate) table: Arc<Mutex<MemoryTable>>,
    calls: u32,
    is_armed: bool,
    before: Before,
}

impl Hooked {
    pub(crate) fn new(
        table: &Arc<Mutex<MemoryTable>>,
        before: impl FnMut(&Call) -> Act + Send + 'static,
    ) -> Self {
        Self { table: Arc::clone(table), calls: 0, is_armed: false, before: Box::new(before) }
    }

    /// From here on there is something before every call.
    pub(crate) fn arm(&mut self) {
        self.is_armed = true;
    }

    fn act(&mut self, slot: Slot<'_>, is_swap: bool) -> Act {
        if !self.is_armed {
            return Act::Go;
        }
        let call = Call { number: self.calls, slot: slot.to_string(), is_swap };
        self.calls += 1;
        (self.before)(&call)
    }

    fn call<R>(
        &mut self,
        slot: Slot<'_>,
        is_swap: bool,
        run: impl FnOnce(&mut MemoryTable) -> Result<R, StoreFault>,
    ) -> Result<R, StoreFault> {
        match self.act(slot, is_swap) {
            Act::Go => run(&mut self.table.lock().unwrap()),
            Act::Fault => Err(StoreFault::Unavailable),
            Act::GoThenFault => run(&mut self.table.lock().unwrap()).and(Err(StoreFault::Unavailable)),
        }
    }
}

impl Table for Hooked {
    type Version = u64;

    fn read(&mut self, slot: Slot<'_>, bytes: &mut Vec<u8>) -> Result<Option<u64>, StoreFault> {
        self.call(slot, false, |table| table.read(slot, bytes))
    }

    fn insert(&mut self, slot: Slot<'_>, bytes: &[u8]) -> Result<Swap, StoreFault> {
        self.call(slot, true, |table| table.insert(slot, bytes))
    }

    fn replace(&mut self, slot: Slot<'_>, bytes: &[u8], version: u64) -> Result<Swap, StoreFault> {
        self.call(slot, true, |table| table.replace(slot, bytes, version))
    }
}

pub(crate) const SHAPE: TableSize = TableSize { slots: 64, entries_per_slot: 8 };

/// A table that can be shared.
pub(crate) fn shared() -> Arc<Mutex<MemoryTable>> {
    Arc::default()
}

/// A store over a shared table, undisturbed.
pub(crate) fn plain(table: &Arc<Mutex<MemoryTable>>) -> TableStore<Hooked> {
    disturbed(table, |_| Act::Go)
}

/// A store over a shared table that has read the sizes, with something before every call from then on.
pub(crate) fn disturbed(
    table: &Arc<Mutex<MemoryTable>>,
    before: impl FnMut(&Call) -> Act + Send + 'static,
) -> TableStore<Hooked> {
    sized(table, SHAPE, before)
}

/// As [`disturbed`], in a table of that size.
pub(crate) fn sized(
    table: &Arc<Mutex<MemoryTable>>,
    size: TableSize,
    before: impl FnMut(&Call) -> Act + Send + 'static,
) -> TableStore<Hooked> {
    let mut store = TableStore::new(Hooked::new(table, before), SCOPE, size);
    // Nothing is there to be released.
    store.settle(&release(&claim(63, 1, 0), 0)).unwrap();
    store.table().arm();
    store
}

/// Rewrites a slot with its own bytes: a rival's swap that changes nothing but the version.
pub(crate) fn touch(table: &Arc<Mutex<MemoryTable>>, slot: Slot<'_>) {
    change(table, slot, |_| ());
}

/// Changes the bytes of a slot behind the stores' backs.
pub(crate) fn change(table: &Arc<Mutex<MemoryTable>>, slot: Slot<'_>, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut table = table.lock().unwrap();
    let mut bytes = Vec::new();
    let version = table.read(slot, &mut bytes).unwrap();
    edit(&mut bytes);
    let swap = match version {
        None => table.insert(slot, &bytes),
        Some(version) => table.replace(slot, &bytes, version),
    };
    assert_eq!(swap, Ok(Swap::Done));
}

/// The bytes of a slot.
pub(crate) fn bytes_of(table: &Arc<Mutex<MemoryTable>>, slot: Slot<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.lock().unwrap().read(slot, &mut bytes).unwrap();
    bytes
}
