//! `/collect`, in place of checks 4 to 6, 8 and 10: the filter in front has done them and vouches for the event.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::authorised::Authorised;
use super::reject::{More, Reject};
use super::request::Authority;
use super::routed::Routed;
use crate::attestation::{self, AttestationReject};
use crate::event::EventId;
use crate::mac::sha256;
use crate::outcome::Code;

/// The request of a filter that has the hop key.
///
/// A refusal here is the operator's to mend: another hop key, clocks apart, a partner that only the filter's document has. So it is a
/// 503, and the filter may know that nothing was accepted.
pub(super) fn attested(routed: Routed<'_>) -> Result<Authorised<'_>, Box<Reject>> {
    let Routed { mut exchange, body, scratch, .. } = routed;
    let (policy, headers, now) = (exchange.policy, exchange.headers, exchange.now);
    // A filter writes each of them once.
    let bytes = |name| headers.single(name).ok().flatten();
    let text = |name| bytes(name).and_then(|value| core::str::from_utf8(value).ok());
    let event_id = text("x-countersign-event-id").and_then(EventId::new).filter(is_visible);
    let (Some(name), Some(event_id), Some(field)) =
        (text("x-countersign-partner"), event_id, bytes("x-countersign-attestation"))
    else {
        let detail = "x-countersign-* headers are missing or repeated";
        return Err(exchange.reject(Code::AttestationInvalid, detail, More::Nothing).of_the_hop(event_id));
    };
    let body_sha256 = sha256(body);
    let key =
        match attestation::verify_any(&policy.attestation, field, name, event_id.as_str(), &body_sha256, now)
        {
            Ok(key) => key,
            Err(reject) => {
                let more = match reject {
                    AttestationReject::Stale { skew_ms } => More::Skew(skew_ms),
                    AttestationReject::Malformed
                    | AttestationReject::NoKeyValid
                    | AttestationReject::Mismatch => More::Nothing,
                };
                let refusal = exchange.reject(Code::AttestationInvalid, reject.as_str(), more);
                return Err(refusal.of_the_hop(Some(event_id)));
            }
        };
    let Some(partner) = policy.partner(name) else {
        let detail = "the hop knows a partner that this configuration does not";
        let refusal = exchange.reject(Code::AttestationInvalid, detail, More::Nothing);
        return Err(refusal.of_the_hop(Some(event_id)));
    };
    exchange.facts.partner = Some(Arc::clone(&partner.name));
    exchange.hop = Some(event_id);
    Ok(Authorised {
        exchange,
        partner,
        authority: Authority::Hop(event_id, Arc::clone(key.id())),
        body,
        scratch,
    })
}

/// Whether an id can stand in a header field of the answer.
fn is_visible(event_id: &EventId) -> bool {
    !event_id.is_empty() && event_id.as_str().bytes().all(|byte| byte.is_ascii_graphic())
}
