//! Reading CSV files that a person or a bank made: all of a file or nothing, and every bad line by its number (RFC 4180).
//!
//! One thing of RFC 4180 is refused: a line break inside quotes. No value of ours has one, and a quote that somebody
//! forgot to close would otherwise swallow the rest of the file. A byte order mark, line ends of either kind or of both, and lines with
//! nothing on them are fine. What a spreadsheet makes of a file is refused with the name of the cause.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The largest file, in bytes. The history of the euro's rates since 1999 has 2 MB.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bad lines that are listed; those beyond are counted.
pub const LINE_REJECTS_MAX: usize = 10_000;
/// The most cells of one line.
pub const CELLS_MAX: usize = 256;

/// What is wrong with a file: its bad lines in their order, up to [`LINE_REJECTS_MAX`], and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRejects<P> {
    list: Vec<LineReject<P>>,
    count: usize,
}

/// A bad line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineReject<P> {
    /// Its number in the file, counted from 1.
    pub line: usize,
    /// The first thing that is wrong with it.
    pub reject: P,
}

impl<P> FileRejects<P> {
    /// No bad line yet.
    pub(crate) const NONE: Self = Self { list: Vec::new(), count: 0 };

    /// Those of a list.
    pub(crate) fn of<R: Into<P>>(list: Vec<(usize, R)>) -> Self {
        let mut rejects = Self::NONE;
        for (line, reject) in list {
            rejects.add(line, reject.into());
        }
        rejects
    }

    /// The one bad line of a file whose lines were not looked at.
    pub(crate) fn one(line: usize, reject: P) -> Self {
        Self::NONE.and(line, reject)
    }

    pub(crate) fn add(&mut self, line: usize, reject: P) {
        self.count = self.count.saturating_add(1);
        if self.list.len() < LINE_REJECTS_MAX {
            self.list.push(LineReject { line, reject });
        }
    }

    /// What was read, where nothing is wrong.
    pub(crate) fn none_or<T>(self, read: T) -> Result<T, Self> {
        if self.count == 0 { Ok(read) } else { Err(self) }
    }

    /// Those that are there already, and this one.
    pub(crate) fn and(mut self, line: usize, reject: P) -> Self {
        self.add(line, reject);
        self
    }

    /// The first bad lines.
    #[must_use]
    pub fn list(&self) -> &[LineReject<P>] {
        &self.list
    }

    /// How many lines are bad, listed or not.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}

impl<P: fmt::Display> fmt::Display for FileRejects<P> {
    /// One line for each: `line 7: write the date as YYYY-MM-DD`. Nothing of the file is quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, LineReject { line, reject }) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}line {line}: {reject}")?;
        }
        match self.count.saturating_sub(self.list.len()) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Why the cells of a line cannot be told, or a file is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsvReject {
    /// More than [`FILE_BYTES_MAX`].
    FileTooLarge,
    /// Two bytes for each character, as in the "Unicode text" of a spreadsheet.
    Utf16,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A first line that tells spreadsheets the separator.
    SeparatorLine,
    /// Semicolons or tabs in the place of commas; told once, of the header.
    Separator,
    /// A carriage return inside the line, as where lines end with nothing else.
    CarriageReturn,
    /// A cell that starts with a quote has none at its end.
    UnclosedQuote,
    /// A quote inside a cell that is not quoted, or something between the closing quote and the separator.
    StrayQuote,
    /// More than [`CELLS_MAX`].
    TooManyCells,
}

impl CsvReject {
    /// What to write instead; public text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FileTooLarge => "the file has more than 8 MiB: import it in parts, each with the header",
            Self::Utf16 => "the file is UTF-16: save it as UTF-8 (\"CSV UTF-8\" in a spreadsheet)",
            Self::NotUtf8 => "save the file as UTF-8",
            Self::SeparatorLine => "remove this line: sep= is for spreadsheets, and the header comes first",
            Self::Separator => "separate the cells with commas, in all lines, not with semicolons or tabs",
            Self::CarriageReturn => {
                "there is a carriage return inside the line: end every line with LF, or with CR and LF"
            }
            Self::UnclosedQuote => {
                "close the quoted cell with a double quote; no value here may have a line break"
            }
            Self::StrayQuote => "quote the whole cell, and write a double quote inside it twice",
            Self::TooManyCells => "there are more than 256 cells on the line",
        }
    }
}

impl fmt::Display for CsvReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A line's number, counted from 1, and its cells.
pub(crate) type Line<'f> = (usize, Result<Vec<Cow<'f, str>>, CsvReject>);

/// A file whose header was looked for.
pub(crate) struct Table<'f, L> {
    /// What is wrong with the lines up to the header.
    pub(crate) rejects: Vec<(usize, CsvReject)>,
    /// The first line that has something on it and is not for spreadsheets; `None` where there is none.
    pub(crate) header: Option<Line<'f>>,
    /// Those behind it that have something on them.
    pub(crate) lines: L,
}

/// Separators that are no comma, though a spreadsheet may think so.
const SEPARATORS: [char; 2] = [';', '\t'];

/// Reads a file up to its header. Where that `is_header` only with another separator, the whole file is read with that, so that all else
/// that is wrong with it shows too.
///
/// # Errors
/// Why the file is not looked at: [`CsvReject::FileTooLarge`], [`CsvReject::Utf16`].
pub(crate) fn table<'f>(
    file: &'f [u8],
    is_header: impl Fn(&[Cow<'f, str>]) -> bool,
) -> Result<Table<'f, impl Iterator<Item = Line<'f>>>, CsvReject> {
    if file.len() > FILE_BYTES_MAX {
        return Err(CsvReject::FileTooLarge);
    }
    let has_zero = file.iter().take(4).any(|byte| *byte == 0);
    if file.starts_with(b"\xFF\xFE") || file.starts_with(b"\xFE\xFF") || has_zero {
        return Err(CsvReject::Utf16);
    }
    let text = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut numbered = (1..).zip(lines).filter(|(_, line)| !line.is_empty());
    let mut rejects = Vec::new();
    let mut first = numbered.next();
    if let Some((number, line)) = first
        && line
            .strip_prefix(b"\"")
            .unwrap_or(line)
            .get(..4)
            .is_some_and(|mark| mark.eq_ignore_ascii_case(b"sep="))
    {
        rejects.push((number, CsvReject::SeparatorLine));
        first = numbered.next();
    }
    let mut separator = ',';
    let header = first.map(|(number, line)| {
        let other =
            SEPARATORS.into_iter().find(|other| read(line, *other).is_ok_and(|cells| is_header(&cells)));
        if let Some(other) = other {
            separator = other;
            rejects.push((number, CsvReject::Separator));
        }
        (number, read(line, separator))
    });
    let lines = numbered.map(move |(number, line)| (number, read(line, separator)));
    Ok(Table { rejects, header, lines })
}

/// The cells of a line.
fn read(line: &[u8], separator: char) -> Result<Vec<Cow<'_, str>>, CsvReject> {
    if line.contains(&b'\r') {
        return Err(CsvReject::CarriageReturn);
    }
    core::str::from_utf8(line).map_err(|_| CsvReject::NotUtf8).and_then(|line| cells(line, separator))
}

fn cells(line: &str, separator: char) -> Result<Vec<Cow<'_, str>>, CsvReject> {
    let mut cells = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        if cells.len() >= CELLS_MAX {
            return Err(CsvReject::TooManyCells);
        }
        let (cell, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted, separator)?,
            None => plain_cell(text, separator)?,
        };
        cells.push(cell);
        rest = after;
    }
    Ok(cells)
}

/// A cell, and what follows its separator; `None` where it is the line's last.
type Cell<'f> = (Cow<'f, str>, Option<&'f str>);

fn plain_cell(text: &str, separator: char) -> Result<Cell<'_>, CsvReject> {
    let (cell, after) = match text.split_once(separator) {
        Some((cell, after)) => (cell, Some(after)),
        None => (text, None),
    };
    if cell.contains('"') { Err(CsvReject::StrayQuote) } else { Ok((Cow::Borrowed(cell), after)) }
}

/// A cell whose opening quote has been read.
fn quoted_cell(mut text: &str, separator: char) -> Result<Cell<'_>, CsvReject> {
    let mut cell = String::new();
    loop {
        let (run, after) = text.split_once('"').ok_or(CsvReject::UnclosedQuote)?;
        cell.push_str(run);
        if after.is_empty() {
            return Ok((Cow::Owned(cell), None));
        }
        if let Some(after) = after.strip_prefix(separator) {
            return Ok((Cow::Owned(cell), Some(after)));
        }
        text = after.strip_prefix('"').ok_or(CsvReject::StrayQuote)?;
        cell.push('"');
    }
}
