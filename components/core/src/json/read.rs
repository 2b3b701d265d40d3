//! The pass over the bytes: a loop with its own stack, so that no depth can overflow the thread's.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::mem;

use super::text::{self, ascii_prefix};
use super::{
    Document, Escapes, Kind, Malformed, NONE, Node, Problem, ReadLimits, Tape, narrow, number, text_of, wide,
};

/// Reads one document, all of it, into `tape`.
///
/// # Errors
/// The first [`Problem`] that the pass meets, with its offset. A duplicate member that is not beside its namesake in
/// canonical order is met at the end of its object.
pub fn read<'t>(bytes: &'t [u8], tape: &'t mut Tape, limits: ReadLimits) -> Result<Document<'t>, Malformed> {
    let Tape { nodes, pending, open } = tape;
    nodes.clear();
    pending.clear();
    open.clear();
    if u32::try_from(bytes.len()).is_err() {
        return Err(Malformed { offset: wide(u32::MAX), problem: Problem::TooLong });
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(Malformed { offset: 0, problem: Problem::ByteOrderMark });
    }
    let mut reader = Reader { bytes, at: 0, frame: Frame::OUTSIDE, nodes, pending, open, limits };
    reader.document()?;
    Ok(Document { bytes, nodes })
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
    /// The container that is being read.
    frame: Frame,
    nodes: &'t mut Vec<Node>,
    /// The names of the open objects: those of the innermost one come last.
    pending: &'t mut Vec<Entry>,
    /// The containers around `frame`.
    open: &'t mut Vec<Frame>,
    limits: ReadLimits,
}

/// A container that is not closed yet.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    node: u32,
    container: Container,
    /// Whether every byte since its start is canonical.
    canonical: bool,
    /// Whether its names came in canonical order so far.
    ordered: bool,
    /// Where its names start among the pending ones.
    names: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    /// No container: the document itself.
    Outside,
    Array,
    Object,
}

impl Frame {
    const OUTSIDE: Self =
        Self { node: NONE, container: Container::Outside, canonical: true, ordered: true, names: 0 };
}

/// A member's name on its way to its place.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// [`super::Str::prefix`]
    prefix: u64,
    node: u32,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(), Malformed> {
        self.skip_blank();
        loop {
            if self.value()? && !self.next()? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar or an empty container (`true`), or goes into a container up to its first value (`false`).
    fn value(&mut self) -> Result<bool, Malformed> {
        let start = self.at;
        match self.bytes.get(start) {
            Some(b'"') => {
                let text = text::scan(self.bytes, start.wrapping_add(1))?;
                self.at = text.end.wrapping_add(1);
                self.frame.canonical &= text.escapes != Escapes::Other;
                self.push(start, Kind::Text { escapes: text.escapes, next: NONE })?;
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = number::scan(self.bytes, start, self.limits.numbers)?;
                self.at = number.end;
                self.frame.canonical &= number.plain_end == number.end;
                self.push(start, Kind::Number { plain_end: narrow(number.plain_end) })?;
            }
            Some(b'{') => {
                self.open(Container::Object)?;
                if self.bytes.get(self.at) != Some(&b'}') {
                    self.name()?;
                    return Ok(false);
                }
                self.close()?;
            }
            Some(b'[') => {
                self.open(Container::Array)?;
                if self.bytes.get(self.at) != Some(&b']') {
                    return Ok(false);
                }
                self.close()?;
            }
            Some(b't') => self.word(b"true", Kind::Bool(true))?,
            Some(b'f') => self.word(b"false", Kind::Bool(false))?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            _ => return Err(self.unexpected(Problem::ValueExpected)),
        }
        Ok(true)
    }

    /// Goes on from the end of a value to the start of the next one, or answers `false` at the document's end.
    fn next(&mut self) -> Result<bool, Malformed> {
        loop {
            self.skip_blank();
            match (self.frame.container, self.bytes.get(self.at)) {
                (Container::Object, Some(b',')) => {
                    self.at = self.at.wrapping_add(1);
                    self.skip_blank();
                    self.name()?;
                    return Ok(true);
                }
                (Container::Array, Some(b',')) => {
                    self.at = self.at.wrapping_add(1);
                    self.skip_blank();
                    return Ok(true);
                }
                (Container::Object, Some(b'}')) | (Container::Array, Some(b']')) => self.close()?,
                (Container::Outside, None) => return Ok(false),
                (Container::Outside, Some(_)) => return Err(self.unexpected(Problem::TrailingData)),
                (Container::Object | Container::Array, _) => {
                    return Err(self.unexpected(Problem::CommaExpected));
                }
            }
        }
    }

    /// Reads a member's name up to its value. This and what it calls run for every member: inlined by force, they are
    /// measurably faster in V8.
    #[inline(always)]
    fn name(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        if self.bytes.get(start) != Some(&b'"') {
            return Err(self.unexpected(Problem::NameExpected));
        }
        let first = start.wrapping_add(1);
        let text = text::scan(self.bytes, first)?;
        let ascii = ascii_prefix(self.bytes, first, text.end.wrapping_sub(first));
        self.at = text.end.wrapping_add(1);
        self.frame.canonical &= text.escapes != Escapes::Other;
        let node = narrow(self.nodes.len());
        self.push(start, Kind::Text { escapes: text.escapes, next: NONE })?;
        let prefix = match ascii {
            Some(prefix) if text.escapes == Escapes::None => prefix,
            _ => text_of(self.bytes, self.nodes, node).prefix(),
        };
        let entry = Entry { prefix, node };
        if self.frame.ordered {
            let before = self.pending.get(self.frame.names..).and_then(<[Entry]>::last);
            match before.map_or(Ordering::Less, |before| order(self.bytes, self.nodes, before, &entry)) {
                Ordering::Less => {}
                Ordering::Equal => {
                    return Err(Malformed { offset: start, problem: Problem::DuplicateMember });
                }
                Ordering::Greater => self.frame.ordered = false,
            }
        }
        self.pending.push(entry);
        self.skip_blank();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.unexpected(Problem::ColonExpected));
        }
        self.at = self.at.wrapping_add(1);
        self.skip_blank();
        Ok(())
    }

    /// Goes into a container, up to its first byte that is not blank.
    fn open(&mut self, container: Container) -> Result<(), Malformed> {
        // The frames around this one, less the outside.
        if self.open.len() >= self.limits.depth_max {
            return Err(Malformed { offset: self.at, problem: Problem::TooDeep });
        }
        let node = narrow(self.nodes.len());
        let start = self.at;
        self.at = start.wrapping_add(1);
        // Its kind is known when it closes.
        self.push(start, Kind::Null)?;
        let names = self.pending.len();
        let inner = Frame { node, container, canonical: true, ordered: true, names };
        self.open.push(mem::replace(&mut self.frame, inner));
        self.skip_blank();
        Ok(())
    }

    /// Closes the container whose last byte is at hand.
    fn close(&mut self) -> Result<(), Malformed> {
        self.at = self.at.wrapping_add(1);
        let outer = self.open.pop().unwrap_or(Frame::OUTSIDE);
        let inner = mem::replace(&mut self.frame, outer);
        let after = narrow(self.nodes.len());
        let parent = outer.node;
        let canonical = inner.canonical && inner.ordered;
        let kind = if inner.container == Container::Object {
            Kind::Object { after, parent, canonical, first: self.link(inner)? }
        } else {
            Kind::Array { after, parent, canonical }
        };
        self.frame.canonical &= canonical;
        if let Some(node) = self.nodes.get_mut(wide(inner.node)) {
            node.end = narrow(self.at);
            node.kind = kind;
        }
        Ok(())
    }

    /// Chains an object's names in canonical order and answers the first one.
    fn link(&mut self, object: Frame) -> Result<u32, Malformed> {
        let names = self.pending.get_mut(object.names..).unwrap_or_default();
        if !object.ordered {
            let (bytes, nodes) = (self.bytes, &*self.nodes);
            // Namesakes stay in their order, so that the earliest one that repeats can be named.
            names.sort_unstable_by(|one, two| order(bytes, nodes, one, two).then(one.node.cmp(&two.node)));
            refuse_duplicates(bytes, nodes, names)?;
        }
        let mut chain = NONE;
        for name in names.iter().rev() {
            if let Some(Node { kind: Kind::Text { next, .. }, .. }) = self.nodes.get_mut(wide(name.node)) {
                *next = chain;
            }
            chain = name.node;
        }
        self.pending.truncate(object.names);
        Ok(chain)
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<(), Malformed> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        if !rest.starts_with(word) {
            let same = rest.iter().zip(word).take_while(|(one, two)| one == two).count();
            self.at = start.saturating_add(same);
            return Err(self.unexpected(Problem::ValueExpected));
        }
        self.at = start.wrapping_add(word.len());
        self.push(start, kind)
    }

    /// Keeps what stands from `start` to here.
    #[inline(always)]
    fn push(&mut self, start: usize, kind: Kind) -> Result<(), Malformed> {
        if self.nodes.len() >= self.limits.nodes_max {
            return Err(Malformed { offset: start, problem: Problem::TooManyValues });
        }
        self.nodes.push(Node { start: narrow(start), end: narrow(self.at), kind });
        Ok(())
    }

    #[inline(always)]
    fn skip_blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at = self.at.wrapping_add(1);
            self.frame.canonical = false;
        }
    }

    #[cold]
    fn unexpected(&self, problem: Problem) -> Malformed {
        let problem = if self.at < self.bytes.len() { problem } else { Problem::EndOfInput };
        Malformed { offset: self.at, problem }
    }
}

/// The canonical order of two names.
#[inline]
fn order(bytes: &[u8], nodes: &[Node], one: &Entry, two: &Entry) -> Ordering {
    one.prefix.cmp(&two.prefix).then_with(|| {
        let (one, two) = (text_of(bytes, nodes, one.node), text_of(bytes, nodes, two.node));
        one.order(two)
    })
}

/// Refuses the earliest name that stands in `names`, which are sorted, after an equal one.
fn refuse_duplicates(bytes: &[u8], nodes: &[Node], names: &[Entry]) -> Result<(), Malformed> {
    let later = names.iter().zip(names.iter().skip(1)).filter_map(|(one, two)| {
        (order(bytes, nodes, one, two) == Ordering::Equal).then_some(one.node.max(two.node))
    });
    match later.min().and_then(|later| nodes.get(wide(later))) {
        Some(node) => Err(Malformed { offset: wide(node.start), problem: Problem::DuplicateMember }),
        None => Ok(()),
    }
}
