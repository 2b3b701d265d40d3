//! The euro's reference rates: the bank's whole file, and every way in which a line can be bad.
#![cfg(test)]

#[path = "../../core/tests/third_party/mod.rs"]
mod third_party;

use countersign_core::money::{Amount, Currency};
use countersign_ledger::csv::{CsvReject, FILE_BYTES_MAX, LINE_REJECTS_MAX};
use countersign_ledger::ecb::{EcbReject, read};
use countersign_ledger::fx::{Code, Date, Day, QuoteProblem, RateTable, Unconverted};
use countersign_ledger::spreadsheet::Changed;

fn code(text: &str) -> Code {
    Code::new(text).unwrap()
}

/// Days as text, `2026-10-30 USD=1.1172 JPY=175.68`.
fn shown(days: &[Day]) -> Vec<String> {
    let day = |day: &Day| {
        let quotes = day.quotes.iter().map(|(code, quote)| format!(" {code}={quote}"));
        format!("{}{}", day.date, quotes.collect::<String>())
    };
    days.iter().map(day).collect()
}

#[test]
fn the_bank_s_whole_history_is_read() {
    let Some(file) = third_party::read("fx-ecb/eurofxref-hist.csv") else { return };
    let days = read(file.as_bytes()).unwrap_or_else(|rejects| panic!("{rejects}"));
    let quotes = days.iter().map(|day| day.quotes.len()).sum::<usize>();
    assert_eq!((days.len(), quotes), (7126, 221_702));
    assert!(days.is_sorted_by(|one, next| one.date < next.date));

    // Each cell is what another reading of the file says: split, and compared as text without zeros at the end.
    let codes = file.lines().next().unwrap().split(',').collect::<Vec<_>>();
    for (line, day) in file.lines().skip(1).zip(days.iter().rev()) {
        let cells = line.split(',').collect::<Vec<_>>();
        assert_eq!(cells[0], day.date.write().as_str());
        let mut quotes = day.quotes.iter();
        for (column, cell) in
            codes.iter().zip(&cells).skip(1).filter(|(_, cell)| !matches!(**cell, "N/A" | ""))
        {
            let (code, quote) = quotes.next().unwrap();
            let plain =
                if cell.contains('.') { cell.trim_end_matches('0').trim_end_matches('.') } else { cell };
            assert_eq!((code.as_str(), quote.to_string().as_str()), (*column, plain), "{}", day.date);
        }
        assert!(quotes.next().is_none());
    }
}

#[test]
fn the_history_converts_money_of_any_day_since_1999() {
    let Some(file) = third_party::read("fx-ecb/eurofxref-hist.csv") else { return };
    let days = read(file.as_bytes()).unwrap();
    let (first, last) = (days[0].date, days[days.len() - 1].date);
    let table: RateTable = days.into_iter().collect();
    let hundred = |code: &str| Amount { minor: 10_000, currency: Currency::of(code).unwrap() };
    let convert = |from: &str, to: &str, on: &str| {
        let to = Currency::of(to).unwrap();
        table.convert(hundred(from), to, Date::parse(on).unwrap()).map(|done| done.amount.to_string())
    };
    // Computed with Python's fractions from the file's text.
    assert_eq!(convert("USD", "EUR", "1999-01-04"), Ok("84.82 EUR".to_owned()));
    assert_eq!(convert("USD", "GBP", "2026-10-30"), Ok("74.63 GBP".to_owned()));
    assert_eq!(convert("USD", "JPY", "2026-11-01"), Ok("15725 JPY".to_owned()), "a Sunday");
    assert_eq!(convert("USD", "JPY", "2026-11-06"), Ok("15725 JPY".to_owned()), "7 days old");
    assert_eq!(convert("USD", "JPY", "2026-11-07"), Err(Unconverted::NoDay));
    assert!(matches!(convert("RUB", "USD", "2022-03-02"), Err(Unconverted::NoQuote { .. })));
    // Easter and Christmas are the longest gaps: every day in between has a rate.
    for day in first.days()..=last.days() {
        let date = Date::from_days(day).unwrap();
        assert!(table.convert(hundred("USD"), Currency::of("GBP").unwrap(), date).is_ok(), "{date}");
    }
}

#[test]
fn any_order_line_end_mark_and_trailing_comma_is_read() {
    let expected = ["2026-10-29 USD=1.113", "2026-10-30 USD=1.1172 EEK=15.6466"];
    for file in [
        "Date,USD,EEK,\n2026-10-30,1.1172,15.6466,\n2026-10-29,1.113,N/A,\n",
        "Date,USD,EEK\n2026-10-29,1.113,N/A\n2026-10-30,1.1172,15.6466",
        "Date,USD,EEK,\r\n2026-10-30,1.11720,15.6466,\r\n2026-10-29,1.113,N/A,\r\n",
        "\u{feff}Date,USD,EEK,\n2026-10-30,1.1172,15.6466\n2026-10-29,1.113,N/A,\n\n\r\n",
        "\"Date\",\"USD\",\"EEK\"\n\"2026-10-30\",\"1.1172\",\"15.6466\"\n2026-10-29,1.113,N/A\n",
    ] {
        let days = read(file.as_bytes()).unwrap_or_else(|rejects| panic!("{file:?}: {rejects}"));
        assert_eq!(shown(&days), expected, "{file:?}");
    }
    let all_absent = read(b"Date,USD\n2026-10-29,N/A\n").unwrap();
    assert_eq!(shown(&all_absent), ["2026-10-29"], "a day without a quote is still the last one published");
}

/// The lines and problems of a file that is refused.
fn refused(file: &str) -> Vec<(usize, EcbReject)> {
    let rejects = read(file.as_bytes()).expect_err(file);
    assert_eq!(rejects.count(), rejects.list().len());
    rejects.list().iter().map(|line| (line.line, line.reject)).collect()
}

#[test]
fn a_bad_header_is_the_only_bad_line() {
    use EcbReject::{Csv, Empty, Header, HeaderCode};
    for (file, line, problem) in [
        ("", 1, Empty),
        ("\u{feff}", 1, Empty),
        ("\n\r\n", 1, Empty),
        ("Date,USD\n", 1, Empty),
        ("\nDate,USD\n\n", 2, Empty),
        ("2026-10-30,1.1172\n", 1, Header),
        ("Date\n2026-10-30\n", 1, Header),
        ("Date,\n2026-10-30,\n", 1, Header),
        ("date,USD\n2026-10-30,x\n", 1, Header),
        ("Date;USD\n2026-10-30;1.1\n", 1, Csv(CsvReject::Separator)),
        ("Date|USD\n2026-10-30|1.1\n", 1, Header),
        ("Date,USD,usd\n2026-10-30,1,1\n", 1, HeaderCode { column: 3 }),
        ("Date,USD,USD\n2026-10-30,1,1\n", 1, HeaderCode { column: 3 }),
        ("Date, USD\n2026-10-30,1\n", 1, HeaderCode { column: 2 }),
        ("Date,,USD\n2026-10-30,1,1\n", 1, HeaderCode { column: 2 }),
        ("Date,EUR\n2026-10-30,1\n", 1, HeaderCode { column: 2 }),
        ("Date,\"USD\n", 1, Csv(CsvReject::UnclosedQuote)),
    ] {
        assert_eq!(refused(file), [(line, problem)], "{file:?}");
    }
}

#[test]
fn every_bad_line_is_listed_with_its_number() {
    use EcbReject::{Cells, Csv, DuplicateDate, Quote};
    let quote = |text, problem| Quote { code: code(text), problem };
    let file = "Date,USD,JPY,\n\
        2026-10-30,1.1172,175.68,\n\
        2026-10-29,1.113,175.92\n\
        2026-10-30,1.1,175,\n\
        2026-02-29,1.1,175,\n\
        30.10.2026,1.1,175,\n\
        \n\
        2026-10-28,1.1,\n\
        2026-10-27,1.1,175,3,\n\
        2026-10-26,0,175,\n\
        2026-10-23,1.1,-175,\n\
        2026-10-22,1.1,,\n\
        2026-10-21,n/a,175,\n\
        2026-10-20,1.1,1e3,\n\
        2026-10-19,\"1.1,175,\n\
        2026-10-16,1\"1,175,\n\
        2026-10-15,0.00000000001,175,\n\
        2026-10-14,N/A,N/A,\n\
        garbage\n";
    assert_eq!(
        refused(file),
        [
            (4, DuplicateDate { first_line: 2 }),
            (5, EcbReject::Date),
            (6, EcbReject::DateChanged),
            (8, Cells { expected: 3, found: 2 }),
            (9, Cells { expected: 3, found: 4 }),
            (10, quote("USD", QuoteProblem::NotPositive)),
            (11, quote("JPY", QuoteProblem::NotPositive)),
            (12, quote("JPY", QuoteProblem::NotANumber)),
            (13, quote("USD", QuoteProblem::NotANumber)),
            (14, EcbReject::QuoteChanged { code: code("JPY"), how: Changed::Exponent }),
            (15, Csv(CsvReject::UnclosedQuote)),
            (16, Csv(CsvReject::StrayQuote)),
            (17, quote("USD", QuoteProblem::TooManyDigits)),
            (19, Cells { expected: 3, found: 1 }),
        ]
    );
    let rejects = read(file.as_bytes()).unwrap_err().to_string();
    assert!(
        rejects.starts_with("line 4: line 2 has the same date; keep one of them\nline 5: write the date")
    );
    assert!(rejects.contains("\nline 10: USD: write a quote above zero, or N/A\n"));
    assert!(!rejects.contains("garbage"), "nothing of the file is quoted");
}

#[test]
fn bytes_that_are_no_text_are_a_bad_line() {
    let rejects = read(b"Date,USD\n2026-10-30,1.1\n2026-10-29,\xFF\n").unwrap_err();
    assert_eq!(rejects.list()[0].line, 3);
    assert_eq!(rejects.list()[0].reject, EcbReject::Csv(CsvReject::NotUtf8));
}

#[test]
fn a_long_list_of_bad_lines_ends_in_a_count() {
    let file = format!("Date,USD\n{}", "2026-10-30,x\n".repeat(LINE_REJECTS_MAX + 23));
    let rejects = read(file.as_bytes()).unwrap_err();
    assert_eq!((rejects.list().len(), rejects.count()), (LINE_REJECTS_MAX, LINE_REJECTS_MAX + 23));
    assert_eq!(rejects.to_string().lines().last(), Some("and 23 more"));
}

#[test]
fn sizes_are_bounded() {
    let huge = vec![b'\n'; FILE_BYTES_MAX + 1];
    assert_eq!(read(&huge).unwrap_err().list()[0].reject, EcbReject::Csv(CsvReject::FileTooLarge));
    assert_eq!(read(&huge[1..]).unwrap_err().list()[0].reject, EcbReject::Empty);
    let wide = format!("Date{}\n", ",N/A".repeat(256));
    assert_eq!(refused(&wide), [(1, EcbReject::Csv(CsvReject::TooManyCells))]);
}

#[test]
fn what_a_spreadsheet_made_of_the_bank_s_file_is_named() {
    let told = |file: &[u8]| read(file).unwrap_err().to_string();
    let file = "sep=;\r\nDate;USD;JPY;\r\n30.10.2026;1.1172;175.68;\r\n2026-10-29;1,113;1.75E+02;\r\n2026-10-28;1.1;175;\r\n";
    assert_eq!(
        told(file.as_bytes()),
        "line 1: remove this line: sep= is for spreadsheets, and the header comes first\n\
         line 2: separate the cells with commas, in all lines, not with semicolons or tabs\n\
         line 3: a spreadsheet changed the date: format the column as text, and write the date as YYYY-MM-DD\n\
         line 4: USD: the number has a comma, for decimals or for thousands: write it with a point for decimals alone, such as 1234.56"
    );
    let utf16: Vec<u8> =
        "\u{feff}Date,USD\n2026-10-29,1.1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(told(&utf16), "line 1: the file is UTF-16: save it as UTF-8 (\"CSV UTF-8\" in a spreadsheet)");
    assert!(
        told(b"Date,USD\n2026-10-29,1.1172E+00\n")
            .starts_with("line 2: USD: a spreadsheet changed the number")
    );
}
