//! Memory: what the table takes at most, who is forgotten first, and buffers that are used again.

use countersign_core::dedup::{MemoryTable, SLOTS_MAX, SLOTS_MIN, Slot, Swap, Table, TableSize, TableStore};
use countersign_core::store::{Claim, HandOn, StoreFault};

use crate::claims::*;
use crate::script::*;

#[test]
fn two_million_events_take_what_the_default_shape_allows_and_no_more() {
    let shape = TableSize::default();
    let mut store = TableStore::new(MemoryTable::default(), SCOPE, shape);
    let mut seed = Seed(1);
    let mut sizes = Vec::new();
    let mut claim = Claim { hand_on: HandOn::WithClaim, retention_ms: 30 * 86_400_000, ..claim(0, 1, 0) };
    for event in 0..2_000_000_u64 {
        claim.now = at(event);
        claim.key.fingerprint[..8].copy_from_slice(&seed.below(u64::MAX).to_be_bytes());
        claim.key.fingerprint[8..].copy_from_slice(&event.to_be_bytes());
        assert_eq!(store.claim(&claim), Ok(FRESH));
        if event % 500_000 == 499_999 {
            sizes.push(store.table().bytes());
        }
    }
    let full = 65_536 * (32 + 8 * 32);
    // And the record of the sizes.
    assert_eq!((store.table().slots(), sizes[3]), (65_537, full + 48));
    assert_eq!(store.take_counters().evictions, 2_000_000 - 65_536 * 8);
    assert!(full < shape.bytes_max(), "the rest is for fallback identities and sources");
    assert_eq!(shape.bytes_max(), full + 16_384 * (32 + 8 * 184) + 4096 * (32 + 8 * 16));
}

#[test]
fn fallback_identities_are_bounded_too() {
    let shape = TableSize { slots: 64, entries_per_slot: 2 };
    let mut store = TableStore::new(MemoryTable::default(), SCOPE, shape);
    for event in 0..20_000 {
        let claim = Claim { hand_on: HandOn::WithClaim, ..claim_of_click(event, event, event) };
        assert_eq!(store.claim(&claim), Ok(FRESH));
    }
    let sources = 4096 * (32 + 8 * 16);
    assert_eq!(store.table().bytes(), shape.bytes_max() - sources + 48);
    assert_eq!(store.table().slots(), 64 + 16 + 1);
}

#[test]
fn a_shape_outside_its_range_is_the_nearest_inside() {
    let bytes = |slots, entries_per_slot| TableSize { slots, entries_per_slot }.bytes_max();
    assert_eq!(bytes(0, 0), bytes(SLOTS_MIN, 1));
    assert_eq!(bytes(u32::MAX, u8::MAX), bytes(SLOTS_MAX, 32));
    let mut store =
        TableStore::new(MemoryTable::default(), SCOPE, TableSize { slots: 0, entries_per_slot: 0 });
    assert_eq!(store.claim(&claim(1, 1, 0)), Ok(FRESH));
    assert_eq!(store.claim(&claim(65, 1, 0)), Err(StoreFault::Contended), "one entry is one entry");
}

/// Claims `event`, and commits it where `committed`.
fn add(store: &mut TableStore<MemoryTable>, event: u64, ms: u64, retention_ms: u64, committed: bool) {
    let claim = Claim { retention_ms, ..claim(event, 1, ms) };
    assert_eq!(store.claim(&claim), Ok(FRESH), "event {event}");
    if committed {
        store.settle(&settlement(&claim, countersign_core::store::End::Commit, ms)).unwrap();
    }
}

#[test]
fn what_is_over_makes_room_first_then_the_oldest_committed_and_never_a_live_claim() {
    let mut store = store(5);
    let now = 100_000;
    // All in slot 1. The order in which they were written is not the order in which they go.
    let [live_new, over_pending, over_committed, live_old, live_claim] = [1, 65, 129, 193, 257];
    add(&mut store, live_new, now, 9000, true);
    add(&mut store, over_pending, now - LEASE_MS, 9000, false);
    add(&mut store, over_committed, now - 5000, 5000, true);
    add(&mut store, live_old, now - 5000, 9000, true);
    add(&mut store, live_claim, now - 1, 9000, false);
    let mut add_and_count = |event| {
        add(&mut store, event, now, 9000, false);
        let counters = store.take_counters();
        (counters.evictions, counters.lease_expiries)
    };
    assert_eq!(add_and_count(321), (0, 0), "first what is over and committed");
    assert_eq!(add_and_count(385), (0, 1), "then what is over and was never settled");
    assert_eq!(add_and_count(449), (1, 0), "then the oldest live one");
    assert_eq!(store.claim(&claim(live_new, 1, now)), Ok(SEEN));
    assert_eq!(store.claim(&claim(live_claim, 1, now)), Ok(in_flight(LEASE_MS - 1)));
    add(&mut store, 513, now, 9000, false);
    assert_eq!(
        store.claim(&claim(577, 1, now)),
        Err(StoreFault::Contended),
        "five live claims fill the ring"
    );
    for event in [live_claim, 321, 385, 449, 513] {
        assert!(matches!(store.claim(&claim(event, 1, now)), Ok(answer) if answer != FRESH), "event {event}");
    }
    // A commit of somebody who lost its place cannot push a live claim out either.
    let late = claim(over_pending, 1, now - LEASE_MS);
    assert_eq!(store.settle(&commit(&late, now)), Err(StoreFault::Contended));
    store.settle(&release(&claim(513, 1, now), now)).unwrap();
    assert_eq!(store.settle(&commit(&late, now)), Ok(()));
    assert_eq!(store.claim(&claim(over_pending, 1, now)), Ok(SEEN));
}

#[test]
fn a_smaller_ring_goes_on_with_the_records_of_a_larger_one() {
    let mut large = store(8);
    for event in 0..8 {
        add(&mut large, 1 + 64 * event, event, RETENTION_MS, true);
    }
    let table = large.table().clone();
    let mut small = TableStore::new(table, SCOPE, TableSize { slots: 64, entries_per_slot: 3 });
    assert_eq!(small.claim(&claim(1, 1, 10)), Ok(SEEN), "what is there is read");
    add(&mut small, 1 + 64 * 8, 10, RETENTION_MS, true);
    assert_eq!(small.take_counters().evictions, 6);
    // From the youngest on: the first that is not there takes a place.
    let survivors = (0..9).rev().take_while(|event| small.claim(&claim(1 + 64 * event, 1, 11)) == Ok(SEEN));
    assert_eq!(survivors.collect::<Vec<_>>(), [8, 7, 6], "the youngest stay");
}

/// Watches whether the store brings the same buffer each time.
#[derive(Default)]
struct Watched {
    table: MemoryTable,
    buffers: Vec<(usize, usize)>,
}

impl Table for Watched {
    type Version = u64;

    fn read(&mut self, slot: Slot<'_>, bytes: &mut Vec<u8>) -> Result<Option<u64>, StoreFault> {
        self.buffers.push((bytes.as_ptr().addr(), bytes.capacity()));
        self.table.read(slot, bytes)
    }

    fn insert(&mut self, slot: Slot<'_>, bytes: &[u8]) -> Result<Swap, StoreFault> {
        self.table.insert(slot, bytes)
    }

    fn replace(&mut self, slot: Slot<'_>, bytes: &[u8], version: u64) -> Result<Swap, StoreFault> {
        self.table.replace(slot, bytes, version)
    }
}

#[test]
fn buffers_are_used_again_from_request_to_request() {
    let mut store = TableStore::new(Watched::default(), SCOPE, TableSize { slots: 64, entries_per_slot: 8 });
    let play = |store: &mut TableStore<Watched>, events: std::ops::Range<u64>| {
        for event in events {
            let claim = claim_of_click(event, event, event);
            store.claim(&claim).unwrap();
            store.settle(&commit(&claim, event)).unwrap();
        }
        let mut buffers = core::mem::take(&mut store.table().buffers);
        buffers.sort_unstable();
        buffers.dedup();
        buffers
    };
    play(&mut store, 0..1000);
    let warm = play(&mut store, 1000..1001);
    assert_eq!(warm.len(), 2, "one for events, one for fallback identities");
    assert_eq!(play(&mut store, 1001..10_000), warm);
}
