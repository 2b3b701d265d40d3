//! What is wrong with a configuration: where, what, and what to write instead.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One mistake in a configuration. Never holds a secret, nor any text of the document that could be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: `partners.acme.signature.keys[1].id`; empty for the document as a whole.
    pub path: String,
    /// What is wrong there: `is 0`.
    pub problem: String,
    /// What to write instead: `write a whole number from 1 to 900`.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the document" } else { &self.path };
        write!(f, "{path} {}: {}", self.problem, self.remedy)
    }
}

impl core::error::Error for ConfigError {}

/// The way from the root of the document to a value.
#[derive(Clone, Copy, Debug)]
pub enum Path<'p> {
    /// The document.
    Root,
    /// A member of an object.
    Member(&'p Path<'p>, &'p str),
    /// An element of an array.
    Element(&'p Path<'p>, usize),
}

impl<'a> Path<'a> {
    /// The member `name` of this value.
    pub fn member<'p>(&'p self, name: &'p str) -> Path<'p> {
        Path::Member(self, name)
    }

    /// The value that holds this one.
    pub(crate) fn parent(&self) -> &Path<'a> {
        match self {
            Self::Root => self,
            Self::Member(parent, _) | Self::Element(parent, _) => parent,
        }
    }

    /// The element `index` of this value.
    pub fn element(&self, index: usize) -> Path<'_> {
        Path::Element(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(parent, name) => {
                parent.fmt(f)?;
                if !matches!(parent, Path::Root) {
                    f.write_str(".")?;
                }
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
                if !name.is_empty() && name.bytes().all(plain) {
                    f.write_str(name)
                } else {
                    write!(f, "{name:?}")
                }
            }
            Self::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The mistakes found so far; at most [`ConfigErrors::MAX`].
#[derive(Debug, Default)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    /// Paths of objects that are not what was written, because one of their words is unknown.
    guesses: Vec<String>,
    is_read: bool,
}

impl ConfigErrors {
    /// More mistakes than this are not listed: whoever has made them will start again anyway.
    pub const MAX: usize = 64;

    /// Notes a mistake, unless one is noted for this value or for one that holds it: what follows from a mistake is none.
    pub fn add(&mut self, path: &Path<'_>, problem: impl Into<String>, remedy: impl Into<String>) {
        let path = path.to_string();
        let is_guess = self.is_read && self.guesses.iter().any(|guess| covers(guess, &path));
        let is_known = self.errors.iter().any(|error| covers(&error.path, &path));
        if !is_guess && !is_known && self.errors.len() < Self::MAX {
            self.errors.push(ConfigError { path, problem: problem.into(), remedy: remedy.into() });
        }
    }

    /// Notes that the object at `path` has a neutral word where an unknown one stood (`"algorithm": "RS256"`). Once the
    /// document is read, nothing is said of what such an object means.
    pub(crate) fn guess(&mut self, path: &Path<'_>) {
        self.guesses.push(path.to_string());
    }

    /// From now on mistakes are such of meaning, no longer of shape.
    pub(crate) fn set_read(&mut self) {
        self.is_read = true;
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The mistakes, in the order in which they were found.
    pub fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }
}

/// Whether `path` is `holder`, or lies in it.
fn covers(holder: &str, path: &str) -> bool {
    path.strip_prefix(holder)
        .is_some_and(|rest| rest.is_empty() || holder.is_empty() || rest.starts_with(['.', '[']))
}

/// The one of `candidates` that `word` was probably meant to be: at most a third of its letters, and at most three, differ.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    const WORD_BYTES_MAX: usize = 64;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let far = (word.len() / 3).min(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace to get from `a` to `b` (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, from) in a.iter().enumerate() {
        let mut diagonal = line;
        let mut left = line.saturating_add(1);
        for (cell, to) in row.iter_mut().skip(1).zip(b) {
            let replaced = diagonal.saturating_add(usize::from(from != to));
            diagonal = *cell;
            left = replaced.min(left.saturating_add(1)).min(cell.saturating_add(1));
            *cell = left;
        }
    }
    // The first cell is not kept up to date, and it is the answer only where `b` is empty.
    if b.is_empty() { a.len() } else { row.last().copied().unwrap_or(0) }
}
