//! Short text kept inline, so that a request that waits allocates nothing.

use core::fmt;

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

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn text_of_exactly_the_capacity_fits_and_one_byte_more_does_not() {
        assert_eq!(Text::<4>::new("abcd").map(|text| text.as_str().len()), Some(4));
        assert_eq!(Text::<4>::new("abcde"), None);
        let mut text = Text::<4>::new("abc").unwrap();
        assert_eq!(text.push('é'), None, "two bytes do not fit into the last one");
        assert_eq!(text.as_str(), "abc");
    }
}
