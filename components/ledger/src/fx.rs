//! Exchange rates by date (source §7): exact, through the euro, and none rather than a guessed one.
//!
//! The rate of an event is that of the last day on or before the event's UTC date on which rates were published, which may
//! be at most [`RateTable::AGE_DAYS_MAX`] days earlier: weekends and holidays have no rates of their own. Where that day
//! has none for a currency, there is no rate, and the event waits; an older day's rate would be a guess.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use countersign_core::money::{Amount, Currency};
use countersign_core::text::Text;
use countersign_core::time::Timestamp;

/// A currency's code as a source of rates writes it: three letters in upper case.
///
/// Unlike [`Currency`] it may be withdrawn: the history has rates of `EEK` and `CYP`.
pub type Code = Text<3>;

/// Converts `amount`, where both quotes are of the same day; the euro's is [`Quote::EURO`].
///
/// The result is the exact quotient, cross rates included, rounded once: to the nearest minor unit of `to`, and a tie to
/// the even one. A negative amount becomes what the positive one does, with a minus sign.
///
/// # Errors
/// [`OutOfRange`] where the result has more minor units than an `i64` holds.
pub fn convert(amount: Amount, to: Currency, from_quote: Quote, to_quote: Quote) -> Result<i64, OutOfRange> {
    // With quotes m × 10^-d the result is |amount| × m_to / m_from × 10^shift, where |shift| is at most 13, for a quote
    // has at most 9 decimals and a currency at most 4. |amount| × m_to is at most 2^63 × 10^9 < 2^93.
    let up = u32::from(from_quote.decimals).saturating_add(u32::from(to.decimals()));
    let down = u32::from(to_quote.decimals).saturating_add(u32::from(amount.currency.decimals()));
    let product = u128::from(amount.minor.unsigned_abs()).checked_mul(u128::from(to_quote.mantissa));
    // Only this may be more than a u128 holds. It is then at least 2^128, and the quotient, whose divisor is m_from < 10^9
    // as there is no shift down, more than 2^98: out of range in any case, so nothing in range is refused.
    let dividend = product.and_then(|product| product.checked_mul(power_of_ten(up.saturating_sub(down))?));
    let dividend = dividend.ok_or(OutOfRange)?;
    // At most 10^9 × 10^13 < 2^74, so that twice a remainder fits too. It is never zero: no quote is.
    let divisor = u128::from(from_quote.mantissa)
        .checked_mul(power_of_ten(down.saturating_sub(up)).ok_or(OutOfRange)?)
        .ok_or(OutOfRange)?;

    let quotient = dividend.checked_div(divisor).ok_or(OutOfRange)?;
    let remainder = dividend.checked_rem(divisor).ok_or(OutOfRange)?;
    let rounds_up = match remainder.saturating_mul(2).cmp(&divisor) {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => !quotient.is_multiple_of(2),
        core::cmp::Ordering::Greater => true,
    };
    let magnitude = quotient.saturating_add(u128::from(rounds_up));
    let magnitude = u64::try_from(magnitude).map_err(|_| OutOfRange)?;
    let minor = if amount.minor < 0 {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        0_i64.checked_add_unsigned(magnitude)
    };
    minor.ok_or(OutOfRange)
}

fn power_of_ten(exponent: u32) -> Option<u128> {
    10_u128.checked_pow(exponent)
}

/// A conversion has more minor units than 9,223,372,036,854,775,807, or less than an `i64`'s least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// Units of a currency for one euro: an exact decimal above zero, with at most 9 decimals and less than 10^9 in its last place.
///
/// `N/A` is no quote. Zeros at the end say nothing: `1.10` equals `1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quote {
    /// 1 to 999,999,999; no multiple of ten where there are decimals.
    mantissa: u32,
    /// 0 to 9.
    decimals: u8,
}

impl Quote {
    /// One euro for one euro.
    pub const EURO: Self = Self { mantissa: 1, decimals: 0 };

    /// Reads a plain decimal such as `1.1172` or `20275.17`: digits, and maybe a point with digits after it.
    ///
    /// # Errors
    /// A [`QuoteProblem`].
    pub fn parse(text: &str) -> Result<Self, QuoteProblem> {
        let (negative, magnitude) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, text),
        };
        let (whole, fraction) = match magnitude.split_once('.') {
            Some((_, "")) => return Err(QuoteProblem::NotANumber),
            Some(parts) => parts,
            None => (magnitude, ""),
        };
        let padded = whole.len() > 1 && whole.starts_with('0');
        let digits = || whole.bytes().chain(fraction.bytes());
        if whole.is_empty() || padded || !digits().all(|byte| byte.is_ascii_digit()) {
            return Err(QuoteProblem::NotANumber);
        }
        if negative || digits().all(|byte| byte == b'0') {
            return Err(QuoteProblem::NotPositive);
        }
        let fraction = fraction.trim_end_matches('0');
        let decimals = u8::try_from(fraction.len()).ok().filter(|decimals| *decimals <= Self::DECIMALS_MAX);
        let mantissa = whole.bytes().chain(fraction.bytes()).try_fold(0_u32, |mantissa, digit| {
            mantissa.checked_mul(10)?.checked_add(u32::from(digit & 0x0F))
        });
        let mantissa = mantissa.filter(|mantissa| *mantissa < Self::MANTISSA_END);
        match (mantissa, decimals) {
            (Some(mantissa), Some(decimals)) => Ok(Self { mantissa, decimals }),
            _ => Err(QuoteProblem::TooManyDigits),
        }
    }

    const DECIMALS_MAX: u8 = 9;
    const MANTISSA_END: u32 = 1_000_000_000;
}

impl fmt::Display for Quote {
    /// The quote without zeros at its end, as [`Quote::parse`] reads it: `1.1172`, `136`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u32.checked_pow(u32::from(self.decimals)).unwrap_or(1);
        let whole = self.mantissa.checked_div(unit).unwrap_or(0);
        write!(f, "{whole}")?;
        if self.decimals > 0 {
            let fraction = self.mantissa.checked_rem(unit).unwrap_or(0);
            write!(f, ".{fraction:0width$}", width = usize::from(self.decimals))?;
        }
        Ok(())
    }
}

/// Why a text is not a [`Quote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteProblem {
    /// Not a plain decimal.
    NotANumber,
    /// Zero, or less.
    NotPositive,
    /// More than 9 decimals, or more than 9 significant digits (zeros at the end of a fraction not counted).
    TooManyDigits,
}

impl QuoteProblem {
    /// What to write instead; public text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotANumber => "write a plain decimal such as 1.1172, or N/A",
            Self::NotPositive => "write a quote above zero, or N/A",
            Self::TooManyDigits => "write at most 9 digits, of them at most 9 decimals",
        }
    }
}

/// A day of the calendar, UTC: 1970-01-01 to 9999-12-31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

impl Date {
    /// The UTC date of an instant.
    #[must_use]
    pub fn of(instant: Timestamp) -> Self {
        // A Timestamp has at most 2,932,896 whole days.
        Self(u32::try_from(instant.as_ms().checked_div(MS_PER_DAY).unwrap_or(0)).unwrap_or(u32::MAX))
    }

    /// Reads `YYYY-MM-DD`; `None` for another form, for a day that does not exist, and before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut instant = Text::<20>::new(text).filter(|date| date.as_str().len() == 10)?;
        instant.push_str("T00:00:00Z")?;
        Timestamp::parse_rfc3339(instant.as_str()).ok().map(Self::of)
    }

    /// The date that many days after 1970-01-01; `None` beyond 9999-12-31.
    #[must_use]
    pub fn from_days(days: u32) -> Option<Self> {
        let date = Self(days);
        (date <= Self::of(Timestamp::MAX)).then_some(date)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn days(self) -> u32 {
        self.0
    }

    /// The date `days` earlier, 1970-01-01 at the earliest.
    #[must_use]
    pub const fn minus_days(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// The date's first instant.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_ms(u64::from(self.0).saturating_mul(MS_PER_DAY))
    }

    /// The date as `YYYY-MM-DD`, which sorts as it is.
    #[must_use]
    pub fn write(self) -> Text<10> {
        let instant = self.start().write_rfc3339();
        instant.as_str().split_once('T').and_then(|(date, _)| Text::new(date)).unwrap_or_default()
    }
}

const MS_PER_DAY: u64 = 86_400_000;

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write().fmt(f)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write().fmt(f)
    }
}

/// A day on which rates were published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// The currencies that had a quote; none of them is the euro.
    pub quotes: Vec<(Code, Quote)>,
}

/// Published rates by day.
///
/// For the dates that it is asked about it must hold every published day of the [`RateTable::AGE_DAYS_MAX`] days before,
/// also one without a single quote: where a day is left out, an older one would be taken for the last.
#[derive(Clone, Debug, Default)]
pub struct RateTable {
    days: BTreeMap<Date, Vec<(Code, Quote)>>,
}

impl RateTable {
    /// How many days before an event its rate may have been published; an age of just so many is accepted.
    pub const AGE_DAYS_MAX: u32 = 7;

    /// Adds a day, in place of what was known of it.
    pub fn insert(&mut self, day: Day) {
        self.days.insert(day.date, day.quotes);
    }

    /// The amount in another currency, by the rate of the UTC date `on`. The same currency needs no rate.
    ///
    /// # Errors
    /// An [`Unconverted`]; the source currency's missing quote before the target's.
    pub fn convert(&self, amount: Amount, to: Currency, on: Date) -> Result<Conversion, Unconverted> {
        if amount.currency == to {
            return Ok(Conversion { amount, rate: Rate::Identity });
        }
        let oldest = on.minus_days(Self::AGE_DAYS_MAX);
        let (&date, quotes) = self.days.range(oldest..=on).next_back().ok_or(Unconverted::NoDay)?;
        let quote = |currency: Currency| {
            if currency.code() == "EUR" {
                return Ok(Quote::EURO);
            }
            let found = quotes.iter().find(|(code, _)| code.as_str() == currency.code());
            found.map(|(_, quote)| *quote).ok_or(Unconverted::NoQuote { currency, date })
        };
        let (from, into) = (quote(amount.currency)?, quote(to)?);
        let minor = convert(amount, to, from, into).map_err(|OutOfRange| Unconverted::OutOfRange)?;
        Ok(Conversion { amount: Amount { minor, currency: to }, rate: Rate::Ecb { date, from, to: into } })
    }
}

impl FromIterator<Day> for RateTable {
    fn from_iter<T: IntoIterator<Item = Day>>(days: T) -> Self {
        Self { days: days.into_iter().map(|day| (day.date, day.quotes)).collect() }
    }
}

/// An amount in another currency, and the rate that it was converted by: enough to repeat the calculation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The amount in the currency that was asked for.
    pub amount: Amount,
    /// The rate.
    pub rate: Rate,
}

/// Where a conversion's rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Both currencies are the same: there is nothing to convert.
    Identity,
    /// A euro reference rate of the European Central Bank.
    Ecb {
        /// The day it was published.
        date: Date,
        /// Units of the amount's own currency for one euro.
        from: Quote,
        /// Units of the other currency for one euro.
        to: Quote,
    },
}

impl Rate {
    /// The source's name on a row of the ledger: `identity` or `ECB`.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Ecb { .. } => "ECB",
        }
    }
}

/// Why an amount has no value in another currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconverted {
    /// No rates were published on the date or in the [`RateTable::AGE_DAYS_MAX`] days before it. An import may bring them.
    NoDay,
    /// The last day before has no quote of this currency: the cell is `N/A`, or the source does not know the currency.
    NoQuote {
        /// The currency.
        currency: Currency,
        /// The day whose quote is missing.
        date: Date,
    },
    /// The result has more minor units than an `i64` holds. No import will change that.
    OutOfRange,
}

impl fmt::Display for Unconverted {
    /// What is missing, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDay => write!(
                f,
                "no rates were published on the event's date or in the {} days before it; import newer rates",
                RateTable::AGE_DAYS_MAX
            ),
            Self::NoQuote { currency, date } => {
                write!(f, "there is no rate of {currency} on {date}; import rates that have one")
            }
            Self::OutOfRange => f.write_str("the converted amount is too large"),
        }
    }
}
