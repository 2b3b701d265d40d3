//! Whose database it is, and of which version: upgraded where it is older, refused where it is newer or somebody else's.

use conformance::spin_app::{Setup, SpinApp};
use countersign_host::fault::Fault;
use countersign_host::spin::{State, Stream};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::{AT_MS, App, CLICK, DAY_MS, HOUR_MS, deposit, document, event, request, setup, text};

/// More statements than an upgrade has.
const CALLS_MAX: u64 = 200;

/// The document of these tests, with windows, and with more members.
fn document_with(more: Value) -> String {
    let mut document: Value = serde_json::from_str(&document()).unwrap();
    let window = json!({ "fallback_window_seconds": 3600 });
    document["partners"]["acme"]["events"] = json!({ "registration": window, "deposit_success": window });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document.to_string()
}

fn setup_with(more: Value) -> Setup {
    Setup { document: document_with(more), ..setup() }
}

/// A folder with a database that these statements made.
fn folder(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    database(&folder).execute_batch(sql).unwrap();
    folder
}

fn database(folder: &TempDir) -> Connection {
    let state = State::directory(&folder.path().join("state")).unwrap();
    let database = Connection::open(state.database("default")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    database
}

fn app_in(folder: &TempDir, setup: Setup) -> App {
    App { app: SpinApp::in_folder(folder.path(), &setup).unwrap(), setup }
}

/// As the gate names what is claimed.
fn fingerprint(domain: &str, parts: [&str; 3]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in [domain].into_iter().chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap().to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..16].to_vec()
}

/// An event of version 1, as it accepted it at [`AT_MS`].
fn accept_of_1(database: &Connection, event: &Value, is_windowed: bool) {
    let member = |name: &str| event[name].as_str().unwrap().to_owned();
    let payload = canonical(event);
    let again = fingerprint("fallback", ["acme", &member("event"), &member("click_id")]);
    let at = i64::try_from(AT_MS).unwrap();
    let sql = "INSERT INTO arriving VALUES (0, ?1, ?2, ?3, 'acme', ?4, ?5, ?6, ?7, 'k1', '127.0.0.1', ?8, ?9, ?10, NULL, ?11, ?12, \
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
    let hour = i64::try_from(HOUR_MS).unwrap();
    database
        .execute(
            sql,
            rusqlite::params![
                fingerprint("event", ["acme", &member("event_id"), ""]),
                Sha256::digest(&payload).to_vec(),
                at + i64::try_from(DAY_MS).unwrap(),
                member("event_id"),
                member("event"),
                member("click_id"),
                at - 36 * hour,
                "cs1_of_version_1",
                payload,
                at,
                is_windowed.then_some(again),
                is_windowed.then_some(at + hour),
            ],
        )
        .unwrap();
}

/// These events' canonical form: members are sorted, numbers are whole.
fn canonical(event: &Value) -> String {
    let members: std::collections::BTreeMap<String, Value> =
        event.as_object().unwrap().clone().into_iter().collect();
    serde_json::to_string(&members).unwrap()
}

/// A database of version 1 with two events that were accepted, of which one holds an identity; one that is handed on elsewhere,
/// pending and committed; and one whose holder has no row in the inbox.
fn version_1() -> TempDir {
    let folder = folder(include_str!("version_1.sql"));
    let database = database(&folder);
    database.execute_batch("PRAGMA journal_mode=WAL").unwrap();
    accept_of_1(&database, &event("registration", "reg_1", json!({})), true);
    accept_of_1(&database, &deposit("dep_1", 100, "EUR"), true);
    accept_of_1(&database, &event("kyc_approved", "kyc_1", json!({})), false);
    let at = i64::try_from(AT_MS).unwrap();
    for (event_id, lease_until, remembered_until) in
        [("pending", at + 30_000, at + 30_000), ("known", 0, at + 86_400_000)]
    {
        let sql = "INSERT INTO claim VALUES (?1, ?2, ?3, ?4, ?5)";
        let name = fingerprint("event", ["acme", event_id, ""]);
        let hash =
            Sha256::digest(canonical(&event("install", event_id, json!({ "install_id": "i" })))).to_vec();
        database.execute(sql, rusqlite::params![name, hash, lease_until, remembered_until, at]).unwrap();
    }
    let name = fingerprint("fallback", ["acme", "registration", "clk_elsewhere"]);
    let sql = "INSERT INTO fallback VALUES (?1, zeroblob(16), 'reg_9', 0, ?2, ?3)";
    database.execute(sql, rusqlite::params![name, at + 3_600_000, at]).unwrap();
    folder
}

fn tell(app: &App, event: &Value) -> (u16, Value) {
    let reply = app.app.send(app.postback(event)).unwrap();
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", text(&reply))))
}

/// Everything that version 1 knew is known.
fn check_upgraded(app: &App) {
    let registration = event("registration", "reg_1", json!({}));
    for repeat in [&registration, &deposit("dep_1", 100, "EUR"), &event("kyc_approved", "kyc_1", json!({}))] {
        let (status, answer) = tell(app, repeat);
        assert_eq!((status, &answer["idempotent"]), (200, &json!(true)), "{answer}");
        assert!(answer["receipt"].as_str().unwrap().starts_with("cs1_"), "{answer}");
    }
    let (status, answer) = tell(app, &event("registration", "reg_1", json!({ "geo": "BR" })));
    assert_eq!((status, &answer["error"]), (422, &json!("event_id_reused")), "{answer}");
    for (duplicate, original) in [
        (event("registration", "reg_2", json!({})), "reg_1"),
        (deposit("dep_2", 100, "EUR"), "dep_1"),
        // Nothing is left of that event; its identity counts from when it came.
        (
            event(
                "registration",
                "reg_3",
                json!({ "click_id": "clk_elsewhere", "ts_event": "2025-12-31T23:30:00Z" }),
            ),
            "reg_9",
        ),
    ] {
        let (status, answer) = tell(app, &duplicate);
        assert_eq!((status, &answer["duplicate_of"]), (200, &json!(original)), "{answer}");
    }
    let install = |event_id: &str| event("install", event_id, json!({ "install_id": "i" }));
    assert_eq!(tell(app, &install("known")).1["idempotent"], json!(true));
    let (status, answer) = tell(app, &install("pending"));
    assert_eq!((status, &answer["error"]), (503, &json!("in_flight")), "{answer}");
    // A day was all that version 1 remembered.
    app.set_ms(AT_MS + 90 * DAY_MS);
    app.tick();
    assert_eq!(tell(app, &registration).1["idempotent"], json!(true));
    assert_eq!(app.count("entry"), 3);
    app.assert_sound();
}

#[test]
fn a_database_of_version_1_is_upgraded_in_its_place() {
    let folder = version_1();
    let app = app_in(&folder, setup_with(json!({})));
    app.click(CLICK);
    check_upgraded(&app);
    // It has the shape of one that was made today.
    let shape = "SELECT m.type, m.name, m.tbl_name, c.name, c.type, c.\"notnull\", c.pk \
                 FROM sqlite_schema AS m LEFT JOIN pragma_table_info(m.name) AS c ORDER BY 1, 2, c.cid";
    let new = App::new();
    assert_eq!(app.rows(shape), new.rows(shape));
    assert_eq!(app.rows("PRAGMA user_version"), ["2"]);
    assert_eq!(app.rows("SELECT environment, name FROM scope"), ["production|default"]);
}

#[test]
fn a_statement_of_an_upgrade_may_fail_in_every_way() {
    // Every statement would be as many starts, so each fault has its share of them.
    const SHARE: usize = 12;
    for (first, fault) in [
        (0, Fault::Error),
        (3, Fault::Conflict),
        (6, Fault::Garbage(b"\xff\x00garbage".to_vec())),
        (9, Fault::ErrorAfterEffect),
    ] {
        let mut struck = 0;
        for after in (first..CALLS_MAX).step_by(SHARE) {
            let folder = version_1();
            let app = app_in(&folder, setup_with(json!({})));
            app.setup.faults.plan("sqlite.execute", after, fault.clone());
            let (status, answer) = tell(&app, &event("kyc_approved", "kyc_1", json!({})));
            let is_struck = app.setup.faults.calls().get("sqlite.execute").copied().unwrap_or(0) > after;
            app.setup.faults.clear();
            assert!(status == 200 || status == 503 && is_struck, "{fault:?} {after}: {status} {answer}");
            if !is_struck {
                break;
            }
            struck += 1;
            // All or nothing: what is there is of one version.
            let versions = app.rows(
                "SELECT user_version, (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'duplicate') FROM pragma_user_version",
            );
            assert!(["0|0", "2|1"].contains(&versions[0].as_str()), "{fault:?} {after}: {versions:?}");
            app.click(CLICK);
            check_upgraded(&app);
        }
        assert!((6..17).contains(&struck), "{fault:?}: {struck} statements were struck");
    }
}

#[test]
fn a_first_start_that_ended_between_two_tables_is_made_good() {
    let statements: Vec<&str> = include_str!("version_1.sql").split("\n\n").collect();
    for made in [1, 2, 3, 5, 8, 13, 21, 34, statements.len()] {
        let folder = folder(&statements[..made].join("\n\n"));
        let app = app_in(&folder, setup_with(json!({})));
        let (status, answer) = tell(&app, &deposit("dep_1", 100, "EUR"));
        assert_eq!((status, &answer["idempotent"]), (200, &json!(false)), "{made}: {answer}");
        assert_eq!(app.tick()["waiting"], 1);
        app.assert_sound();
    }
}

#[test]
fn instances_that_start_at_once_upgrade_once() {
    for made in [version_1(), tempfile::tempdir().unwrap()] {
        let apps = [(); 2].map(|()| app_in(&made, setup_with(json!({}))));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let app = &apps[number % 2];
                scope.spawn(move || {
                    let event = event("install", &format!("ins_{number}"), json!({ "install_id": "i" }));
                    for _ in 0..20 {
                        match tell(app, &event) {
                            (200, _) => return,
                            (status, answer) => assert_eq!(status, 503, "{answer}"),
                        }
                    }
                    panic!("no attempt was answered 200");
                });
            }
        });
        let app = &apps[0];
        assert_eq!(app.count("inbox WHERE event = 'install'"), 8);
        assert_eq!(app.count("scope"), 1);
        apps.iter().for_each(App::assert_sound);
    }
}

/// What each component answers.
fn statuses(app: &App) -> [u16; 3] {
    let click = request("GET", "/c/summer", Vec::new());
    [
        tell(app, &event("registration", "reg_1", json!({}))).0,
        app.ask("GET", "queue", "").0,
        app.app.send(click).unwrap().status,
    ]
}

fn complaint(app: &App, words: &str) {
    let log = app.app.log();
    let said = log.iter().filter(|line| line.stream == Stream::Stderr && line.text.contains(words));
    assert!((1..=6).contains(&said.count()), "{words}: {log:?}");
}

/// A campaign, so that the redirector has something to do.
fn campaign() -> Value {
    json!({ "campaigns": { "summer": { "partner": "acme", "landing": "https://casino.example/" } } })
}

#[test]
fn a_database_of_another_scope_is_refused_by_every_component() {
    let folder = tempfile::tempdir().unwrap();
    let of = |more: Value| {
        let mut members = campaign();
        members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app_in(&folder, setup_with(members))
    };
    let first = of(json!({}));
    assert_eq!(statuses(&first), [200, 200, 302]);
    // The click is stored behind the redirect.
    for _ in 0..500 {
        if first.count("click") == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(first.count("click"), 1);
    let before = first.dump();
    let other = of(json!({ "name": "blue" }));
    for _ in 0..3 {
        assert_eq!(statuses(&other), [503, 503, 503]);
    }
    complaint(&other, "it belongs to production/default, and the document says production/blue");
    assert_eq!(other.dump(), before);
    // And whose it was goes on.
    let (status, answer) = tell(&first, &event("registration", "reg_1", json!({})));
    assert_eq!((status, &answer["idempotent"]), (200, &json!(true)));
    other.assert_sound();
}

#[test]
fn a_database_of_a_newer_version_is_refused_by_every_component() {
    for version in [3, 99, -1] {
        let folder = folder(&format!("PRAGMA user_version={version}"));
        let app = app_in(&folder, setup_with(campaign()));
        for _ in 0..3 {
            assert_eq!(statuses(&app), [503, 503, 503]);
        }
        complaint(&app, "a newer version of this application made the database");
        assert!(app.rows("SELECT name FROM sqlite_schema").is_empty());
        app.assert_sound();
    }
}
