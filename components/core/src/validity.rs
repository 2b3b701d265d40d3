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

    /// How many of `validities` overlap at the worst instant. That is the start of one of them.
    pub(crate) fn most_at_once<'v>(validities: impl Iterator<Item = &'v Self> + Clone) -> usize {
        let starts = validities.clone().map(|validity| validity.not_before.unwrap_or_default());
        starts
            .map(|start| validities.clone().filter(|validity| validity.contains(start)).count())
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Validity;
    use crate::time::Timestamp;

    #[test]
    fn keys_that_follow_one_another_do_not_overlap() {
        let of = |from: Option<u64>, to: Option<u64>| Validity {
            not_before: from.map(Timestamp::from_ms),
            not_after: to.map(Timestamp::from_ms),
        };
        let most = |validities: &[Validity]| Validity::most_at_once(validities.iter());
        assert_eq!(most(&[]), 0);
        assert_eq!(most(&[of(None, Some(10)), of(Some(10), None)]), 1);
        assert_eq!(most(&[of(None, Some(11)), of(Some(10), None)]), 2);
        assert_eq!(most(&[of(Some(5), Some(5))]), 0);
        assert_eq!(most(&[of(None, None), of(Some(3), Some(4)), of(Some(1), Some(3)), of(Some(2), None)]), 3);
    }
}
