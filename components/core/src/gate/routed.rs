//! Checks 1 and 2: method, path, content type, size.

use alloc::boxed::Box;

use super::reject::{More, Reject};
use super::request::{Body, Exchange, Mode, Request, Scratch};
use crate::headers::Headers;
use crate::outcome::{Code, Facts};
use crate::policy::Policy;
use crate::time::Timestamp;

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

/// A request that came in at a route of ours, with a JSON body that is not too long.
#[derive(Debug)]
pub(super) struct Routed<'r> {
    pub(super) exchange: Exchange<'r>,
    pub(super) route: Route<'r>,
    pub(super) body: &'r [u8],
    pub(super) scratch: &'r mut Scratch,
}

impl<'r> Routed<'r> {
    /// Checks 1 and 2.
    pub(super) fn of(
        policy: &'r Policy,
        mode: Mode,
        request: Request<'r>,
        now: Timestamp,
    ) -> Result<Self, Box<Reject>> {
        let Request { id, method, path, headers, body, peer, scratch } = request;
        let address = crate::source::client_address(peer.address, &policy.trusted_proxies, headers);
        let facts = Facts::of_request(id);
        let exchange = Exchange { policy, mode, now, headers, peer, address, facts, hop: None };
        if method != b"POST" {
            return Err(exchange.reject(Code::MethodNotAllowed, "the method is not POST", More::Nothing));
        }
        let Some(route) = route(path, mode) else {
            return Err(exchange.reject(
                Code::NotFound,
                "the path is not a route of the gate",
                More::Nothing,
            ));
        };
        if !is_json(headers) {
            let detail = "content-type is not application/json in UTF-8, or the body is encoded";
            return Err(exchange.reject(Code::ContentTypeUnsupported, detail, More::Nothing));
        }
        let declared = headers.get("content-length");
        let too_large = declared.is_some_and(|length| declares_too_much(policy, length));
        match body {
            Body::Whole(body) if !too_large && body.len() <= policy.limits.body_bytes_max => {
                Ok(Self { exchange, route, body, scratch })
            }
            Body::Whole(_) | Body::TooLarge => {
                let detail = "the declared or real size is over the limit";
                Err(exchange.reject(Code::PayloadTooLarge, detail, More::Nothing))
            }
        }
    }
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
    // Digits that are not a number have run over.
    is_length && bytes.is_none_or(|bytes| bytes > policy.limits.body_bytes_max)
}
