//! `allowed_outbound_hosts`: `<scheme>://<host>[:<port>]` with `*` for any scheme, host, subdomain or port.

use std::net::IpAddr;

use anyhow::{Context as _, bail, ensure};
use http::Uri;

use super::variables::Variables;

/// The destinations that one component may reach.
pub(super) struct AllowedHosts(Vec<Pattern>);

/// One entry of the list.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    /// `None` is any.
    scheme: Option<String>,
    host: Host,
    port: Ports,
}

#[derive(Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// The application itself.
    Own,
    /// With the leading dot.
    Subdomains(String),
    Name(String),
    /// An address and how many of its leading bits count.
    Network(IpAddr, u8),
}

#[derive(Debug, PartialEq, Eq)]
enum Ports {
    Any,
    /// From the first, up to and without the second.
    Range(u16, u32),
}

impl AllowedHosts {
    /// Reads the list of the component at `path`, with its `{{ templates }}` filled.
    pub(super) fn new(path: &str, hosts: &[String], variables: &Variables) -> anyhow::Result<Self> {
        let mut patterns = Vec::new();
        for (index, host) in hosts.iter().enumerate() {
            let path = format!("{path}.allowed_outbound_hosts[{index}]");
            let filled = variables.fill(host).with_context(|| path.clone())?;
            // An empty variable takes its entry away, as in Spin.
            let optional = host.contains("{{") && matches!(filled.as_str(), "" | "http://" | "https://");
            if !optional {
                // The template, not what it became: that may hold a secret.
                patterns.push(Pattern::parse(&filled).with_context(|| format!("{path}: {host:?}"))?);
            }
        }
        Ok(Self(patterns))
    }

    /// Whether a request to `url` may leave.
    pub(super) fn allows(&self, url: &Uri) -> bool {
        self.0.iter().any(|pattern| pattern.allows(url))
    }

    /// Whether a connection to `address` (a URL, or what follows `scheme://`) may be opened.
    pub(super) fn allows_address(&self, address: &str, scheme: &str) -> bool {
        let address =
            if address.contains("://") { address.to_owned() } else { format!("{scheme}://{address}") };
        address.parse().is_ok_and(|url| self.allows(&url))
    }

    /// Whether the application may call itself.
    pub(super) fn allows_self(&self) -> bool {
        let http = |pattern: &Pattern| {
            pattern.scheme.as_deref().is_none_or(|scheme| matches!(scheme, "http" | "https"))
        };
        self.0.iter().any(|pattern| http(pattern) && matches!(pattern.host, Host::Any | Host::Own))
    }
}

impl Pattern {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .context("write <scheme>://<host>[:<port>], for example https://example.com")?;
        ensure!(scheme == "*" || scheme.chars().all(char::is_alphabetic), "the scheme must be letters, or *");
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The colon inside [::1] separates no port.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (rest, ""),
        };
        let host = Host::parse(host)?;
        Ok(Self {
            port: Ports::parse(port, scheme)?,
            scheme: (scheme != "*").then(|| scheme.to_owned()),
            host,
        })
    }

    fn allows(&self, url: &Uri) -> bool {
        let scheme = url.scheme_str().unwrap_or("https");
        let Some(host) = url.host() else { return false };
        let port = url.port_u16().or_else(|| well_known_port(scheme));
        self.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
            && self.host.allows(host)
            && self.port.allows(port)
    }
}

impl Host {
    fn parse(host: &str) -> anyhow::Result<Self> {
        if let Some(domain) = host.strip_prefix("*.") {
            ensure!(
                !domain.is_empty() && !domain.contains('*'),
                "a wildcard is allowed only as the first label"
            );
            return Ok(Self::Subdomains(format!(".{}", domain.to_ascii_lowercase())));
        }
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::Own),
            "" => bail!("the host is missing"),
            _ => {}
        }
        if let Some((address, bits)) = host.split_once('/') {
            let address: IpAddr = address.parse().context("must not include a path")?;
            let bits = bits
                .parse()
                .ok()
                .filter(|bits| u32::from(*bits) <= width(address))
                .context("the network's length is too big")?;
            return Ok(Self::Network(address, bits));
        }
        ensure!(!host.contains('*'), "a wildcard is allowed only as the first label");
        ensure!(host.is_ascii(), "write the host's ASCII form (xn--…)");
        Ok(match bare(host).parse::<IpAddr>() {
            Ok(address) => Self::Network(address, if address.is_ipv4() { 32 } else { 128 }),
            Err(_) => Self::Name(host.to_ascii_lowercase()),
        })
    }

    fn allows(&self, host: &str) -> bool {
        let name = host.to_ascii_lowercase();
        match (self, bare(host).parse::<IpAddr>()) {
            (Self::Any, _) => true,
            (Self::Subdomains(suffix), Err(_)) => name.ends_with(suffix),
            (Self::Name(allowed), Err(_)) => name == *allowed,
            (Self::Network(network, bits), Ok(address)) => same_network(*network, address, *bits),
            (Self::Own | Self::Subdomains(_) | Self::Name(_) | Self::Network(..), _) => false,
        }
    }
}

impl Ports {
    fn parse(port: &str, scheme: &str) -> anyhow::Result<Self> {
        if port == "*" {
            return Ok(Self::Any);
        }
        if let Some((from, to)) = port.split_once("..") {
            return Ok(Self::Range(
                from.parse().context("the port range is not of numbers")?,
                to.parse().context("the port range is not of numbers")?,
            ));
        }
        let port = match port {
            "" => well_known_port(scheme)
                .with_context(|| format!("the scheme {scheme:?} has no known port: write it"))?,
            number => number.parse().with_context(|| format!("the port {number:?} is not a number"))?,
        };
        Ok(Self::Range(port, u32::from(port).saturating_add(1)))
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::Range(from, to), Some(port)) => (*from..).contains(&port) && u32::from(port) < *to,
            (Self::Range(..), None) => false,
        }
    }
}

/// An address without the brackets that URLs put around IPv6.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn same_network(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let ignored = width(network).saturating_sub(u32::from(bits));
    width(network) == width(address)
        && number(network).checked_shr(ignored) == number(address).checked_shr(ignored)
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" => Some(6379),
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "mqtt" => Some(1883),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, url: &str) -> bool {
        Pattern::parse(pattern).unwrap().allows(&url.parse().unwrap())
    }

    #[test]
    fn a_pattern_allows_what_it_names_and_no_more() {
        for (pattern, url, expected) in [
            ("https://example.com", "https://example.com/x", true),
            ("https://example.com", "https://EXAMPLE.com:443/", true),
            ("https://example.com", "http://example.com/", false),
            ("https://example.com", "https://example.com:444/", false),
            ("https://example.com", "https://evil-example.com/", false),
            ("https://*.example.com", "https://a.example.com/", true),
            ("https://*.example.com", "https://example.com/", false),
            ("http://127.0.0.1:*", "http://127.0.0.1:9/", true),
            ("http://10.0.0.0/8:8000..8100", "http://10.1.2.3:8099/", true),
            ("http://10.0.0.0/8:8000..8100", "http://10.1.2.3:8100/", false),
            ("http://10.0.0.0/8", "http://11.1.2.3/", false),
            ("http://0.0.0.0/0", "http://11.1.2.3/", true),
            ("http://[::1]:80", "http://[::1]/", true),
            ("http://gate.spin.internal", "http://gate.spin.internal/collect", true),
            ("http://*.spin.internal", "http://gate.spin.internal/collect", true),
            ("*://*:*", "https://anything.example:1/", true),
            ("http://self", "http://self.alt/", false),
        ] {
            assert_eq!(allows(pattern, url), expected, "{pattern} {url}");
        }
    }

    #[test]
    fn a_bad_pattern_says_why() {
        for (pattern, expected) in [
            ("*", "write <scheme>://<host>"),
            ("https://", "the host is missing"),
            ("https://a.*.com", "a wildcard is allowed only"),
            ("https://example.com/path", "must not include a path"),
            ("ftp://example.com", "has no known port"),
            ("https://example.com:x", "is not a number"),
            ("http://10.0.0.0/33", "too big"),
        ] {
            let message = format!("{:#}", Pattern::parse(pattern).unwrap_err());
            assert!(message.contains(expected), "{pattern}: {message}");
        }
    }
}
