//! An application with a partner who has a contract, and an administrator.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use conformance::spin_app::{Setup, SpinApp, Wakes};
use countersign_core::json::{self, ReadLimits, Tape};
use countersign_core::policy::Policy;
use countersign_core::signature::{self, Message, Signed};
use countersign_core::time::Timestamp;
use countersign_host::clock::Clock;
use countersign_host::fault::Faults;
use countersign_host::http::{HttpReply, HttpRequest};
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// 2026-01-01T00:00:00Z.
pub(crate) const AT_MS: u64 = 1_767_225_600_000;
pub(crate) const SECOND_MS: u64 = 1_000;
pub(crate) const HOUR_MS: u64 = 3_600_000;
pub(crate) const DAY_MS: u64 = 86_400_000;
/// The administrator's token on [`AT_MS`].
pub(crate) const TOKEN: &str = "the-administrator-s-token-has-32-bytes-or-more";
/// 2025-10-01T00:00:00Z, when that token begins. The next one follows a year later: a token ends, and tests go on for years.
const TOKENS_FROM_MS: u64 = 1_759_276_800_000;
const TOKENS: u64 = 16;

/// The click that is there from the start, of the campaign `summer`.
pub(crate) const CLICK: &str = "clk_known";

const DOCUMENT: &str = r#"{
  "version": 1,
  "environment": "production",
  "dedup": { "retention_days": 1 },
  "click_id": { "keys": [{ "id": "c1", "secret": { "name": "click_key" } }], "verify": "off" },
  "receipt": { "secret": { "name": "receipt_key" } },
  "attestation": { "secret": { "name": "hop_key" } },
  "admin": { "tokens": [TOKENS] },
  "ledger": { "report_currency": "EUR", "unknown_click_seconds": 60, "unknown_original_days": 2, "unknown_rate_days": 3 },
  "privacy": { "retention": { "raw_days": 30, "clicks_days": 30, "rejections_days": 5 } },
  "partners": {
    "acme": {
      "signature": { "keys": [{ "id": "k1", "secret": { "name": "acme_key" } }] },
      "rate": { "per_second": 10000, "burst": 100000 },
      "contract": [{ "from": "2025-01-01T00:00:00Z", "ftd_min_deposit": { "amount": "10.00", "currency": "EUR" },
        "cpa": { "amount": "80.00", "currency": "EUR" }, "revenue_share_percent": "10" }]
    }
  }
}"#;

/// Three days of the bank's file, of which the last is a Wednesday.
pub(crate) const RATES: &str =
    "Date,USD,JPY,\n2025-12-31,1.1750,184.09,\n2025-12-30,1.1757,183.90,\n2025-12-29,1.1766,184.00,\n";

pub(crate) fn secrets() -> BTreeMap<String, String> {
    ["click_key", "receipt_key", "hop_key", "acme_key"]
        .map(|name| (name.to_owned(), format!("{name}-that-nobody-must-ever-read-in-a-log")))
        .into()
}

pub(crate) fn document() -> String {
    let tokens: Vec<_> = (0..TOKENS).map(written_token).collect();
    DOCUMENT.replace("TOKENS", &tokens.join(", "))
}

/// The token of a year, as the document has it.
fn written_token(year: u64) -> String {
    let hash = Sha256::digest(token(year)).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let not_before = Timestamp::from_ms(TOKENS_FROM_MS + year * 365 * DAY_MS).write_rfc3339();
    format!(r#"{{ "id": "ops{year}", "sha256": "{hash}", "not_before": "{not_before}" }}"#)
}

fn token(year: u64) -> String {
    if year == 0 { TOKEN.to_owned() } else { format!("{TOKEN}-{year}") }
}

/// A clock that the test moves, no faults, and nothing is posted without a tick.
pub(crate) fn setup() -> Setup {
    Setup {
        document: document(),
        secrets: secrets(),
        faults: Faults::none(),
        clock: Clock::fixed(AT_MS),
        wakes: Wakes::Nobody,
    }
}

/// An application under test.
pub(crate) struct App {
    pub(crate) app: SpinApp,
    pub(crate) setup: Setup,
}

impl App {
    /// With a clock that the test moves; nothing is posted without a tick.
    pub(crate) fn new() -> Self {
        Self::start(setup())
    }

    pub(crate) fn start(setup: Setup) -> Self {
        Self { app: SpinApp::start(&setup).unwrap(), setup }.ready()
    }

    /// In a directory below `folder`.
    pub(crate) fn start_below(folder: &Path, setup: Setup) -> Self {
        Self { app: SpinApp::start_below(folder, &setup).unwrap(), setup }.ready()
    }

    fn ready(self) -> Self {
        let app = self;
        // The first request makes the tables.
        app.get("queue");
        app.click(CLICK);
        app
    }

    /// Another process on the same database.
    pub(crate) fn beside(&self) -> Self {
        let setup = Setup { faults: Faults::none(), ..self.setup.clone() };
        Self { app: self.app.beside(&setup).unwrap(), setup }
    }

    pub(crate) fn set_ms(&self, ms: u64) {
        self.setup.clock.set_ms(ms);
    }

    pub(crate) fn database(&self) -> Connection {
        let database = self.app.database().unwrap();
        database.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        database
    }

    /// A click of the campaign `summer`, as the redirector stores it.
    pub(crate) fn click(&self, click_id: &str) {
        let now = i64::try_from(self.setup.clock.now().as_millis()).unwrap();
        let sql = "INSERT INTO click (click_id, campaign, partner, clicked_at, kind, counted) VALUES (?1, 'summer', 'acme', ?2, 'click', 1)";
        self.database().execute(sql, (click_id, now)).unwrap();
    }

    /// The partner sends an event, which must be accepted.
    pub(crate) fn accept(&self, event: &Value) {
        let reply = self.app.send(self.postback(event)).unwrap();
        assert_eq!(reply.status, 200, "{event}: {}", text(&reply));
    }

    /// The partner's signed postback.
    pub(crate) fn postback(&self, event: &Value) -> HttpRequest {
        let secrets = &self.setup.secrets;
        let secret = |name: &str| secrets.get(name).map(|secret| secret.clone().into_bytes());
        let policy = Policy::compile(&self.setup.document, &mut { secret }).unwrap();
        let partner = policy.partner("acme").unwrap();
        let body = event.to_string().into_bytes();
        let mut tape = Tape::default();
        let document = json::read(&body, &mut tape, ReadLimits::POSTBACK).unwrap();
        let message = Message { id: "", at: Timestamp::from_ms(AT_MS) };
        let (scheme, place) = (partner.signature.scheme, &partner.signature.place);
        let key = partner.signature.keys.first().unwrap();
        let Signed::Headers(fields) = signature::sign(scheme, place, key, &body, &document, message).unwrap()
        else {
            panic!("the partner signs in a header")
        };
        let mut request = request("POST", "/postback/acme", body);
        request.headers.push((b"content-type".to_vec(), b"application/json".to_vec()));
        let fields = fields.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes()));
        request.headers.extend(fields);
        request
    }

    /// What `/internal/…` answers to the administrator.
    pub(crate) fn ask(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let mut request = request(method, &format!("/internal/{path}"), body.into());
        let now = u64::try_from(self.setup.clock.now().as_millis()).unwrap();
        let token = token(now.saturating_sub(TOKENS_FROM_MS) / (365 * DAY_MS));
        request.headers.push((b"authorization".to_vec(), format!("Bearer {token}").into_bytes()));
        let reply = self.app.send(request).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", text(&reply))))
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, "");
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Value {
        let (status, answer) = self.ask("POST", path, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// One tick; what it says that it did.
    pub(crate) fn tick(&self) -> Value {
        self.post("tick", "").get("tally").unwrap().clone()
    }

    /// Ticks while the clock goes on, until nothing is queued.
    pub(crate) fn drain(&self) {
        for _ in 0..100 {
            self.ask("POST", "tick", "");
            if self.get("queue")["queued"] == 0 {
                return;
            }
            self.set_ms(u64::try_from(self.setup.clock.now().as_millis()).unwrap() + 31 * SECOND_MS);
        }
        panic!("not drained: {}", self.get("queue"));
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, from: &str) -> i64 {
        self.database().query_row(&format!("SELECT count(*) FROM {from}"), [], |row| row.get(0)).unwrap()
    }

    /// The rows of a query, each as text.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        rows(&self.database(), sql)
    }

    /// Every row of every table.
    pub(crate) fn dump(&self) -> Vec<String> {
        let database = self.database();
        let tables = rows(&database, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
        let named = |table: &String| {
            let rows = rows(&database, &format!("SELECT * FROM {table}"));
            rows.into_iter().map(|row| format!("{table}: {row}")).collect::<Vec<_>>()
        };
        tables.iter().flat_map(named).collect()
    }

    /// All that the ledger says, without what depends on when and in which order it was posted.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let mut ledger = Vec::new();
        for sql in [
            "SELECT event_id, event, campaign, attribution, account_id, (SELECT event_id FROM entry AS o WHERE o.id = entry.original) \
             FROM entry ORDER BY partner, event_id",
            "SELECT event_id, kind, currency, minor, report_currency, report_minor, rate_date, rate_from, rate_to FROM posting \
             JOIN entry ON entry.id = posting.entry ORDER BY event_id, kind, minor",
            "SELECT event_id, (SELECT verdict FROM verdict WHERE verdict.entry = entry.id ORDER BY id DESC LIMIT 1) FROM entry \
             ORDER BY event_id",
            "SELECT first_deposit.account_id, event_id FROM first_deposit JOIN entry ON entry.id = first_deposit.entry ORDER BY 1",
            "SELECT * FROM account ORDER BY 1, 2",
            "SELECT * FROM install ORDER BY 1, 2",
            "SELECT event_id, reason FROM dead_letter JOIN inbox ON inbox.id = inbox_id ORDER BY 1",
        ] {
            ledger.extend(self.rows(sql));
        }
        for by in ["month", "day", "partner", "campaign", "account"] {
            ledger.push(self.get(&format!("totals?by={by}")).to_string());
        }
        ledger
    }

    /// Nothing went wrong in an instance.
    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.app.failures(), [""; 0]);
    }
}

fn rows(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(sql).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let cells = (0..width).map(|column| row.get::<_, Cell>(column)).collect::<Result<Vec<_>, _>>()?;
        Ok(cells.iter().map(cell).collect::<Vec<_>>().join("|"))
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

pub(crate) fn request(method: &str, path: &str, body: Vec<u8>) -> HttpRequest {
    HttpRequest {
        method: method.as_bytes().to_vec(),
        path: path.as_bytes().to_vec(),
        authority: b"tracker.test".to_vec(),
        headers: vec![(b"content-length".to_vec(), body.len().to_string().into_bytes())],
        body: vec![body],
        peer: "127.0.0.1:4711".parse().unwrap(),
        certificate: None,
    }
}

pub(crate) fn text(reply: &HttpReply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// An event of the account `u_1`, of the known click, on a day that has rates.
pub(crate) fn event(event: &str, event_id: &str, more: Value) -> Value {
    let mut members = json!({
        "event": event, "event_id": event_id, "click_id": CLICK, "account_id": "u_1", "ts_event": "2025-12-30T12:00:00Z",
    });
    members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    members
}

pub(crate) fn deposit(event_id: &str, amount: u32, currency: &str) -> Value {
    event("deposit_success", event_id, json!({ "amount": amount, "currency": currency }))
}

pub(crate) fn refund(event_id: &str, amount: u32, original: &str) -> Value {
    let more = json!({ "amount": amount, "currency": "EUR", "original_event_id": original });
    event("refund", event_id, more)
}

/// Everything that can become of an event, the same in whatever order it is posted.
pub(crate) fn everything() -> Vec<Value> {
    let of = |account: &str, mut event: Value| {
        event["account_id"] = account.into();
        event
    };
    let dollars = json!({ "amount": 25, "currency": "USD" });
    vec![
        refund("ref_1", 20, "dep_1"),
        event("registration", "reg_1", json!({})),
        event("kyc_approved", "kyc_1", json!({})),
        deposit("dep_1", 100, "EUR"),
        refund("ref_2", 500, "dep_1"),
        event(
            "chargeback",
            "cha_1",
            json!({ "amount": 80, "currency": "EUR", "original_event_id": "dep_1" }),
        ),
        of("u_2", event("deposit_success", "dep_2", json!({ "amount": 250, "currency": "USD" }))),
        of("u_2", event("deposit_success", "dep_3", json!({ "amount": 9, "currency": "EUR" }))),
        of(
            "u_3",
            event("deposit_success", "dep_4", json!({ "amount": 7, "currency": "EUR", "bonus": true })),
        ),
        event("install", "ins_1", json!({ "install_id": "i_1" })),
        of(
            "u_4",
            event(
                "deposit_success",
                "dep_5",
                json!({ "amount": 40, "currency": "EUR", "click_id": "clk_unknown" }),
            ),
        ),
        of("u_5", event("registration", "reg_2", json!({ "click_id": "clk_unknown" }))),
        event("refund", "ref_3", json!({ "amount": 1, "currency": "USD", "original_event_id": "dep_1" })),
        of("u_6", event("deposit_success", "dep_6", dollars)),
    ]
}
