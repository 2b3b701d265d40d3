//! The European Central Bank's history of euro reference rates, `eurofxref-hist.csv` (source §7).
//!
//! The first line is `Date` and a currency's code for each column; every other line is a day, in any order, with the units
//! of each currency for one euro, or `N/A`. The bank ends each line with a comma; here it may be left out.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::fmt;

use crate::csv::{CsvReject, FileRejects, table};
use crate::fx::{Code, Date, Day, Quote, QuoteProblem};
use crate::spreadsheet::Changed;

/// Reads a whole file: its days, the earliest first, with the quotes in the order of the columns.
///
/// A currency need not be an active one: the history has withdrawn ones. A day on which every cell is `N/A` is a day.
///
/// # Errors
/// [`FileRejects`] where any line is bad; nothing should be imported then. Where the header is bad, it is the only one listed.
pub fn read(file: &[u8]) -> Result<Vec<Day>, FileRejects<EcbReject>> {
    let is_header = |cells: &[Cow<'_, str>]| matches!(cells, [date, _, ..] if date == "Date");
    let table = table(file, is_header).map_err(|reject| FileRejects::one(1, reject.into()))?;
    let mut rejects = FileRejects::of(table.rejects);
    let Some((number, header)) = table.header else { return Err(rejects.and(1, EcbReject::Empty)) };
    let codes = match header.map_err(EcbReject::from).and_then(|header| codes(&header)) {
        Ok(codes) => codes,
        Err(reject) => return Err(rejects.and(number, reject)),
    };

    let mut days = BTreeMap::new();
    for (number, cells) in table.lines {
        let day = cells.map_err(EcbReject::from).and_then(|cells| day(&cells, &codes));
        match day.map(|day| (days.entry(day.date), day)) {
            Ok((Entry::Vacant(place), day)) => {
                place.insert((number, day));
            }
            Ok((Entry::Occupied(first), _)) => {
                rejects.add(number, EcbReject::DuplicateDate { first_line: first.get().0 });
            }
            Err(reject) => rejects.add(number, reject),
        }
    }
    if days.is_empty() && rejects.count() == 0 {
        rejects.add(number, EcbReject::Empty);
    }
    rejects.none_or(days.into_values().map(|(_, day)| day).collect())
}

/// Why a line of rates is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcbReject {
    /// Its cells cannot be told.
    Csv(CsvReject),
    /// The file has no header, or no day after it.
    Empty,
    /// The header is not `Date` and at least one code.
    Header,
    /// A column of the header is no code of three capital letters, is the euro, or has the code of a column before.
    HeaderCode {
        /// The column, counted from 1.
        column: usize,
    },
    /// The line has more or fewer cells than the header.
    Cells {
        /// Cells of the header.
        expected: usize,
        /// Cells of the line.
        found: usize,
    },
    /// The first cell is no date.
    Date,
    /// The date has a line already.
    DuplicateDate {
        /// That line's number.
        first_line: usize,
    },
    /// A cell is neither a quote nor `N/A`.
    Quote {
        /// The currency of its column.
        code: Code,
        /// What is wrong with it.
        problem: QuoteProblem,
    },
    /// A spreadsheet changed a quote.
    QuoteChanged {
        /// The currency of its column.
        code: Code,
        /// How.
        how: Changed,
    },
    /// A spreadsheet changed the date.
    DateChanged,
}

impl From<CsvReject> for EcbReject {
    fn from(reject: CsvReject) -> Self {
        Self::Csv(reject)
    }
}

impl fmt::Display for EcbReject {
    /// What to write instead; public text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Csv(reject) => reject.fmt(f),
            Self::Empty => f.write_str("there are no rates in the file; take the bank's eurofxref-hist.csv"),
            Self::Header => {
                f.write_str("the first line must be Date and currency codes, as in eurofxref-hist.csv")
            }
            Self::HeaderCode { column } => write!(
                f,
                "column {column}: write a currency code of three capital letters, once each, and not EUR"
            ),
            Self::Cells { expected, found } => {
                write!(f, "there are {found} cells; write {expected}, as many as in the header")
            }
            Self::Date => f.write_str("write the date as YYYY-MM-DD"),
            Self::DuplicateDate { first_line } => {
                write!(f, "line {first_line} has the same date; keep one of them")
            }
            Self::QuoteChanged { code, how } => write!(f, "{code}: {}", how.as_str()),
            Self::DateChanged => f.write_str(Changed::Date.as_str()),
            Self::Quote { code, problem } => write!(f, "{code}: {}", problem.as_str()),
        }
    }
}

/// The currencies of a header's columns.
fn codes<S: AsRef<str>>(header: &[S]) -> Result<Vec<Code>, EcbReject> {
    let ["Date", columns @ ..] = &without_trailing_comma(header)[..] else { return Err(EcbReject::Header) };
    if columns.is_empty() {
        return Err(EcbReject::Header);
    }
    let mut codes = Vec::with_capacity(columns.len());
    for (column, text) in (2..).zip(columns) {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) && *text != "EUR";
        let code = Code::new(text).filter(|code| is_code && !codes.contains(code));
        codes.push(code.ok_or(EcbReject::HeaderCode { column })?);
    }
    Ok(codes)
}

fn day<S: AsRef<str>>(cells: &[S], codes: &[Code]) -> Result<Day, EcbReject> {
    let cells = without_trailing_comma(cells);
    let expected = codes.len().saturating_add(1);
    let [date, columns @ ..] = &cells[..] else { return Err(EcbReject::Date) };
    if cells.len() != expected {
        return Err(EcbReject::Cells { expected, found: cells.len() });
    }
    let date = Date::parse(date)
        .ok_or_else(|| Changed::date(date).map_or(EcbReject::Date, |_| EcbReject::DateChanged))?;
    let mut quotes = Vec::with_capacity(columns.len());
    for (code, cell) in codes.iter().zip(columns) {
        if let Some(how) = Changed::number(cell) {
            return Err(EcbReject::QuoteChanged { code: *code, how });
        }
        if *cell != "N/A" {
            let quote = Quote::parse(cell).map_err(|problem| EcbReject::Quote { code: *code, problem })?;
            quotes.push((*code, quote));
        }
    }
    Ok(Day { date, quotes })
}

/// The cells but for an empty one at the end.
fn without_trailing_comma<S: AsRef<str>>(cells: &[S]) -> Vec<&str> {
    let mut cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    let _comma = cells.pop_if(|last| last.is_empty());
    cells
}
