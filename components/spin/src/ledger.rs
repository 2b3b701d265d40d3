//! The worker's side of the database: it takes events from the queue, lets [`countersign_ledger`] decide, and settles them.
//!
//! # Security
//!
//! * **Nothing is lost.** An event is in the queue until the statement that writes its entry, or its dead letter, takes it out.
//!   A worker that dies leaves a lease behind, which runs out.
//! * **Nothing is posted twice.** An entry's id is its event's, and partner and event id are unique; a batch that another worker
//!   overtook fails as a whole, and is decided again on what is there then.

mod admin;
mod book;
mod duplicates;
mod redecide;
mod retention;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use countersign_core::event::{EventName, EventType, Original};
use countersign_core::json::Tape;
use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use countersign_ledger::book::QueuedEvent;
use countersign_ledger::decision::{DeadCause, Decision, Wait, WaitReason};
use countersign_ledger::fx::{Date, RateTable};
use countersign_ledger::payload::Payload;
use countersign_ledger::posting;
use countersign_ledger::retry;
use countersign_ledger::rules::Rules;
use countersign_ledger::schema::MADE_ROOM;
use countersign_ledger::settling::SettlingRows;
use serde::Serialize;
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::time::sleep;
use spin_sdk::wasip3::random::random::get_random_u64;

use crate::database::{Database, Row, first, instant, rows, run, text, unless_ruled_out, unsigned};
use crate::opening::{self, NotOpened};

pub use admin::{DeadLetter, Erased, Queue, Rejection, RejectionCount, Rejections, Selection, Total};
pub use duplicates::Duplicate;
pub use redecide::{Confirmed, Scope, WhatIf};

/// Events that one batch takes.
pub const BATCH_MAX: i64 = 256;
/// How long a batch may take; then another worker may have its events.
pub const LEASE_MS: u64 = 30_000;
/// How long a run lasts without a sign of life, in milliseconds; longer than a stretch of posting and a batch.
pub const RUN_MS: u64 = 20_000;
/// After each batch a worker rests for so many times as long as the batch took: whoever waits for SQLite's lock looks at it now and
/// then, and is to find it free.
const REST: u64 = 2;
/// The longest time that counts of a batch, in milliseconds.
const REST_MS_MAX: u64 = 50;
/// How often a batch is decided anew because another worker came between.
const TRIES_MAX: u32 = 8;

/// The ledger behind a component's database label.
#[derive(Debug)]
pub struct Ledger {
    database: Database,
    rules: Rules,
    clock: fn() -> Timestamp,
    rates: RefCell<Rates>,
}

/// Exchange rates that were read before, good until the next import.
#[derive(Debug, Default)]
struct Rates {
    table: RateTable,
    /// The dates whose week is in the table.
    known: BTreeSet<Date>,
    /// Which import they are of.
    import: i64,
}

/// What a run of the worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events that have their entry now.
    pub posted: u64,
    /// Events that had it before.
    pub repeated: u64,
    /// Events that were looked at and wait on.
    pub waiting: u64,
    /// Events that became dead letters.
    pub dead: u64,
}

impl Ledger {
    /// The ledger in the database of that label, with its tables made where they are missing.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub async fn open(
        label: &'static str,
        scope: &crate::scope::Scope,
        rules: Rules,
        clock: fn() -> Timestamp,
    ) -> Result<Self, NotOpened> {
        let database = opening::open(label, scope).await?;
        Ok(Self { database, rules, clock, rates: RefCell::default() })
    }

    /// The rules that it posts by.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Posts what is due, batch by batch, until nothing is or `until` has come.
    ///
    /// # Errors
    /// What the database failed with. What was settled before stays settled.
    pub async fn post_due(&self, until: Timestamp) -> Result<Tally, StoreFault> {
        let mut tally = Tally::default();
        let mut brought_back = BTreeSet::new();
        let connection = self.database.connect().await?;
        loop {
            let now = (self.clock)();
            let worker = random() >> 1;
            let lease = i64::try_from(worker).unwrap_or(i64::MAX);
            let settled = match take(&connection, lease, now).await {
                Ok(taken) if taken.is_empty() => {
                    match bring_back(&connection, now, &mut brought_back).await {
                        Ok(false) => break,
                        Ok(true) => Ok(()),
                        Err(fault) => Err(fault),
                    }
                }
                Ok(taken) => self.settle(&connection, lease, &taken, &mut tally).await,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = settled {
                // Where this fails too, the lease runs out.
                let _given_back = give_back(&connection, lease, now).await;
                return Err(fault);
            }
            let end = (self.clock)();
            if end >= until {
                break;
            }
            let took_ms = end.since_ms(now).min(REST_MS_MAX);
            sleep(Duration::from_millis(took_ms.saturating_mul(REST))).await;
        }
        self.database.keep(connection);
        Ok(tally)
    }

    /// Makes `worker` the one whose run goes on by itself, for the next [`RUN_MS`]; `false`: another one's does. Two at once would do
    /// no harm, and get in each other's way.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn run_as(&self, worker: i64) -> Result<bool, StoreFault> {
        let connection = self.database.connect().await?;
        let now = (self.clock)();
        let sql = "INSERT INTO run (id, worker, until) VALUES (1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET worker = excluded.worker, \
                   until = excluded.until WHERE worker = excluded.worker OR until <= ?3 OR until > ?2 RETURNING worker";
        let row =
            first(&connection, sql, [Value::Integer(worker), instant(now.plus_ms(RUN_MS)), instant(now)])
                .await?;
        self.database.keep(connection);
        Ok(row.is_some())
    }

    /// Ends the run of `worker`.
    ///
    /// # Errors
    /// What the database failed with; the run then ends by itself.
    pub async fn end_run(&self, worker: i64) -> Result<(), StoreFault> {
        let connection = self.database.connect().await?;
        run(&connection, "DELETE FROM run WHERE worker = ?1", [Value::Integer(worker)]).await?;
        self.database.keep(connection);
        Ok(())
    }

    /// When the next event is due; `None` where the queue is empty.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreFault> {
        let connection = self.database.connect().await?;
        let now = (self.clock)();
        // As `take` sees it.
        let sql = "SELECT min(iif(due_at > ?2, ?1, due_at)) FROM (SELECT * FROM (SELECT due_at FROM queue ORDER BY due_at LIMIT 1) \
                   UNION ALL SELECT * FROM (SELECT due_at FROM queue ORDER BY due_at DESC LIMIT 1))";
        let row = first(&connection, sql, [instant(now), instant(now.plus_ms(retry::CAP_MS))]).await?;
        let due = row.ok_or(StoreFault::Corrupt)?.optional_instant(0)?;
        self.database.keep(connection);
        Ok(due)
    }

    /// Decides a batch and writes what was decided; again from the start where another worker came between.
    async fn settle(
        &self,
        connection: &Connection,
        lease: i64,
        taken: &[Taken],
        tally: &mut Tally,
    ) -> Result<(), StoreFault> {
        for _ in 0..TRIES_MAX {
            let generation = first(connection, "SELECT count FROM generation", []).await?;
            let generation = generation.ok_or(StoreFault::Corrupt)?.integer(0)?;
            // What is looked for depends on the time as well, so it is the same when that is decided.
            let now = (self.clock)();
            let mut book = self.load(connection, taken, now).await?;
            let mut rows = SettlingRows::default();
            let mut counted = Tally::default();
            for taken in taken {
                match taken {
                    Taken::Whole(queued) => {
                        let decision = posting::decide(&self.rules, &mut book, queued, now, &mut rows);
                        counted.count(&decision);
                        if let Decision::Wait(wait) = decision {
                            rows.waiting.push(waiting(queued, wait, now));
                        }
                    }
                    Taken::Damaged { id, attempts } => {
                        rows.done.push(*id);
                        let dead = DeadCause::RowDamaged;
                        rows.dead.push((*id, dead, dead.detail(), *attempts));
                        counted.dead = counted.dead.saturating_add(1);
                    }
                }
            }
            if write(connection, lease, now, generation, &rows).await? {
                tally.add(counted);
                return Ok(());
            }
        }
        Err(StoreFault::Contended)
    }
}

impl Tally {
    /// As a line of the log.
    #[must_use]
    pub fn to_json(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }

    /// Events that left the queue.
    #[must_use]
    pub const fn settled(&self) -> u64 {
        self.posted.saturating_add(self.repeated).saturating_add(self.dead)
    }

    fn count(&mut self, decision: &Decision) {
        let counter = match decision {
            Decision::Post => &mut self.posted,
            Decision::Repeat => &mut self.repeated,
            Decision::Wait(_) => &mut self.waiting,
            Decision::Dead(_) => &mut self.dead,
        };
        *counter = counter.saturating_add(1);
    }

    fn add(&mut self, other: Self) {
        self.posted = self.posted.saturating_add(other.posted);
        self.repeated = self.repeated.saturating_add(other.repeated);
        self.waiting = self.waiting.saturating_add(other.waiting);
        self.dead = self.dead.saturating_add(other.dead);
    }
}

/// An event that this worker has.
enum Taken {
    Whole(Box<QueuedEvent>),
    /// Its row does not say what every row says.
    Damaged {
        id: i64,
        attempts: u32,
    },
}

/// Takes up to [`BATCH_MAX`] events that are due, the oldest first. No pause and no lease is longer than [`retry::CAP_MS`], so what
/// is due later than that was written by a clock that has been set back since: it is due too.
async fn take(connection: &Connection, lease: i64, now: Timestamp) -> Result<Vec<Taken>, StoreFault> {
    let sql = "UPDATE queue SET lease = ?1, due_at = ?2, attempts = attempts + 1 WHERE inbox_id IN ( \
               SELECT * FROM (SELECT inbox_id FROM queue WHERE due_at <= ?3 ORDER BY due_at, inbox_id LIMIT ?4) UNION ALL \
               SELECT * FROM (SELECT inbox_id FROM queue WHERE due_at > ?5 ORDER BY due_at, inbox_id LIMIT ?4) LIMIT ?4)";
    let until = now.plus_ms(LEASE_MS);
    let latest = instant(now.plus_ms(retry::CAP_MS));
    let values = [Value::Integer(lease), instant(until), instant(now), Value::Integer(BATCH_MAX), latest];
    run(connection, sql, values).await?;
    let sql = "SELECT inbox.id, queue.attempts, CAST(inbox.partner AS BLOB), CAST(inbox.event_id AS BLOB), \
               CAST(inbox.event AS BLOB), CAST(inbox.click_id AS BLOB), inbox.ts_event, inbox.received_at, \
               inbox.payload_hash, CAST(inbox.payload AS BLOB) \
               FROM queue JOIN inbox ON inbox.id = queue.inbox_id WHERE queue.due_at = ?2 AND queue.lease = ?1 ORDER BY inbox.id";
    let mut tape = Tape::default();
    let taken = rows(connection, sql, [Value::Integer(lease), instant(until)]).await?;
    let mut taken = taken
        .iter()
        .map(|row| {
            let (id, attempts) = (row.integer(0)?, u32::try_from(row.unsigned(1)?).unwrap_or(u32::MAX));
            Ok(queued(row, id, attempts, &mut tape)
                .map_or(Taken::Damaged { id, attempts }, |queued| Taken::Whole(Box::new(queued))))
        })
        .collect::<Result<Vec<_>, StoreFault>>()?;
    // What is undone comes before what undoes it, whichever was accepted first.
    taken.sort_by_key(Taken::rank);
    Ok(taken)
}

impl Taken {
    /// How many events of its batch may have to be posted before it: a deposit, and a chargeback of that.
    fn rank(&self) -> u8 {
        let original = match self {
            Self::Whole(queued) => queued.event.original(),
            Self::Damaged { .. } => None,
        };
        match original {
            None => 0,
            Some(Original::Deposit) => 1,
            Some(Original::Chargeback) => 2,
        }
    }
}

/// Replays what took back too much of a deposit of which a chargeback was reversed since: it came before the end of the dispute, and
/// sums do not depend on that. `false`: there is none but what the run brought back already. What is still too much is a dead letter again.
async fn bring_back(
    connection: &Connection,
    now: Timestamp,
    already: &mut BTreeSet<i64>,
) -> Result<bool, StoreFault> {
    let found = rows(
        connection,
        MADE_ROOM,
        [text(DeadCause::OverRefund.as_str()), text(EventType::ChargebackReversed.as_str())],
    )
    .await?;
    let mut ids = found.iter().map(|row| row.integer(0)).collect::<Result<Vec<_>, _>>()?;
    ids.retain(|id| already.insert(*id));
    if ids.is_empty() {
        return Ok(false);
    }
    run(connection, "INSERT INTO replay SELECT value, ?2 FROM json_each(?1)", [json(&ids)?, instant(now)])
        .await?;
    Ok(true)
}

/// Gives back what a fault kept this worker from settling. Each event has a pause of its own, so that one which brings the fault
/// about soon comes alone, and holds up nobody else.
async fn give_back(connection: &Connection, lease: i64, now: Timestamp) -> Result<(), StoreFault> {
    let sql = "UPDATE queue SET lease = NULL, \
               due_at = ?2 + 1 + (random() & 9223372036854775807) % min(?4, ?3 << min(attempts - 1, 20)) WHERE lease = ?1";
    let pause = [retry::BASE_MS, retry::CAP_MS].map(unsigned);
    run(connection, sql, [Value::Integer(lease), instant(now)].into_iter().chain(pause)).await
}

fn queued(row: &Row, id: i64, attempts: u32, tape: &mut Tape) -> Option<QueuedEvent> {
    Some(QueuedEvent {
        id,
        attempts,
        partner: row.text(2).ok()?.to_owned(),
        event_id: row.text(3).ok()?.to_owned(),
        event: EventType::named(EventName::new(row.text(4).ok()?)?),
        click_id: row.text(5).ok()?.to_owned(),
        ts_event: row.instant(6).ok()?,
        received_at: row.instant(7).ok()?,
        payload_hash: row.bytes(8).ok()?,
        payload: Payload::read(row.text(9).ok()?.as_bytes(), tape)?,
    })
}

/// When an event that waits is looked at again: what it waits for wakes it, and this is the backstop.
fn waiting(queued: &QueuedEvent, wait: Wait, now: Timestamp) -> (i64, u64, WaitReason, String) {
    let pause = retry::delay_ms(queued.attempts.saturating_sub(1), random(), None);
    let due_at = now.plus_ms(pause).min(wait.until);
    (queued.id, due_at.as_ms(), wait.reason, wait.waits_for)
}

/// Writes what was decided; `false`: another worker came between, and nothing is written.
async fn write(
    connection: &Connection,
    lease: i64,
    now: Timestamp,
    generation: i64,
    settled: &SettlingRows,
) -> Result<bool, StoreFault> {
    let sql = "INSERT INTO settling VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let values = [
        Value::Integer(lease),
        instant(now),
        Value::Integer(generation),
        json(&settled.done)?,
        json(&settled.entries)?,
        json(&settled.postings)?,
        json(&settled.verdicts)?,
        json(&settled.firsts)?,
        json(&settled.accounts)?,
        json(&settled.installs)?,
        json(&settled.waiting)?,
        json(&settled.dead)?,
    ];
    unless_ruled_out(connection, sql, values).await
}

/// Rows as JSON text: how a statement takes a list.
pub(crate) fn json(rows: &impl Serialize) -> Result<Value, StoreFault> {
    // Nothing that is written here can fail to be JSON.
    serde_json::to_string(rows).map(|rows| text(&rows)).map_err(|_| StoreFault::Unavailable)
}

fn random() -> u64 {
    get_random_u64()
}
