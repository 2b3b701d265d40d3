//! Checks 4 to 6: who sends (from the token or from the path; both must agree), from where, and with which token.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::authorised::Authorised;
use super::reject::{More, Reject};
use super::request::{Authority, Exchange, Scratch};
use super::routed::Routed;
use crate::headers::Headers;
use crate::json::Tape;
use crate::mac::sha256;
use crate::outcome::Code;
use crate::policy::{Partner, Policy};
use crate::source::{self, ForwardedCertificate, ForwardedProblem, SourceReject};
use crate::token::{self, Anonymous, Bearer, TokenReject};

/// A request that says who sends it. Nothing of that is proved yet.
pub(super) struct Identified<'r> {
    exchange: Exchange<'r>,
    partner: &'r Partner,
    token: Option<&'r [u8]>,
    body: &'r [u8],
    scratch: &'r mut Scratch,
}

/// Check 4 at `/postback`: the token tells the partner.
pub(super) fn by_token(routed: Routed<'_>) -> Result<Identified<'_>, Box<Reject>> {
    let Routed { exchange, body, scratch, .. } = routed;
    let token = match presented(exchange.headers) {
        Ok(token) => token,
        Err(absent) => {
            let hint = "send Authorization: Bearer <token>, or post to /postback/{partner}";
            return Err(exchange.reject(Code::TokenMissing, absent, More::Nothing).with_hint(hint));
        }
    };
    let (detail, hint) = match partner_of_token(exchange.policy, token, &mut scratch.tape) {
        TokenPartner::Known(partner) => {
            return Ok(identified(exchange, partner, Some(token), body, scratch));
        }
        TokenPartner::Unknown => (NO_ISSUER, "check the token's iss, or post to /postback/{partner}"),
        TokenPartner::Anonymous(anonymous) => {
            (anonymous.as_str(), "name the partner: by the token's iss, or post to /postback/{partner}")
        }
    };
    Err(exchange.reject(Code::PartnerUnknown, detail, More::Nothing).with_hint(hint))
}

/// Check 4 at `/postback/{partner}`: the path tells the partner, and a token must not tell another one.
pub(super) fn by_path<'r>(routed: Routed<'r>, name: &str) -> Result<Identified<'r>, Box<Reject>> {
    let Routed { mut exchange, body, scratch, .. } = routed;
    let Some(partner) = exchange.policy.partner(name) else {
        let detail = "no partner has the name in the path";
        return Err(exchange.reject(Code::PartnerUnknown, detail, More::Nothing));
    };
    let token = match presented(exchange.headers) {
        Ok(token) => token,
        Err(_) if partner.token.is_none() => return Ok(identified(exchange, partner, None, body, scratch)),
        Err(absent) => {
            exchange.facts.partner = Some(Arc::clone(&partner.name));
            return Err(exchange.reject(Code::TokenMissing, absent, More::Nothing));
        }
    };
    match partner_of_token(exchange.policy, token, &mut scratch.tape) {
        TokenPartner::Known(of_token) if of_token.name != partner.name => {
            let detail = "token and path name different partners";
            Err(exchange.reject(Code::PartnerUnknown, detail, More::Nothing))
        }
        TokenPartner::Unknown => {
            let hint = match partner.token {
                Some(_) => None,
                None => Some("this partner presents no token: leave Authorization out"),
            };
            Err(exchange.reject(Code::PartnerUnknown, NO_ISSUER, More::Nothing).with_hint(hint))
        }
        TokenPartner::Known(_) | TokenPartner::Anonymous(_) => {
            Ok(identified(exchange, partner, Some(token), body, scratch))
        }
    }
}

const NO_ISSUER: &str = "no partner has the token's issuer";

/// The token that a request presents, or why there is none.
fn presented(headers: Headers<'_>) -> Result<&[u8], &'static str> {
    match token::bearer(headers) {
        Bearer::Token(token) => Ok(token),
        Bearer::Missing => Err("there is no Authorization"),
        Bearer::Unusable(problem) => Err(problem.as_str()),
    }
}

fn identified<'r>(
    mut exchange: Exchange<'r>,
    partner: &'r Partner,
    token: Option<&'r [u8]>,
    body: &'r [u8],
    scratch: &'r mut Scratch,
) -> Identified<'r> {
    exchange.facts.partner = Some(Arc::clone(&partner.name));
    Identified { exchange, partner, token, body, scratch }
}

enum TokenPartner<'r> {
    Known(&'r Partner),
    /// The token names an issuer that is nobody's.
    Unknown,
    /// The token names nobody: it has no issuer, and is not on file either.
    Anonymous(Anonymous),
}

fn partner_of_token<'r>(policy: &'r Policy, token: &[u8], tape: &mut Tape) -> TokenPartner<'r> {
    match token::unverified_issuer(token, tape) {
        Ok(issuer) => {
            policy.partner_by_issuer(issuer.as_str()).map_or(TokenPartner::Unknown, TokenPartner::Known)
        }
        Err(anonymous @ Anonymous::TooLong) => TokenPartner::Anonymous(anonymous),
        Err(anonymous @ (Anonymous::NotAJws | Anonymous::NoIssuer)) => policy
            .partner_by_opaque_token(&sha256(token))
            .map_or(TokenPartner::Anonymous(anonymous), TokenPartner::Known),
    }
}

impl<'r> Identified<'r> {
    /// Checks 5 and 6.
    pub(super) fn authorise(self) -> Result<Authorised<'r>, Box<Reject>> {
        self.allowed_source()?.valid_token()
    }

    /// Check 5: address and client certificate.
    fn allowed_source(self) -> Result<Self, Box<Reject>> {
        let Exchange { policy, headers, peer, address, .. } = &self.exchange;
        let forwarded = if self.partner.source.demands_certificate() {
            source::forwarded_certificate(peer.address, &policy.trusted_proxies, *headers)
        } else {
            ForwardedCertificate::default()
        };
        let certificate = peer.certificate.iter().copied().chain(forwarded.identities());
        let (code, detail) = match source::check(&self.partner.source, *address, certificate) {
            Ok(()) => return Ok(self),
            Err(SourceReject::Address) => (Code::SourceNotAllowed, "the address is on no allow-list"),
            Err(SourceReject::Certificate) => {
                let otherwise = "no client certificate that is allowed";
                let detail = forwarded.problem().map_or(otherwise, ForwardedProblem::as_str);
                (Code::CertificateNotAllowed, detail)
            }
        };
        Err(self.exchange.reject(code, detail, More::Nothing))
    }

    /// Check 6: the token, where the partner has to bring one.
    fn valid_token(self) -> Result<Authorised<'r>, Box<Reject>> {
        let Self { mut exchange, partner, token, body, scratch } = self;
        if let (Some(policy), Some(token)) = (&partner.token, token) {
            match token::verify(policy, token, exchange.now, &mut scratch.tape) {
                Ok(verified) => exchange.facts.token_key_id = Some(verified.key_id),
                Err(reject) => {
                    let (code, skew_ms) = match reject {
                        TokenReject::Invalid { skew_ms, .. } => (Code::TokenInvalid, skew_ms),
                        TokenReject::Expired { skew_ms } => (Code::TokenExpired, Some(skew_ms)),
                        TokenReject::LifetimeTooLong => (Code::TokenLifetimeTooLong, None),
                    };
                    let more = skew_ms.map_or(More::Nothing, More::Skew);
                    return Err(exchange.reject(code, reject.as_str(), more));
                }
            }
        }
        Ok(Authorised { exchange, partner, authority: Authority::Signature, body, scratch })
    }
}
