//! Stored bytes that no store wrote: never a panic, never a false answer, and a slot that heals as documented.

use std::sync::{Arc, Mutex};

use countersign_core::dedup::{MemoryTable, Part, Slot, Table, TableStore};
use countersign_core::rate::Rate;
use countersign_core::store::{Claim, ClaimAnswer, StoreFault};

use crate::claims::*;
use crate::hooked::*;
use crate::script::*;

/// Everything that may happen to bytes: each bit flipped, each byte set, each truncation, extensions, other content.
fn damages(sound: &[u8]) -> Vec<Vec<u8>> {
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    for place in 0..sound.len() {
        damaged.extend((0..8).map(|bit| {
            let mut bytes = sound.to_vec();
            bytes[place] ^= 1 << bit;
            bytes
        }));
        for value in [0, 0xff] {
            let mut bytes = sound.to_vec();
            bytes[place] = value;
            damaged.push(bytes);
        }
        damaged.push(sound[..place].to_vec());
        damaged.push(sound[place + 1..].to_vec());
    }
    for longer in [1, 8, 32, 184, 1000] {
        damaged.push([sound, vec![0; longer].as_slice()].concat());
        damaged.push([sound, sound, vec![0; longer].as_slice()].concat());
    }
    let mut seed = Seed(7);
    for length in [1, 7, 8, 16, 23, 24, 56, sound.len(), 4096] {
        damaged.push(vec![0; length]);
        damaged.push(vec![0xff; length]);
        damaged.push((0..length).map(|_| u8::try_from(seed.below(256)).unwrap()).collect());
    }
    damaged.retain(|bytes| bytes != sound);
    damaged
}

fn put(table: &Arc<Mutex<MemoryTable>>, slot: Slot<'_>, with: &[u8]) {
    change(table, slot, |bytes| {
        bytes.clear();
        bytes.extend_from_slice(with);
    });
}

#[test]
fn a_garbled_event_slot_is_closed_for_one_lease_and_then_forgotten() {
    let table = shared();
    let mut writer = plain(&table);
    let (committed, pending) = (claim(1, 1, 0), claim(65, 1, 0));
    writer.claim(&committed).unwrap();
    writer.settle(&commit(&committed, 0)).unwrap();
    writer.claim(&pending).unwrap();
    let sound = bytes_of(&table, event_slot(1));
    assert_eq!(sound.len(), 32 + 2 * 32);
    for garbage in damages(&sound) {
        put(&table, event_slot(1), &garbage);
        let mut store = plain(&table);
        assert_eq!(store.claim(&claim(1, 1, 10)), Err(StoreFault::Corrupt), "{garbage:?}");
        assert_eq!(store.take_counters().heals, 1);
        // What was pending may still be under way, so nobody may claim it again before its lease is over.
        assert_eq!(store.claim(&claim(65, 1, 10)), Err(StoreFault::Corrupt), "{garbage:?}");
        assert_eq!(store.claim(&claim(65, 1, LEASE_MS + 9)), Err(StoreFault::Corrupt), "{garbage:?}");
        assert_eq!(store.claim(&claim(65, 1, LEASE_MS + 10)), Ok(FRESH), "{garbage:?}");
        assert_eq!(store.claim(&claim(1, 1, LEASE_MS + 10)), Ok(FRESH), "{garbage:?}");
        assert_eq!(store.take_counters().heals, 0, "healed once");
        assert_eq!(store.claim(&claim(2, 1, 10)), Ok(FRESH), "other slots are not closed");
        store.settle(&release(&claim(2, 1, 10), 10)).unwrap();
    }
}

#[test]
fn a_commit_into_garbage_is_kept() {
    let table = shared();
    let first = claim(1, 1, 0);
    let mut store = plain(&table);
    store.claim(&first).unwrap();
    put(&table, event_slot(1), b"garbage");
    assert_eq!(store.settle(&commit(&first, 10)), Ok(()));
    assert_eq!(store.claim(&claim(1, 1, 11)), Err(StoreFault::Corrupt), "closed all the same");
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS + 10)), Ok(SEEN));
    assert_eq!(store.claim(&claim(1, 2, LEASE_MS + 10)), Ok(REUSED));

    put(&table, event_slot(1), b"garbage");
    assert_eq!(store.settle(&release(&claim(65, 1, 0), LEASE_MS + 20)), Ok(()));
    assert_eq!(store.claim(&claim(65, 1, 2 * LEASE_MS + 20)), Ok(FRESH));
}

#[test]
fn a_slot_closed_by_a_clock_that_was_wrong_opens_again() {
    let table = shared();
    let mut store = plain(&table);
    let far = 365 * 86_400_000;
    store.claim(&claim(1, 1, 0)).unwrap();
    put(&table, event_slot(1), b"garbage");
    assert_eq!(store.claim(&claim(1, 1, far)), Err(StoreFault::Corrupt));
    assert_eq!(store.claim(&claim(1, 1, 0)), Ok(FRESH));
}

#[test]
fn a_garbled_fallback_slot_claims_no_event_and_names_no_duplicate() {
    let table = shared();
    let mut writer = plain(&table);
    let first = claim_of_click(1, 900, 0);
    writer.claim(&first).unwrap();
    writer.settle(&commit(&first, 0)).unwrap();
    let slot = fallback_slot(4);
    let sound = bytes_of(&table, slot);
    assert_eq!(sound.len(), 32 + 184);
    for garbage in damages(&sound) {
        put(&table, slot, &garbage);
        let mut store = plain(&table);
        assert_eq!(store.claim(&claim_of_click(2, 900, 10)), Err(StoreFault::Corrupt), "{garbage:?}");
        assert_eq!(
            store.claim(&claim_of_click(2, 900, LEASE_MS + 9)),
            Err(StoreFault::Corrupt),
            "{garbage:?}"
        );
        let retry = claim_of_click(2, 900, LEASE_MS + 10);
        assert_eq!(store.claim(&retry), Ok(FRESH), "{garbage:?}");
        store.settle(&release(&retry, LEASE_MS + 10)).unwrap();
    }
    // A settlement goes on with the event where the fallback is garbage.
    let mut store = plain(&table);
    let second = claim_of_click(2, 900, 3 * LEASE_MS);
    assert_eq!(store.claim(&second), Ok(FRESH));
    put(&table, slot, b"garbage");
    assert_eq!(store.settle(&commit(&second, 3 * LEASE_MS)), Ok(()));
    assert_eq!(store.claim(&claim(2, 1, 3 * LEASE_MS)), Ok(SEEN));
}

#[test]
fn a_garbled_quota_starts_again_as_spent() {
    let table = shared();
    let quota = Rate::per(1, 1000, 5);
    let ask = |event, ms| Claim { quota, ..claim(event, 1, ms) };
    plain(&table).claim(&ask(1, 0)).unwrap();
    let sound = bytes_of(&table, slot(Part::Rate("acme")));
    assert_eq!(sound.len(), 40);
    for garbage in damages(&sound) {
        put(&table, slot(Part::Rate("acme")), &garbage);
        let mut store = plain(&table);
        assert_eq!(store.claim(&ask(2, 10)), Err(StoreFault::Corrupt), "{garbage:?}");
        let limited = store.claim(&ask(2, 10)).unwrap();
        assert!(
            matches!(limited, ClaimAnswer::Limited { retry_after_ms: 1000, .. }),
            "{garbage:?}: {limited:?}"
        );
        let admitted = store.claim(&ask(2, 1010)).unwrap();
        assert!(matches!(admitted, ClaimAnswer::Fresh { quota: Some(_) }), "{garbage:?}: {admitted:?}");
        store.settle(&release(&ask(2, 1010), 1010)).unwrap();
    }
}

#[test]
fn a_record_that_strayed_into_another_slot_does_not_pass_there() {
    let table = shared();
    let mut store = plain(&table);
    let quota = Rate::per(1, 1000, 5);
    for event in [1, 2] {
        let first = Claim { quota, ..claim_of_click(event, 898 + event, 0) };
        store.claim(&first).unwrap();
        store.settle(&commit(&first, 0)).unwrap();
    }
    for (from, to) in [(event_slot(1), event_slot(2)), (fallback_slot(3), fallback_slot(4))] {
        put(&table, to, &bytes_of(&table, from));
        let answer = plain(&table).claim(&claim_of_click(130, 900, 1));
        assert_eq!(answer, Err(StoreFault::Corrupt), "{from} in {to}");
        // Open the slot again for the next case.
        change(&table, to, Vec::clear);
        plain(&table).claim(&claim_of_click(130, 900, 1)).unwrap_err();
    }
    let stranger = Claim { partner: Arc::from("other"), quota, ..claim(3, 1, 0) };
    put(&table, slot(Part::Rate("other")), &bytes_of(&table, slot(Part::Rate("acme"))));
    assert_eq!(plain(&table).claim(&stranger), Err(StoreFault::Corrupt));
}

#[test]
fn another_scope_s_record_under_our_key_is_never_read_as_ours() {
    let (table, quota) = (shared(), Rate::per(1, 1000, 5));
    let stranger = Claim { partner: Arc::from("other"), quota, ..claim(3, 1, 0) };
    let mut theirs = TableStore::new(MemoryTable::default(), "production/default", SHAPE);
    theirs.claim(&stranger).unwrap();
    let mut bytes = Vec::new();
    let in_their_scope = |part| Slot { scope: "production/default", part };
    for part in [Part::Event { slots: 64, index: 3 }, Part::Rate("other"), Part::Sizes] {
        theirs.table().read(in_their_scope(part), &mut bytes).unwrap();
        put(&table, slot(part), &bytes);
        let mut ours = TableStore::new(Hooked::new(&table, |_| Act::Go), SCOPE, SHAPE);
        assert_eq!(ours.claim(&stranger), Err(StoreFault::Corrupt), "{part:?}");
        change(&table, slot(part), Vec::clear);
        ours.claim(&Claim { now: at(1), ..stranger.clone() }).unwrap_err();
    }
}

#[test]
fn a_slot_whose_value_was_removed_heals() {
    let table = shared();
    let mut store = plain(&table);
    store.claim(&claim(1, 1, 0)).unwrap();
    change(&table, event_slot(1), Vec::clear);
    assert_eq!(store.claim(&claim(1, 1, 1)), Err(StoreFault::Corrupt));
    assert_eq!(store.claim(&claim(1, 1, LEASE_MS + 1)), Ok(FRESH));
}
