"""XChaCha20-Poly1305 (RFC 8439 with the nonce of draft-irtf-cfrg-xchacha §2), to open sealed click ids."""

import hmac
import struct

CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def _quarter(s, a, b, c, d):
    for add, to, turn in ((b, d, 16), (d, b, 12), (b, d, 8), (d, b, 7)):
        at = a if to == d else c
        s[at] = (s[at] + s[add]) & 0xFFFFFFFF
        mixed = s[to] ^ s[at]
        s[to] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF


def _rounds(state):
    s = list(state)
    for _ in range(10):
        for column in range(4):
            _quarter(s, column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            _quarter(s, diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return s


def _block(key, counter, nonce):
    state = CONSTANTS + struct.unpack("<8I", key) + (counter,) + struct.unpack("<3I", nonce)
    return struct.pack("<16I", *((one + two) & 0xFFFFFFFF for one, two in zip(_rounds(state), state)))


def _hchacha(key, nonce):
    s = _rounds(CONSTANTS + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    return struct.pack("<8I", *s[:4], *s[12:])


def _poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at : at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def _padded(data):
    return data + bytes(-len(data) % 16)


def unseal(key, nonce, associated, sealed, tag):
    """The text that was sealed, or None where the tag is not right."""
    subkey, nonce = _hchacha(key, nonce[:16]), bytes(4) + nonce[16:]
    vouched = _padded(associated) + _padded(sealed) + struct.pack("<QQ", len(associated), len(sealed))
    if not hmac.compare_digest(_poly1305(_block(subkey, 0, nonce)[:32], vouched), tag):
        return None
    stream = b"".join(_block(subkey, 1 + at, nonce) for at in range(-(-len(sealed) // 64)))
    return bytes(one ^ two for one, two in zip(sealed, stream))
