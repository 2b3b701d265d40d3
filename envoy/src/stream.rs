//! One request: its headers are held until its body is verified, and its claim is settled by what the upstream says.

use std::rc::Rc;

use countersign_core::drive;
use countersign_core::gate::{Body, Claimed, Delivery, Outcome, Peer, Request, Settled};
use countersign_core::headers::Headers;
use countersign_core::outcome::{Reply, RequestId};
use countersign_core::source;
use countersign_core::time::Timestamp;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::abi::{self, Buffer, Level, Map, Pairs};
use crate::answer::{self, account, refuse_unconfigured, reply};
use crate::metrics::Event;
use crate::phase::Phase;
use crate::plugin::{Plugin, now};
use crate::{delivery, fields, peer};

/// The most bytes of header fields that are kept while a body is on its way.
const KEPT_BYTES_MAX: usize = 4_096;

/// The SDK's stream context.
pub(crate) struct Stream {
    context: u32,
    plugin: Option<Rc<Plugin>>,
    /// When the headers came; `None` where the proxy has no clock.
    arrived: Option<Timestamp>,
    /// The header fields as the proxy serialises them: nobody changes them while they are held. `None`: read them again, for a sender
    /// whose body is slow shall not fill the VM's memory with them.
    fields: Option<Vec<u8>>,
    phase: Phase,
    /// Where the proxy takes the request for gRPC, and so would send 200 with a `grpc-status`: the status that the sender is to hear.
    grpc_status: Option<u16>,
}

impl Stream {
    pub(crate) const fn new(context: u32, plugin: Option<Rc<Plugin>>) -> Self {
        Self { context, plugin, arrived: None, fields: None, phase: Phase::New, grpc_status: None }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        self.arrived = now();
        // A map that cannot be read now is read again, and refused, when the body is complete.
        let read = abi::header_map(Map::RequestHeaders).ok();
        let fields = read.as_deref().unwrap_or_default();
        let field =
            |wanted: &[u8]| Pairs::of(fields).find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let method = field(b":method").unwrap_or(b"POST");
        if field(b"content-type").is_some_and(answer::is_grpc) {
            // Until we answer: only the proxy itself, or a proxy that keeps bodies to itself, is ahead of us.
            self.grpc_status = Some(503);
        }
        if self.grpc_status.is_none()
            && matches!(method, b"GET" | b"HEAD")
            && field(b":path").is_some_and(answer::is_health_route)
        {
            self.phase = Phase::Over;
            return answer::health(self.plugin.as_deref(), self.arrived);
        }
        let Some(plugin) = self.plugin.clone() else { return refuse_unconfigured() };
        // Another method is refused whatever its body, and that of CONNECT never ends.
        if end_of_stream || method != b"POST" {
            return self.decide(&plugin, Some(0));
        }
        if field(b"content-length").is_some_and(|length| plugin.gate.declares_too_much(length)) {
            return self.decide(&plugin, None);
        }
        self.fields = read.filter(|fields| fields.len() <= KEPT_BYTES_MAX);
        self.phase = Phase::Reading;
        plugin.waiting.for_body(self.context, self.arrived);
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Pause };
        if !matches!(self.phase, Phase::Reading) {
            // Answered already: the proxy throws the rest away.
            return Action::Pause;
        }
        plugin.waiting.body_arrived();
        if size > plugin.gate.policy().limits.body_bytes_max {
            return self.decide(&plugin, None);
        }
        if end_of_stream { self.decide(&plugin, Some(size)) } else { Action::Pause }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Pause };
        // No signature covers them, and an upstream may take a trailer for a header.
        if remove_fields(Map::RequestTrailers, |_| true).is_err() {
            return refuse_unconfigured();
        }
        if matches!(self.phase, Phase::Reading) {
            self.decide(&plugin, Some(usize::MAX))
        } else {
            Action::Continue
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Continue };
        match core::mem::take(&mut self.phase) {
            Phase::Forwarded(claimed, since) => {
                self.phase = Phase::Over;
                // Where the clock fails now, the claim's instant stands in: the upstream's own answer must not pass unread.
                self.settle(&plugin, *claimed, now().unwrap_or(since), end_of_stream)
            }
            // A local reply, ours or the proxy's, to a request that nobody else has seen.
            Phase::New | Phase::Reading | Phase::Replacing(_) | Phase::Discarding | Phase::Over => {
                self.phase = Phase::Over;
                if let Some(status) = self.grpc_status {
                    answer::restore_status(status);
                }
                Action::Continue
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, _end_of_stream: bool) -> Action {
        let body = match core::mem::take(&mut self.phase) {
            // The whole of ours stands in for the first piece of the upstream's, nothing for the others.
            Phase::Replacing(reply) => reply.body,
            Phase::Discarding => Vec::new(),
            other @ (Phase::New | Phase::Reading | Phase::Forwarded(..) | Phase::Over) => {
                self.phase = other;
                return Action::Continue;
            }
        };
        self.phase = Phase::Discarding;
        if abi::replace_buffer(Buffer::ResponseBody, size, &body).is_err() {
            abi::log(Level::Error, "countersign: the proxy does not let the answer's body be replaced");
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        match core::mem::take(&mut self.phase) {
            // There was no body whose place ours could take: the held headers go, and the whole answer is ours.
            Phase::Replacing(whole) => {
                self.phase = Phase::Over;
                reply(&whole);
                Action::Pause
            }
            Phase::Discarding => remove_or_log(Map::ResponseTrailers, |_| true),
            Phase::New | Phase::Reading | Phase::Forwarded(..) | Phase::Over => {
                self.phase = Phase::Over;
                remove_or_log(Map::ResponseTrailers, fields::is_reserved)
            }
        }
    }

    fn on_log(&mut self) {
        let Some(plugin) = self.plugin.clone() else { return };
        plugin.waiting.body_over(self.context);
        if let Phase::Forwarded(claimed, since) = core::mem::take(&mut self.phase) {
            // No answer has come: a sender that hung up, or a reset. Nobody knows, so the lease ends the claim.
            let _nobody_hears = self.conclude(&plugin, *claimed, Delivery::Unknown, now().unwrap_or(since));
        }
    }
}

impl Stream {
    /// Takes the whole request to its outcome. `body_size` is that of the buffered body; `None`: it is over the limit.
    fn decide(&mut self, plugin: &Plugin, body_size: Option<usize>) -> Action {
        self.phase = Phase::Over;
        plugin.waiting.body_over(self.context);
        let Some(now) = now() else { return refuse_unconfigured() };
        let kept = self.fields.take().map_or_else(|| abi::header_map(Map::RequestHeaders), Ok);
        let Ok(fields) = kept else { return refuse_unconfigured() };
        let address = peer::address();
        let id = answer::request_id(now);
        match examine(plugin, &fields, id, body_size, address, now) {
            Some(Outcome::Answer(answer)) => {
                account(plugin, &answer.reply.facts, self.arrived, now);
                self.grpc_status = self.grpc_status.map(|_| answer.reply.status);
                reply(&answer.reply);
                Action::Pause
            }
            Some(Outcome::Forward(claimed)) => {
                plugin.waiting.for_upstream(self.context, &claimed);
                if hand_on(plugin, &claimed, &fields, address).is_err() {
                    // The upstream has seen nothing, so the failure is known.
                    reply(&self.conclude(plugin, claimed, Delivery::NotReached, now));
                    return Action::Pause;
                }
                self.phase = Phase::Forwarded(Box::new(claimed), now);
                Action::Continue
            }
            None => refuse_unconfigured(),
        }
    }

    /// Settles the claim by the upstream's answer, and puts ours in its place.
    fn settle(&mut self, plugin: &Plugin, claimed: Claimed, now: Timestamp, end_of_stream: bool) -> Action {
        let delivery = delivery::of(&claimed);
        let answer = self.conclude(plugin, claimed, delivery, now);
        if delivery == Delivery::Refused {
            return remove_or_log(Map::ResponseHeaders, fields::is_reserved);
        }
        if end_of_stream || answer::replace_headers(&answer).is_err() {
            reply(&answer);
            return Action::Pause;
        }
        // Held: they promise a body, and whether there is a place for it is not known yet.
        self.phase = Phase::Replacing(answer);
        Action::Pause
    }

    /// Settles a claim and accounts for it; what the sender is to hear.
    fn conclude(&self, plugin: &Plugin, claimed: Claimed, delivery: Delivery, now: Timestamp) -> Box<Reply> {
        plugin.waiting.upstream_over(self.context);
        let lease_until = claimed.lease_until();
        let Settled { settlement, reply } = claimed.settle(delivery, now);
        let partner = &reply.facts.partner;
        let count = |event| {
            if let Ok(metrics) = plugin.metrics.try_borrow() {
                metrics.count(partner.as_deref(), event);
            }
        };
        if let Some(fault) = delivery.fault() {
            count(Event::DeliveryFault(fault));
        }
        let settled = settlement.as_ref().is_some_and(|settlement| {
            let settled =
                plugin.store.try_borrow_mut().is_ok_and(|mut store| store.settle(settlement).is_ok());
            if !settled {
                abi::log(Level::Warn, "countersign: a claim could not be settled; its lease will end it");
                count(Event::SettlementsFailed);
            }
            settled
        });
        if !settled && !plugin.waiting.for_lease(lease_until, partner.clone()) {
            count(Event::LeaseExpiries);
        }
        account(plugin, &reply.facts, self.arrived, now);
        reply
    }
}

/// Builds the core's request out of the proxy's header fields and body, and drives it through the store in shared data.
fn examine(
    plugin: &Plugin,
    fields: &[u8],
    id: RequestId,
    body_size: Option<usize>,
    address: Option<std::net::IpAddr>,
    now: Timestamp,
) -> Option<Outcome> {
    let body = match body_size {
        None => None,
        Some(0) => Some(Vec::new()),
        Some(size) => match abi::buffer(Buffer::RequestBody, size) {
            Ok(body) => Some(body),
            Err(abi::Refused::NOT_FOUND) => Some(Vec::new()),
            Err(_) => return None,
        },
    };
    let mut method: &[u8] = b"";
    let mut path: &[u8] = b"";
    let mut headers: Vec<(&[u8], &[u8])> = Vec::with_capacity(24);
    for (name, value) in Pairs::of(fields) {
        match name {
            b":method" => method = value,
            b":path" => path = value,
            [b':', ..] => {}
            _ => headers.push((name, value)),
        }
    }
    let certificate =
        if plugin.certificates { peer::Certificate::of_connection() } else { peer::Certificate::default() };
    let identities: Vec<_> = certificate.identities().collect();
    let peer = Peer { address, certificate: &identities };
    let mut scratch = plugin.scratch.try_borrow_mut().ok()?;
    let mut store = plugin.store.try_borrow_mut().ok()?;
    let request = Request {
        id,
        method,
        path,
        headers: Headers(&headers),
        body: body.as_deref().map_or(Body::TooLarge, Body::Whole),
        peer,
        scratch: &mut scratch,
    };
    Some(drive::drive_now(&mut *store, plugin.gate.begin(request, now)))
}

/// Writes what the upstream gets: the sender's fields without those that do not pass, the client's address, and what was verified.
fn hand_on(
    plugin: &Plugin,
    claimed: &Claimed,
    fields: &[u8],
    peer: Option<std::net::IpAddr>,
) -> Result<(), abi::Refused> {
    let sent: Vec<_> = Pairs::of(fields).collect();
    let client = source::client_address(peer, &plugin.gate.policy().trusted_proxies, Headers(&sent));
    for (name, _) in sent.iter().filter(|(name, _)| fields::is_withheld(name)) {
        abi::remove_header(Map::RequestHeaders, name)?;
    }
    if let Some(client) = client {
        abi::set_header(Map::RequestHeaders, b"x-forwarded-for", client.to_string().as_bytes())?;
    }
    for (name, value) in claimed.headers() {
        abi::set_header(Map::RequestHeaders, name.as_bytes(), value.as_bytes())?;
    }
    Ok(())
}

/// Removes the fields of a map that do not pass.
fn remove_fields(map: Map, is_removed: impl Fn(&[u8]) -> bool) -> Result<(), abi::Refused> {
    let fields = abi::header_map(map)?;
    for (name, _) in Pairs::of(&fields) {
        if is_removed(name) {
            abi::remove_header(map, name)?;
        }
    }
    Ok(())
}

/// Removes the fields of an answer that do not pass. They harm nobody who does not believe them, so the answer passes all the same.
fn remove_or_log(map: Map, is_removed: impl Fn(&[u8]) -> bool) -> Action {
    if remove_fields(map, is_removed).is_err() {
        abi::log(
            Level::Warn,
            "countersign: the proxy does not let fields of the upstream's answer be removed",
        );
    }
    Action::Continue
}
