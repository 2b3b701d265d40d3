//! How an answer is written: status, header fields and body. One place, so that every host sends the same bytes.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::reject::{More, RETRY_AFTER_FAILURE_MS, Reject};
use crate::event::{EventId, EventRejects};
use crate::outcome::{Code, Facts, Reply, push_string};
use crate::rate::Quota;
use crate::receipt::Receipt;
use crate::text::Text;
use crate::time::Timestamp;

/// Room for the header fields of most replies, so that their list is allocated once.
const FIELDS: usize = 6;
/// Room for a quota's text, likewise.
const QUOTA_BYTES: usize = 48;

impl Reject {
    /// What the sender hears at `now`. `documentation_url` is where the codes are documented.
    pub(super) fn into_reply(self: Box<Self>, documentation_url: &str, now: Timestamp) -> Box<Reply> {
        Box::new(refusal(*self, documentation_url, now))
    }
}

/// A refusal or a failure: the source's body (§14.2), which is also an RFC 9457 problem.
fn refusal(reject: Reject, documentation_url: &str, now: Timestamp) -> Reply {
    let Reject { facts, more, hint, status, not_accepted } = reject;
    let code = facts.code;
    let status = status.unwrap_or(code.status());
    let mut body = Object::new();
    body.text("error", code.as_str());
    body.text("hint", hint.unwrap_or(code.hint()));
    body.text_of("type", format_args!("{documentation_url}#{}", code.metric()));
    body.text("title", code.as_str());
    body.number("status", status.into());
    if code.tells_detail() {
        body.text("detail", facts.detail);
    }
    let mut headers = Vec::with_capacity(FIELDS);
    match more {
        More::Nothing => {}
        More::RetryAfter(milliseconds) => retry_after(&mut headers, milliseconds),
        More::Quota(milliseconds, quota) => {
            retry_after(&mut headers, milliseconds);
            // Both speak of the same moment, as the draft asks.
            push_quota(&mut headers, Some(Quota { reset_seconds: seconds_up(milliseconds), ..quota }));
        }
        More::Malformed(malformed) => {
            body.number("offset", i64::try_from(malformed.offset).unwrap_or(i64::MAX));
        }
        More::Event(rejects) => {
            body.rejects(&rejects);
            if let Some(milliseconds) = rejects.skew_ms() {
                tell_skew(&mut headers, &mut body, milliseconds, now);
            }
        }
        More::Skew(milliseconds) => tell_skew(&mut headers, &mut body, milliseconds, now),
        More::TsEventMin(earliest) => body.text("ts_event_min", earliest.write_rfc3339().as_str()),
        More::StringToSign(bytes) => {
            body.text("string_to_sign", core::str::from_utf8(&bytes).unwrap_or("(not UTF-8)"));
        }
    }
    if status == 503 && !headers.iter().any(|(name, _)| *name == "retry-after") {
        retry_after(&mut headers, RETRY_AFTER_FAILURE_MS);
    }
    if let Some(event_id) = not_accepted {
        headers.push(("x-countersign-not-accepted", event_id.as_str().to_string()));
    }
    headers.extend(asked_for(code));
    finish(facts, status, "application/problem+json", headers, body)
}

/// The field with which HTTP asks for what was missing.
fn asked_for(code: Code) -> Option<(&'static str, String)> {
    match code {
        Code::MethodNotAllowed => Some(("allow", "POST".to_string())),
        Code::TokenMissing => Some(("www-authenticate", r#"Bearer realm="countersign""#.to_string())),
        Code::TokenInvalid | Code::TokenExpired | Code::TokenLifetimeTooLong => {
            let challenge = r#"Bearer realm="countersign", error="invalid_token", error_description=""#;
            Some(("www-authenticate", [challenge, code.as_str(), "\""].concat()))
        }
        Code::Accepted
        | Code::Duplicate
        | Code::FallbackDuplicate
        | Code::NotFound
        | Code::ContentTypeUnsupported
        | Code::PayloadTooLarge
        | Code::SourceLimited
        | Code::PartnerUnknown
        | Code::SourceNotAllowed
        | Code::CertificateNotAllowed
        | Code::AttestationInvalid
        | Code::PayloadMalformed
        | Code::SignatureInvalid
        | Code::EventInvalid
        | Code::ClickIdInvalid
        | Code::RateLimited
        | Code::EventTooOld
        | Code::EventIdReused
        | Code::InFlight
        | Code::UpstreamUnavailable
        | Code::UpstreamRedirectRefused
        | Code::UpstreamRefused
        | Code::StoreUnavailable
        | Code::FilterMisconfigured
        | Code::InternalError => None,
    }
}

/// The event is durable, accepted now or before: the source's body (§14.1) and the receipt.
pub(super) fn accepted(facts: Facts, code: Code, receipt: &Receipt, quota: Option<Quota>) -> Box<Reply> {
    let replayed = code != Code::Accepted;
    let mut headers = Vec::with_capacity(FIELDS);
    if replayed {
        headers.push(("idempotent-replayed", "true".to_string()));
    }
    push_quota(&mut headers, quota);
    let mut body = Object::new();
    body.text("status", "ok");
    body.boolean("idempotent", replayed);
    body.text("receipt", receipt.as_str());
    Box::new(finish(Facts { code, ..facts }, 200, "application/json", headers, body))
}

/// Another event stands for this one (source §8). What was not stored has no receipt. `original` is that other event, where it is
/// known; the field of the same name lets a filter in front pass the verdict on.
pub(super) fn fallback_duplicate(facts: Facts, original: Option<&EventId>) -> Box<Reply> {
    let mut headers = Vec::with_capacity(FIELDS);
    headers.push(("idempotent-replayed", "true".to_string()));
    headers.push(("x-countersign-duplicate-of", original.map_or("", Text::as_str).to_string()));
    let mut body = Object::new();
    body.text("status", "ok");
    body.boolean("idempotent", true);
    match original {
        Some(original) => body.text("duplicate_of", original.as_str()),
        None => body.null("duplicate_of"),
    }
    let facts = Facts { code: Code::FallbackDuplicate, ..facts };
    Box::new(finish(facts, 200, "application/json", headers, body))
}

fn finish(
    facts: Facts,
    status: u16,
    content_type: &'static str,
    mut headers: Vec<(&'static str, String)>,
    body: Object,
) -> Reply {
    let body = body.finish().into_bytes();
    headers.push(("content-type", content_type.to_string()));
    headers.push(("content-length", body.len().to_string()));
    headers.push(("cache-control", "no-store".to_string()));
    if !facts.request_id.is_empty() {
        headers.push(("x-request-id", facts.request_id.as_str().to_string()));
    }
    Reply { status, headers, body, facts }
}

/// Our time, and how far the sender's is off: with both it can set its clock.
fn tell_skew(
    headers: &mut Vec<(&'static str, String)>,
    body: &mut Object,
    milliseconds: i64,
    now: Timestamp,
) {
    let server_time = now.write_rfc3339();
    body.text("server_time", server_time.as_str());
    body.number("skew_ms", milliseconds);
    headers.push(("x-countersign-server-time", server_time.as_str().to_string()));
    headers.push(("x-countersign-skew-ms", milliseconds.to_string()));
}

/// `RateLimit-Policy` and `RateLimit` as the draft has them: quota and window, what is left and when it is full again.
fn push_quota(headers: &mut Vec<(&'static str, String)>, quota: Option<Quota>) {
    let Some(quota) = quota else { return };
    let mut policy = String::with_capacity(QUOTA_BYTES);
    let mut state = String::with_capacity(QUOTA_BYTES);
    // Writing to a `String` cannot fail.
    let _written = write!(policy, r#""partner";q={};w={}"#, quota.burst, quota.window_seconds);
    let _written = write!(state, r#""partner";r={};t={}"#, quota.remaining, quota.reset_seconds);
    headers.push(("ratelimit-policy", policy));
    headers.push(("ratelimit", state));
}

fn retry_after(headers: &mut Vec<(&'static str, String)>, milliseconds: u64) {
    headers.push(("retry-after", seconds_up(milliseconds).to_string()));
}

/// Seconds for `Retry-After`, rounded up and at least one: a sender that takes 0 at its word would spin.
fn seconds_up(milliseconds: u64) -> u64 {
    milliseconds.div_ceil(1000).max(1)
}

/// A JSON object as it is written, member by member.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self(String::with_capacity(192))
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        push_string(&mut self.0, text);
    }

    fn text_of(&mut self, name: &str, text: core::fmt::Arguments<'_>) {
        self.text(name, &text.to_string());
    }

    fn number(&mut self, name: &str, number: i64) {
        self.name(name);
        let _written = write!(self.0, "{number}");
    }

    fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
    }

    fn null(&mut self, name: &str) {
        self.name(name);
        self.0.push_str("null");
    }

    fn rejects(&mut self, rejects: &EventRejects) {
        self.name("errors");
        let mut separator = '[';
        for reject in rejects.list() {
            self.0.push(separator);
            separator = ',';
            let mut item = Self(String::new());
            item.text("pointer", reject.pointer);
            item.text("detail", reject.problem);
            self.0.push_str(&item.finish());
        }
        self.0.push_str(if separator == '[' { "[]" } else { "]" });
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
