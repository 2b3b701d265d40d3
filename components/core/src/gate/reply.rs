//! How an answer is written: status, header fields and body. One place, so that every host sends the same bytes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use crate::event::{EventId, EventRejects};
use crate::json::Malformed;
use crate::outcome::{Code, Facts, Reply, push_string};
use crate::rate::Quota;
use crate::receipt::Receipt;
use crate::time::Timestamp;

/// Advice for a retry after a failure of ours: long enough for a store to come back, short enough for a sender's patience.
pub(super) const RETRY_AFTER_FAILURE_MS: u64 = 5_000;

/// Room for the header fields of most replies, so that their list is allocated once.
const FIELDS: usize = 6;
/// Room for a quota's text, likewise.
const QUOTA_BYTES: usize = 48;

/// What a refusal says beyond its code.
#[derive(Debug, Default)]
pub(super) enum More<'m> {
    /// Nothing.
    #[default]
    Nothing,
    /// When to come again.
    RetryAfter { milliseconds: u64, quota: Option<Quota> },
    /// Where the payload stops being JSON.
    Malformed(&'m Malformed),
    /// What is wrong with the event.
    Faults { faults: &'m EventRejects, now: Timestamp },
    /// How far the sender's clock is off: its instant minus ours.
    Skew { milliseconds: i64, now: Timestamp, hint: Option<&'static str> },
    /// What was to be signed: the sandbox shows it, production never does.
    StringToSign { bytes: &'m [u8], hint: Option<&'static str> },
    /// A hint that is more to the point than the code's own.
    Hint(&'static str),
}

impl More<'_> {
    /// A hint that is more to the point than the code's own.
    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Hint(hint) => Some(hint),
            Self::Skew { hint, .. } | Self::StringToSign { hint, .. } => *hint,
            Self::Malformed(malformed) => malformed.problem.remedy(),
            Self::Nothing | Self::RetryAfter { .. } | Self::Faults { .. } => None,
        }
    }
}

/// A refusal or a failure: the source's body (§14.2), which is also an RFC 9457 problem.
pub(super) fn refusal(facts: Facts, status: u16, more: &More<'_>) -> Reply {
    let code = facts.code;
    let mut body = Object::new();
    body.text("error", code.as_str());
    body.text("hint", more.hint().unwrap_or(code.hint()));
    body.text_of("type", format_args!("docs/rejects.md#{}", code.metric()));
    body.text("title", code.as_str());
    body.number("status", status.into());
    let mut headers = Vec::with_capacity(FIELDS);
    match more {
        More::Nothing | More::Hint(_) => {}
        More::RetryAfter { milliseconds, quota } => {
            let seconds = seconds_up(*milliseconds);
            headers.push(("retry-after", seconds.to_string()));
            // Both speak of the same moment, as the draft asks.
            push_quota(&mut headers, quota.map(|quota| Quota { reset_seconds: seconds, ..quota }));
        }
        More::Malformed(malformed) => {
            body.number("offset", i64::try_from(malformed.offset).unwrap_or(i64::MAX));
            body.text("detail", malformed.problem.as_str());
        }
        More::Faults { faults, now } => {
            body.faults(faults);
            if let Some(milliseconds) = faults.skew_ms() {
                tell_skew(&mut headers, &mut body, milliseconds, *now);
            }
        }
        More::Skew { milliseconds, now, .. } => tell_skew(&mut headers, &mut body, *milliseconds, *now),
        More::StringToSign { bytes, .. } => {
            body.text("string_to_sign", core::str::from_utf8(bytes).unwrap_or("(not UTF-8)"));
        }
    }
    match code {
        Code::MethodNotAllowed => headers.push(("allow", "POST".to_string())),
        Code::TokenMissing => headers.push(("www-authenticate", r#"Bearer realm="countersign""#.to_string())),
        Code::TokenInvalid | Code::TokenExpired | Code::TokenLifetimeTooLong => {
            let challenge = r#"Bearer realm="countersign", error="invalid_token", error_description=""#;
            headers.push(("www-authenticate", [challenge, code.as_str(), "\""].concat()));
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
        | Code::EventIdReused
        | Code::InFlight
        | Code::UpstreamUnavailable
        | Code::UpstreamRedirectRefused
        | Code::UpstreamRefused
        | Code::StoreUnavailable
        | Code::FilterMisconfigured
        | Code::InternalError => {}
    }
    finish(facts, status, "application/problem+json", headers, body)
}

/// The event is durable: the source's body (§14.1) and the receipt, or the id of the event that it duplicates.
pub(super) fn success(
    facts: Facts,
    receipt: Option<&Receipt>,
    duplicate_of: Option<&EventId>,
    quota: Option<Quota>,
) -> Reply {
    let replayed = facts.code != Code::Accepted;
    let mut body = Object::new();
    body.text("status", "ok");
    body.boolean("idempotent", replayed);
    if let Some(receipt) = receipt {
        body.text("receipt", receipt.as_str());
    }
    if let Some(original) = duplicate_of {
        body.text("duplicate_of", original.as_str());
    }
    let mut headers = Vec::with_capacity(FIELDS);
    if replayed {
        headers.push(("idempotent-replayed", "true".to_string()));
    }
    push_quota(&mut headers, quota);
    finish(facts, 200, "application/json", headers, body)
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

    fn faults(&mut self, faults: &EventRejects) {
        self.name("errors");
        let mut separator = '[';
        for fault in faults.list() {
            self.0.push(separator);
            separator = ',';
            let mut item = Self(String::new());
            item.text("pointer", fault.pointer);
            item.text("detail", fault.problem);
            self.0.push_str(&item.finish());
        }
        self.0.push_str(if separator == '[' { "[]" } else { "]" });
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
