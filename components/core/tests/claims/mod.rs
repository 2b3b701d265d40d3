//! What tests say to a store: claims, settlements and throttles of numbered events at a fixed clock.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_core::event::{EventId, EventName};
use countersign_core::rate::Rate;
use countersign_core::receipt::Receipt;
use countersign_core::store::{
    Claim, ClaimAnswer, ClaimKey, End, Fallback, Fingerprint, Freshness, HandOn, InboxRow, Settlement,
    SourceKey, Throttle,
};
use countersign_core::text::Text;
use countersign_core::time::Timestamp;

pub(crate) const START_MS: u64 = 1_767_225_600_000;
pub(crate) const LEASE_MS: u64 = 30_000;
pub(crate) const RETENTION_MS: u64 = 86_400_000;
pub(crate) const WINDOW_MS: u64 = 600_000;

pub(crate) const FRESH: ClaimAnswer = ClaimAnswer::Fresh { quota: None };
pub(crate) const SEEN: ClaimAnswer = ClaimAnswer::Seen { same_payload: true, receipt_key: 7 };
pub(crate) const REUSED: ClaimAnswer = ClaimAnswer::Seen { same_payload: false, receipt_key: 7 };

pub(crate) fn in_flight(retry_after_ms: u64) -> ClaimAnswer {
    ClaimAnswer::InFlight { retry_after_ms }
}

pub(crate) fn duplicate_of(event: u64) -> ClaimAnswer {
    ClaimAnswer::DuplicateOf { event_id: Some(event_id(event)) }
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(START_MS + ms)
}

/// The id of a numbered event, as long as ids may be: the last 20 characters are the number.
pub(crate) fn event_id(event: u64) -> EventId {
    EventId::new(&format!("{:->108}{event:020}", "")).unwrap()
}

/// A fingerprint in slot `number % 64` of a table of 64 slots.
pub(crate) fn fingerprint(number: u64) -> Fingerprint {
    let slot = u32::try_from(number % 64).unwrap();
    let mut bytes = [0x5a; 16];
    bytes[..4].copy_from_slice(&slot.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// A claim of an event with payload `payload`, `ms` after the start.
pub(crate) fn claim(event: u64, payload: u8, ms: u64) -> Claim {
    Claim {
        partner: Arc::from("acme"),
        quota: None,
        key: ClaimKey { fingerprint: fingerprint(event), lease_until: at(ms + LEASE_MS) },
        payload_hash: [payload; 32],
        receipt_key: 7,
        hand_on: HandOn::AfterClaim { lease_ms: LEASE_MS },
        retention_ms: RETENTION_MS,
        fallback: None,
        freshness: Freshness::ANY,
        row: InboxRow {
            event_id: event_id(event),
            event: EventName::new("deposit_success").unwrap(),
            click_id: Text::new("click").unwrap(),
            ts_event: at(0),
            key_id: Arc::from("2026-q4"),
            source: None,
            receipt: Receipt::EMPTY,
            payload: b"{}".to_vec(),
        },
        now: at(ms),
    }
}

/// The claim of an event that belongs to a click and happened at the start.
pub(crate) fn claim_of_click(event: u64, click: u64, ms: u64) -> Claim {
    happened(event, click, 0, ms)
}

/// The claim of an event that belongs to a click, happened at `ts_ms` and comes at `ms`.
pub(crate) fn happened(event: u64, click: u64, ts_ms: u64, ms: u64) -> Claim {
    let ts_event = at(ts_ms);
    let fallback = Some(Fallback { fingerprint: fingerprint(click), ts_event, window_ms: WINDOW_MS });
    let claim = claim(event, 1, ms);
    Claim { fallback, row: InboxRow { ts_event, ..claim.row.clone() }, ..claim }
}

/// The same claim, as its own hand-on.
pub(crate) fn at_once(claim: Claim) -> Claim {
    Claim { hand_on: HandOn::WithClaim, ..claim }
}

pub(crate) fn settlement(claim: &Claim, end: End, ms: u64) -> Settlement {
    Settlement {
        end,
        key: claim.key,
        payload_hash: claim.payload_hash,
        receipt_key: claim.receipt_key,
        ts_event: claim.row.ts_event,
        fallback: claim.fallback,
        retention_ms: claim.retention_ms,
        now: at(ms),
    }
}

pub(crate) fn commit(claim: &Claim, ms: u64) -> Settlement {
    settlement(claim, End::Commit, ms)
}

pub(crate) fn release(claim: &Claim, ms: u64) -> Settlement {
    settlement(claim, End::Release, ms)
}

pub(crate) fn source(text: &str) -> SourceKey {
    SourceKey::of(text.parse::<IpAddr>().unwrap())
}

/// Three refusals a minute.
pub(crate) fn throttle(source: SourceKey, count: bool, ms: u64) -> Throttle {
    Throttle { source, rate: Rate::per(3, 60_000, 3).unwrap(), count, now: at(ms) }
}
