//! Checks 7 and 8: strict JSON, and the signature over it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reject::{More, Reject};
use super::request::{Authority, Exchange, Mode, Scratch};
use super::valid::Authentic;
use crate::canonical;
use crate::json::{self, Document};
use crate::mac::sha256;
use crate::outcome::Code;
use crate::policy::{Environment, Partner};
use crate::signature::{self, Place, Scheme, SignatureCause, SignaturePolicy, SignatureReject};

/// A request that may come from where it comes, with the token that its partner needs.
pub(super) struct Authorised<'r> {
    pub(super) exchange: Exchange<'r>,
    pub(super) partner: &'r Partner,
    pub(super) authority: Authority,
    pub(super) body: &'r [u8],
    pub(super) scratch: &'r mut Scratch,
}

/// A request whose body is strict JSON.
pub(super) struct Read<'r> {
    exchange: Exchange<'r>,
    partner: &'r Partner,
    authority: Authority,
    body: &'r [u8],
    document: Document<'r>,
}

impl<'r> Authorised<'r> {
    /// Check 7.
    pub(super) fn read(self) -> Result<Read<'r>, Box<Reject>> {
        let Self { exchange, partner, authority, body, scratch } = self;
        match json::read(body, &mut scratch.tape, partner.signature.scheme.read_limits()) {
            Ok(document) => Ok(Read { exchange, partner, authority, body, document }),
            Err(malformed) => {
                let detail = malformed.problem.as_str();
                let reject = exchange.reject(Code::PayloadMalformed, detail, More::Malformed(malformed));
                Err(reject.with_hint(malformed.problem.remedy()))
            }
        }
    }
}

impl<'r> Read<'r> {
    /// Check 8.
    pub(super) fn authenticate(self) -> Result<Authentic<'r>, Box<Reject>> {
        let mut payload = Vec::new();
        let verified = match &self.authority {
            Authority::Signature => {
                let keep = matches!(self.exchange.mode, Mode::Inbox).then_some(&mut payload);
                let Exchange { headers, now, .. } = self.exchange;
                let signature = &self.partner.signature;
                match signature::verify(signature, headers, self.body, &self.document, now, keep) {
                    Ok(verified) => (verified.key_id, verified.payload_hash),
                    Err(reject) => return Err(self.unsigned(reject)),
                }
            }
            Authority::Hop(_, hop_key_id) => {
                canonical::write(&self.document, unsigned_member(&self.partner.signature), &mut payload);
                (Arc::clone(hop_key_id), sha256(&payload))
            }
        };
        let Self { mut exchange, partner, authority, body, document } = self;
        let (key_id, payload_hash) = verified;
        exchange.facts.key_id = Some(Arc::clone(&key_id));
        Ok(Authentic { exchange, partner, authority, body, document, payload, key_id, payload_hash })
    }

    /// The refusal of a signature. Its hint speaks of the cause where one is found; in the sandbox it shows what was to be signed.
    fn unsigned(self, reject: SignatureReject) -> Box<Reject> {
        let Self { exchange, partner, body, document, .. } = self;
        let signature = &partner.signature;
        let cause = signature::diagnose(signature, exchange.headers, body, &document, exchange.now, reject);
        let cause = cause.map(SignatureCause::as_str);
        let more = match (reject, exchange.policy.environment) {
            (SignatureReject::TimestampOutsideTolerance { skew_ms }, _) => More::Skew(skew_ms),
            (SignatureReject::Mismatch, Environment::Sandbox) => {
                let mut string_to_sign = Vec::new();
                canonical::write(&document, unsigned_member(signature), &mut string_to_sign);
                More::StringToSign(string_to_sign)
            }
            (SignatureReject::Mismatch, Environment::Production)
            | (SignatureReject::Missing | SignatureReject::Malformed | SignatureReject::NoKeyValid, _) => {
                More::Nothing
            }
        };
        let detail = cause.unwrap_or(reject.as_str());
        let hint = cause.or(what_to_look_at(signature, reject));
        exchange.reject(Code::SignatureInvalid, detail, more).with_hint(hint)
    }
}

/// The member that carries the signature and is no part of what is signed.
fn unsigned_member(policy: &SignaturePolicy) -> Option<&str> {
    match (policy.scheme, &policy.place) {
        (Scheme::Jcs, Place::Body(member)) => Some(member),
        (Scheme::Jcs, Place::Header(_)) | (Scheme::Raw | Scheme::StandardWebhooks, _) => None,
    }
}

/// What to look at where nobody knows why a signature is wrong; `None` for the code's own hint, which is about canonical payloads.
const fn what_to_look_at(policy: &SignaturePolicy, reject: SignatureReject) -> Option<&'static str> {
    match (reject, policy.scheme, &policy.place) {
        (SignatureReject::Missing | SignatureReject::Malformed, Scheme::StandardWebhooks, _) => Some(
            "send webhook-id, webhook-timestamp and webhook-signature (or svix-id, svix-timestamp and svix-signature) as Standard Webhooks has them, each once",
        ),
        (SignatureReject::Missing | SignatureReject::Malformed, _, Place::Header(_)) => {
            Some("send the signature header as sha256=<64 hex digits>, once")
        }
        (SignatureReject::Missing | SignatureReject::Malformed, _, Place::Body(_)) => {
            Some("send the signature member as sha256=<64 hex digits>")
        }
        (SignatureReject::Mismatch, Scheme::Raw, _) => {
            Some("check the key, and sign the body byte for byte as it is sent")
        }
        (SignatureReject::Mismatch, Scheme::StandardWebhooks, _) => Some(
            "check the key, and sign id, timestamp and body byte for byte as they are sent, apart by full stops",
        ),
        (SignatureReject::Mismatch, Scheme::Jcs, _)
        | (SignatureReject::NoKeyValid | SignatureReject::TimestampOutsideTolerance { .. }, _, _) => None,
    }
}
