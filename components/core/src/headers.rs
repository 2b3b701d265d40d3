//! Header fields of a request, as bytes: a host passes on whatever stands on the wire.

/// The header fields of a request, in order: names in any case, values without the whitespace around them.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(pub &'a [(&'a [u8], &'a [u8])]);

/// A field that may stand once stands several times. Which of them another reader believes is unknown, so none is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl<'a> Headers<'a> {
    /// The first field of that name, whose case does not matter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The only field of that name; `None` where there is none.
    ///
    /// # Errors
    /// [`Repeated`] where the field stands more than once.
    pub fn single(&self, name: &str) -> Result<Option<&'a [u8]>, Repeated> {
        let mut fields = self.all(name);
        let first = fields.next();
        if fields.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// Every field of that name, in order.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.0
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }
}

/// The value of 1 to 15 decimal digits without a sign or a leading zero: one instant has one spelling.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 15 || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(*digit & 0x0f))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::{Headers, Repeated, decimal};

    #[test]
    fn a_field_is_found_whatever_the_case_of_its_name() {
        let fields: [(&[u8], &[u8]); 3] =
            [(b"X-Signature", b"one"), (b"x-forwarded-for", b"a"), (b"X-Forwarded-FOR", b"b")];
        let headers = Headers(&fields);
        assert_eq!(headers.get("x-signature"), Some(&b"one"[..]));
        assert_eq!(headers.single("x-signature"), Ok(Some(&b"one"[..])));
        assert_eq!(headers.single("authorization"), Ok(None));
        assert_eq!(headers.single("x-forwarded-for"), Err(Repeated));
        assert!(headers.all("x-forwarded-for").eq([&b"a"[..], b"b"]));
        assert_eq!(headers.get("x-signatur"), None);
    }

    #[test]
    fn a_decimal_has_one_spelling() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"1614265330"), Some(1_614_265_330));
        assert_eq!(decimal(b"999999999999999"), Some(999_999_999_999_999));
        for refused in ["", "01", "+1", "-1", " 1", "1 ", "1.0", "1e3", "0x1", "\u{661}", "1000000000000000"]
        {
            assert_eq!(decimal(refused.as_bytes()), None, "{refused:?}");
        }
    }
}
