//! The slots of one kind, in whichever table of the scope they are: how a table grows without forgetting.
//!
//! A table of another size has slots of its own. At any time exactly one slot has the say over a name: that of the smallest
//! table whose slot for the name is not *moved*. A claim for a larger table first moves the older slots of its name: it copies
//! what is in them into the larger table, then swaps the old slot for a mark that says where everything went. The mark is final.
//!
//! * A store of the old size claims in the old slot by compare-and-swap, so it loses against the mark, finds it, and goes
//!   on in the larger table. Both sides of a growth can be at work for as long as they like.
//! * The new slot is read after every older one is marked, so nothing can be claimed beside what is read there.
//! * A copy that was made before the old slot changed once more is harmless. A commit wins over a claim that is pending, and the
//!   later lease over the earlier; a claim that was released in between stays pending until its lease ends, which delays a retry
//!   and hands nothing on twice.

use alloc::vec;
use alloc::vec::Vec;

use super::SWAP_TRIES_MAX;
use super::base::Base;
use super::claim::make_room;
use super::entry::{Held, State};
use super::record::{Opened, Record};
use super::table::{Slot, Swap, Table};
use crate::store::{Fingerprint, StoreFault};
use crate::time::Timestamp;

/// The slots of one kind, and the record of the one that an operation is at.
#[derive(Debug)]
pub(super) struct Rings<E> {
    pub(super) record: Record<E>,
    /// For moving: what is taken from, and what is put into.
    from: Record<E>,
    into: Record<E>,
    /// By older size, one number for each slot that is moved. One more than the second up to which it has forgotten events; 0 where
    /// nothing is known yet.
    moved: Vec<(u32, Vec<u32>)>,
}

/// Where a record was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<V> {
    /// Slots of its table.
    slots: u32,
    name: Fingerprint,
    version: Option<V>,
    /// Events of an earlier `ts_event` may have been known here.
    pub(super) forgotten: Timestamp,
}

/// What a slot is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// A claim: a slot that was garbled is closed to it, because what was under way may have been in it.
    Claim,
    /// A settlement: a commit into a closed slot is kept.
    Settlement,
}

/// How the move of a slot went on.
enum Moved {
    /// Everything is in the newest table that is known, or was there before; events up to here are forgotten.
    Done(Timestamp),
    /// There is a newer table.
    Newer(u32),
}

impl<E: Held> Rings<E> {
    pub(super) const fn new() -> Self {
        Self { record: Record::new(), from: Record::new(), into: Record::new(), moved: Vec::new() }
    }

    /// Opens the slot that has the say over a name.
    pub(super) fn open<T: Table>(
        &mut self,
        base: &mut Base<T>,
        name: &Fingerprint,
        now: Timestamp,
        purpose: For,
    ) -> Result<Place<T::Version>, StoreFault> {
        for _ in 0..SWAP_TRIES_MAX {
            let forgotten = match self.gather(base, name, now)? {
                Moved::Done(forgotten) => forgotten,
                Moved::Newer(slots) => {
                    base.adopt(slots, now)?;
                    continue;
                }
            };
            let slots = base.slots();
            let slot = Slot { scope: &base.scope, part: E::part(name, slots) };
            match self.record.open(&mut base.table, slot)? {
                Opened::Sound(version) => {
                    if let Some(slots) = self.record.moved_to() {
                        base.adopt(slots, now)?;
                        continue;
                    }
                    if purpose == For::Claim && self.record.is_closed(now) {
                        return Err(StoreFault::Corrupt);
                    }
                    let forgotten = forgotten.max(self.record.forgotten());
                    return Ok(Place { slots, name: *name, version, forgotten });
                }
                Opened::Damaged(version) => {
                    self.record.close(now, now.plus_ms(base.lease_ms));
                    self.record.heal(&mut base.table, slot, version, &mut base.counters)?;
                    if purpose == For::Claim {
                        return Err(StoreFault::Corrupt);
                    }
                }
            }
        }
        Err(StoreFault::Contended)
    }

    /// Swaps the record in where it was read.
    pub(super) fn write<T: Table>(
        &mut self,
        base: &mut Base<T>,
        place: &Place<T::Version>,
    ) -> Result<Swap, StoreFault> {
        let slot = Slot { scope: &base.scope, part: E::part(&place.name, place.slots) };
        let swap = self.record.write(&mut base.table, slot, place.version)?;
        if swap == Swap::Conflict {
            base.counters.lost_a_swap();
        }
        Ok(swap)
    }

    /// Moves the older slots of a name.
    fn gather<T: Table>(
        &mut self,
        base: &mut Base<T>,
        name: &Fingerprint,
        now: Timestamp,
    ) -> Result<Moved, StoreFault> {
        let mut forgotten = Timestamp::from_ms(0);
        for older in 0..base.older().len() {
            let Some(slots) = base.older().get(older).copied() else { break };
            let (count, index) = E::place(name, slots);
            let known = self.known(slots, count, index).filter(|known| **known > 0).copied();
            let up_to = match known {
                Some(known) => Timestamp::from_ms(u64::from(known).saturating_sub(1).saturating_mul(1000)),
                None => match self.move_slot(base, name, slots, now)? {
                    Moved::Done(up_to) => {
                        let seconds = up_to.as_ms().div_ceil(1000).saturating_add(1);
                        if let Some(known) = self.known(slots, count, index) {
                            *known = u32::try_from(seconds).unwrap_or(u32::MAX);
                        }
                        up_to
                    }
                    newer @ Moved::Newer(_) => return Ok(newer),
                },
            };
            forgotten = forgotten.max(up_to);
        }
        Ok(Moved::Done(forgotten))
    }

    /// What is known of a slot of an older size.
    fn known(&mut self, slots: u32, count: u32, index: u32) -> Option<&mut u32> {
        if !self.moved.iter().any(|(size, _)| *size == slots) {
            let unknown = vec![0; usize::try_from(count).unwrap_or(0)];
            self.moved.push((slots, unknown));
        }
        let (_, known) = self.moved.iter_mut().find(|(size, _)| *size == slots)?;
        known.get_mut(usize::try_from(index).ok()?)
    }

    /// Moves one slot of an older table, all of it, for it can only be marked as a whole.
    fn move_slot<T: Table>(
        &mut self,
        base: &mut Base<T>,
        name: &Fingerprint,
        slots: u32,
        now: Timestamp,
    ) -> Result<Moved, StoreFault> {
        for _ in 0..SWAP_TRIES_MAX {
            let slot = Slot { scope: &base.scope, part: E::part(name, slots) };
            let version = match self.from.open(&mut base.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.from.close(now, now.plus_ms(base.lease_ms));
                    self.from.heal(&mut base.table, slot, version, &mut base.counters)?;
                    return Err(StoreFault::Corrupt);
                }
            };
            if let Some(to) = self.from.moved_to() {
                let is_newer = to > base.slots();
                return Ok(if is_newer { Moved::Newer(to) } else { Moved::Done(self.from.forgotten()) });
            }
            // It cannot be told for which names of the larger table this slot was closed.
            if self.from.is_closed(now) {
                return Err(StoreFault::Corrupt);
            }
            let mut moved: u64 = 0;
            for place in 0..self.from.len() {
                let Some(entry) = self.from.at(place).filter(|entry| entry.hold().is_live(now)) else {
                    continue;
                };
                if let Moved::Newer(to) = self.put(base, &entry, now)? {
                    return Ok(Moved::Newer(to));
                }
                moved = moved.saturating_add(1);
            }
            let forgotten = self.from.forgotten();
            self.from.mark_moved(base.slots());
            let slot = Slot { scope: &base.scope, part: E::part(name, slots) };
            match self.from.write(&mut base.table, slot, version)? {
                Swap::Done => {
                    base.counters.moved = base.counters.moved.saturating_add(moved);
                    return Ok(Moved::Done(forgotten));
                }
                Swap::Conflict => base.counters.lost_a_swap(),
            }
        }
        Err(StoreFault::Contended)
    }

    /// Puts a copy of an entry into the newest table that is known.
    fn put<T: Table>(&mut self, base: &mut Base<T>, entry: &E, now: Timestamp) -> Result<Moved, StoreFault> {
        for _ in 0..SWAP_TRIES_MAX {
            let slot = Slot { scope: &base.scope, part: E::part(entry.name(), base.slots()) };
            let version = match self.into.open(&mut base.table, slot)? {
                Opened::Sound(version) => version,
                Opened::Damaged(version) => {
                    self.into.close(now, now.plus_ms(base.lease_ms));
                    self.into.heal(&mut base.table, slot, version, &mut base.counters)?;
                    return Err(StoreFault::Corrupt);
                }
            };
            if let Some(to) = self.into.moved_to() {
                return Ok(Moved::Newer(to));
            }
            let found = self.into.entries().find(|(_, other)| other.is_same(entry));
            if let Some((index, other)) = found {
                if !supersedes(entry, &other, now) {
                    return Ok(Moved::Done(Timestamp::from_ms(0)));
                }
                self.into.remove(index);
            }
            let losses = make_room(&mut self.into, now, base.retention_ms, base.size.entries())?;
            self.into.push(entry);
            match self.into.write(&mut base.table, slot, version)? {
                Swap::Done => {
                    base.counters.add(losses);
                    return Ok(Moved::Done(Timestamp::from_ms(0)));
                }
                Swap::Conflict => base.counters.lost_a_swap(),
            }
        }
        Err(StoreFault::Contended)
    }
}

/// Whether an entry takes the place of another of the same claim: what is a fact before what is pending, then the later lease. Of two
/// facts the one that is there stays.
fn supersedes<E: Held>(entry: &E, other: &E, now: Timestamp) -> bool {
    let (entry, other) = (entry.hold(), other.hold());
    if !other.is_live(now) {
        return true;
    }
    match (entry.state, other.state) {
        (_, State::Committed | State::Duplicate) => false,
        (State::Committed | State::Duplicate, State::Pending) => true,
        (State::Pending, State::Pending) => entry.until > other.until,
    }
}
