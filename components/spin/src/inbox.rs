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
//! * **An inbox row is never taken back, and its id is never forgotten**, whatever `retention_ms` says: the ledger behind it does not
//!   forget either, and what it takes for a repeat must not be told as new. So is the record of a fallback duplicate.
//!   Nor is a garbled row of either repaired: its event answers [`StoreFault::Corrupt`] until an operator has
//!   looked. A garbled claim or fallback identity is closed for one lease and then forgotten, a garbled quota counts as spent,
//!   a garbled throttle as empty; each answers `Corrupt` once.
//! * **A clock set back** keeps events longer, never shorter; only a lease that ends more than [`LEASE_MS_MAX`] ahead is over.

use std::cell::RefCell;

use countersign_core::dedup::{CleanSources, LEASE_MS_MAX, SOURCE_SLOTS, SWAP_TRIES_MAX};
use countersign_core::event::EventId;
use countersign_core::rate::{Decision, Rate};
use countersign_core::store::AsyncStore;
use countersign_core::store::{
    Claim, ClaimAnswer, End, Fallback, Settlement, SourceKey, StoreFault, Throttle, ThrottleAnswer,
};
use countersign_core::time::Timestamp;
use spin_sdk::sqlite::{Connection, Value};

use crate::arrivals::{Arrival, Arrivals, Arrived, identity_end, lease_end, terms};
use crate::database::{Database, Row, blob, first, instant, rows, run, text, unsigned};
use crate::opening::{Found, NotOpened};
use crate::scope::Scope;

/// The SQLite inbox behind a component's database label.
#[derive(Debug)]
pub struct Inbox {
    database: Database,
    arrivals: Arrivals,
    /// Of events that version 1 accepted.
    receipt_key: u8,
    clock: fn() -> Timestamp,
    /// Of which no refusal is known: an honest source costs this instance one read a second.
    clean: RefCell<CleanSources>,
}

impl Inbox {
    /// The inbox in a database that was found, for the scope of the document.
    ///
    /// `receipt_key` is the mark of the oldest receipt key: version 1 did not keep with an event which one made its receipt. `clock` is
    /// asked by a claim that has waited for the database: its quota has filled meanwhile.
    ///
    /// # Errors
    /// [`NotOpened`]: a component must not serve without its inbox.
    pub async fn open(
        found: Found,
        scope: &Scope,
        receipt_key: u8,
        clock: fn() -> Timestamp,
    ) -> Result<Self, NotOpened> {
        let database = found.open_for(scope).await?;
        // What is accepted asks nothing but the insert, so an instance has one connection until something else happens.
        let arrivals = Arrivals::on(database.label(), database.connect().await?).await?;
        Ok(Self { database, arrivals, receipt_key, clock, clean: RefCell::default() })
    }
}

impl AsyncStore for Inbox {
    async fn throttle(&self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        if !throttle.count && self.clean.borrow_mut().is_clean(throttle.source, throttle.now) {
            return Ok(ThrottleAnswer::Pass);
        }
        self.clean.borrow_mut().forget(throttle.source);
        let connection = self.database.connect().await?;
        let (answer, is_clean) = throttle_on(&connection, throttle).await?;
        self.database.keep(connection);
        if is_clean && !throttle.count {
            self.clean.borrow_mut().note(throttle.source, throttle.now);
        }
        Ok(answer)
    }

    async fn claim(&self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        let mut now = claim.now;
        for _ in 0..SWAP_TRIES_MAX {
            if !is_too_old(claim) {
                let arrival = Arrival::of(claim, now)?;
                if let Arrived::In { tat } = self.arrivals.bring_in(arrival).await? {
                    return fresh(claim, tat, now);
                }
                now = now.max((self.clock)());
            }
            match self.look(claim, now).await? {
                Looked::Nothing => {}
                Looked::Answer(answer) => return Ok(answer),
                Looked::DuplicateOf(event_id) => {
                    let record = Arrival::duplicate_of(&event_id, claim, now)?;
                    if let Arrived::In { .. } = self.arrivals.bring_in(record).await? {
                        return Ok(ClaimAnswer::DuplicateOf { event_id: Some(event_id) });
                    }
                    now = now.max((self.clock)());
                }
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

/// Looks, or counts, and whether nothing was known of the source before: one read for the honest, one more statement for a refusal. Racing refusals all count.
async fn throttle_on(
    connection: &Connection,
    throttle: &Throttle,
) -> Result<(ThrottleAnswer, bool), StoreFault> {
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
    let answer = match throttle.rate.decide(stored, throttle.now) {
        Decision::Limit { retry_after_ms, .. } if !throttle.count => {
            ThrottleAnswer::Limited { retry_after_ms }
        }
        Decision::Admit { .. } if throttle.count => {
            // The arithmetic of `Rate::decide`. A rival may have reached the limit meanwhile; the count stops there.
            let sql = "INSERT INTO throttle (slot, source, tat) VALUES (?1, ?2, ?3 + ?4) ON CONFLICT (slot, source) DO UPDATE \
                       SET tat = CASE WHEN tat > ?3 + ?5 + ?6 THEN ?3 + ?5 ELSE min(max(tat, ?3) + ?4, ?3 + ?5) END";
            run(connection, sql, name().into_iter().chain(terms(throttle.rate, throttle.now))).await?;
            ThrottleAnswer::Pass
        }
        // A source that is limited already has nothing to lose: the count stops where the limit is.
        Decision::Limit { .. } | Decision::Admit { .. } => ThrottleAnswer::Pass,
    };
    Ok((answer, stored.is_none()))
}

/// Where a source's refusals are counted: neighbouring networks are spread over all slots (the multiplier is 2⁶⁴ over the golden ratio).
fn place(source: SourceKey) -> [Value; 2] {
    let spread = u64::from_be_bytes(*source.as_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let [a, b, c, d, ..] = spread.to_be_bytes();
    let slot = u32::from_be_bytes([a, b, c, d]).checked_rem(SOURCE_SLOTS).unwrap_or(0);
    [Value::Integer(i64::from(slot)), Value::Integer(i64::from_be_bytes(*source.as_bytes()))]
}

/// What rules a claim out.
enum Looked {
    /// Nothing does any longer: it is to be tried again.
    Nothing,
    /// This is the answer, and nothing is to be written.
    Answer(ClaimAnswer),
    /// That event holds its identity, and the claim is to be recorded as its duplicate.
    DuplicateOf(EventId),
}

impl Inbox {
    /// What rules a claim out, in the order of the contract, with the quota as it is `now`.
    async fn look(&self, claim: &Claim, now: Timestamp) -> Result<Looked, StoreFault> {
        let connection = self.database.connect().await?;
        let looked = self.look_on(&connection, claim, now).await?;
        self.database.keep(connection);
        Ok(looked)
    }

    async fn look_on(
        &self,
        connection: &Connection,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<Looked, StoreFault> {
        if let Some(known) = self.known_event(connection, claim).await? {
            return Ok(Looked::Answer(known));
        }
        if is_too_old(claim) {
            let ts_event_min = claim.freshness.ts_event_min;
            return Ok(Looked::Answer(ClaimAnswer::TooOld { ts_event_min }));
        }
        let held = match &claim.fallback {
            None => Looked::Nothing,
            Some(fallback) => known_fallback(connection, fallback, claim).await?,
        };
        match held {
            Looked::Answer(_) => return Ok(held),
            Looked::Nothing | Looked::DuplicateOf(_) => {}
        }
        // Either of them is written, and what is written costs quota.
        if let Some(rate) = claim.quota
            && let Decision::Limit { retry_after_ms, quota } =
                left_of(connection, &claim.partner, rate, now).await?
        {
            return Ok(Looked::Answer(ClaimAnswer::Limited { retry_after_ms, quota }));
        }
        Ok(held)
    }
}

/// Whether only an event that is known may be so old. What this store itself remembers has no end, so it sets no bound of its own.
fn is_too_old(claim: &Claim) -> bool {
    claim.row.ts_event < claim.freshness.ts_event_min
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

/// Where an event is known from.
const IN_INBOX: i64 = 0;
const IN_CLAIM: i64 = 1;

impl Inbox {
    /// The answer to an event that is known. A claim that is over goes; what is in the inbox stays, and so does a duplicate.
    async fn known_event(
        &self,
        connection: &Connection,
        claim: &Claim,
    ) -> Result<Option<ClaimAnswer>, StoreFault> {
        let sql = "SELECT 0, payload_hash, receipt_key, NULL, NULL FROM inbox WHERE fingerprint = ?1 UNION ALL \
                   SELECT 1, payload_hash, receipt_key, lease_until, remembered_until FROM claim WHERE fingerprint = ?1 UNION ALL \
                   SELECT 2, payload_hash, CAST(duplicate_of AS BLOB), NULL, NULL FROM duplicate WHERE fingerprint = ?1";
        for row in rows(connection, sql, [blob(&claim.key.fingerprint)]).await? {
            let known = match row.integer(0)? {
                IN_INBOX => Some(self.seen(&row, claim)?),
                IN_CLAIM => self.known_claim(connection, row, claim).await?,
                _ => Some(known_duplicate(&row, claim)?),
            };
            if known.is_some() {
                return Ok(known);
            }
        }
        Ok(None)
    }

    /// The answer to an event that was accepted.
    fn seen(&self, row: &Row, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        let receipt_key = match row.optional_unsigned(2)? {
            None => self.receipt_key,
            Some(mark) => u8::try_from(mark).map_err(|_| StoreFault::Corrupt)?,
        };
        Ok(ClaimAnswer::Seen { same_payload: row.bytes(1)? == claim.payload_hash, receipt_key })
    }

    /// The answer to an event that was claimed, where that is not over.
    async fn known_claim(
        &self,
        connection: &Connection,
        row: Row,
        claim: &Claim,
    ) -> Result<Option<ClaimAnswer>, StoreFault> {
        let fingerprint = || blob(&claim.key.fingerprint);
        let (Ok(seen), Ok(hold)) = (self.seen(&row, claim), Hold::read(&row, 3, 4)) else {
            let sql = "UPDATE claim SET payload_hash = zeroblob(32), receipt_key = NULL, lease_until = ?2, remembered_until = ?2 \
                       WHERE fingerprint = ?1 AND payload_hash IS ?3 AND receipt_key IS ?4 AND lease_until IS ?5 \
                       AND remembered_until IS ?6";
            let read = row.into_values().into_iter().skip(1);
            run(connection, sql, [fingerprint(), instant(lease_end(claim))].into_iter().chain(read)).await?;
            return Err(StoreFault::Corrupt);
        };
        if hold.is_live(claim.now) {
            return Ok(Some(match hold {
                Hold::Committed { .. } => seen,
                Hold::Pending { until } => in_flight(until, claim.now),
            }));
        }
        let sql = "DELETE FROM claim WHERE fingerprint = ?1 AND payload_hash = ?2 AND receipt_key IS ?3 AND lease_until = ?4 \
                   AND remembered_until = ?5";
        let read = row.into_values().into_iter().skip(1);
        run(connection, sql, [fingerprint()].into_iter().chain(read)).await?;
        Ok(None)
    }
}

/// The answer to an event that was recorded as a duplicate: the verdict of the first time.
fn known_duplicate(row: &Row, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
    let original = event_id(row, 2).ok_or(StoreFault::Corrupt)?;
    Ok(if row.bytes(1)? == claim.payload_hash {
        ClaimAnswer::DuplicateOf { event_id: Some(original) }
    } else {
        ClaimAnswer::Seen { same_payload: false, receipt_key: claim.receipt_key }
    })
}

/// Who holds the identity of an event: of several the committed one before a pending one, then the one that was accepted first. What is
/// over gives way.
async fn known_fallback(
    connection: &Connection,
    fallback: &Fallback,
    claim: &Claim,
) -> Result<Looked, StoreFault> {
    let sql = "SELECT ts_event, claimed_by, CAST(event_id AS BLOB), lease_until, remembered_until FROM fallback \
               WHERE fingerprint = ?1 AND ts_event > ?2 - ?3 AND ts_event < ?2 + ?3 \
               ORDER BY lease_until <> 0, claimed_at, (SELECT id FROM inbox WHERE inbox.fingerprint = claimed_by), ts_event";
    let fingerprint = || blob(&fallback.fingerprint);
    let window = [fingerprint(), instant(fallback.ts_event), unsigned(fallback.window_ms)];
    for row in rows(connection, sql, window).await? {
        let (Ok(claimed_by), Ok(hold), Some(event_id)) =
            (row.bytes(1), Hold::read(&row, 3, 4), event_id(&row, 2))
        else {
            let sql = "UPDATE OR REPLACE fallback SET claimed_by = zeroblob(16), event_id = '-', lease_until = ?2, \
                       remembered_until = ?2 WHERE fingerprint = ?1 AND ts_event = ?3 AND claimed_by IS ?4 \
                       AND CAST(event_id AS BLOB) IS ?5 AND lease_until IS ?6 AND remembered_until IS ?7";
            let closed = [fingerprint(), instant(lease_end(claim))];
            run(connection, sql, closed.into_iter().chain(row.into_values())).await?;
            return Err(StoreFault::Corrupt);
        };
        if hold.is_live(claim.now) {
            match hold {
                Hold::Committed { .. } => return Ok(Looked::DuplicateOf(event_id)),
                // The claim holds its event alone. So what is pending in that event's name is the rest of a claim that was
                // released halfway: nobody is under way with it.
                Hold::Pending { until } if claimed_by != claim.key.fingerprint => {
                    return Ok(Looked::Answer(in_flight(until, claim.now)));
                }
                Hold::Pending { .. } => {}
            }
        }
        let sql = "DELETE FROM fallback WHERE fingerprint = ?1 AND ts_event = ?2 AND claimed_by = ?3 \
                   AND CAST(event_id AS BLOB) = ?4 AND lease_until = ?5 AND remembered_until = ?6";
        run(connection, sql, [fingerprint()].into_iter().chain(row.into_values())).await?;
    }
    Ok(Looked::Nothing)
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
            let sql = "INSERT INTO claim (fingerprint, payload_hash, receipt_key, lease_until, remembered_until, claimed_at) \
                       VALUES (?1, ?2, ?3, 0, ?4, ?5) ON CONFLICT (fingerprint) DO UPDATE SET \
                       payload_hash = excluded.payload_hash, receipt_key = excluded.receipt_key, lease_until = 0, \
                       remembered_until = excluded.remembered_until \
                       WHERE lease_until <> 0 OR remembered_until <= excluded.claimed_at";
            let Settlement { now, ts_event, retention_ms, .. } = *settlement;
            let row = [
                fingerprint,
                blob(&settlement.payload_hash),
                Value::Integer(settlement.receipt_key.into()),
                instant(now.max(ts_event).plus_ms(retention_ms)),
                instant(now),
            ];
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
    let (sql, until) = match settlement.end {
        End::Commit => (
            "UPDATE fallback SET lease_until = 0, remembered_until = ?4 \
             WHERE fingerprint = ?1 AND ts_event = ?2 AND claimed_by = ?3 AND lease_until <> 0",
            identity_end(&fallback, settlement.retention_ms, settlement.now),
        ),
        End::Release => (
            "DELETE FROM fallback \
             WHERE fingerprint = ?1 AND ts_event = ?2 AND claimed_by = ?3 AND lease_until = ?4 AND lease_until <> 0",
            settlement.key.lease_until,
        ),
    };
    let held = [blob(&fallback.fingerprint), instant(fallback.ts_event), blob(&settlement.key.fingerprint)];
    run(connection, sql, held.into_iter().chain([instant(until)])).await
}
