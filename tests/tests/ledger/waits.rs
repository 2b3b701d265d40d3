//! What is posted at once, what waits, and how the waiting ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use conformance::spin_app::{Setup, Wakes};
use countersign_host::clock::Clock;
use countersign_host::fault::{Fault, Faults};
use serde_json::{Value, json};

use crate::support::{
    AT_MS, App, DAY_MS, HOUR_MS, RATES, SECOND_MS, deposit, document, event, refund, secrets, text,
};

fn tally(posted: u64, repeated: u64, waiting: u64, dead: u64) -> Value {
    json!({ "posted": posted, "repeated": repeated, "waiting": waiting, "dead": dead })
}

/// Sums by `by`, of the one group.
fn only_total(app: &App, by: &str) -> Value {
    let totals = app.get(&format!("totals?by={by}"));
    let totals = totals["totals"].as_array().unwrap();
    assert_eq!(totals.len(), 1, "{totals:?}");
    totals[0].clone()
}

/// An application on the machine's own clock, whose gate wakes the worker.
fn woken(faults: &Faults) -> App {
    App::start(Setup {
        document: document(),
        secrets: secrets(),
        faults: faults.clone(),
        clock: Clock::System,
        wakes: Wakes::Worker,
    })
}

fn eventually(app: &App, entries: i64, within: Duration) {
    let begin = Instant::now();
    while app.count("entry") != entries {
        assert!(
            begin.elapsed() < within,
            "{} of {entries} entries: {}",
            app.count("entry"),
            app.get("queue")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_accept_is_posted_within_five_seconds_without_any_tick() {
    let app = woken(&Faults::none());
    app.accept(&deposit("dep_1", 100, "EUR"));
    eventually(&app, 1, Duration::from_secs(5));
    // One that comes while the worker runs, and one after it has ended.
    app.accept(&deposit("dep_2", 100, "EUR"));
    eventually(&app, 2, Duration::from_secs(5));
    std::thread::sleep(Duration::from_millis(2_500));
    app.accept(&deposit("dep_3", 100, "EUR"));
    eventually(&app, 3, Duration::from_secs(5));
    app.assert_sound();
}

#[test]
fn a_worker_that_does_not_hear_is_called_again_and_not_before_it_asks_to_be() {
    const ASKED: Duration = Duration::from_secs(3);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let app = App::start(Setup {
        document: document(),
        secrets: secrets(),
        faults: Faults::none(),
        clock: Clock::System,
        wakes: Wakes::Other(listener.local_addr().unwrap().to_string()),
    });
    let (told, calls) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in ["503 No\r\nretry-after: 3", "500 No", "202 Yes", "202 Yes"] {
            let (mut stream, _) = listener.accept().unwrap();
            told.send(Instant::now()).unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"POST /wake "), "{:?}", &request[..length]);
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    let call = || calls.recv_timeout(Duration::from_secs(30)).unwrap();
    app.accept(&deposit("dep_1", 100, "EUR"));
    let (first, second, third) = (call(), call(), call());
    assert!(second - first >= ASKED, "{:?}", second - first);
    assert!(third - second >= Duration::from_secs(1), "{:?}", third - second);
    // It heard: the next call is the next event's.
    let silence = calls.recv_timeout(Duration::from_secs(5));
    assert!(silence.is_err(), "{silence:?}");
    app.accept(&deposit("dep_2", 100, "EUR"));
    call();
}

#[test]
fn a_run_that_meets_faults_goes_on_by_itself() {
    let faults = Faults::none();
    let app = woken(&faults);
    // The gate's own statements come first; what is struck later is the worker's.
    for after in [8, 10, 12, 14, 16, 18, 20] {
        faults.plan("sqlite.execute", after, Fault::Error);
    }
    let event = deposit("dep_1", 100, "EUR");
    while app.app.send(app.postback(&event)).unwrap().status != 200 {}
    eventually(&app, 1, Duration::from_secs(60));
    app.assert_sound();
}

#[test]
fn a_run_that_died_is_taken_over_by_the_worker_that_was_woken() {
    let app = woken(&Faults::none());
    let until = i64::try_from(app.setup.clock.now().as_millis()).unwrap() + 5_000;
    app.database().execute("INSERT INTO run VALUES (1, 7, ?1)", [until]).unwrap();
    app.accept(&deposit("dep_1", 100, "EUR"));
    eventually(&app, 1, Duration::from_secs(20));
    app.assert_sound();
}

#[test]
fn totals_add_up_to_the_cent() {
    let app = App::new();
    app.post("fx", RATES);
    app.accept(&event("registration", "reg_1", json!({})));
    // Of two that the operator takes for the first, one is.
    for mut deposit in [deposit("dep_1", 100, "EUR"), deposit("dep_2", 250, "USD")] {
        deposit["is_ftd"] = true.into();
        app.accept(&deposit);
    }
    app.accept(&refund("ref_1", 20, "dep_1"));
    assert_eq!(app.tick(), tally(4, 0, 0, 0));
    // 250 / 1.1757 = 212.6393…, a tenth of it 21.263…; a tenth of 100 less 20.
    for (by, group) in
        [("month", "2025-12"), ("day", "2025-12-30"), ("partner", "acme"), ("campaign", "summer")]
    {
        let expected = json!({ "group": group, "events": 4, "registrations": 1, "first_deposits": 1,
            "ftd_disagreements": 1, "currency": "EUR", "exponent": 2, "deposits": 10_000 + 21_264, "reversals": -2_000, "ngr": 29_264, "cpa": 8_000, "revenue_share": 1_000 + 2_126 - 200 });
        assert_eq!(only_total(&app, by), expected, "{by}");
    }
    assert_eq!(only_total(&app, "account")["group"], "acme/u_1");
    let (status, refusal) = app.ask("GET", "totals?by=mood", "");
    assert_eq!((status, &refusal["error"]), (422, &json!("by_invalid")));
    app.assert_sound();
}

#[test]
fn a_refund_that_comes_before_its_deposit_waits_for_it() {
    let app = App::new();
    app.accept(&refund("ref_1", 20, "dep_1"));
    assert_eq!(app.tick(), tally(0, 0, 1, 0));
    assert_eq!(app.get("queue")["waiting"], json!([["original_unknown", 1]]));
    app.accept(&deposit("dep_1", 100, "EUR"));
    assert_eq!(app.tick(), tally(2, 0, 0, 0));
    assert_eq!(only_total(&app, "account")["ngr"], 8_000);

    // In one batch, the refund first.
    app.accept(&refund("ref_2", 20, "dep_2"));
    app.accept(&deposit("dep_2", 100, "EUR"));
    app.drain();
    assert_eq!(only_total(&app, "account")["ngr"], 16_000);
    let linked =
        "SELECT r.event_id, o.event_id FROM entry AS r JOIN entry AS o ON o.id = r.original ORDER BY 1";
    assert_eq!(app.rows(linked), ["ref_1|dep_1", "ref_2|dep_2"]);
    app.assert_sound();
}

#[test]
fn a_refund_whose_deposit_never_comes_becomes_a_dead_letter() {
    let app = App::new();
    app.accept(&refund("ref_1", 20, "dep_1"));
    app.tick();
    app.set_ms(AT_MS + 2 * DAY_MS - 1);
    assert_eq!(app.tick(), tally(0, 0, 1, 0));
    app.set_ms(AT_MS + 2 * DAY_MS);
    assert_eq!(app.tick(), tally(0, 0, 0, 1));
    assert_eq!(app.get("queue")["dead_letters"], json!([["original_unknown", 1]]));
    // The deposit was late; a replay finds it.
    app.accept(&deposit("dep_1", 100, "EUR"));
    assert_eq!(app.post("dead-letters/replay", r#"{"reason":"original_unknown"}"#)["replayed"], 1);
    assert_eq!(app.tick(), tally(2, 0, 0, 0));
    assert_eq!(only_total(&app, "account")["ngr"], 8_000);
    app.assert_sound();
}

#[test]
fn a_deposit_without_a_rate_waits_and_is_posted_after_an_import() {
    let app = App::new();
    app.accept(&deposit("dep_1", 250, "USD"));
    app.accept(&deposit("dep_2", 10, "EUR"));
    assert_eq!(app.tick(), tally(1, 0, 1, 0));
    let queue = app.get("queue");
    assert_eq!((&queue["queued"], &queue["waiting"]), (&json!(1), &json!([["rate_unknown", 1]])));
    assert_eq!(queue["oldest_received_at"], AT_MS);
    assert_eq!(app.post("fx", RATES), json!({ "days": 3, "quotes": 6 }));
    assert_eq!(app.tick(), tally(1, 0, 0, 0));
    assert_eq!(app.rows("SELECT report_minor, rate_date, rate_from FROM posting WHERE kind = 'deposit' AND currency = 'USD'"), [
        "21264|2025-12-30|1.1757"
    ]);
    assert_eq!(app.get("queue")["queued"], 0);

    // A rate that the bank's file does not have ends the patience.
    app.accept(&event("deposit_success", "dep_3", json!({ "amount": 5, "currency": "CHF" })));
    app.tick();
    app.set_ms(AT_MS + 3 * DAY_MS);
    assert_eq!(app.tick(), tally(0, 0, 0, 1));
    assert_eq!(app.get("queue")["dead_letters"], json!([["rate_unknown", 1]]));
    app.assert_sound();
}

#[test]
fn an_event_waits_for_its_click_and_is_posted_as_its_own() {
    let app = App::new();
    let of = |event_id: &str| {
        let mut event = deposit(event_id, 100, "EUR");
        event["click_id"] = "clk_late".into();
        event["account_id"] = event_id.into();
        event
    };
    app.accept(&of("dep_1"));
    assert_eq!(app.tick(), tally(0, 0, 1, 0));
    assert_eq!(app.get("queue")["waiting"], json!([["click_unknown", 1]]));
    app.click("clk_late");
    assert_eq!(app.tick(), tally(1, 0, 0, 0));
    assert_eq!(app.rows("SELECT campaign, attribution FROM entry"), ["summer|click"]);
    app.assert_sound();
}

#[test]
fn an_event_whose_click_stays_unknown_is_posted_as_unattributed() {
    let app = App::new();
    let mut event = deposit("dep_1", 100, "EUR");
    event["click_id"] = "clk_never".into();
    app.accept(&event);
    app.tick();
    app.set_ms(AT_MS + 60 * SECOND_MS - 1);
    app.tick();
    assert_eq!(app.count("entry"), 0);
    app.set_ms(AT_MS + 60 * SECOND_MS);
    assert_eq!(app.tick(), tally(1, 0, 0, 0));
    assert_eq!(app.rows("SELECT coalesce(campaign, '-'), attribution FROM entry"), ["-|none"]);
    assert_eq!(only_total(&app, "campaign")["group"], "");
    app.assert_sound();
}

#[test]
fn an_event_is_known_however_late_it_is_repeated() {
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.tick();
    // Behind the retention of the table, of payloads, and of this test's patience.
    for days in [2, 31, 4_000] {
        app.set_ms(AT_MS + days * DAY_MS);
        app.accept(&deposit("dep_1", 100, "EUR"));
        let reused = app.app.send(app.postback(&deposit("dep_1", 999, "EUR"))).unwrap();
        assert_eq!(reused.status, 422, "{}", text(&reused));
        assert_eq!(app.tick(), tally(0, 0, 0, 0));
    }
    // The money's own retention, ten years, is over by then: the id outlives it.
    assert_eq!((app.count("inbox"), app.count("entry")), (1, 0));
    assert_eq!(app.count("inbox WHERE payload <> ''"), 0);
    app.assert_sound();
}

#[test]
fn an_event_whose_id_the_inbox_gave_up_is_posted_once() {
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.tick();
    // As version 1 did after its retention; the ledger has not forgotten it.
    let give_up = || app.database().execute("UPDATE inbox SET fingerprint = NULL", []).unwrap();
    give_up();
    app.accept(&deposit("dep_1", 100, "EUR"));
    assert_eq!(app.tick(), tally(0, 1, 0, 0));
    assert_eq!((app.count("inbox"), app.count("entry")), (2, 1));
    give_up();
    app.accept(&deposit("dep_1", 999, "EUR"));
    assert_eq!(app.tick(), tally(0, 0, 0, 1));
    assert_eq!(app.get("queue")["dead_letters"], json!([["event_id_reused", 1]]));
    assert_eq!(only_total(&app, "account")["deposits"], 10_000);
    app.assert_sound();
}

#[test]
fn a_clock_that_is_set_back_an_hour_holds_up_nothing() {
    let app = App::new();
    // Accepted, waiting, and under the lease of a worker that died: all by a clock that was an hour ahead.
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.accept(&deposit("dep_2", 250, "USD"));
    app.tick();
    app.accept(&deposit("dep_3", 100, "EUR"));
    app.accept(&refund("ref_1", 20, "dep_1"));
    let lease = i64::try_from(AT_MS + 30 * SECOND_MS).unwrap();
    let sql = "UPDATE queue SET lease = 7, due_at = ?1 WHERE inbox_id = (SELECT id FROM inbox WHERE event_id = 'dep_3')";
    app.database().execute(sql, [lease]).unwrap();
    app.set_ms(AT_MS - HOUR_MS);
    let next_due = app.post("tick", "");
    assert_eq!(next_due["tally"], tally(2, 0, 1, 0));
    app.post("fx", RATES);
    assert_eq!(app.tick(), tally(1, 0, 0, 0));
    let total = only_total(&app, "account");
    assert_eq!((&total["deposits"], &total["reversals"]), (&json!(20_000 + 21_264), &json!(-2_000)));
    app.assert_sound();
}

#[test]
fn retention_takes_out_what_is_over_it_and_keeps_the_sums() {
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.accept(&refund("ref_1", 500, "dep_1"));
    app.database()
        .execute("UPDATE click SET device_class = 'mobile', ip_prefix = '203.0.113.0', sub1 = 'x'", [])
        .unwrap();
    app.tick();
    let before = app.get("totals");
    app.set_ms(AT_MS + 30 * DAY_MS);
    app.tick();
    assert_eq!(app.count("inbox WHERE payload <> ''"), 2, "not a day too early");
    app.set_ms(AT_MS + 30 * DAY_MS + 1);
    app.tick();
    // The dead letter may still be replayed.
    assert_eq!(app.rows("SELECT event_id FROM inbox WHERE payload <> ''"), ["ref_1"]);
    assert_eq!(
        app.rows("SELECT click_id, campaign, device_class, ip_prefix, sub1 FROM click"),
        ["clk_known|summer|||"]
    );
    app.post("dead-letters/discard", r#"{"reason":"over_refund","because":"the partner was asked"}"#);
    app.set_ms(AT_MS + 36 * DAY_MS);
    app.tick();
    app.tick();
    assert_eq!((app.count("inbox WHERE payload <> ''"), app.count("dead_letter")), (0, 0));
    assert_eq!(app.get("totals"), before);
    app.assert_sound();
}
