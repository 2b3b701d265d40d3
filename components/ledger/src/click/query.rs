//! What the query of a click says, as far as it is kept: a closed list of parameters, each of bounded length, none personal.

use alloc::borrow::{Cow, ToOwned as _};
use alloc::string::String;
use alloc::vec::Vec;

use countersign_core::identifier::is_macro;

/// Longest query that is read, in bytes; what comes behind is passed by.
pub const QUERY_BYTES_MAX: usize = 8_192;
/// Most parameters that are read, known or not.
pub const PARAMETERS_READ_MAX: usize = 128;
/// Longest value that is kept, in bytes; a longer one is cut.
pub const VALUE_BYTES_MAX: usize = 128;

/// The parameters that are kept as text, by the names of their columns.
pub const PARAMETERS: [&str; 12] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "sub1",
    "sub2",
    "sub3",
    "sub4",
    "sub5",
    "creative_id",
    "consent_version",
];

/// Other spellings of some of them, as networks write them.
const ALIASES: [(&str, &str); 5] = [
    ("aff_sub", "sub1"),
    ("aff_sub2", "sub2"),
    ("aff_sub3", "sub3"),
    ("aff_sub4", "sub4"),
    ("aff_sub5", "sub5"),
];

/// What a query said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The texts, in the order of [`PARAMETERS`].
    pub texts: [Option<String>; PARAMETERS.len()],
    /// Whether the visitor agrees to analytics: `consent_analytics` is `1` or `0`.
    pub consent_analytics: Option<bool>,
    /// Whether the visitor agrees to advertising: `consent_ads` is `1` or `0`.
    pub consent_ads: Option<bool>,
    /// The columns whose text was cut; `query` where not all of the query was read.
    pub cut: Vec<&'static str>,
    /// The columns that are empty because a tracker's macro was not replaced.
    pub unreplaced: Vec<&'static str>,
    /// The columns that are empty because an e-mail address stood there: no link may carry one.
    pub personal: Vec<&'static str>,
    /// The columns whose text has further parameters in it: the link's separators were encoded, or are semicolons.
    pub joined: Vec<&'static str>,
}

impl Parameters {
    /// Reads a query, without its `?`. Of several parameters of one name the first counts, and an empty one is none.
    ///
    /// `&amp;` separates as `&` does: a link that was written into HTML twice has it. An ampersand that is percent-encoded and a
    /// semicolon are part of the value (WHATWG URL, `application/x-www-form-urlencoded`), and [`Parameters::joined`] names it.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let mut parameters = Self::default();
        let read = query.get(..query.floor_char_boundary(QUERY_BYTES_MAX)).unwrap_or_default();
        let mut pairs = read.split('&');
        for pair in pairs.by_ref().take(PARAMETERS_READ_MAX) {
            let pair = behind_entity(pair);
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !value.is_empty() {
                parameters.take(&decoded(name), value);
            }
        }
        if read.len() < query.len() || pairs.next().is_some() {
            parameters.cut.push("query");
        }
        parameters
    }

    /// Keeps a parameter, if it is one of those that are kept.
    fn take(&mut self, name: &str, value: &str) {
        let flag = match name {
            "consent_analytics" => Some(&mut self.consent_analytics),
            "consent_ads" => Some(&mut self.consent_ads),
            _ => None,
        };
        if let Some(flag) = flag {
            *flag = flag.or(match value {
                "1" => Some(true),
                "0" => Some(false),
                _ => None,
            });
            return;
        }
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        let mut columns = PARAMETERS.iter().copied().zip(&mut self.texts);
        let Some((column, text)) = columns.find(|(column, _)| *column == name) else { return };
        let is_settled = |list: &Vec<&str>| list.contains(&column);
        if text.is_some() || is_settled(&self.unreplaced) || is_settled(&self.personal) {
            return;
        }
        let value_read = decoded(value);
        // Of `%ADID%` two characters would pass for an encoded byte.
        if is_macro(value) || is_macro(&value_read) {
            self.unreplaced.push(column);
        } else if looks_like_email(&value_read) {
            self.personal.push(column);
        } else {
            if has_parameter(&value_read) {
                self.joined.push(column);
            }
            let (kept, is_cut) = cut(&value_read);
            if is_cut {
                self.cut.push(column);
            }
            *text = Some(kept);
        }
    }
}

/// A pair without what is left in front of it of an ampersand that was escaped for HTML, once or more.
fn behind_entity(pair: &str) -> &str {
    const ENTITIES: [&str; 2] = ["amp;", "amp%3b"];
    let mut pair = pair;
    while let Some(behind) = ENTITIES.iter().find_map(|entity| {
        let start = pair.get(..entity.len())?;
        if start.eq_ignore_ascii_case(entity) { pair.get(entity.len()..) } else { None }
    }) {
        pair = behind;
    }
    pair
}

/// Whether one of the parameters that are kept stands in a value, behind something that is taken for a separator.
fn has_parameter(value: &str) -> bool {
    value.split(['&', ';']).skip(1).any(|pair| {
        let is_kept = |name: &str| {
            PARAMETERS.contains(&name)
                || ALIASES.iter().any(|(alias, _)| *alias == name)
                || matches!(name, "consent_analytics" | "consent_ads")
        };
        pair.split_once('=').is_some_and(|(name, _)| is_kept(name.trim()))
    })
}

/// The first [`VALUE_BYTES_MAX`] bytes, and whether there were more.
pub(super) fn cut(value: &str) -> (String, bool) {
    let end = value.floor_char_boundary(VALUE_BYTES_MAX);
    (value.get(..end).unwrap_or_default().to_owned(), end < value.len())
}

/// Text as a form encodes it: `+` is a space, `%xx` a byte; a `%` without two digits stands for itself. What is no UTF-8, and control
/// characters, become U+FFFD: neither belongs into a report.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+') || byte.is_ascii_control()) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let (byte, after) = match (first, behind) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', behind),
            },
            (b'+', _) => (b' ', behind),
            (byte, _) => (*byte, behind),
        };
        bytes.push(byte);
        rest = after;
    }
    let readable = String::from_utf8_lossy(&bytes);
    Cow::Owned(readable.replace(char::is_control, "\u{fffd}"))
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Whether something like `name@host.tld` stands in a text, the `@` encoded once more at the most.
fn looks_like_email(text: &str) -> bool {
    const ENCODED: &str = "%40";
    let signs = text.match_indices('@').chain(text.match_indices(ENCODED));
    signs.into_iter().any(|(at, sign)| {
        let before = text.get(..at).unwrap_or_default();
        let after = text.get(at.saturating_add(sign.len())..).unwrap_or_default();
        let is_named = before.ends_with(|last: char| last.is_alphanumeric() || "._+-%".contains(last));
        let host_end =
            after.find(|character: char| !(character.is_alphanumeric() || ".-".contains(character)));
        let host = host_end.map_or(after, |end| after.get(..end).unwrap_or_default());
        let is_host = host
            .split_once('.')
            .is_some_and(|(name, rest)| !name.is_empty() && rest.starts_with(char::is_alphanumeric));
        is_named && is_host
    })
}
