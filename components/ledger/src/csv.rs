//! Reading CSV files that a person or a bank made: all of a file or nothing, and every bad line by its number (RFC 4180).
//!
//! One thing of RFC 4180 is refused: a line break inside quotes. No value of ours has one, and a quote that somebody
//! forgot to close would otherwise swallow the rest of the file. A byte order mark, CRLF, and lines with nothing on them are
//! fine.

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

    /// The one bad line of a file whose lines were not looked at.
    pub(crate) fn one(line: usize, reject: P) -> Self {
        let mut rejects = Self::NONE;
        rejects.add(line, reject);
        rejects
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
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A cell that starts with a quote has none at its end.
    UnclosedQuote,
    /// A quote inside a cell that is not quoted, or something between the closing quote and the comma.
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
            Self::NotUtf8 => "save the file as UTF-8",
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

/// The lines that have something on them.
///
/// # Errors
/// [`CsvReject::FileTooLarge`].
pub(crate) fn lines(file: &[u8]) -> Result<impl Iterator<Item = Line<'_>>, CsvReject> {
    if file.len() > FILE_BYTES_MAX {
        return Err(CsvReject::FileTooLarge);
    }
    let text = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let numbered = (1..).zip(lines).filter(|(_, line)| !line.is_empty());
    Ok(numbered.map(|(number, line)| {
        let line = core::str::from_utf8(line).map_err(|_| CsvReject::NotUtf8);
        (number, line.and_then(cells))
    }))
}

fn cells(line: &str) -> Result<Vec<Cow<'_, str>>, CsvReject> {
    let mut cells = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        if cells.len() >= CELLS_MAX {
            return Err(CsvReject::TooManyCells);
        }
        let (cell, after) = match text.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted)?,
            None => plain_cell(text)?,
        };
        cells.push(cell);
        rest = after;
    }
    Ok(cells)
}

/// A cell, and what follows its comma; `None` where it is the line's last.
type Cell<'f> = (Cow<'f, str>, Option<&'f str>);

fn plain_cell(text: &str) -> Result<Cell<'_>, CsvReject> {
    let (cell, after) = match text.split_once(',') {
        Some((cell, after)) => (cell, Some(after)),
        None => (text, None),
    };
    if cell.contains('"') { Err(CsvReject::StrayQuote) } else { Ok((Cow::Borrowed(cell), after)) }
}

/// A cell whose opening quote has been read.
fn quoted_cell(mut text: &str) -> Result<Cell<'_>, CsvReject> {
    let mut cell = String::new();
    loop {
        let (run, after) = text.split_once('"').ok_or(CsvReject::UnclosedQuote)?;
        cell.push_str(run);
        if after.is_empty() {
            return Ok((Cow::Owned(cell), None));
        }
        if let Some(after) = after.strip_prefix(',') {
            return Ok((Cow::Owned(cell), Some(after)));
        }
        text = after.strip_prefix('"').ok_or(CsvReject::StrayQuote)?;
        cell.push('"');
    }
}
