//! Players with their deposits, as the ledger has them, page by page.

use std::collections::{BTreeMap, BTreeSet};

use countersign_core::event::EventType;
use countersign_core::money::Amount;
use countersign_core::store::StoreFault;
use countersign_ledger::book::DepositMade;
use countersign_ledger::decision::Verdict;
use countersign_ledger::fx::{Date, RateTable};
use countersign_ledger::posting_row::{PostingKind, PostingRow};
use countersign_ledger::redecide::{Deposit, Player, Reversal, stand};
use spin_sdk::sqlite::{Connection, Value};

use super::Scope;
use crate::database::{Row, first, rows, text};
use crate::ledger::book::{attribution, currency, optional, posting};
use crate::ledger::{Ledger, json};

/// Players of one page, or deposits that name none.
const PAGE_MAX: i64 = 256;

/// A stretch of a partner's deposits: a condition on entries, over `?2` and `?3`.
pub(super) struct Page {
    kind: Kind,
    from: Value,
    until: Value,
}

/// What is on a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All of one player.
    One,
    /// All of the players from the first id to before the second.
    Players,
    /// Deposits that name no player, from the first entry to before the second.
    Nobody,
}

impl Page {
    /// The first page; it has no end yet.
    pub(super) fn first(scope: &Scope) -> Self {
        match &scope.account_id {
            Some(account_id) => Self { kind: Kind::One, from: text(account_id), until: Value::Null },
            // To SQLite every blob is greater than any text.
            None => Self { kind: Kind::Players, from: text(""), until: Value::Blob(Vec::new()) },
        }
    }

    /// Ends the page before what is more than it holds, and answers the next one.
    pub(super) async fn end(
        &mut self,
        connection: &Connection,
        partner: &str,
    ) -> Result<Option<Self>, StoreFault> {
        let values = [text(partner), self.from.clone(), Value::Integer(PAGE_MAX)];
        let beyond = match self.kind {
            Kind::One => return Ok(None),
            Kind::Players => {
                let sql = "SELECT CAST(account_id AS BLOB) FROM (SELECT DISTINCT account_id FROM entry \
                           WHERE partner = ?1 AND account_id >= ?2 ORDER BY account_id LIMIT 1 OFFSET ?3)";
                let beyond = first(connection, sql, values).await?;
                beyond.map(|row| Ok(text(row.text(0)?))).transpose()?
            }
            Kind::Nobody => {
                let sql = "SELECT id FROM entry WHERE +partner = ?1 AND account_id IS NULL AND event = ?4 AND id >= ?2 \
                           ORDER BY id LIMIT 1 OFFSET ?3";
                let beyond = first(connection, sql, values.into_iter().chain([deposit_success()])).await?;
                beyond.map(|row| row.integer(0).map(Value::Integer)).transpose()?
            }
        };
        Ok(match (beyond, self.kind) {
            (Some(beyond), kind) => {
                let until = std::mem::replace(&mut self.until, beyond.clone());
                Some(Self { kind, from: beyond, until })
            }
            (None, Kind::Players) => {
                Some(Self { kind: Kind::Nobody, from: Value::Integer(0), until: Value::Integer(i64::MAX) })
            }
            (None, Kind::One | Kind::Nobody) => None,
        })
    }

    const fn condition(&self) -> &'static str {
        match self.kind {
            Kind::One => "entry.partner = ?1 AND entry.account_id = ?2 AND ?3 IS NULL",
            Kind::Players => "entry.partner = ?1 AND entry.account_id >= ?2 AND entry.account_id < ?3",
            // Through the ids, of which the index on partners knows nothing.
            Kind::Nobody => {
                "+entry.partner = ?1 AND entry.account_id IS NULL AND entry.id >= ?2 AND entry.id < ?3"
            }
        }
    }
}

impl Ledger {
    /// The players of a page, and the rates that their deposits need.
    pub(super) async fn players(
        &self,
        connection: &Connection,
        partner: &str,
        page: &Page,
    ) -> Result<(Vec<Player>, RateTable), StoreFault> {
        let sql = format!(
            "SELECT entry.id, CAST(entry.event_id AS BLOB), CAST(entry.account_id AS BLOB), entry.ts_event, \
             CAST(entry.attribution AS BLOB), entry.score, CAST(money.kind AS BLOB), CAST(money.currency AS BLOB), money.minor, \
             CAST((SELECT verdict FROM verdict WHERE verdict.entry = entry.id ORDER BY id DESC LIMIT 1) AS BLOB), \
             account.registered_at, account.kyc_at, first_deposit.entry \
             FROM entry CROSS JOIN posting AS money ON money.entry = entry.id AND money.cause = entry.id AND money.kind IN ({}) \
             LEFT JOIN account ON account.partner = entry.partner AND account.account_id = entry.account_id \
             LEFT JOIN first_deposit ON first_deposit.partner = entry.partner AND first_deposit.account_id = entry.account_id \
             WHERE {} AND entry.event = ?4 ORDER BY entry.account_id, entry.id",
            PostingKind::sql(PostingKind::is_of_deposit),
            page.condition()
        );
        let values = [text(partner), page.from.clone(), page.until.clone(), deposit_success()];
        let found = rows(connection, &sql, values).await?;
        let mut entries = found.iter().map(|row| row.integer(0)).collect::<Result<Vec<_>, _>>()?;
        let mut reversals = load_reversals(connection, &entries).await?;
        entries.extend(reversals.values().flatten().map(|reversal| reversal.id));
        let mut standing = load_standing(connection, &entries).await?;
        for reversal in reversals.values_mut().flatten() {
            reversal.share = standing.remove(&(reversal.id, PostingKind::RevenueShare));
        }
        let mut players: Vec<Player> = Vec::new();
        let mut dates = BTreeSet::new();
        for row in &found {
            let id = row.integer(0)?;
            let deposit = Deposit {
                price: standing.remove(&(id, PostingKind::Cpa)),
                share: standing.remove(&(id, PostingKind::RevenueShare)),
                reversals: reversals.remove(&id).unwrap_or_default(),
                ..deposit(row, id)?
            };
            if self.needs_rates(partner, Some(&deposit.made.amount)) {
                let instants = deposit.reversals.iter().map(|reversal| reversal.ts_event);
                dates.extend(instants.chain([deposit.made.ts_event]).map(Date::of));
            }
            let account_id = optional(row, 2)?;
            match players.last_mut().filter(|player| account_id.is_some() && player.account_id == account_id)
            {
                Some(player) => player.deposits.push(deposit),
                None => players.push(Player {
                    account_id,
                    registered_at: row.optional_instant(10)?,
                    kyc_at: row.optional_instant(11)?,
                    first: row.optional_integer(12)?,
                    deposits: vec![deposit],
                }),
            }
        }
        Ok((players, self.rates(connection, &dates).await?))
    }
}

fn deposit_success() -> Value {
    text(EventType::DepositSuccess.as_str())
}

/// A deposit, without what else is posted of it.
fn deposit(row: &Row, id: i64) -> Result<Deposit, StoreFault> {
    let made = DepositMade {
        id,
        event_id: row.text(1)?.to_owned(),
        ts_event: row.instant(3)?,
        amount: Amount { minor: row.integer(8)?, currency: currency(row, 7)? },
        attribution: attribution(row, 4)?,
    };
    Ok(Deposit {
        made,
        bonus: row.text(6)? == PostingKind::Bonus.as_str(),
        verdict: Verdict::of(row.text(9)?).ok_or(StoreFault::Corrupt)?,
        price: None,
        share: None,
        reversals: Vec::new(),
    })
}

/// What was taken back of these deposits and won back, in the order in which it was posted.
async fn load_reversals(
    connection: &Connection,
    deposits: &[i64],
) -> Result<BTreeMap<i64, Vec<Reversal>>, StoreFault> {
    let sql = format!(
        "WITH reversal AS ( \
           SELECT value AS deposit, entry.id, entry.ts_event FROM json_each(?1) CROSS JOIN entry ON entry.original = value \
           UNION ALL SELECT value, undoes.id, undoes.ts_event FROM json_each(?1) CROSS JOIN entry AS undone ON undone.original = value \
           CROSS JOIN entry AS undoes ON undoes.original = undone.id) \
         SELECT reversal.deposit, reversal.id, reversal.ts_event, back.minor FROM reversal \
         CROSS JOIN posting AS back ON back.entry = reversal.id AND back.cause = reversal.id AND back.kind IN ({}) ORDER BY back.id",
        PostingKind::sql(PostingKind::is_of_deposit)
    );
    let mut reversals: BTreeMap<i64, Vec<Reversal>> = BTreeMap::new();
    for row in rows(connection, &sql, [json(&deposits)?]).await? {
        let minor = 0_i64.saturating_sub(row.integer(3)?);
        let reversal = Reversal { id: row.integer(1)?, ts_event: row.instant(2)?, minor, share: None };
        reversals.entry(row.integer(0)?).or_default().push(reversal);
    }
    Ok(reversals)
}

/// The prices and shares that stand of these entries.
async fn load_standing(
    connection: &Connection,
    entries: &[i64],
) -> Result<BTreeMap<(i64, PostingKind), PostingRow>, StoreFault> {
    let sql = format!(
        "SELECT posting.entry, CAST(kind AS BLOB), CAST(currency AS BLOB), minor, CAST(report_currency AS BLOB), report_minor, \
               CAST(rate_date AS BLOB), CAST(rate_from AS BLOB), CAST(rate_to AS BLOB), cause \
               FROM json_each(?1) CROSS JOIN posting ON posting.entry = value AND kind IN ({}) ORDER BY posting.id",
        PostingKind::sql(PostingKind::is_of_contract)
    );
    let mut standing: BTreeMap<_, Option<PostingRow>> = BTreeMap::new();
    for row in rows(connection, &sql, [json(&entries)?]).await? {
        let (entry, kind) = (row.integer(0)?, PostingKind::of(row.text(1)?).ok_or(StoreFault::Corrupt)?);
        stand(standing.entry((entry, kind)).or_default(), posting(&row, 2, entry, kind)?);
    }
    Ok(standing.into_iter().filter_map(|(key, posting)| Some((key, posting?))).collect())
}
