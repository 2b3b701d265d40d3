//! Short text kept inline, so that a request that waits allocates nothing.

use core::fmt::{self, Write as _};

use crate::mac::sha256;

/// Up to `N` bytes of UTF-8, kept inline.
///
/// Identifiers travel through waits, store operations and replies as `Text`; its capacity is the identifier's maximum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const N: usize> {
    length: u16,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// The empty text.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; N] };

    /// A copy of `text`, or `None` where it is longer than `N` bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut copy = Self::EMPTY;
        copy.push_str(text)?;
        Some(copy)
    }

    /// Appends `text`, or leaves the text as it is and answers `None` where the whole would be longer than `N` bytes.
    #[must_use]
    pub fn push_str(&mut self, text: &str) -> Option<()> {
        let start = usize::from(self.length);
        let end = start.checked_add(text.len())?;
        let length = u16::try_from(end).ok()?;
        self.bytes.get_mut(start..end)?.copy_from_slice(text.as_bytes());
        self.length = length;
        Some(())
    }

    /// Appends one character, or answers `None` where it does not fit.
    #[must_use]
    pub fn push(&mut self, character: char) -> Option<()> {
        self.push_str(character.encode_utf8(&mut [0; 4]))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only whole `str`s are ever appended, so the bytes are UTF-8; the fallback cannot be reached.
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or("")
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text).ok_or(fmt::Error)
    }
}

/// The form of a key's id in a metric's name. An id of 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_`, `-` is its own. Of any other, each character
/// outside these becomes `_`, what is behind the 48th is cut off, and `-` and 8 hex digits of the id's SHA-256 keep it apart from ids that
/// look alike.
///
/// # Security
/// The names of a proxy's metrics are a language of their own (tags are cut out by expressions, and statistics are sent as lines), so
/// nothing that another party named may stand in them as it is. The form is bounded, and so is the number of metrics.
#[must_use]
pub fn label(id: &str) -> Text<LABEL_BYTES> {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    if let Some(label) = Text::new(id).filter(|_| !id.is_empty() && id.chars().all(is_plain)) {
        return label;
    }
    let mut label = Text::EMPTY;
    for character in id.chars().take(LABEL_CHARACTERS) {
        // 48 characters of one byte, and nine more, fit.
        let _fits = label.push(if is_plain(character) { character } else { '_' });
    }
    let _fits = label.push('-');
    for byte in sha256(id.as_bytes()).into_iter().take(4) {
        let _fits = write!(label, "{byte:02x}");
    }
    label
}

const LABEL_BYTES: usize = 64;
const LABEL_CHARACTERS: usize = 48;

#[cfg(test)]
mod tests {
    use super::{Text, label};

    #[test]
    fn a_label_is_the_id_or_well_formed_and_apart_from_its_likes() {
        let long = "a".repeat(64);
        for plain in ["hs", "2026-q4", "A.b_C-9", long.as_str()] {
            assert_eq!(label(plain).as_str(), plain);
        }
        for (id, expected) in [
            ("", "-e3b0c442"),
            ("kid@2026", "kid_2026-947d4864"),
            ("kid:2026", "kid_2026-6c8d1b07"),
            ("schl\u{fc}ssel", "schl_ssel-ccec7a8e"),
            ("a.code.b", "a.code.b"),
        ] {
            assert_eq!(label(id).as_str(), expected, "{id}");
        }
        let (one, other) = ("b".repeat(65), "b".repeat(66));
        assert!(label(&one).as_str().starts_with(&"b".repeat(48)) && label(&one).as_str().len() == 57);
        assert_ne!(label(&one), label(&other));
    }

    #[test]
    fn text_of_exactly_the_capacity_fits_and_one_byte_more_does_not() {
        assert_eq!(Text::<4>::new("abcd").map(|text| text.as_str().len()), Some(4));
        assert_eq!(Text::<4>::new("abcde"), None);
        let mut text = Text::<4>::new("abc").unwrap();
        assert_eq!(text.push('é'), None, "two bytes do not fit into the last one");
        assert_eq!(text.as_str(), "abc");
    }
}
