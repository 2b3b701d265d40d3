//! One HTTP stream as the filter manager sees it: the two directions, and what became of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::config::FilterConfig;
use super::headers;
use super::log::LogLine;
use crate::http::{Headers, HttpReply, HttpRequest, PeerCertificate};

/// How far a direction goes on past the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Iteration {
    #[default]
    Continue,
    /// The headers wait (`StopIteration`); the filter goes on to see the body.
    StopSingle,
    /// All waits, and a body that outgrows the buffer is refused.
    StopAllBuffer,
    /// All waits, and a body that outgrows the buffer is not read any further.
    StopAllWatermark,
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// With pseudo headers; absent until they arrive.
    pub(super) headers: Option<Headers>,
    /// Whether host calls reach the headers: Envoy forgets them once the filter let them pass.
    pub(super) visible: bool,
    /// What the filter manager holds back.
    pub(super) buffered: Option<Vec<u8>>,
    /// What the filter looks at, where nothing is held back.
    pub(super) chunk: Option<Vec<u8>>,
    /// Whether host calls see `buffered` rather than `chunk`.
    pub(super) buffering: bool,
    /// Whether the buffer may grow past its limit, for reading stops instead.
    pub(super) streaming: bool,
    pub(super) iteration: Iteration,
    pub(super) headers_continued: bool,
    /// Whether the end of this direction has arrived.
    pub(super) ended: bool,
    pub(super) passed: Passed,
}

/// What has gone past the filter, and can no longer be called back.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) headers: bool,
    pub(super) body: Vec<u8>,
    pub(super) end: bool,
}

impl Half {
    /// The body as host calls see it now.
    pub(super) fn body(&mut self) -> Option<&mut Vec<u8>> {
        if self.buffering { self.buffered.as_mut() } else { self.chunk.as_mut() }
    }

    pub(super) fn stopped_all(&self) -> bool {
        match self.iteration {
            Iteration::StopAllBuffer | Iteration::StopAllWatermark => true,
            Iteration::Continue | Iteration::StopSingle => false,
        }
    }

    /// Holds `chunk` back; whether it outgrew `bytes_max`, which matters only where reading does not stop instead.
    pub(super) fn hold(&mut self, chunk: &[u8], bytes_max: usize) -> bool {
        let held = self.buffered.get_or_insert_with(Vec::new);
        held.extend_from_slice(chunk);
        held.len() > bytes_max && !self.streaming
    }
}

/// Bits of `response.flags`, named as Envoy's access log names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Flag {
    /// UT
    UpstreamRequestTimeout = 0x4,
    /// UC
    UpstreamConnectionTermination = 0x40,
    /// DC
    DownstreamConnectionTermination = 0x4000,
    /// SI
    StreamIdleTimeout = 0x1_0000,
}

/// A stream with all that host calls may ask of it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) peer: SocketAddr,
    pub(super) certificate: Option<PeerCertificate>,
    pub(super) arrived: Duration,
    pub(super) request: Half,
    pub(super) response: Half,
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) flags: u64,
    pub(super) response_code: Option<u16>,
    pub(super) details: Option<String>,
    /// Whether `on_log` runs: header maps are readable again, trailers are not.
    pub(super) log_phase: bool,
    /// Whether the 503 of a dead VM went out: no callback runs after it.
    pub(super) failure_reply_sent: bool,
    /// Whether a local reply ended the request: what arrives after it is not looked at.
    pub(super) aborted: bool,
    pub(super) over: bool,
    pub(super) reset: bool,
    pub(super) trapped: bool,
    pub(super) log: Vec<LogLine>,
}

impl Stream {
    /// A stream whose request headers have been read: pseudo headers first, and with what Envoy adds for every filter.
    pub(super) fn new(request: &HttpRequest, number: u64, config: &FilterConfig) -> Self {
        let scheme: &[u8] = if request.certificate.is_some() { b"https" } else { b"http" };
        let mut map = Headers::new();
        for (name, value) in [
            (b":authority".as_slice(), request.authority.as_slice()),
            (b":path", &request.path),
            (b":method", &request.method),
            (b":scheme", scheme),
        ] {
            headers::add(&mut map, name, value);
        }
        for (name, value) in &request.headers {
            headers::add(&mut map, name, value);
        }
        if !config.forward_client_certificate_header {
            headers::remove(&mut map, b"x-forwarded-client-cert");
        }
        let request_id = format!("00000000-0000-4000-8000-{number:012x}");
        for (name, value) in
            [(b"x-forwarded-proto".as_slice(), scheme), (b"x-request-id", request_id.as_bytes())]
        {
            if headers::first(&map, name).is_none() {
                headers::add(&mut map, name, value);
            }
        }
        Self {
            peer: request.peer,
            certificate: request.certificate.clone(),
            arrived: config.clock.now(),
            request: Half { headers: Some(map), visible: true, ..Half::default() },
            response: Half::default(),
            properties: BTreeMap::new(),
            flags: 0,
            response_code: None,
            details: None,
            log_phase: false,
            failure_reply_sent: false,
            aborted: false,
            over: false,
            reset: false,
            trapped: false,
            log: Vec::new(),
        }
    }

    pub(super) fn flag(&mut self, flag: Flag) {
        self.flags |= flag as u64;
    }

    pub(super) fn is_head(&self) -> bool {
        self.request.headers.as_ref().and_then(|map| headers::first(map, b":method"))
            == Some(b"HEAD".as_slice())
    }

    /// What has reached the upstream, if only the headers did.
    pub(super) fn upstream_saw(&self) -> Option<HttpRequest> {
        let map = self.request.headers.as_ref().filter(|_| self.request.passed.headers)?;
        let pseudo = |name: &[u8]| headers::first(map, name).unwrap_or_default().to_vec();
        let body = &self.request.passed.body;
        Some(HttpRequest {
            method: pseudo(b":method"),
            path: pseudo(b":path"),
            authority: pseudo(b":authority"),
            headers: without_pseudo(map),
            body: if body.is_empty() { Vec::new() } else { vec![body.clone()] },
            peer: self.peer,
            certificate: self.certificate.clone(),
        })
    }

    /// What has reached the sender, once it is whole.
    pub(super) fn reply(&self) -> Option<HttpReply> {
        let passed = &self.response.passed;
        let map = self.response.headers.as_ref().filter(|_| passed.headers && passed.end && !self.reset)?;
        let body = if self.is_head() { Vec::new() } else { passed.body.clone() };
        Some(HttpReply { status: status(map), headers: without_pseudo(map), body })
    }
}

/// `:status` as a number; 0 where the filter left none, which Envoy would not send.
pub(super) fn status(map: &Headers) -> u16 {
    let digits = headers::first(map, b":status").unwrap_or_default();
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn without_pseudo(map: &Headers) -> Headers {
    map.iter().filter(|(name, _)| !name.starts_with(b":")).cloned().collect()
}
