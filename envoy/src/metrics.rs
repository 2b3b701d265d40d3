//! Metrics by partner. Envoy's tag extraction (`stats_tags` in `envoy.yaml`) turns
//! `countersign.answers.partner.acme.code.accepted` into `countersign_answers{partner="acme",code="accepted"}`.
//!
//! Every counter is defined at the start, so it stands at 0 until something is counted, and no text is built for a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::dedup::Counters;
use countersign_core::gate::DeliveryFault;
use countersign_core::label::label;
use countersign_core::outcome::{Code, Facts};
use countersign_core::policy::{Environment, Policy};
use countersign_core::time::Timestamp;

use crate::abi::{self, Metric};

/// The version of this build.
pub(crate) const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Stands where the partner is not known.
const NOBODY: &str = "-";

/// The metrics of one plugin. Names come from the configuration and from closed tables, so there is a bounded number of them.
#[derive(Debug)]
pub(crate) struct Metrics {
    nobody: OfPartner,
    partners: BTreeMap<Arc<str>, OfPartner>,
    /// How full the events' table is, in percent.
    fill: Option<u32>,
    key_last_used: BTreeMap<UsedKey, LastUse>,
}

/// The kind of a key, its partner and its id.
type UsedKey = (&'static str, Arc<str>, Arc<str>);
/// The metric, and the second in which the key was last recorded as used.
type LastUse = (Option<u32>, u64);

/// What is counted that is not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Events that were forgotten before their time.
    Evictions,
    /// Leases that ended without a settlement.
    LeaseExpiries,
    /// Swaps that another worker won.
    SwapRetries,
    /// Sources that were forgotten before their time.
    SourcesEvicted,
    /// Slots that were found damaged and emptied.
    Heals,
    /// Settlements that the table did not take.
    SettlementsFailed,
    /// Fallback duplicates that were recorded.
    FallbackDuplicates,
    /// Entries that a larger table took over from a smaller one.
    Moved,
    /// Events that were admitted beside the quota.
    Uncounted,
    /// Events that are not with the upstream, or of which nobody knows.
    DeliveryFault(DeliveryFault),
}

impl Event {
    /// Those that have a series of their own.
    const ALONE: [(Self, &'static str); 9] = [
        (Self::Evictions, "evictions"),
        (Self::LeaseExpiries, "lease_expiries"),
        (Self::SwapRetries, "swap_retries"),
        (Self::SourcesEvicted, "sources_evicted"),
        (Self::Heals, "heals"),
        (Self::SettlementsFailed, "settlements_failed"),
        (Self::FallbackDuplicates, "fallback_duplicates"),
        (Self::Moved, "moved"),
        (Self::Uncounted, "uncounted"),
    ];
}

/// The metrics of one partner; each is `None` where the proxy did not define it. Metrics never decide an answer.
#[derive(Debug)]
struct OfPartner {
    answers: Vec<(Code, Option<u32>)>,
    events: Vec<(Event, Option<u32>)>,
    latency: Option<u32>,
    lag: Option<u32>,
}

impl OfPartner {
    fn define(partner: &str) -> Self {
        let counter = |name: &str| define(Metric::Counter, &format!("{name}.partner.{partner}"));
        let answers = Code::ALL.iter().map(|code| {
            let name = format!("answers.partner.{partner}.code.{}", code.metric());
            (*code, define(Metric::Counter, &name))
        });
        let alone = Event::ALONE.into_iter().map(|(event, name)| (event, counter(name)));
        let faults = DeliveryFault::ALL.into_iter().map(|fault| {
            let name = format!("delivery_faults.partner.{partner}.cause.{}", fault.metric());
            (Event::DeliveryFault(fault), define(Metric::Counter, &name))
        });
        Self {
            answers: answers.collect(),
            events: alone.chain(faults).collect(),
            latency: define(Metric::Histogram, &format!("latency_ms.partner.{partner}")),
            lag: define(Metric::Histogram, &format!("lag_seconds.partner.{partner}")),
        }
    }

    fn count(&self, event: Event, by: u64) {
        // The proxy refuses an increment of 0.
        if let Some((_, Some(id))) = self.events.iter().find(|(named, _)| *named == event)
            && by > 0
        {
            // A count that the proxy does not take is lost.
            let _uncounted = abi::increment_metric(*id, by);
        }
    }
}

/// The environment's name, as in the document.
pub(crate) const fn environment(policy: &Policy) -> &'static str {
    match policy.environment {
        Environment::Production => "production",
        Environment::Sandbox => "sandbox",
    }
}

fn define(kind: Metric, name: &str) -> Option<u32> {
    abi::define_metric(kind, &format!("countersign.{name}")).ok()
}

fn record(id: Option<u32>, value: u64) {
    if let Some(id) = id {
        let _unrecorded = abi::record_metric(id, value);
    }
}

impl Metrics {
    /// Defines the metrics of every partner of a policy.
    pub(crate) fn define(policy: &Policy) -> Self {
        let environment = environment(policy);
        record(define(Metric::Gauge, &format!("build.environment.{environment}.version.{BUILD}")), 1);
        let partners = policy.partners().map(|partner| {
            let name = Arc::clone(&partner.name);
            let metrics = OfPartner::define(&name);
            (name, metrics)
        });
        Self {
            nobody: OfPartner::define(NOBODY),
            partners: partners.collect(),
            fill: define(Metric::Gauge, "table_fill_percent"),
            key_last_used: BTreeMap::new(),
        }
    }

    fn of(&self, partner: Option<&str>) -> &OfPartner {
        partner.and_then(|partner| self.partners.get(partner)).unwrap_or(&self.nobody)
    }

    /// Counts an answer, and notes how long it took, how late the event came, and which keys it used.
    pub(crate) fn answered(&mut self, facts: &Facts, arrived: Option<Timestamp>, now: Timestamp) {
        let partner = self.of(facts.partner.as_deref());
        if let Some((_, Some(id))) = partner.answers.iter().find(|(code, _)| *code == facts.code) {
            let _uncounted = abi::increment_metric(*id, 1);
        }
        if let Some(arrived) = arrived {
            record(partner.latency, now.since_ms(arrived));
        }
        if let Some(ts_event) = facts.ts_event {
            record(partner.lag, now.since_ms(ts_event).checked_div(1_000).unwrap_or(0));
        }
        let Some(partner) = &facts.partner else { return };
        let keys =
            [("signature", &facts.key_id), ("token", &facts.token_key_id), ("click", &facts.click_key_id)];
        for (kind, key) in keys {
            if let Some(key) = key {
                self.key_used(kind, partner, key, now.as_seconds());
            }
        }
    }

    fn key_used(&mut self, kind: &'static str, partner: &Arc<str>, key: &Arc<str>, now_seconds: u64) {
        let used =
            self.key_last_used.entry((kind, Arc::clone(partner), Arc::clone(key))).or_insert_with(|| {
                let name = format!("key_last_used_seconds.kind.{kind}.partner.{partner}.key.{}", label(key));
                (define(Metric::Gauge, &name), 0)
            });
        if used.1 != now_seconds {
            record(used.0, now_seconds);
            used.1 = now_seconds;
        }
    }

    /// Adds what happened in the store while this partner's request was served. Leases that ended are counted when they end, not
    /// when the store finds them.
    pub(crate) fn store(&self, partner: Option<&str>, counters: Counters) {
        let metrics = self.of(partner);
        for (event, by) in [
            (Event::Evictions, counters.evictions),
            (Event::SwapRetries, counters.swap_retries),
            (Event::SourcesEvicted, counters.sources_evicted),
            (Event::Heals, counters.heals),
            (Event::FallbackDuplicates, counters.fallback_duplicates),
            (Event::Moved, counters.moved),
            (Event::Uncounted, counters.uncounted),
        ] {
            metrics.count(event, by);
        }
    }

    /// Counts one thing that happened to a partner's event.
    pub(crate) fn count(&self, partner: Option<&str>, event: Event) {
        self.of(partner).count(event, 1);
    }

    /// Notes how full the table is.
    pub(crate) fn filled(&self, percent: u64) {
        record(self.fill, percent);
    }
}
