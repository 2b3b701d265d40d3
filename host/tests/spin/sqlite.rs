//! `spin:sqlite` on real files.

use std::thread;
use std::time::{Duration, Instant};

use countersign_host::fault::Fault;
use countersign_host::spin::State;

use crate::support::{World, lay_out, options};

fn world() -> World {
    let world = World::new();
    world.ok("/sql/default", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)");
    world
}

#[test]
fn values_of_every_type_come_back() {
    let world = world();
    assert_eq!(
        world.ok("/sql/default", "SELECT 1, 1.5, 'text', x'00ff', NULL"),
        "1|1.5|text|x[00, ff]|null\n"
    );
    assert_eq!(world.ok("/sql/default", "SELECT ?1, ?2 <- a,b"), "a|b\n");
}

#[test]
fn more_rows_than_the_host_buffers_all_arrive() {
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000) SELECT i FROM n";
    let output = world().ok("/sql/default", rows);
    assert_eq!(output.lines().count(), 1000);
    assert_eq!(output.lines().last(), Some("1000"));
}

#[test]
fn an_error_is_an_io_error_with_sqlites_text() {
    let world = world();
    assert!(world.post("/sql/default", "SELECT nope").1.contains("Io(\"no such column: nope"));
    world.ok("/sql/default", "INSERT INTO t (name) VALUES ('a')");
    assert!(
        world
            .post("/sql/default", "INSERT INTO t (name) VALUES ('a')")
            .1
            .contains("UNIQUE constraint failed: t.name")
    );
}

#[test]
fn changes_and_rowid_are_the_connections_own() {
    let world = world();
    assert_eq!(
        world.ok("/sql/default", "INSERT INTO t (name) VALUES ('a'), ('b')\n@changes\n@rowid"),
        "2\n2\n"
    );
    assert_eq!(world.ok("/sql/default", "@rowid"), "0\n");
}

#[test]
fn labels_are_databases_of_their_own_and_others_are_refused() {
    let world = world();
    assert!(world.post("/sql/second", "SELECT * FROM t").1.contains("no such table"));
    assert!(world.post("/sql/third", "SELECT 1").1.contains("AccessDenied"));
    assert!(world.post("/sql/default", "ATTACH '/tmp/other.db' AS other").1.contains("not authorized"));
}

#[test]
fn only_the_first_statement_of_a_text_runs() {
    let world = world();
    world.post("/sql/default", "INSERT INTO t (name) VALUES ('a'); INSERT INTO t (name) VALUES ('b')");
    assert_eq!(world.ok("/sql/default", "SELECT name FROM t"), "a\n");
}

#[test]
fn the_write_ahead_log_is_accepted_and_lasts() {
    let world = world();
    assert_eq!(world.ok("/sql/default", "PRAGMA journal_mode=WAL"), "wal\n");
    assert_eq!(world.ok("/sql/default", "PRAGMA journal_mode"), "wal\n");
}

#[test]
fn a_transaction_is_not_seen_by_the_other_connection_until_it_commits() {
    let world = world();
    world.ok("/sql/default", "PRAGMA journal_mode=WAL");
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            world.ok("/sql/default", "BEGIN IMMEDIATE\nINSERT INTO t (name) VALUES ('a')\n@sleep 400\nCOMMIT")
        });
        thread::sleep(Duration::from_millis(150));
        assert_eq!(world.ok("/sql/default", "SELECT count(*) FROM t"), "0\n");
        writer.join().unwrap();
        assert_eq!(world.ok("/sql/default", "SELECT count(*) FROM t"), "1\n");
    });
}

#[test]
fn of_many_racers_for_one_key_exactly_one_inserts() {
    let world = world();
    world.ok("/sql/default", "PRAGMA journal_mode=WAL");
    for key in 0..10 {
        let insert = format!("INSERT INTO t (name) VALUES ('k{key}') ON CONFLICT DO NOTHING RETURNING id");
        let winners: usize = thread::scope(|scope| {
            let racers: Vec<_> = (0..16).map(|_| scope.spawn(|| world.ok("/sql/default", &insert))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap().lines().count()).sum()
        });
        assert_eq!(winners, 1, "k{key}");
    }
}

#[test]
fn a_second_writer_waits_for_the_first() {
    let world = world();
    thread::scope(|scope| {
        let first = scope.spawn(|| world.ok("/sql/default", "BEGIN EXCLUSIVE\n@sleep 500\nCOMMIT"));
        thread::sleep(Duration::from_millis(150));
        let started = Instant::now();
        world.ok("/sql/default", "INSERT INTO t (name) VALUES ('b')");
        assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
        first.join().unwrap();
    });
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    for expected in ["1\n", "2\n"] {
        let directory = lay_out(|manifest| manifest);
        let mut options = options();
        options.state = State::directory(state.path()).unwrap();
        let app = countersign_host::spin::BlockingSpinApp::load(&directory.path().join("spin.toml"), options)
            .unwrap();
        let script = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)\nINSERT INTO t DEFAULT VALUES\nSELECT count(*) FROM t";
        let reply = app.handle(crate::support::request("/sql/default", script)).unwrap();
        assert_eq!(crate::support::text(&reply), expected);
    }
    assert!(state.path().join("sqlite_db.db").exists());
}

#[test]
fn every_fault_shows_what_sqlite_would() {
    let world = world();
    let insert = "INSERT INTO t (name) VALUES ('a') ON CONFLICT DO NOTHING";
    for (call, fault, expected) in [
        ("sqlite.open", Fault::Error, "unable to open database file"),
        ("sqlite.open", Fault::Conflict, "database is locked"),
        ("sqlite.execute", Fault::Error, "disk I/O error"),
        ("sqlite.execute", Fault::Conflict, "database is locked"),
    ] {
        world.faults.plan(call, 0, fault);
        let (status, text) = world.post("/sql/default", insert);
        assert_eq!(status, 503);
        assert!(text.contains(expected), "{call}: {text}");
        assert_eq!(world.ok("/sql/default", "SELECT count(*) FROM t"), "0\n", "{call}");
    }
    world.faults.plan("sqlite.execute", 0, Fault::ErrorAfterEffect);
    assert!(world.post("/sql/default", insert).1.contains("disk I/O error"));
    assert_eq!(world.ok("/sql/default", "SELECT count(*) FROM t"), "1\n");
    world.faults.plan("sqlite.execute", 1, Fault::Garbage(vec![1, 2]));
    assert_eq!(world.ok("/sql/default", "SELECT name FROM t\nSELECT name FROM t"), "a\nx[01, 02]\n");
    assert_eq!(world.faults.calls().get("sqlite.open"), Some(&12));
}
