//! What is kept of refusals, and what is taken out of a player.

use serde_json::{Value, json};

use crate::support::{AT_MS, App, HOUR_MS, deposit, event, refund, text};

fn of_player(mut event: Value, account_id: &str) -> Value {
    event["account_id"] = account_id.into();
    event
}

#[test]
fn an_erased_player_leaves_sums_and_no_trace() {
    let app = App::new();
    app.accept(&of_player(event("registration", "reg_1", json!({ "geo": "BR" })), "player-1"));
    app.accept(&of_player(deposit("dep_1", 100, "EUR"), "player-1"));
    app.accept(&of_player(refund("ref_1", 500, "dep_1"), "player-1"));
    app.accept(&of_player(deposit("dep_2", 50, "EUR"), "player-2"));
    app.drain();
    assert_eq!(app.count("dead_letter"), 1);
    let months = app.get("totals?by=month");
    let order = json!({ "partner": "acme", "account_id": "player-1" }).to_string();
    let (status, answer) = app.ask("POST", "erase", order.as_str());
    assert_eq!((status, &answer["erased"]), (200, &json!(true)), "{answer}");
    assert!(answer["pseudonym"].as_str().unwrap().starts_with("erased_"), "{answer}");
    let dump = app.dump().concat();
    assert!(!dump.contains("player-1") && dump.contains("player-2"));
    assert_eq!(app.get("totals?by=month"), months);
    assert_eq!(app.get("totals?by=account")["totals"].as_array().unwrap().len(), 2);
    assert_eq!(app.count("dead_letter"), 0);
    // Once is enough.
    let (status, answer) = app.ask("POST", "erase", order.as_str());
    assert_eq!((status, &answer["error"]), (404, &json!("account_unknown")), "{answer}");
    let other = json!({ "partner": "acme", "account_id": "player-2" }).to_string();
    assert_eq!(app.ask("POST", "erase", other.as_str()).0, 200, "others can be erased after it");
    // A repeat is still known.
    let again = app.app.send(app.postback(&of_player(deposit("dep_1", 100, "EUR"), "player-1"))).unwrap();
    assert!(again.status == 200 && text(&again).contains("\"idempotent\":true"), "{}", text(&again));
    app.assert_sound();
}

#[test]
fn what_is_still_queued_is_not_erased() {
    let app = App::new();
    app.accept(&of_player(deposit("dep_1", 100, "EUR"), "player-1"));
    let before = app.dump();
    let order = json!({ "partner": "acme", "account_id": "player-1" }).to_string();
    let (status, answer) = app.ask("POST", "erase", order.as_str());
    assert_eq!((status, &answer["error"]), (409, &json!("still_queued")), "{answer}");
    let (status, answer) = app.ask("POST", "erase", r#"{ "partner": "acme" }"#);
    assert_eq!((status, &answer["error"]), (422, &json!("order_invalid")), "{answer}");
    assert_eq!(app.dump(), before);
}

#[test]
fn refusals_of_known_senders_are_kept_and_others_counted() {
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "EUR"));
    assert_eq!(app.app.send(app.postback(&deposit("dep_1", 200, "EUR"))).unwrap().status, 422);
    let mut forged = app.postback(&deposit("dep_2", 100, "EUR"));
    for (name, value) in &mut forged.headers {
        if name == b"x-signature" {
            *value = format!("sha256={}", "0".repeat(64)).into_bytes();
        }
    }
    for _ in 0..3 {
        assert_eq!(app.app.send(forged.clone()).unwrap().status, 403);
    }
    let kept = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let kept = app.get("rejections");
        (kept["counts"].as_array().unwrap().len() == 2).then_some(kept)
    });
    let kept = kept.expect("both are there after a second");
    let rejections = kept["rejections"].as_array().unwrap();
    assert_eq!(rejections.len(), 1, "{kept}");
    for (member, expected) in [
        ("partner", json!("acme")),
        ("code", json!("event_id_reused")),
        ("event_id", json!("dep_1")),
        ("event", json!("deposit_success")),
        ("key_id", json!("k1")),
        ("rejected_at", json!(AT_MS)),
    ] {
        assert_eq!(rejections[0][member], expected, "{member}");
    }
    let counts = kept["counts"].as_array().unwrap();
    let unknown = counts.iter().find(|count| count["partner"] == "").unwrap();
    assert_eq!((&unknown["code"], &unknown["count"]), (&json!("signature_invalid"), &json!(3)));
    assert_eq!(unknown["hour_ms"], json!(AT_MS / HOUR_MS * HOUR_MS));
    assert!(app.get("rejections?partner=nobody")["rejections"].as_array().unwrap().is_empty());
}

#[test]
fn a_refusal_says_which_event_and_what_was_wrong_with_it() {
    let app = App::new();
    let wrong = deposit("dep_1", 100, "EURO");
    assert_eq!(app.app.send(app.postback(&wrong)).unwrap().status, 422);
    let kept = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        app.get("rejections")["rejections"].as_array().unwrap().first().cloned()
    });
    let kept = kept.expect("it is there after a second");
    assert_eq!(
        [&kept["code"], &kept["detail"], &kept["event"], &kept["event_id"]],
        ["event_invalid", "/currency", "deposit_success", "dep_1"]
    );
}

#[test]
fn refusals_wait_for_a_store_that_is_away_on_one_connection() {
    const REFUSALS: i64 = 40;
    let app = App::new();
    let wrong = app.postback(&deposit("dep_1", 100, "EURO"));
    assert_eq!(app.app.send(wrong.clone()).unwrap().status, 422);
    let kept = |expected| {
        let is_kept = (0..300).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            app.count("rejection") == expected
        });
        assert!(is_kept, "{} of {expected}", app.count("rejection"));
    };
    kept(1);
    let opened = || app.setup.faults.calls().get("sqlite.open").copied().unwrap_or(0);
    let before = opened();
    let mut database = app.database();
    let lock = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    for _ in 0..REFUSALS {
        assert_eq!(app.app.send(wrong.clone()).unwrap().status, 422);
    }
    assert!(opened() - before <= 4, "{} connections", opened() - before);
    lock.commit().unwrap();
    kept(REFUSALS + 1);
    let counts = app.rows("SELECT partner, code, sum(count) FROM rejection_count GROUP BY 1, 2");
    assert_eq!(counts, ["acme|event_invalid|41"]);
    app.assert_sound();
}

#[test]
fn no_more_than_a_thousand_refusals_of_an_hour_are_kept() {
    let app = App::new();
    let database = app.database();
    let sql = "INSERT INTO refusal VALUES ('acme', ?1, 'event_invalid', '', NULL, NULL, 'k1', NULL, 1)";
    for _ in 0..1_005 {
        database.execute(sql, [i64::try_from(AT_MS).unwrap()]).unwrap();
    }
    database.execute(sql, [i64::try_from(AT_MS + HOUR_MS).unwrap()]).unwrap();
    assert_eq!(app.count("rejection"), 1_001);
    assert_eq!(app.rows("SELECT count FROM rejection_count ORDER BY hour"), ["1005", "1"]);
}
