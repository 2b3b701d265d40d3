//! Texts: finding their end, refusing what RFC 7493 refuses, and reading through their escapes.

use core::cmp::Ordering;

use super::{Escapes, Malformed, Problem, Str, String, Text};

/// Where a text ends and how it was written.
pub(super) struct Scan {
    /// The closing quote.
    pub(super) end: usize,
    pub(super) escapes: Escapes,
}

/// Finds the end of the text whose first byte after the opening quote is at `start`.
#[inline]
pub(super) fn scan(bytes: &[u8], start: usize) -> Result<Scan, Malformed> {
    let end = skip_plain(bytes, start);
    match bytes.get(end) {
        Some(b'"') => Ok(Scan { end, escapes: Escapes::None }),
        _ => scan_on(bytes, end),
    }
}

/// Goes on at the first byte that is not plain.
fn scan_on(bytes: &[u8], mut at: usize) -> Result<Scan, Malformed> {
    let mut escapes = Escapes::None;
    loop {
        let refuse = |problem| Err(Malformed { offset: at, problem });
        at = match bytes.get(at) {
            Some(b'"') => return Ok(Scan { end: at, escapes }),
            Some(b'\\') => {
                let escape = escape(bytes, at)?;
                escapes = if escape.canonical && escapes != Escapes::Other {
                    Escapes::Canonical
                } else {
                    Escapes::Other
                };
                escape.end
            }
            Some(0..0x20) => return refuse(Problem::ControlCharacter),
            Some(_) => skip_non_ascii(bytes, at)?,
            None => return refuse(Problem::EndOfInput),
        };
        at = skip_plain(bytes, at);
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first byte at or after `at` that is not printable ASCII, or is a quote or a backslash; else the end.
#[inline]
fn skip_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            // The lowest set bit is exact, and its eighth is the byte's number.
            return at.wrapping_add(super::wide(stops.trailing_zeros() >> 3));
        }
        at = at.wrapping_add(8);
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let plain = |byte: &u8| matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\');
    at.saturating_add(rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len()))
}

/// The high bit of each byte that is not plain. Bytes above the lowest such one may be marked by mistake.
#[inline]
fn stops(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zero(word ^ (ONES.wrapping_mul(0x22)));
    let backslash = zero(word ^ (ONES.wrapping_mul(0x5c)));
    let control = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word;
    (quote | backslash | control | word) & HIGHS
}

/// The end of the run of bytes from 0x80 up that starts at `start`.
fn skip_non_ascii(bytes: &[u8], start: usize) -> Result<usize, Malformed> {
    let rest = bytes.get(start..).unwrap_or_default();
    let run = rest.split(u8::is_ascii).next().unwrap_or_default();
    let (text, broken) = match core::str::from_utf8(run) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = run.get(..error.valid_up_to()).and_then(|run| core::str::from_utf8(run).ok());
            (valid.unwrap_or_default(), Some(error.valid_up_to()))
        }
    };
    let refuse = |offset, problem| Malformed { offset: start.saturating_add(offset), problem };
    if let Some((offset, _)) = text.char_indices().find(|(_, character)| is_noncharacter(*character)) {
        return Err(refuse(offset, Problem::Noncharacter));
    }
    match broken {
        Some(offset) => Err(refuse(offset, Problem::NotUtf8)),
        None => Ok(start.saturating_add(run.len())),
    }
}

fn is_noncharacter(character: char) -> bool {
    let point = u32::from(character);
    matches!(point, 0xFDD0..=0xFDEF) || point & 0xFFFE == 0xFFFE
}

/// One escape.
struct Escape {
    character: char,
    /// The byte after it.
    end: usize,
    /// Whether RFC 8785 would write it so.
    canonical: bool,
}

/// The escape whose backslash is at `start`.
fn escape(bytes: &[u8], start: usize) -> Result<Escape, Malformed> {
    let simple = |character, canonical| Escape { character, end: start.saturating_add(2), canonical };
    let refuse = |problem| Malformed { offset: start, problem };
    Ok(match bytes.get(start.saturating_add(1)) {
        Some(b'"') => simple('"', true),
        Some(b'\\') => simple('\\', true),
        Some(b'/') => simple('/', false),
        Some(b'b') => simple('\u{8}', true),
        Some(b'f') => simple('\u{c}', true),
        Some(b'n') => simple('\n', true),
        Some(b'r') => simple('\r', true),
        Some(b't') => simple('\t', true),
        Some(b'u') => return unicode_escape(bytes, start),
        Some(_) => return Err(refuse(Problem::UnknownEscape)),
        None => return Err(Malformed { offset: bytes.len(), problem: Problem::EndOfInput }),
    })
}

fn unicode_escape(bytes: &[u8], start: usize) -> Result<Escape, Malformed> {
    let refuse = |problem| Malformed { offset: start, problem };
    let high = unit(bytes, start)?;
    let mut end = start.saturating_add(6);
    let point = match high {
        0xD800..0xDC00 => {
            if bytes.get(end..end.saturating_add(2)) != Some(b"\\u") {
                // An input cut off inside the pair is short, not wrong.
                let cut = matches!(bytes.get(end..), Some([] | [b'\\']));
                return Err(if cut {
                    Malformed { offset: bytes.len(), problem: Problem::EndOfInput }
                } else {
                    refuse(Problem::LoneSurrogate)
                });
            }
            let low = unit(bytes, end)?;
            if !matches!(low, 0xDC00..0xE000) {
                return Err(refuse(Problem::LoneSurrogate));
            }
            end = end.saturating_add(6);
            0x1_0000_u32.wrapping_add((high & 0x3FF) << 10).wrapping_add(low & 0x3FF)
        }
        other => other,
    };
    let character = char::from_u32(point).ok_or_else(|| refuse(Problem::LoneSurrogate))?;
    if is_noncharacter(character) {
        return Err(refuse(Problem::Noncharacter));
    }
    let short = matches!(character, '\u{8}' | '\t' | '\n' | '\u{c}' | '\r');
    let lower = !matches!(bytes.get(end.saturating_sub(1)), Some(b'A'..=b'F'));
    Ok(Escape { character, end, canonical: point < 0x20 && !short && lower })
}

/// The code unit of the `\uXXXX` whose backslash is at `start`.
fn unit(bytes: &[u8], start: usize) -> Result<u32, Malformed> {
    let digits = start.saturating_add(2)..start.saturating_add(6);
    digits.into_iter().try_fold(0, |unit: u32, at| {
        let digit = bytes.get(at).ok_or(Malformed { offset: bytes.len(), problem: Problem::EndOfInput })?;
        let digit = char::from(*digit).to_digit(16);
        let digit = digit.ok_or(Malformed { offset: start, problem: Problem::UnknownEscape })?;
        Ok(unit << 4 | digit)
    })
}

/// A stretch of a text.
pub(crate) enum Piece<'d> {
    /// As it was written, without an escape.
    Run(&'d str),
    /// What an escape stands for.
    Escaped(char),
}

impl<'d> Str<'d> {
    /// Whether it is `text`.
    #[must_use]
    #[inline]
    pub fn is(&self, text: &str) -> bool {
        match self.escapes {
            Escapes::None => self.raw == text.as_bytes(),
            Escapes::Canonical | Escapes::Other => self.characters().eq(text.chars()),
        }
    }

    /// A copy kept inline, or `None` where it is longer than `N` bytes.
    #[must_use]
    pub fn to_text<const N: usize>(&self) -> Option<Text<N>> {
        let mut text = Text::EMPTY;
        for piece in self.pieces() {
            match piece {
                Piece::Run(run) => text.push_str(run)?,
                Piece::Escaped(character) => text.push(character)?,
            }
        }
        Some(text)
    }

    /// A copy on the heap.
    #[must_use]
    #[expect(
        clippy::inherent_to_string,
        reason = "a copy by name: there is no Display, so that no log shows input by accident"
    )]
    pub fn to_string(&self) -> String {
        let mut text = String::with_capacity(self.raw.len());
        for piece in self.pieces() {
            match piece {
                Piece::Run(run) => text.push_str(run),
                Piece::Escaped(character) => text.push(character),
            }
        }
        text
    }

    /// The text where it was written without an escape, so that no copy is needed.
    #[must_use]
    pub fn as_plain(&self) -> Option<&'d str> {
        match self.escapes {
            Escapes::None => core::str::from_utf8(self.raw).ok(),
            Escapes::Canonical | Escapes::Other => None,
        }
    }

    /// The text in stretches, escapes resolved.
    pub(crate) fn pieces(self) -> impl Iterator<Item = Piece<'d>> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let rest = self.raw.get(at..).filter(|rest| !rest.is_empty())?;
            if rest.first() == Some(&b'\\') {
                let escape = escape(self.raw, at).ok()?;
                at = escape.end;
                return Some(Piece::Escaped(escape.character));
            }
            let run = rest.split(|byte| *byte == b'\\').next().unwrap_or_default();
            at = at.saturating_add(run.len());
            Some(Piece::Run(core::str::from_utf8(run).unwrap_or_default()))
        })
    }

    fn characters(self) -> impl Iterator<Item = char> {
        self.pieces().flat_map(|piece| {
            let (run, escaped) = match piece {
                Piece::Run(run) => (run, None),
                Piece::Escaped(character) => ("", Some(character)),
            };
            run.chars().chain(escaped)
        })
    }

    /// The order of RFC 8785 §3.2.3: by UTF-16 code units.
    pub(super) fn order(self, other: Self) -> Ordering {
        let mut pairs = self.raw.iter().zip(other.raw);
        let differ = pairs.position(|(one, two)| one != two);
        if self.escapes == Escapes::None && other.escapes == Escapes::None {
            let bytes = differ.and_then(|differ| self.raw.get(differ).zip(other.raw.get(differ)));
            return match bytes {
                Some((one, two)) => rank(*one).cmp(&rank(*two)),
                None => self.raw.len().cmp(&other.raw.len()),
            };
        }
        // What is written alike means the same: only the rest is decoded, or long names would make sorting slow.
        let alike = self.whole_characters(differ.unwrap_or_else(|| self.raw.len().min(other.raw.len())));
        let rest = |text: Self| Self { raw: text.raw.get(alike..).unwrap_or_default(), ..text };
        rest(self).ranks().cmp(rest(other).ranks())
    }

    /// The end of the last character, as written, that ends within the first `length` bytes.
    fn whole_characters(self, length: usize) -> usize {
        let mut end = 0_usize;
        loop {
            let width = match self.raw.get(end..).unwrap_or_default() {
                [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => 12,
                [b'\\', b'u', ..] => 6,
                [b'\\', ..] | [0xC0..0xE0, ..] => 2,
                [0xE0..0xF0, ..] => 3,
                [0xF0..=0xFF, ..] => 4,
                _ => 1,
            };
            let next = end.saturating_add(width);
            if next > length {
                return end;
            }
            end = next;
        }
    }

    /// The first eight ranks, the first one highest: names that differ here are ordered by it, others by [`Str::order`].
    pub(super) fn prefix(self) -> u64 {
        self.ranks()
            .chain(core::iter::repeat(0))
            .take(8)
            .fold(0, |prefix, rank| prefix << 8 | u64::from(rank))
    }

    fn ranks(self) -> impl Iterator<Item = u8> {
        self.characters().flat_map(|character| {
            let mut utf8 = [0; 4];
            let length = character.encode_utf8(&mut utf8).len();
            utf8.into_iter().take(length).map(rank)
        })
    }
}

/// UTF-8 bytes sort as UTF-16 code units do, but for U+E000 to U+FFFF (first bytes 0xEE and 0xEF), which come after the
/// surrogates of the higher planes (first bytes 0xF0 to 0xF4).
fn rank(byte: u8) -> u8 {
    match byte {
        0xEE | 0xEF => byte | 0x10,
        other => other,
    }
}

/// [`Str::prefix`] of the `length` bytes at `start`, where these are ASCII and eight bytes are there to be loaded.
#[inline]
pub(super) fn ascii_prefix(bytes: &[u8], start: usize, length: usize) -> Option<u64> {
    let word = u64::from_le_bytes(*bytes.get(start..)?.first_chunk()?);
    let excess = super::narrow(8_usize.saturating_sub(length)).wrapping_mul(8);
    let word = u64::MAX.checked_shr(excess).unwrap_or(0) & word;
    (word & HIGHS == 0).then(|| word.swap_bytes())
}
