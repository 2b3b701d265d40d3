//! What becomes of an event, and why.

use alloc::string::String;

use countersign_core::time::Timestamp;

/// Whether a deposit is its player's first (source §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    First,
    /// A bonus is not the player's money.
    Bonus,
    /// Nothing was paid in.
    Zero,
    /// Less than the contract's minimum.
    BelowMinimum,
    /// Whose deposit it is was not said.
    NoAccount,
    /// The contract has a window from the registration, and there is none so far.
    NotRegistered,
    /// Later than the contract's window.
    OutsideWindow,
    /// The contract wants a player who is known, and this one is not so far.
    NotKnown,
    /// The player had a first deposit already.
    NotTheFirst,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::First,
        Self::Bonus,
        Self::Zero,
        Self::BelowMinimum,
        Self::NoAccount,
        Self::NotRegistered,
        Self::OutsideWindow,
        Self::NotKnown,
        Self::NotTheFirst,
    ];

    /// The verdict of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == name)
    }

    /// Its name on a row.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Bonus => "bonus",
            Self::Zero => "zero",
            Self::BelowMinimum => "below_minimum",
            Self::NoAccount => "no_account",
            Self::NotRegistered => "not_registered",
            Self::OutsideWindow => "outside_window",
            Self::NotKnown => "not_known",
            Self::NotTheFirst => "not_the_first",
        }
    }

    /// Whether another event of the player may still change it.
    #[must_use]
    pub const fn may_change(self) -> bool {
        matches!(self, Self::NotRegistered | Self::NotKnown)
    }
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It has its entry; the settlement has the rows.
    Post,
    /// It was posted before, with the same payload: there is nothing to do.
    Repeat,
    /// It waits for something, until it is due again.
    Wait(Wait),
    /// It cannot be posted.
    Dead(Dead),
}

/// What an event waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// `click_unknown`, `original_unknown`, `rate_unknown`.
    pub reason: &'static str,
    /// What ends the waiting; the queue's `waits_for`.
    pub waits_for: String,
    /// When the waiting ends in any case.
    pub until: Timestamp,
}

/// Why an event cannot be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    /// Its id was posted with another payload.
    EventIdReused,
    /// What it takes back never came.
    OriginalUnknown,
    /// What it takes back is over its retention, and gone.
    OriginalPurged,
    /// What it takes back is no deposit.
    OriginalIsNoDeposit,
    /// It takes back money in another currency than was paid in.
    CurrencyDiffers,
    /// It takes back more than was left.
    OverRefund,
    /// There is no exchange rate, and none came.
    RateUnknown,
    /// Its value in another currency is beyond 64 bits of minor units.
    AmountOutOfRange,
    /// Its row in the inbox is damaged.
    RowDamaged,
}

impl Dead {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::EventIdReused,
        Self::OriginalUnknown,
        Self::OriginalPurged,
        Self::OriginalIsNoDeposit,
        Self::CurrencyDiffers,
        Self::OverRefund,
        Self::RateUnknown,
        Self::AmountOutOfRange,
        Self::RowDamaged,
    ];

    /// The reason's name (`docs/ledger.md`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventIdReused => "event_id_reused",
            Self::OriginalUnknown => "original_unknown",
            Self::OriginalPurged => "original_purged",
            Self::OriginalIsNoDeposit => "original_is_no_deposit",
            Self::CurrencyDiffers => "currency_differs",
            Self::OverRefund => "over_refund",
            Self::RateUnknown => "rate_unknown",
            Self::AmountOutOfRange => "amount_out_of_range",
            Self::RowDamaged => "row_damaged",
        }
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::EventIdReused => {
                "the partner sent this event_id again after the retention, with another payload; ask for a new id, and discard this one"
            }
            Self::OriginalUnknown => {
                "original_event_id names no event that was posted; ask the partner for it, then replay"
            }
            Self::OriginalPurged => {
                "the deposit that it takes back was older than privacy.retention.ledger_days and is gone; settle it with the partner, and discard this one"
            }
            Self::OriginalIsNoDeposit => {
                "original_event_id names an event without money to take back; discard it, and ask the partner"
            }
            Self::CurrencyDiffers => {
                "it takes back money in another currency than the deposit's; discard it, and ask the partner"
            }
            Self::OverRefund => {
                "it takes back more than is left of the deposit; discard it, and ask the partner"
            }
            Self::RateUnknown => "there is no exchange rate for its date; import rates, then replay",
            Self::AmountOutOfRange => {
                "its value in another currency exceeds 64 bits of minor units; discard it, and ask the partner"
            }
            Self::RowDamaged => "its row in the inbox is damaged; restore the row from a copy, then replay",
        }
    }
}
