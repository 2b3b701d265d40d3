//! What a filter is started with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::log::LogLine;
use super::metrics::Metrics;
use super::shared_data::SharedData;
use crate::clock::Clock;
use crate::fault::Faults;
use crate::http::{Headers, HttpReply};

/// The protocol between sender, proxy and upstream: it decides how the end of a body arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: the end of a body is an empty chunk of its own.
    #[default]
    Http1,
    /// HTTP/2: the last chunk carries the end.
    Http2,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// What a plugin's configuration in Envoy says, and what the caller controls.
///
/// It has no `Debug`: `vm_environment` holds secrets.
#[derive(Clone)]
pub struct FilterConfig {
    /// VMs of one id share their data.
    pub vm_id: String,
    /// The plugin's root id, and its name.
    pub root_id: String,
    /// `vm_config.configuration`.
    pub vm_configuration: Vec<u8>,
    /// `configuration`.
    pub plugin_configuration: Vec<u8>,
    /// `vm_config.environment_variables`.
    pub vm_environment: BTreeMap<String, String>,
    /// Without it a filter that pauses in its headers callback sees no body.
    pub allow_on_headers_stop_iteration: bool,
    /// `per_connection_buffer_limit_bytes`: what the proxy holds back for the filter, in each direction.
    pub body_buffer_bytes_max: usize,
    /// Whether `x-forwarded-client-cert` of the sender reaches the filter (`ALWAYS_FORWARD_ONLY`); Envoy removes it by default.
    pub forward_client_certificate_header: bool,
    /// How long after its last start a VM that died is not replaced, and its streams get 503: one second in Envoy, where it
    /// is jittered. 0 here by default, so that a clock that stands still does not keep the filter dead.
    pub reload_backoff_ms: u64,
    /// Between sender, proxy and upstream.
    pub protocol: Protocol,
    /// The clusters that `proxy_http_call` may name.
    pub clusters: BTreeSet<String>,
    /// Attributes by dotted path (`xds.cluster_name`) beyond those that follow from the request.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// Seeds the guest's random bytes.
    pub seed: u64,
    /// The wall clock, and the guest's monotonic one.
    pub clock: Clock,
    /// Asked at every `proxy_*` call, by its full name.
    pub faults: Faults,
    /// Clone it into several hosts to make them worker threads of one process.
    pub shared_data: SharedData,
    /// Likewise.
    pub metrics: Metrics,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            vm_id: "vm".to_owned(),
            root_id: "root".to_owned(),
            vm_configuration: Vec::new(),
            plugin_configuration: Vec::new(),
            vm_environment: BTreeMap::new(),
            allow_on_headers_stop_iteration: false,
            body_buffer_bytes_max: 1024 * 1024,
            forward_client_certificate_header: false,
            reload_backoff_ms: 0,
            protocol: Protocol::Http1,
            clusters: BTreeSet::new(),
            properties: BTreeMap::new(),
            seed: 0,
            clock: Clock::System,
            faults: Faults::none(),
            shared_data: SharedData::new(),
            metrics: Metrics::new(),
        }
    }
}

/// A filter that did not start; Envoy would refuse the listener.
#[derive(Debug)]
pub struct StartError {
    /// Which step failed.
    pub reason: String,
    /// What the filter said about it.
    pub log: Vec<LogLine>,
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.reason)?;
        self.log.iter().try_for_each(|line| write!(out, "\n  {:?}: {}", line.level, line.message))
    }
}

impl std::error::Error for StartError {}

/// A call-out that the filter made and that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Names the call in [`super::FilterHost::answer_call`].
    pub token: u32,
    /// The cluster it goes to.
    pub cluster: String,
    /// With pseudo headers.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
    /// Milliseconds; 0 waits for ever.
    pub timeout_ms: u32,
}

/// How a call-out ends.
#[derive(Clone, Debug)]
pub enum CallOutcome {
    /// It was answered.
    Reply(HttpReply),
    /// No answer: the filter sees a response without headers. A timeout is a 504 reply instead.
    Reset,
}
