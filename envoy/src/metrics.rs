//! Metrics by partner and answer. Envoy's tag extraction (`stats_tags` in `envoy.yaml`) turns
//! `countersign.answers.partner.acme.code.accepted` into `countersign_answers{partner="acme",code="accepted"}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::dedup::Counters;
use countersign_core::outcome::Facts;

use crate::abi::{self, Metric};

/// The metrics of one plugin. Names come from the configuration and from closed tables, so there is a bounded number of them.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By name, once used.
    ids: BTreeMap<String, u32>,
    /// The second in which a key was last recorded as used.
    key_last_used: BTreeMap<(Arc<str>, Arc<str>), u64>,
}

const NOBODY: &str = "-";

impl Metrics {
    /// Counts an answer, and notes the use of a key.
    pub(crate) fn answered(&mut self, facts: &Facts, now_seconds: u64) {
        let partner = facts.partner.as_deref().unwrap_or(NOBODY);
        self.count(&format!("countersign.answers.partner.{partner}.code.{}", facts.code.metric()), 1);
        let (Some(partner), Some(key)) = (&facts.partner, &facts.key_id) else { return };
        let used = (Arc::clone(partner), Arc::clone(key));
        if self.key_last_used.get(&used) == Some(&now_seconds) {
            return;
        }
        let name = format!("countersign.key_last_used_seconds.partner.{partner}.key.{key}");
        if let Some(id) = self.id(Metric::Gauge, &name) {
            let _unrecorded = abi::record_metric(id, now_seconds);
        }
        self.key_last_used.insert(used, now_seconds);
    }

    /// Adds what happened in the store while this partner's request was served.
    pub(crate) fn store(&mut self, partner: Option<&str>, counters: Counters) {
        let partner = partner.unwrap_or(NOBODY);
        for (name, by) in [
            ("evictions", counters.evictions),
            ("lease_expiries", counters.lease_expiries),
            ("swap_retries", counters.swap_retries),
            ("sources_evicted", counters.sources_evicted),
            ("heals", counters.heals),
            ("fallback_duplicates", counters.fallback_duplicates),
            ("moved", counters.moved),
            ("uncounted", counters.uncounted),
        ] {
            if by > 0 {
                self.count(&format!("countersign.{name}.partner.{partner}"), by);
            }
        }
    }

    fn count(&mut self, name: &str, by: u64) {
        if let Some(id) = self.id(Metric::Counter, name) {
            // A count that the proxy does not take is lost: metrics never decide an answer.
            let _uncounted = abi::increment_metric(id, by);
        }
    }

    fn id(&mut self, kind: Metric, name: &str) -> Option<u32> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        let id = abi::define_metric(kind, name).ok()?;
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }
}
