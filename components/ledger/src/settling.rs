//! The rows that a batch writes.

use alloc::string::String;
use alloc::vec::Vec;

use countersign_core::time::Timestamp;

use crate::attribution::{Attribution, AttributionName, MatchedBy, Touch};
use crate::book::{Account, Install};
use crate::decision::{DeadCause, Verdict, WaitReason};
use crate::posting_row::PostingRow;

/// The rows that a batch writes, in the columns of the SQL view `settling`.
#[derive(Debug, Default)]
pub struct SettlingRows {
    /// Events that leave the queue.
    pub done: Vec<i64>,
    /// One for each event that is posted.
    pub entries: Vec<EntryRow>,
    /// Their money.
    pub postings: Vec<PostingRow>,
    /// Entry, cause, verdict.
    pub verdicts: Vec<(i64, i64, Verdict)>,
    /// Partner, account id, entry, the entry that was the first before.
    pub firsts: Vec<(String, String, i64, Option<i64>)>,
    /// Accounts that are new or know more now.
    pub accounts: Vec<AccountRow>,
    /// Installs that are new.
    pub installs: Vec<InstallRow>,
    /// Inbox id, due at, reason, what ends the waiting.
    pub waiting: Vec<(i64, u64, WaitReason, String)>,
    /// Inbox id, reason, detail, attempts.
    pub dead: Vec<(i64, DeadCause, &'static str, u32)>,
}

/// Id, campaign, attribution, score, matched by, account id, original, the operator's `is_ftd`.
pub type EntryRow = (
    i64,
    Option<String>,
    AttributionName,
    Option<u32>,
    Option<MatchedBy>,
    Option<String>,
    Option<i64>,
    Option<u8>,
);

/// Partner, install id, click id, campaign, attribution, score.
pub type InstallRow = (String, String, String, Option<String>, AttributionName, Option<u32>);

impl SettlingRows {
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

/// Partner, account id, click id, campaign, attribution, score, registered at, known at.
pub type AccountRow = (
    String,
    String,
    Option<String>,
    Option<String>,
    Option<AttributionName>,
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
            self.attribution.map(Attribution::name),
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
        let (attribution, score) = (self.attribution.name(), self.attribution.score());
        (name.0.clone(), name.1.clone(), click_id, campaign, attribution, score)
    }
}
