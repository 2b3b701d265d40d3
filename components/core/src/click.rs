//! Self-authenticating click ids, plain and sealed: the gate can tell that it minted one without a lookup (source §2, §3).
//!
//! ```text
//! clk_ + 40 characters of Crockford base32 in lower case, for 25 bytes:
//!   6 bytes  milliseconds since the epoch, so that ids sort by time
//!   1 byte   key hint: which of the keys to try
//!   8 bytes  random
//!  10 bytes  tag: the start of an HMAC-SHA256 over the 15 bytes before it
//!
//! cls_ + 88 characters of the same alphabet, for 55 bytes:
//!   1 byte   key hint
//!  24 bytes  nonce, random
//!  14 bytes  the id's time and random, encrypted
//!  16 bytes  tag of XChaCha20-Poly1305, over `cls_` and the hint as well
//! ```
//!
//! `tag(purpose, part)` is an HMAC-SHA256 with the secret over `purpose LF` and, where there is a part, `<its length>:<part> LF`:
//!
//! ```text
//! key hint         the first byte of tag("countersign click hint v1")
//! tag, plain       the first 10 bytes of tag("countersign click v1", the 15 bytes)
//! key, sealed      tag("countersign click seal v1")
//! ```
//!
//! A plain id says when it was minted and nothing else. 80 bits of tag are enough because a guess can only be checked by
//! asking. A sealed id says nothing to anyone but a holder of the key, and no two of one click look alike; whoever sends it
//! back need not know the difference, and [`inspect`] finds the plain id in it. One secret serves both: what is encrypted
//! with is derived from it.

use alloc::sync::Arc;
use core::fmt;

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};

use crate::keys::Key;
use crate::mac::{MacKey, equal};
use crate::text::Text;
use crate::time::Timestamp;
use crate::validity::Validity;

/// Length of a plain click id, in characters.
pub const LENGTH: usize = 44;

/// Length of a sealed click id, in characters.
pub const SEALED_LENGTH: usize = 92;

/// A key that click ids are minted and recognised with; its id names it in metrics and logs.
///
/// Its dates say when it mints. It recognises what it minted as long as it is listed, whatever the date: ids of last year still
/// come back with events of today. A key that leaked is taken off the list.
pub type ClickKey = Key<ClickSecret>;

/// The secret of a [`ClickKey`], prepared.
#[derive(Clone, Debug)]
pub struct ClickSecret {
    mac: MacKey,
    seal: SealKey,
    hint: u8,
}

/// The key that ids are sealed with.
#[derive(Clone)]
struct SealKey([u8; 32]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(secret)")
    }
}

impl Key<ClickSecret> {
    /// Prepares a key that mints at any time; `id` names it in metrics and logs.
    #[must_use]
    pub fn new(id: Arc<str>, secret: &[u8]) -> Self {
        Self::with(id, ClickSecret::new(secret), Validity { not_before: None, not_after: None })
    }
}

impl ClickSecret {
    /// Prepares a secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mac = MacKey::new(secret);
        let [hint, ..] = mac.tag_of_parts("countersign click hint v1", &[]);
        let seal = SealKey(mac.tag_of_parts("countersign click seal v1", &[]));
        Self { mac, seal, hint }
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
    /// The plain id: the one sent, or the one that was sealed in it.
    pub id: Text<LENGTH>,
    /// When the redirect minted it.
    pub minted_at: Timestamp,
    /// The key that it was minted with.
    pub key_id: Arc<str>,
}

/// What is wrong with a click id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClickReject {
    /// A placeholder that the sender's system did not fill in, such as `{click_id}` or `%CLICKID%`.
    Macro,
    /// It begins with neither `clk_` nor `cls_`: another system's id.
    Foreign,
    /// It begins as one of ours and is shorter.
    Truncated {
        /// Its length in bytes.
        length: usize,
        /// The length it should have: [`LENGTH`] or [`SEALED_LENGTH`].
        whole: usize,
    },
    /// It begins as one of ours and is longer.
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The length it should have: [`LENGTH`] or [`SEALED_LENGTH`].
        whole: usize,
    },
    /// A character that no click id has; upper case is the usual cause.
    Alphabet,
    /// The tag is not that of any key: mistyped, made up, or minted with a key that was since removed.
    Forged,
}

impl ClickReject {
    /// What the sender reads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Macro => "is a placeholder that was never filled in; check the macro's name in your system",
            Self::Foreign => "is not one of ours: ours begin with clk_ or cls_",
            Self::Truncated { whole: SEALED_LENGTH, .. } => {
                "is cut off: sealed ones have 92 characters; check the length of your column or field"
            }
            Self::Truncated { .. } => {
                "is cut off: ours have 44 characters; check the length of your column or field"
            }
            Self::TooLong { whole: SEALED_LENGTH, .. } => {
                "has something appended: sealed ones have 92 characters"
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
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = bare(at, random);
    let claims = [a, b, c, d, e, f, key.secret().hint, g, h, i, j, k, l, m, n];
    write(PREFIX, [claims.as_chunks().0, key.secret().tag(&claims).as_chunks().0])
}

/// The sealed form of the click id that [`mint`] makes of the same `key`, `at` and `random`. `nonce` comes from the host's secure
/// random source, anew for each.
#[must_use]
pub fn seal(key: &ClickKey, at: Timestamp, random: [u8; 8], nonce: [u8; 24]) -> Text<SEALED_LENGTH> {
    let mut sealed = bare(at, random);
    let cipher = XChaCha20Poly1305::new(&key.secret().seal.0.into());
    let tag = cipher
        .encrypt_inout_detached(&nonce.into(), &associated(key.secret().hint), sealed.as_mut_slice().into())
        // Only a text of 256 GiB is too long to encrypt. A tag of zeros opens nothing.
        .map_or([0; 16], Into::into);
    let mut bytes = [0; SEALED];
    bytes
        .iter_mut()
        .zip([key.secret().hint].into_iter().chain(nonce).chain(sealed).chain(tag))
        .for_each(|(to, from)| *to = from);
    write(SEALED_PREFIX, [bytes.as_chunks().0, &[]])
}

/// What a click id says, plain or sealed, once it is found to be ours.
///
/// # Errors
/// A [`ClickReject`], as precise as a sender needs to find the cause.
pub fn inspect(keys: &[ClickKey], id: &str) -> Result<Click, ClickReject> {
    if is_macro(id) {
        Err(ClickReject::Macro)
    } else if let Some(digits) = id.strip_prefix(PREFIX) {
        verify(keys, id, &read(digits, LENGTH)?)
    } else if let Some(digits) = id.strip_prefix(SEALED_PREFIX) {
        open(keys, &read(digits, SEALED_LENGTH)?)
    } else {
        Err(ClickReject::Foreign)
    }
}

fn verify(keys: &[ClickKey], id: &str, bytes: &[u8; CLAIMS + TAG]) -> Result<Click, ClickReject> {
    let (Some(claims), Some(tag)) = (bytes.first_chunk::<CLAIMS>(), bytes.last_chunk::<TAG>()) else {
        return Err(ClickReject::Forged);
    };
    let [a, b, c, d, e, f, hint, ..] = *claims;
    keys.iter()
        .filter(|key| key.secret().hint == hint)
        .find(|key| equal(&key.secret().tag(claims), tag))
        .map(|key| Click {
            id: Text::new(id).unwrap_or_default(),
            minted_at: Timestamp::from_ms(u64::from_be_bytes([0, 0, a, b, c, d, e, f])),
            key_id: Arc::clone(key.id()),
        })
        .ok_or(ClickReject::Forged)
}

fn open(keys: &[ClickKey], bytes: &[u8; SEALED]) -> Result<Click, ClickReject> {
    let [hint, rest @ ..] = bytes;
    let (Some((nonce, rest)), Some(tag)) = (rest.split_first_chunk::<24>(), bytes.last_chunk::<16>()) else {
        return Err(ClickReject::Forged);
    };
    let Some(sealed) = rest.first_chunk::<BARE>() else { return Err(ClickReject::Forged) };
    keys.iter()
        .filter(|key| key.secret().hint == *hint)
        .find_map(|key| {
            let mut bare = *sealed;
            XChaCha20Poly1305::new(&key.secret().seal.0.into())
                .decrypt_inout_detached(
                    &(*nonce).into(),
                    &associated(*hint),
                    bare.as_mut_slice().into(),
                    &(*tag).into(),
                )
                .ok()?;
            let [a, b, c, d, e, f, random @ ..] = bare;
            let minted_at = Timestamp::from_ms(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
            Some(Click { id: mint(key, minted_at, random), minted_at, key_id: Arc::clone(key.id()) })
        })
        .ok_or(ClickReject::Forged)
}

/// What both forms say.
const fn bare(at: Timestamp, random: [u8; 8]) -> [u8; BARE] {
    let [_, _, a, b, c, d, e, f] = at.as_ms().to_be_bytes();
    let [g, h, i, j, k, l, m, n] = random;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
}

/// What a seal vouches for besides what it hides: everything before the nonce.
const fn associated(hint: u8) -> [u8; 5] {
    [b'c', b'l', b's', b'_', hint]
}

/// A prefix and groups of five bytes, each as eight characters.
fn write<const N: usize>(prefix: &str, groups: [&[[u8; 5]]; 2]) -> Text<N> {
    let mut id = Text::EMPTY;
    // Every caller's prefix and groups fill the text exactly.
    let mut fits = id.push_str(prefix);
    for [a, b, c, d, e] in groups.into_iter().flatten() {
        let bits = u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e]);
        for shift in [35_u32, 30, 25, 20, 15, 10, 5, 0] {
            let [low, ..] = bits.wrapping_shr(shift).to_le_bytes();
            let digit = ALPHABET.get(usize::from(low & 31)).copied().unwrap_or(b'0');
            fits = fits.and_then(|()| id.push(char::from(digit)));
        }
    }
    id
}

/// The bytes that the characters after the prefix stand for; `whole` is the length that the id should have with its prefix.
fn read<const N: usize>(digits: &str, whole: usize) -> Result<[u8; N], ClickReject> {
    // Both prefixes have four characters.
    let length = digits.len().saturating_add(PREFIX.len());
    if length < whole {
        return Err(ClickReject::Truncated { length, whole });
    }
    if length > whole {
        return Err(ClickReject::TooLong { length, whole });
    }
    let mut bytes = [0_u8; N];
    let (groups, _) = digits.as_bytes().as_chunks::<8>();
    for (to, group) in bytes.as_chunks_mut::<5>().0.iter_mut().zip(groups) {
        let bits = group
            .iter()
            .try_fold(0_u64, |bits, character| Some(bits << 5 | u64::from(digit(*character)?)))
            .ok_or(ClickReject::Alphabet)?;
        let [_, _, _, a, b, c, d, e] = bits.to_be_bytes();
        *to = [a, b, c, d, e];
    }
    Ok(bytes)
}

/// Whether an id is a tracker's macro that nobody replaced, as it is or percent-encoded. No id of ours looks like one.
#[must_use]
pub fn is_macro(id: &str) -> bool {
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
const SEALED_PREFIX: &str = "cls_";
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Bytes of time and random.
const BARE: usize = 14;
/// Bytes before a plain id's tag: time, hint, random.
const CLAIMS: usize = 15;
/// Bytes of a plain id's tag.
const TAG: usize = 10;
/// Bytes of a sealed id.
const SEALED: usize = 55;
