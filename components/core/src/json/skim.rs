//! Some members of an object, out of a document of which everything else is only skipped.
//!
//! A token is not a signed payload: its issuer puts claims into it that are none of ours. What we read of it must mean one thing to
//! everybody; what we do not read may be any JSON (RFC 8259), and can never refuse the token.

use super::{Escapes, Numbers, Str, number, text};

/// Containers inside one another, the object itself included. A bit of a `u64` stands for each.
pub const SKIM_DEPTH_MAX: u32 = 64;

/// Why no member can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkimProblem {
    /// Not one JSON document in UTF-8.
    NotJson,
    /// A document, and not an object.
    NotAnObject,
    /// More containers inside one another than [`SKIM_DEPTH_MAX`].
    TooDeep,
    /// One of the wanted members stands twice, perhaps behind an escape: two readers, two values.
    Repeated,
}

/// The values of `names` in the object that `bytes` are, each as its bytes; `None` where a member is not there.
///
/// The values are JSON, and may be what [`super::read`] refuses: whoever reads one decides about that.
///
/// # Errors
/// A [`SkimProblem`].
pub fn members<'b, const N: usize>(
    bytes: &'b [u8],
    names: [&str; N],
) -> Result<[Option<&'b [u8]>; N], SkimProblem> {
    if core::str::from_utf8(bytes).is_err() {
        return Err(SkimProblem::NotJson);
    }
    let mut skim = Skim { bytes, at: 0 };
    skim.skip_blank();
    if !skim.skip(b'{') {
        skim.value()?;
        return skim.end().and(Err(SkimProblem::NotAnObject));
    }
    let mut found = [None; N];
    skim.skip_blank();
    let mut is_over = skim.skip(b'}');
    while !is_over {
        let name = skim.name()?;
        let start = skim.at;
        skim.value()?;
        let value = bytes.get(start..skim.at).unwrap_or_default();
        let wanted = names.iter().position(|wanted| name.is_some_and(|name| name.is(wanted)));
        if let Some(place) = wanted.and_then(|wanted| found.get_mut(wanted))
            && place.replace(value).is_some()
        {
            return Err(SkimProblem::Repeated);
        }
        is_over = !skim.comma(b'}')?;
    }
    skim.end()?;
    Ok(found)
}

struct Skim<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Skim<'b> {
    /// Skips one value, with a bit for each container that is open inside it.
    fn value(&mut self) -> Result<(), SkimProblem> {
        // The innermost container is the lowest bit: 1 for an object.
        let (mut objects, mut depth) = (0_u64, 0_u32);
        loop {
            let closer = match self.peek() {
                Some(b'{') => Some(b'}'),
                Some(b'[') => Some(b']'),
                Some(b'"') => {
                    self.text()?;
                    None
                }
                Some(b'-' | b'0'..=b'9') => {
                    let number = number::scan(self.bytes, self.at, Numbers::AsWritten);
                    self.at = number.map_err(|_| SkimProblem::NotJson)?.end;
                    None
                }
                _ => {
                    self.word()?;
                    None
                }
            };
            if let Some(closer) = closer {
                // The outermost object is not among the bits.
                if depth.saturating_add(1) >= SKIM_DEPTH_MAX {
                    return Err(SkimProblem::TooDeep);
                }
                depth = depth.saturating_add(1);
                objects = objects << 1 | u64::from(closer == b'}');
                self.at = self.at.wrapping_add(1);
                self.skip_blank();
                if self.peek() != Some(closer) {
                    if closer == b'}' {
                        self.name()?;
                    }
                    continue;
                }
                self.at = self.at.wrapping_add(1);
                depth = depth.saturating_sub(1);
                objects >>= 1;
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                if self.comma(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.name()?;
                    }
                    break;
                }
                depth = depth.saturating_sub(1);
                objects >>= 1;
            }
        }
    }

    /// Skips a member's name and its colon; `None` for a name that no strict text has, which is none that anybody wants.
    fn name(&mut self) -> Result<Option<Str<'b>>, SkimProblem> {
        let start = self.at.wrapping_add(1);
        self.text()?;
        let raw = self.bytes.get(start..self.at.wrapping_sub(1)).unwrap_or_default();
        let escapes = text::scan(self.bytes, start).ok().map(|scan| scan.escapes);
        self.skip_blank();
        if !self.skip(b':') {
            return Err(SkimProblem::NotJson);
        }
        self.skip_blank();
        Ok(escapes.map(|escapes: Escapes| Str { raw, escapes }))
    }

    /// Skips a text as RFC 8259 has it: half a surrogate pair and noncharacters may stand in it.
    fn text(&mut self) -> Result<(), SkimProblem> {
        if !self.skip(b'"') {
            return Err(SkimProblem::NotJson);
        }
        loop {
            let byte = self.peek().ok_or(SkimProblem::NotJson)?;
            self.at = self.at.wrapping_add(1);
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..0x20 => return Err(SkimProblem::NotJson),
                _ => {}
            }
        }
    }

    /// Skips what follows a backslash.
    fn escape(&mut self) -> Result<(), SkimProblem> {
        let escape = self.bytes.get(self.at..).unwrap_or_default();
        let length = match escape {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', digits @ ..] if digits.iter().take(4).filter(|d| d.is_ascii_hexdigit()).count() == 4 => 5,
            _ => return Err(SkimProblem::NotJson),
        };
        self.at = self.at.wrapping_add(length);
        Ok(())
    }

    fn word(&mut self) -> Result<(), SkimProblem> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word.as_bytes()));
        self.at = self.at.wrapping_add(word.ok_or(SkimProblem::NotJson)?.len());
        Ok(())
    }

    /// After a value: whether a comma follows; otherwise skips the end of the container.
    fn comma(&mut self, closer: u8) -> Result<bool, SkimProblem> {
        self.skip_blank();
        if self.skip(b',') {
            self.skip_blank();
            return Ok(true);
        }
        if self.skip(closer) { Ok(false) } else { Err(SkimProblem::NotJson) }
    }

    fn end(&mut self) -> Result<(), SkimProblem> {
        self.skip_blank();
        if self.at == self.bytes.len() { Ok(()) } else { Err(SkimProblem::NotJson) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at = self.at.wrapping_add(usize::from(is_there));
        is_there
    }

    fn skip_blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at = self.at.wrapping_add(1);
        }
    }
}
