"""Instants: milliseconds since the Unix epoch, and RFC 3339 in UTC only."""

import re
from calendar import monthrange
from datetime import datetime, timedelta, timezone

MAX = 253_402_300_799_999
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FORM = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


class NotAnInstant(Exception):
    """Why a text is not an instant; a name of docs/answers.md."""


def parse(text):
    """Milliseconds; what is finer is cut off. A leap second is the last millisecond of its day."""
    match = FORM.fullmatch(text)
    if not match or len(text.encode()) > 64:
        raise NotAnInstant("time_form")
    if match[8] not in ("Z", "z"):
        raise NotAnInstant("time_not_utc")
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    # The calendar of year 0 is that of year 400.
    exists = 1 <= month <= 12 and 1 <= day <= monthrange(year or 400, month)[1] and hour <= 23 and minute <= 59
    leap = (second, hour, minute) == (60, 23, 59) and (month, day) in ((6, 30), (12, 31))
    if not exists or second > 59 and not leap:
        raise NotAnInstant("time_no_such_instant")
    if year < 1970:
        raise NotAnInstant("time_before_epoch")
    milliseconds = 999 if leap else int(((match[7] or "") + "000")[:3])
    at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
    return (at - EPOCH) // timedelta(milliseconds=1) + milliseconds


def write(milliseconds):
    """RFC 3339 with milliseconds."""
    at = EPOCH + timedelta(milliseconds=milliseconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"
