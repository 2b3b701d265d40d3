//! The way into the database: claims of one instance that come at the same time are rows of one insert, hence of one commit
//! (`schema/arrivals.sql`).

use std::fmt;
use std::sync::Arc;

use countersign_core::dedup::LEASE_MS_MAX;
use countersign_core::event::EventId;
use countersign_core::rate::{CLOCK_STEP_MS_MAX, Rate};
use countersign_core::store::{Claim, Fallback, HandOn, StoreFault};
use countersign_core::time::Timestamp;
use spin_sdk::sqlite::{Connection, Value};

use crate::database::{Database, blob, instant, rows, run, text, unsigned};
use crate::shared::Shared;

/// Columns of the view, its first one left out: that is the row's place.
const FIELDS: usize = 23;
/// With places for the columns of a row.
const ROW: &str = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

/// What one row is to bring in.
pub(crate) struct Arrival {
    partner: Arc<str>,
    fields: [Value; FIELDS],
}

/// What became of a row.
#[derive(Clone, Copy)]
pub(crate) enum Arrived {
    /// It is committed. With what is stored of its partner's quota after all rows of the statement, in microseconds, where there is one.
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
/// after 1 and 3 ms; left alone it would go on with pauses of up to 100 ms, and the lock lies idle so long.
const LOCK_WAIT: &str = "PRAGMA busy_timeout=3";

impl Arrivals {
    /// Nothing waits. `connection` is the first one.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn on(label: &'static str, connection: Connection) -> Result<Self, StoreFault> {
        let database = Database::new(label);
        run(&connection, LOCK_WAIT, []).await?;
        database.keep(connection);
        Ok(Self { waiting: Shared::new(), database })
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
    let mut partners: Vec<&Arc<str>> = Vec::new();
    for arrival in arrivals {
        if !partners.contains(&&arrival.partner) {
            partners.push(&arrival.partner);
        }
    }
    // Few texts, so that those of a connection stay prepared; what is left over are rows without a place.
    let length = arrivals.len().saturating_add(partners.len()).next_power_of_two();
    let mut values = Vec::with_capacity(ROW.len().saturating_mul(length));
    let places = |count: usize| (0..count).map(|place| i64::try_from(place).unwrap_or(i64::MAX));
    for (place, arrival) in places(arrivals.len()).zip(arrivals) {
        values.push(Value::Integer(place));
        values.extend(arrival.fields.iter().cloned());
    }
    for (place, partner) in places(partners.len()).zip(&partners) {
        values.push(Value::Integer(!place));
        let mut fields = NOTHING;
        *partner_of(&mut fields) = text(partner);
        values.extend(fields);
    }
    for _ in arrivals.len().saturating_add(partners.len())..length {
        values.push(Value::Null);
        values.extend(NOTHING);
    }
    let sql = format!(
        "INSERT INTO arriving VALUES {} RETURNING place, (SELECT tat FROM quota WHERE quota.partner = arriving.partner)",
        vec![ROW; length].join(",")
    );
    let mut passed_over = vec![false; arrivals.len()];
    let mut tats = vec![None; partners.len()];
    for row in rows(connection, &sql, values).await? {
        let place = row.integer(0)?;
        if let Ok(place) = usize::try_from(place) {
            *passed_over.get_mut(place).ok_or(StoreFault::Corrupt)? = true;
        } else {
            let of_partner = usize::try_from(!place).ok().and_then(|place| tats.get_mut(place));
            // A garbled one let no row in that spends it: those are told when they look.
            *of_partner.ok_or(StoreFault::Corrupt)? = Some(row.optional_unsigned(1).unwrap_or(None));
        }
    }
    let told = |(arrival, passed_over): (&Arrival, bool)| {
        let tat = partners.iter().position(|partner| **partner == arrival.partner);
        // A partner of whom nothing is said was not reached: then nothing is known of its rows either.
        let tat = tat.and_then(|place| tats.get(place).copied().flatten()).ok_or(StoreFault::Corrupt)?;
        Ok(if passed_over { Arrived::PassedOver } else { Arrived::In { tat } })
    };
    arrivals.iter().zip(passed_over).map(told).collect()
}

/// A row that says nothing.
const NOTHING: [Value; FIELDS] = [const { Value::Null }; FIELDS];

const fn partner_of(fields: &mut [Value; FIELDS]) -> &mut Value {
    let [_fingerprint, _payload_hash, _receipt_key, partner, ..] = fields;
    partner
}

impl Arrival {
    /// The event in the inbox, where it is accepted from here on, or its claim; with it the quota as it is `now`, and the fallback
    /// identity.
    ///
    /// # Errors
    /// The payload is not UTF-8, which the canonical writer does not write.
    pub(crate) fn of(claim: &Claim, now: Timestamp) -> Result<Self, StoreFault> {
        Self::with(claim, Value::Null, now)
    }

    /// The record of an event that says again what `original` has said; with it the quota as it is `now`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn duplicate_of(
        original: &EventId,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<Self, StoreFault> {
        Self::with(claim, text(original.as_str()), now)
    }

    fn with(claim: &Claim, duplicate_of: Value, now: Timestamp) -> Result<Self, StoreFault> {
        let row = &claim.row;
        let payload = std::str::from_utf8(&row.payload).map_err(|_| StoreFault::Unavailable)?;
        let lease_until = match claim.hand_on {
            HandOn::AfterClaim { .. } => instant(lease_end(claim)),
            HandOn::WithClaim => Value::Null,
        };
        let [fallback, fallback_at, fallback_window, identity_until] = match &claim.fallback {
            None => [const { Value::Null }; 4],
            Some(fallback) => {
                let until = identity_end(fallback, claim.retention_ms, claim.now);
                let window = unsigned(fallback.window_ms);
                [blob(&fallback.fingerprint), instant(fallback.ts_event), window, instant(until)]
            }
        };
        let [now_us, interval_us, window_us, step_us] =
            claim.quota.map_or([const { Value::Null }; 4], |rate| terms(rate, now));
        let fields = [
            blob(&claim.key.fingerprint),
            blob(&claim.payload_hash),
            Value::Integer(claim.receipt_key.into()),
            text(&claim.partner),
            text(row.event_id.as_str()),
            text(row.event.as_str()),
            text(row.click_id.as_str()),
            instant(row.ts_event),
            text(&row.key_id),
            row.source.map_or(Value::Null, |source| text(&source.to_string())),
            text(row.receipt.as_str()),
            text(payload),
            instant(claim.now),
            lease_until,
            fallback,
            fallback_at,
            fallback_window,
            identity_until,
            duplicate_of,
            now_us,
            interval_us,
            window_us,
            step_us,
        ];
        Ok(Self { partner: Arc::clone(&claim.partner), fields })
    }
}

/// Until when an identity is remembered that is taken at `now`: the last event that could be its duplicate may come a retention late.
pub(crate) fn identity_end(fallback: &Fallback, retention_ms: u64, now: Timestamp) -> Timestamp {
    now.max(fallback.ts_event).plus_ms(retention_ms).plus_ms(fallback.window_ms)
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
