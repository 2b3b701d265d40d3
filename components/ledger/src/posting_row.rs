//! A posting: money of an entry, and what kind of money it is.

use alloc::string::{String, ToString as _};

use countersign_core::event::{EventType, Sign};
use countersign_core::money::Amount;
use serde::{Serialize, Serializer};

use crate::fx::{Conversion, Rate};
use crate::names::names;

names! {
    /// What kind of money a posting is.
    pub enum PostingKind {
        /// A player paid in.
        Deposit => "deposit",
        /// A gift to a player, or what was taken back of one; it is not revenue.
        Bonus => "bonus",
        /// Given back to the player.
        Refund => "refund",
        /// Taken back by the player's bank.
        Chargeback => "chargeback",
        /// Won back from the player's bank.
        ChargebackReversed => "chargeback_reversed",
        /// Of an event of a declared type; it is not revenue.
        Custom => "custom",
        /// The price of a first deposit.
        Cpa => "cpa",
        /// The share of what is left of a deposit.
        RevenueShare => "revenue_share",
    }
}

/// The column of the totals that a posting is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// What players paid in.
    Deposits,
    /// What was taken back of that, below zero.
    Reversals,
    /// What first deposits brought.
    Cpa,
    /// The share of the net revenue.
    RevenueShare,
}

impl PostingKind {
    /// What the money of an event is; `None` where an event of the type brings no posting of its own.
    #[must_use]
    pub const fn of_event(event: &EventType, bonus: bool) -> Option<Self> {
        match event {
            EventType::Registration | EventType::KycApproved | EventType::Install => None,
            EventType::Custom(_) => Some(Self::Custom),
            // A bonus was no income, so what takes it back is no loss either.
            EventType::DepositSuccess
            | EventType::Refund
            | EventType::Chargeback
            | EventType::ChargebackReversed
                if bonus =>
            {
                Some(Self::Bonus)
            }
            EventType::DepositSuccess => Some(Self::Deposit),
            EventType::Refund => Some(Self::Refund),
            EventType::Chargeback => Some(Self::Chargeback),
            EventType::ChargebackReversed => Some(Self::ChargebackReversed),
        }
    }

    /// The column of the totals that it is added to; `None`: it is not revenue, and nothing is owed for it.
    #[must_use]
    pub const fn column(self) -> Option<Column> {
        match self {
            Self::Deposit => Some(Column::Deposits),
            Self::Refund | Self::Chargeback | Self::ChargebackReversed => Some(Column::Reversals),
            Self::Cpa => Some(Column::Cpa),
            Self::RevenueShare => Some(Column::RevenueShare),
            Self::Bonus | Self::Custom => None,
        }
    }

    /// Whether it is the money of a deposit, or of what undoes one: what is left of a deposit is the sum of these.
    #[must_use]
    pub const fn is_of_deposit(self) -> bool {
        match self {
            Self::Deposit | Self::Bonus | Self::Refund | Self::Chargeback | Self::ChargebackReversed => true,
            Self::Custom | Self::Cpa | Self::RevenueShare => false,
        }
    }

    /// Whether a contract brings it, so that another contract may bring something else.
    #[must_use]
    pub const fn is_of_contract(self) -> bool {
        match self {
            Self::Cpa | Self::RevenueShare => true,
            Self::Deposit
            | Self::Bonus
            | Self::Refund
            | Self::Chargeback
            | Self::ChargebackReversed
            | Self::Custom => false,
        }
    }

    /// The kinds that `is_meant` says yes to, as a list for SQL: `'cpa', 'revenue_share'`.
    #[must_use]
    pub fn sql(is_meant: impl Fn(Self) -> bool) -> String {
        crate::names::sql(Self::ALL.iter().filter(|kind| is_meant(**kind)).map(|kind| kind.as_str()))
    }
}

/// An amount with the sign that its event's type gives it; as it is where the type gives none.
#[must_use]
pub const fn signed(event: &EventType, amount: Amount) -> Amount {
    match event.sign() {
        Some(Sign::Plus) | None => amount,
        Some(Sign::Minus) => Amount { minor: 0_i64.saturating_sub(amount.minor), ..amount },
    }
}

/// Money of an entry, in the currency of the transaction and in that of the reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingRow {
    /// The entry.
    pub entry: i64,
    /// The entry that brought it about.
    pub cause: i64,
    /// What it is.
    pub kind: PostingKind,
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
