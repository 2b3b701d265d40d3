//! After a contract change: what is shown, what is posted once it is confirmed, and what comes later.

use conformance::spin_app::{Setup, Wakes};
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use serde_json::{Value, json};

use crate::faults::{Saved, strike_every_statement};
use crate::support::{AT_MS, App, RATES, deposit, document, event, everything, refund, secrets};

/// What the document has.
const OLD: &str = r#""ftd_min_deposit": { "amount": "10.00", "currency": "EUR" },
        "cpa": { "amount": "80.00", "currency": "EUR" }, "revenue_share_percent": "10""#;
/// Another minimum, another price in another currency, another share.
const NEW: &str = r#""ftd_min_deposit": { "amount": "50.00", "currency": "EUR" },
        "cpa": { "amount": "90.00", "currency": "USD" }, "revenue_share_percent": "25""#;

fn terms(terms: &str) -> String {
    let document = document().replace(OLD, terms);
    assert!(document.contains(terms), "{document}");
    document
}

/// The same application on the same database, whose contract has other terms.
fn with_terms(app: &App, terms: &str) -> App {
    let setup = Setup { document: self::terms(terms), faults: Faults::none(), ..app.setup.clone() };
    App { app: app.app.beside(&setup).unwrap(), setup }
}

/// These events posted by these terms, with rates.
fn posted(terms: &str, events: &[Value]) -> App {
    let app = App::start(Setup {
        document: self::terms(terms),
        secrets: secrets(),
        faults: Faults::none(),
        clock: Clock::fixed(AT_MS),
        wakes: Wakes::Nobody,
    });
    app.post("fx", RATES);
    for event in events {
        app.accept(event);
    }
    app.drain();
    app
}

fn what_if(app: &App) -> Value {
    app.post("redecide", r#"{"partner":"acme"}"#)
}

/// Confirms what was shown.
fn confirm(app: &App, shown: &Value) -> (u16, Value) {
    let order = json!({ "partner": "acme", "confirm": shown["confirm"], "because": "the contract of May" });
    app.ask("POST", "redecide", order.to_string())
}

/// What the ledger comes to: each entry's net sums, the verdicts, and the first deposits.
fn net(app: &App) -> Vec<String> {
    let mut net = Vec::new();
    for sql in [
        "SELECT event_id, kind, currency, sum(minor), sum(report_minor) FROM posting JOIN entry ON entry.id = posting.entry \
         GROUP BY 1, 2, 3 HAVING sum(minor) <> 0 OR sum(report_minor) <> 0 ORDER BY 1, 2, 3",
        "SELECT event_id, (SELECT verdict FROM verdict WHERE verdict.entry = entry.id ORDER BY id DESC LIMIT 1) FROM entry ORDER BY 1",
        "SELECT first_deposit.account_id, event_id FROM first_deposit JOIN entry ON entry.id = entry ORDER BY 1",
    ] {
        net.extend(app.rows(sql));
    }
    net
}

fn of(account_id: &str, mut event: Value) -> Value {
    event["account_id"] = account_id.into();
    event
}

/// A deposit of the account on another day.
fn at(ts_event: &str, mut event: Value) -> Value {
    event["ts_event"] = ts_event.into();
    event
}

#[test]
fn what_is_shown_is_not_posted_and_what_is_confirmed_is_posted_once() {
    let app = posted(OLD, &everything());
    let same = what_if(&app);
    assert_eq!((&same["changed"]["deposits"], &same["confirm"]), (&json!(0), &Value::Null), "{same}");

    let changed = with_terms(&app, NEW);
    let before = changed.dump();
    let shown = what_if(&changed);
    assert_eq!(changed.dump(), before);
    for (member, expected) in [
        ("posted", json!(false)),
        ("looked_at", json!({ "accounts": 5, "deposits": 6 })),
        ("changed", json!({ "accounts": 4, "deposits": 5 })),
        ("verdicts", json!([{ "from": "first", "to": "below_minimum", "deposits": 2 }])),
        ("left_out", json!({ "accounts": 0, "because": [] })),
        (
            "report_sums",
            json!([
                { "kind": "cpa", "currency": "EUR", "exponent": 2, "before": 32_000, "after": 2 * 7_655 },
                { "kind": "revenue_share", "currency": "EUR", "exponent": 2, "before": 2_829, "after": 7_073 },
            ]),
        ),
    ] {
        assert_eq!(shown[member], expected, "{member}");
    }
    let first = &shown["changes"][0];
    let euros = |minor| json!({ "minor": minor, "currency": "EUR", "exponent": 2 });
    assert_eq!(
        first["postings"][0],
        json!({ "entry": 4, "kind": "cpa", "before": euros(8_000), "after": { "minor": 9_000, "currency": "USD", "exponent": 2 } })
    );
    assert_eq!(
        first["postings"][2],
        json!({ "entry": 1, "kind": "revenue_share", "before": euros(-200), "after": euros(-500) })
    );
    let few = changed.post("redecide", r#"{"partner":"acme","limit":1}"#);
    assert_eq!(few["changes"].as_array().unwrap().len(), 1);
    assert_eq!(few["confirm"], shown["confirm"], "what is shown of it does not matter");

    let (status, answer) = confirm(&changed, &shown);
    assert_eq!((status, &answer["posted"]), (200, &json!(true)), "{answer}");
    assert_eq!(net(&changed), net(&posted(NEW, &everything())));
    let after = changed.dump();
    // Nothing that was there is changed but who is first, and how often something was settled.
    let stands =
        |row: &&String| !["first_deposit: ", "generation: "].iter().any(|table| row.starts_with(table));
    for row in before.iter().filter(stands) {
        assert!(after.contains(row), "{row}");
    }
    assert_eq!(
        changed.rows("SELECT id, partner, confirm, because, accounts, deposits FROM redecision"),
        [format!("1|acme|{}|the contract of May|4|5", shown["confirm"].as_str().unwrap())]
    );
    let (status, answer) = confirm(&changed, &shown);
    assert_eq!(
        (status, &answer["posted"], &answer["confirm"]),
        (200, &json!(false), &Value::Null),
        "{answer}"
    );
    assert_eq!(changed.dump(), after);

    // And back again.
    assert_eq!(confirm(&app, &what_if(&app)).0, 200);
    assert_eq!(net(&app), net(&posted(OLD, &everything())));
    changed.assert_sound();
}

#[test]
fn a_partner_that_nobody_knows_is_said_to_be_unknown() {
    let app = posted(OLD, &[]);
    assert_eq!(what_if(&app)["looked_at"]["deposits"], 0, "a partner without deposits is no mistake");
    let (status, answer) = app.ask("POST", "redecide", r#"{"partner":"acmee"}"#.to_owned());
    assert_eq!((status, &answer["error"]), (404, &json!("partner_unknown")), "{answer}");
}

#[test]
fn what_is_not_what_was_shown_is_not_posted() {
    let app = posted(OLD, &everything());
    let changed = with_terms(&app, NEW);
    let shown = what_if(&changed);
    // It takes the place of the first one, whose price is the old one's still.
    changed.accept(&at("2025-12-29T12:00:00Z", deposit("earlier", 60, "EUR")));
    changed.drain();
    let before = changed.dump();
    let (status, answer) = confirm(&changed, &shown);
    assert_eq!((status, &answer["error"]), (409, &json!("changed")), "{answer}");
    // Of other terms, of another scope, and of nothing at all.
    let shown = what_if(&changed);
    let other = with_terms(&app, &NEW.replace("90.00", "91.00"));
    assert_eq!(confirm(&other, &shown).0, 409);
    for order in [
        json!({ "partner": "acme", "account_id": "u_1", "confirm": shown["confirm"], "because": "x" }),
        json!({ "partner": "acme", "confirm": "", "because": "x" }),
    ] {
        assert_eq!(changed.ask("POST", "redecide", order.to_string()).0, 409, "{order}");
    }
    assert_eq!(changed.dump(), before);
    assert_eq!(confirm(&changed, &shown).0, 200);
    let all = everything().into_iter().chain([at("2025-12-29T12:00:00Z", deposit("earlier", 60, "EUR"))]);
    assert_eq!(net(&changed), net(&posted(NEW, &all.collect::<Vec<_>>())));
    changed.assert_sound();
}

#[test]
fn one_player_is_decided_without_the_others() {
    let changed = with_terms(&posted(OLD, &everything()), NEW);
    let order = |more: Value| {
        let mut order = json!({ "partner": "acme", "account_id": "u_2" });
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        changed.post("redecide", order.to_string())
    };
    let shown = order(json!({}));
    assert_eq!(shown["looked_at"], json!({ "accounts": 1, "deposits": 2 }));
    order(json!({ "confirm": shown["confirm"], "because": "asked" }));
    let shown = what_if(&changed);
    assert_eq!(shown["changed"], json!({ "accounts": 3, "deposits": 3 }), "{shown}");
}

#[test]
fn what_comes_later_is_posted_on_what_was_decided() {
    let events = everything();
    let later = [
        // Takes the place of dep_1, whose price is in dollars by now.
        at("2025-12-29T12:00:00Z", deposit("earlier", 60, "EUR")),
        refund("ref_4", 10, "earlier"),
        of(
            "u_2",
            event(
                "refund",
                "ref_5",
                json!({ "amount": 100, "currency": "USD", "original_event_id": "dep_2" }),
            ),
        ),
        of("u_4", event("deposit_success", "dep_7", json!({ "amount": 60, "currency": "EUR" }))),
    ];
    let changed = with_terms(&posted(OLD, &events), NEW);
    assert_eq!(confirm(&changed, &what_if(&changed)).0, 200);
    for event in &later {
        changed.accept(event);
    }
    changed.drain();
    let all: Vec<_> = events.into_iter().chain(later).collect();
    assert_eq!(net(&changed), net(&posted(NEW, &all)));
    assert_eq!(what_if(&changed)["confirm"], Value::Null);
    changed.assert_sound();
}

#[test]
fn where_a_rate_is_missing_the_player_is_left_as_it_is() {
    let app = posted(OLD, &[of("u_1", deposit("dep_1", 100, "EUR")), of("u_2", deposit("dep_2", 20, "EUR"))]);
    let terms = r#""ftd_min_deposit": { "amount": "50.00", "currency": "EUR" }, "cpa": { "amount": "70.00", "currency": "GBP" }"#;
    let changed = with_terms(&app, terms);
    let shown = what_if(&changed);
    assert_eq!(shown["changed"], json!({ "accounts": 1, "deposits": 1 }), "{shown}");
    let left_out = &shown["left_out"];
    assert_eq!((&left_out["accounts"], &left_out["because"][0]["event_id"]), (&json!(1), &json!("dep_1")));
    assert_eq!(left_out["because"][0]["reason"], "rate_unknown", "{left_out}");
    assert_eq!(confirm(&changed, &shown).0, 200);
    assert_eq!(
        changed.rows("SELECT entry, sum(minor) FROM posting WHERE kind = 'cpa' GROUP BY 1 ORDER BY 1"),
        ["1|8000", "2|0"]
    );
    changed.post("fx", "Date,GBP,\n2025-12-30,0.87,\n");
    let shown = what_if(&changed);
    assert_eq!((&shown["changed"]["deposits"], &shown["left_out"]["accounts"]), (&json!(1), &json!(0)));
    changed.assert_sound();
}

/// Players on two pages, and deposits that name none.
fn crowd() -> Vec<Value> {
    let nobody = (0..3).map(|number| {
        let mut event = deposit(&format!("nobody_{number}"), 30, "EUR");
        event.as_object_mut().unwrap().remove("account_id");
        event
    });
    let players = (0..300)
        .map(|number| of(&format!("p_{number}"), deposit(&format!("dep_{number}"), 20 + number, "EUR")));
    players
        .chain(nobody)
        .chain((0..10).map(|number| {
            of(&format!("p_{number}"), refund(&format!("ref_{number}"), 5, &format!("dep_{number}")))
        }))
        .collect()
}

#[test]
fn every_statement_of_a_confirmation_may_fail_in_every_way() {
    let events = crowd();
    let expected = net(&posted(NEW, &events));
    let changed = with_terms(&posted(OLD, &events), NEW);
    let saved = Saved::of(&changed);
    let restore = || {
        saved.restore(&changed);
        what_if(&changed)
    };
    let confirmed = |shown: Value| confirm(&changed, &shown);
    strike_every_statement(&changed, (30, &[409, 503]), restore, confirmed, |context| {
        let rest = what_if(&changed);
        assert!(rest["confirm"].is_null() || confirm(&changed, &rest).0 == 200, "{context}: {rest}");
        assert_eq!(net(&changed), expected, "{context}");
    });
}

#[test]
fn two_who_confirm_at_once_post_it_once() {
    let events = everything();
    let app = posted(OLD, &events);
    let ways =
        [NEW, OLD].map(|terms| ([0; 2].map(|_| with_terms(&app, terms)), net(&posted(terms, &events))));
    for (round, (two, expected)) in ways.iter().cycle().take(20).enumerate() {
        let shown = what_if(&two[0]);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads = two.each_ref().map(|one| scope.spawn(|| confirm(one, &shown)));
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|(status, _)| [200, 409, 503].contains(status)), "{round}: {answers:?}");
        let rest = what_if(&two[1]);
        assert!(rest["confirm"].is_null() || confirm(&two[1], &rest).0 == 200, "{round}: {rest}");
        assert_eq!(&net(&two[0]), expected, "{round}");
    }
}
