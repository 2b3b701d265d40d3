//! What Envoy's filter manager does around the filter: when which callback runs, what is held back, what goes on.
//!
//! The chain is this one filter and then the router. Trailers and metadata are not played.

use super::config::Protocol;
use super::headers;
use super::state::Action;
use super::stream::{Flag, Half, Iteration, Stream, status};
use super::vm::{Called, Vm};
use crate::http::{Headers, HttpReply, UpstreamAnswer};

/// The two ways through the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Direction {
    fn headers_callback(self) -> &'static str {
        match self {
            Self::Request => "proxy_on_request_headers",
            Self::Response => "proxy_on_response_headers",
        }
    }

    fn body_callback(self) -> &'static str {
        match self {
            Self::Request => "proxy_on_request_body",
            Self::Response => "proxy_on_response_body",
        }
    }
}

/// The values that headers and body callbacks return.
const STOP_ALL_AND_BUFFER: u32 = 3;
const STOP_ALL_AND_WATERMARK: u32 = 4;
const STOP_NO_BUFFER: u32 = 3;

impl Vm {
    pub(super) fn stream(&mut self, context: u32) -> Option<&mut Stream> {
        self.state_mut().streams.get_mut(&context)
    }

    fn half(&mut self, context: u32, direction: Direction) -> Option<&mut Half> {
        let stream = self.stream(context).filter(|stream| !stream.over)?;
        match direction {
            Direction::Request if stream.aborted => None,
            Direction::Request => Some(&mut stream.request),
            Direction::Response => Some(&mut stream.response),
        }
    }

    /// Runs the headers callback of a direction whose headers have just arrived.
    pub(super) fn on_headers(&mut self, context: u32, direction: Direction, end: bool) {
        let allowed = self.state().config.allow_on_headers_stop_iteration;
        let Some(half) = self.half(context, direction) else { return };
        half.ended = end;
        let count = half.headers.as_ref().map_or(0, Vec::len);
        let mut verdict = 0;
        if !self.bypassed(context, direction) {
            let arguments = (context, u32::try_from(count).unwrap_or(u32::MAX), u32::from(end));
            verdict = match self.call(context, direction.headers_callback(), arguments) {
                Called::Failed => return self.fail(context),
                Called::Absent => 0,
                Called::Returned { stop: true, .. } => STOP_ALL_AND_WATERMARK,
                // Without the plugin's leave to stop the headers alone, all stops: the body callbacks stay away.
                Called::Returned { value: 1, .. } if !allowed => STOP_ALL_AND_WATERMARK,
                Called::Returned { value, .. } => value,
            };
        }
        let Some(half) = self.half(context, direction) else { return };
        match verdict {
            0 | 2 => {
                half.visible = false;
                half.headers_continued = true;
                self.pass_headers(context, direction, end);
            }
            1 => half.iteration = Iteration::StopSingle,
            STOP_ALL_AND_BUFFER => half.iteration = Iteration::StopAllBuffer,
            _ => half.iteration = Iteration::StopAllWatermark,
        }
        self.act();
    }

    /// Takes in a part of a body.
    fn on_data(&mut self, context: u32, direction: Direction, chunk: &[u8], end: bool) {
        let bytes_max = self.state().config.body_buffer_bytes_max;
        let Some(half) = self.half(context, direction) else { return };
        half.ended = end;
        if !half.stopped_all() {
            return self.run_body_callback(context, direction, chunk.to_vec(), end);
        }
        half.streaming = half.iteration == Iteration::StopAllWatermark;
        if half.hold(chunk, bytes_max) {
            self.refuse_too_large(context, direction);
        }
    }

    fn run_body_callback(&mut self, context: u32, direction: Direction, mut chunk: Vec<u8>, end: bool) {
        let bytes_max = self.state().config.body_buffer_bytes_max;
        if self.bypassed(context, direction) {
            return self.pass_body(context, direction, &chunk, end);
        }
        let Some(half) = self.half(context, direction) else { return };
        if half.buffering && half.hold(&std::mem::take(&mut chunk), bytes_max) {
            return self.refuse_too_large(context, direction);
        }
        half.chunk = Some(chunk);
        let size = half.body().map_or(0, |body| body.len());
        let arguments = (context, u32::try_from(size).unwrap_or(u32::MAX), u32::from(end));
        let verdict = match self.call(context, direction.body_callback(), arguments) {
            Called::Failed => return self.fail(context),
            Called::Absent => 0,
            Called::Returned { stop: true, .. } => STOP_NO_BUFFER,
            Called::Returned { value, .. } => value,
        };
        let Some(half) = self.half(context, direction) else { return };
        let chunk = half.chunk.take().unwrap_or_default();
        half.buffering = verdict == 1;
        match verdict {
            0 if half.iteration == Iteration::Continue => self.pass_body(context, direction, &chunk, end),
            0 => match half.hold(&chunk, bytes_max) {
                true => self.refuse_too_large(context, direction),
                false => self.go_on(context, direction),
            },
            1 | 2 => {
                half.iteration = Iteration::StopSingle;
                half.streaming = verdict == 2;
                if half.hold(&chunk, bytes_max) {
                    self.refuse_too_large(context, direction);
                }
            }
            _ => {
                half.iteration = Iteration::StopSingle;
                if end {
                    half.buffered.get_or_insert_with(Vec::new);
                }
            }
        }
        self.act();
    }

    /// Lets a paused direction go on: with what is held back, and with the body callback where that did not run yet.
    fn go_on(&mut self, context: u32, direction: Direction) {
        let Some(half) = self.half(context, direction).filter(|half| half.iteration != Iteration::Continue)
        else {
            return;
        };
        let run_callback = half.stopped_all();
        half.iteration = Iteration::Continue;
        half.buffering = false;
        let held = half.buffered.take();
        let ended = half.ended;
        if !half.headers_continued {
            half.headers_continued = true;
            self.pass_headers(context, direction, ended && held.is_none());
        }
        match held {
            Some(held) if run_callback => self.run_body_callback(context, direction, held, ended),
            Some(held) => self.pass_body(context, direction, &held, ended),
            None => {}
        }
    }

    fn pass_headers(&mut self, context: u32, direction: Direction, end: bool) {
        let Some(half) = self.half(context, direction) else { return };
        half.passed.headers = true;
        half.passed.end = end;
        if direction == Direction::Response {
            let code = half.headers.as_ref().map(status);
            if let Some(stream) = self.stream(context) {
                stream.response_code = code;
            }
            if end {
                self.finish(context);
            }
        }
    }

    fn pass_body(&mut self, context: u32, direction: Direction, chunk: &[u8], end: bool) {
        let Some(half) = self.half(context, direction) else { return };
        half.passed.body.extend_from_slice(chunk);
        half.passed.end = end;
        if end && direction == Direction::Response {
            self.finish(context);
        }
    }

    /// Whether the response passes without callbacks: the 503 of a dead VM does.
    fn bypassed(&mut self, context: u32, direction: Direction) -> bool {
        direction == Direction::Response
            && self.stream(context).is_some_and(|stream| stream.failure_reply_sent)
    }

    fn refuse_too_large(&mut self, context: u32, direction: Direction) {
        let (status, body, details) = match direction {
            Direction::Request => (413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => (500, "Internal Server Error", "response_payload_too_large"),
        };
        self.reply_locally(context, status, Headers::new(), body.as_bytes(), details);
    }

    /// Answers for a dead VM.
    fn fail(&mut self, context: u32) {
        let Some(stream) = self.stream(context) else { return };
        stream.trapped = true;
        if !std::mem::replace(&mut stream.failure_reply_sent, true) {
            self.reply_locally(context, 503, Headers::new(), b"", "wasm_fail_stream");
        }
    }

    /// Sends a reply of the proxy's own: through the response callbacks if no response has come so far, past them if one is
    /// under way, and as a reset if its headers have left already.
    pub(super) fn reply_locally(
        &mut self,
        context: u32,
        status: u32,
        extra: Headers,
        body: &[u8],
        details: &str,
    ) {
        let Some(stream) = self.stream(context).filter(|stream| !stream.over) else { return };
        stream.aborted = true;
        stream.details = (!details.is_empty()).then(|| details.to_owned());
        // Known to the callbacks of the reply already.
        stream.response_code = u16::try_from(status).ok();
        let head = stream.is_head();
        let map = local_headers(status, &extra, body);
        if stream.response.headers.is_none() {
            stream.response.headers = Some(map);
            stream.response.visible = true;
            let bodiless = head || body.is_empty();
            self.on_headers(context, Direction::Response, bodiless);
            if !bodiless {
                self.on_data(context, Direction::Response, body, true);
            }
        } else if stream.response.passed.headers {
            stream.reset = true;
            self.finish(context);
        } else {
            stream.response = Half { headers: Some(map), visible: true, ..Half::default() };
            self.pass_headers(context, Direction::Response, false);
            self.pass_body(context, Direction::Response, body, true);
        }
    }

    /// Plays the end of the upstream's part.
    pub(super) fn answer(&mut self, context: u32, answer: UpstreamAnswer) {
        let Some(stream) = self.stream(context) else { return };
        let waits = stream.request.passed.headers && stream.response.headers.is_none();
        match answer {
            UpstreamAnswer::SenderGone => self.hang_up(context),
            _ if !waits || stream.over => {}
            UpstreamAnswer::Reply(reply) => self.relay(context, &reply),
            UpstreamAnswer::Reset => {
                stream.flag(Flag::UpstreamConnectionTermination);
                let body = b"upstream connect error or disconnect/reset before headers. reset reason: connection termination";
                let details = "upstream_reset_before_response_started{connection_termination}";
                self.reply_locally(context, 503, Headers::new(), body, details);
            }
            UpstreamAnswer::Timeout => {
                stream.flag(Flag::UpstreamRequestTimeout);
                let details = "response_timeout";
                self.reply_locally(context, 504, Headers::new(), b"upstream request timeout", details);
            }
        }
    }

    fn relay(&mut self, context: u32, reply: &HttpReply) {
        let Some(stream) = self.stream(context) else { return };
        let mut map = vec![(b":status".to_vec(), reply.status.to_string().into_bytes())];
        for (name, value) in &reply.headers {
            headers::add(&mut map, name, value);
        }
        let body: &[u8] = if stream.is_head() { b"" } else { &reply.body };
        let bodiless = body.is_empty() && headers::first(&map, b"transfer-encoding").is_none();
        stream.response.headers = Some(map);
        stream.response.visible = true;
        stream.response_code = Some(reply.status);
        stream.details = Some("via_upstream".to_owned());
        self.on_headers(context, Direction::Response, bodiless);
        if !bodiless {
            self.on_wire(context, Direction::Response, body, true);
        }
    }

    /// Takes in a part of a body as it stands on the wire: HTTP/1 has no empty part but the one that ends it.
    pub(super) fn on_wire(&mut self, context: u32, direction: Direction, chunk: &[u8], last: bool) {
        match self.state().config.protocol {
            Protocol::Http2 => self.on_data(context, direction, chunk, last),
            Protocol::Http1 => {
                if !chunk.is_empty() {
                    self.on_data(context, direction, chunk, false);
                }
                if last {
                    self.on_data(context, direction, b"", true);
                }
            }
        }
    }

    /// The sender goes away: no response callback runs any more.
    pub(super) fn hang_up(&mut self, context: u32) {
        if let Some(stream) = self.stream(context).filter(|stream| !stream.over) {
            stream.flag(Flag::DownstreamConnectionTermination);
            stream.details = Some("downstream_remote_disconnect".to_owned());
            stream.reset = true;
            self.finish(context);
        }
    }

    /// Nothing has happened for the stream idle timeout.
    pub(super) fn time_out(&mut self, context: u32) {
        let Some(stream) = self.stream(context).filter(|stream| !stream.over) else { return };
        stream.flag(Flag::StreamIdleTimeout);
        // 408 where the sender is the slow one.
        let status = if stream.request.ended { 504 } else { 408 };
        self.reply_locally(context, status, Headers::new(), b"stream timeout", "stream_idle_timeout");
    }

    /// Does what the last callback asked for.
    pub(super) fn act(&mut self) {
        for action in std::mem::take(&mut self.state_mut().actions) {
            match action {
                Action::ContinueRequest(context) => self.go_on(context, Direction::Request),
                Action::ContinueResponse(context) => self.go_on(context, Direction::Response),
                Action::Close(context) => {
                    if let Some(stream) = self.stream(context).filter(|stream| !stream.over) {
                        stream.reset = true;
                        self.finish(context);
                    }
                }
                Action::LocalReply { context, status, headers, body, details } => {
                    self.reply_locally(context, status, headers, &body, &details);
                }
            }
        }
    }

    /// Ends a stream: the access log's callback, then the two that take the context away.
    fn finish(&mut self, context: u32) {
        let Some(stream) = self.stream(context) else { return };
        stream.over = true;
        stream.log_phase = true;
        self.call::<u32, ()>(context, "proxy_on_log", context);
        if let Some(stream) = self.stream(context) {
            stream.log_phase = false;
        }
        // What they answer and ask for comes too late to matter.
        self.call::<u32, u32>(context, "proxy_on_done", context);
        self.call::<u32, ()>(context, "proxy_on_delete", context);
    }
}

fn local_headers(status: u32, extra: &Headers, body: &[u8]) -> Headers {
    let mut map = vec![(b":status".to_vec(), status.to_string().into_bytes())];
    for (name, value) in extra {
        headers::add(&mut map, name, value);
    }
    if body.is_empty() {
        headers::remove(&mut map, b"content-length");
        headers::remove(&mut map, b"content-type");
    } else {
        headers::replace(&mut map, b"content-length", body.len().to_string().as_bytes());
        if headers::first(&map, b"content-type").is_none() {
            headers::add(&mut map, b"content-type", b"text/plain");
        }
    }
    map
}
