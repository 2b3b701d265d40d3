//! RFC 3339 in UTC, by table and by the JSON-Schema test suite's `date-time` cases.
#![cfg(test)]

mod third_party;

use countersign_core::time::{TimeProblem, Timestamp};
use serde_json::Value;

fn parse(text: &str) -> Result<u64, TimeProblem> {
    Timestamp::parse_rfc3339(text).map(Timestamp::as_ms)
}

#[test]
fn a_utc_time_becomes_milliseconds_since_the_epoch() {
    for (text, milliseconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T00:00:00.0019999Z", 1),
        ("2025-10-21T15:12:31Z", 1_761_059_551_000),
        ("2025-10-21t15:12:31z", 1_761_059_551_000),
        ("2025-10-21T15:12:31.5Z", 1_761_059_551_500),
        ("2025-10-21T15:12:31.05Z", 1_761_059_551_050),
        ("2025-10-21T15:12:31.999999999999Z", 1_761_059_551_999),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("2024-02-29T23:59:59Z", 1_709_251_199_000),
        ("2024-03-01T00:00:00Z", 1_709_251_200_000),
        ("2100-02-28T23:59:59.999Z", 4_107_542_399_999),
        ("2100-03-01T00:00:00Z", 4_107_542_400_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        // A leap second stays in its day.
        ("2016-12-31T23:59:60Z", 1_483_228_799_999),
        ("2016-12-31T23:59:60.7Z", 1_483_228_799_999),
        ("2015-06-30T23:59:60Z", 1_435_708_799_999),
    ] {
        assert_eq!(parse(text), Ok(milliseconds), "{text}");
    }
}

#[test]
fn what_is_not_a_utc_time_is_refused_with_its_reason() {
    use TimeProblem::{BeforeEpoch, Form, NoSuchInstant, NotUtc};
    for (text, problem) in [
        ("", Form),
        ("Z", Form),
        ("now", Form),
        ("1761059551", Form),
        ("2025-10-21", Form),
        ("2025-10-21T15:12Z", Form),
        ("2025-10-21 15:12:31Z", Form),
        ("2025-10-21T15: 12: 31Z", Form),
        ("2025-10-21T15:12:31Z ", Form),
        (" 2025-10-21T15:12:31Z", Form),
        ("2025-10-21T15:12:31Z\n", Form),
        ("2025-10-21T15:12:31ZZ", Form),
        ("2025-10-21T15:12:31.Z", Form),
        ("2025-10-21T15:12:31,5Z", Form),
        ("2025-10-21T15:12:31.5.5Z", Form),
        ("2025/10/21T15:12:31Z", Form),
        ("20251021T151231Z", Form),
        ("+2025-10-21T15:12:31Z", Form),
        ("-025-10-21T15:12:31Z", Form),
        ("2025-1a-21T15:12:31Z", Form),
        ("2025-10-21T15:12:31+1:00", Form),
        ("2025-10-21T15:12:31 UTC", Form),
        ("2025-10-21T15:12:31+01:00Z", Form),
        ("2025-10-21T15:12:31+00:00", NotUtc),
        ("2025-10-21T15:12:31-00:00", NotUtc),
        ("2025-10-21T18:12:31+03:00", NotUtc),
        ("2025-10-21T15:12:31.5+03:00", NotUtc),
        ("2025-10-21T15:12:31", NotUtc),
        ("2025-10-21T15:12:31.5", NotUtc),
        ("2025-00-21T15:12:31Z", NoSuchInstant),
        ("2025-13-21T15:12:31Z", NoSuchInstant),
        ("2025-10-00T15:12:31Z", NoSuchInstant),
        ("2025-10-32T15:12:31Z", NoSuchInstant),
        ("2025-04-31T15:12:31Z", NoSuchInstant),
        ("2025-02-29T15:12:31Z", NoSuchInstant),
        ("2100-02-29T15:12:31Z", NoSuchInstant),
        ("2025-10-21T24:00:00Z", NoSuchInstant),
        ("2025-10-21T15:60:00Z", NoSuchInstant),
        ("2025-10-21T15:12:60Z", NoSuchInstant),
        ("2025-10-21T23:59:60Z", NoSuchInstant),
        ("2016-12-31T23:59:61Z", NoSuchInstant),
        ("2016-12-30T23:59:60Z", NoSuchInstant),
        ("2016-09-30T23:59:60Z", NoSuchInstant),
        ("1969-12-31T23:59:59.999Z", BeforeEpoch),
        ("0000-01-01T00:00:00Z", BeforeEpoch),
    ] {
        assert_eq!(parse(text), Err(problem), "{text:?}");
    }
    let longest = format!("2025-10-21T15:12:31.{}Z", "1".repeat(Timestamp::RFC3339_BYTES_MAX - 21));
    assert_eq!(parse(&longest), Ok(1_761_059_551_111));
    assert_eq!(parse(&longest.replace('Z', "1Z")), Err(Form), "one byte more than the maximum");
}

#[test]
fn every_day_of_four_centuries_is_written_as_it_is_read() {
    // Walks the calendar on its own: a day after the other, months and leap years by the rule of the Gregorian calendar.
    let (mut year, mut month, mut day) = (1970_u32, 1_usize, 1_u32);
    for days in 0_u64.. {
        if year > 2400 {
            break;
        }
        let midnight = Timestamp::from_ms(days * 86_400_000);
        let last = Timestamp::from_ms(days * 86_400_000 + 86_399_999);
        let text = format!("{year:04}-{month:02}-{day:02}");
        assert_eq!(midnight.write_rfc3339().as_str(), format!("{text}T00:00:00.000Z"));
        assert_eq!(last.write_rfc3339().as_str(), format!("{text}T23:59:59.999Z"));
        assert_eq!(Timestamp::parse_rfc3339(midnight.write_rfc3339().as_str()), Ok(midnight));
        assert_eq!(Timestamp::parse_rfc3339(last.write_rfc3339().as_str()), Ok(last));
        day += 1;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        if day > [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
}

#[test]
fn skew_has_the_sign_of_the_difference() {
    let (early, late) = (Timestamp::from_ms(1000), Timestamp::from_ms(1001));
    assert_eq!((late.skew_ms(early), early.skew_ms(late), late.skew_ms(late)), (1, -1, 0));
    assert_eq!(Timestamp::MAX.skew_ms(Timestamp::from_ms(0)), 253_402_300_799_999);
}

/// What the suite accepts and we refuse, each with its reason.
const EXCEPTIONS: &[(&str, TimeProblem)] = &[
    // The source §7 has all time stamps in UTC: a local time is refused, even though its offset is there.
    ("1937-01-01T12:00:27.87+00:20", TimeProblem::NotUtc),
    ("1990-12-31T15:59:50.123-08:00", TimeProblem::NotUtc),
    ("1998-12-31T15:59:60.123-08:00", TimeProblem::NotUtc),
    // A Timestamp begins at the Unix epoch: no postback tells of an event before 1970.
    ("1963-06-19T08:30:06.283185Z", TimeProblem::BeforeEpoch),
    ("1963-06-19T08:30:06Z", TimeProblem::BeforeEpoch),
    ("1963-06-19t08:30:06.283185z", TimeProblem::BeforeEpoch),
];

#[test]
fn the_json_schema_date_time_cases_hold() {
    let Some(text) = third_party::read("json-schema-formats/date-time.json") else { return };
    let groups: Value = serde_json::from_str(&text).unwrap();
    let (mut run, mut excepted) = (0, 0);
    for case in groups.as_array().unwrap().iter().flat_map(|group| group["tests"].as_array().unwrap()) {
        // The format says nothing of values that are no strings; the type of a member is the event's business.
        let Some(text) = case["data"].as_str() else { continue };
        let exception = EXCEPTIONS.iter().find(|(excepted, _)| *excepted == text);
        if let Some((_, problem)) = exception {
            assert!(case["valid"].as_bool().unwrap(), "{text}: no exception is needed");
            assert_eq!(parse(text), Err(*problem), "{text}");
            excepted += 1;
        } else {
            assert_eq!(
                parse(text).is_ok(),
                case["valid"].as_bool().unwrap(),
                "{text}: {}",
                case["description"]
            );
        }
        run += 1;
    }
    assert_eq!(excepted, EXCEPTIONS.len(), "an exception that no case needs");
    println!("{run} date-time cases, {excepted} of them exceptions");
    assert!(run >= 25, "only {run} cases were found");
}
