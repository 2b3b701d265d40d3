//! The store that the host lends: the core's operations in the WIT's records, and answers believed only where they can be.

use countersign_core::event::EventId;
use countersign_core::rate::{Quota, Rate};
use countersign_core::store::{
    Claim, ClaimAnswer, ClaimKey, End, Fallback, HandOn, Settlement, Store, StoreFault, Throttle,
    ThrottleAnswer,
};
use countersign_core::time::Timestamp;

use crate::bindings::countersign::gate::store as wit;

/// The imported interface `store`.
pub(crate) struct Imported;

impl Store for Imported {
    fn throttle(&mut self, throttle: &Throttle) -> Result<ThrottleAnswer, StoreFault> {
        let answer = wit::throttle(wit::ThrottleOperation {
            source: u64::from_be_bytes(*throttle.source.as_bytes()),
            rate: rate(throttle.rate),
            count: throttle.count,
            now: throttle.now.as_ms(),
        });
        Ok(match answer.map_err(fault)? {
            wit::ThrottleAnswer::Pass => ThrottleAnswer::Pass,
            wit::ThrottleAnswer::Limited(retry_after_ms) => ThrottleAnswer::Limited { retry_after_ms },
        })
    }

    fn claim(&mut self, claim: &Claim) -> Result<ClaimAnswer, StoreFault> {
        // A gate in front of an upstream never asks for anything else, and a store that keeps no payload cannot be the inbox.
        let HandOn::AfterClaim { lease_ms } = claim.hand_on else {
            return Err(StoreFault::Unavailable);
        };
        let answer = wit::claim(&wit::ClaimOperation {
            partner: claim.partner.to_string(),
            quota: claim.quota.map(rate),
            key: key(claim.key),
            payload_hash: claim.payload_hash.to_vec(),
            receipt_key: claim.receipt_key,
            lease_ms,
            retention_ms: claim.retention_ms,
            fallback: claim.fallback.map(fallback),
            freshness: wit::Freshness {
                ts_event_min: claim.freshness.ts_event_min.as_ms(),
                own_memory: claim.freshness.own_memory,
            },
            event_id: claim.row.event_id.as_str().to_owned(),
            event: claim.row.event.as_str().to_owned(),
            click_id: claim.row.click_id.as_str().to_owned(),
            ts_event: claim.row.ts_event.as_ms(),
            key_id: claim.row.key_id.to_string(),
            source: claim.row.source.map(|address| address.to_string()),
            receipt: claim.row.receipt.as_str().to_owned(),
            now: claim.now.as_ms(),
        });
        believe(claim, answer.map_err(fault)?).ok_or(StoreFault::Corrupt)
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreFault> {
        let settled = wit::settle(&wit::Settlement {
            end: match settlement.end {
                End::Commit => wit::End::Commit,
                End::Release => wit::End::Release,
            },
            key: key(settlement.key),
            payload_hash: settlement.payload_hash.to_vec(),
            receipt_key: settlement.receipt_key,
            ts_event: settlement.ts_event.as_ms(),
            fallback: settlement.fallback.map(fallback),
            retention_ms: settlement.retention_ms,
            now: settlement.now.as_ms(),
        });
        settled.map_err(fault)
    }
}

/// The answer, where it can be one to that claim. A 200 that rests on an answer which cannot be would be a lie to the sender.
fn believe(claim: &Claim, answer: wit::ClaimAnswer) -> Option<ClaimAnswer> {
    Some(match answer {
        wit::ClaimAnswer::Limited(limited) => ClaimAnswer::Limited {
            retry_after_ms: limited.retry_after_ms,
            quota: quota(claim.quota?, limited.quota)?,
        },
        wit::ClaimAnswer::Fresh(left) => ClaimAnswer::Fresh {
            quota: match (claim.quota, left) {
                (Some(asked), Some(left)) => Some(quota(asked, left)?),
                (None, None) => None,
                (Some(_), None) | (None, Some(_)) => return None,
            },
        },
        wit::ClaimAnswer::InFlight(retry_after_ms) => ClaimAnswer::InFlight { retry_after_ms },
        wit::ClaimAnswer::Seen(seen) => {
            ClaimAnswer::Seen { same_payload: seen.same_payload, receipt_key: seen.receipt_key }
        }
        wit::ClaimAnswer::TooOld(ts_event_min) => {
            ClaimAnswer::TooOld { ts_event_min: Timestamp::from_ms(ts_event_min) }
        }
        wit::ClaimAnswer::DuplicateOf(None) => ClaimAnswer::DuplicateOf { event_id: None },
        wit::ClaimAnswer::DuplicateOf(Some(event_id)) => {
            // A duplicate that was recorded before its event type lost its window still names its original.
            let visible = !event_id.is_empty() && event_id.bytes().all(|byte| byte.is_ascii_graphic());
            ClaimAnswer::DuplicateOf { event_id: Some(EventId::new(&event_id).filter(|_| visible)?) }
        }
    })
}

/// What is left, where it can be left of the quota that was asked for.
fn quota(asked: Rate, left: wit::Quota) -> Option<Quota> {
    (left.burst == asked.burst && left.remaining <= left.burst).then_some(Quota {
        burst: left.burst,
        window_seconds: left.window_seconds,
        remaining: left.remaining,
        reset_seconds: left.reset_seconds,
    })
}

fn rate(rate: Rate) -> wit::Rate {
    wit::Rate { interval_us: rate.interval_us, burst: rate.burst }
}

fn key(key: ClaimKey) -> wit::ClaimKey {
    wit::ClaimKey { fingerprint: key.fingerprint.to_vec(), lease_until: key.lease_until.as_ms() }
}

fn fallback(fallback: Fallback) -> wit::Fallback {
    wit::Fallback {
        fingerprint: fallback.fingerprint.to_vec(),
        ts_event: fallback.ts_event.as_ms(),
        window_ms: fallback.window_ms,
    }
}

fn fault(fault: wit::StoreFault) -> StoreFault {
    match fault {
        wit::StoreFault::Unavailable => StoreFault::Unavailable,
        wit::StoreFault::Contended => StoreFault::Contended,
        wit::StoreFault::Corrupt => StoreFault::Corrupt,
    }
}
