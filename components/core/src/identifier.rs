//! Identifiers that nobody filled in: what a template or a program leaves in the place of an id.
//!
//! An id that is the same for everybody makes one player of all, and one first deposit for all. A template leaves its macro
//! (`{account_id}`); a program prints its word for nothing (`null`, `0`). Both are refused wherever money hangs on an id.

use crate::text::Text;

/// What is wrong with an identifier, whatever it identifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierReject {
    /// White space or a control character in front of it or behind it, or a control character in it.
    Blanks,
    /// What a program prints for nothing; see [`is_nothing`].
    Nothing,
    /// A placeholder that was never filled in; see [`is_macro`].
    Macro,
}

impl IdentifierReject {
    /// What to send instead; public text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blanks => "send the id without white space or control characters in it or around it",
            Self::Nothing => {
                "the sender's system printed nothing here, such as null, 0 or undefined; send the id itself, and \
                 leave a member out that is optional where there is none"
            }
            Self::Macro => {
                "this is a placeholder that was never filled in; check the macro's name in the sender's system"
            }
        }
    }
}

/// Checks an identifier of up to [`BYTES_MAX`] bytes.
///
/// # Errors
/// The first [`IdentifierReject`] that holds.
#[inline(never)]
pub fn check(text: &str) -> Result<(), IdentifierReject> {
    if text.trim_matches(is_blank) != text || text.contains(char::is_control) {
        // Blanks alone are nothing.
        return Err(if is_nothing(text) { IdentifierReject::Nothing } else { IdentifierReject::Blanks });
    }
    if is_nothing(text) {
        return Err(IdentifierReject::Nothing);
    }
    if is_macro(text) { Err(IdentifierReject::Macro) } else { Ok(()) }
}

/// The longest identifier whose percent-encoding is looked through, in bytes.
pub const BYTES_MAX: usize = 256;

/// What programs print for nothing, in lower case: the whole text, not a part of it. `none-1` is an id like any other.
///
/// The list is closed. A word stands here where some program prints it by itself; an honest account of that name is rarer than a
/// field that nobody filled in, and costs more than it brings.
pub const NOTHING: [&str; 40] = [
    // JSON, Java, C#, SQL; C's printf; Ruby, Go, Lua; Python, Rust, Scala; JavaScript; Perl; MySQL's and PostgreSQL's exports.
    "null",
    "(null)",
    "nil",
    "(nil)",
    "<nil>",
    "%!s(<nil>)",
    "none",
    "undefined",
    "undef",
    "\\n",
    // A number that is not one, in JavaScript and Python, in C, on Windows.
    "nan",
    "-nan",
    "(nan)",
    "nan(ind)",
    "-nan(ind)",
    // R, spreadsheets, Google Analytics, Android, access logs.
    "na",
    "n/a",
    "#n/a",
    "<na>",
    "(none)",
    "(not set)",
    "unknown",
    "-",
    // A truth value in the place of an id; a search that found nothing.
    "true",
    "false",
    "-1",
    // Empty objects and lists; JavaScript's, PHP's, Java's and Swift's word for one.
    "{}",
    "[]",
    "()",
    "[null]",
    "[object object]",
    "[object undefined]",
    "[object null]",
    "array",
    "object",
    "optional.empty",
    "optional(nil)",
    // MD5, SHA-1 and SHA-256 of the empty text: an id that is hashed before it is sent, and was empty.
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

/// Whether a text is what programs print for nothing: an empty text, a word of [`NOTHING`] in any letter case, or zero in any
/// form (`0`, `0.00`, `0x0`, `00000000-0000-0000-0000-000000000000`), within quotes or percent-encoded or as it is.
#[must_use]
#[inline(never)]
pub fn is_nothing(text: &str) -> bool {
    let is_word = |text: &str| NOTHING.iter().any(|word| word.eq_ignore_ascii_case(text));
    Spellings::of(text).any(|text| {
        let bare = unquoted(text);
        bare.is_empty() || is_word(bare) || is_word(text.trim_matches(is_blank)) || is_zero(bare)
    })
}

/// Zero as a number, an address, a date, or a nil UUID with or without its decoration.
fn is_zero(text: &str) -> bool {
    let lower = |prefix: &str| {
        text.get(..prefix.len())
            .filter(|start| start.eq_ignore_ascii_case(prefix))
            .and_then(|_| text.get(prefix.len()..))
    };
    let digits = lower("urn:uuid:").or_else(|| lower("0x")).unwrap_or(text);
    let digits = digits.trim_matches(['{', '}', '(', ')']);
    digits.contains('0') && digits.bytes().all(|byte| matches!(byte, b'0' | b'-' | b'+' | b'.' | b':' | b' '))
}

/// Whether a text is a template's macro that nobody replaced, or has one in it: `{click_id}`, `acc-{{user.id}}`, `%CLICKID%`,
/// `[CLICK_ID]`, percent-encoded once or twice or as it is; the name of a member (`$account_id`) in the place of its value. A
/// UUID in braces is not a macro.
#[must_use]
#[inline(never)]
pub fn is_macro(text: &str) -> bool {
    Spellings::of(text)
        .any(|text| (is_wrapped(text) && !is_braced_uuid(text)) || has_macro(text) || is_name(text))
}

/// Whether a text stands within what marks a macro. No id of ours does.
fn is_wrapped(text: &str) -> bool {
    const PAIRS: [(&str, &str); 13] = [
        ("{", "}"),
        ("${", "}"),
        ("#{", "}"),
        ("%{", "}"),
        ("$(", ")"),
        ("[", "]"),
        ("<", ">"),
        ("&lt;", "&gt;"),
        ("%", "%"),
        ("#", "#"),
        ("__", "__"),
        ("@@", "@@"),
        ("*|", "|*"),
    ];
    PAIRS.iter().any(|(open, close)| {
        text.len() > open.len().saturating_add(close.len()) && text.starts_with(open) && text.ends_with(close)
    })
}

/// Whether `{name}` stands in a text, whatever stands around it.
fn has_macro(text: &str) -> bool {
    text.split('{').skip(1).any(|rest| {
        let name = rest.split('}').next().filter(|name| name.len() < rest.len()).unwrap_or_default();
        name.len() > 1
            && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
            && !name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    })
}

/// Whether a text is the name of a member, as in `:account_id`, or a formatter's `%s`.
fn is_name(text: &str) -> bool {
    const NAMES: [&str; 6] =
        ["account_id", "click_id", "event_id", "install_id", "original_event_id", "session_id"];
    const FORMATS: [&str; 6] = ["%s", "%d", "%i", "%u", "%v", "%@"];
    let name = text.trim_start_matches(['$', ':', '@', '%', '!']);
    let letters = |text: &'static str| text.bytes().filter(|byte| *byte != b'_');
    let written =
        name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).map(|byte| byte.to_ascii_lowercase());
    FORMATS.contains(&text) || NAMES.into_iter().any(|member| letters(member).eq(written.clone()))
}

/// `{6f9619ff-8b86-d011-b42d-00c04fc964ff}`, as some systems write a UUID.
fn is_braced_uuid(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
    inner.len() == 36
        && inner.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// White space, control characters, and what takes no room at all.
#[inline(never)]
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// A text without the quotes and blanks around it, however many there are.
#[inline(never)]
pub(crate) fn unquoted(text: &str) -> &str {
    const BEFORE: [&str; 6] = ["\\\"", "\\'", "&quot;", "&#34;", "&apos;", "&#39;"];
    // Of an escaped quote the quote is gone by then.
    const BEHIND: [&str; 5] = ["\\", "&quot;", "&#34;", "&apos;", "&#39;"];
    let is_around = |character: char| {
        is_blank(character)
            || matches!(character, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}')
    };
    let mut text = text.trim_matches(is_around);
    loop {
        let before = BEFORE.iter().find_map(|mark| text.strip_prefix(mark));
        let behind = || BEHIND.iter().find_map(|mark| text.strip_suffix(mark));
        match before.or_else(behind) {
            Some(inner) => text = inner.trim_matches(is_around),
            None => return text,
        }
    }
}

/// A text as it is, with its percent-encoding undone once, and twice.
struct Spellings<'a> {
    text: &'a str,
    decoded: [Option<Text<BYTES_MAX>>; 2],
}

impl<'a> Spellings<'a> {
    fn of(text: &'a str) -> Self {
        let once = percent_decoded(text);
        let twice = once.as_ref().and_then(|once| percent_decoded(once.as_str()));
        Self { text, decoded: [once, twice] }
    }

    fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        is(self.text) || self.decoded.iter().flatten().any(|text| is(text.as_str()))
    }
}

/// A text with its percent-encoding undone once; `None` where it has none, is longer than `N` bytes, or would not be UTF-8. A `%`
/// without two digits behind it stands for itself.
#[inline(never)]
pub(crate) fn percent_decoded<const N: usize>(text: &str) -> Option<Text<N>> {
    if !text.contains('%') {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0_u8; N];
    let mut places = bytes.iter_mut();
    let mut length = 0_usize;
    let mut rest = text.as_bytes();
    let mut has_any = false;
    while let [first, behind @ ..] = rest {
        let encoded = match (first, behind) {
            (b'%', [high, low, after @ ..]) => digit(*high).zip(digit(*low)).map(|pair| (pair, after)),
            _ => None,
        };
        let (byte, after) = encoded.map_or((*first, behind), |((high, low), after)| (high << 4 | low, after));
        has_any |= encoded.is_some();
        *places.next()? = byte;
        length = length.saturating_add(1);
        rest = after;
    }
    let decoded = core::str::from_utf8(bytes.get(..length)?).ok()?;
    if has_any { Text::new(decoded) } else { None }
}
