//! The disk is full: nothing is acknowledged that is not stored, nothing is lost and nothing is twice, and once there is room
//! everything is as if there always had been.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use conformance::small_disk::SmallDisk;
use conformance::spin_app::{Setup, SpinApp};
use countersign_host::fault::Faults;
use serde_json::{Value, json};

use crate::support::{App, RATES, deposit, document, everything, request, text};

const MIB: u32 = 16;
const PAGE_BYTES: u64 = 4_096;
/// More than the redirector waits for a store, pauses and attempts together.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the database is on.
enum Disk {
    /// A file system of its own, which another file fills.
    Mounted(SmallDisk),
    /// The usual one: SQLite itself lets the file grow no further (`PRAGMA max_page_count`).
    Bounded,
}

/// Both kinds; where mounting is not permitted, the second alone.
fn disks(test: &str) -> Vec<Disk> {
    let mounted = match SmallDisk::mount(MIB) {
        Ok(disk) => Some(Disk::Mounted(disk)),
        Err(error) => {
            println!(
                "SKIPPED {test} on a disk of its own: no tmpfs can be mounted ({error:#}); run it as root"
            );
            None
        }
    };
    mounted.into_iter().chain([Disk::Bounded]).collect()
}

impl Disk {
    fn start(&self, setup: &Setup) -> App {
        let setup = Setup { faults: Faults::none(), ..setup.clone() };
        match self {
            Self::Mounted(disk) => App::start_below(disk.path(), setup),
            Self::Bounded => App::start(setup),
        }
    }

    /// Leaves room for so many pages.
    fn fill_but(&self, app: &App, pages: u32) {
        match self {
            Self::Mounted(disk) => {
                // SQLite writes its log over and over; where it is empty it has to grow.
                assert!(app.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0].starts_with("0|"));
                disk.fill_but(u64::from(pages) * PAGE_BYTES).unwrap();
            }
            Self::Bounded => {
                let count: u32 = app.rows("PRAGMA page_count")[0].parse().unwrap();
                app.setup.faults.bound_pages(Some(count + pages));
            }
        }
    }

    fn make_room(&self, app: &App) {
        match self {
            Self::Mounted(disk) => disk.make_room().unwrap(),
            Self::Bounded => app.setup.faults.bound_pages(None),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Mounted(_) => "mounted",
            Self::Bounded => "bounded",
        }
    }
}

/// Deposits of players of their own.
fn deposits(count: u32) -> Vec<Value> {
    let of_player = |number: u32| {
        let mut event = deposit(&format!("more_{number}"), 10 + number, "EUR");
        event["account_id"] = format!("player_{number}").into();
        event
    };
    (0..count).map(of_player).collect()
}

/// What a run with room enough makes of the events.
fn clean(setup: &Setup, events: &[Value]) -> Vec<String> {
    let app = App::start(Setup { faults: Faults::none(), ..setup.clone() });
    events.iter().for_each(|event| app.accept(event));
    app.post("fx", RATES);
    app.drain();
    app.ledger()
}

/// Eight senders at once; what each event was answered, by its id: the status, and whether it was a repeat.
fn send_all(app: &App, events: &[Value]) -> BTreeMap<String, (u16, bool)> {
    let send = |event: &Value| {
        let reply = app.app.send(app.postback(event)).unwrap();
        let waits = reply.headers.iter().any(|(name, _)| name == b"retry-after");
        assert_eq!(reply.status == 503, waits, "{}", text(&reply));
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        (event["event_id"].as_str().unwrap().to_owned(), (reply.status, answer["idempotent"] == true))
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = events
            .chunks(events.len().div_ceil(8))
            .map(|events| scope.spawn(move || events.iter().map(send).collect::<Vec<_>>()))
            .collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    })
}

fn stored(app: &App) -> BTreeSet<String> {
    app.rows("SELECT event_id FROM inbox").into_iter().collect()
}

#[test]
fn what_finds_no_room_is_not_acknowledged_and_is_accepted_once_when_there_is_some() {
    let plain = App::new();
    let (before, events) = (everything(), deposits(320));
    let expected = clean(&plain.setup, &[before.clone(), events.clone()].concat());
    for disk in disks("what_finds_no_room_is_not_acknowledged_and_is_accepted_once_when_there_is_some") {
        let app = disk.start(&plain.setup);
        before.iter().for_each(|event| app.accept(event));
        app.post("fx", RATES);
        disk.fill_but(&app, 24);
        let first = send_all(&app, &events);
        let accepted: BTreeSet<_> =
            first.iter().filter(|(_, answer)| **answer == (200, false)).map(|(id, _)| id.clone()).collect();
        let refused = first.values().filter(|(status, _)| *status == 503).count();
        println!("{}: {} accepted, {refused} refused", disk.name(), accepted.len());
        assert_eq!(accepted.len() + refused, events.len(), "{first:?}");
        assert!(refused > 50 && !accepted.is_empty(), "{}: {refused} refused", disk.name());
        let inbox: BTreeSet<_> = stored(&app).into_iter().filter(|id| id.starts_with("more_")).collect();
        assert_eq!(inbox, accepted, "{}", disk.name());
        // What was there before is read all the same.
        assert_eq!(app.get("queue")["queued"], before.len() + accepted.len());

        disk.make_room(&app);
        for (id, answer) in send_all(&app, &events) {
            assert_eq!(answer, (200, accepted.contains(&id)), "{}: {id}", disk.name());
        }
        assert_eq!(app.count("inbox"), i64::try_from(before.len() + events.len()).unwrap());
        app.drain();
        assert_eq!(app.ledger(), expected, "{}", disk.name());
        app.assert_sound();
    }
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_posting_changes_no_sum() {
    let plain = App::new();
    let events = [everything(), deposits(500)].concat();
    let expected = clean(&plain.setup, &events);
    for disk in disks("a_disk_that_is_full_in_the_middle_of_posting_changes_no_sum") {
        let mut refused = 0;
        // Whether a batch was posted, and the next one found no room.
        let mut is_middle = false;
        // A log grows by more than the tables do.
        let rooms = match &disk {
            Disk::Mounted(_) => [0, 64, 96, 128, 160],
            Disk::Bounded => [0, 32, 48, 64, 80],
        };
        for pages in rooms {
            let app = disk.start(&plain.setup);
            events.iter().for_each(|event| app.accept(event));
            app.post("fx", RATES);
            disk.fill_but(&app, pages);
            for _ in 0..3 {
                let (status, answer) = app.ask("POST", "tick", "");
                assert!(status == 200 || answer["error"] == "store_unavailable", "{pages}: {answer}");
                refused += usize::from(status == 503);
                let posted = app.count("entry") + app.count("dead_letter");
                // An event is in one place.
                assert_eq!(posted + app.count("queue"), i64::try_from(events.len()).unwrap(), "{pages}");
                is_middle |= status == 503 && posted > 0;
            }
            disk.make_room(&app);
            app.drain();
            assert_eq!(app.ledger(), expected, "{} {pages}", disk.name());
            app.assert_sound();
        }
        println!("{}: {refused} ticks found no room", disk.name());
        assert!(refused > 0 && is_middle, "{}: {refused} ticks found no room", disk.name());
    }
}

#[test]
fn an_application_that_starts_on_a_full_disk_serves_when_there_is_room() {
    let plain = App::new();
    for disk in disks("an_application_that_starts_on_a_full_disk_serves_when_there_is_room") {
        let setup = Setup { faults: Faults::none(), ..plain.setup.clone() };
        let app = match &disk {
            Disk::Mounted(small) => SpinApp::start_below(small.path(), &setup).unwrap(),
            Disk::Bounded => SpinApp::start(&setup).unwrap(),
        };
        let app = App { app, setup };
        // A few of the tables find room.
        match &disk {
            Disk::Mounted(small) => small.fill_but(12 * PAGE_BYTES).unwrap(),
            Disk::Bounded => app.setup.faults.bound_pages(Some(12)),
        }
        for _ in 0..3 {
            let reply = app.app.send(app.postback(&deposit("dep_1", 100, "EUR"))).unwrap();
            assert_eq!(reply.status, 503, "{}: {}", disk.name(), text(&reply));
            assert_eq!(app.ask("GET", "queue", "").0, 503, "{}", disk.name());
        }
        disk.make_room(&app);
        app.accept(&deposit("dep_1", 100, "EUR"));
        assert_eq!(app.get("queue")["queued"], 1);
        app.assert_sound();
    }
}

#[test]
fn a_click_that_finds_no_room_is_redirected_and_counted_as_lost() {
    const CLICKS: usize = 120;
    let plain = App::new();
    for durability in ["redirect_first", "click_first"] {
        let mut setup = plain.setup.clone();
        let mut document: Value = serde_json::from_str(&document()).unwrap();
        document["redirect"] = json!({ "durability": durability });
        document["campaigns"] =
            json!({ "summer": { "partner": "acme", "landing": "https://casino.example/" } });
        setup.document = document.to_string();
        for disk in disks("a_click_that_finds_no_room_is_redirected_and_counted_as_lost") {
            let app = disk.start(&setup);
            let follow = || app.app.send(request("GET", "/c/summer?utm_source=mail", Vec::new())).unwrap();
            assert_eq!(follow().status, 302);
            let logged = |code: &str| {
                let code = format!(r#""code":"{code}""#);
                app.app.log().iter().filter(|line| line.text.contains(&code)).count()
            };
            eventually(&disk, || logged("click_stored") == 1);
            disk.fill_but(&app, 1);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..CLICKS / 8 {
                            let reply = follow();
                            assert_eq!(reply.status, 302, "{durability} {}: {}", disk.name(), text(&reply));
                        }
                    });
                }
            });
            eventually(&disk, || logged("click_stored") + logged("click_lost") == 1 + CLICKS);
            disk.make_room(&app);
            // With the next click that is stored, or by itself, the count is written.
            assert_eq!(follow().status, 302);
            let lost =
                || app.rows("SELECT coalesce(sum(count), 0) FROM click_lost")[0].parse::<usize>().unwrap();
            eventually(&disk, || {
                lost() == logged("click_lost") && logged("click_stored") + lost() == 2 + CLICKS
            });
            println!("{durability} {}: {} of {CLICKS} were lost", disk.name(), lost());
            assert!(lost() > 0, "{}", disk.name());
            // Besides the one that is there from the start.
            assert_eq!(app.count("click"), i64::try_from(1 + logged("click_stored")).unwrap());
            app.assert_sound();
        }
    }
}

fn eventually(disk: &Disk, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{}", disk.name());
        std::thread::sleep(Duration::from_millis(20));
    }
}
