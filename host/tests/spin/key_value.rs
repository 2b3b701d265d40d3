//! `spin:key-value` and the atomics of `wasi:keyvalue`, Spin's quirks included.

use std::thread;

use countersign_host::fault::Fault;

use crate::support::World;

#[test]
fn a_value_is_set_read_listed_and_deleted() {
    let world = World::new();
    assert_eq!(world.ok("/kv/get/default/a", ""), "none");
    assert_eq!(world.ok("/kv/exists/default/a", ""), "false");
    world.ok("/kv/set/default/a", "1");
    world.ok("/kv/set/default/b", "2");
    world.ok("/kv/set/default/a", "3");
    assert_eq!(world.ok("/kv/get/default/a", ""), "3");
    assert_eq!(world.ok("/kv/exists/default/a", ""), "true");
    assert_eq!(world.ok("/kv/keys/default/-", ""), "a,b");
    world.ok("/kv/delete/default/a", "");
    world.ok("/kv/delete/default/a", "");
    assert_eq!(world.ok("/kv/keys/default/-", ""), "b");
}

#[test]
fn more_keys_than_the_host_buffers_all_arrive() {
    let world = World::new();
    for key in 0..40 {
        world.ok(&format!("/kv/set/default/k{key}"), "x");
    }
    assert_eq!(world.ok("/kv/keys/default/-", "").split(',').count(), 40);
}

#[test]
fn a_store_that_the_manifest_does_not_list_is_refused() {
    let world = World::new();
    assert_eq!(world.post("/kv/get/other/a", ""), (503, "Error::AccessDenied".to_owned()));
    assert!(world.post("/cas/increment/other/a", "1").1.contains("AccessDenied"));
}

#[test]
fn of_many_increments_exactly_one_gets_1() {
    let world = World::new();
    for key in 0..5 {
        let path = format!("/cas/increment/default/n{key}");
        let mut sums: Vec<u32> = thread::scope(|scope| {
            let racers: Vec<_> =
                (0..16).map(|_| scope.spawn(|| world.ok(&path, "1").parse().unwrap())).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        sums.sort_unstable();
        assert_eq!(sums, (1..=16).collect::<Vec<_>>());
    }
}

#[test]
fn two_swaps_from_absent_both_win_and_from_a_value_only_one() {
    let world = World::new();
    assert_eq!(world.ok("/cas/race/default/a", "new"), "won,won");
    assert_eq!(world.ok("/cas/race/default/a", "newer"), "won,lost");
}

#[test]
fn every_fault_shows_what_the_backend_would() {
    let world = World::new();
    world.faults.plan("key_value.open", 0, Fault::Error);
    assert!(world.post("/kv/set/default/a", "1").1.contains("disk I/O error"));
    world.faults.plan("key_value.set", 0, Fault::Conflict);
    assert!(world.post("/kv/set/default/a", "1").1.contains("database is locked"));
    assert_eq!(world.ok("/kv/get/default/a", ""), "none");
    world.faults.plan("key_value.set", 0, Fault::ErrorAfterEffect);
    assert!(world.post("/kv/set/default/a", "1").1.contains("disk I/O error"));
    assert_eq!(world.ok("/kv/get/default/a", ""), "1");
    world.faults.plan("key_value.get", 0, Fault::Garbage(b"??".to_vec()));
    assert_eq!(world.ok("/kv/get/default/a", ""), "??");
    world.faults.plan("key_value.get_keys", 0, Fault::Error);
    assert_eq!(world.post("/kv/keys/default/-", "").0, 503);
    world.faults.plan("wasi_keyvalue.increment", 0, Fault::ErrorAfterEffect);
    assert_eq!(world.post("/cas/increment/default/n", "1").0, 503);
    assert_eq!(world.ok("/cas/increment/default/n", "1"), "2");
    world.faults.plan("wasi_keyvalue.swap", 0, Fault::Conflict);
    assert_eq!(world.ok("/cas/race/default/z", "new"), "lost,won");
}
