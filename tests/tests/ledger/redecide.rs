//! After a contract change: the what-if run, its confirmation, and what comes later.

use conformance::spin_app::Setup;
use countersign_host::fault::Faults;
use serde_json::{Value, json};

use crate::support::{App, RATES, deposit, document, event, everything, refund};

/// The terms that everything here is posted by first.
const BEFORE: &str = r#""ftd_min_deposit": { "amount": "10.00", "currency": "EUR" },
        "cpa": { "amount": "80.00", "currency": "EUR" }, "revenue_share_percent": "10""#;

/// The same application on the same database, whose contract has other terms.
fn with_terms(app: &App, terms: &str) -> App {
    let document = document().replace(BEFORE, terms);
    assert!(terms == BEFORE || document != self::document(), "the document has the terms");
    let setup = Setup { document, faults: Faults::none(), ..app.setup.clone() };
    App { app: app.app.beside(&setup).unwrap(), setup }
}

/// Everything that can become of an event, posted.
fn posted() -> App {
    let app = App::new();
    app.post("fx", RATES);
    for event in everything() {
        app.accept(&event);
    }
    app.drain();
    app
}

fn what_if(app: &App) -> Value {
    app.post("redecide", r#"{"partner":"acme"}"#)
}

/// Confirms what a what-if run showed.
fn confirm(app: &App, shown: &Value) -> (u16, Value) {
    let order = json!({ "partner": "acme", "confirm": shown["confirm"], "because": "the contract of May" });
    app.ask("POST", "redecide", order.to_string())
}

/// What is in the ledger, without how it came about: each entry's net sums, its verdict, and the first deposits.
fn net(app: &App) -> Vec<String> {
    let mut net = Vec::new();
    for sql in [
        "SELECT event_id, kind, currency, sum(minor), sum(report_minor) FROM posting JOIN entry ON entry.id = posting.entry \
         GROUP BY 1, 2, 3 HAVING sum(minor) <> 0 OR sum(report_minor) <> 0 ORDER BY 1, 2, 3",
        "SELECT event_id, (SELECT verdict FROM verdict WHERE verdict.entry = entry.id ORDER BY id DESC LIMIT 1) FROM entry ORDER BY 1",
        "SELECT account_id, entry FROM first_deposit ORDER BY 1",
    ] {
        net.extend(app.rows(sql));
    }
    net
}

#[test]
fn what_is_shown_is_not_posted_and_what_is_confirmed_is_posted_once() {
    let app = posted();
    let after = with_terms(
        &app,
        r#""ftd_min_deposit": { "amount": "50.00", "currency": "EUR" }, "cpa": { "amount": "90.00", "currency": "USD" }, "revenue_share_percent": "25""#,
    );
    assert_eq!(what_if(&app)["changed"], json!({ "accounts": 0, "deposits": 0 }));
    let before = after.dump();
    let shown = what_if(&after);
    println!("{shown:#}");
    assert_eq!(after.dump(), before);
    let (status, answer) = confirm(&after, &shown);
    assert_eq!((status, &answer["posted"]), (200, &json!(true)), "{answer}");
    let dump = after.dump();
    // Nothing that was there is changed, but who is arbitrated to be first, and how often something was settled.
    let may_change = ["first_deposit: ", "generation: ", "sqlite_"];
    let kept = |row: &&String| !may_change.iter().any(|table| row.starts_with(table));
    for row in before.iter().filter(kept) {
        assert!(dump.contains(row), "{row}");
    }
    assert_eq!(what_if(&after)["changed"], json!({ "accounts": 0, "deposits": 0 }));
    let (status, answer) = confirm(&after, &shown);
    assert_eq!((status, &answer["posted"]), (200, &json!(false)), "{answer}");
    assert_eq!(after.dump(), dump);
    println!("{:#?}", net(&after));
    after.assert_sound();
}
