//! The bytes of one slot: a header, a ring of entries of one size, and a check over both.
//!
//! ```text
//!  offset  bytes  meaning (numbers are little-endian)
//!       0      1  format: 2
//!       1      1  kind: 1 events, 2 fallback identities, 3 a quota, 4 sources, 5 sizes
//!       2      1  n, the number of entries; 0 to 32
//!       3      1  zero
//!       4      4  where its entries are now: the slots of that table (0: here)
//!       8      8  closed until this instant (ms since the Unix epoch; 0: open)
//!      16      8  forgotten up to this instant: events of an earlier ts_event may have been here
//!      24  n × e  the entries
//!  24 + n × e  8  check: a 64-bit mix of everything before it, of the scope and of the slot's own place
//! ```
//!
//! The check is against accidents (a foreign program on the same key, a write that was cut short), not against somebody who
//! can write to the host's memory: nothing in it is secret. It finds every change that is confined to eight aligned bytes.

use alloc::vec::Vec;
use core::marker::PhantomData;

use super::entry::{Entry, EventEntry, FallbackEntry, RateEntry, SizeEntry, SourceEntry};
use super::table::{
    ENTRIES_MAX, Part, SLOTS_MAX, SLOTS_MIN, SOURCE_SLOTS, SOURCES_PER_SLOT, Slot, Swap, Table, TableSize,
    fallback_slots,
};
use super::{Counters, LEASE_MS_MAX};
use crate::store::StoreFault;
use crate::time::Timestamp;

/// A slot's record and the buffer that holds it from one operation to the next.
#[derive(Debug)]
pub(super) struct Record<E> {
    /// Header and entries, without the check.
    bytes: Vec<u8>,
    entries: PhantomData<E>,
}

/// What was found in a slot.
pub(super) enum Opened<V> {
    /// A record (or nothing yet: `None`, and the record is empty).
    Sound(Option<V>),
    /// Bytes that this program did not write there. The record is empty.
    Damaged(V),
}

const FORMAT: u8 = 2;
const HEADER_BYTES: usize = 24;
const CHECK_BYTES: usize = 8;
/// Places in the header.
const MOVED: usize = 4;
const CLOSED: usize = 8;
const FORGOTTEN: usize = 16;

impl<E: Entry> Record<E> {
    /// An empty record without memory.
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), entries: PhantomData }
    }

    /// Reads the record of a slot.
    pub(super) fn open<T: Table>(
        &mut self,
        table: &mut T,
        slot: Slot<'_>,
    ) -> Result<Opened<T::Version>, StoreFault> {
        let Some(version) = table.read(slot, &mut self.bytes)? else {
            self.clear();
            return Ok(Opened::Sound(None));
        };
        if self.strip_check(slot).is_some() {
            return Ok(Opened::Sound(Some(version)));
        }
        self.clear();
        Ok(Opened::Damaged(version))
    }

    /// Writes the record over garbage. Where a rival was first, it healed the slot or found it sound.
    pub(super) fn heal<T: Table>(
        &mut self,
        table: &mut T,
        slot: Slot<'_>,
        version: T::Version,
        counters: &mut Counters,
    ) -> Result<(), StoreFault> {
        if self.write(table, slot, Some(version))? == Swap::Done {
            counters.heals = counters.heals.saturating_add(1);
        }
        self.clear();
        Ok(())
    }

    /// Writes the record to its slot, over the version that was read. The record must be opened again afterwards.
    pub(super) fn write<T: Table>(
        &mut self,
        table: &mut T,
        slot: Slot<'_>,
        version: Option<T::Version>,
    ) -> Result<Swap, StoreFault> {
        let count = u8::try_from(self.len()).unwrap_or(u8::MAX);
        if let Some(place) = self.bytes.get_mut(2) {
            *place = count;
        }
        let check = check(seed(slot), &self.bytes);
        self.bytes.extend_from_slice(&check.to_le_bytes());
        match version {
            None => table.insert(slot, &self.bytes),
            Some(version) => table.replace(slot, &self.bytes, version),
        }
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.body().len().checked_div(E::BYTES).unwrap_or(0)
    }

    /// Every entry with its index.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, E)> {
        self.body()
            .chunks_exact(E::BYTES)
            .enumerate()
            .filter_map(|(index, entry)| Some((index, E::read(entry)?)))
    }

    /// The entry at an index.
    pub(super) fn at(&self, index: usize) -> Option<E> {
        self.body().chunks_exact(E::BYTES).nth(index).and_then(E::read)
    }

    /// The first entry of this name, with its index.
    pub(super) fn find(&self, name: &[u8]) -> Option<(usize, E)> {
        let mut entries = self.body().chunks_exact(E::BYTES).enumerate();
        let (index, entry) = entries.find(|(_, entry)| entry.starts_with(name))?;
        Some((index, E::read(entry)?))
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, entry: &E) {
        entry.put(&mut self.bytes);
    }

    /// Takes an entry out; those after it move up.
    pub(super) fn remove(&mut self, index: usize) {
        let start = index.saturating_mul(E::BYTES).saturating_add(HEADER_BYTES);
        let end = start.saturating_add(E::BYTES);
        if end <= self.bytes.len() {
            self.bytes.drain(start..end);
        }
    }

    /// Whether the slot serves no claims at `now`. The bound is that of a lease, for the same reason: see `Hold::is_live`.
    pub(super) fn is_closed(&self, now: Timestamp) -> bool {
        let until = self.instant_at(CLOSED);
        now < until && until.since_ms(now) <= LEASE_MS_MAX
    }

    /// Events of an earlier `ts_event` may have been here and were pushed out.
    pub(super) fn forgotten(&self) -> Timestamp {
        self.instant_at(FORGOTTEN)
    }

    /// Notes that events up to `ts_event` were pushed out.
    pub(super) fn forget(&mut self, ts_event: Timestamp) {
        let forgotten = self.forgotten().max(ts_event);
        self.set_instant(FORGOTTEN, forgotten);
    }

    /// The slots of the table that has the entries now; `None` where they are here.
    pub(super) fn moved_to(&self) -> Option<u32> {
        let slots =
            self.bytes.get(MOVED..).and_then(<[u8]>::first_chunk).map(|slots| u32::from_le_bytes(*slots));
        slots.filter(|slots| *slots > 0)
    }

    /// Takes everything out: the entries are in the table of so many slots now, for good. What was forgotten stays forgotten.
    pub(super) fn mark_moved(&mut self, slots: u32) {
        let forgotten = self.forgotten();
        self.clear();
        self.set_instant(FORGOTTEN, forgotten);
        if let Some(place) = self.bytes.get_mut(MOVED..).and_then(<[u8]>::first_chunk_mut) {
            *place = slots.to_le_bytes();
        }
    }

    /// Takes everything out, at `now`, and closes the slot for claims until `closed_until`.
    pub(super) fn close(&mut self, now: Timestamp, closed_until: Timestamp) {
        self.clear();
        self.set_instant(CLOSED, closed_until);
        self.set_instant(FORGOTTEN, now);
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[FORMAT, E::KIND]);
        self.bytes.resize(HEADER_BYTES, 0);
    }

    fn instant_at(&self, place: usize) -> Timestamp {
        let ms = self.bytes.get(place..).and_then(<[u8]>::first_chunk);
        Timestamp::from_ms(ms.map_or(0, |ms| u64::from_le_bytes(*ms)))
    }

    fn set_instant(&mut self, place: usize, instant: Timestamp) {
        if let Some(bytes) = self.bytes.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
            *bytes = instant.as_ms().to_le_bytes();
        }
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Takes the check off the end of a record that is whole; `None` where it is not.
    fn strip_check(&mut self, slot: Slot<'_>) -> Option<()> {
        let (record, stored) = self.bytes.split_last_chunk::<CHECK_BYTES>()?;
        let (header, body) = record.split_first_chunk::<HEADER_BYTES>()?;
        let [format, kind, count, 0, a, b, c, d, instants @ ..] = *header else { return None };
        let moved_to = u32::from_le_bytes([a, b, c, d]);
        let (instants, _) = instants.as_chunks::<8>();
        let is_record = format == FORMAT
            && (moved_to == 0 || (count == 0 && (SLOTS_MIN..=SLOTS_MAX).contains(&moved_to)))
            && kind == E::KIND
            && count <= ENTRIES_MAX
            && usize::from(count).checked_mul(E::BYTES)? == body.len()
            && instants.iter().all(|instant| u64::from_le_bytes(*instant) <= Timestamp::MAX.as_ms())
            && check(seed(slot), record) == u64::from_le_bytes(*stored)
            && body.chunks_exact(E::BYTES).all(|entry| E::read(entry).is_some());
        let length = record.len();
        is_record.then(|| self.bytes.truncate(length))
    }
}

impl TableSize {
    /// Most bytes that the values of a table of this size take, without the partners' quotas (40 bytes each), the record of the
    /// sizes, and whatever the host adds for a key. The default: 18.9 MB of events, 24.6 MB of fallback identities if they are
    /// used at all, 0.7 MB of sources.
    #[must_use]
    pub fn bytes_max(self) -> u64 {
        let parts = [
            (self.event_slots(), record_bytes::<EventEntry>(self.entries())),
            (fallback_slots(self.event_slots()), record_bytes::<FallbackEntry>(self.entries())),
            (SOURCE_SLOTS, record_bytes::<SourceEntry>(SOURCES_PER_SLOT)),
        ];
        parts.iter().fold(0, |sum: u64, (slots, bytes)| {
            let bytes = u64::try_from(*bytes).unwrap_or(u64::MAX);
            sum.saturating_add(u64::from(*slots).saturating_mul(bytes))
        })
    }
}

/// Bytes of a record with `entries` entries.
fn record_bytes<E: Entry>(entries: usize) -> usize {
    E::BYTES.saturating_mul(entries).saturating_add(HEADER_BYTES).saturating_add(CHECK_BYTES)
}

/// A 64-bit check of bytes whose number is a multiple of eight. Each step is a bijection of the state, so two inputs that
/// differ in one word have different checks; others agree with probability 2⁻⁶⁴.
fn check(seed: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let state =
        words.iter().fold(mix(seed, FORMAT.into()), |state, word| mix(state, u64::from_le_bytes(*word)));
    rest.iter().fold(state, |state, byte| mix(state, u64::from(*byte)))
}

/// Seeds the check of a slot's record, so that one that strayed from another slot or another scope does not pass here.
fn seed(slot: Slot<'_>) -> u64 {
    let (kind, slots, index, name) = match slot.part {
        Part::Sizes => (SizeEntry::KIND, 0, 0, ""),
        Part::Event { slots, index } => (EventEntry::KIND, slots, index, ""),
        Part::Fallback { slots, index } => (FallbackEntry::KIND, slots, index, ""),
        Part::Source(index) => (SourceEntry::KIND, 0, index, ""),
        Part::Rate(partner) => (RateEntry::KIND, 0, 0, partner),
    };
    let place = (u64::from(slots) << 32) | u64::from(index);
    let text = slot.scope.bytes().chain([0, kind]).chain(name.bytes());
    text.fold(place, |seed, byte| mix(seed, byte.into()))
}

/// One step of the check: the odd multiplier and the shift are those of the SplitMix64 finaliser.
fn mix(state: u64, word: u64) -> u64 {
    let mixed = (state ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Opened, Record};
    use crate::dedup::entry::{Entry, EventEntry, FallbackEntry, Hold, State};
    use crate::dedup::table::{MemoryTable, Part, Slot};
    use crate::event::EventId;
    use crate::time::Timestamp;

    /// Whether an entry with these bytes changed passes, once the check is right again.
    fn passes<E: Entry>(slot: Slot<'_>, entry: &E, changes: &[(usize, u8)]) -> bool {
        let (mut table, mut record) = (MemoryTable::default(), Record::new());
        record.open(&mut table, slot).unwrap();
        record.push(entry);
        for (offset, value) in changes {
            record.bytes[HEADER_BYTES..][*offset] = *value;
        }
        record.write(&mut table, slot, None).unwrap();
        matches!(record.open(&mut table, slot), Ok(Opened::Sound(Some(_))))
    }

    #[test]
    fn an_entry_that_cannot_have_been_written_is_damage_though_the_check_is_right() {
        let hold = Hold { state: State::Pending, until: Timestamp::MAX, receipt_key: 7 };
        let event = EventEntry { name: [1; 16], payload_check: [2; 8], hold };
        let slot = Slot { scope: "sandbox/default", part: Part::Event { slots: 64, index: 1 } };
        assert!(passes(slot, &event, &[]));
        assert!(passes(slot, &event, &[(31, 2)]), "committed");
        assert!(!passes(slot, &event, &[(31, 0)]), "no such state");
        assert!(passes(slot, &event, &[(31, 3)]), "a duplicate");
        assert!(!passes(slot, &event, &[(31, 4)]), "no such state");
        assert!(passes(slot, &event, &[(30, 1)]), "another receipt key");
        assert!(!passes(slot, &event, &[(29, 0xff)]), "an instant after the end of time");

        let event_id = EventId::new("e1").unwrap();
        let fallback =
            FallbackEntry { name: [1; 16], owner: [2; 16], hold, ts_event: Timestamp::MAX, event_id };
        let slot = Slot { scope: "sandbox/default", part: Part::Fallback { slots: 64, index: 1 } };
        assert!(passes(slot, &fallback, &[]));
        assert!(!passes(slot, &fallback, &[(39, 9)]), "no such state");
        assert!(!passes(slot, &fallback, &[(47, 1)]), "an event after the end of time");
        assert!(passes(slot, &fallback, &[(48, 128)]), "as long as an id may be");
        assert!(!passes(slot, &fallback, &[(48, 129)]), "longer");
        assert!(!passes(slot, &fallback, &[(55, 0x80)]), "longer than anything");
        assert!(!passes(slot, &fallback, &[(56, 0xff)]), "not UTF-8");
    }
}
