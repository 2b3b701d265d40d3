//! Deposits are decided anew after a contract changed (source §8): first what would change, then, once that is confirmed, just that.
//!
//! A ledger is gone through page by page, twice where it is confirmed: what would change has a fingerprint, that of all pages together
//! is the `confirm` that is asked for, and a page is only posted while its own is the same. Each page is one statement, so a run that
//! breaks off leaves whole pages behind, and the next one finds the rest.

mod players;
mod report;

use std::fmt::Write as _;

use countersign_core::store::StoreFault;
use countersign_ledger::redecide::{Difference, Player, Redecision, Undecided, redecide};
use sha2::{Digest as _, Sha256};
use spin_sdk::sqlite::{Connection, Value};

use super::{Ledger, TRIES_MAX, json};
use crate::database::{first, instant, text, unless_ruled_out, unsigned};
use players::Page;
use report::WhatIfBuilder;

pub use report::WhatIf;

/// Whose deposits are decided anew.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Whose contract it is.
    pub partner: String,
    /// Of this player only.
    pub account_id: Option<String>,
}

/// What was shown, and is to be posted.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// The value that the what-if run gave for it.
    pub confirm: String,
    /// Why; kept with what is posted.
    pub because: String,
}

/// The fingerprint of what a page would post.
type Fingerprint = [u8; 32];

impl Ledger {
    /// What the rules in force make of the deposits that were posted so far, with up to `limit` changes one by one. Nothing is written.
    ///
    /// # Errors
    /// What the database failed with; [`StoreFault::Contended`] where events are posted too fast to look between them.
    pub async fn what_if(&self, scope: &Scope, limit: usize) -> Result<WhatIf, StoreFault> {
        let connection = self.database.connect().await?;
        let (what_if, _) = self.look(&connection, scope, limit).await?;
        self.database.keep(connection);
        Ok(what_if)
    }

    /// Posts what was confirmed, and answers it. `None`: something else would be posted by now; what was posted before that was noticed
    /// is part of what was confirmed, and stays. Where nothing is left to be posted, nothing is, whatever was confirmed.
    ///
    /// # Errors
    /// As [`Ledger::what_if`]. What was posted stays posted.
    pub async fn redecide(
        &self,
        scope: &Scope,
        limit: usize,
        confirmed: &Confirmed,
    ) -> Result<Option<WhatIf>, StoreFault> {
        let connection = self.database.connect().await?;
        let (mut what_if, pages) = self.look(&connection, scope, limit).await?;
        let mut is_same = what_if.confirm.as_ref().is_none_or(|confirm| *confirm == confirmed.confirm);
        for page in &pages {
            is_same = is_same && self.post_page(&connection, scope, page, confirmed).await?;
        }
        self.database.keep(connection);
        what_if.posted = !pages.is_empty();
        Ok(is_same.then_some(what_if))
    }

    /// Goes through all pages; answers those that something changes in, too.
    async fn look(
        &self,
        connection: &Connection,
        scope: &Scope,
        limit: usize,
    ) -> Result<(WhatIf, Vec<(Page, Fingerprint)>), StoreFault> {
        let contract = &self.rules.agreement(&scope.partner).contract;
        let mut all = Sha256::new();
        all.update(format!("{scope:?} {:?} {contract:?}", self.rules.report_currency));
        let mut what_if = WhatIfBuilder::new(limit);
        let mut pages = Vec::new();
        let mut next = Some(Page::first(scope));
        while let Some(mut page) = next {
            next = page.end(connection, &scope.partner).await?;
            let decided = self.decide(connection, scope, &page).await?;
            let rows = decided.rows(&scope.partner)?;
            all.update(&rows);
            if !rows.is_empty() {
                pages.push((page, Sha256::digest(&rows).into()));
            }
            what_if.add(&decided);
        }
        let confirm = (!pages.is_empty()).then(|| hex(&all.finalize()));
        Ok((what_if.finish(confirm), pages))
    }

    /// Decides what is on a page, read as it was at one moment.
    async fn decide(
        &self,
        connection: &Connection,
        scope: &Scope,
        page: &Page,
    ) -> Result<Decided, StoreFault> {
        for _ in 0..TRIES_MAX {
            let moment = moment(connection).await?;
            let (players, rates) = self.players(connection, &scope.partner, page).await?;
            if moment != self::moment(connection).await? {
                continue;
            }
            let mut decided = Decided { moment, players, ..Decided::default() };
            for player in &decided.players {
                match redecide(&self.rules, &scope.partner, &rates, player) {
                    Ok(difference) if difference.is_empty() => {}
                    Ok(difference) => decided.differences.push(difference),
                    Err(undecided) => decided.undecided.push((player.account_id.clone(), undecided)),
                }
            }
            return Ok(decided);
        }
        Err(StoreFault::Contended)
    }

    /// Posts what a page changes; `false`: that has not the fingerprint any more.
    async fn post_page(
        &self,
        connection: &Connection,
        scope: &Scope,
        (page, fingerprint): &(Page, Fingerprint),
        confirmed: &Confirmed,
    ) -> Result<bool, StoreFault> {
        for _ in 0..TRIES_MAX {
            let decided = self.decide(connection, scope, page).await?;
            if Sha256::digest(decided.rows(&scope.partner)?)[..] != fingerprint[..] {
                return Ok(false);
            }
            if self.write_page(connection, &scope.partner, decided, confirmed).await? {
                return Ok(true);
            }
        }
        Err(StoreFault::Contended)
    }

    /// Writes what a page changes; `false`: something was settled since it was read, and nothing is written.
    async fn write_page(
        &self,
        connection: &Connection,
        partner: &str,
        decided: Decided,
        confirmed: &Confirmed,
    ) -> Result<bool, StoreFault> {
        let Moment { generation, number } = decided.moment;
        let (accounts, deposits) = decided.changed();
        let mut rows = Redecision::default();
        for difference in decided.differences {
            rows.add(number, partner, difference);
        }
        let sql = "INSERT INTO redeciding VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let values = [
            Value::Integer(number),
            text(partner),
            instant((self.clock)()),
            text(&confirmed.confirm),
            text(&confirmed.because),
            unsigned(accounts),
            unsigned(deposits),
            Value::Integer(generation),
            json(&rows.postings)?,
            json(&rows.verdicts)?,
            json(&rows.lost)?,
            json(&rows.firsts)?,
        ];
        unless_ruled_out(connection, sql, values).await
    }
}

/// What was settled so far, and the number of the next re-decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moment {
    generation: i64,
    number: i64,
}

async fn moment(connection: &Connection) -> Result<Moment, StoreFault> {
    let sql = "SELECT count, (SELECT coalesce(max(id), 0) + 1 FROM redecision) FROM generation";
    let row = first(connection, sql, []).await?.ok_or(StoreFault::Corrupt)?;
    Ok(Moment { generation: row.integer(0)?, number: row.integer(1)? })
}

/// What the rules make of a page.
#[derive(Debug, Default)]
struct Decided {
    moment: Moment,
    players: Vec<Player>,
    differences: Vec<Difference>,
    /// Whose deposits cannot be decided, and why.
    undecided: Vec<(Option<String>, Undecided)>,
}

impl Decided {
    /// What would be posted, player by player; the same however the ledger is cut into pages.
    fn rows(&self, partner: &str) -> Result<Vec<u8>, StoreFault> {
        let mut written = Vec::new();
        for difference in &self.differences {
            let mut rows = Redecision::default();
            rows.add(0, partner, difference.clone());
            // Nothing that is written here can fail to be JSON.
            written.append(&mut serde_json::to_vec(&rows).map_err(|_| StoreFault::Unavailable)?);
        }
        Ok(written)
    }

    /// How many players, or deposits without one, and how many deposits change.
    fn changed(&self) -> (u64, u64) {
        let deposits = self.differences.iter().map(|difference| difference.changes.len()).sum::<usize>();
        (count(self.differences.len()), count(deposits))
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _written = write!(hex, "{byte:02x}");
        hex
    })
}
