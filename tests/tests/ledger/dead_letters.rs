//! Dead letters: seen, sent through the posting again, given up.

use serde_json::{Value, json};

use crate::support::{AT_MS, App, SECOND_MS, deposit, refund};

/// Three refunds that take back more than was paid: the dead letters 2, 3 and 4.
fn over_refunds() -> App {
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "EUR"));
    for number in 1..=3 {
        app.accept(&refund(&format!("ref_{number}"), 60 + 100 * number, "dep_1"));
    }
    assert_eq!(app.tick()["dead"], 3);
    app
}

fn ids(list: &Value) -> Vec<i64> {
    list["dead_letters"].as_array().unwrap().iter().map(|letter| letter["id"].as_i64().unwrap()).collect()
}

#[test]
fn dead_letters_are_listed_by_page_and_shown_whole() {
    let app = over_refunds();
    let list = app.get("dead-letters?limit=2");
    assert_eq!((ids(&list), &list["next"]), (vec![2, 3], &json!(3)));
    let list = app.get("dead-letters?limit=2&after=3");
    assert_eq!((ids(&list), &list["next"]), (vec![4], &Value::Null));
    assert_eq!(ids(&app.get("dead-letters?reason=over_refund&partner=acme")), [2, 3, 4]);
    assert!(ids(&app.get("dead-letters?reason=rate_unknown")).is_empty());
    assert!(ids(&app.get("dead-letters?partner=nobody")).is_empty());
    let letter = app.get("dead-letters/2");
    for (member, expected) in [
        ("event_id", json!("ref_1")),
        ("event", json!("refund")),
        ("partner", json!("acme")),
        ("reason", json!("over_refund")),
        ("attempts", json!(1)),
        ("received_at", json!(AT_MS)),
        ("died_at", json!(AT_MS)),
        ("discarded_at", Value::Null),
    ] {
        assert_eq!(letter[member], expected, "{letter}");
    }
    let payload: Value = serde_json::from_str(letter["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, refund("ref_1", 160, "dep_1"));
    assert!(letter["receipt"].as_str().unwrap().starts_with("cs1_"), "{letter}");
    app.assert_sound();
}

#[test]
fn a_dry_run_says_what_a_replay_would_do_and_changes_nothing() {
    let app = over_refunds();
    let before = app.dump();
    for (order, expected) in [
        (json!({ "ids": [2, 4, 99] }), vec![2, 4]),
        (json!({ "ids": [] }), vec![]),
        (json!({ "from": 3, "to": 4 }), vec![3, 4]),
        (json!({ "reason": "over_refund" }), vec![2, 3, 4]),
        (json!({ "partner": "acme" }), vec![2, 3, 4]),
        (json!({ "partner": "acme", "ids": [3], "reason": "over_refund" }), vec![3]),
        (json!({ "partner": "nobody", "reason": "over_refund" }), vec![]),
        (json!({ "reason": "rate_unknown", "ids": [2] }), vec![]),
    ] {
        let mut order = order;
        order["dry_run"] = true.into();
        let answer = app.post("dead-letters/replay", order.to_string());
        assert_eq!(
            answer,
            json!({ "replayed": expected.len(), "dry_run": true, "ids": expected }),
            "{order}"
        );
        order["because"] = "asked".into();
        let answer = app.post("dead-letters/discard", order.to_string());
        assert_eq!(
            answer,
            json!({ "discarded": expected.len(), "dry_run": true, "ids": expected }),
            "{order}"
        );
        assert_eq!(app.dump(), before, "{order}");
    }
    app.assert_sound();
}

#[test]
fn a_replay_goes_through_the_same_posting_with_the_same_event_id() {
    let app = over_refunds();
    // Nothing has changed: it dies again.
    assert_eq!(app.post("dead-letters/replay", r#"{"ids":[2]}"#)["ids"], json!([2]));
    assert_eq!(app.get("queue")["queued"], 1);
    assert_eq!(app.tick()["dead"], 1);
    // What was left of the deposit was more than a former rule took it for: now it fits.
    let sql = "INSERT INTO posting SELECT NULL, entry, 900, 'chargeback', currency, 6000, exponent, report_currency, 6000, \
               report_exponent, rate_source, rate_date, rate_from, rate_to, posted_at FROM posting WHERE kind = 'deposit'";
    let linked = "INSERT INTO entry SELECT 900, partner, 'cha_1', 'chargeback', ts_event, received_at, posted_at, key_id, source, receipt, \
                  payload_hash, click_id, campaign, attribution, score, matched_by, account_id, id, said_ftd FROM entry";
    app.database().execute(linked, []).unwrap();
    app.database().execute(&sql.replace("entry, 900", "900, 900"), []).unwrap();
    app.post("dead-letters/replay", r#"{"from":2,"to":2}"#);
    assert_eq!(app.tick()["posted"], 1);
    assert_eq!(app.rows("SELECT id FROM entry WHERE event_id = 'ref_1'"), ["2"]);
    assert_eq!(ids(&app.get("dead-letters")), [3, 4]);
    // What is not there, or was replayed already, is not replayed.
    assert_eq!(app.post("dead-letters/replay", r#"{"ids":[2]}"#)["replayed"], 0);
    app.assert_sound();
}

#[test]
fn what_is_discarded_keeps_its_reason_and_is_not_replayed() {
    let app = over_refunds();
    app.set_ms(AT_MS + SECOND_MS);
    let answer = app.post("dead-letters/discard", r#"{"ids":[2,3],"because":"the partner took them back"}"#);
    assert_eq!(answer, json!({ "discarded": 2, "dry_run": false, "ids": [2, 3] }));
    let letter = app.get("dead-letters/2");
    assert_eq!(letter["discarded_as"], "the partner took them back");
    assert_eq!(letter["discarded_at"], AT_MS + SECOND_MS);
    assert_eq!(app.get("queue")["dead_letters"], json!([["over_refund", 1]]));
    let answer = app.post("dead-letters/replay", r#"{"reason":"over_refund"}"#);
    assert_eq!(answer["ids"], json!([4]));
    let again = app.post("dead-letters/discard", r#"{"ids":[2],"because":"another reason"}"#);
    assert_eq!(again["discarded"], 0);
    assert_eq!(app.get("dead-letters/2")["discarded_as"], "the partner took them back");
    app.assert_sound();
}

#[test]
fn a_damaged_row_of_the_inbox_becomes_a_dead_letter_and_hinders_nobody() {
    let damages = [
        "payload = CAST(x'ff00' AS TEXT)",
        "payload = '{'",
        "payload = '[]'",
        "payload = ''",
        "partner = CAST(x'c328' AS TEXT)",
        "event_id = CAST(x'ff' AS TEXT)",
        "event = CAST(x'ff' AS TEXT)",
        "click_id = CAST(x'ff' AS TEXT)",
        "payload_hash = x'00'",
        "ts_event = -1",
        "ts_event = 9223372036854775807",
        "received_at = -1",
        // A deposit without its money.
        "payload = '{}'",
    ];
    let app = App::new();
    for (number, damage) in damages.into_iter().enumerate() {
        let names = ["a", "b", "c"].map(|letter| format!("dep_{number}{letter}"));
        for name in &names {
            app.accept(&deposit(name, 100, "EUR"));
        }
        let ids = names
            .each_ref()
            .map(|name| app.rows(&format!("SELECT id FROM inbox WHERE event_id = '{name}'"))[0].clone());
        let (good, id) = (&ids[0], &ids[1]);
        app.database().execute(&format!("UPDATE inbox SET {damage} WHERE id = {id}"), []).unwrap();
        let tally = app.tick();
        assert_eq!((&tally["posted"], &tally["dead"]), (&json!(2), &json!(1)), "{damage}");
        assert_eq!(app.get("queue")["dead_letters"], json!([["row_damaged", 1]]), "{damage}");
        let (letter, list) = (app.get(&format!("dead-letters/{id}")), app.get("dead-letters"));
        assert_eq!(letter["reason"], "row_damaged", "{damage}: {letter}");
        assert_eq!(list["dead_letters"].as_array().unwrap().len(), 1, "{damage}: {list}");
        // From a copy, as the letter says.
        let payload = app.rows(&format!("SELECT payload FROM inbox WHERE id = {good}"))[0]
            .replace(&names[0], &names[1]);
        let sql = format!(
            "UPDATE inbox SET (partner, event_id, event, click_id, payload_hash, ts_event, received_at, payload) = \
             (SELECT partner, ?1, event, click_id, payload_hash, ts_event, received_at, ?2 FROM inbox WHERE id = {good}) WHERE id = {id}"
        );
        app.database().execute(&sql, [&names[1], &payload]).unwrap();
        app.post("dead-letters/replay", r#"{"reason":"row_damaged"}"#);
        assert_eq!(app.tick()["posted"], 1, "{damage}");
    }
    app.assert_sound();
}
