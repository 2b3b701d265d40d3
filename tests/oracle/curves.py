"""ECDSA on P-256 (FIPS 186-5 §6.4.2) and Ed25519 (RFC 8032 §5.1.7), in plain integers. Only for verification."""

import hashlib

# P-256: y² = x³ - 3x + B over the field of P; the group has N elements.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def _add(one, two):
    """The sum of two points; None is the neutral one."""
    if one is None or two is None:
        return one or two
    (x1, y1), (x2, y2) = one, two
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def _times(scalar, point, add, neutral):
    total = neutral
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def es256(public, message, signature):
    """Whether a signature (r and s, 64 bytes) is right under a public key (x and y, 64 bytes)."""
    x, y = int.from_bytes(public[:32]), int.from_bytes(public[32:])
    on_curve = max(x, y) < P and (y * y - x * x * x + 3 * x - B) % P == 0
    if len(public) != 64 or len(signature) != 64 or not on_curve:
        return False
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < N and 0 < s < N):
        return False
    digest = int.from_bytes(hashlib.sha256(message).digest())
    inverse = pow(s, -1, N)
    point = _add(_times(digest * inverse % N, BASE, _add, None), _times(r * inverse % N, (x, y), _add, None))
    return point is not None and point[0] % N == r


# Ed25519: -x² + y² = 1 + D x² y² over the field of Q; the base point has order L.
Q = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, Q) % Q
ROOT = pow(2, (Q - 1) // 4, Q)


def _recover(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, -1, Q) % Q
    x = pow(square, (Q + 3) // 8, Q)
    if x * x % Q != square:
        x = x * ROOT % Q
    if x * x % Q != square or (x == 0 and sign):
        return None
    return x if x % 2 == sign else Q - x


def _decompress(data):
    """The point of 32 bytes, or None: y below the field's order, x on the curve."""
    number = int.from_bytes(data, "little")
    y, sign = number % 2**255, number >> 255
    x = _recover(y, sign) if y < Q else None
    return None if x is None else (x, y)


def _sum(one, two):
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2 % Q
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, Q)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, Q)
    return x % Q, y % Q


NEUTRAL = (0, 1)
BASE_25519 = (_recover(4 * pow(5, -1, Q) % Q, 0), 4 * pow(5, -1, Q) % Q)


def eddsa(public, message, signature):
    """Whether an Ed25519 signature is right, strictly: one encoding per point and scalar, no point of small order."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = _decompress(public), _decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L or NEUTRAL in (_times(8, a, _sum, NEUTRAL), _times(8, r, _sum, NEUTRAL)):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return _times(s, BASE_25519, _sum, NEUTRAL) == _sum(r, _times(k, a, _sum, NEUTRAL))
