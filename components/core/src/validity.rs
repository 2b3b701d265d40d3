//! The time in which a key is accepted. Rotation is an overlap of two keys' validities (source §10).

use crate::time::Timestamp;

/// A time that begins and ends, where it does either.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    /// The first instant inside; none: since ever.
    pub(crate) not_before: Option<Timestamp>,
    /// The first instant after; none: for ever.
    pub(crate) not_after: Option<Timestamp>,
}

impl Validity {
    /// Whether `now` is inside: `not_before` is, `not_after` is not.
    pub(crate) fn contains(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|start| start <= now) && self.not_after.is_none_or(|end| now < end)
    }

    /// The first instant at which none of `validities` is inside any more: a gap between two of them, or the end of all. It is
    /// the end of one of them. The time before the first begins is not looked at.
    pub(crate) fn first_gap<'v>(validities: impl Iterator<Item = &'v Self> + Clone) -> Option<Timestamp> {
        let ends = validities.clone().filter_map(|validity| validity.not_after);
        ends.filter(|end| !validities.clone().any(|validity| validity.contains(*end))).min()
    }

    /// How many of `validities` overlap at the worst instant. That is the start of one of them.
    pub(crate) fn most_at_once<'v>(validities: impl Iterator<Item = &'v Self> + Clone) -> usize {
        let starts = validities.clone().map(|validity| validity.not_before.unwrap_or_default());
        starts
            .map(|start| validities.clone().filter(|validity| validity.contains(start)).count())
            .max()
            .unwrap_or(0)
    }
}
