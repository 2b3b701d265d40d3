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

use crate::identifier::{is_macro, is_nothing, percent_decoded, unquoted};
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
    /// What a program prints for nothing, such as `null` or `0`.
    Nothing,
    /// One of ours in another letter case.
    LetterCase,
    /// One of ours, percent-encoded once more than it should be.
    Encoded,
    /// One of ours, with quotes or blanks around it.
    Quoted,
    /// One of ours in another spelling: a name in front of it, another separator, or without its `clk_`.
    Respelled,
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
    /// A character that no click id has.
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
            Self::Nothing => {
                "is what a system prints for nothing, such as null or 0; check which field your system sends"
            }
            Self::LetterCase => "is in another letter case; send it unchanged, in lower case",
            Self::Encoded => "is percent-encoded; decode it once more before you send it",
            Self::Quoted => "has quotes or blanks around it; send the id alone",
            Self::Respelled => {
                "is one of ours in another spelling; send it unchanged, from its clk_ or cls_ to its last character"
            }
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

    /// Whether that is certain whatever is known of other trackers: then it is refused even where no click id is verified.
    /// Nobody's id is a macro or a word for nothing, and an id that is ours once its spelling is mended is nobody else's.
    #[must_use]
    pub const fn is_certain(self) -> bool {
        match self {
            Self::Macro
            | Self::Nothing
            | Self::LetterCase
            | Self::Encoded
            | Self::Quoted
            | Self::Respelled => true,
            Self::Foreign | Self::Truncated { .. } | Self::TooLong { .. } | Self::Alphabet | Self::Forged => {
                false
            }
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
///
/// # Security
/// What claims to be ours in any spelling must be ours, and in its own spelling: the id is a key of deduplication and of the
/// ledger, so two spellings would be two clicks. An id that only looks like another tracker's (`CLK_…`, `"clk_…"`, `clk%5F…`)
/// would pass unverified beside others.
pub fn inspect(keys: &[ClickKey], id: &str) -> Result<Click, ClickReject> {
    if is_nothing(id) {
        return Err(ClickReject::Nothing);
    }
    if is_macro(id) {
        return Err(ClickReject::Macro);
    }
    let reject = match as_minted(keys, id) {
        Err(reject @ (ClickReject::Foreign | ClickReject::Alphabet)) => reject,
        other => return other,
    };
    let Some(mended) = mended(id) else { return Err(reject) };
    match as_minted(keys, mended.id.as_str()) {
        Ok(_click) => Err(spelling(id, mended.id.as_str())),
        // Forty characters of anybody's may be an id of anybody's: only the tag tells.
        Err(_) if mended.is_bare || reject == ClickReject::Alphabet => Err(reject),
        Err(reject) => Err(reject),
    }
}

/// [`inspect`] for an id in the spelling in which it was minted.
fn as_minted(keys: &[ClickKey], id: &str) -> Result<Click, ClickReject> {
    if let Some(digits) = id.strip_prefix(PREFIX) {
        verify(keys, id, &read(digits, LENGTH)?)
    } else if let Some(digits) = id.strip_prefix(SEALED_PREFIX) {
        open(keys, &read(digits, SEALED_LENGTH)?)
    } else {
        Err(ClickReject::Foreign)
    }
}

/// An id that claims to be ours, in the spelling in which it would have been minted.
struct Mended {
    id: Text<MENDED_BYTES_MAX>,
    /// Whether nothing but its length says so.
    is_bare: bool,
}

/// Undoes what happens to an id on its way: percent-encoding (twice at the most), quotes and blanks, a name in front (`cid=`,
/// `click_id:`), letter case, and another separator behind `clk`, or none. `None` where nothing claims to be ours.
#[cold]
fn mended(id: &str) -> Option<Mended> {
    let mut text: Text<MENDED_BYTES_MAX> = Text::new(id)?;
    for _ in 0..2 {
        text = percent_decoded(text.as_str()).unwrap_or(text);
    }
    let named = unquoted(text.as_str());
    let bare = unquoted(named.rsplit(['=', ':']).next().unwrap_or(named));
    let mut lower: Text<MENDED_BYTES_MAX> = Text::EMPTY;
    for character in bare.chars() {
        lower.push(character.to_ascii_lowercase())?;
    }
    let whole = lower.as_str();
    if whole.starts_with(PREFIX) || whole.starts_with(SEALED_PREFIX) {
        return Some(Mended { id: lower, is_bare: false });
    }
    for (prefix, length) in [(PREFIX, LENGTH), (SEALED_PREFIX, SEALED_LENGTH)] {
        let marked = whole.strip_prefix(prefix.trim_end_matches('_'));
        let digits = marked.map_or(whole, |rest| rest.trim_start_matches(['-', '.', '+', ' ', '~']));
        let has_length = digits.len() == length.saturating_sub(prefix.len());
        if has_length && digits.bytes().all(|character| digit(character).is_some()) {
            let mut id = Text::new(prefix)?;
            id.push_str(digits)?;
            return Some(Mended { id, is_bare: marked.is_none() });
        }
    }
    None
}

/// In which way an id of ours is spelled otherwise than it was minted.
fn spelling(id: &str, minted: &str) -> ClickReject {
    if id.eq_ignore_ascii_case(minted) {
        ClickReject::LetterCase
    } else if id.contains('%') {
        ClickReject::Encoded
    } else if unquoted(id).eq_ignore_ascii_case(minted) {
        ClickReject::Quoted
    } else {
        ClickReject::Respelled
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
/// The longest text that is looked at as a spelling of an id of ours, in bytes.
const MENDED_BYTES_MAX: usize = 256;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Bytes of time and random.
const BARE: usize = 14;
/// Bytes before a plain id's tag: time, hint, random.
const CLAIMS: usize = 15;
/// Bytes of a plain id's tag.
const TAG: usize = 10;
/// Bytes of a sealed id.
const SEALED: usize = 55;
