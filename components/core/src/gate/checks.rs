//! Checks 1, 2 and 4 to 9, in their normative order. Each function is one row of the table; the first that fails answers.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::reply::{self, More};
use super::{Body, ClaimWait, Gate, Mode, Request, fingerprint};
use crate::attestation::{self, AttestationReject};
use crate::canonical;
use crate::canonical::PayloadHash;
use crate::click::{self, ClickReject};
use crate::event::{self, Event};
use crate::headers::Headers;
use crate::json::{self, Document, ReadLimits, Tape};
use crate::outcome::{Code, Facts, Reply};
use crate::policy::{ClickVerify, Environment, Partner, Policy};
use crate::receipt;
use crate::signature::{self, Place, Scheme, SignaturePolicy, SignatureReject};
use crate::source::{self, SourceReject};
use crate::store::{Claim, ClaimKey, Fallback, HandOn, InboxRow};
use crate::text::Text;
use crate::time::Timestamp;
use crate::token::{self, Bearer, TokenReject};

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'r> {
    /// `/postback`: the token tells the partner.
    Postback,
    /// `/postback/{partner}`.
    PartnerPostback(&'r str),
    /// `/collect`: attested events from a filter in front of the inbox.
    Collect,
}

/// Checks 1 and 2: method, path, content type, size.
pub(super) fn shape<'r>(policy: &Policy, mode: Mode, request: &Request<'r>) -> Result<Route<'r>, Box<Reply>> {
    let refuse = |code: Code, detail| {
        Err(Box::new(reply::refusal(Facts::of(code, detail), code.status(), &More::Nothing)))
    };
    if request.method != b"POST" {
        return refuse(Code::MethodNotAllowed, "the method is not POST");
    }
    let Some(route) = route(request.path, mode) else {
        return refuse(Code::NotFound, "the path is no route of the gate");
    };
    if !is_json(request.headers) {
        return refuse(Code::ContentTypeUnsupported, "content-type or content-encoding");
    }
    let declared = request.headers.get("content-length");
    let too_large = match request.body {
        Body::TooLarge => true,
        Body::Whole(body) => body.len() > policy.limits.body_bytes_max,
    };
    if too_large || declared.is_some_and(|length| declares_too_much(policy, length)) {
        return refuse(Code::PayloadTooLarge, "declared or real size");
    }
    Ok(route)
}

fn route(path: &[u8], mode: Mode) -> Option<Route<'_>> {
    let path = path.split(|&byte| byte == b'?').next()?;
    let path = core::str::from_utf8(path).ok()?;
    match (path, mode) {
        ("/postback", _) => Some(Route::Postback),
        ("/collect", Mode::Inbox) => Some(Route::Collect),
        _ => {
            let partner = path.strip_prefix("/postback/")?;
            (!partner.is_empty() && !partner.contains('/')).then_some(Route::PartnerPostback(partner))
        }
    }
}

/// `application/json`, with no parameter but `charset=utf-8`, and not compressed. Neither field is repeated: a proxy may join
/// repeated fields with a comma, and what it makes of them must be answered as they are.
fn is_json(headers: Headers<'_>) -> bool {
    let (Ok(coding), Ok(Some(content_type))) =
        (headers.single("content-encoding"), headers.single("content-type"))
    else {
        return false;
    };
    let identity = coding.is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"));
    let Ok(content_type) = core::str::from_utf8(content_type) else { return false };
    let mut parts = content_type.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| {
        parameter.is_empty()
            || parameter.split_once('=').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
    });
    identity && json && utf8
}

/// Whether a `content-length` is over the limit, alike where addresses have 32 bits and where they have 64.
pub(super) fn declares_too_much(policy: &Policy, content_length: &[u8]) -> bool {
    let digits = content_length.trim_ascii();
    let is_length = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let bytes = core::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
    // Digits that are no number have run over.
    is_length && bytes.is_none_or(|bytes| bytes > policy.limits.body_bytes_max)
}

/// A request whose shape is right, on its way through checks 4 to 9.
#[derive(Debug)]
pub(super) struct Examination<'r> {
    gate: &'r Gate,
    request: Request<'r>,
    route: Route<'r>,
    address: Option<IpAddr>,
    now: Timestamp,
}

/// Who signed, and what.
struct Authentic {
    key_id: Arc<str>,
    payload_hash: PayloadHash,
}

impl<'r> Examination<'r> {
    pub(super) const fn new(
        gate: &'r Gate,
        request: Request<'r>,
        route: Route<'r>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Self {
        Self { gate, request, route, address, now }
    }

    /// Checks 4 to 9.
    pub(super) fn examine(self) -> Result<ClaimWait, Box<Reply>> {
        let Self { gate, request, route, address, now } = self;
        let policy = &gate.policy;
        let mut facts = Facts::of(Code::InternalError, "");
        let body = match request.body {
            Body::Whole(body) => body,
            // Refused by check 2 already.
            Body::TooLarge => return Err(refuse(facts, Code::PayloadTooLarge, "real size", &More::Nothing)),
        };
        let headers = request.headers;
        let scratch = request.scratch;

        let collect = route == Route::Collect;
        let mut attested_id = None;
        let partner = if collect {
            let (partner, event_id) = attested_partner(policy, headers, body, now, &mut facts)?;
            attested_id = Some(event_id);
            partner
        } else {
            let (partner, token) = known_partner(policy, headers, route, &mut scratch.tape, &mut facts)?;
            allowed_source(partner, policy, address, &request.peer, headers, &facts)?;
            facts.token_key_id = valid_token(partner, token, now, &mut scratch.tape, &facts)?;
            partner
        };
        let document = json::read(body, &mut scratch.tape, ReadLimits::POSTBACK).map_err(|malformed| {
            let detail = malformed.problem.as_str();
            refuse(facts.clone(), Code::PayloadMalformed, detail, &More::Malformed(&malformed))
        })?;
        let mut payload = Vec::new();
        let authentic = if collect {
            canonical::write(&document, unsigned_member(&partner.signature), &mut payload);
            Authentic { key_id: Arc::clone(&gate.hop_key_id), payload_hash: sha256(&payload) }
        } else {
            let keep = matches!(gate.mode, Mode::Inbox).then_some(&mut payload);
            authentic(partner, policy, headers, body, &document, now, keep, &facts)?
        };
        facts.key_id = Some(Arc::clone(&authentic.key_id));

        let event = valid_event(partner, policy, headers, &document, now, &mut facts)?;
        if attested_id.is_some_and(|attested| attested != event.event_id.as_str()) {
            let detail = "the attested event id is not the body's";
            return Err(refuse(facts, Code::AttestationInvalid, detail, &More::Nothing));
        }
        Ok(claim(gate, partner, event, authentic, payload, body, collect, address, facts, now))
    }
}

fn refuse(mut facts: Facts, code: Code, detail: &'static str, more: &More<'_>) -> Box<Reply> {
    facts.refuse(code, detail);
    Box::new(reply::refusal(facts, code.status(), more))
}

/// Check 4: the partner, from the token or from the path; both must agree.
fn known_partner<'r>(
    policy: &'r Policy,
    headers: Headers<'r>,
    route: Route<'r>,
    tape: &mut Tape,
    facts: &mut Facts,
) -> Result<(&'r Partner, Option<&'r [u8]>), Box<Reply>> {
    let named = match route {
        Route::PartnerPostback(name) => match policy.partner(name) {
            Some(partner) => Some(partner),
            None => {
                return Err(refuse(
                    facts.clone(),
                    Code::PartnerUnknown,
                    "no partner of the path's name",
                    &More::Nothing,
                ));
            }
        },
        Route::Postback | Route::Collect => None,
    };
    let token = match token::bearer(headers) {
        Bearer::Token(token) => Some(token),
        Bearer::Missing | Bearer::Malformed => None,
    };
    let partner = match (named, token) {
        (None, None) => {
            return Err(refuse(facts.clone(), Code::TokenMissing, "no bearer token", &More::Nothing));
        }
        (Some(partner), None) => partner,
        (named, Some(token)) => match (named, partner_of_token(policy, token, tape)) {
            (Some(named), TokenPartner::Known(of_token)) if named.name != of_token.name => {
                return Err(refuse(
                    facts.clone(),
                    Code::PartnerUnknown,
                    "token and path name different partners",
                    &More::Nothing,
                ));
            }
            (_, TokenPartner::Known(partner)) | (Some(partner), TokenPartner::Anonymous) => partner,
            (_, TokenPartner::Unknown) | (None, TokenPartner::Anonymous) => {
                return Err(refuse(
                    facts.clone(),
                    Code::PartnerUnknown,
                    "no partner of the token's issuer",
                    &More::Nothing,
                ));
            }
        },
    };
    facts.partner = Some(Arc::clone(&partner.name));
    if partner.token.is_some() && token.is_none() {
        return Err(refuse(facts.clone(), Code::TokenMissing, "the partner needs a token", &More::Nothing));
    }
    Ok((partner, token))
}

enum TokenPartner<'r> {
    Known(&'r Partner),
    /// The token names an issuer that is nobody's.
    Unknown,
    /// The token names nobody: an opaque token that is not on file, or no token at all.
    Anonymous,
}

fn partner_of_token<'r>(policy: &'r Policy, token: &[u8], tape: &mut Tape) -> TokenPartner<'r> {
    match token::unverified_issuer(token, tape) {
        Some(issuer) => {
            policy.partner_by_issuer(issuer.as_str()).map_or(TokenPartner::Unknown, TokenPartner::Known)
        }
        None => policy
            .partner_by_opaque_token(&sha256(token))
            .map_or(TokenPartner::Anonymous, TokenPartner::Known),
    }
}

/// Check 5: address and client certificate.
fn allowed_source(
    partner: &Partner,
    policy: &Policy,
    address: Option<IpAddr>,
    peer: &super::Peer<'_>,
    headers: Headers<'_>,
    facts: &Facts,
) -> Result<(), Box<Reply>> {
    let forwarded = source::forwarded_certificate(peer.address, &policy.trusted_proxies, headers);
    let certificate = peer.certificate.iter().copied().chain(forwarded);
    source::check(&partner.source, address, certificate).map_err(|fault| match fault {
        SourceReject::Address => {
            refuse(facts.clone(), Code::SourceNotAllowed, "the address is on no allow-list", &More::Nothing)
        }
        SourceReject::Certificate => refuse(
            facts.clone(),
            Code::CertificateNotAllowed,
            "no client certificate that is allowed",
            &More::Nothing,
        ),
    })
}

/// Check 6: the token, where the partner has to bring one; the key that verified it.
fn valid_token(
    partner: &Partner,
    token: Option<&[u8]>,
    now: Timestamp,
    tape: &mut Tape,
    facts: &Facts,
) -> Result<Option<Arc<str>>, Box<Reply>> {
    let (Some(policy), Some(token)) = (&partner.token, token) else { return Ok(None) };
    let skew = |milliseconds| More::Skew { milliseconds, now };
    match token::verify(policy, token, now, tape) {
        Ok(verified) => Ok(Some(verified.key_id)),
        Err(TokenReject::Invalid { reason, skew_ms }) => {
            Err(refuse(facts.clone(), Code::TokenInvalid, reason, &skew_ms.map_or(More::Nothing, skew)))
        }
        Err(TokenReject::Expired { skew_ms }) => {
            Err(refuse(facts.clone(), Code::TokenExpired, "exp has come", &skew(skew_ms)))
        }
        Err(TokenReject::LifetimeTooLong) => Err(refuse(
            facts.clone(),
            Code::TokenLifetimeTooLong,
            "exp - iat is over the maximum",
            &More::Nothing,
        )),
    }
}

/// Check 8: the signature. In the sandbox a refusal shows what was to be signed.
#[expect(clippy::too_many_arguments, reason = "one row of the table of checks, called once")]
fn authentic(
    partner: &Partner,
    policy: &Policy,
    headers: Headers<'_>,
    body: &[u8],
    document: &Document<'_>,
    now: Timestamp,
    keep: Option<&mut Vec<u8>>,
    facts: &Facts,
) -> Result<Authentic, Box<Reply>> {
    let fault = match signature::verify(&partner.signature, headers, body, document, now, keep) {
        Ok(verified) => {
            return Ok(Authentic { key_id: verified.key_id, payload_hash: verified.payload_hash });
        }
        Err(fault) => fault,
    };
    let refuse = |detail, more: &More<'_>| Err(refuse(facts.clone(), Code::SignatureInvalid, detail, more));
    match fault {
        SignatureReject::Missing => refuse("no signature", &More::Hint(signature_form(&partner.signature))),
        SignatureReject::Malformed => refuse(
            "the signature is not written as its scheme asks",
            &More::Hint(signature_form(&partner.signature)),
        ),
        SignatureReject::NoKeyValid => refuse("no key of the partner is valid now", &More::Nothing),
        SignatureReject::TimestampOutsideTolerance { skew_ms } => {
            refuse("the timestamp is outside the tolerance", &More::Skew { milliseconds: skew_ms, now })
        }
        SignatureReject::Mismatch => match policy.environment {
            Environment::Production => refuse("no key gives this signature", &More::Nothing),
            Environment::Sandbox => {
                let mut string_to_sign = Vec::new();
                canonical::write(document, unsigned_member(&partner.signature), &mut string_to_sign);
                refuse("no key gives this signature", &More::StringToSign(&string_to_sign))
            }
        },
    }
}

/// The member that carries the signature and is no part of what is signed.
fn unsigned_member(policy: &SignaturePolicy) -> Option<&str> {
    match (policy.scheme, &policy.place) {
        (Scheme::Jcs, Place::Body(member)) => Some(member),
        (Scheme::Jcs, Place::Header(_)) | (Scheme::Raw | Scheme::StandardWebhooks, _) => None,
    }
}

/// How a signature has to be written.
const fn signature_form(policy: &SignaturePolicy) -> &'static str {
    match (policy.scheme, &policy.place) {
        (Scheme::Jcs | Scheme::Raw, Place::Header(_)) => {
            "send the signature header as sha256=<64 hex digits>, once"
        }
        (Scheme::Jcs | Scheme::Raw, Place::Body(_)) => "send the signature member as sha256=<64 hex digits>",
        (Scheme::StandardWebhooks, _) => {
            "send webhook-id, webhook-timestamp and webhook-signature as Standard Webhooks has them, each once"
        }
    }
}

/// Check 9: schema, money, time, click_id, and an `Idempotency-Key` that contradicts the event.
fn valid_event(
    partner: &Partner,
    policy: &Policy,
    headers: Headers<'_>,
    document: &Document<'_>,
    now: Timestamp,
    facts: &mut Facts,
) -> Result<Event, Box<Reply>> {
    let mut event = event::read(document, &partner.events, now).map_err(|faults| {
        (facts.event, facts.event_id) = (faults.event(), faults.event_id());
        let pointer = faults.list().first().map_or("", |fault| fault.pointer);
        refuse(facts.clone(), Code::EventInvalid, pointer, &More::Faults { faults: &faults, now })
    })?;
    facts.event_id = Some(event.event_id);
    facts.event = Some(event.event);
    facts.ts_event = Some(event.ts_event);
    if contradicts(headers, &event) {
        let hint = "send the event_id as Idempotency-Key, once, or leave the header out";
        return Err(refuse(facts.clone(), Code::EventInvalid, "idempotency-key", &More::Hint(hint)));
    }
    let fault = match (click::inspect(&policy.click_id.keys, event.click_id.as_str()), policy.click_id.verify)
    {
        (Ok(click), _) => {
            facts.click_key_id = Some(click.key_id);
            // Sealed or not, it is one click: from here on only its plain id counts.
            event.click_id = Text::new(click.id.as_str()).unwrap_or(event.click_id);
            return Ok(event);
        }
        (Err(ClickReject::Foreign), ClickVerify::WhenOurs) => return Ok(event),
        // Only a macro that nobody filled in is no tracker's id.
        (Err(fault), ClickVerify::Off) if fault != ClickReject::Macro => return Ok(event),
        (Err(fault), _) => fault,
    };
    Err(refuse(facts.clone(), Code::ClickIdInvalid, fault.as_str(), &More::Hint(fault.as_str())))
}

/// Whether an `Idempotency-Key` says something other than the event's id. The draft has it as a quoted string; most senders
/// leave the quotes away.
fn contradicts(headers: Headers<'_>, event: &Event) -> bool {
    let Ok(key) = headers.single("idempotency-key") else { return true };
    key.is_some_and(|key| {
        let bare = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(key);
        bare != event.event_id.as_str().as_bytes()
    })
}

/// `/collect`, in place of checks 4 to 6, 8 and 10: the filter in front did them and vouches for the event, by this id.
fn attested_partner<'r>(
    policy: &'r Policy,
    headers: Headers<'r>,
    body: &[u8],
    now: Timestamp,
    facts: &mut Facts,
) -> Result<(&'r Partner, &'r str), Box<Reply>> {
    let refuse = |detail, more: &More<'_>| {
        Err(refuse(Facts::of(Code::AttestationInvalid, ""), Code::AttestationInvalid, detail, more))
    };
    // A filter writes each of them once.
    let bytes = |name| headers.single(name).ok().flatten();
    let text = |name| bytes(name).and_then(|value| core::str::from_utf8(value).ok());
    let (Some(name), Some(event_id), Some(value)) =
        (text("x-countersign-partner"), text("x-countersign-event-id"), bytes("x-countersign-attestation"))
    else {
        return refuse("x-countersign-* headers are missing or repeated", &More::Nothing);
    };
    match attestation::verify(&policy.attestation, value, name, event_id, &sha256(body), now) {
        Ok(_attested_at) => {}
        Err(fault @ AttestationReject::Stale { skew_ms }) => {
            return refuse(fault.as_str(), &More::Skew { milliseconds: skew_ms, now });
        }
        Err(fault @ (AttestationReject::Malformed | AttestationReject::Mismatch)) => {
            return refuse(fault.as_str(), &More::Nothing);
        }
    }
    let Some(partner) = policy.partner(name) else {
        return refuse("the hop knows a partner that this configuration does not", &More::Nothing);
    };
    facts.partner = Some(Arc::clone(&partner.name));
    Ok((partner, event_id))
}

#[expect(clippy::too_many_arguments, reason = "gathers what the checks have found, once")]
fn claim(
    gate: &Gate,
    partner: &Partner,
    event: Event,
    authentic: Authentic,
    payload: Vec<u8>,
    body: &[u8],
    collect: bool,
    address: Option<IpAddr>,
    facts: Facts,
    now: Timestamp,
) -> ClaimWait {
    let policy = &gate.policy;
    let (name, event_id) = (&*partner.name, event.event_id.as_str());
    let lease_ms = policy.dedup.lease_ms;
    let attestation: Option<Text<96>> = match gate.mode {
        Mode::Forward => Some(attestation::attest(&policy.attestation, name, event_id, &sha256(body), now)),
        Mode::Inbox => None,
    };
    let fallback = partner.fallback_window_ms(event.event.as_str()).map(|window_ms| Fallback {
        fingerprint: fingerprint("fallback", [name, event.event.as_str(), event.click_id.as_str()]),
        window_ms,
    });
    let claim = Claim {
        throttle: None,
        partner: Arc::clone(&partner.name),
        quota: (!collect).then_some(partner.rate),
        key: ClaimKey {
            fingerprint: fingerprint("event", [name, event_id, ""]),
            lease_until: now.plus_ms(lease_ms),
        },
        payload_hash: authentic.payload_hash,
        hand_on: match gate.mode {
            Mode::Forward => HandOn::AfterClaim { lease_ms },
            Mode::Inbox => HandOn::WithClaim,
        },
        retention_ms: policy.dedup.retention_ms,
        fallback,
        row: InboxRow {
            event_id: event.event_id,
            event: event.event,
            click_id: event.click_id,
            ts_event: event.ts_event,
            key_id: authentic.key_id,
            source: address,
            receipt: receipt::issue(&policy.receipt, name, event_id, &authentic.payload_hash),
            payload,
        },
        now,
    };
    ClaimWait { claim, facts, attestation, in_flight_status: partner.in_flight_status.status() }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).into()
}
