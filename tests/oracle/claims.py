"""The few members of a token's header and claims that are read, and the dates among them."""

import json
import re
from decimal import Context, Decimal, InvalidOperation

import rules
import strict_json
from strict_json import Number

DEPTH_MAX = 64
TIME_MAX = 253_402_300_799_999
PLAIN_DATE = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]+))?")


class NotMembers(Exception):
    """Why no member can be told: `encoding`, `json`, `object`, `deep` or `repeated`; of a date: `form` or `range`."""


class _Object(list):
    """The members of an object in their order, whatever their names."""


def _refuse(_):
    raise ValueError


READER = json.JSONDecoder(object_pairs_hook=_Object, parse_int=Number, parse_float=Number, parse_constant=_refuse)


def _depth(value):
    if not isinstance(value, list):
        return 0
    inner = [member for _, member in value] if isinstance(value, _Object) else value
    return 1 + max(map(_depth, inner), default=0)


def is_text(value):
    """Whether that is a text without half a surrogate pair and noncharacters."""
    return isinstance(value, str) and not any(
        0xD800 <= ord(one) < 0xE000 or strict_json.is_noncharacter(ord(one)) for one in value
    )


def members(data, wanted):
    """The wanted members of the object that the bytes are. What is not wanted may be any JSON."""
    if not rules.TOKEN:
        return _strict_members(data)
    try:
        # White space is that of JSON, which the reader does not skip in front.
        value, end = READER.raw_decode(data.decode().lstrip(" \t\n\r"))
    except (ValueError, RecursionError):
        raise NotMembers("json") from None
    if data.decode().lstrip(" \t\n\r")[end:].strip(" \t\n\r"):
        raise NotMembers("json")
    if not isinstance(value, _Object):
        raise NotMembers("object")
    if _depth(value) > DEPTH_MAX:
        raise NotMembers("deep")
    found = [(name, one) for name, one in value if name in wanted]
    if len(dict(found)) < len(found):
        raise NotMembers("repeated")
    return dict(found)


def _strict_members(data):
    try:
        value = strict_json.read(data, depth_max=8, nodes_max=512)
    except strict_json.Malformed:
        raise NotMembers("json") from None
    if not isinstance(value, dict):
        raise NotMembers("object")
    return value


def milliseconds(value):
    """A NumericDate (RFC 7519 §2) in milliseconds; what is finer is cut off."""
    if not isinstance(value, Number):
        raise NotMembers("form")
    if not rules.TOKEN:
        match = PLAIN_DATE.fullmatch(value.literal)
        if not match:
            raise NotMembers("form")
        return min(1000 * int(match[1]) + int(((match[2] or "") + "000")[:3]), TIME_MAX)
    try:
        seconds = Decimal(value.literal)
    except InvalidOperation:
        raise NotMembers("range") from None
    if seconds < 0 or seconds > TIME_MAX:
        raise NotMembers("range")
    # No literal in a token has more digits, so that nothing is rounded.
    cut_off = int(Context(prec=9000).scaleb(seconds, 3))
    if cut_off > TIME_MAX:
        raise NotMembers("range")
    return cut_off
