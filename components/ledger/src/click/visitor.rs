//! What is known of whoever followed a link, and how much of it is kept (source §2, §9).

use alloc::string::String;
use core::net::IpAddr;

use countersign_core::event::UA_BYTES_MAX;
use countersign_core::headers::Headers;
use countersign_core::source::{Cidr, client_address};
use countersign_core::text::Text;

use super::Request;
use super::query::cut;
use crate::client::{self, DeviceClass};
use crate::names::names;
use crate::rules::Redirect;

names! {
    /// What followed a link. Only a [`Kind::Click`] is counted; every kind is sent on, because any of them may be mistaken for another.
    pub enum Kind {
        /// A person, as far as can be told.
        Click => "click",
        /// A `HEAD`: a link checker, or a preview.
        Head => "head",
        /// A browser that fetches ahead of a click which may never come.
        Prefetch => "prefetch",
        /// A program that says so in its user agent.
        Bot => "bot",
    }
}

/// What is kept of a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// What followed the link.
    pub kind: Kind,
    /// The host of the page that had the link, and whether it was cut.
    pub referrer_host: Option<(String, bool)>,
    /// The country, two capital letters, as the proxy in front says.
    pub geo: Option<Text<2>>,
    /// The class of the device.
    pub device_class: DeviceClass,
    /// The /24 or /48 that the address is in.
    pub ip_prefix: Option<IpAddr>,
    /// The whole address, with consent to analytics only.
    pub ip: Option<IpAddr>,
    /// The user agent's product, major version and system.
    pub agent: Option<Text<32>>,
    /// The whole user agent up to [`UA_BYTES_MAX`], with consent to analytics only.
    pub user_agent: Option<String>,
}

impl Visitor {
    /// What is kept of whoever sent `request`.
    pub(super) fn of(
        request: &Request<'_>,
        trusted_proxies: &[Cidr],
        redirect: &Redirect,
        has_consent: bool,
    ) -> Self {
        let headers = request.headers;
        let user_agent = headers.get("user-agent").filter(|agent| !agent.is_empty());
        let user_agent = user_agent.map(|agent| String::from_utf8_lossy(agent).into_owned());
        let address = client_address(request.peer, trusted_proxies, headers);
        let geo = redirect.geo_header.as_deref().and_then(|name| headers.get(name));
        let said = user_agent.as_deref().unwrap_or_default();
        Self {
            kind: kind(request, said),
            referrer_host: headers
                .get("referer")
                .and_then(|referrer| host(core::str::from_utf8(referrer).ok()?)),
            geo: geo.and_then(client::country),
            device_class: client::device_class(said),
            ip_prefix: address.map(client::truncate_ip),
            ip: address.filter(|_| has_consent),
            agent: user_agent.as_deref().map(client::reduce_user_agent),
            user_agent: user_agent.filter(|_| has_consent).map(|mut agent| {
                agent.truncate(agent.floor_char_boundary(UA_BYTES_MAX));
                agent.replace(char::is_control, "\u{fffd}")
            }),
        }
    }
}

fn kind(request: &Request<'_>, user_agent: &str) -> Kind {
    if request.method == "HEAD" {
        Kind::Head
    } else if is_prefetch(request.headers) {
        Kind::Prefetch
    } else if client::is_bot(user_agent) {
        Kind::Bot
    } else {
        Kind::Click
    }
}

/// Whether a browser says that nobody has clicked yet: `Sec-Purpose: prefetch;prerender` (Chrome, Firefox), `Purpose` (older ones,
/// Safari's previews), `X-Moz` (older Firefox).
fn is_prefetch(headers: Headers<'_>) -> bool {
    const AHEAD: [&str; 3] = ["prefetch", "prerender", "preview"];
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().flat_map(|name| headers.all(name)).any(|value| {
        let value = value.to_ascii_lowercase();
        AHEAD.iter().any(|word| value.windows(word.len()).any(|part| part == word.as_bytes()))
    })
}

/// The host of a URL, in lower case and without user and port. A path or a query may hold anything about the visitor.
fn host(url: &str) -> Option<(String, bool)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    Some(cut(&host.to_ascii_lowercase()))
}
