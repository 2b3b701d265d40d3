//! Answers: to the sender, to the metrics, and to the access log.

use countersign_core::gate::{self, Gate};
use countersign_core::outcome::{Facts, Reply, RequestId};
use countersign_core::time::Timestamp;
use proxy_wasm::types::Action;

use crate::abi::{self, Level, Map};
use crate::metrics::{self, BUILD};
use crate::plugin::Plugin;

/// The path of the health route.
const HEALTH: &[u8] = b"/countersign/health";
/// A key that nothing is written to: reading it shows whether the table can be read at all.
const PROBE: &[u8] = b"countersign/health";

/// Answers in the upstream's place.
pub(crate) fn reply(reply: &Reply) {
    // The proxy writes the length of a local reply itself; a second one would be a second field.
    let fields: Vec<_> = fields(reply).filter(|(name, _)| *name != b"content-length").collect();
    if abi::send_local_response(reply.status, &fields, &reply.body).is_err() {
        abi::log(Level::Error, "countersign: the proxy does not take the answer; the request stays held");
    }
}

/// Whether the proxy takes a request of this content type for gRPC.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

/// Gives a local reply that the proxy turned into one of gRPC its own status again. It has no body then.
pub(crate) fn restore_status(status: u16) {
    let restored = abi::set_header(Map::ResponseHeaders, b":status", status.to_string().as_bytes());
    for name in [&b"grpc-status"[..], b"grpc-message"] {
        // Where it stays, it says that the request failed.
        let _stays = abi::remove_header(Map::ResponseHeaders, name);
    }
    if restored.is_err() {
        abi::log(Level::Error, "countersign: the proxy answers 200 to a gRPC request that was refused");
    }
}

/// Puts our status and fields in the place of the upstream's, all of them.
pub(crate) fn replace_headers(reply: &Reply) -> Result<(), abi::Refused> {
    let status = reply.status.to_string();
    let fields = std::iter::once((&b":status"[..], status.as_bytes())).chain(fields(reply));
    abi::replace_header_map(Map::ResponseHeaders, &fields.collect::<Vec<_>>())
}

fn fields(reply: &Reply) -> impl Iterator<Item = (&[u8], &[u8])> {
    reply.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

/// Counts the answer and fills the access log's fields: nothing secret, no personal data.
pub(crate) fn account(plugin: &Plugin, facts: &Facts, arrived: Option<Timestamp>, now: Timestamp) {
    if let Ok(mut metrics) = plugin.metrics.try_borrow_mut() {
        metrics.answered(facts, arrived, now);
        if let Ok(mut store) = plugin.store.try_borrow_mut() {
            metrics.store(facts.partner.as_deref(), store.take_counters());
        }
    }
    log_field(b"countersign_code", Some(facts.code.metric()));
    log_field(b"countersign_detail", Some(facts.detail).filter(|detail| !detail.is_empty()));
    log_field(b"countersign_partner", facts.partner.as_deref());
    log_field(b"countersign_key", facts.key_id.as_deref());
    log_field(b"countersign_event", facts.event.as_ref().map(|event| event.as_str()));
    log_field(b"countersign_event_id", facts.event_id.as_ref().map(|id| id.as_str()));
}

fn log_field(name: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        let _unlogged = abi::set_property(name, value.as_bytes());
    }
}

/// Answers a stream whose body does not arrive, from `on_tick`.
pub(crate) fn misconfigured(plugin: &Plugin, now: Timestamp) {
    let misconfigured = plugin.gate.filter_misconfigured(request_id(now));
    account(plugin, &misconfigured.facts, None, now);
    reply(&misconfigured);
}

/// The id that the proxy gave the current request, which is in its access log too.
pub(crate) fn request_id(now: Timestamp) -> RequestId {
    let given = abi::property(b"request\0id").ok();
    gate::request_id(given.as_deref(), || u128::from(now.as_ms()))
}

/// Without a configuration or a clock nothing can be verified, so nothing passes.
pub(crate) fn refuse_unconfigured() -> Action {
    let problem = "the filter cannot read its configuration, the request or the clock";
    abi::log(Level::Error, &format!("countersign: {problem}; refusing"));
    reply(&Gate::internal_error(RequestId::EMPTY, problem));
    Action::Pause
}

/// Whether the path is that of the health route, whatever its query.
pub(crate) fn is_health_route(path: &[u8]) -> bool {
    path.strip_prefix(HEALTH).is_some_and(|rest| matches!(rest.first(), None | Some(b'?')))
}

/// Answers `GET /countersign/health`: 200 where postbacks are served, 503 where every one of them would be refused.
pub(crate) fn health(plugin: Option<&Plugin>, now: Option<Timestamp>) -> Action {
    let problem = match plugin {
        None => Some("there is no configuration"),
        Some(_) if now.is_none() => Some("the proxy has no clock"),
        Some(plugin) if plugin.waiting.bodies_are_withheld() => {
            Some("no request body arrives: set allow_on_headers_stop_iteration")
        }
        Some(_) if abi::shared_data(PROBE).is_err() => Some("the proxy's shared data cannot be read"),
        Some(_) => None,
    };
    let environment = plugin.map_or("", |plugin| metrics::environment(plugin.gate.policy()));
    let status = if problem.is_some() { "unavailable" } else { "ok" };
    let mut body = format!(r#"{{"status":"{status}","build":"{BUILD}","environment":"{environment}""#);
    if let Some(problem) = problem {
        body.push_str(r#","problem":""#);
        body.push_str(problem);
        body.push('"');
    }
    body.push('}');
    log_field(b"countersign_code", Some("health"));
    let fields: [(&[u8], &[u8]); 2] =
        [(b"content-type", b"application/json"), (b"cache-control", b"no-store")];
    if abi::send_local_response(if problem.is_some() { 503 } else { 200 }, &fields, body.as_bytes()).is_err()
    {
        abi::log(Level::Error, "countersign: the proxy does not take the answer of the health route");
    }
    Action::Pause
}
