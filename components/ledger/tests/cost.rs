//! Ad spend: what is read, and every way in which a line can be bad.
#![cfg(test)]

use countersign_core::money::AmountProblem;
use countersign_ledger::cost::{CostReject, read};
use countersign_ledger::csv::{CsvReject, LINE_REJECTS_MAX};
use countersign_ledger::spreadsheet::Changed as How;

/// The costs of a file, as text.
fn shown(file: &str) -> Vec<String> {
    let costs = read(file.as_bytes()).unwrap_or_else(|rejects| panic!("{file:?}: {rejects}"));
    costs.iter().map(|cost| format!("{} [{}] {}", cost.date, cost.campaign, cost.amount)).collect()
}

#[test]
fn costs_are_read_exactly_and_in_their_order() {
    let expected =
        ["2026-10-30 [spring, \"b\"] 100.10 USD", "2026-10-29 [été] 5 JPY", "2026-10-29 [k] 0.000 KWD"];
    for file in [
        "date,campaign,amount,currency\n2026-10-30,\"spring, \"\"b\"\"\",100.1,USD\n2026-10-29,été,5,JPY\n2026-10-29,k,0,KWD\n",
        "\u{feff}date,campaign,amount,currency\r\n2026-10-30,\"spring, \"\"b\"\"\",\"100.10\",USD\r\n2026-10-29,été,5.0,JPY\r\n\r\n2026-10-29,k,0,KWD",
        "\"date\",\"campaign\",\"amount\",\"currency\"\n2026-10-30,\"spring, \"\"b\"\"\",100.1,USD\n2026-10-29,\"été\",5,JPY\n2026-10-29,k,0.000,KWD\n",
    ] {
        assert_eq!(shown(file), expected, "{file:?}");
    }
}

#[test]
fn a_campaign_may_cost_money_in_two_currencies_and_on_two_days() {
    let file = "date,campaign,amount,currency\n2026-10-30,a,1,USD\n2026-10-30,a,1,EUR\n2026-10-31,a,1,USD\n2026-10-30,A,1,USD\n";
    assert_eq!(shown(file).len(), 4);
}

fn refused(file: &str) -> Vec<(usize, CostReject)> {
    let rejects = read(file.as_bytes()).expect_err(file);
    rejects.list().iter().map(|line| (line.line, line.reject)).collect()
}

#[test]
fn every_bad_line_is_listed_with_its_number() {
    use CostReject::{Amount, Campaign, Cells, Changed, Csv, Currency, Date, Duplicate, Negative};
    let long = "c".repeat(257);
    let lines = [
        ("2026-10-30,a,1.00,USD", None),
        ("2026-10-30,b,1.00,USD", None),
        ("2026-10-30,a,2.00,USD", Some(Duplicate { first_line: 2 })),
        ("2026-10-30,a,1.00", Some(Cells { found: 3 })),
        ("2026-10-30,a,1,00,USD", Some(Cells { found: 5 })),
        ("2026-10-30,a,1.00,USD,", Some(Cells { found: 5 })),
        ("30/10/2026,a,1.00,USD", Some(Changed(How::Date))),
        ("2026-10,a,1.00,USD", Some(Date)),
        ("2026-10-32,a,1.00,USD", Some(Date)),
        ("2026-10-30,,1.00,USD", Some(Campaign)),
        ("2026-10-30, a,1.00,USD", Some(Campaign)),
        ("2026-10-30,a\u{7},1.00,USD", Some(Campaign)),
        ("2026-10-30,LONG,1.00,USD", Some(Campaign)),
        ("2026-10-30,c,1.00,usd", Some(Currency)),
        ("2026-10-30,c,1.00,EEK", Some(Currency)),
        ("2026-10-30,c,1.00,", Some(Currency)),
        ("2026-10-30,c,,USD", Some(Amount(AmountProblem::NotANumber))),
        ("2026-10-30,c,\"1,00\",USD", Some(Changed(How::DecimalComma))),
        ("2026-10-30,c,$1.00,USD", Some(Amount(AmountProblem::NotANumber))),
        ("2026-10-30,c,1.001,USD", Some(Amount(AmountProblem::TooManyDecimals))),
        ("2026-10-30,c,1.5,JPY", Some(Amount(AmountProblem::TooManyDecimals))),
        ("2026-10-30,c,92233720368547758.08,USD", Some(Amount(AmountProblem::TooLarge))),
        ("2026-10-30,c,-1.00,USD", Some(Negative)),
        ("2026-10-30,\"c,1.00,USD", Some(Csv(CsvReject::UnclosedQuote))),
        ("2026-10-30,\"c\"d,1.00,USD", Some(Csv(CsvReject::StrayQuote))),
        ("2026-10-30,c\"d\",1.00,USD", Some(Csv(CsvReject::StrayQuote))),
        ("2026-10-31,c,1.00,USD", None),
    ];
    let mut file = "date,campaign,amount,currency\n".to_owned();
    let mut expected = Vec::new();
    for (number, (line, problem)) in (2..).zip(lines) {
        file.push_str(&line.replace("LONG", &long));
        file.push('\n');
        expected.extend(problem.map(|problem| (number, problem)));
    }
    assert_eq!(refused(&file), expected);
    for (line, problem) in expected {
        let text = problem.to_string();
        assert!(!text.is_empty() && !text.contains("send"), "line {line}: {text}");
    }
}

#[test]
fn the_header_is_required() {
    for (file, line, problem) in [
        ("", 1, CostReject::Header),
        ("2026-10-30,a,1.00,USD\n", 1, CostReject::Header),
        ("date,campaign,amount\n2026-10-30,a,1.00\n", 1, CostReject::Header),
        ("Date,campaign,amount,currency\n2026-10-30,a,1.00,USD\n", 1, CostReject::Header),
        ("date;campaign;amount;currency\n", 1, CostReject::Csv(CsvReject::Separator)),
        ("date|campaign|amount|currency\n", 1, CostReject::Header),
        ("\ncampaign,date,amount,currency\n", 2, CostReject::Header),
        ("date,campaign,amount,currency\n", 1, CostReject::Empty),
        ("date,campaign,amount,currency\n\r\n\n", 1, CostReject::Empty),
        ("date,\"campaign,amount,currency\n", 1, CostReject::Csv(CsvReject::UnclosedQuote)),
    ] {
        assert_eq!(refused(file), [(line, problem)], "{file:?}");
    }
}

#[test]
fn a_long_list_of_bad_lines_ends_in_a_count() {
    let file = format!("date,campaign,amount,currency\n{}", "x\n".repeat(LINE_REJECTS_MAX + 1));
    let rejects = read(file.as_bytes()).unwrap_err();
    assert_eq!((rejects.list().len(), rejects.count()), (LINE_REJECTS_MAX, LINE_REJECTS_MAX + 1));
    assert_eq!(rejects.to_string().lines().last(), Some("and 1 more"));
}

#[test]
fn bytes_that_are_no_text_are_a_bad_line() {
    let rejects = read(b"date,campaign,amount,currency\n2026-10-30,\xE9t\xE9,1.00,USD\n").unwrap_err();
    assert_eq!(rejects.list()[0].reject, CostReject::Csv(CsvReject::NotUtf8));
    assert_eq!(rejects.to_string(), "line 2: save the file as UTF-8");
}

/// What is said of a file, one line for each of its bad ones.
fn told(file: &[u8]) -> Vec<String> {
    read(file).expect_err("refused").to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_line_for_spreadsheets_is_named_with_all_else_that_is_wrong() {
    let file = b"sep=,\r\ndate,campaign,amount,currency\r\n2026-10-05,demo,10.00,EUR\r\n";
    let remove = "line 1: remove this line: sep= is for spreadsheets, and the header comes first";
    assert_eq!(told(file), [remove]);
    let file = b"\xEF\xBB\xBF\"SEP=;\"\r\ndate;campaign;amount;currency\r\n05.10.2026;demo;10.00;EUR\r\n2026-10-05;demo;10,00;EUR\r\n\
        2026-10-05;ok;10.00;EUR\r\n";
    assert_eq!(
        told(file),
        [
            remove,
            "line 2: separate the cells with commas, in all lines, not with semicolons or tabs",
            "line 3: a spreadsheet changed the date: format the column as text, and write the date as YYYY-MM-DD",
            "line 4: the number has a decimal comma: write a point, such as 10.00",
        ]
    );
    assert_eq!(told(b"date\tcampaign\tamount\tcurrency\n2026-10-05\ta\t1\tEUR\n").len(), 1);
    assert_eq!(told(b"sep=,\n"), [remove, "line 1: the first line must be date,campaign,amount,currency"]);
}

#[test]
fn two_bytes_for_each_character_are_named() {
    let text = "date,campaign,amount,currency\r\n2026-10-05,demo,10.00,EUR\r\n";
    let utf16 = "line 1: the file is UTF-16: save it as UTF-8 (\"CSV UTF-8\" in a spreadsheet)";
    for (mark, order) in [
        ("\u{feff}", u16::to_le_bytes as fn(u16) -> [u8; 2]),
        ("\u{feff}", u16::to_be_bytes),
        ("", u16::to_le_bytes),
    ] {
        let file: Vec<u8> = format!("{mark}{text}").encode_utf16().flat_map(order).collect();
        assert_eq!(told(&file), [utf16]);
    }
}

#[test]
fn a_number_that_a_spreadsheet_changed_is_never_taken() {
    let (exponent, comma, thousands) = (Some(How::Exponent), Some(How::DecimalComma), Some(How::Thousands));
    for (amount, expected) in [
        ("1.23E+05", exponent),
        ("1E+05", exponent),
        ("1,23E+05", exponent),
        ("1001e-1", exponent),
        ("-1.5E+3", exponent),
        ("10,00", comma),
        ("12,5", comma),
        ("1.234,56", comma),
        ("1.234.567,8", comma),
        ("1,234.56", thousands),
        ("1,234", Some(How::Comma)),
        ("1,234,567", thousands),
        ("1.234.567", thousands),
        ("1 234.56", thousands),
        ("1\u{a0}234,56", comma),
        ("1\u{202f}234", thousands),
        ("1'234.56", thousands),
        ("10.00", None),
        ("-10.00", None),
        (" 10.00", None),
        ("10.00 ", None),
        ("E", None),
        ("", None),
        ("$10.00", None),
        ("(10.00)", None),
        ("#####", None),
    ] {
        let file = format!("date,campaign,amount,currency\n2026-10-05,demo,\"{amount}\",EUR\n");
        let rejects = read(file.as_bytes()).map_or_else(|rejects| rejects.list().to_vec(), |_| Vec::new());
        let how = rejects.iter().find_map(|line| match line.reject {
            CostReject::Changed(how) => Some(how),
            _ => None,
        });
        assert_eq!(how, expected, "{amount:?}");
        assert_eq!(rejects.is_empty(), amount == "10.00", "{amount:?}");
    }
    let file = "date,campaign,amount,currency\r\n2026-10-05,demo,1.23E+05,EUR\r\n";
    assert_eq!(
        told(file.as_bytes()),
        [
            "line 2: a spreadsheet changed the number to one with an exponent, and digits may be lost: write all of it, such as 123000.00"
        ]
    );
    let split = told(b"date,campaign,amount,currency\n2026-10-05,demo,10,00,EUR\n");
    assert!(split[0].ends_with("(an amount with a comma is two cells: write 10.00)"), "{split:?}");
}

#[test]
fn a_date_that_a_spreadsheet_changed_is_named() {
    for date in [
        "05.10.2026",
        "10/5/26",
        "2026/10/05",
        "5-Oct-26",
        "2026-10-05 00:00:00",
        "2026-10-05T00:00:00",
        "46300",
    ] {
        assert_eq!(
            refused(&format!("date,campaign,amount,currency\n{date},demo,1.00,EUR\n")),
            [(2, CostReject::Changed(How::Date))],
            "{date}"
        );
    }
    for date in ["", "2026-02-30", "2026-10", "20261005", "yesterday", "2026-10-5"] {
        assert_eq!(
            refused(&format!("date,campaign,amount,currency\n{date},demo,1.00,EUR\n")),
            [(2, CostReject::Date)],
            "{date}"
        );
    }
}

#[test]
fn line_ends_may_be_mixed_but_not_missing() {
    assert_eq!(shown("date,campaign,amount,currency\r\n2026-10-05,a,1,EUR\n2026-10-05,b,1,EUR\r\n").len(), 2);
    let reject = CostReject::Csv(CsvReject::CarriageReturn);
    assert_eq!(refused("date,campaign,amount,currency\r2026-10-05,a,1,EUR\r"), [(1, reject)]);
    assert_eq!(
        refused("date,campaign,amount,currency\n2026-10-05,a,1,EUR\r2026-10-05,b,1,EUR\n"),
        [(2, reject)]
    );
}
