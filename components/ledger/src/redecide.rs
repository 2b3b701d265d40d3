//! What the rules that are in force now make of deposits that were posted before (source §8): a contract that changes decides
//! anew, and only the difference is posted.
//!
//! Of each entry one price and one share stands at the most: the posting that nothing has taken back. A correction takes back the one
//! that stands, at the rate that it has, and posts the one that holds now.

use alloc::string::String;
use alloc::vec::Vec;

use countersign_core::money::Amount;
use countersign_core::time::Timestamp;
use serde::Serialize;

use crate::book::{Account, DepositMade, FirstDeposit};
use crate::decision::Verdict;
use crate::fx::{RateTable, Unconverted};
use crate::poster::Poster;
use crate::posting_row::PostingRow;
use crate::rules::Rules;

/// Deposits that are decided together: all of one player, of which one is the first; or one that names no player.
#[derive(Clone, Debug, Default)]
pub struct Player {
    /// The operator's own id; `None`: the deposit names no player.
    pub account_id: Option<String>,
    /// When the player registered.
    pub registered_at: Option<Timestamp>,
    /// When the player became known.
    pub kyc_at: Option<Timestamp>,
    /// The entry that is the first deposit so far.
    pub first: Option<i64>,
    /// The deposits that are not over their retention, in any order.
    pub deposits: Vec<Deposit>,
}

/// A deposit as the ledger has it.
#[derive(Clone, Debug)]
pub struct Deposit {
    /// The deposit itself.
    pub made: DepositMade,
    /// Whether it was a bonus, not the player's money.
    pub bonus: bool,
    /// The last verdict on it.
    pub verdict: Verdict,
    /// The price that stands.
    pub price: Option<PostingRow>,
    /// The share that stands.
    pub share: Option<PostingRow>,
    /// What was taken back of it and won back, in the order in which that was posted.
    pub reversals: Vec<Reversal>,
}

/// A refund, a chargeback, or a chargeback that was won back, as the ledger has it.
#[derive(Clone, Debug)]
pub struct Reversal {
    /// Its entry.
    pub id: i64,
    /// When it happened.
    pub ts_event: Timestamp,
    /// What it takes back of the deposit, in minor units; below zero where it brings something back.
    pub minor: i64,
    /// The share that stands.
    pub share: Option<PostingRow>,
}

/// What the rules make of a player's deposits, as far as that is not what the ledger has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Whose deposits they are.
    pub account_id: Option<String>,
    /// The deposits that something changes of, in the order in which they were made.
    pub changes: Vec<Change>,
    /// The first deposit so far, and from now on.
    pub first: (Option<i64>, Option<i64>),
}

/// What changes of one deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its entry.
    pub entry: i64,
    /// Its own id.
    pub event_id: String,
    /// The verdict so far, and from now on.
    pub verdict: (Verdict, Verdict),
    /// Prices and shares, those of what takes the deposit back among them.
    pub corrections: Vec<Correction>,
}

/// The posting that stands, and the one that holds from now on; at least one of them is there.
pub type Correction = (Option<PostingRow>, Option<PostingRow>);

/// A deposit that cannot be decided, so that its player is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The deposit's own id.
    pub event_id: String,
    /// Why.
    pub problem: Unconverted,
}

/// What the rules now in force make of a player's deposits.
///
/// # Errors
/// [`Undecided`], where a rate is missing or a sum is too large.
pub fn redecide(
    rules: &Rules,
    partner: &str,
    rates: &RateTable,
    player: &Player,
) -> Result<Difference, Undecided> {
    let poster = Poster::new(rules, partner, rates, 0);
    let is_kept = |id: &i64| player.deposits.iter().any(|deposit| deposit.made.id == *id);
    let mut account = player.account_id.as_ref().map(|_| Account {
        registered_at: player.registered_at,
        kyc_at: player.kyc_at,
        // What is over its retention is decided for good.
        first_deposit: player.first.filter(|id| !is_kept(id)).map(FirstDeposit::purged),
        ..Account::default()
    });
    let mut deposits: Vec<&Deposit> = player.deposits.iter().collect();
    deposits.sort_by(|one, other| one.made.place().cmp(&other.made.place()));
    let mut changes = Vec::new();
    for deposit in deposits {
        let change = deposit.decide(&poster, &mut account);
        let event_id = &deposit.made.event_id;
        let change = change.map_err(|problem| Undecided { event_id: event_id.clone(), problem })?;
        if change.verdict.0 != change.verdict.1 || !change.corrections.is_empty() {
            changes.push(change);
        }
    }
    let first = account.and_then(|account| account.first_deposit).map(|first| first.id);
    Ok(Difference { account_id: player.account_id.clone(), changes, first: (player.first, first) })
}

impl Deposit {
    /// What changes of it. Those before it have been decided, so that `account` knows whether there is a first one.
    fn decide(&self, poster: &Poster<'_>, account: &mut Option<Account>) -> Result<Change, Unconverted> {
        let DepositMade { id, ref event_id, ts_event, amount, attribution } = self.made;
        let mut corrections = Vec::new();
        let mut correct = |stands: &Option<PostingRow>, holds: Option<PostingRow>| {
            let money = |posting: &Option<PostingRow>| posting.as_ref().map(|posting| posting.amount);
            if money(stands) != money(&holds) {
                corrections.push((stands.clone(), holds));
            }
        };
        let verdict = poster.judge(&self.made, self.bonus, account.as_ref())?;
        let price = if verdict == Verdict::First { poster.cpa(&self.made)? } else { None };
        if let (Verdict::First, Some(account)) = (verdict, account) {
            account.first_deposit = Some(FirstDeposit::new(&self.made, None));
        }
        correct(&self.price, price);
        let paid = (id, ts_event, amount.minor, &self.share);
        let taken_back = self
            .reversals
            .iter()
            .map(|back| (back.id, back.ts_event, 0_i64.saturating_sub(back.minor), &back.share));
        let mut left = 0_i64;
        for (entry, instant, minor, share) in core::iter::once(paid).chain(taken_back) {
            let after = left.saturating_add(minor);
            let holds = if self.bonus {
                None
            } else {
                let after = Amount { minor: after, ..amount };
                poster.revenue_share((ts_event, attribution), entry, instant, left, after)?
            };
            correct(share, holds);
            left = after;
        }
        Ok(Change { entry: id, event_id: event_id.clone(), verdict: (self.verdict, verdict), corrections })
    }
}

impl Difference {
    /// Whether the ledger has what the rules make of the deposits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.first.0 == self.first.1
    }
}

/// The rows that a re-decision writes, in the columns of the SQL view `redeciding`. Nothing that was posted is changed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Redecision {
    /// What is taken back, and what is posted in its place.
    pub postings: Vec<PostingRow>,
    /// Entry, cause, verdict.
    pub verdicts: Vec<(i64, i64, Verdict)>,
    /// Entries that are the first deposit no more.
    pub lost: Vec<i64>,
    /// Partner, account id, entry; and no entry before, which `lost` has.
    pub firsts: Vec<(String, String, i64, Option<i64>)>,
}

impl Redecision {
    /// Adds the rows of a difference, under the number of the re-decision. Causes of entries are above zero; re-decision `n` is the cause
    /// `-2n` of what it takes back, and `-2n - 1` of what it says instead.
    pub fn add(&mut self, number: i64, partner: &str, difference: Difference) {
        let takes_back = number.saturating_mul(-2);
        let says = takes_back.saturating_sub(1);
        for change in difference.changes {
            if change.verdict.0 != change.verdict.1 {
                self.verdicts.push((change.entry, says, change.verdict.1));
            }
            for (stands, holds) in change.corrections {
                self.postings.extend(stands.map(|posting| posting.reversed(takes_back)));
                self.postings.extend(holds.map(|posting| PostingRow { cause: says, ..posting }));
            }
        }
        if let (before, first) = difference.first
            && before != first
        {
            self.lost.extend(before);
            let row = |entry, account_id| (String::from(partner), account_id, entry, None);
            self.firsts.extend(first.zip(difference.account_id).map(|(entry, id)| row(entry, id)));
        }
    }
}

/// Keeps of an entry's postings of one kind, told in the order of their rows, the one that stands: each is taken back by the next one, and
/// the one behind that stands again.
pub fn stand(standing: &mut Option<PostingRow>, posting: PostingRow) {
    *standing = if standing.is_some() { None } else { Some(posting) };
}
