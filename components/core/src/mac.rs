//! HMAC-SHA256 with prepared keys, and the two texts that a tag is written in.

use core::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::text::Text;

/// A full HMAC-SHA256 tag, or a SHA-256 digest.
pub(crate) type Tag = [u8; 32];

/// A secret, prepared for HMAC-SHA256: both pads are hashed once, here, and each MAC starts from a copy of that state.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Prepares `secret`, of any length; the configuration refuses an empty or short one.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        // A key longer than a block is hashed, a shorter one is padded with zeros (RFC 2104 §2). Doing it here leaves
        // `new` with an array of the right length, hence nothing that could fail.
        let mut block = [0_u8; 64];
        if let Some(start) = block.get_mut(..secret.len()) {
            start.copy_from_slice(secret);
        } else if let Some(start) = block.get_mut(..32) {
            start.copy_from_slice(&sha256(secret));
        }
        Self(Hmac::new(&block.into()))
    }

    /// A MAC over nothing yet.
    pub(crate) fn start(&self) -> Mac {
        Mac(self.0.clone())
    }

    /// The first 128 bits of [`MacKey::tag_of_parts`], as 22 characters of base64url without padding (RFC 4648 §5).
    ///
    /// # Security
    /// For pseudonyms, which have to be hard to reverse and must not collide; a tag that proves who sent something is longer.
    #[must_use]
    pub fn short_tag_of_parts(&self, purpose: &str, parts: &[&[u8]]) -> Text<22> {
        let tag = self.tag_of_parts(purpose, parts);
        let mut characters = [0_u8; 22];
        // 16 bytes take exactly 22 characters, all ASCII: no fallback can be reached.
        let bits = tag.first_chunk::<16>().copied().unwrap_or_default();
        let length = URL_SAFE_NO_PAD.encode_slice(bits, &mut characters).unwrap_or(0);
        characters
            .get(..length)
            .and_then(|text| core::str::from_utf8(text).ok())
            .and_then(Text::new)
            .unwrap_or_default()
    }

    /// The tag of a purpose and its parts: `purpose LF`, then for each part its length in decimal, `:`, the part, `LF`.
    ///
    /// # Security
    /// The lengths keep the parts apart, whatever bytes stand in them; the purpose keeps a tag from being used for another.
    pub(crate) fn tag_of_parts(&self, purpose: &str, parts: &[&[u8]]) -> Tag {
        let mut mac = self.start();
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        for part in parts {
            let mut length = Text::<21>::EMPTY;
            // 21 bytes hold every 64-bit number and the colon.
            let _fits = write!(length, "{}:", part.len());
            mac.update(length.as_str().as_bytes());
            mac.update(part);
            mac.update(b"\n");
        }
        mac.finish()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(secret)")
    }
}

/// A MAC under way.
#[derive(Clone)]
pub(crate) struct Mac(Hmac<Sha256>);

impl Mac {
    /// Adds `bytes` to the message.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The tag of everything added.
    pub(crate) fn finish(self) -> Tag {
        self.0.finalize().into_bytes().into()
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Tag {
    use sha2::Digest as _;
    Sha256::digest(bytes).into()
}

/// Whether two byte strings are the same, in a time that depends on their lengths only.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// A tag as 43 characters of base64url without padding (RFC 4648 §5).
pub(crate) fn to_base64url(tag: &Tag) -> Text<43> {
    let mut characters = [0_u8; 43];
    // 32 bytes take exactly 43 characters, all ASCII: neither fallback can be reached.
    let length = URL_SAFE_NO_PAD.encode_slice(tag, &mut characters).unwrap_or(0);
    characters
        .get(..length)
        .and_then(|text| core::str::from_utf8(text).ok())
        .and_then(Text::new)
        .unwrap_or_default()
}

/// The tag that 43 characters of base64url stand for; `None` for other lengths, characters, or set trailing bits.
pub(crate) fn from_base64url(characters: &[u8]) -> Option<Tag> {
    if characters.len() != 43 {
        return None;
    }
    let mut tag = [0_u8; 32];
    (URL_SAFE_NO_PAD.decode_slice(characters, &mut tag) == Ok(32)).then_some(tag)
}

/// The tag that 64 hexadecimal digits of either case stand for.
pub(crate) fn from_hex(digits: &[u8]) -> Option<Tag> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    if pairs.len() != 32 {
        return None;
    }
    let mut tag = [0_u8; 32];
    for (byte, [high, low]) in tag.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(tag)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::{MacKey, equal, from_base64url, to_base64url};

    #[test]
    fn parts_that_join_to_the_same_bytes_have_different_tags() {
        let key = MacKey::new(b"secret");
        let tags = [
            key.tag_of_parts("p", &[b"ab", b"c"]),
            key.tag_of_parts("p", &[b"a", b"bc"]),
            key.tag_of_parts("p", &[b"abc"]),
            key.tag_of_parts("p", &[b"ab\n1:c"]),
            key.tag_of_parts("q", &[b"ab", b"c"]),
        ];
        for (i, one) in tags.iter().enumerate() {
            assert!(tags.iter().skip(i + 1).all(|other| one != other), "{i}");
        }
        let mut whole = key.start();
        whole.update(b"p\n2:ab\n1:c\n");
        assert_eq!(tags[0], whole.finish());
    }

    #[test]
    fn a_short_tag_is_the_start_of_the_long_one() {
        let key = MacKey::new(b"secret");
        for (purpose, part) in [("p", "a"), ("p", "b"), ("q", "a")] {
            let short = key.short_tag_of_parts(purpose, &[part.as_bytes()]);
            let long = to_base64url(&key.tag_of_parts(purpose, &[part.as_bytes()]));
            let (start, last) = short.as_str().split_at(21);
            assert_eq!(start, long.as_str().split_at(21).0);
            // 126 bits are in 21 characters; the last one has two more, and four that are zero.
            assert!(["A", "Q", "g", "w"].contains(&last), "{last}");
        }
    }

    #[test]
    fn a_tag_has_one_spelling_in_base64url() {
        let text = to_base64url(&[0xff; 32]);
        assert_eq!(text.as_str(), "__________________________________________8");
        assert_eq!(from_base64url(text.as_str().as_bytes()), Some([0xff; 32]));
        // The last character carries four bits of the tag and two that must be zero.
        for last in ["9", "_", "=", "+"] {
            let other = [text.as_str().split_at(42).0, last].concat();
            assert_eq!(from_base64url(other.as_bytes()), None, "{other}");
        }
        assert_eq!(from_base64url(&text.as_str().as_bytes()[..42]), None);
        assert_eq!(from_base64url([text.as_str(), "="].concat().as_bytes()), None);
    }

    #[test]
    fn equal_compares_every_byte() {
        let tag = [7_u8; 32];
        assert!(equal(&tag, &tag));
        for bit in 0..256 {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal(&tag, &other), "bit {bit}");
        }
        assert!(!equal(&tag, &tag[..31]));
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", MacKey::new(b"hunter2")), "MacKey(secret)");
    }
}
