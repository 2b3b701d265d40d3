//! The way into the database: claims of one instance that come at the same time are rows of one insert, hence of one commit
//! (`schema/arrivals.sql`).

use std::fmt;

use countersign_core::rate::{CLOCK_STEP_MS_MAX, Rate};
use countersign_core::seen::LEASE_MS_MAX;
use countersign_core::store::{Claim, HandOn, StoreFault};
use countersign_core::time::Timestamp;
use spin_sdk::sqlite::{Connection, Value};

use crate::database::{Database, blob, instant, rows, run, text, unsigned};
use crate::shared::Shared;

/// Columns of the view, its first one left out: that is the row's place.
const FIELDS: usize = 20;
/// With places for the columns of a row.
const ROW: &str = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

/// What one row is to bring in.
pub(crate) struct Arrival([Value; FIELDS]);

/// What became of a row.
#[derive(Clone, Copy)]
pub(crate) enum Arrived {
    /// It is committed. With what is stored of its partner's quota since, in microseconds, where there is one.
    In { tat: Option<u64> },
    /// Something that is there ruled it out, and it changed nothing.
    PassedOver,
}

/// The rows of an instance that wait for the database.
pub(crate) struct Arrivals {
    waiting: Shared<Arrival, Arrived>,
    /// One connection in the end, for one statement is under way at a time: its texts stay prepared, and few are opened.
    database: Database,
}

/// How long SQLite waits for its lock within one statement, which is asked again then, with the rows that came meanwhile. It looks
/// after 1, 2, 5, 10 and 15 ms more; left alone it would go on with pauses of up to 100 ms, and the lock lies idle so long.
const LOCK_WAIT: &str = "PRAGMA busy_timeout=33";

impl Arrivals {
    /// Nothing waits, and nothing is opened yet.
    pub(crate) const fn new(label: &'static str) -> Self {
        Self { waiting: Shared::new(), database: Database::new(label) }
    }

    /// Brings a row in, together with others that wait. An answer means that its statement is committed.
    ///
    /// # Errors
    /// The statement failed, for all its rows; or its answer was lost. Which rows are in is known to those alone who look.
    pub(crate) async fn bring_in(&self, arrival: Arrival) -> Result<Arrived, StoreFault> {
        self.waiting.ask(arrival, async |arrivals| self.insert(arrivals).await).await
    }

    async fn insert(&self, arrivals: &[Arrival]) -> Result<Vec<Arrived>, StoreFault> {
        let connection = match self.database.kept() {
            Some(connection) => connection,
            None => {
                let connection = self.database.connect().await?;
                run(&connection, LOCK_WAIT, []).await?;
                connection
            }
        };
        let answers = insert(&connection, arrivals).await;
        // A lock that was not to be had says nothing against the connection.
        if matches!(answers, Ok(_) | Err(StoreFault::Contended)) {
            self.database.keep(connection);
        }
        answers
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").finish_non_exhaustive()
    }
}

async fn insert(connection: &Connection, arrivals: &[Arrival]) -> Result<Vec<Arrived>, StoreFault> {
    let mut answers = vec![Arrived::PassedOver; arrivals.len()];
    // Few texts, so that those of a connection stay prepared; what is left over are rows without a place.
    let places = arrivals.len().next_power_of_two();
    let sql = format!(
        "INSERT INTO arrivals VALUES {} \
         RETURNING place, (SELECT tat FROM quota WHERE quota.partner = arrivals.partner)",
        vec![ROW; places].join(",")
    );
    let nothing = [const { Value::Null }; FIELDS];
    let mut values = Vec::with_capacity(sql.len());
    for (place, Arrival(fields)) in (0..).zip(arrivals) {
        values.push(Value::Integer(place));
        values.extend(fields.iter().cloned());
    }
    for _ in answers.len()..places {
        values.push(Value::Null);
        values.extend(nothing.clone());
    }
    for row in rows(connection, &sql, values).await? {
        let place = usize::try_from(row.integer(0)?).map_err(|_| StoreFault::Corrupt)?;
        let answer = answers.get_mut(place).ok_or(StoreFault::Corrupt)?;
        *answer = Arrived::In { tat: row.optional_unsigned(1)? };
    }
    Ok(answers)
}

impl Arrival {
    /// The event in the inbox, where it is accepted from here on, or its claim; with it the quota as it is `now`, and the fallback
    /// identity.
    ///
    /// # Errors
    /// The payload is not UTF-8, which the canonical writer does not write.
    pub(crate) fn of(claim: &Claim, now: Timestamp) -> Result<Self, StoreFault> {
        let entry = &claim.entry;
        let payload = std::str::from_utf8(&entry.payload).map_err(|_| StoreFault::Unavailable)?;
        let lease_until = match claim.hand_on {
            HandOn::AfterClaim { .. } => instant(lease_end(claim)),
            HandOn::WithClaim => Value::Null,
        };
        let (fallback, window_until) = claim.fallback.map_or((Value::Null, Value::Null), |fallback| {
            (blob(&fallback.fingerprint), instant(claim.now.plus_ms(fallback.window_ms)))
        });
        let [now_us, interval_us, window_us, step_us] =
            claim.quota.map_or([const { Value::Null }; 4], |rate| terms(rate, now));
        Ok(Self([
            blob(&claim.key.fingerprint),
            blob(&claim.payload_hash),
            instant(claim.now.plus_ms(claim.retention_ms)),
            text(&claim.partner),
            text(entry.event_id.as_str()),
            text(entry.event.as_str()),
            text(entry.click_id.as_str()),
            instant(entry.ts_event),
            text(&entry.key_id),
            entry.source.map_or(Value::Null, |source| text(&source.to_string())),
            text(entry.receipt.as_str()),
            text(payload),
            instant(claim.now),
            lease_until,
            fallback,
            window_until,
            now_us,
            interval_us,
            window_us,
            step_us,
        ]))
    }

    /// The quota alone: an event that is known costs one like any other.
    pub(crate) fn spending(partner: &str, rate: Rate, now: Timestamp) -> Self {
        let mut fields = [const { Value::Null }; FIELDS];
        let [.., now_us, interval_us, window_us, step_us] = &mut fields;
        [*now_us, *interval_us, *window_us, *step_us] = terms(rate, now);
        let [_fingerprint, _payload_hash, _remembered_until, to, ..] = &mut fields;
        *to = text(partner);
        Self(fields)
    }
}

/// The end of the claim's lease. A garbled row stays closed for as long, since whoever held it may be under way.
pub(crate) fn lease_end(claim: &Claim) -> Timestamp {
    claim.key.lease_until.min(claim.now.plus_ms(LEASE_MS_MAX))
}

/// What a rate is reckoned from at `now`, in microseconds: now, interval, window, and the longest step back of a clock.
pub(crate) fn terms(rate: Rate, now: Timestamp) -> [Value; 4] {
    let in_us = |ms: u64| unsigned(ms.saturating_mul(1000));
    [in_us(now.as_ms()), unsigned(rate.interval_us), unsigned(rate.window_us()), in_us(CLOCK_STEP_MS_MAX)]
}
