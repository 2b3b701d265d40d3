//! The filter in front of the application's inbox, each with its own document: what one of them knows alone reaches the sender.

use std::net::SocketAddr;

use conformance::envoy::{Bootstrap, EnvoyProcess, Response};
use conformance::spin_app::{Setup, SpinApp, Wakes};
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use countersign_host::spin::Serving;

use crate::operation::counted;
use crate::sender::{Postback, deposit};
use crate::world::{accepted, refused};

const SECRET: &str = "acme-signs-with-this-and-tells-nobody";

/// A document of the sandbox with the partner acme.
fn document(partner: &str, rest: &str) -> String {
    format!(
        r#"{{ "version": 1, "environment": "sandbox", {rest} "partners": {{ "acme": {{
            "signature": {{ "keys": [{{ "id": "s1", "secret": {{ "name": "sandbox_acme" }} }}] }} {partner} }} }} }}"#
    )
}

/// The proxy and the inbox; they end in this order.
struct Chain {
    envoy: EnvoyProcess,
    _serving: Serving,
    inbox: SpinApp,
}

impl Chain {
    fn start(filter: String, inbox: String) -> Self {
        let secrets =
            [("sandbox_acme", SECRET), ("sandbox_other_hop", "another hop key than the filter has")];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let inbox = SpinApp::start(&Setup {
            document: inbox,
            secrets: secrets.clone().into(),
            faults: Faults::none(),
            clock: Clock::System,
            wakes: Wakes::Nobody,
        });
        let inbox = inbox.unwrap();
        let serving = inbox.serve().unwrap();
        let address: SocketAddr = serving.address();
        let mut bootstrap = Bootstrap::new(address);
        bootstrap.listeners[0].configuration = Some(filter);
        bootstrap.listeners[0].environment = secrets.into();
        Self { envoy: EnvoyProcess::start(bootstrap).unwrap(), _serving: serving, inbox }
    }

    fn send(&self, postback: &Postback) -> Response {
        let mut client = self.envoy.connect(0).unwrap();
        client.send(&postback.bytes()).unwrap();
        client.response().unwrap()
    }

    fn rows(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.inbox.database().unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

/// The deposit `evt_1` under another id: of the same click, the same amount and the same instant.
fn again(event: &Postback, id: &str) -> Postback {
    let body = String::from_utf8(event.body.clone()).unwrap().replace("evt_1", id);
    Postback { body: body.into_bytes(), ..event.clone() }.signed(SECRET)
}

#[test]
fn a_fallback_duplicate_that_only_the_inbox_knows_is_told_without_a_receipt() {
    let window = r#", "events": { "deposit_success": { "fallback_window_seconds": 3600 } }"#;
    let chain = Chain::start(document("", ""), document(window, ""));
    let event = deposit("evt_1").signed(SECRET).to("/postback/acme");
    accepted(&chain.send(&event), false);
    let duplicate = again(&event, "evt_2");
    for _ in 0..2 {
        let answer = chain.send(&duplicate);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!((&body["duplicate_of"], &body["receipt"]), (&"evt_1".into(), &serde_json::Value::Null));
        assert_eq!(answer.header("x-countersign-duplicate-of"), Some("evt_1"));
    }
    accepted(&chain.send(&event), true);
    assert_eq!((chain.rows("inbox"), chain.rows("duplicate")), (1, 1));
}

#[test]
fn a_hop_that_the_inbox_does_not_believe_costs_the_sender_a_retry_and_nothing_else() {
    let event = deposit("evt_1").signed(SECRET).to("/postback/acme");
    // The filter attests with another key than the inbox has; a partner that only the filter's document has.
    let other_key = r#""attestation": { "secret": { "name": "sandbox_other_hop" } },"#;
    let nobody = r#"{ "version": 1, "environment": "sandbox" }"#.to_owned();
    for (filter, inbox, told) in [
        (document("", other_key), document("", ""), "attestation is of another key"),
        (document("", ""), nobody, "the hop knows a partner that this configuration does not"),
    ] {
        let chain = Chain::start(filter, inbox);
        let answer = chain.send(&event);
        refused(&answer, 503, "upstream_unavailable");
        assert!(answer.header("retry-after").is_some());
        let stats = chain.envoy.admin_get("/stats/prometheus").unwrap();
        let expected = [(r#"partner="acme",cause="not_accepted""#.to_owned(), 1)].into();
        assert_eq!(counted(&stats, "countersign_delivery_faults"), expected);
        let log = chain.inbox.log();
        assert!(log.iter().any(|line| line.text.contains(told)), "{log:?}");
        assert_eq!(chain.rows("inbox"), 0);
    }
}
