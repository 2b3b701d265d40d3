"""How an answer is written: status, header fields, body (docs/answers.md)."""

import re
from dataclasses import dataclass, field

import instants
import rules
import texts

PAGE = "docs/rejects.md"
FAILURE_MS = 5_000


@dataclass
class Answer:
    """What a sender hears. `handed_on` is what the upstream was handed, where it was."""

    code: str
    status: int = None
    headers: list = field(default_factory=list)
    body: str = ""
    handed_on: list = None


class Reject(Exception):
    """A refusal or a failure: its code, and what it says beyond that."""

    def __init__(self, code, why=None, *, hint=None, status=None, members=(), skew=None, retry_ms=None, quota=None):
        super().__init__(code)
        # `why` is a cause of docs/answers.md, `hint` a hint there in place of the code's own.
        self.code, self.why, self.hint, self.status, self.members = code, why, hint, status, list(members)
        self.skew, self.retry_ms, self.quota, self.not_accepted = skew, retry_ms, quota, None


def text(value):
    escape = lambda match: "\\" + match[0] if match[0] in '"\\' else f"\\u{ord(match[0]):04x}"
    return '"' + re.sub(r'["\\\x00-\x1f\x7f-\x9f]', escape, value) + '"'


def _json(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{text(name)}:{_json(one)}" for name, one in value.items()) + "}"
    return "[" + ",".join(map(_json, value)) + "]"


def _finish(code, status, content_type, headers, members):
    body = _json(members)
    fixed = {"content-type": content_type, "content-length": str(len(body.encode())), "cache-control": "no-store"}
    return Answer(code, status, sorted([name, value] for name, value in {**headers, **fixed}.items()), body)


def _quota_fields(quota):
    if quota is None:
        return {}
    return {
        "ratelimit-policy": f'"partner";q={quota.burst};w={quota.window_seconds}',
        "ratelimit": f'"partner";r={quota.remaining};t={quota.reset_seconds}',
    }


def refusal(reject, documentation_url):
    """The answer of a Reject."""
    code = reject.code
    name = "rate_limited" if code == "source_limited" else code
    status = reject.status or texts.STATUS[code]
    hint = texts.HINTS[reject.hint or code]
    page = documentation_url if rules.ABSOLUTE_TYPE else PAGE
    members = {"error": name, "hint": hint, "type": page + "#" + code, "title": name, "status": status}
    if rules.DETAIL and reject.why:
        members["detail"] = texts.CAUSES[reject.why]
    members.update(reject.members)
    headers = {}
    if reject.skew:
        skew_ms, now = reject.skew
        told = {"server-time": instants.write(now), "skew-ms": str(skew_ms)}
        headers.update({f"x-countersign-{name}": value for name, value in told.items()})
        members.update(server_time=instants.write(now), skew_ms=skew_ms)
    if reject.retry_ms is not None:
        seconds = max(1, -(-reject.retry_ms // 1000))
        headers["retry-after"] = str(seconds)
        if reject.quota:
            reject.quota.reset_seconds = seconds
    headers.update(_quota_fields(reject.quota))
    if reject.not_accepted is not None:
        headers["x-countersign-not-accepted"] = reject.not_accepted
    if code == "method_not_allowed":
        headers["allow"] = "POST"
    if code.startswith("token_"):
        error = "" if code == "token_missing" else f', error="invalid_token", error_description="{code}"'
        headers["www-authenticate"] = f'Bearer realm="countersign"{error}'
    return _finish(code, status, "application/problem+json", headers, members)


def success(code, quota=None, **members):
    """The answer of an event that is durable: with a receipt, or with the event that it duplicates."""
    replayed = code != "accepted"
    headers = _quota_fields(quota) | ({"idempotent-replayed": "true"} if replayed else {})
    if rules.UPSTREAM_WORD and "duplicate_of" in members:
        headers["x-countersign-duplicate-of"] = members["duplicate_of"] or ""
    return _finish(code, 200, "application/json", headers, {"status": "ok", "idempotent": replayed, **members})
