//! Refused requests, for the day when both sides compare what was sent with what was counted (source §15).
//!
//! # Security
//!
//! * **Only who proved to hold a partner's key leaves a row**, and a bounded number of them; of all others there is a count per hour and
//!   code.
//! * **A flood of refusals is one statement a second** for each instance, whoever sends it. One whose outcome is unknown is run again,
//!   so a refusal may be kept, and counted, twice: nothing is decided by them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use countersign_core::outcome::Facts;
use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use serde::Serialize;
use spin_sdk::sqlite::Value;
use spin_sdk::time::sleep;

use crate::database::{Database, run};
use crate::host;

/// The least time between two writes of an instance.
const PAUSE: Duration = Duration::from_secs(1);
/// Most rows that wait to be written: as many as are kept of a partner and hour. What comes on top is counted.
const WAITING_MAX: usize = 1_000;
/// Writes that fail in a row before the rows are given up; their lines are in the log.
const FAULTS_MAX: u32 = 5;

/// The refusals behind a component's database label.
#[derive(Debug)]
pub struct Rejections {
    database: Database,
    /// What is not written yet.
    waiting: RefCell<Waiting>,
    /// Whether somebody writes it.
    is_writing: Cell<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Of known senders.
    rows: Vec<Row>,
    /// Of unknown ones, and of known ones beyond [`WAITING_MAX`]: how many, by partner, hour and code.
    counted: BTreeMap<(String, u64, &'static str), u64>,
}

/// A row of the view `refusal`: partner, time, code, detail, event, event id, key id, source, count.
#[derive(Clone, Debug, Serialize)]
struct Row(
    String,
    u64,
    &'static str,
    &'static str,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    u64,
);

impl Rejections {
    /// The refusals in the database of that label, whose tables the inbox has made.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        let waiting = Waiting { rows: Vec::new(), counted: BTreeMap::new() };
        Self { database: Database::new(label), waiting: RefCell::new(waiting), is_writing: Cell::new(false) }
    }

    /// Keeps a refusal, or counts it, behind the reply: nobody waits for it. Any other answer is passed by, as is a 5xx: it refuses
    /// nothing, and the sender tries again.
    pub fn keep_later(self: &Rc<Self>, facts: &Facts, source: Option<IpAddr>, now: Timestamp) {
        if !(400..500).contains(&facts.code.status()) {
            return;
        }
        self.waiting.borrow_mut().add(facts, source, now);
        if !self.is_writing.replace(true) {
            let rejections = Rc::clone(self);
            host::after_reply(async move { rejections.write_waiting().await });
        }
    }

    async fn write_waiting(&self) {
        let mut faults = 0_u32;
        while faults < FAULTS_MAX {
            let waiting = self.waiting.take();
            let rows = waiting.rows();
            if rows.is_empty() {
                break;
            }
            if self.write(&rows).await.is_ok() {
                faults = 0;
            } else {
                faults = faults.saturating_add(1);
                self.waiting.borrow_mut().put_back(waiting);
            }
            sleep(PAUSE).await;
        }
        // A count is kept for the next time.
        self.waiting.borrow_mut().rows.clear();
        self.is_writing.set(false);
    }

    async fn write(&self, rows: &[Row]) -> Result<(), StoreFault> {
        let rows = serde_json::to_string(rows).map_err(|_| StoreFault::Unavailable)?;
        let connection = self.database.connect().await?;
        let sql = "INSERT INTO refusal SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, \
                   value ->> 7, value ->> 8 FROM json_each(?1)";
        run(&connection, sql, [Value::Text(rows)]).await?;
        self.database.keep(connection);
        Ok(())
    }
}

impl Waiting {
    fn add(&mut self, facts: &Facts, source: Option<IpAddr>, now: Timestamp) {
        let code = facts.code.as_str();
        let known = facts.partner.as_deref().zip(facts.key_id.as_deref());
        match known {
            Some((partner, key_id)) if self.rows.len() < WAITING_MAX => self.rows.push(Row(
                partner.to_owned(),
                now.as_ms(),
                code,
                facts.detail,
                facts.event.as_ref().map(|event| event.as_str().to_owned()),
                facts.event_id.as_ref().map(|event_id| event_id.as_str().to_owned()),
                Some(key_id.to_owned()),
                source.map(|source| source.to_string()),
                1,
            )),
            _ => {
                let partner = known.map_or("", |(partner, _)| partner).to_owned();
                let hour = now.as_ms().checked_div(HOUR_MS).unwrap_or(0);
                let count = self.counted.entry((partner, hour, code)).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let counted = self.counted.iter().map(|((partner, hour, code), count)| {
            Row(partner.clone(), hour.saturating_mul(HOUR_MS), code, "", None, None, None, None, *count)
        });
        self.rows.iter().cloned().chain(counted).collect()
    }

    /// Puts back what could not be written, before what has come since.
    fn put_back(&mut self, unwritten: Self) {
        let since = std::mem::replace(&mut self.rows, unwritten.rows);
        self.rows.extend(since);
        for (name, count) in unwritten.counted {
            let kept = self.counted.entry(name).or_default();
            *kept = kept.saturating_add(count);
        }
    }
}

const HOUR_MS: u64 = 3_600_000;
