//! What is over its retention goes, in small batches and whatever fails: sums stay, and what went does not come a second time.

use serde_json::{Value, json};

use crate::faults::{Saved, strike_every_statement};
use crate::support::{AT_MS, App, DAY_MS, HOUR_MS, RATES, deposit, document, event, everything, refund};

/// The last millisecond at which entries received at [`AT_MS`] are kept.
const KEPT_MS: u64 = AT_MS + 30 * DAY_MS;
/// Groups that do not tell players apart.
const GROUPS: [&str; 4] = ["month", "day", "partner", "campaign"];

/// Entries are kept for 30 days.
fn start() -> App {
    let plain = App::new();
    let mut setup = plain.setup.clone();
    let mut document: Value = serde_json::from_str(&document()).unwrap();
    document["privacy"]["retention"]["ledger_days"] = 30.into();
    setup.document = document.to_string();
    App::start(setup)
}

/// Everything that can become of an event, posted.
fn posted() -> App {
    let app = start();
    for event in everything() {
        app.accept(&event);
    }
    app.post("fx", RATES);
    app.drain();
    app
}

fn totals(app: &App) -> Vec<Value> {
    GROUPS.map(|by| app.get(&format!("totals?by={by}"))).to_vec()
}

/// The sum of a member over all groups.
fn sum(totals: &Value, member: &str) -> i64 {
    let groups = totals["totals"].as_array().unwrap();
    groups.iter().map(|total| total[member].as_i64().unwrap()).sum()
}

fn purge(app: &App) {
    for _ in 0..10 {
        app.tick();
        if app.count("entry") == 0 {
            return;
        }
    }
    panic!("{:?}", app.rows("SELECT * FROM entry"));
}

#[test]
fn entries_go_after_their_retention_and_the_sums_stay() {
    let app = posted();
    let (before, accounts) = (totals(&app), app.get("totals?by=account"));
    assert_eq!((app.count("entry"), app.count("first_deposit")), (12, 4));
    app.set_ms(KEPT_MS);
    app.tick();
    assert_eq!((app.count("entry"), app.count("carried")), (12, 0), "not a millisecond too early");
    app.set_ms(KEPT_MS + 1);
    app.tick();
    // What takes back a deposit goes after it.
    assert_eq!(app.rows("SELECT event_id FROM entry ORDER BY 1"), ["cha_1", "ref_1"]);
    assert_eq!(totals(&app), before);
    purge(&app);
    assert_eq!((app.count("posting"), app.count("verdict"), app.count("purged")), (0, 0, 12));
    assert_eq!(totals(&app), before);
    // Whose it was is not known any more.
    let carried = app.get("totals?by=account");
    assert_eq!(carried["totals"].as_array().unwrap().len(), 1, "{carried}");
    assert_eq!(carried["totals"][0]["group"], "acme/");
    for member in
        ["events", "registrations", "first_deposits", "ftd_disagreements", "ngr", "cpa", "revenue_share"]
    {
        assert_eq!(sum(&carried, member), sum(&accounts, member), "{member}");
    }
    let sums = app.rows("SELECT kind, currency, minor FROM carried_sum WHERE currency = 'USD' AND kind = 'deposit' ORDER BY 3");
    assert_eq!(sums, ["deposit|USD|27500"]);
    // What comes later is added.
    let ngr = sum(&before[0], "ngr");
    app.accept(&deposit("dep_7", 10, "EUR"));
    app.tick();
    for (total, before) in totals(&app).iter().zip(&before) {
        assert_eq!((sum(total, "ngr"), sum(total, "events")), (ngr + 1_000, sum(before, "events") + 1));
        assert_eq!(total["totals"].as_array().unwrap().len(), before["totals"].as_array().unwrap().len());
    }
    app.assert_sound();
}

#[test]
fn what_has_gone_is_not_posted_again_and_stays_the_first() {
    let app = start();
    app.accept(&event("registration", "reg_1", json!({})));
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.accept(&refund("ref_1", 500, "dep_1"));
    app.tick();
    let before = totals(&app);
    assert_eq!(sum(&before[0], "cpa"), 8_000);
    app.set_ms(KEPT_MS + 1);
    purge(&app);
    let repeat = || {
        app.accept(&deposit("dep_1", 100, "EUR"));
        app.accept(&event("registration", "reg_1", json!({})));
    };
    repeat();
    assert_eq!(
        (app.get("queue")["queued"].as_i64(), app.count("inbox")),
        (Some(0), 3),
        "the gate knows them"
    );
    // As version 1 did after its retention: the gate has forgotten the ids, and the ledger has not.
    let forget = || app.database().execute("UPDATE inbox SET fingerprint = NULL", []).unwrap();
    forget();
    repeat();
    assert_eq!(app.tick()["repeated"], 2);
    app.set_ms(KEPT_MS + 2 * DAY_MS);
    forget();
    app.accept(&deposit("dep_1", 101, "EUR"));
    app.accept(&refund("ref_2", 20, "dep_1"));
    // A replay of the refund that was too much.
    app.post("dead-letters/replay", r#"{"reason":"over_refund"}"#);
    assert_eq!(app.tick()["dead"], 3);
    assert_eq!(app.get("queue")["dead_letters"], json!([["event_id_reused", 1], ["original_purged", 2]]));
    assert_eq!((app.count("entry"), totals(&app)), (0, before));
    // Neither a later deposit nor an earlier one is the first of the account, which it is still traced back by.
    for (event_id, ts_event) in [("dep_2", "2026-01-30T00:00:00Z"), ("dep_3", "2025-12-01T00:00:00Z")] {
        let mut later = deposit(event_id, 50, "EUR");
        later["ts_event"] = ts_event.into();
        later["click_id"] = "clk_unknown".into();
        app.accept(&later);
    }
    assert_eq!(app.tick()["posted"], 2);
    assert_eq!(app.rows("SELECT verdict FROM verdict"), ["not_the_first", "not_the_first"]);
    assert_eq!(app.rows("SELECT attribution, campaign FROM entry"), ["account|summer", "account|summer"]);
    let total = app.get("totals?by=partner");
    assert_eq!((sum(&total, "first_deposits"), sum(&total, "cpa"), sum(&total, "ngr")), (1, 8_000, 20_000));
    app.assert_sound();
}

#[test]
fn the_oldest_go_first_and_no_more_than_five_hundred_at_a_time() {
    let app = start();
    for number in 0..1_203 {
        app.set_ms(AT_MS + number);
        app.accept(&deposit(&format!("dep_{number}"), 10, "EUR"));
    }
    app.drain();
    let before = totals(&app);
    app.set_ms(KEPT_MS + 1_201);
    for left in [703, 203, 2, 2] {
        app.tick();
        assert_eq!(app.count("entry"), left);
        assert_eq!(app.rows("SELECT min(id) FROM entry"), [(1_204 - left).to_string()]);
        assert_eq!(totals(&app), before);
    }
    app.assert_sound();
}

#[test]
fn a_refund_stays_as_long_as_its_deposit() {
    let app = start();
    app.accept(&refund("ref_1", 60, "dep_1"));
    app.tick();
    // It waited for its deposit.
    app.set_ms(AT_MS + DAY_MS);
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.tick();
    app.tick();
    let before = totals(&app);
    assert_eq!((app.count("entry"), sum(&before[0], "ngr")), (2, 4_000));
    app.set_ms(KEPT_MS + HOUR_MS);
    app.tick();
    assert_eq!(app.count("entry"), 2);
    // What is left of the deposit is still known.
    app.accept(&refund("ref_2", 41, "dep_1"));
    assert_eq!(app.tick()["dead"], 1);
    assert_eq!(app.get("queue")["dead_letters"], json!([["over_refund", 1]]));
    app.set_ms(KEPT_MS + DAY_MS + 1);
    app.tick();
    assert_eq!(app.rows("SELECT event_id FROM entry"), ["ref_1"]);
    purge(&app);
    assert_eq!(totals(&app), before);
    app.assert_sound();
}

#[test]
fn every_statement_of_a_purge_may_fail_in_every_way() {
    let app = posted();
    let before = totals(&app);
    let saved = Saved::of(&app);
    app.set_ms(KEPT_MS + 1);
    purge(&app);
    let carried =
        |app: &App| [app.rows("SELECT * FROM carried"), app.rows("SELECT * FROM carried_sum")].concat();
    let expected = carried(&app);
    assert_eq!(expected.len(), 13);
    let restore = || {
        saved.restore(&app);
        app.set_ms(KEPT_MS + 1);
    };
    let tick = |()| app.ask("POST", "tick", "");
    strike_every_statement(&app, (9, &[503]), restore, tick, |context| {
        assert_eq!(totals(&app), before, "{context}");
        purge(&app);
        assert_eq!((totals(&app), carried(&app)), (before.clone(), expected.clone()), "{context}");
    });
}

#[test]
fn workers_at_once_carry_nothing_forward_twice() {
    let one = posted();
    let other = one.beside();
    let before = totals(&one);
    let saved = Saved::of(&one);
    for round in 0..20 {
        saved.restore(&one);
        one.set_ms(KEPT_MS + 1);
        std::thread::scope(|scope| {
            for app in [&one, &other, &one, &other] {
                scope.spawn(move || app.ask("POST", "tick", ""));
            }
        });
        purge(&one);
        assert_eq!(totals(&one), before, "{round}");
    }
    one.assert_sound();
    other.assert_sound();
}

#[test]
fn an_account_is_erased_after_its_entries_have_gone() {
    let app = start();
    for (event_id, account_id) in [("dep_1", "player-1"), ("dep_2", "player-2")] {
        let mut event = deposit(event_id, 100, "EUR");
        event["account_id"] = account_id.into();
        app.accept(&event);
    }
    app.tick();
    app.set_ms(KEPT_MS + 1);
    purge(&app);
    let before = totals(&app);
    // Beside payloads that are over their retention there is one that is damaged.
    app.accept(&deposit("dep_3", 100, "EUR"));
    app.database().execute("UPDATE inbox SET payload = '{' WHERE event_id = 'dep_3'", []).unwrap();
    app.post("erase", r#"{ "partner": "acme", "account_id": "player-1" }"#);
    let dump = app.dump().concat();
    assert!(!dump.contains("player-1") && dump.contains("player-2"));
    assert_eq!((app.count("first_deposit"), totals(&app)), (2, before));
    app.assert_sound();
}

#[test]
fn refusals_go_after_their_retention_in_small_batches() {
    let app = App::new();
    let database = app.database();
    let refuse = |partner: &str, at_ms: u64, key_id: Option<&str>| {
        let sql = "INSERT INTO refusal VALUES (?1, ?2, 'event_invalid', '', NULL, NULL, ?3, NULL, 1)";
        database.execute(sql, (partner, i64::try_from(at_ms).unwrap(), key_id)).unwrap();
    };
    for number in 0..700 {
        refuse("acme", AT_MS, Some("k1"));
        // Of unknown senders there are counts alone.
        refuse("", AT_MS + number * HOUR_MS, None);
    }
    refuse("acme", AT_MS + 2, Some("k1"));
    let kept = |app: &App| (app.count("rejection"), app.count("rejection_count"));
    assert_eq!(kept(&app), (701, 701));
    app.set_ms(AT_MS + 5 * DAY_MS);
    app.tick();
    assert_eq!(kept(&app), (701, 701), "not a millisecond too early");
    app.set_ms(AT_MS + 5 * DAY_MS + 1);
    app.tick();
    assert_eq!(kept(&app), (201, 701));
    app.tick();
    app.tick();
    assert_eq!(kept(&app), (1, 701), "the hour of a count is not over yet");
    app.set_ms(AT_MS + 5 * DAY_MS + HOUR_MS);
    app.tick();
    assert_eq!(kept(&app), (0, 699));
    app.set_ms(AT_MS + 5 * DAY_MS + 1_000 * HOUR_MS);
    app.tick();
    assert_eq!(kept(&app), (0, 199));
    app.tick();
    assert_eq!(kept(&app), (0, 0));
    app.assert_sound();
}
