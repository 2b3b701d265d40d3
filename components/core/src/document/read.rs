//! Reads a document into its structs, naming every mistake on the way.
//!
//! Serde stops at the first mistake. This deserializer never fails: where a value is missing or of the wrong kind it notes
//! so and goes on with a neutral one. The neutral value is never used, because a document with a noted mistake is refused.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::slice;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, Visitor};

use super::error::nearest;
use super::{ConfigError, ConfigErrors, Path};
use crate::json::{self, Object, ReadLimits, Tape, Value};

/// A struct with a member of this name, an [`Unread`](super::Unread), leaves all members that it does not have to other readers.
pub const OTHERS: &str = "*";

/// Longest document in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 4_194_304;

const LIMITS: ReadLimits = ReadLimits { nodes_max: 262_144, ..ReadLimits::POSTBACK };

/// Reads a document.
///
/// # Errors
/// Every mistake in its shape: not strict JSON, missing members, unknown members, values of the wrong kind. Ranges and what
/// the members mean together are checked by [`crate::policy::Policy::compile`].
pub fn read<T: DeserializeOwned>(json: &str) -> Result<T, Vec<ConfigError>> {
    let mut errors = ConfigErrors::default();
    match read_leniently(json, &mut errors) {
        Some(document) if errors.is_empty() => Ok(document),
        Some(_) | None => Err(errors.into_errors()),
    }
}

/// Reads a document as far as it can be read. Where a mistake was noted, the value in its place is a neutral one.
pub fn read_leniently<T: DeserializeOwned>(json: &str, errors: &mut ConfigErrors) -> Option<T> {
    if json.len() > DOCUMENT_BYTES_MAX {
        let problem = format!("is longer than {DOCUMENT_BYTES_MAX} bytes");
        errors.add(&Path::Root, problem, "split the partners over several gates");
        return None;
    }
    let mut tape = Tape::default();
    let document = match json::read(json.as_bytes(), &mut tape, LIMITS) {
        Ok(document) => document,
        Err(malformed) => {
            let (line, column) = place(json, malformed.offset);
            let problem = format!("is not strict JSON at line {line}, column {column}");
            errors.add(&Path::Root, problem, malformed.problem.as_str());
            return None;
        }
    };
    let node = Node { value: Some(document.root()), path: &Path::Root, errors };
    // A `Refusal` comes only from a visitor that none of our structs has.
    let document = T::deserialize(node).ok();
    errors.set_read();
    document
}

/// Line and column of a byte, both from 1; the column counts bytes.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line = before.iter().filter(|byte| **byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    (line.saturating_add(1), column.saturating_add(1))
}

/// A value, or the absence of one, and the way to it.
struct Node<'n, 'd> {
    value: Option<Value<'d>>,
    path: &'n Path<'n>,
    errors: &'n mut ConfigErrors,
}

impl<'d> Node<'_, 'd> {
    /// Notes that `wanted` (`a string`) was to stand here.
    fn wrong(&mut self, wanted: &str) {
        let found = match self.value {
            None => return self.errors.add(self.path, "is missing", format!("write {wanted}")),
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "true or false",
            Some(Value::Number(_)) => "a number",
            Some(Value::String(_)) => "a string",
            Some(Value::Array(_)) => "an array",
            Some(Value::Object(_)) => "an object",
        };
        self.errors.add(self.path, format!("is {found}"), format!("write {wanted}"));
    }

    fn text(&mut self, wanted: &str) -> Option<String> {
        if let Some(Value::String(text)) = self.value {
            return Some(text.to_string());
        }
        self.wrong(wanted);
        None
    }

    fn object(&mut self) -> Option<Object<'d>> {
        if let Some(Value::Object(object)) = self.value {
            return Some(object);
        }
        self.wrong("an object, { … }");
        None
    }
}

/// Serde's error, which nothing here makes.
#[derive(Debug)]
struct Refusal;

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the document cannot be read")
    }
}

impl core::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de, 'd> Deserializer<'de> for Node<'_, 'd> {
    type Error = Refusal;

    /// Only [`super::Whole`] asks for anything, and finds its own words for what is not a whole number.
    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            Some(Value::Number(number)) => match number.literal().parse() {
                Ok(whole) => visitor.visit_u64(whole),
                Err(_) => visitor.visit_f64(number.to_f64()),
            },
            Some(_) => visitor.visit_unit(),
            None => {
                self.wrong("a whole number");
                visitor.visit_unit()
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let Some(Value::Bool(value)) = self.value else {
            self.wrong("true or false");
            return visitor.visit_bool(false);
        };
        visitor.visit_bool(value)
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_string(self.text("a string").unwrap_or_default())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let choice = format!("one of {}", Listed(variants));
        let text = self.text(&choice);
        let known = text.as_deref().and_then(|text| variants.iter().find(|variant| **variant == text));
        if known.is_none() {
            self.errors.add(self.path, "is an unknown word", format!("write {choice}"));
            self.errors.guess(self.path.parent());
        }
        let variant = known.or(variants.first()).copied().unwrap_or_default();
        visitor.visit_enum(StrDeserializer::new(variant))
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let elements = if let Some(Value::Array(array)) = self.value {
            array.elements().collect()
        } else {
            self.wrong("an array, [ … ]");
            Vec::new()
        };
        let elements = elements.into_iter().enumerate();
        visitor.visit_seq(Elements { elements, path: self.path, errors: self.errors })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        let members = self.object().map(|object| {
            object.members().map(|(name, value)| (name.to_string(), value)).collect::<Vec<_>>()
        });
        let members = members.unwrap_or_default().into_iter();
        visitor.visit_map(Members { members, next: None, path: self.path, errors: self.errors })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let object = self.object();
        if let Some(object) = object.filter(|_| !names.contains(&OTHERS)) {
            for (name, _) in object.members() {
                let name = name.to_string();
                if !names.contains(&name.as_str()) {
                    let remedy = match nearest(&name, names.iter().copied()) {
                        Some(near) => format!("write {near:?}"),
                        None => format!("leave it out; what may stand here is {}", Listed(names)),
                    };
                    self.errors.add(&self.path.member(&name), "is unknown", remedy);
                }
            }
        }
        // Where the object is missing its members are not worth a word each: `ConfigErrors` drops them.
        visitor.visit_map(Fields {
            object,
            names: names.iter(),
            next: "",
            path: self.path,
            errors: self.errors,
        })
    }

    /// What another reader reads may be anything, and may be missing.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct identifier
    }
}

/// The elements of an array.
struct Elements<'n, 'd> {
    elements: core::iter::Enumerate<alloc::vec::IntoIter<Value<'d>>>,
    path: &'n Path<'n>,
    errors: &'n mut ConfigErrors,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, '_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refusal> {
        let Some((index, value)) = self.elements.next() else { return Ok(None) };
        let path = self.path.element(index);
        seed.deserialize(Node { value: Some(value), path: &path, errors: self.errors }).map(Some)
    }
}

/// The members of an object whose names are the operator's.
struct Members<'n, 'd> {
    members: alloc::vec::IntoIter<(String, Value<'d>)>,
    next: Option<(String, Value<'d>)>,
    path: &'n Path<'n>,
    errors: &'n mut ConfigErrors,
}

impl<'de> de::MapAccess<'de> for Members<'_, '_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        self.next = self.members.next();
        let Some((name, _)) = &self.next else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refusal> {
        let (name, value) = self.next.take().ok_or(Refusal)?;
        let path = self.path.member(&name);
        seed.deserialize(Node { value: Some(value), path: &path, errors: self.errors })
    }
}

/// The members of a struct, those that are missing among them: an `Option` is then `None`, anything else notes the absence.
struct Fields<'n, 'd> {
    object: Option<Object<'d>>,
    names: slice::Iter<'static, &'static str>,
    next: &'static str,
    path: &'n Path<'n>,
    errors: &'n mut ConfigErrors,
}

impl<'de> de::MapAccess<'de> for Fields<'_, '_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some(name) = self.names.next() else { return Ok(None) };
        self.next = name;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refusal> {
        let path = self.path.member(self.next);
        let value = self.object.and_then(|object| object.get(self.next));
        seed.deserialize(Node { value, path: &path, errors: self.errors })
    }
}

/// Words in quotes, with commas.
pub(crate) struct Listed<'w>(pub(crate) &'w [&'w str]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{word:?}")?;
        }
        Ok(())
    }
}
