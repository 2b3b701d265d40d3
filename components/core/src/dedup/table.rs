//! The table under the store: slots that are read whole, written once while absent, and replaced by version ever after.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::store::{Fingerprint, SourceKey, StoreFault};

/// A compare-and-swap table, such as Envoy's shared data: no expiry, no listing, and rivals that act between any two calls.
///
/// # Security
/// `insert` must be exclusive: of two racing inserts exactly one is [`Swap::Done`]. A host whose write of an absent key is
/// blind lets both racers win, and the event is handed on twice. (Envoy: set with a version that was never issued.)
pub trait Table {
    /// What `read` hands out and `replace` compares. A version never comes back for other bytes of the same slot.
    type Version: Copy;

    /// Reads a slot: its bytes take the place of what is in `bytes`. `None` where the slot was never written.
    ///
    /// A slot that was written and has lost its value (a key that somebody removed) is read as present and empty: such a
    /// slot heals as a garbled one does.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer.
    fn read(&mut self, slot: Slot<'_>, bytes: &mut Vec<u8>) -> Result<Option<Self::Version>, StoreFault>;

    /// Writes a slot that was never written; [`Swap::Conflict`] where it was.
    ///
    /// # Errors
    /// A [`StoreFault`] where the host could not answer; the slot may or may not be written then.
    fn insert(&mut self, slot: Slot<'_>, bytes: &[u8]) -> Result<Swap, StoreFault>;

    /// Writes a slot that still has `version`; [`Swap::Conflict`] where it has another.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    fn replace(&mut self, slot: Slot<'_>, bytes: &[u8], version: Self::Version) -> Result<Swap, StoreFault>;
}

/// Whether a compare-and-swap took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The slot holds the new bytes.
    Done,
    /// A rival was first; the slot holds its bytes.
    Conflict,
}

/// One slot of a scope's table.
///
/// Displayed, it is the slot's key in a key-value store, such as `countersign/2/production/default/65536/event/4711`: at most
/// 96 ASCII characters and the partner's name. The number of slots is part of the key, so that tables of two sizes stand side
/// by side while the one is moved to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot<'s> {
    /// Environment and name of the document, `production/default`. Nothing is shared between scopes.
    pub scope: &'s str,
    /// Which of the scope's slots.
    pub part: Part<'s>,
}

/// The slots of one scope: a fixed number for each size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part<'s> {
    /// The sizes in use, and since when.
    Sizes,
    /// A ring of events.
    Event {
        /// [`TableSize::slots`] of its table.
        slots: u32,
        /// Less than `slots`.
        index: u32,
    },
    /// A ring of fallback identities.
    Fallback {
        /// [`TableSize::slots`] of its table.
        slots: u32,
        /// Less than a quarter of `slots`.
        index: u32,
    },
    /// The quota of the partner of this name. Partners are named in the configuration, so there are no more than those.
    Rate(&'s str),
    /// A ring of sources with refusals; the index is less than [`SOURCE_SLOTS`].
    Source(u32),
}

impl fmt::Display for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope;
        match self.part {
            Part::Sizes => write!(f, "countersign/2/{scope}/sizes"),
            Part::Event { slots, index } => write!(f, "countersign/2/{scope}/{slots}/event/{index}"),
            Part::Fallback { slots, index } => write!(f, "countersign/2/{scope}/{slots}/again/{index}"),
            Part::Rate(partner) => write!(f, "countersign/2/{scope}/quota/{partner}"),
            Part::Source(index) => write!(f, "countersign/2/{scope}/source/{index}"),
        }
    }
}

/// Size of the table. A number outside its range is taken as the nearest inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Slots for events; [`SLOTS_MIN`] to [`SLOTS_MAX`]. A quarter as many hold fallback identities.
    pub slots: u32,
    /// Events (or fallback identities) in a slot; 1 to [`ENTRIES_MAX`].
    pub entries_per_slot: u8,
}

/// Fewest slots for events.
pub const SLOTS_MIN: u32 = 64;
/// Most slots for events.
pub const SLOTS_MAX: u32 = 1_048_576;
/// Most entries in a slot.
pub const ENTRIES_MAX: u8 = 32;
/// Slots for sources with refusals.
pub const SOURCE_SLOTS: u32 = 4096;
/// Sources in a slot.
pub const SOURCES_PER_SLOT: usize = 8;

impl Default for TableSize {
    /// 65,536 slots of 8 events: half a million events are remembered.
    fn default() -> Self {
        Self { slots: 65_536, entries_per_slot: 8 }
    }
}

impl TableSize {
    pub(super) fn entries(self) -> usize {
        usize::from(self.entries_per_slot.clamp(1, ENTRIES_MAX))
    }

    pub(super) fn event_slots(self) -> u32 {
        self.slots.clamp(SLOTS_MIN, SLOTS_MAX)
    }
}

/// Slots for fallback identities, of a table with so many for events.
pub(super) const fn fallback_slots(slots: u32) -> u32 {
    slots.div_ceil(4)
}

/// The slot of a source. The spread needs no secret: a source that fills a ring has paid a refusal for each place in it.
pub(super) fn source_part(source: SourceKey) -> Part<'static> {
    // The multiplier is 2⁶⁴ divided by the golden ratio: neighbouring networks are spread over all slots.
    let spread = u64::from_be_bytes(*source.as_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [a, b, c, d, ..] = spread.to_be_bytes();
    Part::Source(u32::from_be_bytes([a, b, c, d]).checked_rem(SOURCE_SLOTS).unwrap_or(0))
}

/// The place of a fingerprint among so many slots. It is the start of a SHA-256, so any part of it is spread evenly.
pub(super) fn index(fingerprint: &Fingerprint, slots: u32) -> u32 {
    let [a, b, c, d, ..] = *fingerprint;
    u32::from_be_bytes([a, b, c, d]).checked_rem(slots).unwrap_or(0)
}

/// A table in this process's memory, for tests and for hosts that are a single instance.
#[derive(Clone, Debug, Default)]
pub struct MemoryTable {
    slots: BTreeMap<String, (u64, Vec<u8>)>,
    key: String,
}

impl MemoryTable {
    /// Bytes of all values.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.slots.values().fold(0, |sum: u64, (_, bytes)| {
            sum.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
        })
    }

    /// Number of slots that were ever written.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    fn name(&mut self, slot: Slot<'_>) {
        self.key.clear();
        // Writing to a `String` cannot fail.
        let _infallible = write!(self.key, "{slot}");
    }
}

impl Table for MemoryTable {
    type Version = u64;

    fn read(&mut self, slot: Slot<'_>, bytes: &mut Vec<u8>) -> Result<Option<u64>, StoreFault> {
        self.name(slot);
        let Some((version, stored)) = self.slots.get(&self.key) else { return Ok(None) };
        bytes.clear();
        bytes.extend_from_slice(stored);
        Ok(Some(*version))
    }

    fn insert(&mut self, slot: Slot<'_>, bytes: &[u8]) -> Result<Swap, StoreFault> {
        self.name(slot);
        if self.slots.contains_key(&self.key) {
            return Ok(Swap::Conflict);
        }
        self.slots.insert(self.key.clone(), (0, bytes.into()));
        Ok(Swap::Done)
    }

    fn replace(&mut self, slot: Slot<'_>, bytes: &[u8], version: u64) -> Result<Swap, StoreFault> {
        self.name(slot);
        let Some((current, stored)) = self.slots.get_mut(&self.key) else { return Ok(Swap::Conflict) };
        if *current != version {
            return Ok(Swap::Conflict);
        }
        *current = version.wrapping_add(1);
        stored.clear();
        stored.extend_from_slice(bytes);
        Ok(Swap::Done)
    }
}
