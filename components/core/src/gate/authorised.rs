//! Checks 7 and 8: strict JSON, and the signature over it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reject::{More, Reject};
use super::request::{Authority, Exchange, Mode, Scratch};
use super::valid::Authentic;
use crate::canonical;
use crate::json::{self, Document, ReadLimits};
use crate::mac::sha256;
use crate::outcome::Code;
use crate::policy::{Environment, Partner};
use crate::signature::{self, Place, Scheme, SignaturePolicy, SignatureReject};

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
        match json::read(body, &mut scratch.tape, ReadLimits::POSTBACK) {
            Ok(document) => Ok(Read { exchange, partner, authority, body, document }),
            Err(malformed) => {
                let detail = malformed.problem.as_str();
                Err(exchange.reject(Code::PayloadMalformed, detail, More::Malformed(malformed)))
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

    /// The refusal of a signature. In the sandbox it shows what was to be signed.
    fn unsigned(self, reject: SignatureReject) -> Box<Reject> {
        let signature = &self.partner.signature;
        let (detail, more, hint) = match reject {
            SignatureReject::Missing => ("no signature", More::Nothing, Some(signature_form(signature))),
            SignatureReject::Malformed => (
                "the signature is not written as its scheme asks",
                More::Nothing,
                Some(signature_form(signature)),
            ),
            SignatureReject::NoKeyValid => ("no key of the partner is valid now", More::Nothing, None),
            SignatureReject::TimestampOutsideTolerance { skew_ms } => {
                ("the timestamp is outside the tolerance", More::Skew(skew_ms), None)
            }
            SignatureReject::Mismatch => {
                let more = match self.exchange.policy.environment {
                    Environment::Production => More::Nothing,
                    Environment::Sandbox => {
                        let mut string_to_sign = Vec::new();
                        canonical::write(&self.document, unsigned_member(signature), &mut string_to_sign);
                        More::StringToSign(string_to_sign)
                    }
                };
                ("no key gives this signature", more, None)
            }
        };
        let reject = self.exchange.reject(Code::SignatureInvalid, detail, more);
        if let Some(hint) = hint { reject.with_hint(hint) } else { reject }
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
