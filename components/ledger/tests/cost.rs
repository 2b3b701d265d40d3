//! Ad spend: what is read, and every way in which a line can be bad.
#![cfg(test)]

use countersign_core::money::AmountProblem;
use countersign_ledger::cost::{CostReject, read};
use countersign_ledger::csv::{CsvReject, LINE_REJECTS_MAX};

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
        "\"date\",\"campaign\",\"amount\",\"currency\"\n2026-10-30,\"spring, \"\"b\"\"\",1001e-1,USD\n2026-10-29,\"été\",5,JPY\n2026-10-29,k,0.000,KWD\n",
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
    use CostReject::{Amount, Campaign, Cells, Csv, Currency, Date, Duplicate, Negative};
    let long = "c".repeat(257);
    let lines = [
        ("2026-10-30,a,1.00,USD", None),
        ("2026-10-30,b,1.00,USD", None),
        ("2026-10-30,a,2.00,USD", Some(Duplicate { first_line: 2 })),
        ("2026-10-30,a,1.00", Some(Cells { found: 3 })),
        ("2026-10-30,a,1,00,USD", Some(Cells { found: 5 })),
        ("2026-10-30,a,1.00,USD,", Some(Cells { found: 5 })),
        ("30/10/2026,a,1.00,USD", Some(Date)),
        ("2026-10-32,a,1.00,USD", Some(Date)),
        ("2026-10-30,,1.00,USD", Some(Campaign)),
        ("2026-10-30, a,1.00,USD", Some(Campaign)),
        ("2026-10-30,a\u{7},1.00,USD", Some(Campaign)),
        ("2026-10-30,LONG,1.00,USD", Some(Campaign)),
        ("2026-10-30,c,1.00,usd", Some(Currency)),
        ("2026-10-30,c,1.00,EEK", Some(Currency)),
        ("2026-10-30,c,1.00,", Some(Currency)),
        ("2026-10-30,c,,USD", Some(Amount(AmountProblem::NotANumber))),
        ("2026-10-30,c,\"1,00\",USD", Some(Amount(AmountProblem::NotANumber))),
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
        ("date;campaign;amount;currency\n", 1, CostReject::Header),
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
