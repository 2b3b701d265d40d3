//! The URI names in a certificate (RFC 5280 §4.2.1.6), read from its DER form.
//!
//! This is not a check of the certificate: whoever forwards it has done that. It finds the one list that no other name of the
//! certificate can imitate, because every entry has its length in front of it.

use alloc::vec::Vec;

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
/// `extensions [3]` of a `TBSCertificate`.
const EXTENSIONS: u8 = 0xa3;
/// `uniformResourceIdentifier [6]` of a `GeneralName`.
const URI: u8 = 0x86;
/// 2.5.29.17, `subjectAltName`.
const SUBJECT_ALTERNATIVE_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// The URI names of a certificate, in order; `None` where `der` is not one certificate in DER, where it has the extension
/// twice, or where a name is not UTF-8.
#[cold]
pub(super) fn uri_names(der: &[u8]) -> Option<Vec<&str>> {
    let mut whole = Der(der);
    let mut certificate = Der(whole.value(SEQUENCE)?);
    if !whole.0.is_empty() {
        return None;
    }
    let mut certified = Der(certificate.value(SEQUENCE)?);
    let mut names = None;
    while let Some((tag, value)) = certified.next() {
        if tag != EXTENSIONS {
            continue;
        }
        let mut extensions = Der(Der(value).value(SEQUENCE)?);
        while !extensions.0.is_empty() {
            let mut extension = Der(extensions.value(SEQUENCE)?);
            if extension.value(OBJECT_IDENTIFIER)? != SUBJECT_ALTERNATIVE_NAME {
                continue;
            }
            let (tag, value) = extension.next()?;
            let value = if tag == BOOLEAN { extension.value(OCTET_STRING)? } else { value };
            if names.replace(Der(value).value(SEQUENCE)?).is_some() {
                return None;
            }
        }
    }
    // What could not be read ended the loop early, and may have been the extensions.
    if !certified.0.is_empty() {
        return None;
    }
    let mut general_names = Der(names.unwrap_or_default());
    let mut uris = Vec::new();
    while !general_names.0.is_empty() {
        let (tag, value) = general_names.next()?;
        if tag == URI {
            uris.push(core::str::from_utf8(value).ok()?);
        }
    }
    Some(uris)
}

/// What is left of a sequence of DER elements.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag, of one byte, and its value. Nothing is taken where it is cut off or malformed.
    #[inline(never)]
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match *length {
            short @ ..0x80 => (usize::from(short), rest),
            // As many bytes of length as the low bits say; three are more than any header field has room for.
            long @ 0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            0x80 | 0x84.. => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    /// The value of the next element, which must have this tag.
    #[inline(never)]
    fn value(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, value)| value)
    }
}
