//! What becomes of an event, and why.

use alloc::string::String;

use countersign_core::time::Timestamp;

use crate::names::names;

names! {
    /// Whether a deposit is its player's first (source §8).
    pub enum Verdict {
        /// It is.
        First => "first",
        /// A bonus is not the player's money.
        Bonus => "bonus",
        /// Nothing was paid in.
        Zero => "zero",
        /// Less than the contract's minimum.
        BelowMinimum => "below_minimum",
        /// Whose deposit it is was not said.
        NoAccount => "no_account",
        /// The contract has a window from the registration, and there is none so far.
        NotRegistered => "not_registered",
        /// Later than the contract's window.
        OutsideWindow => "outside_window",
        /// The contract wants a player who is known, and this one is not so far.
        NotKnown => "not_known",
        /// The player had a first deposit already.
        NotTheFirst => "not_the_first",
    }
}

impl Verdict {
    /// Whether another event of the player may still change it.
    #[must_use]
    pub const fn may_change(self) -> bool {
        match self {
            Self::NotRegistered | Self::NotKnown => true,
            Self::First
            | Self::Bonus
            | Self::Zero
            | Self::BelowMinimum
            | Self::NoAccount
            | Self::OutsideWindow
            | Self::NotTheFirst => false,
        }
    }

    /// The verdicts that `is_meant` says yes to, as a list for SQL.
    #[must_use]
    pub fn sql(is_meant: impl Fn(Self) -> bool) -> String {
        crate::names::sql(
            Self::ALL.iter().filter(|verdict| is_meant(**verdict)).map(|verdict| verdict.as_str()),
        )
    }
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It has its entry; its rows are in the settling rows.
    Post,
    /// It was posted before, with the same payload: there is nothing to do.
    Repeat,
    /// It waits for something, until it is due again.
    Wait(Wait),
    /// It cannot be posted.
    Dead(DeadCause),
}

/// What an event waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub reason: WaitReason,
    /// What ends the waiting; the queue's `waits_for`.
    pub waits_for: String,
    /// When the waiting ends in any case.
    pub until: Timestamp,
}

names! {
    /// Why an event waits (`docs/ledger.md`).
    pub enum WaitReason {
        /// Its click is not known yet.
        ClickUnknown => "click_unknown",
        /// What it undoes is not posted yet.
        OriginalUnknown => "original_unknown",
        /// There is no exchange rate for its day yet.
        RateUnknown => "rate_unknown",
    }
}

names! {
    /// Why an event cannot be posted (`docs/ledger.md`).
    pub enum DeadCause {
        /// Its id was posted with another payload.
        EventIdReused => "event_id_reused",
        /// What it undoes never came.
        OriginalUnknown => "original_unknown",
        /// What it undoes is over its retention, and gone.
        OriginalPurged => "original_purged",
        /// What it takes back is not a deposit.
        OriginalIsNoDeposit => "original_is_no_deposit",
        /// What it says was won back is not a chargeback.
        OriginalIsNoChargeback => "original_is_no_chargeback",
        /// It undoes money in another currency.
        CurrencyDiffers => "currency_differs",
        /// It takes back more than is left of the deposit.
        OverRefund => "over_refund",
        /// It brings back more than is left of the chargeback.
        OverReversal => "over_reversal",
        /// There is no exchange rate, and none came.
        RateUnknown => "rate_unknown",
        /// Its value in another currency is beyond 64 bits of minor units.
        AmountOutOfRange => "amount_out_of_range",
        /// Its row in the inbox is damaged.
        RowDamaged => "row_damaged",
    }
}

impl DeadCause {
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
                "original_event_id does not name a deposit; discard it, and ask the partner (a dispute that was won is a chargeback_reversed)"
            }
            Self::OriginalIsNoChargeback => {
                "original_event_id does not name a chargeback, which alone can be reversed; discard it, and ask the partner"
            }
            Self::CurrencyDiffers => {
                "its currency is not that of what it takes back; discard it, and ask the partner"
            }
            Self::OverRefund => {
                "it takes back more than is left of the deposit; it comes back by itself once a chargeback of the deposit is reversed, else discard it, and ask the partner"
            }
            Self::OverReversal => {
                "it brings back more than is left of the chargeback; discard it, and ask the partner"
            }
            Self::RateUnknown => "there is no exchange rate for its date; import rates, then replay",
            Self::AmountOutOfRange => {
                "its value in another currency exceeds 64 bits of minor units; discard it, and ask the partner"
            }
            Self::RowDamaged => "its row in the inbox is damaged; restore the row from a copy, then replay",
        }
    }
}
