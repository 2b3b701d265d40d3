//! The hosts behind one trait.

use crate::vector::{Expect, Group, Vector};

/// A host that plays vectors.
pub trait Host {
    /// Plays a vector on an empty store and tells, for each step, what came of it: [`Expect`] with an empty `code`, header
    /// fields without those of the transport, sorted by name.
    ///
    /// # Errors
    /// Where the host itself fails; a wrong answer is no error.
    fn play(&mut self, group: &Group, vector: &Vector) -> anyhow::Result<Vec<Expect>>;
}
