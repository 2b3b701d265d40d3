"""Where a request comes from: client address and client certificate (docs/config.md; components/core/src/source.rs)."""

import ipaddress
import re

import certificate as one_way
import rules

HOPS_MAX = 32
NAT64 = ipaddress.ip_network("64:ff9b::/96")
NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
CERTIFICATE_BYTES_MAX = 32_768
PAIR = re.compile(rb'\s*([A-Za-z0-9]+)=(?:"((?:[^"\\]|\\.)*)"|([^,;"]*))', re.DOTALL)


def address(text):
    """An address, or None; an IPv4-mapped one is that of IPv4. IPv6 scopes name an interface, not an address."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if parsed.version == 6:
        if parsed.scope_id is not None:
            return None
        return parsed.ipv4_mapped or parsed
    return parsed


def is_in(one, networks):
    return any(one.version == network.version and one in network for network in networks)


def _forwarded(element):
    """An address as proxies write it: alone, or with a port."""
    try:
        text = element.decode()
    except UnicodeDecodeError:
        return None
    bracketed = re.fullmatch(r"\[([^\[\]]*:[^\[\]]*)]", text)
    if bracketed and rules.ADDRESS:
        return address(bracketed[1])
    port = re.fullmatch(r"(?:([\d.]+)|\[([^\[\]]+)]):(\d{1,5})", text, re.ASCII)
    if port and int(port[3]) < 65536:
        plain = address(port[1] or port[2])
        if port[2] and ":" not in port[2]:
            return None
        return plain
    return address(text)


def client_address(peer, trusted, headers):
    """The nearest address that is not a trusted proxy's; None where it cannot be known."""
    client = address(peer)
    elements = [element.strip() for field in headers.all("x-forwarded-for") for element in field.split(b",")]
    elements = [element for element in elements if element]
    for _ in range(HOPS_MAX + 1):
        if not is_in(client, trusted) or not elements:
            return client
        client = _forwarded(elements.pop())
        if client is None:
            return None
    return None


def throttle_key(client):
    """Who a source is for the throttle: an IPv4 address, however it is written, or an IPv6 /64."""
    if client.version == 4:
        return client
    if rules.ADDRESS:
        low = int(client) & 0xFFFFFFFF
        if client in NAT64 or client in NAT64_LOCAL:
            return ipaddress.IPv4Address(low)
        if client.sixtofour:
            return client.sixtofour
        if client.teredo:
            return ipaddress.IPv4Address(low ^ 0xFFFFFFFF)
    return int(client) >> 64


def _elements(field):
    """The elements of an `x-forwarded-client-cert` field, as lists of names and values; None where it is malformed."""
    elements, at = [[]], 0
    while True:
        pair = PAIR.match(field, at)
        if not pair or len(field) > CERTIFICATE_BYTES_MAX:
            return None
        elements[-1].append((pair[1].lower(), pair[2] if pair[2] is not None else pair[3]))
        separator, at = field[pair.end() : pair.end() + 1], pair.end() + 1
        if not separator:
            return elements
        if separator not in (b",", b";"):
            return None
        if separator == b",":
            elements.append([])


def certificate(peer, trusted, headers):
    """What a trusted proxy says of the client's certificate: names and digests in the very last element."""
    fields = headers.all("x-forwarded-client-cert")
    if not is_in(address(peer), trusted):
        return [], []
    if rules.CERTIFICATE:
        return one_way.identities(fields)
    fields = [_elements(field) for field in fields]
    if not fields or None in fields:
        return [], []
    pairs = fields[-1][-1]
    uris = [value.decode("utf-8", "replace") for name, value in pairs if name == b"uri" and value]
    return uris, [value.decode("latin-1").lower() for name, value in pairs if name == b"hash"]
