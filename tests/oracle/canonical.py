"""Canonical JSON (RFC 8785): the bytes that a signature covers."""

import re
from decimal import Decimal

from strict_json import Number, is_exact, utf16

SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def number(literal):
    """A number as ECMAScript's `Number::toString` writes it (ECMA-262 §6.1.6.1.20)."""
    if not is_exact(literal):
        # Only where the body's bytes are signed. Its shortest text would make one of two payloads.
        return literal
    double = float(literal)
    if double == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(double)).normalize().as_tuple()
    digits = "".join(map(str, digits))
    count, point = len(digits), len(digits) + exponent
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        power = point - 1
        fraction = "." + digits[1:] if count > 1 else ""
        text = f"{digits[0]}{fraction}e{'+' if power >= 0 else '-'}{abs(power)}"
    return "-" * sign + text


def text(value):
    escape = lambda match: SHORT.get(match[0], f"\\u{ord(match[0]):04x}")
    return '"' + re.sub(r'["\\\x00-\x1f]', escape, value) + '"'


def _write(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return number(value.literal)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    return "{" + ",".join(text(name) + ":" + _write(value[name]) for name in sorted(value, key=utf16)) + "}"


def write(document, without=None):
    """The canonical form, where `without` names a top-level member to leave out."""
    if isinstance(document, dict) and without is not None:
        document = {name: value for name, value in document.items() if name != without}
    return _write(document).encode()
