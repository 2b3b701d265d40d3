//! Money: the ISO 4217 table, exact amounts by table, and the `quantize` cases of the decimal test suite.
#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "a test that stops has failed")]

mod third_party;

use countersign_core::money::{Amount, AmountProblem, Currency};

fn minor(literal: &str, code: &str) -> Result<i64, AmountProblem> {
    Amount::parse(literal, Currency::of(code).unwrap()).map(|amount| amount.minor)
}

#[test]
fn an_amount_is_its_exact_number_of_minor_units() {
    for (literal, code, units) in [
        ("100.00", "USD", 10_000),
        ("100", "USD", 10_000),
        ("1e2", "USD", 10_000),
        ("1E2", "USD", 10_000),
        ("1E+2", "USD", 10_000),
        ("1e-2", "USD", 1),
        ("0.01", "USD", 1),
        ("0.10", "USD", 10),
        ("10000e-2", "USD", 10_000),
        ("0.0001e4", "USD", 100),
        ("100.000000000000000000000000", "USD", 10_000),
        ("0.07", "USD", 7),
        ("1.15", "USD", 115),
        ("8.41", "USD", 841),
        ("-0", "USD", 0),
        ("-0.00", "USD", 0),
        ("0", "USD", 0),
        ("0e99999999999999999999", "USD", 0),
        ("0.000e-99999999999999999999", "USD", 0),
        ("-1.5", "USD", -150),
        ("100", "JPY", 100),
        ("100.0", "JPY", 100),
        ("1.5e1", "JPY", 15),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12_345),
        ("92233720368547758.07", "USD", i64::MAX),
        ("-92233720368547758.08", "USD", i64::MIN),
        ("9223372036854775807", "JPY", i64::MAX),
        ("9.223372036854775807e18", "JPY", i64::MAX),
    ] {
        assert_eq!(minor(literal, code), Ok(units), "{literal} {code}");
    }
}

#[test]
fn what_is_not_an_exact_amount_is_refused_with_its_reason() {
    use AmountProblem::{NotANumber, TooLarge, TooManyDecimals};
    for (literal, code, problem) in [
        ("100.001", "USD", TooManyDecimals),
        ("0.001", "USD", TooManyDecimals),
        ("1e-3", "USD", TooManyDecimals),
        ("0.1", "JPY", TooManyDecimals),
        ("1.0000000000000000000000001", "USD", TooManyDecimals),
        ("12345678901234567890123.001", "USD", TooManyDecimals),
        ("1e-99999999999999999999", "USD", TooManyDecimals),
        ("1.2345", "KWD", TooManyDecimals),
        ("1.23456", "CLF", TooManyDecimals),
        ("92233720368547758.08", "USD", TooLarge),
        ("-92233720368547758.09", "USD", TooLarge),
        ("9223372036854775808", "JPY", TooLarge),
        ("18446744073709551616", "JPY", TooLarge),
        ("1e17", "USD", TooLarge),
        ("1e99999999999999999999", "USD", TooLarge),
        ("", "USD", NotANumber),
        ("-", "USD", NotANumber),
        ("+1", "USD", NotANumber),
        ("--1", "USD", NotANumber),
        ("01", "USD", NotANumber),
        ("00", "USD", NotANumber),
        (".5", "USD", NotANumber),
        ("5.", "USD", NotANumber),
        ("5.e1", "USD", NotANumber),
        ("1e", "USD", NotANumber),
        ("1e+", "USD", NotANumber),
        ("1e1.0", "USD", NotANumber),
        ("1,00", "USD", NotANumber),
        ("100. 00", "USD", NotANumber),
        ("1_000", "USD", NotANumber),
        ("0x10", "USD", NotANumber),
        (" 1", "USD", NotANumber),
        ("1 ", "USD", NotANumber),
        ("NaN", "USD", NotANumber),
        ("Infinity", "USD", NotANumber),
        ("\u{661}", "USD", NotANumber),
    ] {
        assert_eq!(minor(literal, code), Err(problem), "{literal:?} {code}");
    }
}

#[test]
fn an_amount_is_shown_with_all_its_decimals() {
    for (units, code, text) in [
        (10_000, "USD", "100.00 USD"),
        (5, "USD", "0.05 USD"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "USD", "0.00 USD"),
        (100, "JPY", "100 JPY"),
        (-1, "JPY", "-1 JPY"),
        (1_005, "KWD", "1.005 KWD"),
        (12_345, "CLF", "1.2345 CLF"),
        (i64::MAX, "USD", "92233720368547758.07 USD"),
        (i64::MIN, "USD", "-92233720368547758.08 USD"),
    ] {
        let amount = Amount { minor: units, currency: Currency::of(code).unwrap() };
        assert_eq!(amount.to_string(), text);
        let (number, _) = text.split_once(' ').unwrap();
        assert_eq!(Amount::parse(number, amount.currency), Ok(amount), "{text} is read as it was written");
    }
}

#[test]
fn a_currency_has_one_spelling() {
    for refused in
        ["usd", "Usd", "US", "USDX", "", " USD", "US\u{0}", "$", "840", "XXX", "XAU", "XTS", "HRK", "BTC"]
    {
        assert_eq!(Currency::of(refused), None, "{refused:?}");
    }
}

#[test]
fn the_currency_table_is_iso_4217() {
    let Some(text) = third_party::read("iso-4217/active-codes.csv") else { return };
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("code,numeric,minor_units,"));
    let (mut with_minor_unit, mut without) = (0, 0);
    for line in lines {
        let [code, _numeric, decimals] = line.splitn(4, ',').take(3).collect::<Vec<_>>()[..] else {
            panic!("three columns are needed: {line}");
        };
        let found = Currency::of(code);
        if decimals.is_empty() {
            assert_eq!(found, None, "{code} has no minor unit");
            without += 1;
        } else {
            assert_eq!(
                found.map(|currency| (currency.code(), currency.decimals().to_string())),
                Some((code, decimals.to_owned()))
            );
            with_minor_unit += 1;
        }
    }
    assert_eq!((with_minor_unit, with_minor_unit + without), (Currency::all().count(), 178));
}

/// One operation of the `quantize` file.
struct Case<'t> {
    id: &'t str,
    /// Digits of the widest coefficient that the suite's context holds.
    precision: usize,
    operand: &'t str,
    /// A number in whose last place the result ends.
    like: &'t str,
    result: &'t str,
    /// Nothing but zeros was cut off.
    exact: bool,
}

fn quantize_cases(text: &str) -> Vec<Case<'_>> {
    let mut precision = 0;
    let mut cases = Vec::new();
    for line in text.lines() {
        let words = line.split("--").next().unwrap().split_whitespace().map(|word| word.trim_matches('\''));
        let words = words.collect::<Vec<_>>();
        match words[..] {
            ["precision:", digits] => precision = digits.parse().unwrap(),
            [id, "quantize", operand, like, "->", result, ref flags @ ..] => {
                let exact = !flags.iter().any(|flag| flag.eq_ignore_ascii_case("inexact"));
                cases.push(Case { id, precision, operand, like, result, exact });
            }
            _ => assert!(!words.contains(&"quantize"), "an operation that was not understood: {line}"),
        }
    }
    cases
}

/// The currency whose minor unit is one in the last place of a number such as `0.01` or `1e-2`.
fn currency_by_last_place(number: &str) -> Option<Currency> {
    let number = number.to_ascii_lowercase();
    if !number.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = number.split_once('e').unwrap_or((&number, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let decimals = i64::try_from(fraction).unwrap() - exponent.parse::<i64>().ok()?;
    Currency::all().find(|currency| i64::from(currency.decimals()) == decimals)
}

/// The digits of a plain decimal as a whole number of its last place; the suite writes results without an exponent here.
fn units(plain: &str) -> i64 {
    plain.replace('.', "").parse().unwrap()
}

#[test]
fn the_decimal_quantize_cases_hold_as_far_as_nothing_is_rounded() {
    let Some(text) = third_party::read("decimal-dectest/quantize.decTest") else { return };
    let (mut exact, mut inexact, mut too_wide, mut not_json, mut no_currency) = (0, 0, 0, 0, 0);
    for Case { id, precision, operand, like, result, exact: is_exact } in quantize_cases(&text) {
        if serde_json::from_str::<serde::de::IgnoredAny>(operand).is_err() {
            // NaN, Infinity, `#`, `+1`, `1.` and `.1` are operands there and no JSON numbers: refused in every currency.
            assert_eq!(minor(operand, "USD"), Err(AmountProblem::NotANumber), "{id}: {operand}");
            not_json += 1;
            continue;
        }
        let Some(currency) = currency_by_last_place(like) else {
            // No currency has this number of decimals, or it is NaN or Infinity: there is nothing to ask.
            no_currency += 1;
            continue;
        };
        let parsed = Amount::parse(operand, currency).map(|amount| amount.minor);
        if result == "NaN" {
            // The result has more digits than the suite's context. An i64 may hold it, but then it has that many.
            assert!(parsed.is_err() || parsed.is_ok_and(|minor| minor.to_string().len() > precision), "{id}");
            too_wide += 1;
        } else if is_exact {
            assert_eq!(parsed, Ok(units(result)), "{id}: {operand} {currency}");
            exact += 1;
        } else {
            assert_eq!(parsed, Err(AmountProblem::TooManyDecimals), "{id}: {operand} {currency}");
            inexact += 1;
        }
    }
    println!(
        "quantize: {exact} exact, {inexact} refused, {too_wide} too wide, {not_json} no JSON, {no_currency} no currency"
    );
    assert!(exact > 50 && inexact > 50, "too few cases: {exact} exact, {inexact} inexact");
}
