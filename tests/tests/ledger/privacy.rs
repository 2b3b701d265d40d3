//! What a partner agreed not to have kept (source §9) is nowhere: no row, no file of the database, no log line, no URL, no answer.

use countersign_core::click::{self, ClickKey};
use serde_json::{Value, json};

use crate::support::{App, RATES, document, event, request, secrets, text};

const ACCOUNT: &str = "player-8842-of-acme";
const ADDRESS: &str = "203.0.113.77";
const AGENT: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.55 Mobile Safari/537.36";
/// Of the browser that follows the link, who consents to nothing.
const VISITOR: &str = "198.51.100.23";

fn start() -> App {
    let app = App::new();
    let mut setup = app.setup.clone();
    let mut document: Value = serde_json::from_str(&document()).unwrap();
    document["partners"]["acme"]["privacy"] = json!({ "hash": ["account_id"], "truncate": ["ip", "ua"] });
    document["privacy"]["salt"] = json!({ "name": "privacy_salt" });
    document["click_id"]["verify"] = "require".into();
    document["trusted_proxies"] = json!(["127.0.0.0/8"]);
    document["campaigns"] = json!({ "summer": { "partner": "acme", "landing": "https://casino.example/" } });
    setup.document = document.to_string();
    setup.secrets.insert("privacy_salt".to_owned(), "a-salt-of-thirty-two-bytes-at-the-least".to_owned());
    App::start(setup)
}

#[test]
fn no_row_no_log_line_and_no_url_has_what_was_to_be_minimised() {
    let app = start();
    let mut link = request("GET", "/c/summer?utm_source=mail", Vec::new());
    link.headers.push((b"user-agent".to_vec(), AGENT.as_bytes().to_vec()));
    link.headers.push((b"x-forwarded-for".to_vec(), VISITOR.as_bytes().to_vec()));
    let reply = app.app.send(link).unwrap();
    assert_eq!(reply.status, 302, "{}", text(&reply));
    let location = reply.headers.iter().find(|(name, _)| name == b"location").unwrap().1.clone();
    let location = String::from_utf8(location).unwrap();
    let click_id = location.split_once("click_id=").unwrap().1.to_owned();
    let key = ClickKey::new("c1".into(), secrets()["click_key"].as_bytes());
    click::inspect(std::slice::from_ref(&key), &click_id).unwrap();

    let of = |name: &str, event_id: &str, more: Value| {
        let mut event = event(name, event_id, more);
        for (member, value) in
            [("account_id", ACCOUNT), ("ip", ADDRESS), ("ua", AGENT), ("click_id", &*click_id)]
        {
            event[member] = value.into();
        }
        event
    };
    app.post("fx", RATES);
    app.accept(&of("registration", "reg_1", json!({ "geo": "BR" })));
    app.accept(&of("kyc_approved", "kyc_1", json!({ "kyc_level": "full" })));
    app.accept(&of("deposit_success", "dep_1", json!({ "amount": 100, "currency": "EUR", "is_ftd": true })));
    app.accept(&of("deposit_success", "dep_1", json!({ "amount": 100, "currency": "EUR", "is_ftd": true })));
    for (event_id, amount) in [("ref_1", 20), ("ref_2", 500)] {
        let more = json!({ "amount": amount, "currency": "EUR", "original_event_id": "dep_1" });
        app.accept(&of("refund", event_id, more));
    }
    let reused = of("deposit_success", "dep_1", json!({ "amount": 1, "currency": "EUR" }));
    let reused = app.app.send(app.postback(&reused)).unwrap();
    assert_eq!(reused.status, 422);
    app.drain();

    let mut said: Vec<String> = app.app.log().into_iter().map(|line| line.text).collect();
    said.push(location);
    said.push(text(&reused));
    said.extend(app.dump());
    for path in ["queue", "totals?by=account", "dead-letters", "dead-letters/5"] {
        said.push(app.get(path).to_string());
    }
    said.extend(
        app.app.database_files().unwrap().iter().map(|file| String::from_utf8_lossy(file).into_owned()),
    );
    for original in [ACCOUNT, ADDRESS, AGENT, VISITOR, "Pixel 8", "141.0.7390"] {
        for text in &said {
            assert!(
                !text.contains(original),
                "{original} is in {}",
                text.chars().take(2_000).collect::<String>()
            );
        }
    }
    // It is still one player, traced back to the click, and the network and the browser are known.
    assert_eq!(app.count("account"), 1);
    let total = app.get("totals?by=account");
    assert_eq!(total["totals"].as_array().unwrap().len(), 1, "{total}");
    assert_eq!(
        (&total["totals"][0]["first_deposits"], &total["totals"][0]["ngr"]),
        (&json!(1), &json!(8_000))
    );
    let payload = app.rows("SELECT payload FROM inbox WHERE event_id = 'reg_1'");
    assert!(payload[0].contains("203.0.113.0") && payload[0].contains("Chrome"), "{payload:?}");
    assert_eq!(app.count("entry WHERE campaign = 'summer'"), 4);
    // Who asks to be erased says who it is, and is found by that.
    let order = json!({ "partner": "acme", "account_id": ACCOUNT }).to_string();
    let (status, answer) = app.ask("POST", "erase", order.as_str());
    assert_eq!(status, 200, "{answer}");
    let accounts = app.rows("SELECT DISTINCT account_id FROM entry WHERE account_id IS NOT NULL");
    assert_eq!(accounts, [answer["pseudonym"].as_str().unwrap()]);
    app.assert_sound();
}
