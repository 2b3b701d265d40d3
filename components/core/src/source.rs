//! Where a request comes from: address and client certificate, and whether a partner may send from there (source §5).
//!
//! What a header says of its sender is believed only from a proxy that the operator trusts, and only the part that this
//! proxy wrote: everything further left may be the sender's own invention.

mod certificate;
mod x509;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crate::headers::Headers;

pub use self::certificate::{
    FORWARDED_CERTIFICATE_BYTES_MAX, ForwardedCertificate, ForwardedProblem, forwarded_certificate,
};

/// Where a partner's requests must come from. An empty list demands nothing.
#[derive(Clone, Debug, Default)]
pub struct SourcePolicy {
    /// Networks that the client's address must be in one of.
    pub allow: Vec<Cidr>,
    /// URI subject alternative names; the client's certificate must have one of these, exactly, or one of the digests below.
    pub certificate_uri: Vec<Box<str>>,
    /// SHA-256 digests of certificates in DER form.
    pub certificate_sha256: Vec<[u8; 32]>,
}

impl SourcePolicy {
    /// Whether a client certificate has to be presented.
    #[must_use]
    pub fn demands_certificate(&self) -> bool {
        !self.certificate_uri.is_empty() || !self.certificate_sha256.is_empty()
    }
}

/// Which demand of a [`SourcePolicy`] is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceReject {
    /// The address is in no allowed network, or is not known.
    Address,
    /// There is no client certificate, or none of its names and not its digest are allowed.
    Certificate,
}

/// One thing that is known of the client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// A URI subject alternative name, such as `spiffe://acme/postbacks`.
    Uri(&'a str),
    /// The SHA-256 of the certificate in DER form.
    Sha256([u8; 32]),
}

/// Checks a client's address and certificate.
///
/// `certificate` is what is known of the one certificate that the client proved to hold: from the proxy's own TLS
/// connection, or from [`forwarded_certificate`]. Where both lists of the policy are filled, either may match.
///
/// # Errors
/// The first [`SourceReject`], the address before the certificate. A list that is not empty is not met by what is unknown.
pub fn check<'a>(
    policy: &SourcePolicy,
    address: Option<IpAddr>,
    certificate: impl IntoIterator<Item = Identity<'a>>,
) -> Result<(), SourceReject> {
    let in_allowed = |address| policy.allow.iter().any(|network| network.contains(address));
    if !policy.allow.is_empty() && !address.is_some_and(in_allowed) {
        return Err(SourceReject::Address);
    }
    let is_allowed = |identity| match identity {
        Identity::Uri(uri) => policy.certificate_uri.iter().any(|allowed| **allowed == *uri),
        Identity::Sha256(digest) => policy.certificate_sha256.contains(&digest),
    };
    if policy.demands_certificate() && !certificate.into_iter().any(is_allowed) {
        return Err(SourceReject::Certificate);
    }
    Ok(())
}

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// Never an IPv4-mapped IPv6 address; the bits after the prefix are zero.
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `203.0.113.0/24`, `2001:db8::/32`, or a bare address, which is a network of one.
    ///
    /// An IPv4-mapped network such as `::ffff:203.0.113.0/120` is the IPv4 network.
    ///
    /// # Errors
    /// A [`CidrProblem`] where that is not an address and a prefix in plain decimal, or where bits after the prefix are set:
    /// whoever wrote `203.0.113.7/24` may have meant one host, and would have allowed 256.
    pub fn parse(text: &str) -> Result<Self, CidrProblem> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrProblem::Address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(bits), prefix_length).filter(|prefix| *prefix <= bits);
        let prefix = prefix.ok_or(CidrProblem::Prefix)?;

        let network = masked(address, prefix);
        let canonical = match (network, network.to_canonical()) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => Self { network: v4, prefix: prefix.saturating_sub(96) },
            _ => Self { network, prefix },
        };
        if network == address { Ok(canonical) } else { Err(CidrProblem::HostBits { network: canonical }) }
    }

    /// Whether `address` is in the network. An IPv4-mapped IPv6 address is the IPv4 address, so that a client has one
    /// address on dual-stack listeners too; no IPv4 address is in an IPv6 network, `::/0` included.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix) == self.network
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrProblem {
    /// What stands before the `/` is neither an IPv4 nor an IPv6 address.
    Address,
    /// The prefix is not a number from 0 to 32 (IPv4) or 128 (IPv6) in plain decimal.
    Prefix,
    /// Bits after the prefix are set.
    HostBits {
        /// The network with these bits cleared, to be offered as the correction.
        network: Cidr,
    },
}

impl fmt::Display for CidrProblem {
    /// What to write instead.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => {
                f.write_str("write an IPv4 or IPv6 network, such as 203.0.113.0/24 or 2001:db8::/32")
            }
            Self::Prefix => {
                f.write_str("write a prefix length of 0 to 32 (IPv4) or 0 to 128 (IPv6) after the /")
            }
            Self::HostBits { network } => {
                write!(f, "write {network} for the whole network, or the address alone for one host")
            }
        }
    }
}

/// The most addresses of `x-forwarded-for` that are looked at, from the right.
pub const HOPS_MAX: usize = 32;

/// The client's address: the nearest one that is not a trusted proxy's.
///
/// `peer` is whoever opened the connection. If that is a trusted proxy, `x-forwarded-for` is read from the right: each
/// trusted proxy vouches for the address that it appended. Several fields count as one list, and empty elements for nothing.
/// Where every address is trusted, the leftmost is the client: the request began inside.
///
/// `None` where the client cannot be known: no peer, an element that is not an address (brackets around an IPv6 address and a
/// port after it are allowed) where a proxy should have written one, or more than [`HOPS_MAX`] proxies. An allow-list is not met then.
#[must_use]
pub fn client_address(peer: Option<IpAddr>, trusted: &[Cidr], headers: Headers<'_>) -> Option<IpAddr> {
    let mut client = peer?.to_canonical();
    let mut elements = fields_from_last(headers, b"x-forwarded-for")
        .flat_map(|field| field.rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty());
    for _ in 0..=HOPS_MAX {
        if !is_trusted(client, trusted) {
            return Some(client);
        }
        let Some(element) = elements.next() else {
            return Some(client);
        };
        client = forwarded_address(element)?;
    }
    None
}

/// The digest that 64 hexadecimal digits of either case stand for, such as Envoy gives of a certificate.
#[must_use]
pub fn sha256_of_hex(hex: &[u8]) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        let [high, low] = *digits else { return None };
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(digest)
}

/// The fields of that name (in lower case), the last first.
fn fields_from_last<'a>(
    headers: Headers<'a>,
    name: &'static [u8],
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let named = move |(field, _): &&(&[u8], &[u8])| field.eq_ignore_ascii_case(name);
    headers.0.iter().rev().filter(named).map(|(_, value)| *value)
}

fn is_trusted(address: IpAddr, trusted: &[Cidr]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// An address as proxies write it: alone or with a port, an IPv6 address with brackets or without (`203.0.113.7:4711`,
/// `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:4711`).
///
/// A zone (`fe80::1%2`) says something to the machine that wrote it and to nobody else: such an element is not an address.
fn forwarded_address(element: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(element).ok().filter(|text| !text.contains('%'))?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

/// A prefix length in plain decimal, without a sign or a leading zero.
fn prefix_length(text: &str) -> Option<u8> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    if plain { text.parse().ok() } else { None }
}

/// The address with only its first `prefix` bits.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let bits = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & !host).into())
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(bits).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & !host).into())
        }
    }
}
