//! From the document to one partner: its signature, source, quota, events and terms.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::check::{self, count, hex_32, is_name, is_visible, networks, rate, whole};
use super::compiler::{Common, Compiler};
use super::keys::{self, Asked};
use super::secret::Encoding;
use super::{InFlightStatus, Partner, sandbox};
use crate::document::{
    self as written, CustomAmount, FallbackWindow, Path, SignaturePlace, SignatureScheme, Whole, nearest,
};
use crate::event::{CustomEvent, EventName, EventRules, EventType, Presence};
use crate::keys::KEYS_VALID_MAX;
use crate::signature::{Place, Scheme, SignaturePolicy, SigningKey, SigningSecret};
use crate::source::SourcePolicy;

/// Longest name of a partner in bytes.
pub const PARTNER_NAME_BYTES_MAX: usize = check::NAME_BYTES_MAX;
/// Most networks from which a partner may send.
pub const NETWORKS_MAX: usize = 256;
/// Most certificate names, and most certificate hashes, of a partner.
pub const CERTIFICATES_MAX: usize = 16;
/// Most event types for which a partner has rules.
pub const EVENT_RULES_MAX: usize = 64;
/// Longest name of a header or member in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest certificate name in bytes.
const CERTIFICATE_URI_BYTES_MAX: usize = 256;

/// Headers in which no signature may stand, because hosts and proxies write or remove them.
const HEADERS_OF_OTHERS: [&str; 11] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "transfer-encoding",
    "x-forwarded-client-cert",
    "x-forwarded-for",
];

impl Compiler<'_, '_> {
    pub(super) fn partner(
        &mut self,
        path: &Path<'_>,
        name: &str,
        partner: &written::Partner,
        common: &Common,
    ) -> Option<Partner> {
        if !is_name(name) {
            let remedy = format!("name it with 1 to {PARTNER_NAME_BYTES_MAX} of a-z, 0-9, _ and -");
            self.errors.add(path, "is no name of a partner", remedy);
        }
        if name == sandbox::PARTNER {
            let remedy = "choose another name; the sandbox has this partner by itself, and production never";
            self.errors.add(path, "is reserved", remedy);
        }
        let signature = self.signature(&path.member("signature"), &partner.signature);
        let name: Arc<str> = Arc::from(name);
        let token = partner.token.as_ref().map(|token| self.token(&path.member("token"), &name, token));
        let source = partner.source.clone().unwrap_or_default();
        let source = self.source(&path.member("source"), &source);
        let rate = rate(self.errors, &path.member("rate"), partner.rate);
        let in_flight_status =
            self.in_flight_status(&path.member("in_flight_status"), partner.in_flight_status);
        let past = path.member("ts_event_past_seconds_max");
        let ts_event_past_ms_max = self.ts_event_past(&past, partner.ts_event_past_seconds_max, common);
        let none = BTreeMap::new();
        let events = path.member("events");
        let (events, fallback_windows) =
            self.events(&events, partner.events.as_ref().unwrap_or(&none), common);
        Some(Partner {
            name,
            signature: signature?,
            token,
            source,
            rate: rate?,
            in_flight_status,
            ts_event_past_ms_max,
            events,
            fallback_windows,
        })
    }

    fn signature(&mut self, path: &Path<'_>, signature: &written::Signature) -> Option<SignaturePolicy> {
        let scheme = match signature.scheme {
            None | Some(SignatureScheme::Jcs) => Scheme::Jcs,
            Some(SignatureScheme::Raw) => Scheme::Raw,
            Some(SignatureScheme::StandardWebhooks) => Scheme::StandardWebhooks,
        };
        let tolerance = path.member("tolerance_seconds");
        let place = match scheme {
            Scheme::StandardWebhooks => {
                let named = [("in", signature.place.is_some()), ("name", signature.name.is_some())];
                for (name, _) in named.into_iter().filter(|(_, is_written)| *is_written) {
                    let problem = "is fixed by standard-webhooks";
                    self.errors.add(&path.member(name), problem, "leave it out");
                }
                Some(Place::Header(Box::from("webhook-signature")))
            }
            Scheme::Jcs | Scheme::Raw => {
                if signature.tolerance_seconds.is_some() {
                    let problem = "has no effect, because only standard-webhooks signs a time";
                    self.errors.add(&tolerance, problem, "leave it out");
                }
                self.place(path, signature, scheme)
            }
        };
        let tolerance = whole(self.errors, &tolerance, signature.tolerance_seconds, 300);
        let keys = self.signature_keys(&path.member("keys"), &signature.keys, scheme);
        Some(SignaturePolicy {
            scheme,
            place: place?,
            keys,
            tolerance_ms: u64::from(tolerance).saturating_mul(1_000),
        })
    }

    fn place(&mut self, path: &Path<'_>, signature: &written::Signature, scheme: Scheme) -> Option<Place> {
        let name_path = path.member("name");
        let name = signature.name.as_deref();
        match signature.place.unwrap_or(SignaturePlace::Header) {
            SignaturePlace::Header => {
                let name = name.unwrap_or(Place::HEADER).to_ascii_lowercase();
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
                    let remedy = format!("write 1 to {NAME_BYTES_MAX} letters, digits, '-' and '_'");
                    self.errors.add(&name_path, "is no name of a header", remedy);
                    return None;
                }
                if HEADERS_OF_OTHERS.contains(&name.as_str()) || name.starts_with("x-countersign-") {
                    let problem = format!("is the header {name}, which has another meaning");
                    self.errors.add(&name_path, problem, "write a header of its own, like \"x-signature\"");
                    return None;
                }
                Some(Place::Header(name.into_boxed_str()))
            }
            SignaturePlace::Body => {
                if scheme != Scheme::Jcs {
                    let problem =
                        "is \"body\" with the scheme \"raw\", under which the signature would sign itself";
                    self.errors.add(&path.member("in"), problem, "write \"header\", or the scheme \"jcs\"");
                }
                let name = name.unwrap_or(Place::MEMBER);
                if !is_visible(name, NAME_BYTES_MAX) || crate::event::MEMBERS.contains(&name) {
                    let remedy = format!(
                        "write 1 to {NAME_BYTES_MAX} visible ASCII characters that name no member of events"
                    );
                    self.errors.add(&name_path, "is no member for a signature", remedy);
                    return None;
                }
                Some(Place::Body(Box::from(name)))
            }
        }
    }

    fn signature_keys(
        &mut self,
        path: &Path<'_>,
        written: &[written::Key],
        scheme: Scheme,
    ) -> Vec<SigningKey> {
        if written.is_empty() {
            let remedy =
                "write { \"id\": …, \"secret\": { \"name\": … } }; no partner is without a signature";
            self.errors.add(path, "has no key", remedy);
        }
        let encoding = match scheme {
            Scheme::StandardWebhooks => Encoding::Webhook,
            Scheme::Jcs | Scheme::Raw => Encoding::Text,
        };
        let asked = Asked { encoding, valid_max: KEYS_VALID_MAX, without_gap: false };
        let keys = keys::keys(self.errors, &mut self.secrets, path, written, asked);
        keys.into_iter().map(|key| key.prepared(|secret| SigningSecret::new(&secret))).collect()
    }

    fn source(&mut self, path: &Path<'_>, source: &written::Source) -> SourcePolicy {
        let errors = &mut *self.errors;
        let mut list = |name, list: &Option<Vec<String>>, max| {
            let path = path.member(name);
            let Some(list) = list else { return Vec::new() };
            if list.is_empty() {
                errors.add(
                    &path,
                    "is empty, which could mean all or none",
                    "leave it out, or list what is allowed",
                );
            }
            count(errors, &path, list.len(), max);
            list.clone()
        };
        let allow = list("allow", &source.allow, NETWORKS_MAX);
        let uris = list("certificate_uri", &source.certificate_uri, CERTIFICATES_MAX);
        let hashes = list("certificate_sha256", &source.certificate_sha256, CERTIFICATES_MAX);
        for (index, uri) in uris.iter().enumerate() {
            if !is_visible(uri, CERTIFICATE_URI_BYTES_MAX) || !uri.contains(':') {
                let path = path.member("certificate_uri");
                let remedy = "write the URI name (SAN) of the certificate, like \"spiffe://acme/postbacks\"";
                errors.add(&path.element(index), "is no URI", remedy);
            }
        }
        let mut certificate_sha256 = Vec::new();
        for (index, hash) in hashes.iter().enumerate() {
            match hex_32(hash) {
                Some(hash) => certificate_sha256.push(hash),
                None => {
                    let path = path.member("certificate_sha256");
                    let remedy = "write 64 hex digits, as of `openssl x509 -outform der | sha256sum`";
                    errors.add(&path.element(index), "is no SHA-256", remedy);
                }
            }
        }
        SourcePolicy {
            allow: networks(errors, &path.member("allow"), &allow),
            certificate_uri: uris.into_iter().map(String::into_boxed_str).collect(),
            certificate_sha256,
        }
    }

    fn in_flight_status(&mut self, path: &Path<'_>, status: Option<Whole<409, 503>>) -> InFlightStatus {
        match status.map(Whole::get) {
            None | Some(Some(503)) => InFlightStatus::Unavailable503,
            Some(Some(409)) => InFlightStatus::Conflict409,
            Some(_) => {
                self.errors.add(
                    path,
                    "is neither 503 nor 409",
                    "write 503, or leave it out; 409 on the partner's wish",
                );
                InFlightStatus::Unavailable503
            }
        }
    }
}

impl Compiler<'_, '_> {
    fn events(
        &mut self,
        path: &Path<'_>,
        written: &BTreeMap<String, written::EventRule>,
        common: &Common,
    ) -> (EventRules, Vec<(EventName, u64)>) {
        count(self.errors, path, written.len(), EVENT_RULES_MAX);
        let mut rules = common.event_rules();
        let mut windows = Vec::new();
        for (name, rule) in written {
            let path = path.member(name);
            let Some(event) = event_name(name) else {
                self.errors.add(&path, "is no event type", "name it with 1 to 64 of a-z, 0-9 and _");
                continue;
            };
            let is_built_in = !matches!(EventType::named(event), EventType::Custom(_));
            match rule.custom {
                Some(_) if is_built_in => {
                    self.errors.add(&path.member("custom"), "declares a built-in type", "leave it out");
                }
                Some(custom) => rules.custom.push(CustomEvent { name: event, amount: amount(custom.amount) }),
                None if is_built_in => {}
                None => {
                    let declare = "declare it with \"custom\": { \"amount\": \"none\" }";
                    let remedy = match nearest(name, EventType::BUILT_IN.iter().map(EventType::as_str)) {
                        Some(near) => format!("write {near:?}, or {declare}"),
                        None => declare.into(),
                    };
                    self.errors.add(&path, "is no built-in event type", remedy);
                }
            }
            let path = path.member("fallback_window_seconds");
            let Some(window) = rule.fallback_window_seconds else { continue };
            let Some(seconds) = window.get() else {
                let problem =
                    format!("is no whole number from {} to {}", FallbackWindow::MIN, FallbackWindow::MAX);
                self.errors.add(&path, problem, "write one without quotes, or leave it out for no window");
                continue;
            };
            let window_ms = u64::from(seconds).saturating_mul(1_000);
            if common.retention_ms.is_some_and(|retention_ms| window_ms > retention_ms) {
                let problem = "is longer than dedup.retention_days, after which nothing is remembered";
                self.errors.add(&path, problem, "shorten the window, or lengthen the retention");
            }
            windows.push((event, window_ms));
        }
        (rules, windows)
    }
}

impl Compiler<'_, '_> {
    fn ts_event_past(
        &mut self,
        path: &Path<'_>,
        written: Option<written::TsEventPast>,
        common: &Common,
    ) -> Option<u64> {
        let Some(seconds) = written else { return common.ts_event_past_ms_max() };
        let Some(seconds) = seconds.get() else {
            let problem = format!(
                "is no whole number from {} to {}",
                written::TsEventPast::MIN,
                written::TsEventPast::MAX
            );
            self.errors.add(path, problem, "write one without quotes, or leave it out for the retention");
            return None;
        };
        let past_ms = u64::from(seconds).saturating_mul(1_000);
        if !common.upstream_is_idempotent && common.retention_ms.is_some_and(|retention| past_ms > retention)
        {
            let problem = "is longer than dedup.retention_days, after which a repeat is not known";
            let remedy = "shorten it, lengthen the retention, or write \"upstream\": { \"idempotent\": true } where that is so";
            self.errors.add(path, problem, remedy);
        }
        Some(past_ms)
    }
}

/// A well-formed name of an event type.
fn event_name(name: &str) -> Option<EventName> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    EventName::new(name).filter(|_| !name.is_empty() && name.bytes().all(allowed))
}

const fn amount(amount: CustomAmount) -> Presence {
    match amount {
        CustomAmount::None => Presence::None,
        CustomAmount::Optional => Presence::Optional,
        CustomAmount::Required => Presence::Required,
    }
}
