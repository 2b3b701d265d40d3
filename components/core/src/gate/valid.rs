//! Check 9: schema, money, time, click_id. What comes of it is ready to be claimed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reject::{More, Reject};
use super::request::{Authority, Exchange, Mode};
use crate::attestation;
use crate::canonical::PayloadHash;
use crate::click::{self, ClickReject};
use crate::event::{self, Event, EventId};
use crate::headers::Headers;
use crate::json::Document;
use crate::keys;
use crate::mac::sha256;
use crate::names;
use crate::outcome::{Code, Facts};
use crate::policy::{ClickVerify, Partner};
use crate::receipt::{self, Receipt, ReceiptKeys};
use crate::store::{Claim, ClaimKey, Fallback, Freshness, HandOn, InboxRow};
use crate::text::Text;
use crate::time::Timestamp;

/// An event that somebody answers for.
pub(super) struct Authentic<'r> {
    pub(super) exchange: Exchange<'r>,
    pub(super) partner: &'r Partner,
    pub(super) authority: Authority,
    pub(super) body: &'r [u8],
    pub(super) document: Document<'r>,
    /// Canonical; empty where nobody keeps it.
    pub(super) payload: Vec<u8>,
    pub(super) key_id: Arc<str>,
    pub(super) payload_hash: PayloadHash,
}

/// An event that passed checks 1 to 9, and all that is needed to claim it and to answer. It borrows nothing.
#[derive(Debug)]
pub(super) struct Valid {
    pub(super) claim: Claim,
    pub(super) facts: Facts,
    pub(super) attestation: Option<Text<96>>,
    pub(super) in_flight_status: u16,
    /// The event that a hop asked about.
    pub(super) hop: Option<EventId>,
    /// Where the codes are documented.
    pub(super) documentation_url: Arc<str>,
    receipts: Arc<ReceiptKeys>,
}

impl Valid {
    /// The receipt that the event was given when the key of this mark signed: a repeat after a rotation gets that of the first time.
    /// Where that key is gone, the present key's.
    pub(super) fn receipt_of(&self, mark: u8) -> Receipt {
        let row = &self.claim.row;
        match self.receipts.of_mark(mark) {
            Some(key) if mark != self.claim.receipt_key => {
                receipt::issue(key, &self.claim.partner, row.event_id.as_str(), &self.claim.payload_hash)
            }
            Some(_) | None => row.receipt,
        }
    }
}

impl Authentic<'_> {
    /// Check 9.
    pub(super) fn validate(self) -> Result<Valid, Box<Reject>> {
        let Self { mut exchange, partner, authority, body, document, payload, key_id, payload_hash } = self;
        let event = match event::read(&document, &partner.events, exchange.now) {
            Ok(event) => event,
            Err(rejects) => {
                (exchange.facts.event, exchange.facts.event_id) = (rejects.event(), rejects.event_id());
                let pointer = rejects.list().first().map_or("", |reject| reject.pointer);
                return Err(exchange.reject(Code::EventInvalid, pointer, More::Event(rejects)));
            }
        };
        exchange.facts.event_id = Some(event.event_id);
        exchange.facts.event = Some(event.event.name());
        exchange.facts.ts_event = Some(event.ts_event);
        if contradicts(exchange.headers, &event) {
            let hint = "send the event_id as Idempotency-Key, once, or leave the header out";
            return Err(exchange
                .reject(Code::EventInvalid, "idempotency-key", More::Nothing)
                .with_hint(hint));
        }
        let event = match known_click(&mut exchange, event) {
            Ok(event) => event,
            Err(reject) => {
                let text = reject.as_str();
                return Err(exchange.reject(Code::ClickIdInvalid, text, More::Nothing).with_hint(text));
            }
        };
        match authority {
            Authority::Hop(attested, _) if attested != event.event_id => {
                let detail = "the attested event id is not the body's";
                return Err(exchange.reject(Code::AttestationInvalid, detail, More::Nothing));
            }
            Authority::Hop(..) | Authority::Signature => {}
        }
        Found { exchange, partner, authority, body, payload, key_id, payload_hash, event }.valid()
    }
}

/// The event with the plain id of its click, where the click's id is as the configuration asks.
fn known_click(exchange: &mut Exchange<'_>, event: Event) -> Result<Event, ClickReject> {
    let policy = &exchange.policy.click_id;
    match (click::inspect(&policy.keys, event.click_id.as_str()), policy.verify) {
        (Ok(click), _) => {
            exchange.facts.click_key_id = Some(click.key_id);
            // Sealed or not, it is one click: from here on only its plain id counts.
            let click_id = Text::new(click.id.as_str()).unwrap_or(event.click_id);
            Ok(Event { click_id, ..event })
        }
        (Err(ClickReject::Foreign), ClickVerify::WhenOurs) => Ok(event),
        (Err(reject), ClickVerify::Off) if !reject.is_certain() => Ok(event),
        (Err(reject), _) => Err(reject),
    }
}

/// Whether an `Idempotency-Key` says something other than the event's id. The draft has it as a quoted string; most senders
/// leave the quotes away.
fn contradicts(headers: Headers<'_>, event: &Event) -> bool {
    let Ok(key) = headers.single("idempotency-key") else { return true };
    key.is_some_and(|key| {
        let bare = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(key);
        bare != event.event_id.as_str().as_bytes()
    })
}

/// What the checks have found.
struct Found<'r> {
    exchange: Exchange<'r>,
    partner: &'r Partner,
    authority: Authority,
    body: &'r [u8],
    payload: Vec<u8>,
    key_id: Arc<str>,
    payload_hash: PayloadHash,
    event: Event,
}

impl Found<'_> {
    fn valid(self) -> Result<Valid, Box<Reject>> {
        let Self { exchange, partner, authority, body, payload, key_id, payload_hash, event } = self;
        let Exchange { policy, mode, now, address, hop, .. } = exchange;
        // A document has no gap between keys: only a clock before the first key's begin gets here.
        let Some((receipt_key, mark)) = policy.receipt.current(now) else {
            return Err(exchange.reject(Code::InternalError, "no receipt key is valid now", More::Nothing));
        };
        let Some(hop_key) = keys::current(&policy.attestation, now) else {
            return Err(exchange.reject(Code::InternalError, "no hop key is valid now", More::Nothing));
        };
        let freshness = freshness(&exchange, partner);
        let receipts = Arc::clone(&policy.receipt);
        let (name, event_id) = (&*partner.name, event.event_id.as_str());
        let lease_ms = policy.dedup.lease_ms;
        let (attestation, hand_on) = match mode {
            Mode::Forward => {
                let field = attestation::attest(hop_key.secret(), name, event_id, &sha256(body), now);
                (Some(field), HandOn::AfterClaim { lease_ms })
            }
            Mode::Inbox => (None, HandOn::WithClaim),
        };
        let fallback = partner.fallback_window_ms(event.event.as_str()).map(|window_ms| Fallback {
            fingerprint: names::fallback(
                name,
                event.event.as_str(),
                event.click_id.as_str(),
                event.amount.as_ref(),
            ),
            ts_event: event.ts_event,
            window_ms,
        });
        let quota = match authority {
            Authority::Signature => Some(partner.rate),
            // It was spent at the filter.
            Authority::Hop(..) => None,
        };
        let claim = Claim {
            partner: Arc::clone(&partner.name),
            quota,
            key: ClaimKey { fingerprint: names::event(name, event_id), lease_until: now.plus_ms(lease_ms) },
            payload_hash,
            receipt_key: mark,
            freshness,
            hand_on,
            retention_ms: policy.dedup.retention_ms,
            fallback,
            row: InboxRow {
                event_id: event.event_id,
                event: event.event.name(),
                click_id: event.click_id,
                ts_event: event.ts_event,
                key_id,
                source: address,
                receipt: receipt::issue(receipt_key, name, event_id, &payload_hash),
                payload,
            },
            now,
        };
        let in_flight_status = partner.in_flight_status.status();
        let documentation_url = Arc::clone(&policy.documentation_url);
        Ok(Valid {
            claim,
            facts: exchange.facts,
            attestation,
            in_flight_status,
            hop,
            documentation_url,
            receipts,
        })
    }
}

/// How old an event may be that the store does not know. An inbox remembers for as long as its ledger.
fn freshness(exchange: &Exchange<'_>, partner: &Partner) -> Freshness {
    match exchange.mode {
        Mode::Inbox => Freshness::ANY,
        Mode::Forward => {
            // What was accepted exactly so long ago is forgotten from now on, hence the one.
            let earliest = |past_ms| exchange.now.as_ms().saturating_sub(past_ms).saturating_add(1);
            Freshness {
                ts_event_min: Timestamp::from_ms(partner.ts_event_past_ms_max.map_or(0, earliest)),
                own_memory: !exchange.policy.upstream_is_idempotent,
            }
        }
    }
}
