//! How a hand-on went: the upstream's word, and what the proxy says where the upstream has none.

use countersign_core::gate::{Claimed, Delivery, UpstreamAnswer};

use crate::abi::{self, Map, Pairs};

/// The delivery that the answer to a claimed event tells of.
pub(crate) fn of(claimed: &Claimed) -> Delivery {
    let map = abi::header_map(Map::ResponseHeaders).unwrap_or_default();
    let field = |wanted: &[u8]| Pairs::of(&map).find(|(name, _)| *name == wanted).map(|(_, value)| value);
    // The router sets this field on an upstream's answer, and on nothing else. Where it is told not to, the details tell.
    let from_upstream = field(b"x-envoy-upstream-service-time").is_some()
        || abi::property(b"response\0code_details").is_ok_and(|details| details == b"via_upstream");
    if from_upstream {
        let status = field(b":status").and_then(|status| core::str::from_utf8(status).ok()?.parse().ok());
        let replayed = field(b"idempotent-replayed").is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
        return claimed.delivery(&UpstreamAnswer {
            status: status.unwrap_or(0),
            replayed,
            duplicate_of: field(b"x-countersign-duplicate-of"),
            not_accepted: field(b"x-countersign-not-accepted"),
        });
    }
    // The proxy speaks for the upstream. Only where it says that the upstream was never reached is the failure known.
    if never_reached() { Delivery::NotReached } else { Delivery::Unknown }
}

/// Whether every response flag says that no upstream was reached (Envoy's `CoreResponseFlag`, as bits).
fn never_reached() -> bool {
    const NO_HEALTHY_UPSTREAM: u64 = 0x2;
    const UPSTREAM_CONNECTION_FAILURE: u64 = 0x20;
    const UPSTREAM_OVERFLOW: u64 = 0x80;
    const NO_ROUTE_FOUND: u64 = 0x100;
    const UNREACHED: u64 =
        NO_HEALTHY_UPSTREAM | UPSTREAM_CONNECTION_FAILURE | UPSTREAM_OVERFLOW | NO_ROUTE_FOUND;
    let flags = abi::property(b"response\0flags")
        .ok()
        .and_then(|bytes| Some(u64::from_le_bytes(*bytes.first_chunk()?)));
    flags.is_some_and(|flags| flags != 0 && flags & !UNREACHED == 0)
}
