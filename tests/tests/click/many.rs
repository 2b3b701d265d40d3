//! As many campaigns as a document may have, and many clicks.

use countersign_host::fault::Faults;
use serde_json::{Value, json};

use crate::{AT_MS, DOCUMENT, PLAIN, click_first, eventually, field, follow, logged, number, request, start};

const CAMPAIGNS: usize = 10_000;

/// The two that are there, and more, in the order of their names.
fn document() -> String {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    for number in 0..CAMPAIGNS - 2 {
        let landing = format!("https://casino.example/welcome?campaign={number}&lang=en");
        document["campaigns"][format!("campaign-{number:05}")] =
            json!({ "partner": "acme", "landing": landing });
    }
    document.to_string()
}

#[test]
fn ten_thousand_campaigns_each_lead_to_their_own_landing_page() {
    let faults = Faults::none();
    let app = start(&document(), &faults);
    // The document is compiled with the key of click ids, which is asked for each time.
    let compiled = || faults.calls().get("variables.get").copied().unwrap_or(0);
    for (clicks, campaign) in (1..).zip([0, CAMPAIGNS / 2, CAMPAIGNS - 3, 0]) {
        let landing = format!("https://casino.example/welcome?campaign={campaign}&lang=en&click_id=");
        follow(&app, AT_MS, &format!("/c/campaign-{campaign:05}"), &[], &landing);
        eventually("the click", &clicks, || number(&app, "SELECT count(*) FROM click"));
        assert_eq!(compiled(), 1, "once in the life of an instance");
    }
    for path in ["/c/campaign-09998", "/c/campaign-0000", "/c/campaign-00000x", "/c/campaign-", "/c/"] {
        let reply = app.send(AT_MS, request("GET", path, &[])).unwrap();
        assert_eq!((reply.status, field(&reply, "location")), (404, None), "{path}");
    }
    assert_eq!(compiled(), 1);
    assert_eq!(app.failures(), [""; 0]);
}

#[test]
fn one_campaign_more_stops_the_start() {
    let mut document: Value = serde_json::from_str(&document()).unwrap();
    document["campaigns"]["one-more"] = json!({ "partner": "acme", "landing": "https://casino.example/" });
    let app = start(&document.to_string(), &Faults::none());
    let reply = app.send(AT_MS, request("GET", "/c/campaign-00000", &[])).unwrap();
    assert_eq!((reply.status, field(&reply, "location")), (503, None));
    let told =
        app.log().into_iter().any(|line| line.text.contains("campaigns: ") && line.text.contains("10000"));
    assert!(told, "{:?}", app.log().iter().map(|line| &line.text).collect::<Vec<_>>());
}

#[test]
fn ten_thousand_clicks_sort_by_time() {
    let app = start(&click_first(), &Faults::none());
    let mut before = String::new();
    for click in 0..10_000 {
        let id = follow(&app, AT_MS + click, "/c/plain", &[], PLAIN);
        assert!(before < id, "{before} {id}");
        before = id;
    }
    assert_eq!(number(&app, "SELECT count(*) FROM click"), Some(10_000));
    let unsorted = "SELECT count(*) FROM (SELECT clicked_at, lag(clicked_at) OVER (ORDER BY click_id) AS earlier FROM click) \
                    WHERE earlier >= clicked_at";
    assert_eq!(number(&app, unsorted), Some(0));
}

#[test]
fn a_flood_of_clicks_waits_for_the_store_without_a_connection_for_each() {
    const CLICKS: i64 = 100;
    let faults = Faults::none();
    let app = start(DOCUMENT, &faults);
    follow(&app, AT_MS, "/c/plain", &[], PLAIN);
    eventually("the first click", &1, || number(&app, "SELECT count(*) FROM click"));
    let opened = || faults.calls().get("sqlite.open").copied().unwrap_or(0);
    let before = opened();
    let mut database = app.database().unwrap();
    let lock = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    for _ in 0..CLICKS {
        follow(&app, AT_MS, "/c/plain", &[], PLAIN);
    }
    assert!(opened() - before <= 4, "{} connections", opened() - before);
    lock.commit().unwrap();
    eventually("the other clicks", &(CLICKS + 1), || number(&app, "SELECT count(*) FROM click"));
    assert_eq!(logged(&app, "click_lost"), [""; 0]);
    assert_eq!(app.failures(), [""; 0]);
}
