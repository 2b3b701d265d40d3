//! The store contract on SQLite: the inbox row is the claim, so "accepted" and "will be counted" are one commit.
//!
//! Every claim is one transaction on a connection of its own (Spin opens a new one each time, so transactions of concurrent
//! requests cannot interleave). `BEGIN IMMEDIATE` takes the write lock first: two racers are put in order before either reads.

use countersign_core::drive::AsyncStore;
use countersign_core::event::EventId;
use countersign_core::rate::{Decision, Quota, Rate};
use countersign_core::store::{
    Claim, ClaimAnswer, ClaimKey, End, Fallback, HandOn, Settlement, StoreFault, Throttle, ThrottleAnswer,
};
use countersign_core::time::Timestamp;
use spin_sdk::sqlite::{Connection, Error, Value};

/// The tables, in the order in which they are made.
const SCHEMA: [&str; 4] = [
    include_str!("schema/inbox.sql"),
    include_str!("schema/fallback.sql"),
    include_str!("schema/quota.sql"),
    include_str!("schema/throttle.sql"),
];

/// Slots of the throttle's table: it is written for senders that nobody has verified, so it must not grow.
const THROTTLE_SLOTS: u64 = 4096;

/// The SQLite inbox behind a component's database label.
#[derive(Clone, Copy, Debug)]
pub struct Inbox {
    database: &'static str,
}

impl Inbox {
    /// The inbox in the database of that label, with its tables made where they are missing.
    ///
    /// # Errors
    /// A [`StoreFault`] where the database does not answer: a component must not serve without it.
    pub async fn open(database: &'static str) -> Result<Self, StoreFault> {
        let inbox = Self { database };
        let connection = inbox.connect().await?;
        run(&connection, "PRAGMA journal_mode=WAL", []).await?;
        for statement in SCHEMA {
            run(&connection, statement, []).await?;
        }
        Ok(inbox)
    }

    async fn connect(&self) -> Result<Connection, StoreFault> {
        Connection::open(self.database).await.map_err(fault)
    }
}

impl AsyncStore for Inbox {
    async fn throttle(&self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        let connection = self.connect().await?;
        let source = i64::from_be_bytes(*throttle.source.as_bytes());
        let slot = (u64::from_be_bytes(*throttle.source.as_bytes()) % THROTTLE_SLOTS).cast_signed();
        let row =
            one(&connection, "SELECT source, tat FROM throttle WHERE slot = ?1", [Value::Integer(slot)])
                .await?;
        let stored = match row {
            // The slot is another source's: this one has no refusals on record.
            Some(row) if integer(&row, 0)? != source => None,
            Some(row) => Some(unsigned(&row, 1)?),
            None => None,
        };
        let decision = throttle.rate.decide(stored, throttle.now);
        match (throttle.count, decision) {
            (false, Decision::Limit { retry_after_ms, .. }) => Ok(ThrottleAnswer::Limited { retry_after_ms }),
            (false, Decision::Admit { .. }) | (true, Decision::Limit { .. }) => Ok(ThrottleAnswer::Pass),
            (true, Decision::Admit { stored, .. }) => {
                let sql = "INSERT INTO throttle (slot, source, tat) VALUES (?1, ?2, ?3) \
                           ON CONFLICT (slot) DO UPDATE SET source = excluded.source, tat = excluded.tat";
                run(&connection, sql, [Value::Integer(slot), Value::Integer(source), signed(stored)]).await?;
                Ok(ThrottleAnswer::Pass)
            }
        }
    }

    async fn claim(&self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        let connection = self.connect().await?;
        run(&connection, "BEGIN IMMEDIATE", []).await?;
        let answer = claim_in(&connection, claim).await;
        // A refused claim keeps the quota that it spent, as the contract has it; a fault keeps nothing.
        let end = if answer.is_ok() { "COMMIT" } else { "ROLLBACK" };
        run(&connection, end, []).await?;
        answer
    }

    async fn settle(&self, settlement: &Settlement) -> Result<(), StoreFault> {
        let connection = self.connect().await?;
        run(&connection, "BEGIN IMMEDIATE", []).await?;
        let settled = settle_in(&connection, settlement).await;
        run(&connection, if settled.is_ok() { "COMMIT" } else { "ROLLBACK" }, []).await?;
        settled
    }
}

/// Quota, event, fallback: in the order of the contract, inside one transaction.
async fn claim_in(connection: &Connection, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
    let quota = match claim.quota {
        None => None,
        Some(rate) => match spend(connection, &claim.partner, rate, claim.now).await? {
            Decision::Limit { retry_after_ms, quota } => {
                return Ok(ClaimAnswer::Limited { retry_after_ms, quota });
            }
            Decision::Admit { quota, .. } => Some(quota),
        },
    };
    if let Some(answer) = known_event(connection, claim).await? {
        return Ok(answer);
    }
    if let Some(fallback) = &claim.fallback
        && let Some(answer) = known_fallback(connection, fallback, &claim.key, claim.now).await?
    {
        return Ok(answer);
    }
    insert(connection, claim, quota).await
}

async fn spend(
    connection: &Connection,
    partner: &str,
    rate: Rate,
    now: Timestamp,
) -> Result<Decision, StoreFault> {
    let row = one(connection, "SELECT tat FROM quota WHERE partner = ?1", [text(partner)]).await?;
    let stored = row.map(|row| unsigned(&row, 0)).transpose()?;
    let decision = rate.decide(stored, now);
    if let Decision::Admit { stored, .. } = decision {
        let sql = "INSERT INTO quota (partner, tat) VALUES (?1, ?2) ON CONFLICT (partner) DO UPDATE SET tat = excluded.tat";
        run(connection, sql, [text(partner), signed(stored)]).await?;
    }
    Ok(decision)
}

/// The answer to an event that has a row already; a pending row whose lease has ended is none.
async fn known_event(connection: &Connection, claim: &Claim) -> Result<Option<ClaimAnswer>, StoreFault> {
    let sql = "SELECT lease_until, payload_hash FROM inbox WHERE fingerprint = ?1";
    let Some(row) = one(connection, sql, [blob(&claim.key.fingerprint)]).await? else { return Ok(None) };
    let lease_until = Timestamp::from_ms(unsigned(&row, 0)?);
    if lease_until == Timestamp::default() {
        let same_payload = bytes(&row, 1)? == claim.payload_hash;
        return Ok(Some(ClaimAnswer::Seen { same_payload }));
    }
    if lease_until > claim.now {
        return Ok(Some(ClaimAnswer::InFlight { retry_after_ms: lease_until.since_ms(claim.now) }));
    }
    run(connection, "DELETE FROM inbox WHERE fingerprint = ?1", [blob(&claim.key.fingerprint)]).await?;
    Ok(None)
}

/// The answer to an event whose click and type were claimed inside the window by another event.
async fn known_fallback(
    connection: &Connection,
    fallback: &Fallback,
    key: &ClaimKey,
    now: Timestamp,
) -> Result<Option<ClaimAnswer>, StoreFault> {
    let sql = "SELECT claimed_by, event_id, claimed_at, lease_until FROM fallback WHERE fingerprint = ?1";
    let Some(row) = one(connection, sql, [blob(&fallback.fingerprint)]).await? else { return Ok(None) };
    let claimed_at = Timestamp::from_ms(unsigned(&row, 2)?);
    let lease_until = Timestamp::from_ms(unsigned(&row, 3)?);
    let is_own = bytes(&row, 0)? == key.fingerprint;
    if is_own || now.since_ms(claimed_at) >= fallback.window_ms {
        return Ok(None);
    }
    if lease_until == Timestamp::default() {
        let event_id = EventId::new(&words(&row, 1)?).ok_or(StoreFault::Corrupt)?;
        return Ok(Some(ClaimAnswer::DuplicateOf { event_id }));
    }
    let retry_after_ms = lease_until.since_ms(now);
    Ok((retry_after_ms > 0).then_some(ClaimAnswer::InFlight { retry_after_ms }))
}

async fn insert(
    connection: &Connection,
    claim: &Claim,
    quota: Option<Quota>,
) -> Result<ClaimAnswer, StoreFault> {
    let lease_until = match claim.hand_on {
        HandOn::AfterClaim { .. } => claim.key.lease_until,
        HandOn::WithClaim => Timestamp::default(),
    };
    let entry = &claim.entry;
    let payload = std::str::from_utf8(&entry.payload).map_err(|_| StoreFault::Corrupt)?;
    let sql = "INSERT INTO inbox (fingerprint, lease_until, payload_hash, partner, event_id, event, click_id, ts_event, \
               key_id, source, receipt, payload, received_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let row = [
        blob(&claim.key.fingerprint),
        signed(lease_until.as_ms()),
        blob(&claim.payload_hash),
        text(&claim.partner),
        text(entry.event_id.as_str()),
        text(entry.event.as_str()),
        text(entry.click_id.as_str()),
        signed(entry.ts_event.as_ms()),
        text(&entry.key_id),
        entry.source.map_or(Value::Null, |source| text(&source.to_string())),
        text(entry.receipt.as_str()),
        text(payload),
        signed(claim.now.as_ms()),
    ];
    run(connection, sql, row).await?;
    if let Some(fallback) = &claim.fallback {
        let sql = "INSERT INTO fallback (fingerprint, claimed_by, event_id, claimed_at, lease_until) \
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (fingerprint) DO UPDATE SET claimed_by = excluded.claimed_by, \
                   event_id = excluded.event_id, claimed_at = excluded.claimed_at, lease_until = excluded.lease_until";
        let row = [
            blob(&fallback.fingerprint),
            blob(&claim.key.fingerprint),
            text(entry.event_id.as_str()),
            signed(claim.now.as_ms()),
            signed(lease_until.as_ms()),
        ];
        run(connection, sql, row).await?;
    }
    Ok(ClaimAnswer::Fresh { quota })
}

async fn settle_in(connection: &Connection, settlement: &Settlement) -> Result<(), StoreFault> {
    let fingerprint = || blob(&settlement.key.fingerprint);
    let lease_until = || signed(settlement.key.lease_until.as_ms());
    match settlement.end {
        End::Commit => {
            run(connection, "UPDATE inbox SET lease_until = 0 WHERE fingerprint = ?1", [fingerprint()])
                .await?;
            run(connection, "UPDATE fallback SET lease_until = 0 WHERE claimed_by = ?1", [fingerprint()])
                .await
        }
        End::Release => {
            let sql = "DELETE FROM inbox WHERE fingerprint = ?1 AND lease_until = ?2";
            run(connection, sql, [fingerprint(), lease_until()]).await?;
            let sql = "DELETE FROM fallback WHERE claimed_by = ?1 AND lease_until = ?2";
            run(connection, sql, [fingerprint(), lease_until()]).await
        }
    }
}

async fn run(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<(), StoreFault> {
    let values: Vec<Value> = values.into_iter().collect();
    connection.execute(sql, values).await.map_err(fault)?.result().await.map_err(fault)
}

/// The first row of an answer.
async fn one(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<Vec<Value>>, StoreFault> {
    let values: Vec<Value> = values.into_iter().collect();
    let rows = connection.execute(sql, values).await.map_err(fault)?.collect().await.map_err(fault)?;
    Ok(rows.into_iter().next().map(|row| row.values))
}

/// A busy database is one that others hold; the host has waited for it already.
fn fault(error: Error) -> StoreFault {
    match error {
        Error::Io(text) if text.contains("locked") || text.contains("busy") => StoreFault::Contended,
        _ => StoreFault::Unavailable,
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn blob(value: &[u8]) -> Value {
    Value::Blob(value.to_vec())
}

/// SQLite has no unsigned integers; instants and rates are far below 2⁶³.
fn signed(value: u64) -> Value {
    Value::Integer(value.cast_signed())
}

fn integer(row: &[Value], column: usize) -> Result<i64, StoreFault> {
    match row.get(column) {
        Some(Value::Integer(value)) => Ok(*value),
        _ => Err(StoreFault::Corrupt),
    }
}

fn unsigned(row: &[Value], column: usize) -> Result<u64, StoreFault> {
    u64::try_from(integer(row, column)?).map_err(|_| StoreFault::Corrupt)
}

fn bytes(row: &[Value], column: usize) -> Result<&[u8], StoreFault> {
    match row.get(column) {
        Some(Value::Blob(value)) => Ok(value),
        _ => Err(StoreFault::Corrupt),
    }
}

fn words(row: &[Value], column: usize) -> Result<String, StoreFault> {
    match row.get(column) {
        Some(Value::Text(value)) => Ok(value.clone()),
        _ => Err(StoreFault::Corrupt),
    }
}
