//! Exchange: quotes and dates by table, conversions against big integers, ties for every pair of exponents, the rate's day.
#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "a test that stops has failed")]

use countersign_core::money::{Amount, Currency};
use countersign_core::time::Timestamp;
use countersign_ledger::fx::{
    Code, Conversion, Date, Day, OutOfRange, Quote, QuoteProblem, Rate, RateTable, Unconverted, convert,
};
use num_bigint::BigInt;

fn currency(code: &str) -> Currency {
    Currency::of(code).unwrap()
}

fn quote(text: &str) -> Quote {
    Quote::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
}

fn date(text: &str) -> Date {
    Date::parse(text).unwrap()
}

/// One currency for each number of decimals that there is.
const BY_DECIMALS: [(&str, u32); 4] = [("JPY", 0), ("USD", 2), ("KWD", 3), ("CLF", 4)];

#[test]
fn a_quote_is_an_exact_decimal() {
    use QuoteProblem::{NotANumber, NotPositive, TooManyDigits};
    for (text, expected) in [
        ("1", Ok("1")),
        ("1.1172", Ok("1.1172")),
        ("20275.17", Ok("20275.17")),
        ("1.10", Ok("1.1")),
        ("136.000000000000", Ok("136")),
        ("0.582", Ok("0.582")),
        ("1000", Ok("1000")),
        ("999999999", Ok("999999999")),
        ("0.000000001", Ok("0.000000001")),
        ("0.999999999", Ok("0.999999999")),
        ("1.23456789", Ok("1.23456789")),
        ("1000000000", Err(TooManyDigits)),
        ("10.00000001", Err(TooManyDigits)),
        ("4294967296", Err(TooManyDigits)),
        ("0.0000000001", Err(TooManyDigits)),
        ("1.0000000001", Err(TooManyDigits)),
        ("0", Err(NotPositive)),
        ("0.000", Err(NotPositive)),
        ("-1.5", Err(NotPositive)),
        ("-0", Err(NotPositive)),
        ("", Err(NotANumber)),
        ("-", Err(NotANumber)),
        (".5", Err(NotANumber)),
        ("1.", Err(NotANumber)),
        ("01.5", Err(NotANumber)),
        ("00", Err(NotANumber)),
        ("1.2.3", Err(NotANumber)),
        ("1,5", Err(NotANumber)),
        ("1e3", Err(NotANumber)),
        ("+1", Err(NotANumber)),
        (" 1", Err(NotANumber)),
        ("N/A", Err(NotANumber)),
        ("\u{661}", Err(NotANumber)),
    ] {
        assert_eq!(
            Quote::parse(text).map(|quote| quote.to_string()).as_deref(),
            expected.as_ref().copied(),
            "{text:?}"
        );
    }
}

#[test]
fn a_date_is_a_day_that_exists() {
    for (text, days) in [
        ("1970-01-01", Some(0)),
        ("1970-01-02", Some(1)),
        ("2000-02-29", Some(11_016)),
        ("2026-10-30", Some(20_756)),
        ("9999-12-31", Some(2_932_896)),
        ("1969-12-31", None),
        ("2025-02-29", None),
        ("2025-13-01", None),
        ("2025-1-01", None),
        ("2025-01-01T", None),
        ("20250101", None),
        ("2025/01/01", None),
        (" 2025-01-01", None),
        ("2025-01-0\u{661}", None),
        ("", None),
    ] {
        assert_eq!(Date::parse(text).map(Date::days), days, "{text:?}");
        if let Some(days) = days {
            assert_eq!(Date::from_days(days).unwrap().to_string(), text);
        }
    }
    assert_eq!(Date::from_days(2_932_897), None);
    let last_ms = Timestamp::parse_rfc3339("2026-10-30T23:59:59.999Z").unwrap();
    assert_eq!(Date::of(last_ms), date("2026-10-30"));
    assert_eq!(Date::of(last_ms.plus_ms(1)), date("2026-10-31"));
    assert_eq!(Date::of(Timestamp::MAX), date("9999-12-31"));
    assert_eq!(date("1970-01-03").minus_days(9), date("1970-01-01"));
    assert_eq!(date("2026-10-30").start(), Timestamp::parse_rfc3339("2026-10-30T00:00:00Z").unwrap());
}

#[test]
fn a_conversion_is_exact_and_rounded_once() {
    for (minor, from, from_quote, to, to_quote, expected) in [
        (10_000, "USD", "1.1172", "EUR", "1", Ok(8951)),
        (10_000, "EUR", "1", "USD", "1.1172", Ok(11_172)),
        (10_000, "USD", "1.1172", "GBP", "0.8338", Ok(7463)),
        // 0.01 USD are 0.00895… EUR; rounded to 0.01 EUR in between, they would make 202.75 IDR.
        (1, "USD", "1.1172", "IDR", "20275.17", Ok(18_148)),
        (10_000, "USD", "1.1172", "JPY", "175.68", Ok(15_725)),
        (15_725, "JPY", "175.68", "USD", "1.1172", Ok(10_000)),
        (1_000, "KWD", "0.34", "JPY", "175.68", Ok(517)),
        (0, "USD", "1.1172", "JPY", "175.68", Ok(0)),
        (-10_000, "USD", "1.1172", "JPY", "175.68", Ok(-15_725)),
        // Ties go to the even neighbour, on both sides of zero.
        (1, "USD", "2", "EUR", "1", Ok(0)),
        (3, "USD", "2", "EUR", "1", Ok(2)),
        (5, "USD", "2", "EUR", "1", Ok(2)),
        (7, "USD", "2", "EUR", "1", Ok(4)),
        (-1, "USD", "2", "EUR", "1", Ok(0)),
        (-3, "USD", "2", "EUR", "1", Ok(-2)),
        (-5, "USD", "2", "EUR", "1", Ok(-2)),
        // One part in 10^9 beside a tie is none.
        (1, "USD", "1.99999999", "EUR", "1", Ok(1)),
        (1, "USD", "2.00000001", "EUR", "1", Ok(0)),
        // The ends of an i64 are in range; one beyond is not, and rounding may be what goes beyond.
        (i64::MAX, "USD", "1", "EUR", "1", Ok(i64::MAX)),
        (i64::MIN, "USD", "1", "EUR", "1", Ok(i64::MIN)),
        (i64::MAX, "USD", "1", "EUR", "1.00000001", Err(OutOfRange)),
        (i64::MIN, "USD", "1", "EUR", "1.00000001", Err(OutOfRange)),
        (92_233_720_368_547_758, "JPY", "1", "EUR", "1", Ok(9_223_372_036_854_775_800)),
        (92_233_720_368_547_759, "JPY", "1", "EUR", "1", Err(OutOfRange)),
        (9_223_372_036_854_775_805, "USD", "0.999999999", "EUR", "1", Err(OutOfRange)),
        // The largest product that there is, and the smallest quotient.
        (i64::MAX, "JPY", "0.000000001", "CLF", "999999999", Err(OutOfRange)),
        (i64::MIN, "JPY", "0.000000001", "CLF", "999999999", Err(OutOfRange)),
        (i64::MAX, "CLF", "999999999", "JPY", "0.000000001", Ok(0)),
        (1, "JPY", "0.000000001", "CLF", "999999999", Err(OutOfRange)),
        (1, "JPY", "0.00001", "CLF", "999999999", Ok(999_999_999_000_000_000)),
    ] {
        let amount = Amount { minor, currency: currency(from) };
        let converted = convert(amount, currency(to), quote(from_quote), quote(to_quote));
        assert_eq!(converted, expected, "{amount} at {from_quote} to {to} at {to_quote}");
    }
}

#[test]
fn a_tie_goes_to_the_even_minor_unit_between_all_exponents() {
    for (from, from_decimals) in BY_DECIMALS {
        for (to, to_decimals) in BY_DECIMALS {
            // `count` halves of the target's minor unit, made from one whole unit of the source at a quote to fit.
            for count in [1_i64, 3, 5, 7, 101, 12_345, 99_999] {
                let even = (count / 2) + (count / 2) % 2;
                // count / (2 × 10^to) units of the target for one of the source.
                let digits = 5 * count;
                let scaled = format!("{digits:0width$}", width = usize::try_from(to_decimals).unwrap() + 2);
                let (whole, fraction) =
                    scaled.split_at(scaled.len() - usize::try_from(to_decimals).unwrap() - 1);
                let to_quote = quote(&format!("{whole}.{fraction}"));
                for sign in [1, -1] {
                    let minor = sign * 10_i64.pow(from_decimals);
                    let amount = Amount { minor, currency: currency(from) };
                    assert_eq!(
                        convert(amount, currency(to), Quote::EURO, to_quote),
                        Ok(sign * even),
                        "{amount} at {to_quote} to {to}: {count} halves"
                    );
                }
            }
        }
    }
}

/// Whether `result` is the rounding of the exact quotient, or its absence is right; in integers without a bound.
fn check(amount: Amount, to: Currency, from_quote: &str, to_quote: &str, result: Result<i64, OutOfRange>) {
    let ten = |power: usize| BigInt::from(10).pow(u32::try_from(power).unwrap());
    let split = |text: &str| {
        let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        (text.replace('.', "").parse::<BigInt>().unwrap(), decimals)
    };
    let ((from, from_decimals), (into, into_decimals)) = (split(from_quote), split(to_quote));
    let numerator = BigInt::from(amount.minor) * into * ten(from_decimals) * ten(to.decimals().into());
    let denominator = from * ten(into_decimals) * ten(amount.currency.decimals().into());
    let context = format!("{amount} at {from_quote} to {to} at {to_quote}: {result:?}");
    match result {
        Ok(minor) => {
            let twice_off: BigInt = (BigInt::from(minor) * &denominator - numerator) * 2;
            let off = twice_off.magnitude();
            let limit = denominator.magnitude();
            assert!(off < limit || (off == limit && minor % 2 == 0), "{context}");
        }
        Err(OutOfRange) => {
            // Beyond both roundings that are still in range: MAX is odd, so a tie above it goes up; MIN is even.
            let twice = numerator * 2;
            let above = twice >= (BigInt::from(i64::MAX) * 2 + 1) * &denominator;
            let below = twice < (BigInt::from(i64::MIN) * 2 - 1) * &denominator;
            assert!(above || below, "{context}");
        }
    }
}

/// A generator of the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn quote(&mut self) -> String {
        let mantissa_end = 10_u64.pow(1 + u32::try_from(self.below(9)).unwrap());
        let mantissa = 1 + self.below(mantissa_end - 1);
        let decimals = usize::try_from(self.below(10)).unwrap();
        let digits = format!("{mantissa:0width$}", width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }
}

#[test]
fn conversions_agree_with_big_integers() {
    let mut random = Random(7);
    let (mut in_range, mut out_of_range) = (0, 0);
    for _ in 0..200_000 {
        let mut pick = || currency(BY_DECIMALS[usize::try_from(random.below(4)).unwrap()].0);
        let (from, to) = (pick(), pick());
        let shift = random.below(64);
        let minor = (random.next() >> shift).cast_signed();
        let minor = if random.below(2) == 0 { minor } else { minor.wrapping_neg() };
        let (from_quote, to_quote) = (random.quote(), random.quote());
        let amount = Amount { minor, currency: from };
        let result = convert(amount, to, quote(&from_quote), quote(&to_quote));
        check(amount, to, &from_quote, &to_quote, result);
        if let Some(minor) = minor.checked_neg() {
            let opposite =
                convert(Amount { minor, currency: from }, to, quote(&from_quote), quote(&to_quote));
            if result != Ok(i64::MIN) && opposite != Ok(i64::MIN) {
                assert_eq!(opposite, result.map(|minor| -minor), "{amount} has no mirror image");
            }
        }
        match result {
            Ok(_) => in_range += 1,
            Err(OutOfRange) => out_of_range += 1,
        }
    }
    assert!(in_range > 50_000 && out_of_range > 20_000, "{in_range} in range, {out_of_range} out of range");
}

fn table(days: &[(&str, &[(&str, &str)])]) -> RateTable {
    let day = |(day, quotes): &(&str, &[(&str, &str)])| Day {
        date: date(day),
        quotes: quotes.iter().map(|(code, text)| (Code::new(code).unwrap(), quote(text))).collect(),
    };
    days.iter().map(day).collect()
}

#[test]
fn the_rate_is_that_of_the_last_published_day() {
    let table = table(&[
        ("2026-10-09", &[("USD", "1.5"), ("RUB", "80")]),
        ("2026-10-16", &[("USD", "2"), ("JPY", "150"), ("RUB", "90")]),
        // Published, and without the rouble.
        ("2026-10-19", &[("USD", "4"), ("JPY", "160")]),
    ]);
    let on = |day: &str, from: &str, to: &str| {
        table.convert(Amount { minor: 600, currency: currency(from) }, currency(to), date(day)).map(
            |Conversion { amount, rate }| {
                assert_eq!(amount.currency, currency(to));
                (amount.minor, rate)
            },
        )
    };
    let ecb = |day, from, to| Rate::Ecb { date: date(day), from: quote(from), to: quote(to) };
    let no_quote = |code, day| Err(Unconverted::NoQuote { currency: currency(code), date: date(day) });

    assert_eq!(on("2026-10-16", "USD", "EUR"), Ok((300, ecb("2026-10-16", "2", "1"))), "the day itself");
    assert_eq!(
        on("2026-10-18", "USD", "EUR"),
        Ok((300, ecb("2026-10-16", "2", "1"))),
        "a Sunday has Friday's"
    );
    assert_eq!(on("2026-10-19", "USD", "EUR"), Ok((150, ecb("2026-10-19", "4", "1"))));
    assert_eq!(on("2026-10-26", "USD", "EUR"), Ok((150, ecb("2026-10-19", "4", "1"))), "7 days old");
    assert_eq!(on("2026-10-27", "USD", "EUR"), Err(Unconverted::NoDay), "8 days old");
    assert_eq!(on("2026-10-08", "USD", "EUR"), Err(Unconverted::NoDay), "before the first");
    assert_eq!(on("2026-10-18", "RUB", "USD"), Ok((13, ecb("2026-10-16", "90", "2"))));
    assert_eq!(
        on("2026-10-19", "RUB", "USD"),
        no_quote("RUB", "2026-10-19"),
        "N/A is not the day before's rate"
    );
    assert_eq!(on("2026-10-19", "USD", "RUB"), no_quote("RUB", "2026-10-19"));
    assert_eq!(on("2026-10-19", "EUR", "RUB"), no_quote("RUB", "2026-10-19"));
    assert_eq!(
        on("2026-10-19", "KWD", "RUB"),
        no_quote("KWD", "2026-10-19"),
        "the source currency comes first"
    );
    assert_eq!(on("2026-10-19", "EUR", "JPY"), Ok((960, ecb("2026-10-19", "1", "160"))));
    assert_eq!(on("2026-10-19", "USD", "JPY"), Ok((240, ecb("2026-10-19", "4", "160"))));
    for same in ["EUR", "USD", "KWD"] {
        assert_eq!(on("1970-01-01", same, same), Ok((600, Rate::Identity)), "no rate is needed");
    }
    assert_eq!(
        table.convert(
            Amount { minor: i64::MAX, currency: currency("EUR") },
            currency("USD"),
            date("2026-10-19")
        ),
        Err(Unconverted::OutOfRange)
    );
    assert_eq!((Rate::Identity.source(), ecb("2026-10-19", "1", "160").source()), ("identity", "ECB"));
}

#[test]
fn a_day_that_comes_again_replaces_what_was_known_of_it() {
    let mut table = table(&[("2026-10-19", &[("USD", "4"), ("JPY", "160")])]);
    table.insert(Day { date: date("2026-10-19"), quotes: vec![(Code::new("USD").unwrap(), quote("5"))] });
    let amount = Amount { minor: 500, currency: currency("USD") };
    let converted = table.convert(amount, currency("EUR"), date("2026-10-19")).unwrap();
    assert_eq!(converted.amount.to_string(), "1.00 EUR");
    let yen = Amount { minor: 500, currency: currency("JPY") };
    assert!(matches!(
        table.convert(yen, currency("EUR"), date("2026-10-19")),
        Err(Unconverted::NoQuote { .. })
    ));
}

#[test]
fn what_is_missing_is_said() {
    let missing = Unconverted::NoQuote { currency: currency("RUB"), date: date("2022-03-02") };
    assert_eq!(missing.to_string(), "there is no rate of RUB on 2022-03-02; import rates that have one");
    assert!(Unconverted::NoDay.to_string().contains("7 days"));
}
