//! The store contract on SQLite: the inbox row is the claim, so "accepted" and "will be counted" are one commit.
//!
//! Every change is a single statement (`schema/arrivals.sql` says why). A claim inserts, in one statement with others that wait for
//! the database at the same time; where something that is there rules its row out, the claim reads that, decides, and answers, or
//! removes what is over and inserts again.
//!
//! # Security
//!
//! * **A 200 is durable.** [`Inbox::open`] refuses a SQLite that does not flush on commit.
//! * **Whatever fails, fails whole.** An insert that failed left nothing, quotas included, and is a fault to all whose rows it
//!   held. So is one whose outcome is unknown; a sender's retry finds the truth: its row, or nothing.
//! * **An inbox row is never taken back.** Once its retention is over it lets go of its name and stays what it is: an event
//!   that was accepted then. Nor is a garbled one repaired: its event answers [`StoreFault::Corrupt`] until an operator has
//!   looked. A garbled claim or fallback identity is closed for one lease and then forgotten, a garbled quota counts as spent,
//!   a garbled throttle as empty; each answers `Corrupt` once.
//! * **A clock set back** keeps events longer, never shorter; only a lease that ends more than [`LEASE_MS_MAX`] ahead is over.

use std::time::Duration;

use countersign_core::dedup::{LEASE_MS_MAX, SWAP_TRIES_MAX};
use countersign_core::event::EventId;
use countersign_core::rate::{Decision, Rate};
use countersign_core::store::AsyncStore;
use countersign_core::store::{
    Claim, ClaimAnswer, End, Fallback, Settlement, StoreFault, Throttle, ThrottleAnswer,
};
use countersign_core::time::Timestamp;
use countersign_ledger::schema;
use spin_sdk::sqlite::Connection;
use spin_sdk::time::sleep;

use crate::arrivals::{Arrival, Arrivals, Arrived, lease_end, place, terms};
use crate::database::{Database, Row, blob, first, instant, rows, run, text, unsigned};

/// The inbox's tables with their indexes and triggers; a blank line between statements. The tracker's follow.
const SCHEMA: [&str; 6] = [
    include_str!("schema/inbox.sql"),
    include_str!("schema/claim.sql"),
    include_str!("schema/fallback.sql"),
    include_str!("schema/quota.sql"),
    include_str!("schema/throttle.sql"),
    include_str!("schema/arrivals.sql"),
];
/// Where this is there, all of [`SCHEMA`] is; the tracker's tables have a last one of their own.
const LAST: &str = "arriving_admitted";
/// `PRAGMA synchronous`: a commit is flushed before it is answered, in every journal mode.
const SYNCHRONOUS_FULL: i64 = 2;

/// The SQLite inbox behind a component's database label.
#[derive(Debug)]
pub struct Inbox {
    database: Database,
    arrivals: Arrivals,
    clock: fn() -> Timestamp,
}

/// Why there is no inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The database does not answer.
    Store(StoreFault),
    /// It answers, and does not flush what it commits.
    NotDurable,
}

impl NotOpened {
    /// For the operator's log: the problem, and what to do.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store(StoreFault::Unavailable) => {
                "the database cannot be opened; check sqlite_databases in spin.toml, and the disk"
            }
            Self::Store(StoreFault::Contended) => {
                "the database is locked by another program; end its transaction"
            }
            Self::Store(StoreFault::Corrupt) => "the database file is damaged; restore it from a copy",
            Self::NotDurable => {
                "this SQLite commits without a flush; use a Spin whose SQLite has synchronous=FULL"
            }
        }
    }
}

impl From<StoreFault> for NotOpened {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

impl Inbox {
    /// The inbox in the database of that label, with its tables made where they are missing.
    ///
    /// `clock` is asked by a claim that has waited for the database: its quota has filled meanwhile.
    ///
    /// # Errors
    /// [`NotOpened`]: a component must not serve without its inbox.
    pub async fn open(label: &'static str, clock: fn() -> Timestamp) -> Result<Self, NotOpened> {
        // What is accepted asks nothing but the insert, so an instance has one connection until something else happens.
        let connection = open_database(label).await?.connect().await?;
        let arrivals = Arrivals::on(label, connection).await?;
        Ok(Self { database: Database::new(label), arrivals, clock })
    }
}

/// The database of that label, with all tables made where they are missing: whichever component comes first makes them.
pub(crate) async fn open_database(label: &'static str) -> Result<Database, NotOpened> {
    let database = Database::new(label);
    let mut tries: u32 = 1;
    loop {
        match make(&database).await {
            // Of instances that start at once on a new file SQLite refuses some without a wait, while the journal's mode changes.
            Err(NotOpened::Store(StoreFault::Contended)) if tries < OPEN_TRIES_MAX => {
                tries = tries.saturating_add(1);
                sleep(OPEN_PAUSE).await;
            }
            made => return made.map(|()| database),
        }
    }
}

/// How often a database that is locked is opened, and the pause between: half a second is enough for another instance's tables.
const OPEN_TRIES_MAX: u32 = 10;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// Looks at the database, and makes the tables where they are missing.
async fn make(database: &Database) -> Result<(), NotOpened> {
    let connection = database.connect().await?;
    let sql = "SELECT synchronous, (SELECT count(*) FROM sqlite_schema WHERE name IN (?1, ?2)) FROM pragma_synchronous";
    let found =
        first(&connection, sql, [text(LAST), text(schema::LAST)]).await?.ok_or(StoreFault::Corrupt)?;
    // The default of the host's SQLite, hence the same on every connection to come.
    if found.integer(0)? < SYNCHRONOUS_FULL {
        return Err(NotOpened::NotDurable);
    }
    if found.integer(1)? < 2 {
        // It lasts. Where the file system cannot do it SQLite keeps its rollback journal, which is slower and no weaker.
        run(&connection, "PRAGMA journal_mode=WAL", []).await?;
        for statement in SCHEMA.iter().chain(&schema::MIGRATIONS).flat_map(|file| file.split("\n\n")) {
            run(&connection, statement, []).await?;
        }
    }
    database.keep(connection);
    Ok(())
}

impl AsyncStore for Inbox {
    async fn throttle(&self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        let connection = self.database.connect().await?;
        let answer = throttle_on(&connection, throttle).await;
        if answer.is_ok() {
            self.database.keep(connection);
        }
        answer
    }

    async fn claim(&self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        let mut now = claim.now;
        for _ in 0..SWAP_TRIES_MAX {
            let arrival = Arrival::of(claim, now)?;
            if let Arrived::In { tat } = self.arrivals.bring_in(arrival).await? {
                return fresh(claim, tat, now);
            }
            now = now.max((self.clock)());
            if let Some(answer) = self.look(claim, now).await? {
                return Ok(answer);
            }
        }
        Err(StoreFault::Contended)
    }

    async fn settle(&self, settlement: &Settlement) -> Result<(), StoreFault> {
        let connection = self.database.connect().await?;
        let event = settle_event(&connection, settlement).await;
        // A fault of one half is no reason to leave the other undone.
        let fallback = match settlement.fallback {
            Some(fallback) => settle_fallback(&connection, settlement, fallback).await,
            None => Ok(()),
        };
        let settled = event.and(fallback);
        if settled.is_ok() {
            self.database.keep(connection);
        }
        settled
    }
}

/// Looks, or counts: one read for the honest, one more statement for a refusal. Racing refusals all count.
async fn throttle_on(connection: &Connection, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
    let name = || place(throttle.source);
    let sql = "SELECT tat FROM throttle WHERE slot = ?1 AND source = ?2";
    let stored = match first(connection, sql, name()).await? {
        None => None,
        Some(row) => match row.unsigned(0) {
            Ok(tat) => Some(tat),
            Err(garbled) => {
                let sql = "DELETE FROM throttle WHERE slot = ?1 AND source = ?2 AND tat IS ?3";
                run(connection, sql, name().into_iter().chain(row.into_values())).await?;
                return Err(garbled);
            }
        },
    };
    match throttle.rate.decide(stored, throttle.now) {
        Decision::Limit { retry_after_ms, .. } if !throttle.count => {
            Ok(ThrottleAnswer::Limited { retry_after_ms })
        }
        Decision::Admit { .. } if throttle.count => {
            // The arithmetic of `Rate::decide`. A rival may have reached the limit meanwhile; the count stops there.
            let sql = "INSERT INTO throttle (slot, source, tat) VALUES (?1, ?2, ?3 + ?4) ON CONFLICT (slot, source) DO UPDATE \
                       SET tat = CASE WHEN tat > ?3 + ?5 + ?6 THEN ?3 + ?5 ELSE min(max(tat, ?3) + ?4, ?3 + ?5) END";
            run(connection, sql, name().into_iter().chain(terms(throttle.rate, throttle.now))).await?;
            Ok(ThrottleAnswer::Pass)
        }
        // A source that is limited already has nothing to lose: the count stops where the limit is.
        Decision::Limit { .. } | Decision::Admit { .. } => Ok(ThrottleAnswer::Pass),
    }
}

impl Inbox {
    /// What rules a claim out: source, quota, event, fallback, in the order of the contract, with the quota as it is `now`. `None`: nothing
    /// does any longer, and the claim is to be tried again.
    async fn look(&self, claim: &Claim, now: Timestamp) -> Result<Option<ClaimAnswer>, StoreFault> {
        let connection = self.database.connect().await?;
        if let Some(throttle) = &claim.throttle
            && let ThrottleAnswer::Limited { retry_after_ms } = throttle_on(&connection, throttle).await?
        {
            self.database.keep(connection);
            return Ok(Some(ClaimAnswer::SourceLimited { retry_after_ms }));
        }
        if let Some(rate) = claim.quota
            && let Decision::Limit { retry_after_ms, quota } =
                left_of(&connection, &claim.partner, rate, now).await?
        {
            self.database.keep(connection);
            return Ok(Some(ClaimAnswer::Limited { retry_after_ms, quota }));
        }
        let mut known = known_event(&connection, claim).await?;
        if let (None, Some(fallback)) = (&known, &claim.fallback) {
            known = known_fallback(&connection, fallback, claim).await?;
        }
        self.database.keep(connection);
        let (Some(_), Some(rate)) = (&known, claim.quota) else { return Ok(known) };
        // Rivals may have spent the quota meanwhile.
        let spending = Arrival::spending(&claim.partner, rate, now);
        Ok(match self.arrivals.bring_in(spending).await? {
            Arrived::In { .. } => known,
            Arrived::PassedOver => None,
        })
    }
}

/// The answer to a claim that is committed: what it left of the quota is what is stored.
fn fresh(claim: &Claim, tat: Option<u64>, now: Timestamp) -> Result<ClaimAnswer, StoreFault> {
    let quota = match claim.quota {
        None => None,
        Some(rate) => match rate.take(0, Some(tat.ok_or(StoreFault::Corrupt)?), now) {
            Decision::Admit { quota, .. } | Decision::Limit { quota, .. } => Some(quota),
        },
    };
    Ok(ClaimAnswer::Fresh { quota })
}

/// What the partner's quota says to one event more; nothing is spent yet.
async fn left_of(
    connection: &Connection,
    partner: &str,
    rate: Rate,
    now: Timestamp,
) -> Result<Decision, StoreFault> {
    let stored = match first(connection, "SELECT tat FROM quota WHERE partner = ?1", [text(partner)]).await? {
        None => None,
        Some(row) => match row.unsigned(0) {
            Ok(tat) => Some(tat),
            Err(garbled) => {
                let sql = "UPDATE quota SET tat = ?2 WHERE partner = ?1 AND tat IS ?3";
                let values = [text(partner), unsigned(rate.spent(now))];
                run(connection, sql, values.into_iter().chain(row.into_values())).await?;
                return Err(garbled);
            }
        },
    };
    Ok(rate.decide(stored, now))
}

/// What a row says of the time for which it counts.
enum Hold {
    Pending { until: Timestamp },
    Committed { until: Timestamp },
}

impl Hold {
    /// From the end of a lease, where 0 means committed, and from the end of what follows it.
    fn read(row: &Row, lease_until: usize, until: usize) -> Result<Self, StoreFault> {
        let lease_until = row.instant(lease_until)?;
        let until = row.instant(until)?;
        Ok(if lease_until == COMMITTED {
            Self::Committed { until }
        } else {
            Self::Pending { until: lease_until }
        })
    }

    /// At exactly its end it is over. A lease that ends further ahead than any lease is long was taken by a clock that has
    /// been set back since: it would outlive its claim by as much as the clock was wrong.
    fn is_live(&self, now: Timestamp) -> bool {
        match self {
            Self::Pending { until } => now < *until && until.since_ms(now) <= LEASE_MS_MAX,
            Self::Committed { until } => now < *until,
        }
    }
}

/// Stands in `lease_until` where no lease runs.
const COMMITTED: Timestamp = Timestamp::from_ms(0);

/// The answer to an event that is known. What is over gives way: a row of the inbox lets go of its name, a claim goes.
async fn known_event(connection: &Connection, claim: &Claim) -> Result<Option<ClaimAnswer>, StoreFault> {
    let sql = "SELECT payload_hash, 0, remembered_until, 1 FROM inbox WHERE fingerprint = ?1 UNION ALL \
               SELECT payload_hash, lease_until, remembered_until, 0 FROM claim WHERE fingerprint = ?1";
    let fingerprint = || blob(&claim.key.fingerprint);
    for row in rows(connection, sql, [fingerprint()]).await? {
        let is_inbox = row.integer(3)? == 1;
        let (Ok(payload_hash), Ok(hold)) = (row.bytes::<32>(0), Hold::read(&row, 1, 2)) else {
            let sql = "UPDATE claim SET payload_hash = zeroblob(32), lease_until = ?2, remembered_until = ?2 \
                       WHERE fingerprint = ?1 AND payload_hash IS ?3 AND lease_until IS ?4 AND remembered_until IS ?5";
            if !is_inbox {
                let read = row.into_values().into_iter().take(3);
                run(connection, sql, [fingerprint(), instant(lease_end(claim))].into_iter().chain(read))
                    .await?;
            }
            return Err(StoreFault::Corrupt);
        };
        if hold.is_live(claim.now) {
            return Ok(Some(match hold {
                Hold::Committed { .. } => ClaimAnswer::Seen {
                    same_payload: payload_hash == claim.payload_hash,
                    receipt_key: claim.receipt_key,
                },
                Hold::Pending { until } => in_flight(until, claim.now),
            }));
        }
        let sql = if is_inbox {
            "UPDATE inbox SET fingerprint = NULL WHERE fingerprint = ?1 AND payload_hash = ?2 AND remembered_until = ?4"
        } else {
            "DELETE FROM claim WHERE fingerprint = ?1 AND payload_hash = ?2 AND lease_until = ?3 AND remembered_until = ?4"
        };
        let read = row.into_values().into_iter().take(3);
        run(connection, sql, [fingerprint()].into_iter().chain(read)).await?;
    }
    Ok(None)
}

/// The answer to an event whose click and type are held by another event. What is over gives way.
async fn known_fallback(
    connection: &Connection,
    fallback: &Fallback,
    claim: &Claim,
) -> Result<Option<ClaimAnswer>, StoreFault> {
    let sql = "SELECT claimed_by, CAST(event_id AS BLOB), lease_until, window_until FROM fallback WHERE fingerprint = ?1";
    let Some(row) = first(connection, sql, [blob(&fallback.fingerprint)]).await? else { return Ok(None) };
    let (Ok(claimed_by), Ok(hold), Some(event_id)) =
        (row.bytes(0), Hold::read(&row, 2, 3), event_id(&row, 1))
    else {
        let sql = "UPDATE fallback SET claimed_by = zeroblob(16), event_id = '-', lease_until = ?2, window_until = ?2 \
                   WHERE fingerprint = ?1 AND claimed_by IS ?3 AND CAST(event_id AS BLOB) IS ?4 \
                   AND lease_until IS ?5 AND window_until IS ?6";
        let values = [blob(&fallback.fingerprint), instant(lease_end(claim))];
        run(connection, sql, values.into_iter().chain(row.into_values())).await?;
        return Err(StoreFault::Corrupt);
    };
    match hold {
        Hold::Committed { .. } if hold.is_live(claim.now) => {
            return Ok(Some(ClaimAnswer::DuplicateOf { event_id: Some(event_id) }));
        }
        // The claim holds its event alone. So what is pending in that event's name is the rest of a claim that was released
        // halfway: nobody is under way with it.
        Hold::Pending { until } if hold.is_live(claim.now) && claimed_by != claim.key.fingerprint => {
            return Ok(Some(in_flight(until, claim.now)));
        }
        Hold::Committed { .. } | Hold::Pending { .. } => {}
    }
    let sql = "DELETE FROM fallback WHERE fingerprint = ?1 AND claimed_by = ?2 AND CAST(event_id AS BLOB) = ?3 \
               AND lease_until = ?4 AND window_until = ?5";
    run(connection, sql, [blob(&fallback.fingerprint)].into_iter().chain(row.into_values())).await?;
    Ok(None)
}

fn event_id(row: &Row, column: usize) -> Option<EventId> {
    row.text(column).ok().and_then(EventId::new).filter(|event_id| !event_id.is_empty())
}

fn in_flight(until: Timestamp, now: Timestamp) -> ClaimAnswer {
    ClaimAnswer::InFlight { retry_after_ms: until.since_ms(now) }
}

/// Ends the claim of an event. A commit needs no claim to be there: the hand-on is a fact. The first commit stands.
async fn settle_event(connection: &Connection, settlement: &Settlement) -> Result<(), StoreFault> {
    let fingerprint = blob(&settlement.key.fingerprint);
    match settlement.end {
        End::Commit => {
            let sql = "INSERT INTO claim (fingerprint, payload_hash, lease_until, remembered_until, claimed_at) \
                       VALUES (?1, ?2, 0, ?3, ?4) ON CONFLICT (fingerprint) DO UPDATE SET \
                       payload_hash = excluded.payload_hash, lease_until = 0, remembered_until = excluded.remembered_until \
                       WHERE lease_until <> 0 OR remembered_until <= excluded.claimed_at";
            let remembered_until = instant(settlement.now.plus_ms(settlement.retention_ms));
            let row =
                [fingerprint, blob(&settlement.payload_hash), remembered_until, instant(settlement.now)];
            run(connection, sql, row).await
        }
        End::Release => {
            let sql = "DELETE FROM claim WHERE fingerprint = ?1 AND lease_until = ?2 AND lease_until <> 0";
            run(connection, sql, [fingerprint, instant(settlement.key.lease_until)]).await
        }
    }
}

/// Ends the claim of a fallback identity, where the event still holds it.
async fn settle_fallback(
    connection: &Connection,
    settlement: &Settlement,
    fallback: Fallback,
) -> Result<(), StoreFault> {
    let (sql, lease_until) = match settlement.end {
        End::Commit => (
            "UPDATE fallback SET lease_until = 0 WHERE fingerprint = ?1 AND claimed_by = ?2 AND lease_until <> 0",
            None,
        ),
        End::Release => (
            "DELETE FROM fallback WHERE fingerprint = ?1 AND claimed_by = ?2 AND lease_until = ?3 AND lease_until <> 0",
            Some(instant(settlement.key.lease_until)),
        ),
    };
    let named = [blob(&fallback.fingerprint), blob(&settlement.key.fingerprint)];
    run(connection, sql, named.into_iter().chain(lease_until)).await
}
