//! The strict JSON reader: one pass over the bytes, no value tree, no allocation once its memory is warm.
//!
//! What is signed must mean one thing to everybody who reads it, so whatever two parsers could read differently is
//! refused with its byte offset: duplicate members (also where an escape hides them), numbers that a double cannot hold
//! exactly, lone surrogates, noncharacters, invalid UTF-8, a byte order mark, trailing data. The rules are those of
//! RFC 8259 with I-JSON (RFC 7493), which RFC 8785 asks for.
//!
//! [`read`] leaves a flat list of spans in a [`Tape`] that the caller keeps between requests. Plain text and numbers are
//! never copied; [`crate::canonical`] sends the spans on as they stand.

mod number;
mod read;
mod skim;
mod text;

use alloc::string::String;
use alloc::vec::Vec;

pub use read::read;
pub use skim::{SKIM_DEPTH_MAX, SkimProblem, members};

pub(crate) use number::Decimal;
pub(crate) use text::Piece;

use crate::text::Text;
use read::{Entry, Frame};

/// The reader's memory, kept between requests: it grows to the largest document read and is then reused.
///
/// `Tape::default()` allocates nothing yet. Its size is bounded by [`ReadLimits`], whatever arrives.
#[derive(Default)]
pub struct Tape {
    nodes: Vec<Node>,
    pending: Vec<Entry>,
    open: Vec<Frame>,
}

/// How much of a document is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Containers inside one another: `[[1]]` has 2.
    pub depth_max: usize,
    /// Values and member names together, containers included: `{"a":[1]}` has 4.
    pub nodes_max: usize,
    /// Which numbers are read.
    pub numbers: Numbers,
}

/// Which numbers are read. Their syntax is that of RFC 8259 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Only those whose value is that of the shortest text of their double, as RFC 8785 §3.2.2.3 needs it.
    Exact,
    /// All. One that is not exact is its own canonical form, digit for digit.
    ///
    /// # Security
    /// Were it written as its double, two payloads that differ in such a number would have one hash: the second would be answered
    /// as a repeat of the first, with a receipt for a payload that was never looked at. No exact number is written like one that is not,
    /// because equal texts have equal values.
    AsWritten,
}

impl ReadLimits {
    /// What a postback may have (source §4 needs a depth of 1 and some thirty nodes).
    pub const POSTBACK: Self = Self { depth_max: 16, nodes_max: 4096, numbers: Numbers::Exact };
    /// The same for a postback whose signature covers the body's bytes, and for whatever the gate has let pass: numbers need not be exact.
    pub const BYTES_SIGNED: Self = Self { numbers: Numbers::AsWritten, ..Self::POSTBACK };
    /// No limit but the memory; for trusted input, benches and tests.
    pub const UNBOUNDED: Self =
        Self { depth_max: usize::MAX, nodes_max: usize::MAX, numbers: Numbers::Exact };
}

/// Why and where a document was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The offending byte, counted from 0; the length of the input where it ends too soon. For a text, a number or a
    /// name that is refused as a whole, its first byte.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What is wrong with a document. Closed; the text is public and never quotes the input.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Problem { $($(#[$doc])* $name,)* }

        impl Problem {
            /// Every problem.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What the sender is told.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

problems! {
    /// The input is over before the document is.
    EndOfInput = "the document ends too soon";
    /// A UTF-8 byte order mark comes first.
    ByteOrderMark = "remove the byte order mark";
    /// Neither a value nor whitespace.
    ValueExpected = "a value is expected here";
    /// Inside an object, not the `"` of a member's name.
    NameExpected = "a member name in double quotes is expected here";
    /// After a member's name, not a colon.
    ColonExpected = "a colon is expected here";
    /// After a value, neither a comma nor the end of its array or object.
    CommaExpected = "a comma or the end of the array or object is expected here";
    /// Something follows the document.
    TrailingData = "only one document is expected: something follows it";
    /// Bytes in a text that are not UTF-8.
    NotUtf8 = "the text is not valid UTF-8";
    /// A control character stands in a text without an escape.
    ControlCharacter = "escape control characters as \\u00xx";
    /// A backslash that starts no escape of RFC 8259.
    UnknownEscape = "this is not a JSON escape";
    /// Half a surrogate pair.
    LoneSurrogate = "a surrogate must stand in a pair";
    /// U+FDD0 to U+FDEF, U+FFFE, U+FFFF and their likes in the other planes (RFC 7493 §2.1).
    Noncharacter = "noncharacters are not allowed";
    /// Not a number as RFC 8259 writes them.
    NumberSyntax = "this is not a JSON number";
    /// The number's value is not that of the shortest text of its double (RFC 8785 §3.2.2.3).
    NumberInexact = "the number has more digits than a double keeps";
    /// The same of an integer. Most are ids.
    IntegerInexact = "the integer has more digits than a double keeps: it is beyond 2^53";
    /// The object has this member already.
    DuplicateMember = "the object has a member of this name already";
    /// More containers inside one another than [`ReadLimits::depth_max`].
    TooDeep = "arrays and objects are nested too deeply";
    /// More values and names than [`ReadLimits::nodes_max`].
    TooManyValues = "there are too many values";
    /// More than 4 GiB.
    TooLong = "the document is too long";
}

impl Problem {
    /// What the sender can do about it, where that is more than to mend its JSON; public text.
    #[must_use]
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::NumberInexact => Some(
                "send the shortest form of a number: 19.9, not 19.899999999999999 (PHP: serialize_precision = -1)",
            ),
            Self::IntegerInexact => Some("send ids as text: \"281674916028284931\", with quotes"),
            Self::EndOfInput
            | Self::ByteOrderMark
            | Self::ValueExpected
            | Self::NameExpected
            | Self::ColonExpected
            | Self::CommaExpected
            | Self::TrailingData
            | Self::NotUtf8
            | Self::ControlCharacter
            | Self::UnknownEscape
            | Self::LoneSurrogate
            | Self::Noncharacter
            | Self::NumberSyntax
            | Self::DuplicateMember
            | Self::TooDeep
            | Self::TooManyValues
            | Self::TooLong => None,
        }
    }
}

/// A document that was read: every value in it is well formed.
#[derive(Clone, Copy)]
pub struct Document<'t> {
    bytes: &'t [u8],
    nodes: &'t [Node],
}

/// A value of a [`Document`].
#[derive(Clone, Copy)]
pub enum Value<'d> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number<'d>),
    /// A text.
    String(Str<'d>),
    /// An array.
    Array(Array<'d>),
    /// An object.
    Object(Object<'d>),
}

/// A number, kept as it was written.
#[derive(Clone, Copy)]
pub struct Number<'d> {
    literal: &'d [u8],
}

/// A text, kept as it was written.
#[derive(Clone, Copy)]
pub struct Str<'d> {
    /// What stands between the quotes.
    raw: &'d [u8],
    escapes: Escapes,
}

/// An array's elements.
#[derive(Clone, Copy)]
pub struct Array<'d> {
    document: Document<'d>,
    first: u32,
    after: u32,
}

/// An object's members. No two have the same name.
#[derive(Clone, Copy)]
pub struct Object<'d> {
    document: Document<'d>,
    first: u32,
}

impl<'t> Document<'t> {
    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'t> {
        self.value(0)
    }

    /// The outermost value, where it is an object.
    #[must_use]
    pub fn object(&self) -> Option<Object<'t>> {
        match self.root() {
            Value::Object(object) => Some(object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
        }
    }

    /// The node at `index`; the `null` at the input's start where there is none, which no caller asks for.
    pub(crate) fn node(self, index: u32) -> Node {
        self.nodes.get(wide(index)).copied().unwrap_or(Node { start: 0, end: 0, kind: Kind::Null })
    }

    /// The bytes from `start` to before `end`.
    pub(crate) fn span(self, start: u32, end: u32) -> &'t [u8] {
        self.bytes.get(wide(start)..wide(end)).unwrap_or_default()
    }

    /// The whole input.
    pub(crate) fn bytes(self) -> &'t [u8] {
        self.bytes
    }

    /// The text or name at `index`.
    pub(crate) fn text(self, index: u32) -> Str<'t> {
        text_of(self.bytes, self.nodes, index)
    }

    fn value(self, index: u32) -> Value<'t> {
        let node = self.node(index);
        match node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(bool) => Value::Bool(bool),
            Kind::Number { .. } => Value::Number(Number { literal: self.span(node.start, node.end) }),
            Kind::Text { .. } => Value::String(self.text(index)),
            Kind::Array { after, .. } => {
                Value::Array(Array { document: self, first: index.saturating_add(1), after })
            }
            Kind::Object { first, .. } => Value::Object(Object { document: self, first }),
        }
    }
}

impl<'d> Object<'d> {
    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'d>> {
        self.members().find_map(|(candidate, value)| candidate.is(name).then_some(value))
    }

    /// The members in canonical order: names compared by UTF-16 code units (RFC 8785 §3.2.3).
    pub fn members(&self) -> impl Iterator<Item = (Str<'d>, Value<'d>)> + use<'d> {
        let document = self.document;
        self.names().map(move |name| (document.text(name), document.value(name.saturating_add(1))))
    }

    /// The members in canonical order, with their bytes as they stand in the document.
    pub fn written(&self) -> impl Iterator<Item = Member<'d>> + use<'d> {
        let document = self.document;
        let bytes = move |index| {
            let node = document.node(index);
            document.span(node.start, node.end)
        };
        self.names().map(move |name| {
            let value = name.saturating_add(1);
            Member {
                name: document.text(name),
                value: document.value(value),
                name_written: bytes(name),
                value_written: bytes(value),
            }
        })
    }

    /// The members' names in canonical order; a value stands beside its name.
    fn names(&self) -> impl Iterator<Item = u32> + use<'d> {
        let document = self.document;
        let mut name = self.first;
        core::iter::from_fn(move || {
            let index = name;
            let Kind::Text { next, .. } = document.node(index).kind else { return None };
            name = next;
            Some(index)
        })
    }
}

/// A member of an [`Object`], and the bytes that it was written with.
#[derive(Clone, Copy)]
pub struct Member<'d> {
    /// Its name.
    pub name: Str<'d>,
    /// Its value.
    pub value: Value<'d>,
    /// The name's bytes, quotes included.
    pub name_written: &'d [u8],
    /// The value's bytes, quotes or brackets included.
    pub value_written: &'d [u8],
}

impl<'d> Array<'d> {
    /// The elements in their order.
    pub fn elements(&self) -> impl Iterator<Item = Value<'d>> + use<'d> {
        let Self { document, first, after } = *self;
        let mut next = first;
        core::iter::from_fn(move || {
            let index = next;
            if index >= after {
                return None;
            }
            next = document.node(index).after(index);
            Some(document.value(index))
        })
    }
}

impl<'d> Number<'d> {
    /// The number as it was written, such as `100.00`: money is read from this, never from a float.
    #[must_use]
    pub fn literal(&self) -> &'d str {
        // Only ASCII is accepted in a number; the fallback cannot be reached.
        core::str::from_utf8(self.literal).unwrap_or("0")
    }

    /// Whether its value is that of the shortest text of its double; always so where [`Numbers::Exact`] were read.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        number::is_exact(self.literal)
    }

    /// The number as a double. Nothing is lost where it [is exact](Self::is_exact).
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.literal().parse().unwrap_or(0.0)
    }
}

/// What stands for one value or one member name.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    /// Its first byte; a text's opening quote.
    pub(crate) start: u32,
    /// The byte after its last one.
    pub(crate) end: u32,
    pub(crate) kind: Kind,
}

/// No node: the end of a list of members, or the parent of the root.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number {
        /// The end of the literal's canonical prefix (`100` of `100.00`); 0 where the canonical form is another.
        plain_end: u32,
    },
    Text {
        escapes: Escapes,
        /// Of a member's name: the name that follows it in canonical order, or [`NONE`]. The value stands beside its name.
        next: u32,
    },
    Array {
        /// The node after the last one inside.
        after: u32,
        parent: u32,
        /// Whether the bytes from `start` to `end` are its canonical form.
        canonical: bool,
    },
    Object {
        after: u32,
        parent: u32,
        canonical: bool,
        /// The name of the first member in canonical order, or [`NONE`].
        first: u32,
    },
}

/// How a text was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// Without an escape, so it is its own canonical form.
    None,
    /// With escapes that RFC 8785 would write too.
    Canonical,
    /// With an escape that RFC 8785 writes otherwise, such as `\/` or `\u0041`.
    Other,
}

impl Node {
    /// The node after this one, which stands at `index`, and all that is inside it.
    pub(crate) fn after(&self, index: u32) -> u32 {
        match self.kind {
            Kind::Array { after, .. } | Kind::Object { after, .. } => after,
            Kind::Null | Kind::Bool(_) | Kind::Number { .. } | Kind::Text { .. } => index.saturating_add(1),
        }
    }

    /// The container that this container stands in, or [`NONE`].
    pub(crate) fn parent(&self) -> u32 {
        match self.kind {
            Kind::Array { parent, .. } | Kind::Object { parent, .. } => parent,
            Kind::Null | Kind::Bool(_) | Kind::Number { .. } | Kind::Text { .. } => NONE,
        }
    }
}

fn text_of<'t>(bytes: &'t [u8], nodes: &[Node], index: u32) -> Str<'t> {
    let Some(Node { start, end, kind: Kind::Text { escapes, .. } }) = nodes.get(wide(index)) else {
        return Str { raw: &[], escapes: Escapes::None };
    };
    let raw = bytes.get(wide(*start).saturating_add(1)..wide(*end).saturating_sub(1)).unwrap_or_default();
    Str { raw, escapes: *escapes }
}

/// An offset or index as kept in a node. The reader refuses longer input at its start.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// An offset or index out of a node; `usize` has 32 bits or more on every target.
fn wide(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
