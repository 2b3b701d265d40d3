//! One request: its headers are held until its body is verified, and its claim is settled by what the upstream says.

use std::net::IpAddr;
use std::rc::Rc;

use countersign_core::drive;
use countersign_core::gate::{
    Body, Claimed, Delivery, Gate, Outcome, Peer, Request, UpstreamAnswer, request_id,
};
use countersign_core::headers::Headers;
use countersign_core::outcome::{Facts, Reply, RequestId};
use countersign_core::source::{self, Identity};
use countersign_core::time::Timestamp;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::abi::{self, Buffer, Level, Map, Pairs};
use crate::plugin::{Plugin, now};

/// Where a stream stands. Every callback takes the phase out and puts the next one in.
#[derive(Default)]
enum Phase {
    /// Nothing has come yet.
    #[default]
    New,
    /// The headers are held; the body is on its way.
    Reading,
    /// The event is with the upstream, since this instant.
    Forwarded(Box<Claimed>, Timestamp),
    /// The upstream's body is being replaced by this one.
    Replacing(Vec<u8>),
    /// Nothing more is to be done.
    Over,
}

/// The SDK's stream context.
pub(crate) struct Stream {
    context: u32,
    plugin: Option<Rc<Plugin>>,
    phase: Phase,
}

impl Stream {
    pub(crate) fn new(context: u32, plugin: Option<Rc<Plugin>>) -> Self {
        Self { context, plugin, phase: Phase::New }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return refuse_unconfigured() };
        if end_of_stream {
            return self.decide(&plugin, Some(0));
        }
        if declared_too_large(&plugin) {
            return self.decide(&plugin, None);
        }
        self.phase = Phase::Reading;
        plugin.waits_for_body(self.context);
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Pause };
        if !matches!(self.phase, Phase::Reading) {
            // Answered already: the proxy throws the rest away.
            return Action::Pause;
        }
        plugin.body_arrived();
        if size > plugin.gate.policy().limits.body_bytes_max {
            return self.decide(&plugin, None);
        }
        if end_of_stream { self.decide(&plugin, Some(size)) } else { Action::Pause }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Pause };
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
            Phase::New | Phase::Reading | Phase::Replacing(_) | Phase::Over => {
                self.phase = Phase::Over;
                Action::Continue
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, _end_of_stream: bool) -> Action {
        if let Phase::Replacing(body) = &mut self.phase {
            // The whole of ours stands in for the first piece of the upstream's, nothing for the others.
            let body = core::mem::take(body);
            if abi::replace_buffer(Buffer::ResponseBody, size, &body).is_err() {
                abi::log(Level::Error, "countersign: the proxy does not let the answer's body be replaced");
            }
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        plugin.gone(self.context);
        if let Phase::Forwarded(claimed, since) = core::mem::take(&mut self.phase) {
            let now = now().unwrap_or(since);
            // No answer has come: a sender that hung up, or a reset. Nobody knows, so the lease ends the claim.
            let settled = claimed.settle(Delivery::Unknown, now);
            account(plugin, &settled.reply.facts, now);
        }
    }
}

impl Stream {
    /// Takes the whole request to its outcome. `body_size` is that of the buffered body; `None`: it is over the limit.
    fn decide(&mut self, plugin: &Plugin, body_size: Option<usize>) -> Action {
        self.phase = Phase::Over;
        plugin.gone(self.context);
        let Some(now) = now() else { return refuse_unconfigured() };
        // Read once: nobody changes the fields while they are held.
        let Ok(fields) = abi::header_map(Map::RequestHeaders) else { return refuse_unconfigured() };
        match examine(plugin, &fields, current_request_id(now), body_size, now) {
            Some(Outcome::Answer(answer)) => {
                account(plugin, &answer.reply.facts, now);
                reply(&answer.reply);
                Action::Pause
            }
            Some(Outcome::Forward(claimed)) => {
                if hand_on(&claimed, &fields).is_err() {
                    // The upstream has seen nothing, so the failure is known.
                    let settled = claimed.settle(Delivery::Failed, now);
                    apply(plugin, settled.settlement.as_ref());
                    account(plugin, &settled.reply.facts, now);
                    reply(&settled.reply);
                    return Action::Pause;
                }
                self.phase = Phase::Forwarded(Box::new(claimed), now);
                Action::Continue
            }
            None => refuse_unconfigured(),
        }
    }

    /// Settles the claim by the upstream's status, and answers.
    fn settle(&mut self, plugin: &Plugin, claimed: Claimed, now: Timestamp, end_of_stream: bool) -> Action {
        let delivery = delivery(&claimed);
        let settled = claimed.settle(delivery, now);
        apply(plugin, settled.settlement.as_ref());
        account(plugin, &settled.reply.facts, now);
        if delivery == Delivery::Refused {
            return Action::Continue;
        }
        if end_of_stream {
            reply(&settled.reply);
            return Action::Pause;
        }
        let status = settled.reply.status.to_string();
        let fields = std::iter::once((&b":status"[..], status.as_bytes())).chain(fields(&settled.reply));
        if abi::replace_header_map(Map::ResponseHeaders, &fields.collect::<Vec<_>>()).is_err() {
            reply(&settled.reply);
            return Action::Pause;
        }
        self.phase = Phase::Replacing(settled.reply.body);
        Action::Continue
    }
}

/// Builds the core's request out of the proxy's header fields and body, and drives it through the store in shared data.
fn examine(
    plugin: &Plugin,
    fields: &[u8],
    id: RequestId,
    body_size: Option<usize>,
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
        if plugin.certificates { PeerCertificate::of_connection() } else { PeerCertificate::default() };
    let identities: Vec<_> = certificate.identities().collect();
    let peer = Peer { address: peer_address(), certificate: &identities };
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

/// Sets the fields that tell the upstream what was verified, in place of any that the sender sent.
fn hand_on(claimed: &Claimed, fields: &[u8]) -> Result<(), abi::Refused> {
    for (name, _) in Pairs::of(fields) {
        if is_ours(name) {
            abi::remove_header(Map::RequestHeaders, name)?;
        }
    }
    for (name, value) in claimed.headers() {
        abi::replace_header(Map::RequestHeaders, name.as_bytes(), value.as_bytes())?;
    }
    Ok(())
}

/// Whether an upstream may take the name for one of ours. Many read `_` as `-` (CGI and what follows it): `x_countersign_partner`
/// would then stand beside the field that we set.
fn is_ours(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-countersign-";
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.get(..PREFIX.len()).is_some_and(|start| start.iter().map(folded).eq(PREFIX.iter().copied()))
}

fn apply(plugin: &Plugin, settlement: Option<&countersign_core::store::Settlement>) {
    let Some(settlement) = settlement else { return };
    let settled = plugin.store.try_borrow_mut().is_ok_and(|mut store| store.settle(settlement).is_ok());
    if !settled {
        abi::log(Level::Warn, "countersign: a claim could not be settled; its lease will end it");
    }
}

/// Whether the request declares a body that is over the limit: then there is no need to wait for it.
fn declared_too_large(plugin: &Plugin) -> bool {
    abi::header(Map::RequestHeaders, b"content-length")
        .is_ok_and(|length| plugin.gate.declares_too_much(&length))
}

/// How the hand-on went, from the response and from what the proxy says of its origin.
fn delivery(claimed: &Claimed) -> Delivery {
    let map = abi::header_map(Map::ResponseHeaders).unwrap_or_default();
    let field = |wanted: &[u8]| Pairs::of(&map).find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let status =
        field(b":status").and_then(|status| core::str::from_utf8(status).ok()?.parse().ok()).unwrap_or(0);
    let replayed = field(b"idempotent-replayed").is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
    // The router sets this field on an upstream's answer, and on nothing else. Where it is told not to, the details tell.
    let from_upstream = field(b"x-envoy-upstream-service-time").is_some()
        || abi::property(b"response\0code_details").is_ok_and(|details| details == b"via_upstream");
    if from_upstream {
        return claimed.delivery(&UpstreamAnswer {
            status,
            replayed,
            duplicate_of: field(b"x-countersign-duplicate-of"),
            not_accepted: field(b"x-countersign-not-accepted"),
        });
    }
    // The proxy speaks for the upstream. Only where it says that the upstream was never reached is the failure known.
    if never_reached() { Delivery::Failed } else { Delivery::Unknown }
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

fn peer_address() -> Option<IpAddr> {
    let address = abi::property(b"source\0address").ok()?;
    let address = core::str::from_utf8(&address).ok()?;
    // `ip:port`, with brackets around IPv6.
    let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
    host.trim_matches(['[', ']']).parse().ok()
}

/// What the proxy verified of the client certificate; nothing where the connection is not mTLS.
#[derive(Default)]
struct PeerCertificate {
    /// The URI subject alternative name; the proxy names the first.
    uri: Option<String>,
    sha256: Option<[u8; 32]>,
}

impl PeerCertificate {
    fn of_connection() -> Self {
        if !abi::property(b"connection\0mtls").is_ok_and(|value| value == [1]) {
            return Self::default();
        }
        let uri = abi::property(b"connection\0uri_san_peer_certificate").ok();
        let digest = abi::property(b"connection\0sha256_peer_certificate_digest").ok();
        Self {
            uri: uri.and_then(|uri| String::from_utf8(uri).ok()),
            sha256: digest.and_then(|hex| source::sha256_of_hex(&hex)),
        }
    }

    fn identities(&self) -> impl Iterator<Item = Identity<'_>> {
        let uri = self.uri.as_deref().map(Identity::Uri);
        uri.into_iter().chain(self.sha256.map(Identity::Sha256))
    }
}

fn fields(reply: &Reply) -> impl Iterator<Item = (&[u8], &[u8])> {
    reply.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

fn reply(reply: &Reply) {
    // The proxy writes the length of a local reply itself; a second one would be a second field.
    let fields: Vec<_> = fields(reply).filter(|(name, _)| *name != b"content-length").collect();
    if abi::send_local_response(reply.status, &fields, &reply.body).is_err() {
        abi::log(Level::Error, "countersign: the proxy does not take the answer; the request stays held");
    }
}

/// Counts the answer and fills the access log's fields: nothing secret, no personal data.
fn account(plugin: &Plugin, facts: &Facts, now: Timestamp) {
    if let Ok(mut metrics) = plugin.metrics.try_borrow_mut() {
        metrics.answered(facts, now.as_seconds());
        if let Ok(mut store) = plugin.store.try_borrow_mut() {
            metrics.store(facts.partner.as_deref(), store.take_counters());
        }
    }
    let field = |name: &[u8], value: Option<&str>| {
        if let Some(value) = value {
            let _unlogged = abi::set_property(name, value.as_bytes());
        }
    };
    field(b"countersign_code", Some(facts.code.metric()));
    field(b"countersign_detail", Some(facts.detail).filter(|detail| !detail.is_empty()));
    field(b"countersign_partner", facts.partner.as_deref());
    field(b"countersign_key", facts.key_id.as_deref());
    field(b"countersign_event", facts.event.as_ref().map(|event| event.as_str()));
    field(b"countersign_event_id", facts.event_id.as_ref().map(|id| id.as_str()));
}

/// Answers a stream whose body does not arrive, from `on_tick`.
pub(crate) fn reply_misconfigured(plugin: &Plugin, now: Timestamp) {
    let misconfigured = plugin.gate.filter_misconfigured(current_request_id(now));
    account(plugin, &misconfigured.facts, now);
    reply(&misconfigured);
}

/// The id that the proxy gave the current request, which is in its access log too.
fn current_request_id(now: Timestamp) -> RequestId {
    let given = abi::header(Map::RequestHeaders, b"x-request-id").ok();
    request_id(given.as_deref(), || u128::from(now.as_ms()))
}

/// Without a configuration or a clock nothing can be verified, so nothing passes.
fn refuse_unconfigured() -> Action {
    let problem = "the filter cannot read its configuration, the request or the clock";
    abi::log(Level::Error, &format!("countersign: {problem}; refusing"));
    reply(&Gate::internal_error(RequestId::EMPTY, problem));
    Action::Pause
}
