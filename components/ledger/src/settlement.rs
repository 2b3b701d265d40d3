//! The rows that a batch writes.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use countersign_core::money::Amount;
use countersign_core::time::Timestamp;
use serde::{Serialize, Serializer};

use crate::book::{Account, Attribution, Install, Touch};
use crate::fx::{Conversion, Rate};
use crate::trace::MatchedBy;

/// The rows that a batch writes, in the columns of the SQL view `settling`.
#[derive(Debug, Default)]
pub struct Settlement {
    /// Events that leave the queue.
    pub done: Vec<i64>,
    /// One for each event that is posted.
    pub entries: Vec<EntryRow>,
    /// Their money.
    pub postings: Vec<PostingRow>,
    /// Entry, cause, verdict.
    pub verdicts: Vec<(i64, i64, &'static str)>,
    /// Partner, account id, entry, the entry that was the first before.
    pub firsts: Vec<(String, String, i64, Option<i64>)>,
    /// Accounts that are new or know more now.
    pub accounts: Vec<AccountRow>,
    /// Installs that are new.
    pub installs: Vec<InstallRow>,
    /// Inbox id, due at, reason, what ends the waiting.
    pub waiting: Vec<(i64, u64, &'static str, String)>,
    /// Inbox id, reason, detail, attempts.
    pub dead: Vec<(i64, &'static str, &'static str, u32)>,
}

/// Id, campaign, attribution, score, matched by, account id, original, the operator's `is_ftd`.
pub type EntryRow = (
    i64,
    Option<String>,
    &'static str,
    Option<u32>,
    Option<MatchedBy>,
    Option<String>,
    Option<i64>,
    Option<u8>,
);

/// Partner, install id, click id, campaign, attribution, score.
pub type InstallRow = (String, String, String, Option<String>, &'static str, Option<u32>);

impl Settlement {
    /// Makes an entry the first deposit of an account, in the place of `before`. A batch has one row for each account.
    pub(crate) fn crown(&mut self, account: &(String, String), entry: i64, before: Option<i64>) {
        let known = self
            .firsts
            .iter_mut()
            .find(|(partner, id, ..)| (&**partner, &**id) == (account.0.as_str(), account.1.as_str()));
        match known {
            Some((_, _, first, _)) => *first = entry,
            None => self.firsts.push((account.0.clone(), account.1.clone(), entry, before)),
        }
    }
}

/// Money of an entry, in the currency of the transaction and in that of the reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingRow {
    /// The entry.
    pub entry: i64,
    /// The entry that brought it about.
    pub cause: i64,
    /// `deposit`, `bonus`, `refund`, `chargeback`, `custom`, `cpa` or `revenue_share`.
    pub kind: &'static str,
    /// The money; below zero it takes away.
    pub amount: Amount,
    /// Its value in the currency of the reports.
    pub report: Conversion,
}

impl PostingRow {
    /// What takes this posting back, brought about by `cause`: the same money at the same rate.
    #[must_use]
    pub fn reversed(&self, cause: i64) -> Self {
        let mut row = self.clone();
        row.cause = cause;
        row.amount.minor = 0_i64.saturating_sub(row.amount.minor);
        row.report.amount.minor = 0_i64.saturating_sub(row.report.amount.minor);
        row
    }
}

impl Serialize for PostingRow {
    /// The columns of the view.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Amount { minor, currency } = self.amount;
        let report = self.report.amount;
        let (date, from, to) = match self.report.rate {
            Rate::Identity => (None, None, None),
            Rate::Ecb { date, from, to } => {
                (Some(date.to_string()), Some(from.to_string()), Some(to.to_string()))
            }
        };
        let rate = (self.report.rate.source(), date, from, to);
        (
            (self.entry, self.cause, self.kind),
            (currency.code(), minor, currency.decimals()),
            (report.currency.code(), report.minor, report.currency.decimals()),
            rate,
        )
            .serialize(serializer)
    }
}

/// Partner, account id, click id, campaign, attribution, score, registered at, known at.
pub type AccountRow = (
    String,
    String,
    Option<String>,
    Option<String>,
    Option<&'static str>,
    Option<u32>,
    Option<u64>,
    Option<u64>,
);

impl Account {
    /// The account as a row of the view, under its partner and id.
    pub(crate) fn row(&self, name: &(String, String)) -> AccountRow {
        let touch = self.touch.clone();
        (
            name.0.clone(),
            name.1.clone(),
            touch.as_ref().map(|touch| touch.click_id.clone()),
            touch.and_then(|touch| touch.campaign),
            self.attribution.map(Attribution::as_str),
            self.attribution.and_then(Attribution::score),
            self.registered_at.map(Timestamp::as_ms),
            self.kyc_at.map(Timestamp::as_ms),
        )
    }
}

impl Install {
    /// The install as a row of the view, under its partner and id.
    pub(crate) fn row(&self, name: &(String, String)) -> InstallRow {
        let Touch { click_id, campaign } = self.touch.clone();
        let (attribution, score) = (self.attribution.as_str(), self.attribution.score());
        (name.0.clone(), name.1.clone(), click_id, campaign, attribution, score)
    }
}
