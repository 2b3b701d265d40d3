//! What a re-decision changes, as it is shown.

use std::collections::BTreeMap;

use countersign_core::money::Amount;
use countersign_ledger::decision::DeadCause;
use countersign_ledger::fx::Unconverted;
use countersign_ledger::posting_row::PostingRow;
use countersign_ledger::redecide::{Change, Player};
use serde::Serialize;

use super::{Decided, count};

/// What the rules in force make of what was posted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WhatIf {
    /// Whether what is shown here was posted.
    pub posted: bool,
    /// What was gone through.
    pub looked_at: Counts,
    /// What of it changes.
    pub changed: Counts,
    /// How many deposits get which verdict for which.
    pub verdicts: Vec<VerdictChange>,
    /// The sums of prices and shares of all that was gone through, by currency.
    pub sums: Vec<Sum>,
    /// The same by the currency of the reports.
    pub report_sums: Vec<Sum>,
    /// The first changes, deposit by deposit.
    pub changes: Vec<DepositChange>,
    /// Who is left as it is, because a deposit cannot be decided.
    pub left_out: LeftOut,
    /// What to send to have just this posted; `None` where nothing changes.
    pub confirm: Option<String>,
}

/// How many.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// Players, and deposits that name none.
    pub accounts: u64,
    /// Deposits.
    pub deposits: u64,
}

/// Deposits that get another verdict.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictChange {
    /// The one that they have.
    pub from: &'static str,
    /// The one that they get.
    pub to: &'static str,
    /// How many.
    pub deposits: u64,
}

/// What is owed, in minor units.
#[derive(Clone, Debug, Serialize)]
pub struct Sum {
    /// `cpa` or `revenue_share`.
    pub kind: &'static str,
    /// The currency.
    pub currency: &'static str,
    /// Its decimals.
    pub exponent: u8,
    /// By what is posted.
    pub before: i64,
    /// By the rules in force.
    pub after: i64,
}

/// What changes of a deposit.
#[derive(Clone, Debug, Serialize)]
pub struct DepositChange {
    /// The deposit.
    pub event_id: String,
    /// Whose it is.
    pub account_id: Option<String>,
    /// The verdict that it has.
    pub from: &'static str,
    /// The verdict that it gets, which may be the same.
    pub to: &'static str,
    /// What is posted.
    pub postings: Vec<PostingChange>,
}

/// What changes of a price or a share.
#[derive(Clone, Debug, Serialize)]
pub struct PostingChange {
    /// The entry: the deposit's, or that of what takes it back.
    pub entry: i64,
    /// `cpa` or `revenue_share`.
    pub kind: &'static str,
    /// What stands, and is taken back.
    pub before: Option<Money>,
    /// What is posted in its place.
    pub after: Option<Money>,
}

/// Money.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Money {
    /// In minor units.
    pub minor: i64,
    /// The currency.
    pub currency: &'static str,
    /// Its decimals.
    pub exponent: u8,
}

/// Who is left as it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LeftOut {
    /// How many players, and deposits that name none.
    pub accounts: u64,
    /// The first of them.
    pub because: Vec<Because>,
}

/// A deposit that cannot be decided.
#[derive(Clone, Debug, Serialize)]
pub struct Because {
    /// The deposit.
    pub event_id: String,
    /// Whose it is.
    pub account_id: Option<String>,
    /// `rate_unknown` or `amount_out_of_range`.
    pub reason: &'static str,
    /// What is missing, and what to do about it.
    pub hint: String,
}

/// Adds up what there is to show.
pub(super) struct WhatIfBuilder {
    limit: usize,
    verdicts: BTreeMap<(&'static str, &'static str), u64>,
    sums: Sums,
    report_sums: Sums,
    what_if: WhatIf,
}

/// Before and after, by kind, currency and its decimals.
type Sums = BTreeMap<(&'static str, &'static str, u8), (i64, i64)>;

impl WhatIfBuilder {
    /// Nothing so far; up to `limit` changes are going to be shown.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            verdicts: BTreeMap::new(),
            sums: Sums::new(),
            report_sums: Sums::new(),
            what_if: WhatIf::default(),
        }
    }

    /// Adds a page.
    pub(super) fn add(&mut self, decided: &Decided) {
        for player in &decided.players {
            self.look_at(player);
        }
        let (accounts, deposits) = decided.changed();
        self.what_if.changed.add(accounts, deposits);
        for difference in &decided.differences {
            for change in &difference.changes {
                self.change(change, difference.account_id.as_ref());
            }
        }
        let left_out = &mut self.what_if.left_out;
        left_out.accounts = left_out.accounts.saturating_add(count(decided.undecided.len()));
        for (account_id, undecided) in &decided.undecided {
            if left_out.because.len() < self.limit {
                left_out.because.push(Because {
                    event_id: undecided.event_id.clone(),
                    account_id: account_id.clone(),
                    reason: match undecided.problem {
                        Unconverted::NoDay | Unconverted::NoQuote { .. } => DeadCause::RateUnknown,
                        Unconverted::OutOfRange => DeadCause::AmountOutOfRange,
                    }
                    .as_str(),
                    hint: undecided.problem.to_string(),
                });
            }
        }
    }

    /// What a player's deposits bring, before anything changes.
    fn look_at(&mut self, player: &Player) {
        self.what_if.looked_at.add(1, count(player.deposits.len()));
        for deposit in &player.deposits {
            let taken_back = deposit.reversals.iter().map(|reversal| &reversal.share);
            for posting in [&deposit.price, &deposit.share].into_iter().chain(taken_back).flatten() {
                self.sum(posting, |(before, after), minor| {
                    (before.saturating_add(minor), after.saturating_add(minor))
                });
            }
        }
    }

    fn change(&mut self, change: &Change, account_id: Option<&String>) {
        let (from, to) = (change.verdict.0.as_str(), change.verdict.1.as_str());
        if from != to {
            let deposits = self.verdicts.entry((from, to)).or_default();
            *deposits = deposits.saturating_add(1);
        }
        for (stands, holds) in &change.corrections {
            if let Some(posting) = stands {
                self.sum(posting, |(before, after), minor| (before, after.saturating_sub(minor)));
            }
            if let Some(posting) = holds {
                self.sum(posting, |(before, after), minor| (before, after.saturating_add(minor)));
            }
        }
        if self.what_if.changes.len() < self.limit {
            let postings = change.corrections.iter().filter_map(|(stands, holds)| {
                let PostingRow { entry, kind, .. } = *stands.as_ref().or(holds.as_ref())?;
                let kind = kind.as_str();
                let money =
                    |posting: &Option<PostingRow>| posting.as_ref().map(|posting| money(posting.amount));
                Some(PostingChange { entry, kind, before: money(stands), after: money(holds) })
            });
            self.what_if.changes.push(DepositChange {
                event_id: change.event_id.clone(),
                account_id: account_id.cloned(),
                from,
                to,
                postings: postings.collect(),
            });
        }
    }

    /// Changes the sums that a posting is part of.
    fn sum(&mut self, posting: &PostingRow, change: impl Fn((i64, i64), i64) -> (i64, i64)) {
        for (sums, amount) in
            [(&mut self.sums, posting.amount), (&mut self.report_sums, posting.report.amount)]
        {
            let Money { minor, currency, exponent } = money(amount);
            let sum = sums.entry((posting.kind.as_str(), currency, exponent)).or_default();
            *sum = change(*sum, minor);
        }
    }

    /// All that was added up.
    pub(super) fn finish(self, confirm: Option<String>) -> WhatIf {
        let listed = |sums: Sums| {
            let sum = |((kind, currency, exponent), (before, after))| Sum {
                kind,
                currency,
                exponent,
                before,
                after,
            };
            sums.into_iter().map(sum).collect()
        };
        let verdicts = self.verdicts.into_iter();
        WhatIf {
            verdicts: verdicts.map(|((from, to), deposits)| VerdictChange { from, to, deposits }).collect(),
            sums: listed(self.sums),
            report_sums: listed(self.report_sums),
            confirm,
            ..self.what_if
        }
    }
}

impl Counts {
    fn add(&mut self, accounts: u64, deposits: u64) {
        self.accounts = self.accounts.saturating_add(accounts);
        self.deposits = self.deposits.saturating_add(deposits);
    }
}

fn money(amount: Amount) -> Money {
    let Amount { minor, currency } = amount;
    Money { minor, currency: currency.code(), exponent: currency.decimals() }
}
