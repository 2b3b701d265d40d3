//! The five kinds of entries, and their bytes. Each starts with its name; numbers are little-endian.

use alloc::vec::Vec;

use super::table::{Part, SLOTS_MAX, SLOTS_MIN, fallback_slots, index};
use crate::event::EventId;
use crate::store::Fingerprint;
use crate::time::Timestamp;

/// What a ring consists of. An entry starts with its name, by which it is found.
pub(super) trait Entry: Sized {
    /// The ring's kind, unique among entries.
    const KIND: u8;
    /// Size of an entry; a multiple of 8.
    const BYTES: usize;
    /// Reads an entry of [`BYTES`](Self::BYTES) bytes; `None` where this program cannot have written it.
    fn read(bytes: &[u8]) -> Option<Self>;
    /// Appends exactly [`BYTES`](Self::BYTES) bytes.
    fn put(&self, bytes: &mut Vec<u8>);
}

/// How far a claim has come. A claim that is released is no entry at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Committed,
    /// A recorded fallback duplicate. Only events come so far.
    Duplicate,
}

/// A state, the instant at which it is over (the end of the lease, or of what is remembered), and the receipt key of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) state: State,
    pub(super) until: Timestamp,
    pub(super) receipt_key: u8,
}

impl Hold {
    /// Whether it still counts at `now`. At exactly its end it is over.
    ///
    /// A lease whose end is further ahead than any lease is long was taken by a clock that has been set back since. It is
    /// over as well: it would outlive its claim by as much as the clock was wrong.
    pub(super) fn is_live(self, now: Timestamp) -> bool {
        let longest = match self.state {
            State::Pending => super::LEASE_MS_MAX,
            State::Committed | State::Duplicate => u64::MAX,
        };
        now < self.until && self.until.since_ms(now) <= longest
    }

    /// The instant's 48 bits, the receipt key, and the state.
    fn put(self, bytes: &mut Vec<u8>) {
        let [a, b, c, d, e, f, _, _] = self.until.as_ms().to_le_bytes();
        let state = match self.state {
            State::Pending => 1,
            State::Committed => 2,
            State::Duplicate => 3,
        };
        bytes.extend_from_slice(&[a, b, c, d, e, f, self.receipt_key, state]);
    }

    fn read(bytes: [u8; 8]) -> Option<Self> {
        let [a, b, c, d, e, f, receipt_key, state] = bytes;
        let state = match state {
            1 => State::Pending,
            2 => State::Committed,
            3 => State::Duplicate,
            _ => return None,
        };
        Some(Self { state, until: instant([a, b, c, d, e, f, 0, 0])?, receipt_key })
    }
}

/// An entry that a claim makes.
pub(super) trait Held: Entry + Copy {
    fn hold(&self) -> Hold;
    /// By this it finds its slot.
    fn name(&self) -> &Fingerprint;
    /// Whether the two are one claim's, so that only one of them may stand in a slot.
    fn is_same(&self, other: &Self) -> bool;
    /// Its slot in a table of so many.
    fn part(name: &Fingerprint, slots: u32) -> Part<'static>;
    /// Slots of this kind in a table of so many slots for events, and the place of a name among them.
    fn place(name: &Fingerprint, slots: u32) -> (u32, u32);
}

/// An event: name 16, payload check 8, hold 8.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventEntry {
    pub(super) name: Fingerprint,
    /// The first 64 bits of the payload hash. Another payload passes for the same with probability 2⁻⁶⁴, and only its own
    /// sender, who must have signed both, could search for one: it would cheat itself of its second event.
    pub(super) payload_check: [u8; 8],
    pub(super) hold: Hold,
}

impl Entry for EventEntry {
    const KIND: u8 = 1;
    const BYTES: usize = 32;

    fn read(bytes: &[u8]) -> Option<Self> {
        let (name, rest) = bytes.split_first_chunk()?;
        let (payload_check, rest) = rest.split_first_chunk()?;
        let hold = Hold::read(*rest.first_chunk()?)?;
        Some(Self { name: *name, payload_check: *payload_check, hold })
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.payload_check);
        self.hold.put(bytes);
    }
}

impl Held for EventEntry {
    fn hold(&self) -> Hold {
        self.hold
    }

    fn name(&self) -> &Fingerprint {
        &self.name
    }

    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }

    fn part(name: &Fingerprint, slots: u32) -> Part<'static> {
        Part::Event { slots, index: Self::place(name, slots).1 }
    }

    fn place(name: &Fingerprint, slots: u32) -> (u32, u32) {
        (slots, index(name, slots))
    }
}

/// A fallback identity: name 16, owner 16, hold 8, `ts_event` 8, length of the event id 8, event id 128.
#[derive(Clone, Copy, Debug)]
pub(super) struct FallbackEntry {
    pub(super) name: Fingerprint,
    /// The event that claimed it; only that event's settlement may touch it.
    pub(super) owner: Fingerprint,
    pub(super) hold: Hold,
    /// When the owner happened. An event that happened less than a window away is its duplicate.
    pub(super) ts_event: Timestamp,
    /// The owner's event id, for `duplicate_of`.
    pub(super) event_id: EventId,
}

const EVENT_ID_BYTES: usize = 128;

impl Entry for FallbackEntry {
    const KIND: u8 = 2;
    const BYTES: usize = 184;

    fn read(bytes: &[u8]) -> Option<Self> {
        let (name, rest) = bytes.split_first_chunk()?;
        let (owner, rest) = rest.split_first_chunk()?;
        let (hold, rest) = rest.split_first_chunk()?;
        let (ts_event, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let text = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some(Self {
            name: *name,
            owner: *owner,
            hold: Hold::read(*hold)?,
            ts_event: instant(*ts_event)?,
            event_id: EventId::new(core::str::from_utf8(text).ok()?)?,
        })
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.owner);
        self.hold.put(bytes);
        bytes.extend_from_slice(&self.ts_event.as_ms().to_le_bytes());
        let text = self.event_id.as_str().as_bytes();
        bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(text);
        let padding = [0; EVENT_ID_BYTES];
        bytes.extend_from_slice(padding.get(text.len()..).unwrap_or_default());
    }
}

impl Held for FallbackEntry {
    fn hold(&self) -> Hold {
        self.hold
    }

    fn name(&self) -> &Fingerprint {
        &self.name
    }

    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.owner == other.owner
    }

    fn part(name: &Fingerprint, slots: u32) -> Part<'static> {
        Part::Fallback { slots, index: Self::place(name, slots).1 }
    }

    fn place(name: &Fingerprint, slots: u32) -> (u32, u32) {
        let count = fallback_slots(slots);
        (count, index(name, count))
    }
}

/// A partner's quota: the instant, in microseconds, at which it is full again. It has its slot to itself, so no name.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateEntry {
    pub(super) full_at_us: u64,
}

impl Entry for RateEntry {
    const KIND: u8 = 3;
    const BYTES: usize = 8;

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self { full_at_us: u64::from_le_bytes(*bytes.first_chunk()?) })
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.full_at_us.to_le_bytes());
    }
}

/// A source with refusals: its key 8, and as [`RateEntry`] 8.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceEntry {
    pub(super) name: [u8; 8],
    pub(super) full_at_us: u64,
}

impl Entry for SourceEntry {
    const KIND: u8 = 4;
    const BYTES: usize = 16;

    fn read(bytes: &[u8]) -> Option<Self> {
        let (name, rest) = bytes.split_first_chunk()?;
        Some(Self { name: *name, full_at_us: u64::from_le_bytes(*rest.first_chunk()?) })
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.full_at_us.to_le_bytes());
    }
}

/// A size of the table: its slots 4, zero 4, and the instant at which it came into use 8.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeEntry {
    pub(super) slots: u32,
    pub(super) since: Timestamp,
}

impl Entry for SizeEntry {
    const KIND: u8 = 5;
    const BYTES: usize = 16;

    fn read(bytes: &[u8]) -> Option<Self> {
        let (slots, rest) = bytes.split_first_chunk()?;
        let (zero, rest) = rest.split_first_chunk::<4>()?;
        let slots = u32::from_le_bytes(*slots);
        let is_size = (SLOTS_MIN..=SLOTS_MAX).contains(&slots) && *zero == [0; 4];
        is_size.then_some(Self { slots, since: instant(*rest.first_chunk()?)? })
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.slots.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.since.as_ms().to_le_bytes());
    }
}

/// An instant of the range that this program writes.
fn instant(bytes: [u8; 8]) -> Option<Timestamp> {
    let ms = u64::from_le_bytes(bytes);
    (ms <= Timestamp::MAX.as_ms()).then(|| Timestamp::from_ms(ms))
}
