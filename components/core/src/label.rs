//! Ids that another party chose, as they stand in the names of metrics.

use core::fmt::Write as _;

use crate::mac::sha256;
use crate::text::Text;

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
    use super::label;

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
}
