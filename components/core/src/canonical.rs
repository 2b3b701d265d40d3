//! Canonical JSON (RFC 8785), written straight into a MAC: the bytes that a signature covers (source §5).
//!
//! Whatever already is canonical is handed on as it stands, in the largest pieces there are; a document that its sender
//! wrote in canonical form is one piece.

use alloc::vec::Vec;

use crate::json::{Decimal, Document, Escapes, Kind, NONE, Node, Piece};

/// SHA-256 of the canonical payload: the same for every order of members, and for every key that signed it.
pub type PayloadHash = [u8; 32];

/// Takes bytes: a buffer, a hash, a MAC, or several at once.
pub trait Sink {
    /// Takes the bytes that follow those before.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes `document` in canonical form, where `without` names a member of the outermost object that is left out (the
/// place of a signature over the rest).
pub fn write(document: &Document<'_>, without: Option<&str>, sink: &mut dyn Sink) {
    let document = *document;
    let root = document.node(0);
    let skipped = without.and_then(|name| member(document, root, name)).unwrap_or(NONE);
    if skipped == NONE && is_canonical(root) {
        sink.put(document.span(root.start, root.end));
        return;
    }
    let mut writer = Writer { document, skipped, block: [0; BLOCK], filled: 0, from: 0, to: 0, sink };
    writer.document();
    writer.flush();
}

// The methods that run once per value are inlined by force: the fields then live in registers, and a signed event is
// written a third faster in V8.

/// A signed event fits, so that its MAC is fed once.
const BLOCK: usize = 512;

/// Bytes that are moved at once: as many as most names and values have.
const WINDOW: usize = 32;

struct Writer<'t, 's> {
    document: Document<'t>,
    /// The name of the member that is left out, or [`NONE`].
    skipped: u32,
    /// What is written and not handed on yet: the first `filled` bytes, then the input's from `from` to `to`.
    block: [u8; BLOCK],
    filled: usize,
    from: u32,
    to: u32,
    /// Called once per block, so a virtual call costs nothing, and one copy of the writer serves every sink.
    sink: &'s mut dyn Sink,
}

impl Writer<'_, '_> {
    /// A loop that climbs by the containers' parents, so that no depth can overflow the stack.
    fn document(&mut self) {
        let mut value = 0;
        let mut parent = NONE;
        loop {
            if let Some(first) = self.value(value) {
                parent = value;
                value = first;
                continue;
            }
            loop {
                if parent == NONE {
                    return;
                }
                let container = self.document.node(parent);
                if let Some(next) = self.sibling(container, value) {
                    value = next;
                    break;
                }
                value = parent;
                parent = container.parent();
            }
        }
    }

    /// Writes a value that needs no descent; otherwise opens it and answers its first value.
    #[inline(always)]
    fn value(&mut self, index: u32) -> Option<u32> {
        let node = self.document.node(index);
        match node.kind {
            Kind::Number { plain_end: 0 } => {
                let literal = self.document.span(node.start, node.end);
                // The reader refused every literal that is no `Decimal`.
                let text = Decimal::read(literal).map(Decimal::write).unwrap_or_default();
                self.bytes(text.as_str().as_bytes());
                None
            }
            Kind::Number { plain_end } => self.input(node.start, plain_end),
            Kind::Text { .. } => self.text(index),
            Kind::Array { canonical: false, after, .. } => {
                self.byte(b'[');
                let first = index.saturating_add(1);
                if first >= after {
                    self.byte(b']');
                    return None;
                }
                Some(first)
            }
            Kind::Object { first, canonical, .. } if !canonical || index == 0 => {
                self.byte(b'{');
                let name = self.unless_skipped(first);
                if name == NONE {
                    self.byte(b'}');
                    return None;
                }
                Some(self.name(name))
            }
            Kind::Null | Kind::Bool(_) | Kind::Array { .. } | Kind::Object { .. } => {
                self.input(node.start, node.end)
            }
        }
    }

    /// Goes on to the value after `value` in its container, or closes that.
    #[inline(always)]
    fn sibling(&mut self, container: Node, value: u32) -> Option<u32> {
        if let Kind::Array { after, .. } = container.kind {
            let next = self.document.node(value).after(value);
            if next >= after {
                self.byte(b']');
                return None;
            }
            self.byte(b',');
            return Some(next);
        }
        let name = self.unless_skipped(self.name_after(value.saturating_sub(1)));
        if name == NONE {
            self.byte(b'}');
            return None;
        }
        self.byte(b',');
        Some(self.name(name))
    }

    /// Writes a member's name and answers its value.
    #[inline(always)]
    fn name(&mut self, name: u32) -> u32 {
        self.text(name);
        self.byte(b':');
        name.saturating_add(1)
    }

    #[inline(always)]
    fn name_after(&self, name: u32) -> u32 {
        match self.document.node(name).kind {
            Kind::Text { next, .. } => next,
            Kind::Null | Kind::Bool(_) | Kind::Number { .. } | Kind::Array { .. } | Kind::Object { .. } => {
                NONE
            }
        }
    }

    #[inline(always)]
    fn unless_skipped(&self, name: u32) -> u32 {
        if name == self.skipped && name != NONE { self.name_after(name) } else { name }
    }

    #[inline(always)]
    fn text(&mut self, index: u32) -> Option<u32> {
        let node = self.document.node(index);
        if is_canonical(node) {
            return self.input(node.start, node.end);
        }
        self.bytes(b"\"");
        for piece in self.document.text(index).pieces() {
            match piece {
                Piece::Run(run) => self.bytes(run.as_bytes()),
                Piece::Escaped(character) => self.character(character),
            }
        }
        self.bytes(b"\"");
        None
    }

    /// A character as RFC 8785 §3.2.2.2 writes it.
    fn character(&mut self, character: char) {
        match character {
            '"' => self.bytes(b"\\\""),
            '\\' => self.bytes(b"\\\\"),
            '\u{8}' => self.bytes(b"\\b"),
            '\t' => self.bytes(b"\\t"),
            '\n' => self.bytes(b"\\n"),
            '\u{c}' => self.bytes(b"\\f"),
            '\r' => self.bytes(b"\\r"),
            '\0'..' ' => {
                self.bytes(b"\\u00");
                let point = u32::from(character);
                for digit in [point >> 4, point & 15] {
                    let digit = char::from_digit(digit, 16).unwrap_or('0');
                    self.bytes(digit.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            other => self.bytes(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// Writes input bytes that are canonical: beside those before they make one piece.
    #[inline(always)]
    fn input(&mut self, start: u32, end: u32) -> Option<u32> {
        if start != self.to {
            self.settle();
            self.from = start;
        }
        self.to = end;
        None
    }

    /// Writes a separator, which often stands in the input at the right place.
    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        let after = self.to.saturating_add(1);
        if self.from < self.to && self.document.span(self.to, after) == [byte] {
            self.to = after;
        } else {
            self.bytes(&[byte]);
        }
    }

    /// Writes bytes that are not in the input.
    fn bytes(&mut self, bytes: &[u8]) {
        self.settle();
        self.copy(bytes);
    }

    /// Moves the input bytes at hand into the block.
    #[inline(always)]
    fn settle(&mut self) {
        let (from, to) = (self.from, self.to);
        self.from = to;
        if from == to {
            return;
        }
        let bytes = self.document.bytes();
        let Ok(start) = usize::try_from(from) else { return };
        let length = usize::try_from(to.wrapping_sub(from)).unwrap_or(0);
        // A move of fixed length is much faster than a short one of any length; its excess is overwritten.
        if let Some(source) = bytes.get(start..).and_then(<[u8]>::first_chunk::<WINDOW>)
            && length <= WINDOW
            && let Some(target) =
                self.block.get_mut(self.filled..).and_then(<[u8]>::first_chunk_mut::<WINDOW>)
        {
            *target = *source;
            self.filled = self.filled.wrapping_add(length);
            return;
        }
        self.copy(self.document.span(from, to));
    }

    fn copy(&mut self, bytes: &[u8]) {
        if bytes.len() > BLOCK.saturating_sub(self.filled) {
            self.hand_on();
        }
        // Split, so that the compiler sees two equal lengths and keeps no panic.
        match self.block.get_mut(self.filled..).and_then(|free| free.split_at_mut_checked(bytes.len())) {
            Some((target, _)) => {
                target.copy_from_slice(bytes);
                self.filled = self.filled.saturating_add(bytes.len());
            }
            None => self.sink.put(bytes),
        }
    }

    fn flush(&mut self) {
        self.settle();
        self.hand_on();
    }

    fn hand_on(&mut self) {
        let filled = self.block.get(..self.filled).unwrap_or_default();
        if !filled.is_empty() {
            self.sink.put(filled);
        }
        self.filled = 0;
    }
}

/// The name of the member called `name`.
fn member(document: Document<'_>, object: Node, name: &str) -> Option<u32> {
    let Kind::Object { first, .. } = object.kind else { return None };
    let mut at = first;
    while let Kind::Text { next, .. } = document.node(at).kind {
        if document.text(at).is(name) {
            return Some(at);
        }
        at = next;
    }
    None
}

/// Whether the node's bytes are its canonical form.
fn is_canonical(node: Node) -> bool {
    match node.kind {
        Kind::Null | Kind::Bool(_) => true,
        Kind::Number { plain_end } => plain_end == node.end,
        Kind::Text { escapes, .. } => escapes != Escapes::Other,
        Kind::Array { canonical, .. } | Kind::Object { canonical, .. } => canonical,
    }
}
