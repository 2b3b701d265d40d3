//! What the parts of a compilation share.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::secret::Secrets;
use crate::document::{ConfigErrors, Environment};
use crate::event::EventRules;

/// Where a compilation stands: its mistakes, its secrets, and which names are taken.
pub(super) struct Compiler<'c, 's> {
    pub(super) errors: &'c mut ConfigErrors,
    pub(super) secrets: Secrets<'s>,
    pub(super) environment: Environment,
    /// Token issuer to name of its partner.
    pub(super) issuers: BTreeMap<Box<str>, Arc<str>>,
    /// SHA-256 of an opaque token to name of its partner.
    pub(super) opaque_tokens: BTreeMap<[u8; 32], Arc<str>>,
}

/// What holds for every partner.
pub(super) struct Common {
    pub(super) ts_event_future_ms_max: u64,
    /// `None` where the document's is wrong.
    pub(super) retention_ms: Option<u64>,
    pub(super) upstream_is_idempotent: bool,
}

impl Common {
    /// How old an event may be where a partner says nothing of it.
    pub(super) fn ts_event_past_ms_max(&self) -> Option<u64> {
        if self.upstream_is_idempotent { None } else { self.retention_ms }
    }

    /// The rules of a partner that declares no types.
    pub(super) fn event_rules(&self) -> EventRules {
        EventRules { custom: Vec::new(), ts_event_future_ms_max: self.ts_event_future_ms_max }
    }
}
