//! Keys that overlap: one list for each use, and the dates say which key signs and which keys are believed (source §10).
//!
//! Rotation is an overlap of two keys. [`current`] signs, [`valid`] are believed.

use alloc::sync::Arc;
use core::fmt;

use crate::mac::MacKey;
use crate::time::Timestamp;
use crate::validity::Validity;

/// The most keys in one list.
pub const KEYS_MAX: usize = 8;
/// The most keys of one list that are valid at one time, where verification costs a MAC for each of them.
pub const KEYS_VALID_MAX: usize = 4;

/// A key that has a name, and a time in which it is valid. `S` is its secret, prepared for its use.
#[derive(Clone)]
pub struct Key<S> {
    id: Arc<str>,
    secret: S,
    validity: Validity,
}

impl<S> Key<S> {
    pub(crate) const fn with(id: Arc<str>, secret: S, validity: Validity) -> Self {
        Self { id, secret, validity }
    }

    /// The key's name, in metrics and logs.
    #[must_use]
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &S {
        &self.secret
    }

    /// The first instant at which the key is valid; `None`: since ever.
    #[must_use]
    pub const fn not_before(&self) -> Option<Timestamp> {
        self.validity.not_before
    }

    /// The first instant at which the key is no longer valid; `None`: for ever.
    #[must_use]
    pub const fn not_after(&self) -> Option<Timestamp> {
        self.validity.not_after
    }

    /// Whether the key is valid at `now`.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.validity.contains(now)
    }

    /// The same key with its secret prepared for its use.
    #[must_use]
    pub fn prepared<T>(self, prepare: impl FnOnce(S) -> T) -> Key<T> {
        Key { id: self.id, secret: prepare(self.secret), validity: self.validity }
    }

    /// The same key under the name that metrics and logs show.
    #[must_use]
    pub(crate) fn named(self, id: Arc<str>) -> Self {
        Self { id, ..self }
    }
}

impl Key<MacKey> {
    /// Prepares a key that is valid from `not_before` on and up to, not including, `not_after`.
    ///
    /// `id` names it in metrics and logs.
    #[must_use]
    pub fn new(
        id: Arc<str>,
        secret: &[u8],
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Self {
        Self::with(id, MacKey::new(secret), Validity { not_before, not_after })
    }
}

impl<S> fmt::Debug for Key<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("validity", &self.validity).finish_non_exhaustive()
    }
}

/// The key that signs at `now`: of the valid ones that with the latest `not_before`, and of equal ones the first in the list.
/// `None` where no key is valid.
#[must_use]
pub fn current<S>(keys: &[Key<S>], now: Timestamp) -> Option<&Key<S>> {
    let later = |newest: &Key<S>, key: &Key<S>| key.validity.not_before > newest.validity.not_before;
    valid(keys, now).reduce(|newest, key| if later(newest, key) { key } else { newest })
}

/// The keys that are believed at `now`, in the order of the list; of the first [`KEYS_MAX`], any further are never tried.
pub fn valid<S>(keys: &[Key<S>], now: Timestamp) -> impl Iterator<Item = &Key<S>> {
    keys.iter().take(KEYS_MAX).filter(move |key| key.is_valid_at(now))
}
