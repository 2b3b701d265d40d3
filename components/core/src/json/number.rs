//! Numbers: their syntax, whether a double holds them exactly, and how ECMAScript writes them.
//!
//! A literal of at most 15 significant digits always comes back from a double unchanged, so for nearly all numbers
//! everything is decided on the digits. Only longer ones are converted, to compare the digits with the double's own.

use core::fmt::Write;

use super::{Malformed, Numbers, Problem, Text};

/// Where a number ends and what its canonical form is.
pub(super) struct Scan {
    pub(super) end: usize,
    /// The end of the literal's canonical prefix; 0 where the canonical form is not a prefix of the literal.
    pub(super) plain_end: usize,
}

/// Digits that any literal in the common range of exponents may have and still come back from a double unchanged.
const EXACT_DIGITS: u32 = 15;

/// Reads the number that starts at `start` with a minus or a digit.
#[inline]
pub(super) fn scan(bytes: &[u8], start: usize, numbers: Numbers) -> Result<Scan, Malformed> {
    let byte = |at: usize| bytes.get(at).copied();
    let whole = if byte(start) == Some(b'-') { start.wrapping_add(1) } else { start };
    let point = match byte(whole) {
        Some(b'0') => whole.wrapping_add(1),
        Some(b'1'..=b'9') => skip_digits(bytes, whole),
        _ => return refuse_syntax(bytes, whole),
    };
    let mut end = point;
    let mut plain_end = point;
    match byte(point) {
        Some(b'.') => {
            end = skip_digits(bytes, point.wrapping_add(1));
            let fraction = bytes.get(point.wrapping_add(1)..end).unwrap_or_default();
            if fraction.is_empty() {
                return refuse_syntax(bytes, end);
            }
            if let Some(last) = fraction.iter().rposition(|digit| *digit != b'0') {
                plain_end = point.wrapping_add(2).wrapping_add(last);
            }
        }
        Some(b'0'..=b'9') => return refuse_syntax(bytes, point),
        _ => {}
    }
    if matches!(byte(end), Some(b'e' | b'E')) {
        let sign = end.wrapping_add(1);
        let digits = if matches!(byte(sign), Some(b'+' | b'-')) { sign.wrapping_add(1) } else { sign };
        end = skip_digits(bytes, digits);
        if end == digits {
            return refuse_syntax(bytes, end);
        }
        plain_end = 0;
    } else if byte(whole) == Some(b'0') {
        // Below 1: plain from 0.000001 up, and `-0` is `0`.
        let leading = bytes.get(point..plain_end).unwrap_or_default();
        let tiny = leading.iter().skip(1).take(6).all(|digit| *digit == b'0');
        if tiny && (plain_end != point || whole != start) {
            plain_end = 0;
        }
    }
    // One position may be the point: one digit too few for the short way costs time only.
    if plain_end == 0 || plain_end.wrapping_sub(whole) > super::wide(EXACT_DIGITS) {
        plain_end = 0;
        let literal = bytes.get(start..end).unwrap_or_default();
        if !is_exact(literal) {
            match numbers {
                Numbers::Exact => return Err(Malformed { offset: start, problem: inexact(literal) }),
                // All of it is kept: no shorter form has its value.
                Numbers::AsWritten => plain_end = end,
            }
        }
    }
    Ok(Scan { end, plain_end })
}

/// What is wrong with a number that no double holds: an integer is nearly always an id, anything else a float.
#[cold]
fn inexact(literal: &[u8]) -> Problem {
    if literal.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) {
        Problem::IntegerInexact
    } else {
        Problem::NumberInexact
    }
}

#[cold]
fn refuse_syntax(bytes: &[u8], at: usize) -> Result<Scan, Malformed> {
    let problem = if at < bytes.len() { Problem::NumberSyntax } else { Problem::EndOfInput };
    Err(Malformed { offset: at, problem })
}

#[inline]
fn skip_digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at = at.wrapping_add(1);
    }
    at
}

/// Whether the nearest double, written as ECMAScript does, has the literal's very value.
pub(super) fn is_exact(literal: &[u8]) -> bool {
    let Some(decimal) = Decimal::read(literal) else { return false };
    // Zero has no digits, and is exact.
    let digits = decimal.coefficient.checked_ilog10().map_or(0, |last| last.saturating_add(1));
    let magnitude = decimal.exponent.saturating_add(i64::from(digits));
    match (digits, magnitude) {
        (..=EXACT_DIGITS, -300..=300) => true,
        // The smallest double is 5e-324, the largest 1.8e308, and none needs more than 17 digits.
        (..=17, -323..=309) => parse(literal).is_some_and(|double| decimal.is_shortest(double.abs())),
        _ => false,
    }
}

/// A number as its significant digits: `coefficient` × 10^`exponent`, where the coefficient has no trailing zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    coefficient: u64,
    exponent: i64,
}

impl Decimal {
    /// A well-formed literal, or `None` where it has more than 19 significant digits.
    pub(crate) fn read(literal: &[u8]) -> Option<Self> {
        let mut decimal = Self { negative: false, coefficient: 0, exponent: 0 };
        // Zeros after the last significant digit so far.
        let mut zeros = 0_u32;
        let mut in_fraction = false;
        let mut rest = literal.iter();
        for byte in rest.by_ref() {
            match byte {
                b'-' => decimal.negative = true,
                b'.' => in_fraction = true,
                b'e' | b'E' => break,
                digit => {
                    decimal.exponent = decimal.exponent.saturating_sub(i64::from(in_fraction));
                    if *digit != b'0' {
                        let digit = u64::from(digit.wrapping_sub(b'0'));
                        let shift =
                            if zeros == 0 { 10 } else { 10_u64.checked_pow(zeros.saturating_add(1))? };
                        decimal.coefficient = decimal.coefficient.checked_mul(shift)?.checked_add(digit)?;
                        zeros = 0;
                    } else if decimal.coefficient != 0 {
                        zeros = zeros.saturating_add(1);
                    }
                }
            }
        }
        if decimal.coefficient == 0 {
            return Some(Self { negative: false, coefficient: 0, exponent: 0 });
        }
        let mut negative = false;
        let mut power = 0_i64;
        for byte in rest {
            match byte {
                b'-' => negative = true,
                b'+' => {}
                digit => {
                    let digit = i64::from(digit.wrapping_sub(b'0'));
                    power = power.saturating_mul(10).saturating_add(digit);
                }
            }
        }
        let power = if negative { power.saturating_neg() } else { power };
        decimal.exponent = decimal.exponent.saturating_add(i64::from(zeros)).saturating_add(power);
        Some(decimal)
    }

    /// Whether ECMAScript writes `double`, the one nearest to this number, with this very value.
    fn is_shortest(self, double: f64) -> bool {
        let mut text = Text::<48>::EMPTY;
        let Some(shortest) =
            write!(text, "{double:e}").ok().and_then(|()| Self::read(text.as_str().as_bytes()))
        else {
            return false;
        };
        // Of two that are as short and as near, ECMAScript takes the even one, where both come back as this double. Next to a
        // power of two they need not: the doubles below it are twice as dense, so that only the larger one may come back.
        let tenfold = self.coefficient.saturating_mul(10);
        let sibling = if self.is_middle(tenfold.saturating_add(5), double) {
            self.coefficient.saturating_add(1)
        } else if self.is_middle(tenfold.saturating_sub(5), double) {
            self.coefficient.saturating_sub(1)
        } else {
            return shortest.coefficient == self.coefficient && shortest.exponent == self.exponent;
        };
        let is_as_short = shortest.coefficient.checked_ilog10() == self.coefficient.checked_ilog10();
        is_as_short && (self.coefficient.is_multiple_of(2) || !self.comes_back(sibling, 0, double))
    }

    /// Whether `coefficient` × 10^(`self.exponent` + `shift`) is read as `double`.
    fn comes_back(self, coefficient: u64, shift: i64, double: f64) -> bool {
        let mut text = Text::<48>::EMPTY;
        write!(text, "{coefficient}e{}", self.exponent.saturating_add(shift)).is_ok()
            && parse(text.as_str().as_bytes()).is_some_and(|read| read.to_bits() == double.to_bits())
    }

    /// Whether `double` is exactly `coefficient`, an odd number, × 10^(`self.exponent` − 1).
    fn is_middle(self, coefficient: u64, double: f64) -> bool {
        let power = self.exponent.saturating_sub(1);
        let fives = u32::try_from(power.unsigned_abs()).ok().and_then(|power| 5_u64.checked_pow(power));
        // 10^power is 5^power and a shift: what is left of the coefficient must fit into the 53 bits.
        let significand = match fives {
            Some(fives) if power >= 0 => coefficient.checked_mul(fives),
            Some(fives) => {
                coefficient.checked_div(fives).filter(|left| left.checked_mul(fives) == Some(coefficient))
            }
            None => None,
        };
        significand.is_some_and(|significand| significand < 1 << 53)
            && self.comes_back(coefficient, -1, double)
    }

    /// The number as ECMAScript's `Number::toString` writes it (RFC 8785 §3.2.2.3).
    pub(crate) fn write(self) -> Text<32> {
        // At most 25 characters come (`-0.00000` and 17 digits), so nothing is cut off.
        let mut text = Text::EMPTY;
        let _fits = self.write_to(&mut text);
        text
    }

    fn write_to(self, text: &mut Text<32>) -> Option<()> {
        if self.negative {
            text.push('-')?;
        }
        let mut digits = [0; 20];
        let digits = digits_of(self.coefficient, &mut digits);
        let count = i64::try_from(digits.len()).ok()?;
        let point = self.exponent.saturating_add(count);
        let zeros = |text: &mut Text<32>, count: i64| (0..count).try_for_each(|_| text.push('0'));
        if self.exponent >= 0 && point <= 21 {
            text.push_str(digits)?;
            zeros(text, self.exponent)
        } else if point > 0 && point <= 21 {
            let (whole, fraction) = digits.split_at_checked(usize::try_from(point).ok()?)?;
            text.push_str(whole)?;
            text.push('.')?;
            text.push_str(fraction)
        } else if point > -6 && point <= 0 {
            text.push_str("0.")?;
            zeros(text, point.saturating_neg())?;
            text.push_str(digits)
        } else {
            let (first, rest) = digits.split_at_checked(1)?;
            text.push_str(first)?;
            if !rest.is_empty() {
                text.push('.')?;
                text.push_str(rest)?;
            }
            let power = point.saturating_sub(1);
            text.push_str(if power < 0 { "e-" } else { "e+" })?;
            text.push_str(digits_of(power.unsigned_abs(), &mut [0; 20]))
        }
    }
}

/// The double nearest to a literal, or `None` beyond the largest.
fn parse(literal: &[u8]) -> Option<f64> {
    core::str::from_utf8(literal).ok()?.parse().ok().filter(|double: &f64| double.is_finite())
}

/// The number's decimal digits, written to the end of `buffer`; a `u64` has 20 at the most.
fn digits_of(number: u64, buffer: &mut [u8; 20]) -> &str {
    let mut rest = number;
    let mut count = 0_usize;
    for slot in buffer.iter_mut().rev() {
        *slot = u8::try_from(rest % 10).unwrap_or(0).wrapping_add(b'0');
        count = count.saturating_add(1);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let digits = buffer.get(20_usize.saturating_sub(count)..).unwrap_or_default();
    core::str::from_utf8(digits).unwrap_or_default()
}
