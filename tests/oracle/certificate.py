"""`x-forwarded-client-cert` as Envoy writes it, where it can be read in one way only."""

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

import mac

BYTES_MAX = 32_768
# What stands in front of the first name of the certificate, and cannot be made by a name.
PARTS = {
    b"by": rb'[^;,"]*',
    b"hash": rb"[0-9A-Fa-f]*",
    b"cert": rb'"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})*"',
    b"chain": rb'"[A-Za-z0-9%._~-]*"',
    b"subject": rb'"(?:[^"\\;]|\\.)*"',
}
PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("551d11")


class NotOneWay(Exception):
    """The field cannot be read, or can be read in two ways."""


def _names(text):
    """The names at the end: URIs before DNS names, and nothing else; None for each that is not a URI."""
    if b"," in text or b'"' in text:
        raise NotOneWay
    kinds, names = [], []
    for pair in text.split(b";"):
        kind, equals, value = pair.partition(b"=")
        kind = kind.lower()
        if not equals or kind not in (b"uri", b"dns") or kind == b"uri" and b"dns" in kinds:
            raise NotOneWay
        kinds.append(kind)
        names.append(value.decode() if kind == b"uri" and value else None)
    return names


def _element(field):
    """The parts of the one element, and its names."""
    parts, rest = {}, field.strip()
    while True:
        kind = rest.partition(b"=")[0].lower()
        if kind in (b"uri", b"dns"):
            return parts, _names(rest)
        match = kind in PARTS and re.match(rb"\w+=(%b)(;|\Z)" % PARTS[kind], rest, re.DOTALL)
        if not match or kind in parts and kind != b"by":
            raise NotOneWay
        parts[kind] = match[1].strip(b'"') if kind == b"cert" else match[1]
        rest = rest[match.end() :]
        if not match[2]:
            return parts, []


def _elements(data):
    """The DER elements of some bytes: tags and values."""
    found = []
    while data:
        if len(data) < 2 or data[1] == 0x80 or data[1] > 0x83:
            raise NotOneWay
        extra = data[1] & 0x7F if data[1] > 0x80 else 0
        length = int.from_bytes(data[2 : 2 + extra], "big") if extra else data[1]
        if len(data) < 2 + extra + length:
            raise NotOneWay
        found.append((data[0], data[2 + extra : 2 + extra + length]))
        data = data[2 + extra + length :]
    return found


def uri_names(der):
    """The URI names of a certificate (RFC 5280 §4.2.1.6)."""
    ((_, certificate),) = _elements(der)
    certified = _elements(_elements(certificate)[0][1])
    lists = []
    for tag, value in certified:
        if tag == 0xA3:
            for _, extension in _elements(_elements(value)[0][1]):
                (_, name), *_, (_, content) = _elements(extension)
                if name == SUBJECT_ALTERNATIVE_NAME:
                    lists.append(_elements(content)[0][1])
    if len(lists) > 1:
        raise NotOneWay
    return [value.decode() for tag, value in _elements(b"".join(lists)) if tag == 0x86 and value]


def _der(encoded):
    match = PEM.match(unquote_to_bytes(encoded).decode())
    if not match:
        raise NotOneWay
    return base64.b64decode("".join(match[1].split()), validate=True)


def _identities(field):
    parts, names = _element(field)
    digest = parts.get(b"hash", b"").decode().lower()
    digests = [digest] if len(digest) == 64 else []
    if b"cert" in parts:
        der = _der(parts[b"cert"])
        if b"hash" in parts and digests != [mac.sha256(der).hex()]:
            raise NotOneWay
        return uri_names(der), [mac.sha256(der).hex()]
    # More than one name can be one name that holds a semicolon: then the digest alone is known.
    return [name for name in names if name is not None and len(names) == 1], digests


def identities(fields):
    """URI names and digests of the client's certificate, as far as they are known; from the fields of that name."""
    if len(fields) != 1 or len(fields[0]) > BYTES_MAX:
        return [], []
    try:
        return _identities(fields[0])
    except (NotOneWay, ValueError, IndexError, binascii.Error):
        return [], []
