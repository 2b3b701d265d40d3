//! `kill -9` at every statement of the gate and of the worker: nothing is lost, and nothing is twice.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use conformance::spin_app::SpinApp;

use crate::faults::{accepted, clean};
use crate::support::{App, deposit, setup};

/// In the environment of the process that is killed: the folder with the database, and how many statements it survives.
const FOLDER: &str = "COUNTERSIGN_TEST_FOLDER";
const SURVIVES: &str = "COUNTERSIGN_TEST_SURVIVES";
const SIGKILL: i32 = 9;
/// Fewer statements than every scene makes: its instance looks for the tables and says how long to wait, and then does something.
const STATEMENTS_MIN: u64 = 3;
/// More statements than any scene makes, the start of an instance included.
const STATEMENTS_MAX: u64 = 200;

/// What the process that is killed was told; `None` in the process of the test.
fn told() -> Option<App> {
    let folder = std::env::var_os(FOLDER)?;
    let survives = std::env::var(SURVIVES).unwrap().parse().unwrap();
    let setup = setup();
    let app = SpinApp::in_folder(Path::new(&folder), &setup).unwrap();
    setup.faults.kill("sqlite.execute", survives);
    Some(App { app, setup })
}

/// Plays the scene of the test `name` on copies of a database, or on none, in a process that is killed at its first statement, then in one
/// that is killed at its second, and so on; `check` sees what is left of each.
fn kill_at_every_statement(name: &str, template: Option<&App>, check: impl Fn(u64, &App)) {
    for survives in 0..STATEMENTS_MAX {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        if let Some(template) = template {
            let copy = state.join(template.app.database_file().file_name().unwrap());
            template.database().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(FOLDER, folder.path())
            .env(SURVIVES, survives.to_string())
            .output()
            .unwrap()
            .status;
        let setup = setup();
        check(survives, &App { app: SpinApp::in_folder(folder.path(), &setup).unwrap(), setup });
        if status.success() {
            assert!(survives >= STATEMENTS_MIN, "only {survives} statements were made");
            return;
        }
        assert_eq!(status.signal(), Some(SIGKILL), "statement {survives}: {status}");
    }
    panic!("it makes more than {STATEMENTS_MAX} statements");
}

#[test]
fn a_worker_killed_at_any_statement_leaves_the_rest_to_the_next() {
    if let Some(killed) = told() {
        killed.tick();
        return;
    }
    let expected = clean();
    kill_at_every_statement(
        "killed::a_worker_killed_at_any_statement_leaves_the_rest_to_the_next",
        Some(&accepted()),
        |survives, app| {
            app.drain();
            assert_eq!(app.ledger(), expected, "statement {survives}");
            app.assert_sound();
        },
    );
}

#[test]
fn a_gate_killed_at_any_statement_has_the_event_once_when_it_is_sent_again() {
    let event = deposit("dep_1", 100, "EUR");
    if let Some(killed) = told() {
        killed.accept(&event);
        return;
    }
    kill_at_every_statement(
        "killed::a_gate_killed_at_any_statement_has_the_event_once_when_it_is_sent_again",
        Some(&App::new()),
        |survives, app| {
            app.accept(&event);
            assert_eq!((app.count("inbox"), app.count("queue")), (1, 1), "statement {survives}");
            app.drain();
            assert_eq!(app.count("entry"), 1, "statement {survives}");
            app.assert_sound();
        },
    );
}

#[test]
fn a_gate_killed_while_it_makes_its_tables_leaves_the_rest_to_the_next() {
    let event = deposit("dep_1", 100, "EUR");
    if let Some(killed) = told() {
        killed.accept(&event);
        return;
    }
    kill_at_every_statement(
        "killed::a_gate_killed_while_it_makes_its_tables_leaves_the_rest_to_the_next",
        None,
        |survives, app| {
            app.accept(&event);
            assert_eq!((app.count("inbox"), app.count("queue")), (1, 1), "statement {survives}");
            assert_eq!(app.tick()["waiting"], 1, "it waits for its click");
            app.assert_sound();
        },
    );
}
