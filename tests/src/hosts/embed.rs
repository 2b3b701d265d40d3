//! `embed.wasm`, the bare component, under wasmtime: the store that it imports is the core's own table in memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, anyhow};
use countersign_core::dedup::{MemoryTable, TableSize, TableStore};
use countersign_core::rate::{Quota, Rate};
use countersign_core::store::{
    Claim, ClaimAnswer, ClaimKey, End, Fallback, Freshness, HandOn, InboxRow, Settlement, SourceKey,
    StoreFault, Throttle, ThrottleAnswer,
};
use countersign_core::text::Text;
use countersign_core::time::Timestamp;
use countersign_host::embed::{
    Claimed, Delivery, EmbedConfig, EmbedHost, EmbedModule, EmbedStore, Outcome, UpstreamAnswer, records,
};
use countersign_host::fault::Faults;
use countersign_host::http::{HttpReply, HttpRequest};

use super::filter::artefact;
use super::{Host, compared, field, handed_on, passed_on, says_replayed, upstream_reply};
use crate::vector::{Expect, Group, Step, Upstream, Vector, text};
use crate::wire::Wire;

/// The bare component.
pub struct Embed {
    faults: Faults,
}

impl Embed {
    /// The component, with a store that fails as `faults` plans, by the names `store.throttle`, `store.claim`, `store.settle`.
    #[must_use]
    pub const fn new(faults: Faults) -> Self {
        Self { faults }
    }
}

/// Compiled once per process.
fn module() -> anyhow::Result<&'static EmbedModule> {
    static MODULE: OnceLock<Result<EmbedModule, String>> = OnceLock::new();
    let load = || {
        let wasm = artefact("embed.wasm").map_err(|error| format!("{error:#}"))?;
        EmbedModule::load(&wasm).map_err(|error| format!("{error:#}"))
    };
    MODULE.get_or_init(load).as_ref().map_err(|error| anyhow!(error.clone()))
}

impl Host for Embed {
    fn play(&mut self, group: &Group, vector: &Vector) -> anyhow::Result<Vec<Expect>> {
        let document = group.configuration()?;
        let dedup = &serde_json::from_str::<serde_json::Value>(&document)?["dedup"];
        let default = TableSize::default();
        let shape = TableSize {
            slots: dedup["slots"].as_u64().map_or(Ok(default.slots), u32::try_from)?,
            entries_per_slot: dedup["entries_per_slot"]
                .as_u64()
                .map_or(Ok(default.entries_per_slot), u8::try_from)?,
        };
        let secrets = group.secrets.iter().map(|(name, secret)| (name.clone(), secret.clone().into_bytes()));
        let config = EmbedConfig { document, secrets: secrets.collect(), faults: self.faults.clone() };
        let store = Box::new(Memory(TableStore::new(MemoryTable::default(), "tests/embed", shape)));
        let mut host = EmbedHost::start(module()?, config, store).map_err(|error| anyhow!("{error:?}"))?;
        let mut pending = Vec::new();
        vector.steps.iter().map(|step| self::step(&mut host, step, &mut pending)).collect()
    }
}

fn step(host: &mut EmbedHost, step: &Step, pending: &mut Vec<Claimed>) -> anyhow::Result<Expect> {
    let wire = Wire::of(&step.request)?;
    let request = HttpRequest {
        method: wire.method,
        path: wire.path,
        authority: b"tracker.test".to_vec(),
        headers: wire.headers,
        body: wire.chunks,
        peer: SocketAddr::new(wire.peer, 40_000),
        certificate: None,
    };
    let claimed = match host.decide(&request, step.at_ms)? {
        Outcome::Answer(reply) => return Ok(expect(&reply.http, None)),
        Outcome::Forward(claimed) => claimed,
    };
    let handed = Some(handed_on(pairs(&claimed.headers)));
    if step.upstream == Upstream::Pending {
        pending.push(claimed);
        return Ok(Expect { handed_on: handed, ..Expect::default() });
    }
    let answered = upstream_reply(&step.upstream);
    let delivery = match &answered {
        None => Delivery::Unknown,
        Some((status, headers, _)) => Delivery::Answered(UpstreamAnswer {
            status: *status,
            replayed: says_replayed(headers),
            duplicate_of: field(headers, "x-countersign-duplicate-of").map(<[u8]>::to_vec),
            not_accepted: field(headers, "x-countersign-not-accepted").map(<[u8]>::to_vec),
        }),
    };
    let settled = host.settle(claimed, &delivery, step.at_ms)?;
    match answered {
        // The upstream's own refusal goes to the sender.
        Some((status, headers, body)) if settled.facts.code == "upstream_refused" => Ok(Expect {
            status: Some(status),
            headers: compared(passed_on(&headers)),
            body,
            handed_on: handed,
            ..Expect::default()
        }),
        _ => Ok(expect(&settled.http, handed)),
    }
}

fn expect(reply: &HttpReply, handed_on: Option<Vec<(String, String)>>) -> Expect {
    Expect {
        code: String::new(),
        status: Some(reply.status),
        headers: compared(pairs(&reply.headers)),
        body: text(&reply.body),
        handed_on,
    }
}

fn pairs(headers: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
}

/// The core's table, behind the component's records.
struct Memory(TableStore<MemoryTable>);

impl EmbedStore for Memory {
    fn throttle(
        &mut self,
        operation: &records::ThrottleOperation,
    ) -> Result<records::ThrottleAnswer, records::StoreFault> {
        let [a, b, c, d, e, f, g, h] = operation.source.to_be_bytes();
        let source = if [a, b, c, d] == [0; 4] {
            IpAddr::V4(Ipv4Addr::new(e, f, g, h))
        } else {
            IpAddr::V6(Ipv6Addr::from([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]))
        };
        let throttle = Throttle {
            source: SourceKey::of(source),
            rate: rate(operation.rate),
            count: operation.count,
            now: Timestamp::from_ms(operation.now),
        };
        match self.0.throttle(&throttle).map_err(fault)? {
            ThrottleAnswer::Pass => Ok(records::ThrottleAnswer::Pass),
            ThrottleAnswer::Limited { retry_after_ms } => {
                Ok(records::ThrottleAnswer::Limited(retry_after_ms))
            }
        }
    }

    fn claim(
        &mut self,
        operation: &records::ClaimOperation,
    ) -> Result<records::ClaimAnswer, records::StoreFault> {
        let claim = claim(operation).map_err(|_| records::StoreFault::Corrupt)?;
        Ok(match self.0.claim(&claim).map_err(fault)? {
            ClaimAnswer::Limited { retry_after_ms, quota } => {
                records::ClaimAnswer::Limited(records::Limited { retry_after_ms, quota: left(quota) })
            }
            ClaimAnswer::Fresh { quota } => records::ClaimAnswer::Fresh(quota.map(left)),
            ClaimAnswer::InFlight { retry_after_ms } => records::ClaimAnswer::InFlight(retry_after_ms),
            ClaimAnswer::Seen { same_payload, receipt_key } => {
                records::ClaimAnswer::Seen(records::Seen { same_payload, receipt_key })
            }
            ClaimAnswer::TooOld { ts_event_min } => records::ClaimAnswer::TooOld(ts_event_min.as_ms()),
            ClaimAnswer::DuplicateOf { event_id } => {
                records::ClaimAnswer::DuplicateOf(event_id.map(|event_id| event_id.to_string()))
            }
        })
    }

    fn settle(&mut self, settlement: &records::Settlement) -> Result<(), records::StoreFault> {
        let read = || {
            anyhow::Ok(Settlement {
                end: match settlement.end {
                    records::End::Commit => End::Commit,
                    records::End::Release => End::Release,
                },
                key: key(&settlement.key)?,
                payload_hash: bytes(&settlement.payload_hash)?,
                receipt_key: settlement.receipt_key,
                ts_event: Timestamp::from_ms(settlement.ts_event),
                fallback: settlement.fallback.as_ref().map(fallback).transpose()?,
                retention_ms: settlement.retention_ms,
                now: Timestamp::from_ms(settlement.now),
            })
        };
        self.0.settle(&read().map_err(|_| records::StoreFault::Corrupt)?).map_err(fault)
    }
}

fn claim(operation: &records::ClaimOperation) -> anyhow::Result<Claim> {
    Ok(Claim {
        partner: Arc::from(operation.partner.as_str()),
        quota: operation.quota.map(rate),
        key: key(&operation.key)?,
        payload_hash: bytes(&operation.payload_hash)?,
        receipt_key: operation.receipt_key,
        hand_on: HandOn::AfterClaim { lease_ms: operation.lease_ms },
        retention_ms: operation.retention_ms,
        fallback: operation.fallback.as_ref().map(fallback).transpose()?,
        freshness: Freshness {
            ts_event_min: Timestamp::from_ms(operation.freshness.ts_event_min),
            own_memory: operation.freshness.own_memory,
        },
        row: InboxRow {
            event_id: short(&operation.event_id)?,
            event: short(&operation.event)?,
            click_id: short(&operation.click_id)?,
            ts_event: Timestamp::from_ms(operation.ts_event),
            key_id: Arc::from(operation.key_id.as_str()),
            source: operation.source.as_deref().map(str::parse).transpose()?,
            receipt: short(&operation.receipt)?,
            payload: Vec::new(),
        },
        now: Timestamp::from_ms(operation.now),
    })
}

fn short<const N: usize>(text: &str) -> anyhow::Result<Text<N>> {
    Text::new(text).with_context(|| format!("{text:?} is longer than {N} bytes"))
}

fn bytes<const N: usize>(bytes: &[u8]) -> anyhow::Result<[u8; N]> {
    Ok(bytes.try_into()?)
}

fn key(key: &records::ClaimKey) -> anyhow::Result<ClaimKey> {
    Ok(ClaimKey { fingerprint: bytes(&key.fingerprint)?, lease_until: Timestamp::from_ms(key.lease_until) })
}

fn fallback(fallback: &records::Fallback) -> anyhow::Result<Fallback> {
    Ok(Fallback {
        fingerprint: bytes(&fallback.fingerprint)?,
        ts_event: Timestamp::from_ms(fallback.ts_event),
        window_ms: fallback.window_ms,
    })
}

const fn rate(rate: records::Rate) -> Rate {
    Rate { interval_us: rate.interval_us, burst: rate.burst }
}

const fn left(quota: Quota) -> records::Quota {
    records::Quota {
        burst: quota.burst,
        window_seconds: quota.window_seconds,
        remaining: quota.remaining,
        reset_seconds: quota.reset_seconds,
    }
}

const fn fault(fault: StoreFault) -> records::StoreFault {
    match fault {
        StoreFault::Unavailable => records::StoreFault::Unavailable,
        StoreFault::Contended => records::StoreFault::Contended,
        StoreFault::Corrupt => records::StoreFault::Corrupt,
    }
}
