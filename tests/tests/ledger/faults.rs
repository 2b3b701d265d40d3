//! Whatever fails while the worker posts: afterwards the ledger is that of a clean run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign_host::fault::Fault;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{AT_MS, App, RATES, SECOND_MS, deposit, everything};

/// More statements than any tick makes, the start of an instance included.
const CALLS_MAX: u64 = 120;

fn faults_of_every_kind() -> [Fault; 5] {
    [
        Fault::Error,
        Fault::Conflict,
        Fault::Garbage(Vec::new()),
        Fault::Garbage(b"\xff\x00garbage".to_vec()),
        Fault::ErrorAfterEffect,
    ]
}

/// Everything accepted, with rates, and nothing posted.
pub(crate) fn accepted() -> App {
    let app = App::new();
    for event in everything() {
        app.accept(&event);
    }
    app.post("fx", RATES);
    app
}

/// What a run without faults makes of it.
pub(crate) fn clean() -> Vec<String> {
    let app = accepted();
    app.drain();
    app.assert_sound();
    let ledger = app.ledger();
    assert!(ledger.iter().any(|line| line.contains("over_refund")), "{ledger:?}");
    ledger
}

/// A copy of the database, to go back to.
pub(crate) struct Saved(tempfile::TempDir);

impl Saved {
    pub(crate) fn of(app: &App) -> Self {
        let folder = tempfile::tempdir().unwrap();
        app.database().execute("VACUUM INTO ?1", [folder.path().join("saved").to_str().unwrap()]).unwrap();
        Self(folder)
    }

    /// Puts every row back, while the application has the database open.
    pub(crate) fn restore(&self, app: &App) {
        app.set_ms(AT_MS);
        let mut database = app.database();
        database.execute("ATTACH ?1 AS saved", [self.0.path().join("saved").to_str().unwrap()]).unwrap();
        let tables = tables(&database);
        let restored = database.transaction().unwrap();
        for table in &tables {
            restored.execute(&format!("DELETE FROM main.{table}"), []).unwrap();
        }
        // Rows of the inbox bring rows of the queue about, so the queue comes last, and anew.
        for table in tables.iter().filter(|table| *table != "queue").chain([&"queue".to_owned()]) {
            if table == "queue" {
                restored.execute("DELETE FROM main.queue", []).unwrap();
            }
            restored.execute(&format!("INSERT INTO main.{table} SELECT * FROM saved.{table}"), []).unwrap();
        }
        restored.commit().unwrap();
    }
}

fn tables(database: &Connection) -> Vec<String> {
    let mut statement = database.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_statement_of_a_run_may_fail_in_every_way() {
    let expected = clean();
    let app = accepted();
    let saved = Saved::of(&app);
    let restore = || {
        saved.restore(&app);
        // An instance that has started: its start is for the next test.
        app.get("queue");
    };
    let tick = |()| app.ask("POST", "tick", "");
    strike_every_statement(&app, (8, &[503]), restore, tick, |context| {
        app.drain();
        assert_eq!(app.ledger(), expected, "{context}");
    });
}

/// Lets each statement fail once in every way that `act` makes, each time after `restore`. At least `least` statements must be struck; `act`
/// answers 200, or with a struck one a status of `refusals`. What is left is for `check`.
pub(crate) fn strike_every_statement<T>(
    app: &App,
    (least, refusals): (u64, &[u16]),
    restore: impl Fn() -> T,
    act: impl Fn(T) -> (u16, Value),
    check: impl Fn(&str),
) {
    let faults = &app.setup.faults;
    let calls = || faults.calls().get("sqlite.execute").copied().unwrap_or(0);
    for fault in faults_of_every_kind() {
        let mut struck = 0;
        for after in 0..CALLS_MAX {
            let restored = restore();
            let counted = calls();
            faults.plan("sqlite.execute", after, fault.clone());
            let (status, answer) = act(restored);
            let is_struck = calls() - counted > after;
            faults.clear();
            let context = format!("{fault:?} {after}");
            assert!(status == 200 || is_struck && refusals.contains(&status), "{context}: {status} {answer}");
            check(&context);
            app.assert_sound();
            if !is_struck {
                break;
            }
            struck += 1;
        }
        assert!((least..CALLS_MAX).contains(&struck), "{fault:?}: {struck} statements were struck");
    }
}

#[test]
fn a_worker_that_starts_survives_every_fault() {
    let expected = clean();
    let template = accepted();
    let saved = Saved::of(&template);
    for call in ["sqlite.open", "sqlite.execute", "variables.get"] {
        for fault in [Fault::Error, Fault::Garbage(Vec::new())] {
            if call == "variables.get" && fault != Fault::Error {
                continue;
            }
            for after in 0..CALLS_MAX {
                saved.restore(&template);
                let app = template.beside();
                app.setup.faults.plan(call, after, fault.clone());
                let (status, answer) = app.ask("POST", "tick", "");
                let is_struck = app.setup.faults.calls().get(call).copied().unwrap_or(0) > after;
                app.setup.faults.clear();
                assert!(status == 200 || (status == 503 && is_struck), "{call} {after} {fault:?}: {answer}");
                app.drain();
                assert_eq!(app.ledger(), expected, "{call} {after} {fault:?}");
                app.assert_sound();
                // Behind its start the worker makes the statements that the other test strikes.
                if !is_struck || after == 3 {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_fault_that_stays_holds_up_nothing_else_and_is_not_tried_without_a_pause() {
    let app = App::new();
    // Whoever reads this entry gets garbage.
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.tick();
    app.database().execute_batch("DROP TRIGGER entry_stands; UPDATE entry SET payload_hash = x'00'").unwrap();
    app.accept(&crate::support::refund("ref_1", 20, "dep_1"));
    for number in 2..40 {
        app.accept(&deposit(&format!("dep_{number}"), 100, "EUR"));
    }
    let taken = "SELECT attempts FROM queue JOIN inbox ON inbox.id = inbox_id WHERE event_id = 'ref_1'";
    let mut ticks: u64 = 0;
    while app.get("queue")["queued"] != 1 {
        app.ask("POST", "tick", "");
        ticks += 1;
        app.set_ms(AT_MS + ticks * SECOND_MS);
        assert!(ticks < 600, "{}", app.get("queue"));
    }
    assert_eq!(app.count("entry"), 39);
    // The one is tried again less and less often.
    for second in ticks..ticks + 3_600 {
        if second % 10 == 0 {
            app.set_ms(AT_MS + second * SECOND_MS);
            app.ask("POST", "tick", "");
        }
    }
    let attempts: u64 = app.rows(taken)[0].parse().unwrap();
    assert!((8..60).contains(&attempts), "{attempts}");
    app.assert_sound();
}

#[test]
fn workers_at_once_post_everything_once() {
    let expected = clean();
    let one = accepted();
    let saved = Saved::of(&one);
    let other = one.beside();
    for round in 0..40 {
        saved.restore(&one);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let tick = |app: &App| app.ask("POST", "tick", "").0;
            let threads: Vec<_> =
                [&one, &other, &one, &other].map(|app| scope.spawn(move || tick(app))).into_iter().collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{round}: {statuses:?}");
        one.drain();
        assert_eq!(one.ledger(), expected, "{round}");
    }
    one.assert_sound();
    other.assert_sound();
}

#[test]
fn workers_and_senders_at_once_lose_nothing() {
    let one = App::new();
    let other = one.beside();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for app in [&one, &other] {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let (status, answer) = app.ask("POST", "tick", "");
                    // A batch that another worker overtook is no failure, and a lock that came too late is tried again.
                    assert!([200, 503].contains(&status), "{status}: {answer}");
                }
            });
        }
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let app = if sender % 2 == 0 { &one } else { &other };
                scope.spawn(move || {
                    for number in 0..50 {
                        let event = deposit(&format!("dep_{sender}_{number}"), 10, "EUR");
                        while app.app.send(app.postback(&event)).unwrap().status != 200 {}
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
    });
    one.drain();
    assert_eq!(one.get("totals")["totals"][0]["deposits"], 200 * 1_000);
    assert_eq!((one.count("entry"), one.count("first_deposit")), (200, 1));
    one.assert_sound();
    other.assert_sound();
}

#[test]
fn a_database_that_others_lock_is_waited_for_or_tried_again() {
    let app = accepted();
    let database = app.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, answer) = app.ask("POST", "tick", "");
    assert_eq!((status, &answer["error"]), (503, &json!("store_unavailable")), "{answer}");
    // For a while only: the worker waits.
    std::thread::scope(|scope| {
        let tick = scope.spawn(|| app.ask("POST", "tick", ""));
        std::thread::sleep(Duration::from_millis(500));
        database.execute_batch("COMMIT").unwrap();
        assert_eq!(tick.join().unwrap().0, 200);
    });
    app.drain();
    assert_eq!(app.ledger(), clean());
    app.assert_sound();
}

#[test]
fn a_clock_that_jumps_back_in_the_middle_changes_no_sum() {
    let expected = clean();
    let app = accepted();
    for (hours, fault) in [(2, Fault::ErrorAfterEffect), (1, Fault::Error), (0, Fault::ErrorAfterEffect)] {
        app.set_ms(AT_MS + hours * 3_600 * SECOND_MS);
        app.setup.faults.plan("sqlite.execute", 3, fault);
        app.ask("POST", "tick", "");
        app.setup.faults.clear();
    }
    app.set_ms(AT_MS - 3_600 * SECOND_MS);
    app.tick();
    app.set_ms(AT_MS);
    app.drain();
    assert_eq!(app.ledger(), expected);
    app.assert_sound();
}
