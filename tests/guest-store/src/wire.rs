//! The store's operations and answers as JSON. The core's own types stay free of serde; what the contract tests say of a
//! claim goes over whole, and what they never vary (`event`, `click_id`, `key_id`) is filled in on the other side.

use std::net::IpAddr;
use std::sync::Arc;

use countersign_core::event::EventId;
use countersign_core::rate::{self, Rate};
use countersign_core::receipt::Receipt;
use countersign_core::store::{self, ClaimKey, End, Freshness, HandOn, InboxRow, SourceKey, StoreFault};
use countersign_core::text::Text;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One operation on the store.
#[derive(Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Look at, or count against, a source.
    Throttle(Throttle),
    /// Spend quota and claim an event.
    Claim(Claim),
    /// Commit or release.
    Settle(Settlement),
}

/// [`store::Throttle`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Throttle {
    source: [u8; 8],
    rate: (u64, u32),
    count: bool,
    now_ms: u64,
}

/// [`store::Claim`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Claim {
    partner: String,
    quota: Option<(u64, u32)>,
    fingerprint: [u8; 16],
    lease_until_ms: u64,
    payload_hash: [u8; 32],
    receipt_key: u8,
    lease_ms: Option<u64>,
    retention_ms: u64,
    fallback: Option<([u8; 16], u64, u64)>,
    freshness: (u64, bool),
    ts_event_ms: u64,
    event_id: String,
    payload: Vec<u8>,
    now_ms: u64,
}

/// [`store::Settlement`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Settlement {
    commit: bool,
    fingerprint: [u8; 16],
    lease_until_ms: u64,
    payload_hash: [u8; 32],
    receipt_key: u8,
    ts_event_ms: u64,
    fallback: Option<([u8; 16], u64, u64)>,
    retention_ms: u64,
    now_ms: u64,
}

/// What the store answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// [`store::ThrottleAnswer::Pass`].
    Pass,
    /// [`store::ThrottleAnswer::Limited`].
    SourceLimited(u64),
    /// [`store::ClaimAnswer::Limited`].
    Limited(u64, Quota),
    /// [`store::ClaimAnswer::Fresh`].
    Fresh(Option<Quota>),
    /// [`store::ClaimAnswer::InFlight`].
    InFlight(u64),
    /// [`store::ClaimAnswer::Seen`].
    Seen(bool, u8),
    /// [`store::ClaimAnswer::TooOld`].
    TooOld(u64),
    /// [`store::ClaimAnswer::DuplicateOf`].
    DuplicateOf(Option<String>),
    /// A settlement took place.
    Settled,
    /// [`StoreFault::Unavailable`].
    Unavailable,
    /// [`StoreFault::Contended`].
    Contended,
    /// [`StoreFault::Corrupt`].
    Corrupt,
}

/// [`rate::Quota`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Quota {
    burst: u32,
    window_seconds: u64,
    remaining: u32,
    reset_seconds: u64,
}

fn rate_of((interval_us, burst): (u64, u32)) -> Rate {
    Rate { interval_us, burst }
}

fn fallback_of((fingerprint, ts_event_ms, window_ms): ([u8; 16], u64, u64)) -> store::Fallback {
    store::Fallback { fingerprint, ts_event: Timestamp::from_ms(ts_event_ms), window_ms }
}

fn of_fallback(fallback: store::Fallback) -> ([u8; 16], u64, u64) {
    (fallback.fingerprint, fallback.ts_event.as_ms(), fallback.window_ms)
}

fn source_of([a, b, c, d, e, f, g, h]: [u8; 8]) -> SourceKey {
    let address = if [a, b, c, d] == [0; 4] {
        IpAddr::from([e, f, g, h])
    } else {
        IpAddr::from([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 1])
    };
    SourceKey::of(address)
}

impl From<&store::Throttle> for Throttle {
    fn from(throttle: &store::Throttle) -> Self {
        Self {
            source: *throttle.source.as_bytes(),
            rate: (throttle.rate.interval_us, throttle.rate.burst),
            count: throttle.count,
            now_ms: throttle.now.as_ms(),
        }
    }
}

impl From<Throttle> for store::Throttle {
    fn from(throttle: Throttle) -> Self {
        Self {
            source: source_of(throttle.source),
            rate: rate_of(throttle.rate),
            count: throttle.count,
            now: Timestamp::from_ms(throttle.now_ms),
        }
    }
}

impl From<&store::Claim> for Claim {
    fn from(claim: &store::Claim) -> Self {
        Self {
            partner: claim.partner.to_string(),
            quota: claim.quota.map(|rate| (rate.interval_us, rate.burst)),
            fingerprint: claim.key.fingerprint,
            lease_until_ms: claim.key.lease_until.as_ms(),
            payload_hash: claim.payload_hash,
            receipt_key: claim.receipt_key,
            lease_ms: match claim.hand_on {
                HandOn::AfterClaim { lease_ms } => Some(lease_ms),
                HandOn::WithClaim => None,
            },
            retention_ms: claim.retention_ms,
            fallback: claim.fallback.map(of_fallback),
            freshness: (claim.freshness.ts_event_min.as_ms(), claim.freshness.own_memory),
            ts_event_ms: claim.row.ts_event.as_ms(),
            event_id: claim.row.event_id.as_str().to_owned(),
            payload: claim.row.payload.clone(),
            now_ms: claim.now.as_ms(),
        }
    }
}

impl From<Claim> for store::Claim {
    fn from(claim: Claim) -> Self {
        Self {
            partner: Arc::from(claim.partner),
            quota: claim.quota.map(rate_of),
            key: ClaimKey {
                fingerprint: claim.fingerprint,
                lease_until: Timestamp::from_ms(claim.lease_until_ms),
            },
            payload_hash: claim.payload_hash,
            receipt_key: claim.receipt_key,
            hand_on: match claim.lease_ms {
                Some(lease_ms) => HandOn::AfterClaim { lease_ms },
                None => HandOn::WithClaim,
            },
            retention_ms: claim.retention_ms,
            fallback: claim.fallback.map(fallback_of),
            freshness: Freshness {
                ts_event_min: Timestamp::from_ms(claim.freshness.0),
                own_memory: claim.freshness.1,
            },
            row: InboxRow {
                event_id: Text::new(&claim.event_id).unwrap_or_default(),
                event: Text::new("deposit_success").unwrap_or_default(),
                click_id: Text::new("click").unwrap_or_default(),
                ts_event: Timestamp::from_ms(claim.ts_event_ms),
                key_id: Arc::from("2026-q4"),
                source: None,
                receipt: Receipt::EMPTY,
                payload: claim.payload,
            },
            now: Timestamp::from_ms(claim.now_ms),
        }
    }
}

impl From<&store::Settlement> for Settlement {
    fn from(settlement: &store::Settlement) -> Self {
        Self {
            commit: settlement.end == End::Commit,
            fingerprint: settlement.key.fingerprint,
            lease_until_ms: settlement.key.lease_until.as_ms(),
            payload_hash: settlement.payload_hash,
            receipt_key: settlement.receipt_key,
            ts_event_ms: settlement.ts_event.as_ms(),
            fallback: settlement.fallback.map(of_fallback),
            retention_ms: settlement.retention_ms,
            now_ms: settlement.now.as_ms(),
        }
    }
}

impl From<Settlement> for store::Settlement {
    fn from(settlement: Settlement) -> Self {
        Self {
            end: if settlement.commit { End::Commit } else { End::Release },
            key: ClaimKey {
                fingerprint: settlement.fingerprint,
                lease_until: Timestamp::from_ms(settlement.lease_until_ms),
            },
            payload_hash: settlement.payload_hash,
            receipt_key: settlement.receipt_key,
            ts_event: Timestamp::from_ms(settlement.ts_event_ms),
            fallback: settlement.fallback.map(fallback_of),
            retention_ms: settlement.retention_ms,
            now: Timestamp::from_ms(settlement.now_ms),
        }
    }
}

impl From<rate::Quota> for Quota {
    fn from(quota: rate::Quota) -> Self {
        let rate::Quota { burst, window_seconds, remaining, reset_seconds } = quota;
        Self { burst, window_seconds, remaining, reset_seconds }
    }
}

impl From<Quota> for rate::Quota {
    fn from(quota: Quota) -> Self {
        let Quota { burst, window_seconds, remaining, reset_seconds } = quota;
        Self { burst, window_seconds, remaining, reset_seconds }
    }
}

/// An answer to another question than the one that was asked.
#[derive(Debug)]
pub struct OtherQuestion;

impl Told {
    /// A fault.
    #[must_use]
    pub fn of_fault(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Unavailable => Self::Unavailable,
            StoreFault::Contended => Self::Contended,
            StoreFault::Corrupt => Self::Corrupt,
        }
    }

    /// The answer to a throttle.
    #[must_use]
    pub fn of_throttle(answer: Result<store::ThrottleAnswer, StoreFault>) -> Self {
        match answer {
            Ok(store::ThrottleAnswer::Pass) => Self::Pass,
            Ok(store::ThrottleAnswer::Limited { retry_after_ms }) => Self::SourceLimited(retry_after_ms),
            Err(fault) => Self::of_fault(fault),
        }
    }

    /// The answer to a claim.
    #[must_use]
    pub fn of_claim(answer: Result<store::ClaimAnswer, StoreFault>) -> Self {
        use store::ClaimAnswer;
        match answer {
            Ok(ClaimAnswer::Limited { retry_after_ms, quota }) => Self::Limited(retry_after_ms, quota.into()),
            Ok(ClaimAnswer::Fresh { quota }) => Self::Fresh(quota.map(Into::into)),
            Ok(ClaimAnswer::InFlight { retry_after_ms }) => Self::InFlight(retry_after_ms),
            Ok(ClaimAnswer::Seen { same_payload, receipt_key }) => Self::Seen(same_payload, receipt_key),
            Ok(ClaimAnswer::TooOld { ts_event_min }) => Self::TooOld(ts_event_min.as_ms()),
            Ok(ClaimAnswer::DuplicateOf { event_id }) => {
                Self::DuplicateOf(event_id.map(|event_id| event_id.as_str().to_owned()))
            }
            Err(fault) => Self::of_fault(fault),
        }
    }

    /// The answer to a settlement.
    #[must_use]
    pub fn of_settlement(answer: Result<(), StoreFault>) -> Self {
        answer.map_or_else(Self::of_fault, |()| Self::Settled)
    }

    fn fault(&self) -> Option<StoreFault> {
        match self {
            Self::Unavailable => Some(StoreFault::Unavailable),
            Self::Contended => Some(StoreFault::Contended),
            Self::Corrupt => Some(StoreFault::Corrupt),
            _ => None,
        }
    }

    /// The inverse of [`of_throttle`](Self::of_throttle).
    ///
    /// # Errors
    /// [`OtherQuestion`].
    pub fn into_throttle(self) -> Result<Result<store::ThrottleAnswer, StoreFault>, OtherQuestion> {
        Ok(match (self.fault(), self) {
            (Some(fault), _) => Err(fault),
            (None, Self::Pass) => Ok(store::ThrottleAnswer::Pass),
            (None, Self::SourceLimited(retry_after_ms)) => {
                Ok(store::ThrottleAnswer::Limited { retry_after_ms })
            }
            _ => return Err(OtherQuestion),
        })
    }

    /// The inverse of [`of_claim`](Self::of_claim).
    ///
    /// # Errors
    /// [`OtherQuestion`].
    pub fn into_claim(self) -> Result<Result<store::ClaimAnswer, StoreFault>, OtherQuestion> {
        use store::ClaimAnswer;
        Ok(match (self.fault(), self) {
            (Some(fault), _) => Err(fault),
            (None, Self::Limited(retry_after_ms, quota)) => {
                Ok(ClaimAnswer::Limited { retry_after_ms, quota: quota.into() })
            }
            (None, Self::Fresh(quota)) => Ok(ClaimAnswer::Fresh { quota: quota.map(Into::into) }),
            (None, Self::InFlight(retry_after_ms)) => Ok(ClaimAnswer::InFlight { retry_after_ms }),
            (None, Self::Seen(same_payload, receipt_key)) => {
                Ok(ClaimAnswer::Seen { same_payload, receipt_key })
            }
            (None, Self::TooOld(ms)) => Ok(ClaimAnswer::TooOld { ts_event_min: Timestamp::from_ms(ms) }),
            (None, Self::DuplicateOf(event_id)) => Ok(ClaimAnswer::DuplicateOf {
                event_id: match event_id {
                    Some(event_id) => Some(EventId::new(&event_id).ok_or(OtherQuestion)?),
                    None => None,
                },
            }),
            _ => return Err(OtherQuestion),
        })
    }

    /// The inverse of [`of_settlement`](Self::of_settlement).
    ///
    /// # Errors
    /// [`OtherQuestion`].
    pub fn into_settlement(self) -> Result<Result<(), StoreFault>, OtherQuestion> {
        match (self.fault(), self) {
            (Some(fault), _) => Ok(Err(fault)),
            (None, Self::Settled) => Ok(Ok(())),
            _ => Err(OtherQuestion),
        }
    }
}
