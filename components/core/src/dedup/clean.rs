//! What a host knows of sources without asking its store: which of them had no refusals a moment ago.

use alloc::vec;
use alloc::vec::Vec;

use crate::store::SourceKey;
use crate::time::Timestamp;

/// How long a source is believed to have no refusals, in milliseconds.
pub const CLEAN_MS: u64 = 1_000;
/// Sources of which it is believed, at the most.
const PLACES: usize = 256;

/// Sources that had no refusals when the store was asked last. Where two share a place, the later one takes it.
///
/// # Security
/// A source that other instances of a host refuse is noticed up to [`CLEAN_MS`] later than it could be.
#[derive(Debug, Default)]
pub struct CleanSources(Vec<Option<(SourceKey, Timestamp)>>);

impl CleanSources {
    /// Whether the source is believed to have no refusals at `now`.
    pub fn is_clean(&mut self, source: SourceKey, now: Timestamp) -> bool {
        let believed = self.place(source).and_then(|place| *place);
        // A clock that was set back by more than that is believed anew.
        believed
            .is_some_and(|(known, until)| known == source && now < until && until.since_ms(now) <= CLEAN_MS)
    }

    /// Notes that the store knows no refusal of the source at `now`.
    pub fn note(&mut self, source: SourceKey, now: Timestamp) {
        if let Some(place) = self.place(source) {
            *place = Some((source, now.plus_ms(CLEAN_MS)));
        }
    }

    /// Forgets what is believed of the source.
    pub fn forget(&mut self, source: SourceKey) {
        if let Some(place) = self.place(source)
            && place.is_some_and(|(known, _)| known == source)
        {
            *place = None;
        }
    }

    fn place(&mut self, source: SourceKey) -> Option<&mut Option<(SourceKey, Timestamp)>> {
        if self.0.is_empty() {
            self.0 = vec![None; PLACES];
        }
        let bytes = source.as_bytes().iter();
        let sum = bytes.fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        self.0.get_mut(sum.checked_rem(PLACES)?)
    }
}
