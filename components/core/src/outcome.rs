//! What the sender hears: one table of codes, their HTTP status, text and retry advice.
//!
//! `docs/rejects.md` documents each code with its cause and fix; a test compares the two.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::event::{EventId, EventName};
use crate::text::Text;
use crate::time::Timestamp;

/// What the sender and the operator call a request by: 1 to 64 letters, digits and `.`, `_`, `-`.
pub type RequestId = Text<64>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $hint:literal;)*) => {
        /// Every answer of the gate, in the order of the checks (`docs/architecture.md`, source §5, §8, §14). Closed: a
        /// code never changes its meaning, and a new one breaks the build of everything that matches on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable name, as in answers, metrics and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What the sender can do about it; empty for the three 200s.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

codes! {
    /// Handed on durably, for the first time.
    Accepted = "accepted", 200, "";
    /// The same event was handed on before.
    Duplicate = "duplicate", 200, "";
    /// Another event of the same click and type was handed on that happened less than a window away.
    FallbackDuplicate = "fallback_duplicate", 200, "";
    /// Check 1: only `POST` is answered.
    MethodNotAllowed = "method_not_allowed", 405, "send the postback as POST";
    /// Check 1: neither `/postback` nor `/postback/{partner}`.
    NotFound = "not_found", 404, "send the postback to /postback or /postback/{partner}";
    /// Check 2: `Content-Type` is not JSON.
    ContentTypeUnsupported = "content_type_unsupported", 415, "send Content-Type: application/json";
    /// Check 2: the body is longer than the limit, declared or real.
    PayloadTooLarge = "payload_too_large", 413, "send one event per request, within the size limit";
    /// Check 3: too many refusals from this source.
    SourceLimited = "rate_limited", 429, "this source was refused too often; fix the refusals, then retry after Retry-After";
    /// Check 4: no token, and the partner needs one or cannot be told without it.
    TokenMissing = "token_missing", 401, "send Authorization: Bearer <token>";
    /// Check 4: no such partner, or token and path name different ones.
    PartnerUnknown = "partner_unknown", 403, "check the token's issuer and the partner in the path";
    /// Check 5: the address is on no allow-list.
    SourceNotAllowed = "source_not_allowed", 403, "ask for your sending addresses to be allowed";
    /// Check 5: no client certificate, or one that is not allowed.
    CertificateNotAllowed = "certificate_not_allowed", 403, "present the client certificate that was registered";
    /// Check 6: the token is malformed, of a wrong algorithm, key, issuer or audience, or not valid yet.
    TokenInvalid = "token_invalid", 401, "check the token's algorithm, key, issuer, audience and clock";
    /// Check 6: `exp` has come.
    TokenExpired = "token_expired", 401, "mint a new token; compare your clock with server_time";
    /// Check 6: the token lives longer than the partner's maximum.
    TokenLifetimeTooLong = "token_lifetime_too_long", 401, "mint tokens with a shorter lifetime (exp - iat)";
    /// `/collect`: the attestation is missing, wrong, or too old.
    AttestationInvalid = "attestation_invalid", 503, "send events to /postback; only a filter with the hop key may collect";
    /// Check 7: not strict JSON.
    PayloadMalformed = "payload_malformed", 400, "send one JSON object: UTF-8, no duplicate members, exact numbers";
    /// Check 8: no signature, or not that of any valid key.
    SignatureInvalid = "signature_invalid", 403, "check canonical order";
    /// Check 9: a member is missing or wrong.
    EventInvalid = "event_invalid", 422, "fix the members named in errors";
    /// Check 9: the click_id is not one of ours.
    ClickIdInvalid = "click_id_invalid", 422, "send the click_id exactly as the redirect delivered it";
    /// Check 11: the event is not known, and too old to be told from a repeat.
    EventTooOld = "event_too_old", 422, "this event is too old to be told from a repeat; do not resend it, report its event_id to the receiver";
    /// Check 13: the partner's quota is spent.
    RateLimited = "rate_limited", 429, "slow down; retry after Retry-After";
    /// Check 10: the event id was accepted with another payload.
    EventIdReused = "event_id_reused", 422, "use a new event_id for a new event; resend an old one unchanged";
    /// Check 10: the same event is being handed on at this moment.
    InFlight = "in_flight", 503, "the same event is being processed; retry after Retry-After";
    /// Check 14: the upstream failed or did not answer.
    UpstreamUnavailable = "upstream_unavailable", 503, "nothing was lost; retry after Retry-After";
    /// Check 14: the upstream answered with a redirect (source §5 forbids them).
    UpstreamRedirectRefused = "upstream_redirect_refused", 502, "the receiver is misconfigured; retry later";
    /// Check 14: the upstream refused the event; its own answer is passed on, with its own status.
    UpstreamRefused = "upstream_refused", 400, "see the receiver's answer";
    /// Any check: the store could not answer.
    StoreUnavailable = "store_unavailable", 503, "nothing was accepted; retry after Retry-After";
    /// The proxy withholds request bodies from the filter.
    FilterMisconfigured = "filter_misconfigured", 503, "the receiver is misconfigured; retry later";
    /// A state that cannot be. The gate fails closed.
    InternalError = "internal_error", 503, "nothing was accepted; retry after Retry-After";
}

impl Code {
    /// Whether the event is durable: accepted now or before.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.status() == 200
    }

    /// Whether the sender may read which clause of the check failed. It may where its own request is at fault: it needs the
    /// cause to mend it, and whoever can read the answer has sent the request. What concerns the operator's side stays in the log.
    #[must_use]
    pub const fn tells_detail(self) -> bool {
        match self {
            Self::NotFound
            | Self::ContentTypeUnsupported
            | Self::PayloadTooLarge
            | Self::TokenMissing
            | Self::PartnerUnknown
            | Self::SourceNotAllowed
            | Self::CertificateNotAllowed
            | Self::TokenInvalid
            | Self::TokenExpired
            | Self::TokenLifetimeTooLong
            | Self::AttestationInvalid
            | Self::PayloadMalformed
            | Self::SignatureInvalid
            | Self::EventTooOld
            | Self::EventIdReused => true,
            // Their bodies have the cause in members of their own.
            Self::EventInvalid | Self::ClickIdInvalid => false,
            Self::Accepted
            | Self::Duplicate
            | Self::FallbackDuplicate
            | Self::MethodNotAllowed
            | Self::SourceLimited
            | Self::RateLimited
            | Self::InFlight
            | Self::UpstreamUnavailable
            | Self::UpstreamRedirectRefused
            | Self::UpstreamRefused
            | Self::StoreUnavailable
            | Self::FilterMisconfigured
            | Self::InternalError => false,
        }
    }

    /// A name that is unique among codes, for metrics and logs: the two `rate_limited` differ.
    #[must_use]
    pub const fn metric(self) -> &'static str {
        if matches!(self, Self::SourceLimited) { "source_limited" } else { self.as_str() }
    }
}

/// What a host sends back, complete.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields in order, names in lower case; `content-length` is among them.
    pub headers: Vec<(&'static str, String)>,
    /// The whole body: a JSON object.
    pub body: Vec<u8>,
    /// What metrics and logs may know of the request.
    pub facts: Facts,
}

/// What metrics and logs may know of a request: nothing secret and no personal data.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Names the request; empty where the host has no id for it.
    pub request_id: RequestId,
    /// The answer.
    pub code: Code,
    /// The partner, once known.
    pub partner: Option<Arc<str>>,
    /// The signature key that verified the payload.
    pub key_id: Option<Arc<str>>,
    /// The key that verified the token, or the name of the opaque token.
    pub token_key_id: Option<Arc<str>>,
    /// The key that the click id was minted with.
    pub click_key_id: Option<Arc<str>>,
    /// The event's id, once read from a verified payload.
    pub event_id: Option<EventId>,
    /// The event's type, once read from a verified payload.
    pub event: Option<EventName>,
    /// When the event happened, by the sender's clock; once read from a verified payload.
    pub ts_event: Option<Timestamp>,
    /// Which clause of the check failed. The sender reads it too where [`Code::tells_detail`].
    pub detail: &'static str,
}

impl Facts {
    /// What is known of a request before the first check.
    pub(crate) const fn of_request(request_id: RequestId) -> Self {
        Self {
            request_id,
            code: Code::InternalError,
            partner: None,
            key_id: None,
            token_key_id: None,
            click_key_id: None,
            event_id: None,
            event: None,
            ts_event: None,
            detail: "",
        }
    }

    /// One line of JSON for a log.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut line = String::from("{");
        let fields = [
            ("code", Some(self.code.metric())),
            ("detail", Some(self.detail).filter(|detail| !detail.is_empty())),
            ("partner", self.partner.as_deref()),
            ("key_id", self.key_id.as_deref()),
            ("event", self.event.as_ref().map(Text::as_str)),
            ("event_id", self.event_id.as_ref().map(Text::as_str)),
            ("request_id", Some(self.request_id.as_str()).filter(|id| !id.is_empty())),
        ];
        for (name, value) in fields {
            let Some(value) = value else { continue };
            if line.len() > 1 {
                line.push(',');
            }
            push_string(&mut line, name);
            line.push(':');
            push_string(&mut line, value);
        }
        line.push('}');
        line
    }
}

/// Writes a JSON string; C0 controls and DEL are escaped alike.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => {
                // Writing to a `String` cannot fail.
                let _written = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
