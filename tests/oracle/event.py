"""The event vocabulary: members, and what is wrong with an event that is refused (docs/answers.md, docs/config.md)."""

import re
from dataclasses import dataclass

import identifier
import instants
import money
import rules
import source
from strict_json import Number, is_exact

PROBLEMS_MAX = 8
IDENTIFIERS = ("account_id", "session_id", "install_id")
# In the order in which they are looked at; all but three are labels.
DESCRIPTIONS = (
    "account_id session_id install_id geo device ip ua kyc_level payment_method aff_sub campaign creative_id".split()
)


@dataclass
class Event:
    type: str
    id: str
    click_id: str
    ts_event: int
    currency: str = None
    minor: int = None


class NotAnEvent(Exception):
    """Pointers and names of docs/answers.md, and how far `ts_event` is ahead where it is too far."""

    def __init__(self, problems, skew_ms):
        super().__init__(problems)
        self.problems, self.skew_ms = problems[:PROBLEMS_MAX], skew_ms


def _identifier_problem(value, problem, is_filled_in):
    """What is wrong with an id of visible ASCII, or None."""
    visible = isinstance(value, str) and re.fullmatch(r"[!-~]{1,128}", value) is not None
    if not rules.IDENTIFIER or not isinstance(value, str) or not 1 <= len(value.encode()) <= 128:
        return None if visible else problem
    if visible and not is_filled_in:
        return None
    return identifier.problem(value) or (None if visible else problem)


def _is_filled(value, most):
    return isinstance(value, str) and 1 <= len(value.encode()) <= most


def _describes(name, value):
    """The problem that a member may have, and whether it is right."""
    if name == "ua":
        return "ua", _is_filled(value, 1024)
    if name == "geo":
        return "geo", isinstance(value, str) and re.fullmatch("[A-Z]{2}", value) is not None
    if name == "ip":
        return "ip", isinstance(value, str) and len(value) <= 45 and source.address(value) is not None
    if rules.IDENTIFIER and name in IDENTIFIERS and _is_filled(value, 256):
        cause = identifier.problem(value)
        return cause, cause is None
    return "label", _is_filled(value, 256)


def _money(members, presence, takes_back, problem):
    """Currency and minor units, where both are right."""
    given = [name for name in ("amount", "currency") if name in members]
    if presence == "none":
        for name in given:
            problem(name, "no_money")
        return None, None
    if presence == "optional" and not given:
        return None, None
    code, amount, minor = members.get("currency"), members.get("amount"), None
    known = isinstance(code, str) and code in money.DECIMALS
    if "amount" not in members:
        problem("amount", "amount_missing")
    elif not isinstance(amount, Number):
        problem("amount", "amount_string" if isinstance(amount, str) else "amount")
    elif not is_exact(amount.literal):
        problem("amount", "amount_inexact")
    elif known:
        try:
            minor = money.minor_units(amount.literal, code)
        except money.NotAnAmount as error:
            problem("amount", str(error))
        else:
            if takes_back and minor <= 0:
                problem("amount", "amount_not_positive")
            elif minor < 0:
                problem("amount", "amount_negative")
    if not known:
        problem("currency", "currency" if "currency" in members else "currency_missing")
    return code, minor


def _consent(consent, problem):
    if not isinstance(consent, dict):
        problem("consent", "consent")
        return
    if not _is_filled(consent.get("version"), 256):
        problem("consent/version", "consent_version")
    for name in ("analytics", "ads"):
        if not isinstance(consent.get(name), bool):
            problem(f"consent/{name}", "consent_given")


def read(document, partner, future_ms_max, now):
    """The event of a verified payload; raises NotAnEvent with all that is wrong."""
    problems, skew_ms = [], None
    if not isinstance(document, dict):
        raise NotAnEvent([("", "document")], None)
    problem = lambda name, cause: problems.append((f"/{name}", cause))
    kind, event_id, click_id = (document.get(name) for name in ("event", "event_id", "click_id"))
    known = isinstance(kind, str) and kind in partner.money
    if not known:
        problem("event", "event")
    for name, value in (("event_id", event_id), ("click_id", click_id)):
        # Whether a click id was filled in has a code of its own.
        cause = _identifier_problem(value, name, name == "event_id")
        if cause:
            problem(name, cause)
    ts_event = document.get("ts_event")
    try:
        ts_event = instants.parse(ts_event if isinstance(ts_event, str) else "")
        if ts_event - now > future_ms_max:
            skew_ms = ts_event - now
            problem("ts_event", "ts_event_ahead")
    except instants.NotAnInstant as error:
        problem("ts_event", str(error))
    takes_back = known and kind in ("refund", "chargeback")
    currency, minor = _money(document, partner.money[kind] if known else "optional", takes_back, problem)
    if "original_event_id" not in document:
        if takes_back:
            problem("original_event_id", "original_missing")
    elif _identifier_problem(document["original_event_id"], "original", True):
        problem("original_event_id", _identifier_problem(document["original_event_id"], "original", True))
    elif document["original_event_id"] == event_id:
        problem("original_event_id", "original_is_itself")
    for name in ("is_ftd", "bonus"):
        if name in document and not isinstance(document[name], bool):
            problem(name, name)
    for name in DESCRIPTIONS:
        if name in document:
            cause, right = _describes(name, document[name])
            if not right:
                problem(name, cause)
    if "consent" in document:
        _consent(document["consent"], problem)
    if problems:
        raise NotAnEvent(problems, skew_ms)
    return Event(kind, event_id, click_id, ts_event, currency, minor)
