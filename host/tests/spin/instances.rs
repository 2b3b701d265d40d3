//! How long an instance lives and whom it serves.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use countersign_host::fault::Fault;
use countersign_host::spin::Stream;

use crate::support::World;

/// The name of the instance that answers, and how many requests it has served so far.
fn served(world: &World) -> (String, u32) {
    let text = world.ok("/served", "");
    let (name, count) = text.split_once(' ').unwrap();
    (name.to_owned(), count.parse().unwrap())
}

#[test]
fn a_request_joins_the_instance_in_which_another_one_waits() {
    let world = World::new();
    thread::scope(|scope| {
        scope.spawn(|| world.ok("/meet/2000", ""));
        thread::sleep(Duration::from_millis(500));
        assert_eq!(world.ok("/meet/0", ""), "2");
    });
}

#[test]
fn no_instance_serves_more_than_sixteen_requests_at_a_time() {
    let world = World::new();
    let round = || -> u32 {
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..40).map(|_| scope.spawn(|| world.ok("/meet/1000", "").parse().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
        })
    };
    // On a busy machine all of a round may come at once, each to an instance of its own.
    let is_shared = (0..5).any(|_| {
        let most = round();
        assert!(most <= 16, "{most}");
        most >= 2
    });
    assert!(is_shared);
}

#[test]
fn an_instance_serves_128_requests_and_no_more() {
    let world = World::new();
    let most = (0..600).map(|_| served(&world).1).max();
    assert_eq!(most, Some(128));
}

#[test]
fn an_idle_instance_goes_after_a_second() {
    let world = World::new();
    let before: Vec<_> = (0..20).map(|_| served(&world).0).collect();
    assert!(before.iter().collect::<BTreeSet<_>>().len() < 20, "instances are kept while requests come");
    thread::sleep(Duration::from_millis(2000));
    assert!(!before.contains(&served(&world).0));
}

#[test]
fn a_trap_is_an_empty_500_and_the_next_request_works() {
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(world.post("/trap", ""), (500, String::new()));
        assert_eq!(world.ok("/hello", ""), "hello /hello");
    }
    let lines = world.lines.lock().unwrap();
    assert!(
        lines.iter().any(|line| line.stream == Stream::Stderr && line.text.contains("the test asked for it")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.stream == Stream::Host && line.text.starts_with("request failed")),
        "{lines:?}"
    );
}

#[test]
fn a_trap_takes_the_requests_that_share_the_instance_and_no_later_one() {
    let world = World::new();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| world.post("/meet/2000", ""));
        thread::sleep(Duration::from_millis(300));
        assert_eq!(world.post("/trap", "").0, 500);
        assert_eq!(waiting.join().unwrap().0, 500);
    });
    assert_eq!(world.ok("/hello", ""), "hello /hello");
}

#[test]
fn a_variable_that_the_provider_cannot_give_is_an_error_for_the_component() {
    let world = World::new();
    world.faults.plan("variables.get", 0, Fault::Error);
    assert!(world.post("/variable/key", "").1.contains("Provider"));
    world.faults.plan("variables.get", 0, Fault::Garbage(b"other".to_vec()));
    assert_eq!(world.ok("/variable/key", ""), "other");
    assert_eq!(world.ok("/variable/key", ""), "s3cret");
}
