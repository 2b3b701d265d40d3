//! What a configuration comes to, defaults filled in: as JSON, and in words.

use std::fmt::Write as _;

use countersign_core::event::{CustomEvent, EventType, Presence};
use countersign_core::policy::{ClickVerify, Partner, Policy, sandbox};
use countersign_core::rate::Rate;
use countersign_core::signature::{Place, Scheme};
use countersign_core::time::Timestamp;
use countersign_core::token::{OpaqueToken, TokenPolicy};
use countersign_ledger::rules::Rules;
use serde_json::{Map, Value, json};

use super::keys;

/// Of a key that is not believed at this moment.
const NOT_VALID: &str = "NOT VALID NOW";

/// The effective configuration; nothing secret is in it.
pub(super) fn describe(policy: &Policy, rules: &Rules, sealed: &[String], now: Timestamp) -> Value {
    let verify = match policy.click_id.verify {
        ClickVerify::Require => "require",
        ClickVerify::WhenOurs => "when_ours",
        ClickVerify::Off => "off",
    };
    let proxies: Vec<String> = policy.trusted_proxies.iter().map(ToString::to_string).collect();
    let shape = policy.dedup.size;
    let partners: Map<String, Value> =
        policy.partners().map(|one| (one.name.to_string(), partner(one, now))).collect();
    json!({
        "environment": policy.environment.as_str(),
        "scope": &*policy.scope,
        "limits": {
            "body_bytes_max": policy.limits.body_bytes_max,
            "source_refusals_per_minute": per(policy.limits.source_refusals, 60_000_000),
        },
        "trusted_proxies": proxies,
        "dedup": {
            "events_in_memory_max": u64::from(shape.slots).saturating_mul(shape.entries_per_slot.into()),
            "retention_days": policy.dedup.retention_ms / 86_400_000,
            "lease_seconds": policy.dedup.lease_ms / 1000,
        },
        "upstream": { "idempotent": policy.upstream_is_idempotent },
        "click_id": { "verify": verify, "keys": keys::described(&policy.click_id.keys, now) },
        "receipt": { "keys": keys::described(policy.receipt.keys(), now) },
        "attestation": { "keys": keys::described(&policy.attestation, now) },
        "salt": { "keys": keys::described(&rules.salts, now) },
        "sealed": sealed,
        "partners": partners,
    })
}

fn partner(partner: &Partner, now: Timestamp) -> Value {
    let scheme = match partner.signature.scheme {
        Scheme::Jcs => "jcs",
        Scheme::Raw => "raw",
        Scheme::StandardWebhooks => "standard-webhooks",
    };
    let (place, name) = match &partner.signature.place {
        _ if partner.signature.scheme == Scheme::StandardWebhooks => ("header", "webhook-signature"),
        Place::Header(name) => ("header", &**name),
        Place::Body(name) => ("body", &**name),
    };
    let keys = keys::described(&partner.signature.keys, now);
    let source = &partner.source;
    let allow: Vec<String> = source.allow.iter().map(ToString::to_string).collect();
    json!({
        "path": format!("/postback/{}", partner.name),
        "signature": { "scheme": scheme, "in": place, "name": name, "keys": keys },
        "token": partner.token.as_ref().map(token),
        "source": {
            "allow": allow,
            "certificate_uri": source.certificate_uri,
            "certificates": source.certificate_sha256.len(),
        },
        "rate": { "per_second": per(partner.rate, 1_000_000), "burst": partner.rate.burst },
        "in_flight_status": partner.in_flight_status.status(),
        "ts_event_past_seconds_max": partner.ts_event_past_ms_max.map(|past| past / 1000),
        "events": events(partner),
    })
}

fn token(token: &TokenPolicy) -> Value {
    let keys: Vec<Value> = token
        .keys
        .iter()
        .map(|key| json!({ "id": &**key.id(), "algorithm": key.algorithm().as_str() }))
        .collect();
    let opaque: Vec<&str> = token.opaque.iter().map(|token| &**token.id()).collect();
    let ends_at = |token: &OpaqueToken| token.ends_at().map(|end| end.write_rfc3339().as_str().to_owned());
    let ends: Map<String, Value> =
        token.opaque.iter().map(|token| (token.id().to_string(), json!(ends_at(token)))).collect();
    json!({
        "issuer": token.issuer,
        "audience": token.audience,
        "lifetime_seconds_max": token.lifetime_ms_max / 1000,
        "keys": keys,
        "opaque": opaque,
        "opaque_ends_at": ends,
    })
}

fn events(partner: &Partner) -> Map<String, Value> {
    let custom = |custom: &CustomEvent| {
        let amount = match custom.amount {
            Presence::None => "none",
            Presence::Optional => "optional",
            Presence::Required => "required",
        };
        (custom.name.as_str().to_owned(), amount)
    };
    let built_in = EventType::BUILT_IN.iter().map(|event| (event.as_str().to_owned(), "built in"));
    let all = built_in.chain(partner.events.custom.iter().map(custom));
    all.map(|(name, amount)| {
        let window = partner.fallback_window_ms(&name).map(|window| window / 1000);
        (name, json!({ "amount": amount, "fallback_window_seconds": window }))
    })
    .collect()
}

/// Events in so many microseconds.
fn per(rate: Rate, period_us: u64) -> u64 {
    period_us.checked_div(rate.interval_us).unwrap_or_default()
}

/// The same in words.
pub(super) fn explain(effective: &Value) -> String {
    let mut text = format!("{} environment\n", word(effective, "/environment"));
    line(&mut text, "scope", &word(effective, "/scope"));
    line(&mut text, "body", &format!("at most {} bytes", word(effective, "/limits/body_bytes_max")));
    let refusals = word(effective, "/limits/source_refusals_per_minute");
    line(&mut text, "sources", &format!("429 after {refusals} refusals in a minute"));
    line(&mut text, "proxies trusted", &or(words(effective, "/trusted_proxies"), "none"));
    let memory = format!(
        "{} days; a claim is held for {} s; up to {} events where they are kept in memory",
        word(effective, "/dedup/retention_days"),
        word(effective, "/dedup/lease_seconds"),
        word(effective, "/dedup/events_in_memory_max"),
    );
    line(&mut text, "events kept", &memory);
    let upstream = match effective.pointer("/upstream/idempotent").and_then(Value::as_bool) {
        Some(true) => "idempotent: it knows a repeat, however old",
        Some(false) | None => "not idempotent: a filter refuses what it cannot tell from a repeat",
    };
    line(&mut text, "upstream", upstream);
    let click_id = match word(effective, "/click_id/verify").as_str() {
        "require" => "must be one of ours",
        "when_ours" => "must be genuine where it claims to be ours",
        _ => "is not verified",
    };
    line(&mut text, "click_id", click_id);
    for (label, pointer, current, otherwise) in [
        ("", "/click_id/keys", "mints now", "recognises only"),
        ("receipts", "/receipt/keys", "signs now", "repeats only"),
        ("hop", "/attestation/keys", "signs now", NOT_VALID),
        ("salt", "/salt/keys", "hashes now", "finds only"),
    ] {
        lines(&mut text, label, &keys::lines(elements(effective, pointer), current, otherwise));
    }
    line(&mut text, "sealed", &or(words(effective, "/sealed"), "no secret"));
    let partners = effective.get("partners").and_then(Value::as_object);
    for (name, partner) in partners.into_iter().flatten() {
        // Writing to a `String` cannot fail.
        let _written = writeln!(
            text,
            "\npartner {name}{}",
            if name == sandbox::PARTNER { " (published key)" } else { "" }
        );
        explain_partner(&mut text, partner);
    }
    text
}

fn explain_partner(text: &mut String, partner: &Value) {
    let has_token = partner.get("token").is_some_and(|token| !token.is_null());
    let path = word(partner, "/path");
    line(text, "sends to", &if has_token { format!("/postback or {path}, with its token") } else { path });
    let signature = ["scheme", "in", "name"].map(|name| word(partner, &format!("/signature/{name}")));
    let [scheme, place, name] = signature;
    line(text, "signs", &format!("{scheme}, in the {place} {name:?}"));
    lines(text, "", &keys::lines(elements(partner, "/signature/keys"), "", NOT_VALID));
    if !keys::any_valid(elements(partner, "/signature/keys")) {
        line(text, "", "no key is valid now: every postback is refused as signature_invalid");
    }
    line(text, "presents", &or(explain_token(partner), "no token"));
    line(text, "comes from", &explain_source(partner));
    let (rate, burst) = (word(partner, "/rate/per_second"), word(partner, "/rate/burst"));
    line(text, "may send", &format!("{rate} events per second, {burst} at once"));
    line(text, "in flight", &format!("answered {}", word(partner, "/in_flight_status")));
    let age = match partner.get("ts_event_past_seconds_max").and_then(Value::as_u64) {
        Some(seconds) => format!("at most {seconds} s old, where a filter does not know the event"),
        None => "of any age".to_owned(),
    };
    line(text, "takes events", &age);
    let events = partner.get("events").and_then(Value::as_object).into_iter().flatten();
    let events: Vec<String> = events.map(|(name, rules)| explain_event(name, rules)).collect();
    line(text, "events", &events.join(", "));
}

fn explain_token(partner: &Value) -> String {
    let Some(token) = partner.get("token").filter(|token| !token.is_null()) else { return String::new() };
    let keys = elements(token, "/keys").iter();
    let keys: Vec<String> =
        keys.map(|key| format!("{} {}", word(key, "/id"), word(key, "/algorithm"))).collect();
    let mut parts = Vec::new();
    if !keys.is_empty() {
        let [issuer, audience, life] =
            ["/issuer", "/audience", "/lifetime_seconds_max"].map(|pointer| word(token, pointer));
        parts
            .push(format!("a JWT of {issuer} for {audience}, of {life} s at most, by {}", keys.join(" or ")));
    }
    let ends = token.get("opaque_ends_at").and_then(Value::as_object).into_iter().flatten();
    let opaque: Vec<String> = ends
        .map(|(id, end)| match end.as_str() {
            Some(end) => format!("{id} until {end}"),
            None => format!("{id} for ever (the sandbox)"),
        })
        .collect();
    if !opaque.is_empty() {
        parts.push(format!("an opaque token: {}", opaque.join(", ")));
    }
    parts.join("; or ")
}

fn explain_source(partner: &Value) -> String {
    let addresses = or(words(partner, "/source/allow"), "anywhere");
    let uris = words(partner, "/source/certificate_uri");
    let digests = partner.pointer("/source/certificates").and_then(Value::as_u64).unwrap_or_default();
    match (uris.is_empty(), digests) {
        (true, 0) => addresses,
        (true, _) => format!("{addresses}, with one of {digests} certificates"),
        (false, 0) => format!("{addresses}, with a certificate of {uris}"),
        (false, _) => format!("{addresses}, with a certificate of {uris}, or one of {digests}"),
    }
}

fn explain_event(name: &str, rules: &Value) -> String {
    let amount = match word(rules, "/amount").as_str() {
        "built in" => String::new(),
        amount => format!(" (custom, amount {amount})"),
    };
    let window = rules.get("fallback_window_seconds").and_then(Value::as_u64);
    let window = window.map(|seconds| format!(" (once per click in {seconds} s)")).unwrap_or_default();
    format!("{name}{amount}{window}")
}

fn line(text: &mut String, label: &str, value: &str) {
    // Writing to a `String` cannot fail.
    let _written = writeln!(text, "  {label:16}{value}");
}

/// Several lines under one label.
fn lines(text: &mut String, label: &str, values: &[String]) {
    for (place, value) in values.iter().enumerate() {
        line(text, if place == 0 { label } else { "" }, value);
    }
}

fn elements<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn word(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn words(value: &Value, pointer: &str) -> String {
    let words: Vec<&str> = elements(value, pointer).iter().filter_map(Value::as_str).collect();
    words.join(", ")
}

fn or(text: String, nothing: &str) -> String {
    if text.is_empty() { nothing.to_owned() } else { text }
}
