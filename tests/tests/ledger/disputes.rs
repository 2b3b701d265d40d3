//! The end of a dispute: a chargeback that the operator won books the money back.

use serde_json::{Value, json};

use crate::support::{App, DAY_MS, SECOND_MS, deposit, event, refund};

/// 2026-11-23T10:00:00Z.
const NOVEMBER_MS: u64 = 1_795_428_000_000;
const CASE_CLICK: &str = "clk_06gzgsgd003g20g30g2gc1r85m042fwyx6vqfrye";

/// What a partner sent of a dispute that was won, line by line: the last one is not how a won dispute is told.
const CASE: [&str; 3] = [
    r#"{"account_id":"u_h5","amount":100,"click_id":"CLICK","currency":"EUR","event":"deposit_success","event_id":"fc_h5_dep","ts_event":"2026-11-21T09:00:00Z"}"#,
    r#"{"account_id":"u_h5","amount":100,"click_id":"CLICK","currency":"EUR","event":"chargeback","event_id":"fc_h5_cb","original_event_id":"fc_h5_dep","ts_event":"2026-11-22T09:00:00Z"}"#,
    r#"{"account_id":"u_h5","amount":100,"click_id":"CLICK","currency":"EUR","event":"refund","event_id":"fc_h5_won","original_event_id":"fc_h5_cb","ts_event":"2026-11-23T09:00:00Z"}"#,
];

fn case() -> Vec<Value> {
    CASE.iter().map(|line| serde_json::from_str(&line.replace("CLICK", CASE_CLICK)).unwrap()).collect()
}

fn chargeback(event_id: &str, amount: u32, original: &str) -> Value {
    event(
        "chargeback",
        event_id,
        json!({ "amount": amount, "currency": "EUR", "original_event_id": original }),
    )
}

fn won(event_id: &str, amount: u32, original: &str) -> Value {
    let more = json!({ "amount": amount, "currency": "EUR", "original_event_id": original });
    event("chargeback_reversed", event_id, more)
}

/// First deposits, deposits, reversals, net revenue, price and share of all there is.
fn totals(app: &App) -> Vec<i64> {
    let all = app.get("totals?by=partner");
    let total = &all["totals"][0];
    ["first_deposits", "deposits", "reversals", "ngr", "cpa", "revenue_share"]
        .map(|name| total[name].as_i64().unwrap())
        .to_vec()
}

#[test]
fn the_documented_event_books_the_money_back() {
    let app = App::new();
    app.set_ms(NOVEMBER_MS);
    app.click(CASE_CLICK);
    for event in case() {
        app.accept(&event);
    }
    app.tick();
    assert_eq!(totals(&app), [1, 10_000, -10_000, 0, 8_000, 0]);
    // What the partner sent says what to send instead.
    let letters = app.get("dead-letters");
    let letter = &letters["dead_letters"][0];
    assert_eq!(
        (&letter["event_id"], &letter["reason"]),
        (&json!("fc_h5_won"), &json!("original_is_no_deposit"))
    );
    assert!(letter["detail"].as_str().unwrap().contains("chargeback_reversed"), "{letter}");

    let mut documented = case().remove(2);
    documented["event"] = "chargeback_reversed".into();
    documented["event_id"] = "fc_h5_reversed".into();
    app.accept(&documented);
    app.accept(&documented);
    assert_eq!(app.tick()["posted"], 1);
    assert_eq!(totals(&app), [1, 10_000, 0, 10_000, 8_000, 1_000]);
    // It stands where its deposit stands, and the totals of each month and campaign know it.
    let sql = "SELECT campaign, account_id, attribution, minor FROM posting JOIN entry ON entry.id = entry WHERE kind = 'chargeback_reversed'";
    assert_eq!(app.rows(sql), ["summer|u_h5|click|10000"]);
    assert_eq!(app.get("totals?by=campaign")["totals"][0]["ngr"], 10_000);

    // A second end of the same dispute is refused by the ledger.
    documented["event_id"] = "fc_h5_again".into();
    app.accept(&documented);
    app.tick();
    assert_eq!(
        app.get("queue")["dead_letters"],
        json!([["original_is_no_deposit", 1], ["over_reversal", 1]])
    );
    assert_eq!(totals(&app), [1, 10_000, 0, 10_000, 8_000, 1_000]);
    app.assert_sound();
}

#[test]
fn every_order_and_every_batch_comes_to_the_same() {
    let events = [deposit("dep_1", 100, "EUR"), chargeback("cb_1", 60, "dep_1"), won("won_1", 50, "cb_1")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for each_alone in [true, false] {
            let app = App::new();
            for index in order {
                app.accept(&events[index]);
                if each_alone {
                    app.tick();
                }
            }
            app.drain();
            assert_eq!(totals(&app), [1, 10_000, -1_000, 9_000, 8_000, 900], "{order:?} {each_alone}");
            assert_eq!(app.count("dead_letter"), 0, "{order:?} {each_alone}");
            app.assert_sound();
        }
    }
}

#[test]
fn what_was_too_much_before_the_end_of_the_dispute_is_posted_after_it() {
    for is_one_batch in [true, false] {
        let app = App::new();
        app.accept(&deposit("dep_1", 100, "EUR"));
        app.accept(&chargeback("cb_1", 100, "dep_1"));
        app.tick();
        app.accept(&refund("ref_1", 40, "dep_1"));
        app.accept(&chargeback("cb_2", 60, "dep_1"));
        if !is_one_batch {
            assert_eq!(app.tick()["dead"], 2);
            app.set_ms(u64::try_from(app.setup.clock.now().as_millis()).unwrap() + SECOND_MS);
        }
        app.accept(&won("won_1", 100, "cb_1"));
        app.drain();
        assert_eq!(app.get("queue")["dead_letters"], json!([]), "{is_one_batch}");
        assert_eq!(totals(&app), [1, 10_000, -10_000, 0, 8_000, 0], "{is_one_batch}");
        // What is too much all the same dies again, and rests.
        app.accept(&refund("ref_2", 1, "dep_1"));
        app.tick();
        app.set_ms(u64::try_from(app.setup.clock.now().as_millis()).unwrap() + SECOND_MS);
        app.tick();
        assert_eq!(app.get("queue")["dead_letters"], json!([["over_refund", 1]]));
        let letters = app.get("dead-letters");
        assert!(letters["dead_letters"][0]["attempts"].as_i64().unwrap() <= 2, "{letters}");
        app.assert_sound();
    }
}

#[test]
fn what_is_discarded_is_not_brought_back() {
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.accept(&chargeback("cb_1", 100, "dep_1"));
    app.accept(&refund("ref_1", 40, "dep_1"));
    app.tick();
    assert_eq!(app.post("dead-letters/discard", r#"{"ids":[3],"because":"agreed"}"#)["discarded"], 1);
    app.accept(&won("won_1", 100, "cb_1"));
    app.drain();
    assert_eq!(totals(&app), [1, 10_000, 0, 10_000, 8_000, 1_000]);
    app.assert_sound();
}

#[test]
fn a_changed_contract_decides_disputes_anew() {
    let app = App::new();
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.accept(&chargeback("cb_1", 100, "dep_1"));
    app.accept(&won("won_1", 70, "cb_1"));
    app.drain();
    assert_eq!(totals(&app), [1, 10_000, -3_000, 7_000, 8_000, 700]);
    let mut setup = app.setup.clone();
    setup.document =
        setup.document.replace(r#""revenue_share_percent": "10""#, r#""revenue_share_percent": "20""#);
    let other = app.app.beside(&setup).map(|beside| App { app: beside, setup }).unwrap();
    let what_if = other.post("redecide", r#"{"partner":"acme"}"#);
    assert_eq!(what_if["changed"]["deposits"], 1, "{what_if}");
    let confirmed = json!({ "partner": "acme", "confirm": what_if["confirm"], "because": "more" });
    assert_eq!(other.post("redecide", confirmed.to_string())["posted"], true);
    assert_eq!(totals(&other), [1, 10_000, -3_000, 7_000, 8_000, 1_400]);
    assert_eq!(other.post("redecide", r#"{"partner":"acme"}"#)["confirm"], Value::Null);
    other.assert_sound();
}

#[test]
fn sums_of_a_won_dispute_stay_when_its_entries_go() {
    let mut setup = crate::support::setup();
    setup.document = setup.document.replace(r#""raw_days": 30,"#, r#""raw_days": 30, "ledger_days": 60,"#);
    let app = App::start(setup);
    app.accept(&deposit("dep_1", 100, "EUR"));
    app.accept(&chargeback("cb_1", 100, "dep_1"));
    app.accept(&won("won_1", 70, "cb_1"));
    app.drain();
    let before = app.get("totals?by=month");
    app.set_ms(u64::try_from(app.setup.clock.now().as_millis()).unwrap() + 61 * DAY_MS);
    // The deposit first, then what takes it back, then what undoes that.
    for left in [2, 1, 0] {
        app.tick();
        assert_eq!(app.count("entry"), left);
        assert_eq!(app.get("totals?by=month"), before);
    }
    app.assert_sound();
}
