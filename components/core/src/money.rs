//! Money: exact decimals in a currency, never a float (source §4.3, §13 mistake 3).

use core::fmt;

pub use crate::currency::Currency;

/// An amount of money: a whole number of the currency's minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Amount {
    /// Minor units: 10000 for 100.00 USD, 100 for 100 JPY.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Amount {
    /// Reads a JSON number as it was written: `100.00`, `100` and `1e2` are the same amount.
    ///
    /// The value is taken exactly, digit by digit; a float would have lost cents before the check could see them.
    ///
    /// # Errors
    /// An [`AmountProblem`] where the text is not a JSON number (RFC 8259 §6), has a non-zero digit beyond the currency's
    /// decimals (nothing is ever rounded), or more minor units than an `i64` holds.
    pub fn parse(literal: &str, currency: Currency) -> Result<Self, AmountProblem> {
        let (negative, magnitude) = match literal.as_bytes() {
            [b'-', magnitude @ ..] => (true, magnitude),
            magnitude => (false, magnitude),
        };
        let minor = minor_units(magnitude, currency.decimals())?;
        let minor =
            if negative { 0_i64.checked_sub_unsigned(minor) } else { 0_i64.checked_add_unsigned(minor) };
        Ok(Self { minor: minor.ok_or(AmountProblem::TooLarge)?, currency })
    }
}

impl fmt::Display for Amount {
    /// The amount with all of its currency's decimals, and the code: `100.00 USD`, `-0.05 EUR`, `100 JPY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let unit = 10_u64.pow(u32::from(self.currency.decimals()));
        let minor = self.minor.unsigned_abs();
        let whole = minor.checked_div(unit).unwrap_or(minor);
        write!(f, "{sign}{whole}")?;
        if self.currency.decimals() > 0 {
            let fraction = minor.checked_rem(unit).unwrap_or(0);
            write!(f, ".{fraction:0width$}", width = usize::from(self.currency.decimals()))?;
        }
        write!(f, " {}", self.currency)
    }
}

/// Why a text is not an amount in a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountProblem {
    /// Not a JSON number.
    NotANumber,
    /// A digit that is not zero stands beyond the currency's decimals.
    TooManyDecimals,
    /// More minor units than 9,223,372,036,854,775,807.
    TooLarge,
}

impl AmountProblem {
    /// What to send instead; public text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotANumber => "send a JSON number such as 100.00",
            Self::TooManyDecimals => {
                "send no more decimals than the currency has in ISO 4217 (USD 2, JPY 0, KWD 3); nothing is rounded"
            }
            Self::TooLarge => "send an amount of at most 9223372036854775807 minor units",
        }
    }
}

/// The value of an unsigned JSON number in units of `10^-decimals`.
fn minor_units(literal: &[u8], decimals: u8) -> Result<u64, AmountProblem> {
    let (whole, rest) = digits(literal);
    if whole.is_empty() || matches!(whole, [b'0', _, ..]) {
        return Err(AmountProblem::NotANumber);
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => match digits(rest) {
            ([], _) => return Err(AmountProblem::NotANumber),
            split => split,
        },
        rest => (&[][..], rest),
    };
    let exponent = exponent(rest)?;

    // The digits without trailing zeros are the coefficient; `places` is how many decimal places further left its last
    // digit stands than the last one written.
    let mut coefficient = Some(0_u64);
    let mut places = 0_i64;
    for digit in whole.iter().chain(fraction).map(|byte| u64::from(byte & 0x0F)) {
        if digit == 0 {
            places = places.saturating_add(1);
        } else {
            coefficient = coefficient
                .and_then(|value| scaled(value, places.saturating_add(1)))
                .and_then(|value| value.checked_add(digit));
            places = 0;
        }
    }
    if coefficient == Some(0) {
        return Ok(0);
    }
    let fraction_digits = i64::try_from(fraction.len()).map_err(|_| AmountProblem::TooManyDecimals)?;
    let scale =
        exponent.saturating_add(places).saturating_add(i64::from(decimals)).saturating_sub(fraction_digits);
    if scale < 0 {
        return Err(AmountProblem::TooManyDecimals);
    }
    coefficient.and_then(|value| scaled(value, scale)).ok_or(AmountProblem::TooLarge)
}

/// The leading ASCII digits, and what follows them.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(length).unwrap_or((&[], text))
}

/// Reads an optional exponent, which must be the rest of the literal; beyond `i32` it is as good as infinite.
fn exponent(text: &[u8]) -> Result<i64, AmountProblem> {
    let (negative, text) = match text {
        [] => return Ok(0),
        [b'e' | b'E', b'-', text @ ..] => (true, text),
        [b'e' | b'E', b'+', text @ ..] | [b'e' | b'E', text @ ..] => (false, text),
        _ => return Err(AmountProblem::NotANumber),
    };
    let (digits, []) = digits(text) else {
        return Err(AmountProblem::NotANumber);
    };
    if digits.is_empty() {
        return Err(AmountProblem::NotANumber);
    }
    let magnitude = digits.iter().fold(0_i64, |value, byte| {
        value.saturating_mul(10).saturating_add(i64::from(byte & 0x0F)).min(i64::from(i32::MAX))
    });
    Ok(if negative { 0_i64.saturating_sub(magnitude) } else { magnitude })
}

/// `value × 10^places`, where a `u64` holds it; zero scales to zero whatever the places.
fn scaled(value: u64, places: i64) -> Option<u64> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10_u64.checked_pow(u32::try_from(places).ok()?)?)
}
