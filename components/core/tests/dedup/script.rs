//! The tables of these tests, and their random numbers.

use countersign_core::dedup::{MemoryTable, Part, Slot, TableSize, TableStore};

pub(crate) const SCOPE: &str = "sandbox/default";

/// The smallest table, with `entries_per_slot`.
pub(crate) fn store(entries_per_slot: u8) -> TableStore<MemoryTable> {
    TableStore::new(MemoryTable::default(), SCOPE, TableSize { slots: 64, entries_per_slot })
}

pub(crate) const fn slot(part: Part<'_>) -> Slot<'_> {
    Slot { scope: SCOPE, part }
}

/// A slot of events in the smallest table.
pub(crate) const fn event_slot(index: u32) -> Slot<'static> {
    slot(Part::Event { slots: 64, index })
}

/// A slot of fallback identities in the smallest table.
pub(crate) const fn fallback_slot(index: u32) -> Slot<'static> {
    slot(Part::Fallback { slots: 64, index })
}

/// SplitMix64, so that every run of a script is the same.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
