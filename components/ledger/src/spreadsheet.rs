//! What a spreadsheet does to the cells of a file that it opens and saves: told by name, for the number that it wrote need not be the one
//! that was there.

/// How a cell was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A number with an exponent: digits may be lost.
    Exponent,
    /// A number with a comma where its decimals begin.
    DecimalComma,
    /// A number with a comma before three digits, which may be either.
    Comma,
    /// A number whose thousands are set apart.
    Thousands,
    /// A date in the form of some country, or as the number of a day.
    Date,
}

impl Changed {
    /// What to write instead; public text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exponent => {
                "a spreadsheet changed the number to one with an exponent, and digits may be lost: write all of it, such as 123000.00"
            }
            Self::DecimalComma => "the number has a decimal comma: write a point, such as 10.00",
            Self::Comma => {
                "the number has a comma, for decimals or for thousands: write it with a point for decimals alone, such as 1234.56"
            }
            Self::Thousands => "the number has thousands separators: leave them out, and write it as 1234.56",
            Self::Date => {
                "a spreadsheet changed the date: format the column as text, and write the date as YYYY-MM-DD"
            }
        }
    }

    /// How a number was changed, where it is one that was.
    pub(crate) fn number(cell: &str) -> Option<Self> {
        let digits = cell.strip_prefix('-').unwrap_or(cell);
        let is_of = |marks: &[char]| {
            cell.trim() == cell
                && digits.starts_with(|first: char| first.is_ascii_digit())
                && digits.chars().all(|character| character.is_ascii_digit() || marks.contains(&character))
        };
        let (points, commas) = (digits.matches('.').count(), digits.matches(',').count());
        if is_of(&['.', ',', 'e', 'E', '+', '-']) && digits.contains(['e', 'E']) {
            return Some(Self::Exponent);
        }
        if is_of(&['.', ',', '\'', '\u{2019}', ' ', '\u{a0}', '\u{202f}']) {
            let has_spaces = digits.chars().any(|character| !matches!(character, '0'..='9' | '.' | ','));
            let comma_is_last = digits.rfind(',') > digits.rfind('.');
            let in_threes = digits.rsplit(',').next().is_some_and(|last| last.len() == 3);
            return if commas == 0 && points <= 1 && !has_spaces {
                None
            } else if commas == 1 && comma_is_last && (points > 0 || !in_threes) {
                Some(Self::DecimalComma)
            } else if commas == 1 && points == 0 && !has_spaces {
                Some(Self::Comma)
            } else {
                Some(Self::Thousands)
            };
        }
        None
    }

    /// How a date was changed, where it is one that was.
    pub(crate) fn date(cell: &str) -> Option<Self> {
        let has_digit = cell.starts_with(|first: char| first.is_ascii_digit());
        // 46300
        let is_day = cell.len() <= 6 && cell.bytes().all(|byte| byte.is_ascii_digit());
        // 05.10.2026, 10/5/26, 2026/10/05, 2026-10-05 00:00:00, 5-Oct-26
        let has_mark = cell.contains(['/', '.', ':', ' ']);
        let has_month = cell.contains('-') && cell.bytes().any(|byte| byte.is_ascii_alphabetic());
        (has_digit && (is_day || has_mark || has_month)).then_some(Self::Date)
    }
}
