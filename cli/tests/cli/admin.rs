//! The commands of administration, against a running application.

use crate::application::{SECRET, Up, wasm};
use crate::support::{Folder, Said, countersign};

/// An application whose events wait for no click.
pub(crate) const DOCUMENT: &str =
    r#"{ "version": 1, "environment": "sandbox", "ledger": { "unknown_click_seconds": 0 } }"#;

fn ask(up: &Up, command: &str) -> Said {
    let arguments: Vec<&str> = command.split(' ').chain(["--sandbox", "--url", &up.base]).collect();
    countersign(&arguments).run()
}

fn well(up: &Up, command: &str) -> String {
    let said = ask(up, command);
    assert_eq!(said.code, 0, "{command}: {said:?}");
    said.stdout
}

fn event(up: &Up, event: &str, event_id: &str, more: &str) {
    let click_id = countersign(&["click", "mint", "--sandbox"]).stdout();
    let payload = format!(
        r#"{{"event":"{event}","event_id":"{event_id}","click_id":"{}","account_id":"u_1","ts_event":"2025-10-21T15:12:31Z"{more}}}"#,
        click_id.trim()
    );
    let (status, answer) = up.post(&payload);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn an_operator_sees_the_queue_imports_rates_and_treats_dead_letters() {
    let Some(wasm) = wasm("an_operator_sees_the_queue_imports_rates_and_treats_dead_letters") else { return };
    let folder = Folder::new();
    let config = folder.file("countersign.json", DOCUMENT);
    let up = Up::start_with(&wasm, &folder.path("state"), &["--config", &config]);
    event(&up, "deposit_success", "dep_1", r#","amount":100,"currency":"EUR""#);
    event(&up, "deposit_success", "dep_2", r#","amount":250,"currency":"USD""#);
    event(&up, "refund", "ref_1", r#","amount":500,"currency":"EUR","original_event_id":"dep_1""#);
    // The worker may have been there already.
    well(&up, "tick");
    let queue = well(&up, "queue");
    assert!(queue.starts_with("1 queued, the oldest since 20"), "{queue}");
    assert!(queue.contains("rate_unknown       1") && queue.contains("over_refund        1"), "{queue}");

    let bad = folder.file("bad.csv", "Date,USD,\n2025-10-21,1.2,\n21.10.2025,1.2,\n2025-10-20,-1,\n");
    let said = ask(&up, &format!("fx import {bad}"));
    assert!(said.code == 1 && said.stdout.is_empty(), "{said:?}");
    assert!(said.stderr.contains("csv_invalid") && said.stderr.contains("\nline 3: "), "{said:?}");
    assert!(said.stderr.contains("\nline 4: ") && !said.stderr.contains("line 2"), "{said:?}");
    assert!(well(&up, "queue").contains("rate_unknown"));
    let good = folder.file("good.csv", "Date,USD,\n2025-10-21,1.2500,\n");
    assert_eq!(well(&up, &format!("fx import {good}")), "Imported 1 days with 1 rates.\n");
    well(&up, "tick");

    let costs = folder.file("costs.csv", "date,campaign,amount,currency\n2025-10-21,summer,12.50,EUR\n");
    assert_eq!(well(&up, &format!("costs import {costs}")), "Imported 1 rows.\n");
    // The start asks the gate whether it is there, in a way that is refused, and counted as of nobody.
    assert_eq!(well(&up, "rejections --partner sandbox"), "There are none.\n");
    let totals = well(&up, "totals --by account");
    assert!(totals.contains("sandbox/u_1") && totals.contains(" 300.00 "), "{totals}");
    let json: serde_json::Value = serde_json::from_str(&well(&up, "totals --by account --json")).unwrap();
    assert_eq!(json["totals"][0]["deposits"], 30_000, "{json}");

    assert_eq!(well(&up, "duplicates list --partner sandbox --after 0 --limit 1"), "There are none.\n");
    let said = ask(&up, "duplicates show 1");
    assert!(said.code == 1 && said.stderr.contains("not_found"), "{said:?}");

    let list = well(&up, "dead-letters list --reason over_refund --partner sandbox --limit 1");
    assert!(list.contains("ref_1") && list.contains("--after 3"), "{list}");
    assert!(well(&up, "dead-letters list --after 3").contains("There are none."));
    let letter = well(&up, "dead-letters show 3");
    assert!(letter.contains("over_refund") && letter.contains("\"event_id\":\"ref_1\""), "{letter}");
    assert!(well(&up, "dead-letters replay --ids 3 --dry-run").starts_with("1 would be replayed\nids: 3"));
    assert!(well(&up, "dead-letters replay --from 1 --to 9").starts_with("1 replayed"));
    assert!(well(&up, "tick").contains(" 1 dead letters") || well(&up, "queue").contains("over_refund"));
    assert!(
        well(&up, "dead-letters discard --partner sandbox --because asked --dry-run")
            .starts_with("1 would be")
    );
    assert!(
        well(&up, "dead-letters discard --reason over_refund --because asked").starts_with("1 discarded")
    );
    assert!(well(&up, "dead-letters list").contains("asked"));
    assert!(well(&up, "dead-letters replay --reason over_refund").starts_with("0 replayed"));
    let said = ask(&up, "dead-letters show 4");
    assert!(said.code == 1 && said.stderr.contains("not_found"), "{said:?}");
    let erased = well(&up, "erase --partner sandbox --account-id u_1");
    assert!(erased.contains("erased_"), "{erased}");
    assert!(!well(&up, "totals --by account").contains("u_1"));
}

/// A partner of whom a first deposit of at least so much brings 80 euros.
fn contract(minimum: &str) -> String {
    let terms = format!(
        r#"{{ "from": "2025-01-01T00:00:00Z", "ftd_min_deposit": {{ "amount": "{minimum}", "currency": "EUR" }},
            "cpa": {{ "amount": "80.00", "currency": "EUR" }} }}"#
    );
    format!(
        r#"{{ "version": 1, "environment": "sandbox", "ledger": {{ "unknown_click_seconds": 0 }}, "partners": {{ "acme": {{
            "signature": {{ "keys": [{{ "id": "k1", "secret": {{ "name": "sandbox_acme" }} }}] }}, "contract": [{terms}] }} }} }}"#
    )
}

#[test]
fn a_contract_that_changes_is_shown_first_and_posted_when_it_is_confirmed() {
    let Some(wasm) = wasm("a_contract_that_changes_is_shown_first_and_posted_when_it_is_confirmed") else {
        return;
    };
    let folder = Folder::new();
    let config = folder.file("countersign.json", &contract("10"));
    let up = Up::start_with(&wasm, &folder.path("state"), &["--config", &config]);
    let click_id = countersign(&["click", "mint", "--sandbox"]).stdout();
    let payload = format!(
        r#"{{"event":"deposit_success","event_id":"dep_1","click_id":"{}","account_id":"u_1","amount":20,"currency":"EUR","ts_event":"2025-10-21T15:12:31Z"}}"#,
        click_id.trim()
    );
    let headers = countersign(&["sign", "--key-env", "KEY"]).env("KEY", SECRET).input(&payload).stdout();
    let head =
        format!("POST /postback/acme HTTP/1.1\r\ncontent-type: application/json\r\n{}", headers.trim());
    let (status, answer) = up.send(&head, &payload);
    assert_eq!(status, 200, "{answer}");
    well(&up, "tick");
    let nothing = well(&up, "redecide --partner acme");
    assert_eq!(nothing.lines().next(), Some("0 of 1 deposits change, of 0 of 1 players"));
    assert!(nothing.ends_with("\nThere is nothing to post.\n"), "{nothing}");
    assert_eq!(up.interrupt(), Some(0));

    let config = folder.file("countersign.json", &contract("50"));
    let up = Up::start_with(&wasm, &folder.path("state"), &["--config", &config]);
    let shown = well(&up, "redecide --partner acme --account-id u_1");
    assert!(shown.starts_with("1 of 1 deposits change, of 1 of 1 players\n"), "{shown}");
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        ["first", "below_minimum", "1"].as_slice(),
        &["cpa", "80.00", "0.00", "EUR"],
        &["dep_1", "u_1", "first", "below_minimum", "cpa", "80.00", "EUR"],
    ] {
        assert!(rows.iter().any(|shown| shown == row), "{row:?} in {shown}");
    }
    let (_, value) = shown.split_once("--confirm ").unwrap();
    let value = value.split(' ').next().unwrap();
    let order = format!("redecide --partner acme --account-id u_1 --confirm {value} --because asked");
    let said = ask(&up, &format!("redecide --partner acme --confirm {value} --because asked"));
    assert!(said.code == 1 && said.stderr.contains("changed: "), "{said:?}");
    let said = ask(&up, &order);
    assert!(said.code == 0 && said.stdout.ends_with("\nPosted.\n"), "{said:?}");
    assert!(well(&up, &order).ends_with("\nThere is nothing to post.\n"));
}

#[test]
fn the_token_comes_from_the_environment_or_a_file_and_a_wrong_one_is_refused() {
    let Some(wasm) = wasm("the_token_comes_from_the_environment_or_a_file_and_a_wrong_one_is_refused") else {
        return;
    };
    let folder = Folder::new();
    let up = Up::start(&wasm, &folder.path("state"));
    let token = "countersign-sandbox-admin-token-is-published";
    let file = folder.file("token", &format!("{token}\n"));
    let queue = |arguments: &[&str]| {
        countersign(&[&["queue", "--url", &up.base], arguments].concat())
            .env("ADMIN", token)
            .env("WRONG", "wrong")
            .run()
    };
    for arguments in [["--token-env", "ADMIN"], ["--token-file", &file]] {
        let said = queue(&arguments);
        assert!(said.code == 0 && said.stdout.starts_with("0 queued"), "{said:?}");
    }
    let said = queue(&["--token-env", "WRONG"]);
    assert!(said.code == 1 && said.stderr.contains("token_invalid"), "{said:?}");
    assert_eq!(queue(&["--token-env", "NOWHERE"]).code, 2);
    assert_eq!(queue(&["--token-env", "ADMIN", "--sandbox"]).code, 2);
}

#[test]
fn a_call_that_is_wrong_ends_with_2_and_one_that_nobody_answers_with_1() {
    for (call, code) in [
        ("queue", 2),
        ("queue --sandbox --url ftp://x", 2),
        ("queue --sandbox --url http://127.0.0.1:1", 1),
        ("totals --sandbox --by mood", 2),
        ("fx import nowhere.csv --sandbox", 2),
        ("dead-letters replay --sandbox", 2),
        ("dead-letters replay --sandbox --from 1", 2),
        ("dead-letters discard --sandbox --ids 1", 2),
        ("dead-letters list --sandbox --reason a&b", 2),
        ("redecide --sandbox", 2),
        ("redecide --sandbox --partner acme --confirm x", 2),
        ("redecide --sandbox --partner acme --because x", 2),
    ] {
        let said = countersign(&call.split(' ').collect::<Vec<_>>()).run();
        assert_eq!(said.code, code, "{call}: {said:?}");
    }
}
