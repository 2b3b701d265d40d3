//! Self-authenticating click ids: the gate can tell that it minted one without a lookup (source §3).
//!
//! ```text
//! clk_ + 40 characters of Crockford base32 in lower case, for 25 bytes:
//!   6 bytes  milliseconds since the epoch, so that ids sort by time
//!   1 byte   key hint: which of the keys to try
//!   8 bytes  random
//!  10 bytes  tag: the start of an HMAC-SHA256 over the 15 bytes before it
//! ```
//!
//! An id says when it was minted and nothing else. 80 bits of tag are enough because a guess can only be checked by asking.

use alloc::sync::Arc;

use crate::mac::{MacKey, equal};
use crate::text::Text;
use crate::time::Timestamp;

/// Length of a click id, in characters.
pub const LENGTH: usize = 44;

/// A key that click ids are minted and recognised with.
#[derive(Clone, Debug)]
pub struct ClickKey {
    id: Arc<str>,
    mac: MacKey,
    hint: u8,
}

impl ClickKey {
    /// Prepares a key; `id` names it in metrics and logs.
    #[must_use]
    pub fn new(id: Arc<str>, secret: &[u8]) -> Self {
        let mac = MacKey::new(secret);
        let [hint, ..] = mac.tag_of_parts("countersign click hint v1", &[]);
        Self { id, mac, hint }
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn tag(&self, claims: &[u8; CLAIMS]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.iter_mut()
            .zip(self.mac.tag_of_parts("countersign click v1", &[claims]))
            .for_each(|(to, from)| *to = from);
        tag
    }
}

/// What a genuine click id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// When the redirect minted it.
    pub minted_at: Timestamp,
    /// The key that it was minted with.
    pub key_id: Arc<str>,
}

/// What is wrong with a click id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClickFault {
    /// A placeholder that the sender's system did not fill in, such as `{click_id}` or `%CLICKID%`.
    Macro,
    /// It does not begin with `clk_`: another system's id.
    Foreign,
    /// It begins as one of ours and is shorter.
    Truncated {
        /// Its length in bytes, instead of [`LENGTH`].
        length: usize,
    },
    /// It begins as one of ours and is longer.
    TooLong {
        /// Its length in bytes, instead of [`LENGTH`].
        length: usize,
    },
    /// A character that no click id has; upper case is the usual cause.
    Alphabet,
    /// The tag is not that of any key: mistyped, made up, or minted with a key that was since removed.
    Forged,
}

impl ClickFault {
    /// What the sender reads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Macro => "is a placeholder that was never filled in; check the macro's name in your system",
            Self::Foreign => "is not one of ours: ours begin with clk_",
            Self::Truncated { .. } => {
                "is cut off: ours have 44 characters; check the length of your column or field"
            }
            Self::TooLong { .. } => "has something appended: ours have 44 characters",
            Self::Alphabet => "has a character that ours never have; send it unchanged, in lower case",
            Self::Forged => "was not minted here, or was changed on its way",
        }
    }
}

/// A new click id. `random` comes from the host's secure random source.
#[must_use]
pub fn mint(key: &ClickKey, at: Timestamp, random: [u8; 8]) -> Text<LENGTH> {
    let [_, _, a, b, c, d, e, f] = at.as_ms().to_be_bytes();
    let [g, h, i, j, k, l, m, n] = random;
    let claims = [a, b, c, d, e, f, key.hint, g, h, i, j, k, l, m, n];
    let mut id = Text::EMPTY;
    // 4 characters and 5 × 8 fill the text exactly.
    let mut fits = id.push_str(PREFIX);
    let (head, tag) = (claims.as_chunks::<5>().0, key.tag(&claims));
    for group in head.iter().chain(tag.as_chunks::<5>().0) {
        let [a, b, c, d, e] = *group;
        let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        for shift in [35_u32, 30, 25, 20, 15, 10, 5, 0] {
            let [low, ..] = bits.wrapping_shr(shift).to_le_bytes();
            let digit = ALPHABET.get(usize::from(low & 31)).copied().unwrap_or(b'0');
            fits = fits.and_then(|()| id.push(char::from(digit)));
        }
    }
    id
}

/// What a click id says, once its tag is found to be ours.
///
/// # Errors
/// A [`ClickFault`], as precise as a sender needs to find the cause.
pub fn inspect(keys: &[ClickKey], id: &str) -> Result<Click, ClickFault> {
    if is_macro(id) {
        return Err(ClickFault::Macro);
    }
    let characters = id.strip_prefix(PREFIX).ok_or(ClickFault::Foreign)?.as_bytes();
    let length = id.len();
    if length < LENGTH {
        return Err(ClickFault::Truncated { length });
    }
    if length > LENGTH {
        return Err(ClickFault::TooLong { length });
    }
    let mut bytes = [0_u8; CLAIMS + TAG];
    let (groups, _) = characters.as_chunks::<8>();
    for (to, group) in bytes.as_chunks_mut::<5>().0.iter_mut().zip(groups) {
        let bits = group
            .iter()
            .try_fold(0_u64, |bits, character| Some(bits << 5 | u64::from(digit(*character)?)))
            .ok_or(ClickFault::Alphabet)?;
        let [_, _, _, a, b, c, d, e] = bits.to_be_bytes();
        *to = [a, b, c, d, e];
    }
    let (Some(claims), Some(tag)) = (bytes.first_chunk::<CLAIMS>(), bytes.last_chunk::<TAG>()) else {
        return Err(ClickFault::Forged);
    };
    let [a, b, c, d, e, f, hint, ..] = *claims;
    keys.iter()
        .filter(|key| key.hint == hint)
        .find(|key| equal(&key.tag(claims), tag))
        .map(|key| Click {
            minted_at: Timestamp::from_ms(u64::from_be_bytes([0, 0, a, b, c, d, e, f])),
            key_id: key.id.clone(),
        })
        .ok_or(ClickFault::Forged)
}

/// Whether an id is a tracker's macro that nobody replaced, as it is or percent-encoded. No id of ours looks like one.
fn is_macro(id: &str) -> bool {
    const PAIRS: [(&str, &str); 9] = [
        ("{", "}"),
        ("${", "}"),
        ("[", "]"),
        ("<", ">"),
        ("%", "%"),
        ("#", "#"),
        ("__", "__"),
        ("%7b", "%7d"),
        ("%5b", "%5d"),
    ];
    let starts = |text: &str| {
        id.as_bytes().get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
    };
    let ends = |text: &str| {
        id.len()
            .checked_sub(text.len())
            .and_then(|at| id.as_bytes().get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(text.as_bytes()))
    };
    PAIRS
        .iter()
        .any(|(open, close)| id.len() > open.len().saturating_add(close.len()) && starts(open) && ends(close))
}

/// The value of a base32 character. Crockford's spare spellings (upper case, `i` for `1`) are refused: one click, one id.
const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character.wrapping_sub(b'0')),
        b'a'..=b'h' => Some(character.wrapping_sub(b'a' - 10)),
        b'j' | b'k' => Some(character.wrapping_sub(b'j' - 18)),
        b'm' | b'n' => Some(character.wrapping_sub(b'm' - 20)),
        b'p'..=b't' => Some(character.wrapping_sub(b'p' - 22)),
        b'v'..=b'z' => Some(character.wrapping_sub(b'v' - 27)),
        _ => None,
    }
}

const PREFIX: &str = "clk_";
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Bytes before the tag: time, hint, random.
const CLAIMS: usize = 15;
/// Bytes of the tag.
const TAG: usize = 10;
