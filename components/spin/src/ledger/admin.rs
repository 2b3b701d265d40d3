//! What administrators see of the ledger and do to it: the queue, dead letters, imports, totals.

use countersign_core::event::EventType;
use countersign_core::store::StoreFault;
use countersign_core::text::Text;
use countersign_ledger::cost::Cost;
use countersign_ledger::fx::Day;
use countersign_ledger::posting_row::{Column, PostingKind};
use serde::Serialize;
use spin_sdk::sqlite::Value;

use super::{Ledger, json};
use crate::database::{Row, first, instant, rows, run, text, unless_ruled_out};
use crate::host;

/// Published days that one statement brings in.
const DAYS_MAX: usize = 250;

/// Which dead letters: every condition that is there must hold.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// These, by id.
    pub ids: Option<Vec<i64>>,
    /// From this id on.
    pub from: Option<i64>,
    /// Up to this id.
    pub to: Option<i64>,
    /// Of this reason.
    pub reason: Option<String>,
    /// Of this partner.
    pub partner: Option<String>,
}

/// What became of an erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erased {
    /// What is left of the account has this pseudonym.
    As(String),
    /// Events of the account are in the queue; nothing is erased.
    NotYet,
    /// There is no such account.
    Unknown,
}

/// An event that could not be posted.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    /// Its row in the inbox.
    pub id: i64,
    /// Who sent it.
    pub partner: String,
    /// Its own id.
    pub event_id: String,
    /// Its type.
    pub event: String,
    /// Why it could not be posted.
    pub reason: String,
    /// The last error, with what to do.
    pub detail: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub received_at: i64,
    /// When it was given up.
    pub died_at: i64,
    /// When it was discarded, if it was.
    pub discarded_at: Option<i64>,
    /// The reason that was given.
    pub discarded_as: Option<String>,
    /// Its receipt; of a single one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// Its canonical payload; of a single one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// What is still to be posted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Queue {
    /// Events in the queue.
    pub queued: i64,
    /// Those of them that wait for something, by reason.
    pub waiting: Vec<(String, i64)>,
    /// When the oldest was accepted, in milliseconds since the Unix epoch.
    pub oldest_received_at: Option<i64>,
    /// DeadCause letters that may be replayed, by reason.
    pub dead_letters: Vec<(String, i64)>,
}

/// Refused requests.
#[derive(Clone, Debug, Serialize)]
pub struct Rejections {
    /// Those of known senders.
    pub rejections: Vec<Rejection>,
    /// How many there were.
    pub counts: Vec<RejectionCount>,
}

/// A refused request of a sender who proved to hold a partner's key.
#[derive(Clone, Debug, Serialize)]
pub struct Rejection {
    /// Its row.
    pub id: i64,
    /// When it was refused, in milliseconds since the Unix epoch.
    pub rejected_at: i64,
    /// Who sent it.
    pub partner: String,
    /// Why (`docs/rejects.md`).
    pub code: String,
    /// Which clause of the check.
    pub detail: String,
    /// The event's type, where it could be read.
    pub event: Option<String>,
    /// The event's own id, where it could be read.
    pub event_id: Option<String>,
    /// The key that verified it.
    pub key_id: String,
    /// The peer's address.
    pub source: Option<String>,
}

/// How many requests were refused.
#[derive(Clone, Debug, Serialize)]
pub struct RejectionCount {
    /// The hour's beginning, in milliseconds since the Unix epoch.
    pub hour_ms: i64,
    /// Whose requests; empty: of unknown senders.
    pub partner: String,
    /// Why.
    pub code: String,
    /// How many.
    pub count: i64,
}

/// Sums of one group of entries, in minor units.
#[derive(Clone, Debug, Serialize)]
pub struct Total {
    /// The group: a month, a day, a partner, a campaign (empty: unattributed), or a partner's account.
    pub group: String,
    /// Events.
    pub events: i64,
    /// Registrations.
    pub registrations: i64,
    /// First deposits, by our verdict.
    pub first_deposits: i64,
    /// Deposits of which the operator's `is_ftd` says otherwise than our verdict.
    pub ftd_disagreements: i64,
    /// The currency of the sums.
    pub currency: String,
    /// Its decimals.
    pub exponent: i64,
    /// Deposits.
    pub deposits: i64,
    /// Refunds and chargebacks, below zero.
    pub reversals: i64,
    /// Deposits less refunds and chargebacks.
    pub ngr: i64,
    /// What first deposits brought.
    pub cpa: i64,
    /// The share of the net revenue.
    pub revenue_share: i64,
}

/// The conditions of a [`Selection`] as SQL, over its JSON as `?1`.
const SELECTED: &str = "(?1 ->> 'ids' IS NULL OR dead_letter.inbox_id IN (SELECT value FROM json_each(?1, '$.ids'))) \
    AND (?1 ->> 'from' IS NULL OR dead_letter.inbox_id >= ?1 ->> 'from') \
    AND (?1 ->> 'to' IS NULL OR dead_letter.inbox_id <= ?1 ->> 'to') \
    AND (?1 ->> 'reason' IS NULL OR dead_letter.reason = ?1 ->> 'reason') \
    AND (?1 ->> 'partner' IS NULL OR (SELECT partner FROM inbox WHERE id = dead_letter.inbox_id) = ?1 ->> 'partner')";

impl Selection {
    fn value(&self) -> Result<Value, StoreFault> {
        json(&serde_json::json!({
            "ids": self.ids, "from": self.from, "to": self.to, "reason": self.reason, "partner": self.partner,
        }))
    }
}

impl Ledger {
    /// What is still to be posted.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn queue(&self) -> Result<Queue, StoreFault> {
        let connection = self.database.connect().await?;
        let counted = |rows: Vec<Row>| {
            rows.iter()
                .map(|row| Ok((row.text(0)?.to_owned(), row.integer(1)?)))
                .collect::<Result<Vec<_>, StoreFault>>()
        };
        let sql = "SELECT count(*), (SELECT received_at FROM queue JOIN inbox ON inbox.id = inbox_id ORDER BY inbox_id LIMIT 1) FROM queue";
        let all = first(&connection, sql, []).await?.ok_or(StoreFault::Corrupt)?;
        let sql = "SELECT CAST(reason AS BLOB), count(*) FROM queue WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason";
        let waiting = counted(rows(&connection, sql, []).await?)?;
        let sql = "SELECT CAST(reason AS BLOB), count(*) FROM dead_letter WHERE discarded_at IS NULL GROUP BY reason ORDER BY reason";
        let dead_letters = counted(rows(&connection, sql, []).await?)?;
        let queue = Queue {
            queued: all.integer(0)?,
            oldest_received_at: all.optional_integer(1)?,
            waiting,
            dead_letters,
        };
        self.database.keep(connection);
        Ok(queue)
    }

    /// DeadCause letters, discarded ones too, by id.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn dead_letters(&self, select: &Selection, limit: u32) -> Result<Vec<DeadLetter>, StoreFault> {
        let connection = self.database.connect().await?;
        let sql =
            format!("{LETTER} NULL, NULL {FROM} WHERE {SELECTED} ORDER BY dead_letter.inbox_id LIMIT ?2");
        let found = rows(&connection, &sql, [select.value()?, Value::Integer(i64::from(limit))]).await?;
        self.database.keep(connection);
        found.iter().map(letter).collect()
    }

    /// One dead letter, with its payload.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, StoreFault> {
        let connection = self.database.connect().await?;
        let sql = format!(
            "{LETTER} CAST(inbox.receipt AS BLOB), CAST(inbox.payload AS BLOB) {FROM} WHERE dead_letter.inbox_id = ?1"
        );
        let found = first(&connection, &sql, [Value::Integer(id)]).await?;
        self.database.keep(connection);
        found.as_ref().map(letter).transpose()
    }

    /// Puts dead letters back into the queue; their event ids stay. Answers which; with `dry_run` nothing changes.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn replay(&self, select: &Selection, dry_run: bool) -> Result<Vec<i64>, StoreFault> {
        let connection = self.database.connect().await?;
        let ids = open_letters(&connection, select).await?;
        if !dry_run {
            let sql = "INSERT INTO replay SELECT value, ?2 FROM json_each(?1)";
            run(&connection, sql, [json(&ids)?, instant((self.clock)())]).await?;
        }
        self.database.keep(connection);
        Ok(ids)
    }

    /// Gives dead letters up, for a reason that is kept. Answers which; with `dry_run` nothing changes.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn discard(
        &self,
        select: &Selection,
        because: &str,
        dry_run: bool,
    ) -> Result<Vec<i64>, StoreFault> {
        let connection = self.database.connect().await?;
        let ids = open_letters(&connection, select).await?;
        if !dry_run {
            let sql = "UPDATE dead_letter SET discarded_at = ?2, discarded_as = ?3 \
                       WHERE discarded_at IS NULL AND inbox_id IN (SELECT value FROM json_each(?1))";
            run(&connection, sql, [json(&ids)?, instant((self.clock)()), text(because)]).await?;
        }
        self.database.keep(connection);
        Ok(ids)
    }

    /// Brings in exchange rates; a day that is there already is replaced. What waits for a rate is due at once.
    ///
    /// # Errors
    /// What the database failed with. Days are brought in some hundred at a time: after a failure, import the file again.
    pub async fn import_rates(&self, days: &[Day]) -> Result<(), StoreFault> {
        let connection = self.database.connect().await?;
        let now = instant((self.clock)());
        for days in days.chunks(DAYS_MAX) {
            let dates: Vec<String> = days.iter().map(|day| day.date.to_string()).collect();
            let quotes: Vec<(String, &str, String)> = days
                .iter()
                .flat_map(|day| {
                    day.quotes
                        .iter()
                        .map(|(code, quote)| (day.date.to_string(), code.as_str(), quote.to_string()))
                })
                .collect();
            run(
                &connection,
                "INSERT INTO publishing VALUES (?1, ?2, 'ECB', ?3)",
                [json(&dates)?, json(&quotes)?, now.clone()],
            )
            .await?;
        }
        self.database.keep(connection);
        Ok(())
    }

    /// Brings in ad spend; what is there of the same day, campaign and currency is replaced. All or nothing.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn import_costs(&self, costs: &[Cost]) -> Result<(), StoreFault> {
        let connection = self.database.connect().await?;
        let costs: Vec<_> = costs
            .iter()
            .map(|cost| {
                let currency = cost.amount.currency;
                (
                    cost.date.to_string(),
                    &cost.campaign,
                    currency.code(),
                    cost.amount.minor,
                    currency.decimals(),
                )
            })
            .collect();
        let sql = "INSERT INTO cost SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, ?2 FROM json_each(?1) \
                   WHERE true ON CONFLICT (date, campaign, currency) DO UPDATE SET minor = excluded.minor, imported_at = excluded.imported_at";
        run(&connection, sql, [json(&costs)?, instant((self.clock)())]).await?;
        self.database.keep(connection);
        Ok(())
    }

    /// Sums of the ledger in the currency of the reports, by `month`, `day`, `partner`, `campaign` or `account`; `None` for any
    /// other word.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn totals(&self, by: &str) -> Result<Option<Vec<Total>>, StoreFault> {
        // Of what is over its retention nobody knows any more whose it was.
        let (group, carried) = match by {
            "month" => ("strftime('%Y-%m', entry.ts_event / 1000, 'unixepoch')", "substr(day, 1, 7)"),
            "day" => ("date(entry.ts_event / 1000, 'unixepoch')", "day"),
            "partner" => ("entry.partner", "partner"),
            "campaign" => ("coalesce(entry.campaign, '')", "campaign"),
            "account" => ("entry.partner || '/' || coalesce(entry.account_id, '')", "partner || '/'"),
            _ => return Ok(None),
        };
        let report = self.rules.report_currency;
        let [deposits, reversals, cpa, share] =
            [Column::Deposits, Column::Reversals, Column::Cpa, Column::RevenueShare].map(sum);
        let [registration, deposit] =
            [EventType::Registration, EventType::DepositSuccess].map(|event| event.name());
        let sql = format!(
            "SELECT CAST(name AS BLOB), sum(events), sum(registrations), sum(firsts), sum(disagreements), sum(deposits), sum(reversals), \
             sum(cpa), sum(share) FROM ( \
             SELECT {group} AS name, count(DISTINCT entry.id) AS events, \
             count(DISTINCT CASE WHEN entry.event = '{registration}' THEN entry.id END) AS registrations, \
             count(DISTINCT first_deposit.entry) AS firsts, \
             count(DISTINCT CASE WHEN entry.event = '{deposit}' AND entry.said_ftd <> (first_deposit.entry IS NOT NULL) THEN entry.id END) \
             AS disagreements, {deposits} AS deposits, {reversals} AS reversals, {cpa} AS cpa, {share} AS share \
             FROM entry LEFT JOIN posting ON posting.entry = entry.id AND posting.report_currency = ?1 \
             LEFT JOIN first_deposit ON first_deposit.entry = entry.id GROUP BY 1 \
             UNION ALL SELECT {carried}, sum(events), sum(registrations), sum(first_deposits), sum(ftd_disagreements), 0, 0, 0, 0 \
             FROM carried GROUP BY 1 \
             UNION ALL SELECT {carried}, 0, 0, 0, 0, {deposits}, {reversals}, {cpa}, {share} \
             FROM carried_sum AS posting WHERE report_currency = ?1 GROUP BY 1) GROUP BY name ORDER BY name"
        );
        let connection = self.database.connect().await?;
        let found = rows(&connection, &sql, [text(report.code())]).await?;
        self.database.keep(connection);
        let totals = found.iter().map(|row| {
            let (deposits, reversals) = (row.integer(5)?, row.integer(6)?);
            Ok(Total {
                group: row.text(0)?.to_owned(),
                events: row.integer(1)?,
                registrations: row.integer(2)?,
                first_deposits: row.integer(3)?,
                ftd_disagreements: row.integer(4)?,
                currency: report.code().to_owned(),
                exponent: i64::from(report.decimals()),
                deposits,
                reversals,
                ngr: deposits.saturating_add(reversals),
                cpa: row.integer(7)?,
                revenue_share: row.integer(8)?,
            })
        });
        totals.collect::<Result<Vec<_>, StoreFault>>().map(Some)
    }

    /// Takes out what is known of an account (source §9): payloads, what was logged of its clicks, installs, dead letters. The sums stay,
    /// under a pseudonym that is drawn at random and written nowhere else. The account is named as its operator does, or as it is
    /// stored where the partner's account ids are hashed.
    ///
    /// # Errors
    /// What the database failed with; then nothing is erased.
    pub async fn erase(&self, partner: &str, account_id: &str) -> Result<Erased, StoreFault> {
        let connection = self.database.connect().await?;
        let rules = self.rules.agreement(partner).minimise.as_ref();
        let hashed: Vec<_> =
            rules.into_iter().flat_map(|rules| rules.pseudonyms("account_id", account_id)).collect();
        // All of them: the salt may have changed, and ids may have been stored plain before they were hashed.
        let names = hashed.iter().map(Text::as_str).chain([account_id]);
        let mut erased = Erased::Unknown;
        for name in names {
            let known = "SELECT 1 FROM entry WHERE partner = ?1 AND account_id = ?2 \
                         UNION ALL SELECT 1 FROM account WHERE partner = ?1 AND account_id = ?2 \
                         UNION ALL SELECT 1 FROM first_deposit WHERE partner = ?1 AND account_id = ?2 \
                         UNION ALL SELECT 1 FROM duplicate WHERE partner = ?1 \
                         AND CASE WHEN json_valid(payload) THEN payload ->> 'account_id' END = ?2 \
                         UNION ALL SELECT 1 FROM inbox WHERE partner = ?1 \
                         AND CASE WHEN json_valid(payload) THEN payload ->> 'account_id' END = ?2 LIMIT 1";
            if first(&connection, known, [text(partner), text(name)]).await?.is_some() {
                let pseudonym = format!("erased_{:032x}", u128::from_be_bytes(host::random()));
                let values = [text(partner), text(name), text(&pseudonym), instant((self.clock)())];
                let sql = "INSERT INTO erasing VALUES (?1, ?2, ?3, ?4)";
                if !unless_ruled_out(&connection, sql, values).await? {
                    erased = Erased::NotYet;
                    break;
                }
                erased = Erased::As(pseudonym);
            }
        }
        self.database.keep(connection);
        Ok(erased)
    }

    /// Refusals of known senders, the newest first, and how many there were by hour, partner and code; those of unknown senders are
    /// counted under the partner ''.
    ///
    /// # Errors
    /// What the database failed with.
    pub async fn rejections(&self, partner: Option<&str>, limit: u32) -> Result<Rejections, StoreFault> {
        let connection = self.database.connect().await?;
        let wanted = || partner.map_or(Value::Null, text);
        let limit = Value::Integer(i64::from(limit));
        let sql = "SELECT id, rejected_at, CAST(partner AS BLOB), CAST(code AS BLOB), CAST(detail AS BLOB), CAST(event AS BLOB), \
                   CAST(event_id AS BLOB), CAST(key_id AS BLOB), CAST(source AS BLOB) FROM rejection \
                   WHERE ?1 IS NULL OR partner = ?1 ORDER BY id DESC LIMIT ?2";
        let kept = rows(&connection, sql, [wanted(), limit.clone()]).await?;
        let sql = "SELECT hour, count, CAST(partner AS BLOB), CAST(code AS BLOB) FROM rejection_count \
                   WHERE ?1 IS NULL OR partner = ?1 ORDER BY hour DESC, partner, code LIMIT ?2";
        let counts = rows(&connection, sql, [wanted(), limit]).await?;
        self.database.keep(connection);
        let optional = |row: &Row, column| Ok::<_, StoreFault>(row.optional_text(column)?.map(str::to_owned));
        let kept = kept.iter().map(|row| {
            Ok(Rejection {
                id: row.integer(0)?,
                rejected_at: row.integer(1)?,
                partner: row.text(2)?.to_owned(),
                code: row.text(3)?.to_owned(),
                detail: row.text(4)?.to_owned(),
                event: optional(row, 5)?,
                event_id: optional(row, 6)?,
                key_id: row.text(7)?.to_owned(),
                source: optional(row, 8)?,
            })
        });
        let counts = counts.iter().map(|row| {
            let (partner, code) = (row.text(2)?.to_owned(), row.text(3)?.to_owned());
            Ok(RejectionCount {
                hour_ms: row.integer(0)?.saturating_mul(3_600_000),
                partner,
                code,
                count: row.integer(1)?,
            })
        });
        Ok(Rejections {
            rejections: kept.collect::<Result<_, StoreFault>>()?,
            counts: counts.collect::<Result<_, StoreFault>>()?,
        })
    }
}

fn sum(column: Column) -> String {
    let kinds = PostingKind::sql(|kind| kind.column() == Some(column));
    format!("coalesce(sum(CASE WHEN posting.kind IN ({kinds}) THEN posting.report_minor END), 0)")
}

const LETTER: &str = "SELECT dead_letter.inbox_id, CAST(inbox.partner AS BLOB), CAST(inbox.event_id AS BLOB), CAST(inbox.event AS BLOB), \
    CAST(dead_letter.reason AS BLOB), CAST(dead_letter.detail AS BLOB), dead_letter.attempts, inbox.received_at, dead_letter.died_at, \
    dead_letter.discarded_at, CAST(dead_letter.discarded_as AS BLOB),";
const FROM: &str = "FROM dead_letter JOIN inbox ON inbox.id = dead_letter.inbox_id";

fn letter(row: &Row) -> Result<DeadLetter, StoreFault> {
    // A damaged row is among those that are shown: what cannot be read of it is left empty.
    let readable = |column: usize| row.text(column).unwrap_or("").to_owned();
    Ok(DeadLetter {
        id: row.integer(0)?,
        partner: readable(1),
        event_id: readable(2),
        event: readable(3),
        reason: readable(4),
        detail: readable(5),
        attempts: row.integer(6)?,
        received_at: row.integer(7).unwrap_or(0),
        died_at: row.integer(8)?,
        discarded_at: row.optional_integer(9)?,
        discarded_as: row.optional_text(10)?.map(str::to_owned),
        receipt: row.optional_text(11).unwrap_or(None).map(str::to_owned),
        payload: row.optional_text(12).unwrap_or(None).map(str::to_owned),
    })
}

/// The ids of dead letters that may be replayed.
async fn open_letters(
    connection: &spin_sdk::sqlite::Connection,
    select: &Selection,
) -> Result<Vec<i64>, StoreFault> {
    let sql = format!(
        "SELECT inbox_id FROM dead_letter WHERE discarded_at IS NULL AND {SELECTED} ORDER BY inbox_id"
    );
    rows(connection, &sql, [select.value()?]).await?.iter().map(|row| row.integer(0)).collect()
}
