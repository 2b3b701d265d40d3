//! An event whose click id is nobody's is matched with the click that it most probably belongs to (source §10).

use conformance::spin_app::{Setup, Wakes};
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use serde_json::{Value, json};

use crate::support::{AT_MS, App, SECOND_MS, document, event, request, secrets, text};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 \
                     Mobile/15E148 Safari/604.1";
const COMPUTER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";

/// With matching, and a partner that is billed for what is probable, or not; of addresses the network is kept, and a hash of the
/// player's name for the device.
fn start(billed: &str, verify: &str) -> App {
    let mut document: Value = serde_json::from_str(&document()).unwrap();
    document["ledger"]["matching"] = json!({ "threshold_permille": 850 });
    document["click_id"]["verify"] = verify.into();
    document["trusted_proxies"] = json!(["127.0.0.0/8"]);
    document["redirect"] = json!({ "durability": "click_first", "geo_header": "cf-ipcountry" });
    document["campaigns"] = json!({ "winter": { "partner": "acme", "landing": "https://casino.example/" } });
    document["partners"]["acme"]["contract"][0]["probable"] = billed.into();
    document["partners"]["acme"]["privacy"] = json!({ "truncate": ["ip"], "hash": ["device"] });
    document["privacy"]["salt"] = json!({ "name": "privacy_salt" });
    let mut secrets = secrets();
    secrets.insert("privacy_salt".to_owned(), "a-salt-of-thirty-two-bytes-at-the-least".to_owned());
    App::start(Setup {
        document: document.to_string(),
        secrets,
        faults: Faults::none(),
        clock: Clock::fixed(AT_MS),
        wakes: Wakes::Nobody,
    })
}

/// Follows a link of the campaign `winter`; the click id that the operator gets.
fn follow(app: &App, address: &str, agent: &str, country: &str) -> String {
    let mut link = request("GET", "/c/winter", Vec::new());
    for (name, value) in [("user-agent", agent), ("x-forwarded-for", address), ("cf-ipcountry", country)] {
        link.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    let reply = app.app.send(link).unwrap();
    assert_eq!(reply.status, 302, "{}", text(&reply));
    let location = reply.headers.iter().find(|(name, _)| name == b"location").unwrap().1.clone();
    String::from_utf8(location).unwrap().split_once("click_id=").unwrap().1.to_owned()
}

/// An event two minutes after the click, of an id that another tracker gave.
fn foreign(name: &str, event_id: &str, more: Value) -> Value {
    let mut event =
        event(name, event_id, json!({ "click_id": "af-7731", "ts_event": "2026-01-01T00:02:00Z" }));
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

/// A click, and an install, a registration, and a deposit and its refund that know nothing of it.
fn play(app: &App) -> String {
    let click_id = follow(app, "203.0.113.77", PHONE, "BR");
    // Of others: another network, another device there, and a program.
    follow(app, "198.51.100.5", PHONE, "BR");
    follow(app, "203.0.113.5", COMPUTER, "BR");
    follow(app, "203.0.113.77", "Googlebot/2.1", "BR");
    let here = json!({ "install_id": "i_1", "ip": "203.0.113.8", "ua": PHONE, "geo": "BR" });
    let mut install = foreign("install", "ins_1", here);
    install.as_object_mut().unwrap().remove("account_id");
    app.set_ms(AT_MS + 120 * SECOND_MS);
    app.accept(&install);
    // It first waits for its own click.
    assert_eq!(app.tick()["waiting"], 1);
    assert_eq!(app.count("install"), 0);
    app.drain();
    app.accept(&foreign("registration", "reg_1", json!({ "install_id": "i_1" })));
    app.drain();
    app.accept(&foreign("deposit_success", "dep_1", json!({ "amount": 100, "currency": "EUR" })));
    app.drain();
    let refund = json!({ "amount": 40, "currency": "EUR", "original_event_id": "dep_1" });
    app.accept(&foreign("refund", "ref_1", refund));
    // Nothing in common but the country, whatever the hash of its device may look like; and too little.
    for (event_id, account_id, ip, ua) in
        [("reg_2", "u_2", "192.0.2.1", COMPUTER), ("reg_3", "u_3", "203.0.113.9", "an app of no kind")]
    {
        let more = json!({ "account_id": account_id, "ip": ip, "ua": ua, "device": "iPhone", "geo": "PT" });
        app.accept(&foreign("registration", event_id, more));
    }
    app.drain();
    click_id
}

#[test]
fn what_follows_from_a_match_stays_probable_and_is_not_billed() {
    let app = start("never_billed", "when_ours");
    let click_id = play(&app);
    let entries = app.rows(
        "SELECT event_id, click_id, campaign, attribution, score, account_id FROM entry ORDER BY event_id",
    );
    assert_eq!(
        entries,
        [
            "dep_1|af-7731|winter|probable|999|u_1",
            "ins_1|af-7731|winter|probable|999|",
            "ref_1|af-7731|winter|probable|999|u_1",
            "reg_1|af-7731|winter|probable|999|u_1",
            "reg_2|af-7731||none||u_2",
            "reg_3|af-7731||none||u_3",
        ]
    );
    let matched = json!({ "click_id": click_id, "network": 450, "device": 150, "geo": 100, "time": 299, "elapsed_ms": 120_000 });
    let kept = app.rows("SELECT matched_by FROM entry WHERE matched_by IS NOT NULL");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(serde_json::from_str::<Value>(&kept[0]).unwrap(), matched);
    let bound = format!("{click_id}|winter|probable|999");
    assert_eq!(app.rows("SELECT click_id, campaign, attribution, score FROM install"), [bound.as_str()]);
    let account = "SELECT click_id, campaign, attribution, score FROM account WHERE account_id = 'u_1'";
    assert_eq!(app.rows(account), [bound]);
    // The deposit is the first one, and brings no payout.
    assert_eq!(app.rows("SELECT kind, minor FROM posting ORDER BY id"), ["deposit|10000", "refund|-4000"]);
    assert_eq!(app.count("first_deposit"), 1);
    app.assert_sound();
}

#[test]
fn what_is_probable_is_billed_where_the_contract_says_so() {
    let app = start("billed", "off");
    play(&app);
    assert_eq!(app.count("entry WHERE attribution = 'probable' AND campaign = 'winter'"), 4);
    let postings = app.rows("SELECT kind, minor FROM posting ORDER BY kind, minor");
    assert_eq!(
        postings,
        ["cpa|8000", "deposit|10000", "refund|-4000", "revenue_share|-400", "revenue_share|1000"]
    );
    app.assert_sound();
}
