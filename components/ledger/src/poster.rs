//! What a contract makes of a deposit (source §8): whether it is its player's first, what that brings, and the share of what is left.

use countersign_core::money::{Amount, Currency};
use countersign_core::time::Timestamp;

use crate::attribution::Attribution;
use crate::book::{Account, DepositMade};
use crate::decision::Verdict;
use crate::document::{Kyc, Probable};
use crate::fx::{Conversion, Date, RateTable, Unconverted};
use crate::posting_row::{PostingKind, PostingRow};
use crate::rules::{Agreement, Rules, Terms};

/// What all postings of one cause share.
pub(crate) struct Poster<'p> {
    agreement: &'p Agreement,
    report_currency: Currency,
    rates: &'p RateTable,
    /// What brings the postings about.
    pub(crate) cause: i64,
}

/// The terms of a partner that has no contract: whatever is above zero is a deposit, and nothing is owed.
static NO_CONTRACT: Terms = Terms {
    from: Timestamp::from_ms(0),
    ftd_min_deposit: None,
    ftd_window_ms: None,
    ftd_kyc: Kyc::NotRequired,
    cpa: None,
    revenue_share_bp: 0,
    probable: Probable::NeverBilled,
};

impl<'p> Poster<'p> {
    pub(crate) fn new(rules: &'p Rules, partner: &str, rates: &'p RateTable, cause: i64) -> Self {
        let report_currency = rules.report_currency;
        Self { agreement: rules.agreement(partner), report_currency, rates, cause }
    }

    fn terms(&self, instant: Timestamp) -> &Terms {
        self.agreement.terms_at(instant).unwrap_or(&NO_CONTRACT)
    }

    /// An amount in another currency, by the rate of a date.
    fn convert(&self, amount: Amount, to: Currency, instant: Timestamp) -> Result<Conversion, Unconverted> {
        self.rates.convert(amount, to, Date::of(instant))
    }

    /// A posting for an entry, with its value in the report's currency at `instant`.
    pub(crate) fn posting(
        &self,
        entry: i64,
        kind: PostingKind,
        amount: Amount,
        instant: Timestamp,
    ) -> Result<PostingRow, Unconverted> {
        let report = self.convert(amount, self.report_currency, instant)?;
        Ok(PostingRow { entry, cause: self.cause, kind, amount, report })
    }

    /// Whether a deposit is its player's first, as far as the player and the deposits before it are known.
    pub(crate) fn judge(
        &self,
        deposit: &DepositMade,
        bonus: bool,
        account: Option<&Account>,
    ) -> Result<Verdict, Unconverted> {
        let DepositMade { ts_event, amount, .. } = *deposit;
        let terms = self.terms(ts_event);
        if bonus {
            return Ok(Verdict::Bonus);
        }
        if amount.minor <= 0 {
            return Ok(Verdict::Zero);
        }
        if let Some(minimum) = terms.ftd_min_deposit
            && self.convert(amount, minimum.currency, ts_event)?.amount.minor < minimum.minor
        {
            return Ok(Verdict::BelowMinimum);
        }
        let Some(account) = account else { return Ok(Verdict::NoAccount) };
        if let Some(window_ms) = terms.ftd_window_ms {
            match account.registered_at {
                None => return Ok(Verdict::NotRegistered),
                Some(registered_at) if ts_event.since_ms(registered_at) > window_ms => {
                    return Ok(Verdict::OutsideWindow);
                }
                Some(_) => {}
            }
        }
        if terms.ftd_kyc == Kyc::Required && account.kyc_at.is_none() {
            return Ok(Verdict::NotKnown);
        }
        // An earlier one that comes later takes the place of a first one: it does not matter which of them is posted first.
        let is_late =
            account.first_deposit.as_ref().is_some_and(|first| first.place() < (ts_event, &deposit.event_id));
        Ok(if is_late { Verdict::NotTheFirst } else { Verdict::First })
    }

    /// The price of a first deposit, where one is agreed.
    pub(crate) fn cpa(&self, deposit: &DepositMade) -> Result<Option<PostingRow>, Unconverted> {
        let DepositMade { id, ts_event, attribution, .. } = *deposit;
        let terms = self.terms(ts_event);
        let price = terms.cpa.filter(|price| price.minor > 0 && is_billed(attribution, terms));
        price.map(|price| self.posting(id, PostingKind::Cpa, price, ts_event)).transpose()
    }

    /// The share of what the net revenue of one deposit grew by, `before` to `after`, for the entry that changed it at `instant`. Taken
    /// from the sums, so that what was taken back in parts comes to the cent to what was paid. The deposit is known by when it was
    /// made and how it was traced back.
    pub(crate) fn revenue_share(
        &self,
        (ts_event, attribution): (Timestamp, Attribution),
        entry: i64,
        instant: Timestamp,
        before: i64,
        after: Amount,
    ) -> Result<Option<PostingRow>, Unconverted> {
        let terms = self.terms(ts_event);
        if !is_billed(attribution, terms) {
            return Ok(None);
        }
        let share = |minor| share(minor, terms.revenue_share_bp);
        let minor = share(after.minor).saturating_sub(share(before));
        let grown = (minor != 0).then_some(Amount { minor, ..after });
        grown.map(|amount| self.posting(entry, PostingKind::RevenueShare, amount, instant)).transpose()
    }
}

fn is_billed(attribution: Attribution, terms: &Terms) -> bool {
    match attribution {
        Attribution::Click | Attribution::Account | Attribution::Install | Attribution::None => true,
        Attribution::Probable { .. } => terms.probable == Probable::Billed,
    }
}

/// A share of an amount in hundredths of a percent: exact, rounded once, half to even.
#[must_use]
pub fn share(minor: i64, basis_points: u32) -> i64 {
    const WHOLE: i128 = 10_000;
    // At most 2^63 × 2^32 in magnitude.
    let product = i128::from(minor).saturating_mul(i128::from(basis_points));
    let quotient = product.checked_div(WHOLE).unwrap_or(0);
    let remainder = product.checked_rem(WHOLE).unwrap_or(0).unsigned_abs().saturating_mul(2);
    let away = match remainder.cmp(&WHOLE.unsigned_abs()) {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => quotient.checked_rem(2) != Some(0),
        core::cmp::Ordering::Greater => true,
    };
    let step = if product < 0 { -1_i128 } else { 1 };
    let rounded = if away { quotient.saturating_add(step) } else { quotient };
    // No more than the whole, as long as the share is none above 100 %.
    i64::try_from(rounded).unwrap_or(minor)
}
