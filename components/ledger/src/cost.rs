//! Ad spend by day and campaign, from a CSV file whose first line is `date,campaign,amount,currency`.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use countersign_core::event::LABEL_BYTES_MAX;
use countersign_core::money::{Amount, AmountProblem, Currency};

use crate::csv::{CsvReject, FileRejects, table};
use crate::fx::Date;
use crate::spreadsheet::Changed;

/// What a campaign cost on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The day, UTC.
    pub date: Date,
    /// The campaign: 1 to [`LABEL_BYTES_MAX`] bytes, no control characters, no blank at either end.
    pub campaign: String,
    /// The money spent; not negative.
    pub amount: Amount,
}

/// Reads a whole file, in the order of its lines.
///
/// # Errors
/// [`FileRejects`] where any line is bad; nothing should be imported then. Where the header is bad, it is the only one listed.
pub fn read(file: &[u8]) -> Result<Vec<Cost>, FileRejects<CostReject>> {
    let table = table(file, |cells| cells == HEADER).map_err(|reject| FileRejects::one(1, reject.into()))?;
    let mut rejects = FileRejects::of(table.rejects);
    let number = match table.header {
        Some((number, Ok(header))) if header == HEADER => number,
        Some((number, Ok(_))) => return Err(rejects.and(number, CostReject::Header)),
        Some((number, Err(reject))) => return Err(rejects.and(number, reject.into())),
        None => return Err(rejects.and(1, CostReject::Header)),
    };

    let mut costs = Vec::new();
    let mut seen = BTreeMap::new();
    for (number, cells) in table.lines {
        match cells.map_err(CostReject::from).and_then(|cells| cost(&cells)) {
            Ok(cost) => match seen.entry((cost.date, cost.campaign.clone(), cost.amount.currency)) {
                Entry::Vacant(place) => {
                    place.insert(number);
                    costs.push(cost);
                }
                Entry::Occupied(first) => {
                    rejects.add(number, CostReject::Duplicate { first_line: *first.get() });
                }
            },
            Err(reject) => rejects.add(number, reject),
        }
    }
    if costs.is_empty() && rejects.count() == 0 {
        rejects.add(number, CostReject::Empty);
    }
    rejects.none_or(costs)
}

const HEADER: [&str; 4] = ["date", "campaign", "amount", "currency"];

/// Why a line of costs is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostReject {
    /// Its cells cannot be told.
    Csv(CsvReject),
    /// The file's first line is not the header.
    Header,
    /// No line follows the header.
    Empty,
    /// The line does not have four cells.
    Cells {
        /// How many it has.
        found: usize,
    },
    /// The first cell is no date.
    Date,
    /// The second cell is no campaign's name.
    Campaign,
    /// The fourth cell is no active currency.
    Currency,
    /// The third cell is no amount in the currency.
    Amount(AmountProblem),
    /// A spreadsheet changed the date or the amount.
    Changed(Changed),
    /// The amount is less than zero.
    Negative,
    /// Date, campaign and currency have a line already.
    Duplicate {
        /// That line's number.
        first_line: usize,
    },
}

impl From<CsvReject> for CostReject {
    fn from(reject: CsvReject) -> Self {
        Self::Csv(reject)
    }
}

impl fmt::Display for CostReject {
    /// What to write instead; public text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv(reject) => reject.as_str(),
            Self::Header => "the first line must be date,campaign,amount,currency",
            Self::Empty => "there are no costs in the file; write a line for each day and campaign",
            Self::Cells { found: 5 } => {
                "there are 5 cells; write 4: date, campaign, amount, currency (an amount with a comma is two cells: write 10.00)"
            }
            Self::Cells { found } => {
                return write!(f, "there are {found} cells; write 4: date, campaign, amount, currency");
            }
            Self::Changed(how) => how.as_str(),
            Self::Date => "write the date as YYYY-MM-DD",
            Self::Campaign => {
                "write the campaign in 1 to 256 bytes, without control characters or blanks around it"
            }
            Self::Currency => "write an active ISO 4217 code in upper case, such as USD",
            Self::Amount(AmountProblem::NotANumber) => "write the amount as a plain number such as 100.00",
            Self::Amount(AmountProblem::TooManyDecimals) => {
                "write no more decimals than the currency has in ISO 4217 (USD 2, JPY 0, KWD 3); nothing is rounded"
            }
            Self::Amount(AmountProblem::TooLarge) => {
                "write an amount of at most 9223372036854775807 minor units"
            }
            Self::Negative => "write an amount of 0 or more",
            Self::Duplicate { first_line } => {
                return write!(
                    f,
                    "line {first_line} has the same date, campaign and currency; write their sum once"
                );
            }
        })
    }
}

fn cost(cells: &[Cow<'_, str>]) -> Result<Cost, CostReject> {
    let [date, campaign, amount, currency] = cells else {
        return Err(CostReject::Cells { found: cells.len() });
    };
    let date =
        Date::parse(date).ok_or_else(|| Changed::date(date).map_or(CostReject::Date, CostReject::Changed))?;
    let is_name = (1..=LABEL_BYTES_MAX).contains(&campaign.len())
        && campaign.trim() == campaign
        && !campaign.chars().any(char::is_control);
    if !is_name {
        return Err(CostReject::Campaign);
    }
    let currency = Currency::of(currency).ok_or(CostReject::Currency)?;
    if let Some(how) = Changed::number(amount) {
        return Err(CostReject::Changed(how));
    }
    let amount = Amount::parse(amount, currency).map_err(CostReject::Amount)?;
    if amount.minor < 0 {
        return Err(CostReject::Negative);
    }
    Ok(Cost { date, campaign: String::from(&**campaign), amount })
}
