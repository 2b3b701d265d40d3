//! Refused requests, for the day when both sides compare what was sent with what was counted (source §15).
//!
//! # Security
//!
//! Only who proved to hold a partner's key leaves a row, and a bounded number of them; of all others there is a count per hour and
//! code, which an instance writes at most once a second.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use countersign_core::outcome::Facts;
use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use spin_sdk::sqlite::Value;
use spin_sdk::time::sleep;

use crate::database::{Database, instant, run, text, unsigned};

/// The least time between two writes of counts.
const PAUSE: Duration = Duration::from_secs(1);

/// The refusals behind a component's database label.
#[derive(Debug)]
pub struct Rejections {
    database: Database,
    /// Refusals of unknown senders that are not written yet, by hour and code.
    counted: RefCell<BTreeMap<(u64, &'static str), u64>>,
}

impl Rejections {
    /// The refusals in the database of that label, whose tables the inbox has made.
    #[must_use]
    pub const fn new(label: &'static str) -> Self {
        Self { database: Database::new(label), counted: RefCell::new(BTreeMap::new()) }
    }

    /// Keeps a refusal, or counts it; any other answer is passed by. Meant for after the reply: nobody waits for it.
    ///
    /// # Errors
    /// What the database failed with: this refusal is not kept, and a count is kept for the next time.
    pub async fn keep(
        &self,
        facts: &Facts,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        // A 5xx refuses nothing: the sender tries again.
        if !(400..500).contains(&facts.code.status()) {
            return Ok(());
        }
        match (&facts.partner, &facts.key_id) {
            (Some(partner), Some(key_id)) => {
                let optional = |value: Option<&str>| value.map_or(Value::Null, text);
                self.write([
                    text(partner),
                    instant(now),
                    text(facts.code.as_str()),
                    text(facts.detail),
                    optional(facts.event.as_ref().map(|event| event.as_str())),
                    optional(facts.event_id.as_ref().map(|event_id| event_id.as_str())),
                    text(key_id),
                    optional(source.map(|source| source.to_string()).as_deref()),
                    Value::Integer(1),
                ])
                .await
            }
            _ => self.count(facts.code.as_str(), now).await,
        }
    }

    async fn count(&self, code: &'static str, now: Timestamp) -> Result<(), StoreFault> {
        let is_first = {
            let mut counted = self.counted.borrow_mut();
            let is_first = counted.is_empty();
            let count = counted.entry((now.as_ms().checked_div(HOUR_MS).unwrap_or(0), code)).or_default();
            *count = count.saturating_add(1);
            is_first
        };
        // Whoever comes first writes what comes within the pause.
        if !is_first {
            return Ok(());
        }
        sleep(PAUSE).await;
        let counted = self.counted.take();
        for ((hour, code), count) in counted {
            let at = Timestamp::from_ms(hour.saturating_mul(HOUR_MS));
            let nothing = || Value::Null;
            let row = [
                text(""),
                instant(at),
                text(code),
                text(""),
                nothing(),
                nothing(),
                nothing(),
                nothing(),
                unsigned(count),
            ];
            if let Err(fault) = self.write(row).await {
                let mut counted = self.counted.borrow_mut();
                let kept = counted.entry((hour, code)).or_default();
                *kept = kept.saturating_add(count);
                return Err(fault);
            }
        }
        Ok(())
    }

    async fn write(&self, row: [Value; 9]) -> Result<(), StoreFault> {
        let connection = self.database.connect().await?;
        run(&connection, "INSERT INTO refusal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", row).await?;
        self.database.keep(connection);
        Ok(())
    }
}

const HOUR_MS: u64 = 3_600_000;
