"""HMAC-SHA256 over a purpose and its parts (components/core/src/receipt.rs), and the texts that a tag is written in."""

import base64
import hashlib
import hmac
import re


def sha256(data):
    return hashlib.sha256(data).digest()


def hmac_sha256(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def tag(key, purpose, *parts):
    """`purpose LF`, then for each part its length in decimal, `:`, the part, `LF`."""
    message = purpose.encode() + b"\n" + b"".join(b"%d:%s\n" % (len(part), part) for part in parts)
    return hmac_sha256(key, message)


def to_base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    """The bytes, or None: without padding, without foreign characters, spare bits unset (RFC 4648 §3.5)."""
    if not re.fullmatch(rb"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    return data if to_base64url(data).encode() == text else None


def from_hex(text):
    """The 32 bytes of 64 hexadecimal digits of either case, or None."""
    return bytes.fromhex(text.decode()) if re.fullmatch(rb"[0-9A-Fa-f]{64}", text) else None
