//! Instants: milliseconds since the Unix epoch, and RFC 3339 in UTC only (source §7).

use core::fmt;

use crate::text::Text;

/// An instant: whole milliseconds since 1970-01-01T00:00:00Z. Range: 0 to 9999-12-31T23:59:59.999Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The longest text that [`Timestamp::parse_rfc3339`] reads, in bytes.
    pub const RFC3339_BYTES_MAX: usize = 64;

    /// The instant `milliseconds` after the Unix epoch; later than [`Timestamp::MAX`] becomes `MAX`.
    #[must_use]
    pub const fn from_ms(milliseconds: u64) -> Self {
        if milliseconds > Self::MAX.0 { Self::MAX } else { Self(milliseconds) }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// How far this instant, by a sender's clock, is ahead of `ours`, in milliseconds; negative where it is in the past.
    #[must_use]
    pub const fn skew_ms(self, ours: Self) -> i64 {
        // Both are at most `MAX`, hence far inside an `i64`.
        self.0.cast_signed().saturating_sub(ours.0.cast_signed())
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This instant plus `milliseconds`, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus_ms(self, milliseconds: u64) -> Self {
        Self::from_ms(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to this instant; 0 where `earlier` is not earlier.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads an RFC 3339 date and time in UTC, such as `2025-10-21T15:12:31Z` or `2025-10-21t15:12:31.5z`.
    ///
    /// A fraction of a second may have any number of digits; what is finer than a millisecond is cut off, never rounded,
    /// so that no event moves into the next second or day. A leap second (`23:59:60` at the end of June or December, the
    /// two places RFC 3339 §5.7 names) becomes the last millisecond of its day: Unix time has no place for it, and the
    /// next day would be the wrong one in every report (source §13, mistake 2).
    ///
    /// # Errors
    /// A [`TimeProblem`] where the text has another form, an offset other than `Z` (`+00:00` too: the source §7 has one
    /// way to write a time), names a date or time that does not exist, or is before 1970.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeProblem> {
        let bytes = text.as_bytes();
        if bytes.len() > Self::RFC3339_BYTES_MAX {
            return Err(TimeProblem::Form);
        }
        let Some((
            &[y3, y2, y1, y0, b'-', o1, o0, b'-', d1, d0, b'T' | b't', h1, h0, b':', m1, m0, b':', s1, s0],
            rest,
        )) = bytes.split_first_chunk::<19>()
        else {
            return Err(TimeProblem::Form);
        };
        let year = number(&[y3, y2, y1, y0])?;
        let (month, day) = (number(&[o1, o0])?, number(&[d1, d0])?);
        let (hour, minute, second) = (number(&[h1, h0])?, number(&[m1, m0])?, number(&[s1, s0])?);
        let milliseconds = fraction_and_zone(rest)?;

        if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
            return Err(TimeProblem::NoSuchInstant);
        }
        let leap_second =
            second == 60 && hour == 23 && minute == 59 && matches!((month, day), (6, 30) | (12, 31));
        if hour > 23 || minute > 59 || (second > 59 && !leap_second) {
            return Err(TimeProblem::NoSuchInstant);
        }
        if year < 1970 {
            return Err(TimeProblem::BeforeEpoch);
        }
        let (second, milliseconds) = if leap_second { (59, 999) } else { (second, milliseconds) };
        Ok(Self(instant(Civil { year, month, day, hour, minute, second, milliseconds })))
    }

    /// The instant as RFC 3339 with milliseconds, always 24 characters: `2025-10-21T15:12:31.000Z`. Sorts as it is.
    #[must_use]
    pub fn write_rfc3339(self) -> Text<24> {
        let Civil { year, month, day, hour, minute, second, milliseconds } = civil(self.0);
        let mut text = Text::EMPTY;
        let fields =
            [(year, 4), (month, 2), (day, 2), (hour, 2), (minute, 2), (second, 2), (milliseconds, 3)];
        for ((value, digits), after) in fields.into_iter().zip(["-", "-", "T", ":", ":", ".", "Z"]) {
            let written = push_number(&mut text, value, digits).and_then(|()| text.push_str(after));
            debug_assert!(written.is_some(), "24 characters fit into 24 bytes");
        }
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_rfc3339().fmt(f)
    }
}

/// Why a text is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeProblem {
    /// Not `YYYY-MM-DDThh:mm:ss`, an optional fraction, and a zone; or longer than [`Timestamp::RFC3339_BYTES_MAX`].
    Form,
    /// A local time, or a zone that is not written `Z`.
    NotUtc,
    /// A date or a time of day that does not exist, such as February 30th or 24:00:00.
    NoSuchInstant,
    /// Before 1970-01-01T00:00:00Z.
    BeforeEpoch,
}

impl TimeProblem {
    /// What to send instead; public text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "send an RFC 3339 date and time in UTC, such as 2025-10-21T15:12:31Z",
            Self::NotUtc => {
                "send UTC with a closing Z, such as 2025-10-21T15:12:31Z, not an offset or a local time"
            }
            Self::NoSuchInstant => "send a date and a time of day that exist, such as 2025-10-21T15:12:31Z",
            Self::BeforeEpoch => "send a time of 1970 or later",
        }
    }
}

/// A date and a time of day in UTC.
#[derive(Clone, Copy)]
struct Civil {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    milliseconds: u32,
}

const MS_PER_DAY: u64 = 86_400_000;

/// The value of up to four ASCII digits.
fn number(digits: &[u8]) -> Result<u32, TimeProblem> {
    digits.iter().try_fold(0_u32, |value, digit| {
        if digit.is_ascii_digit() {
            Ok(value.saturating_mul(10).saturating_add(u32::from(digit & 0x0F)))
        } else {
            Err(TimeProblem::Form)
        }
    })
}

/// Reads what follows the seconds: a fraction, as milliseconds, and the zone, which has to be `Z`.
fn fraction_and_zone(text: &[u8]) -> Result<u32, TimeProblem> {
    let (milliseconds, zone) = match text {
        [b'.', fraction @ ..] => {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, zone) = fraction.split_at_checked(length).ok_or(TimeProblem::Form)?;
            let milliseconds = match *digits {
                [] => return Err(TimeProblem::Form),
                [a] => number(&[a, b'0', b'0'])?,
                [a, b] => number(&[a, b, b'0'])?,
                [a, b, c, ..] => number(&[a, b, c])?,
            };
            (milliseconds, zone)
        }
        zone => (0, zone),
    };
    match zone {
        [b'Z' | b'z'] => Ok(milliseconds),
        [] => Err(TimeProblem::NotUtc),
        [b'+' | b'-', h1, h0, b':', m1, m0] if [h1, h0, m1, m0].into_iter().all(u8::is_ascii_digit) => {
            Err(TimeProblem::NotUtc)
        }
        _ => Err(TimeProblem::Form),
    }
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Days of a month of the Gregorian calendar; 0 for a month that does not exist.
const fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Days from 1970-01-01 to January 1st of a year from 1970 to 10000.
#[expect(clippy::arithmetic_side_effects, reason = "for these years every term is between 0 and 3,652,059")]
const fn days_before_year(year: u32) -> u32 {
    let years = year - 1;
    years * 365 + years / 4 - years / 100 + years / 400 - 719_162
}

/// Milliseconds since the epoch of an instant that exists, in 1970 or later.
#[expect(clippy::arithmetic_side_effects, reason = "at most Timestamp::MAX: the caller checked each field")]
fn instant(civil: Civil) -> u64 {
    let months = (1..civil.month).map(|month| days_of_month(civil.year, month)).sum::<u32>();
    let days = days_before_year(civil.year) + months + (civil.day - 1);
    let seconds = (civil.hour * 60 + civil.minute) * 60 + civil.second;
    u64::from(days) * MS_PER_DAY + u64::from(seconds) * 1000 + u64::from(civil.milliseconds)
}

/// The date and time of day of an instant; the inverse of [`instant`].
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a Timestamp has at most 2,932,897 days, and what is taken away was compared first"
)]
fn civil(instant: u64) -> Civil {
    // Both fit: a Timestamp is never beyond MAX.
    let days = u32::try_from(instant / MS_PER_DAY).unwrap_or(0);
    let of_day = u32::try_from(instant % MS_PER_DAY).unwrap_or(0);

    // The mean Gregorian year is a little shorter than 365.25 days, so the first guess is this year or the next too late.
    let mut year = 1970 + days * 400 / 146_097;
    while days_before_year(year) > days {
        year -= 1;
    }
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while month < 12 && day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    Civil {
        year,
        month,
        day: day + 1,
        hour: of_day / 3_600_000,
        minute: of_day / 60_000 % 60,
        second: of_day / 1000 % 60,
        milliseconds: of_day % 1000,
    }
}

/// Appends `value` with exactly `digits` decimal digits.
fn push_number<const N: usize>(text: &mut Text<N>, value: u32, digits: u32) -> Option<()> {
    for place in (0..digits).rev() {
        let digit = value.checked_div(10_u32.checked_pow(place)?)? % 10;
        text.push(char::from_digit(digit, 10)?)?;
    }
    Some(())
}
