//! Fallback duplicates: told apart by `ts_event`, kept, shown, and never posted.

use countersign_host::http::HttpReply;
use serde_json::{Value, json};

use crate::faults::{Saved, strike_every_statement};
use crate::support::{AT_MS, App, DAY_MS, HOUR_MS, SECOND_MS, deposit, document, event, text};

/// Of registrations and deposits within an hour of one another only the first counts.
pub(crate) fn windowed(quota: u32) -> App {
    let plain = App::new();
    let mut setup = plain.setup.clone();
    let mut document: Value = serde_json::from_str(&document()).unwrap();
    let window = json!({ "fallback_window_seconds": 3600 });
    let acme = &mut document["partners"]["acme"];
    acme["events"] = json!({ "registration": window, "deposit_success": window });
    acme["rate"] = json!({ "per_second": 1, "burst": quota });
    setup.document = document.to_string();
    App::start(setup)
}

fn happened(mut event: Value, ts_event: &str) -> Value {
    event["ts_event"] = ts_event.into();
    event
}

fn send(app: &App, event: &Value) -> (u16, Value) {
    let reply = app.app.send(app.postback(event)).unwrap();
    (reply.status, answer(&reply))
}

fn answer(reply: &HttpReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", text(reply)))
}

fn accepted(app: &App, event: &Value) {
    let (status, answer) = send(app, event);
    assert_eq!((status, &answer["idempotent"]), (200, &json!(false)), "{event}: {answer}");
}

fn duplicate_of(app: &App, event: &Value, original: &str) {
    let reply = app.app.send(app.postback(event)).unwrap();
    let answer = answer(&reply);
    assert_eq!((reply.status, &answer["duplicate_of"]), (200, &json!(original)), "{event}: {answer}");
    assert_eq!(answer["receipt"], Value::Null, "{answer}");
}

#[test]
fn a_backlog_that_is_flushed_at_once_keeps_what_happened_apart() {
    let app = windowed(1_000);
    // Ninety minutes apart by the sender's clock, two seconds by ours; the third is within an hour of both.
    accepted(&app, &happened(deposit("dep_2", 100, "EUR"), "2025-12-30T13:30:00Z"));
    app.set_ms(AT_MS + 2 * SECOND_MS);
    accepted(&app, &happened(deposit("dep_1", 100, "EUR"), "2025-12-30T12:00:00Z"));
    duplicate_of(&app, &happened(deposit("dep_3", 100, "EUR"), "2025-12-30T12:45:00Z"), "dep_2");
    duplicate_of(&app, &happened(deposit("dep_4", 100, "EUR"), "2025-12-30T14:29:59.999Z"), "dep_2");
    accepted(&app, &happened(deposit("dep_5", 100, "EUR"), "2025-12-30T14:30:00Z"));
    // Another sum is another deposit.
    accepted(&app, &happened(deposit("dep_6", 101, "EUR"), "2025-12-30T12:00:00Z"));
    accepted(&app, &happened(deposit("dep_7", 100, "USD"), "2025-12-30T12:00:00Z"));
    assert_eq!((app.count("inbox"), app.count("duplicate")), (5, 2));
    app.assert_sound();
}

#[test]
fn a_verdict_stands_whatever_becomes_of_its_window() {
    let app = windowed(1_000);
    accepted(&app, &event("registration", "reg_1", json!({})));
    let again = event("registration", "reg_2", json!({}));
    duplicate_of(&app, &again, "reg_1");
    for later in [HOUR_MS, 3 * DAY_MS, 400 * DAY_MS] {
        app.set_ms(AT_MS + later);
        app.tick();
        duplicate_of(&app, &again, "reg_1");
    }
    let (status, answer) = send(&app, &event("registration", "reg_2", json!({ "geo": "BR" })));
    assert_eq!((status, &answer["error"]), (422, &json!("event_id_reused")), "{answer}");
    app.drain();
    assert_eq!((app.count("entry"), app.count("inbox"), app.count("duplicate")), (1, 1, 1));
    app.assert_sound();
}

#[test]
fn repeats_cost_no_quota_and_first_duplicates_do() {
    let app = windowed(3);
    let (first, again) =
        (event("registration", "reg_1", json!({})), event("registration", "reg_2", json!({})));
    accepted(&app, &first);
    for _ in 0..5 {
        assert_eq!(send(&app, &first).1["idempotent"], json!(true));
    }
    duplicate_of(&app, &again, "reg_1");
    accepted(&app, &deposit("dep_1", 100, "EUR"));
    // The quota is spent: what is known is answered, and nothing new is written.
    assert_eq!(send(&app, &first).0, 200);
    duplicate_of(&app, &again, "reg_1");
    for new in [event("registration", "reg_3", json!({})), deposit("dep_2", 7, "EUR")] {
        let (status, answer) = send(&app, &new);
        assert_eq!((status, &answer["error"]), (429, &json!("rate_limited")), "{answer}");
    }
    assert_eq!((app.count("inbox"), app.count("duplicate")), (2, 1));
    app.set_ms(AT_MS + SECOND_MS);
    duplicate_of(&app, &event("registration", "reg_3", json!({})), "reg_1");
    app.assert_sound();
}

fn ids(list: &Value) -> Vec<i64> {
    list["duplicates"].as_array().unwrap().iter().map(|duplicate| duplicate["id"].as_i64().unwrap()).collect()
}

#[test]
fn duplicates_are_listed_by_page_and_shown_whole() {
    let app = windowed(1_000);
    accepted(&app, &event("registration", "reg_1", json!({})));
    for number in 2..5 {
        duplicate_of(&app, &event("registration", &format!("reg_{number}"), json!({ "geo": "BR" })), "reg_1");
    }
    let list = app.get("duplicates?limit=2");
    assert_eq!((ids(&list), &list["next"]), (vec![1, 2], &json!(2)));
    let list = app.get("duplicates?limit=2&after=2&partner=acme");
    assert_eq!((ids(&list), &list["next"]), (vec![3], &Value::Null));
    assert!(ids(&app.get("duplicates?partner=nobody")).is_empty());
    let duplicate = app.get("duplicates/2");
    for (member, expected) in [
        ("partner", json!("acme")),
        ("event_id", json!("reg_3")),
        ("duplicate_of", json!("reg_1")),
        ("event", json!("registration")),
        ("click_id", json!("clk_known")),
        ("key_id", json!("k1")),
        ("received_at", json!(AT_MS)),
        ("ts_event", json!(1_767_096_000_000_u64)),
    ] {
        assert_eq!(duplicate[member], expected, "{duplicate}");
    }
    assert_eq!(duplicate["payload_hash"].as_str().unwrap().len(), 64, "{duplicate}");
    let payload: Value = serde_json::from_str(duplicate["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, event("registration", "reg_3", json!({ "geo": "BR" })));
    for (path, status) in [
        ("duplicates/9", 404),
        ("duplicates/x", 404),
        ("duplicates?reason=x", 422),
        ("duplicates?limit=0", 422),
    ] {
        assert_eq!(app.ask("GET", path, "").0, status, "{path}");
    }
    assert_eq!(app.ask("POST", "duplicates", "").0, 405);
    app.assert_sound();
}

#[test]
fn payloads_of_duplicates_go_with_their_retention_and_with_their_player() {
    let app = windowed(1_000);
    let of_player = |event_id: &str, player: &str| {
        let mut event = event("registration", event_id, json!({}));
        event["account_id"] = player.into();
        event
    };
    accepted(&app, &of_player("reg_1", "player-1"));
    let (second, third) = (of_player("reg_2", "player-2"), of_player("reg_3", "player-3"));
    duplicate_of(&app, &second, "reg_1");
    duplicate_of(&app, &third, "reg_1");
    app.drain();
    // Nothing else is known of this player.
    let order = json!({ "partner": "acme", "account_id": "player-2" }).to_string();
    assert_eq!(app.ask("POST", "erase", order.as_str()).0, 200);
    let dump = app.dump().concat();
    assert!(!dump.contains("player-2") && dump.contains("player-3"));
    let kept = "SELECT event_id FROM duplicate WHERE payload <> '' OR source IS NOT NULL";
    app.set_ms(AT_MS + 30 * DAY_MS);
    app.tick();
    assert_eq!(app.rows(kept), ["reg_3"], "not a millisecond too early");
    app.set_ms(AT_MS + 30 * DAY_MS + 1);
    app.tick();
    assert!(app.rows(kept).is_empty());
    assert_eq!(app.get("duplicates/2")["payload"], json!(""));
    for known in [second, third] {
        duplicate_of(&app, &known, "reg_1");
    }
    app.assert_sound();
}

#[test]
fn every_statement_of_a_duplicate_may_fail_in_every_way() {
    let app = windowed(1_000);
    accepted(&app, &event("registration", "reg_1", json!({})));
    let saved = Saved::of(&app);
    let again = event("registration", "reg_2", json!({}));
    let act = |()| send(&app, &again);
    strike_every_statement(
        &app,
        (5, &[503]),
        || saved.restore(&app),
        act,
        |context| {
            assert!(app.count("duplicate") <= 1, "{context}");
            duplicate_of(&app, &again, "reg_1");
            assert_eq!((app.count("inbox"), app.count("duplicate")), (1, 1), "{context}");
        },
    );
}
