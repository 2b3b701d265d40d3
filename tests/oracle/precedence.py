"""Whether a precedence vector breaches both rules.

`A-before-B` must answer B once A is mended, A once B is mended, and must be accepted once both are.
"""

import base64
import copy
import json
import re

import canonical
import click
import mac
import receipt
import strict_json
import vector

CLICK_AGE_MS = 3_600_000
# Each breach, and the code with which it is refused.
CODES = {
    "method": "method_not_allowed",
    "path": "not_found",
    "content-type": "content_type_unsupported",
    "size": "payload_too_large",
    "throttle": "source_limited",
    "token-missing": "token_missing",
    "partner": "partner_unknown",
    "address": "source_not_allowed",
    "certificate": "certificate_not_allowed",
    "token": "token_invalid",
    "token-expiry": "token_expired",
    "token-lifetime": "token_lifetime_too_long",
    "attestation": "attestation_invalid",
    "json": "payload_malformed",
    "signature": "signature_invalid",
    "event": "event_invalid",
    "click": "click_id_invalid",
    "too-old": "event_too_old",
    "quota": "rate_limited",
    "repeat": "duplicate",
    "reuse": "event_id_reused",
    "in-flight": "in_flight",
    "fallback": "fallback_duplicate",
    "upstream-failure": "upstream_unavailable",
    "upstream-redirect": "upstream_redirect_refused",
    "upstream-refusal": "upstream_refused",
}


def breaches(vector_id):
    """The two names in `A-before-B`; those of `/collect` are the same without their prefix."""
    return [name.removeprefix("collect-") for name in vector_id.split("-before-")]


class Draft:
    """The last request of a vector, taken apart, so that a part can be mended and everything signed anew."""

    def __init__(self, policy, step):
        self.policy, self.step = policy, copy.deepcopy(step)
        self.request, self.at = self.step["request"], step["at_ms"]
        body, self.tail = vector.to_bytes(self.request["body"]), b""
        try:
            self.members = strict_json.read(body)
        except strict_json.Malformed as error:
            body, self.tail = body[: error.offset], body[error.offset :]
            self.members = strict_json.read(body)
        self.attested = self.field("x-countersign-attestation") is not None
        path = self.request["path"].split("/")
        self.collects = path[1] == "collect"
        self.partner = policy.partners["plain" if self.collects else path[2]]
        self.is_signed = self.field("x-signature") != "sha256=" + "0" * 64
        bearer = self.field("authorization")
        self.claims = bearer and json.loads(mac.from_base64url(bearer.split(".")[1].encode()))

    def field(self, name):
        return next((value for field, value in self.request["headers"] if field == name), None)

    def set(self, name, value):
        self.request["headers"] = [field for field in self.request["headers"] if field[0] != name] + [[name, value]]

    def mend_token(self, **claims):
        seconds = self.at // 1000
        fresh = {"iss": self.partner.name, "aud": "countersign", "iat": seconds - 1, "exp": seconds + 299}
        self.claims = (self.claims or fresh) | {name: fresh[name] for name in claims}

    def finish(self):
        """The step as its sender would send it."""
        payload = canonical.write(self.members)
        body = payload + self.tail
        self.request["body"] = body.decode()
        if self.is_signed:
            self.set("x-signature", "sha256=" + mac.hmac_sha256(self.partner.keys[0].secret, payload).hex())
        if self.claims:
            parts = ({"alg": "HS256"}, self.claims)
            message = ".".join(mac.to_base64url(json.dumps(part).encode()) for part in parts)
            tag = mac.hmac_sha256(self.partner.token["keys"][0].secret, message.encode())
            self.set("authorization", f"Bearer {message}.{mac.to_base64url(tag)}")
        if self.attested:
            told = (self.partner.name, self.members["event_id"])
            self.set("x-countersign-partner", told[0])
            self.set("x-countersign-event-id", told[1])
            self.set("x-countersign-attestation", receipt.attest(self.policy.hop_keys[0].secret, self.at, *told, body))
        return self.step


def _mend_click(draft):
    minted = draft.at - CLICK_AGE_MS
    draft.members["click_id"] = click.mint(draft.policy.click_keys[0].secret, minted, (1).to_bytes(8, "big"))


# How each breach of a request itself is mended. The other ones are what happened before, or what the upstream does.
MENDS = {
    "method": lambda draft: draft.request.update(method="POST"),
    "path": lambda draft: draft.request.update(path=f"/postback/{draft.partner.name}"),
    "content-type": lambda draft: draft.set("content-type", "application/json"),
    "size": lambda draft: draft.members.pop("pad", None),
    "token-missing": lambda draft: draft.mend_token(),
    "partner": lambda draft: draft.mend_token(iss=True),
    "address": lambda draft: draft.set("x-forwarded-for", str(draft.partner.allow[0][7])),
    "certificate": lambda draft: draft.set("x-forwarded-client-cert", f"URI={draft.partner.certificate_uri[0]}"),
    "token": lambda draft: draft.mend_token(aud=True),
    "token-expiry": lambda draft: draft.mend_token(exp=True),
    "token-lifetime": lambda draft: draft.mend_token(iat=True),
    "attestation": lambda draft: setattr(draft, "attested", True),
    "json": lambda draft: setattr(draft, "tail", b""),
    "signature": lambda draft: setattr(draft, "is_signed", True),
    "event": lambda draft: draft.members.update(ts_event="2026-10-21T15:12:30Z"),
    "click": _mend_click,
    "upstream-failure": lambda draft: draft.step.pop("upstream", None),
    "upstream-redirect": lambda draft: draft.step.pop("upstream", None),
    "upstream-refusal": lambda draft: draft.step.pop("upstream", None),
}


def _led_up_to(step, last):
    """The breaches an earlier request leads up to: it was refused, spends quota, or holds the event or one like it."""
    if step["expect"]["code"] in ("signature_invalid", "attestation_invalid"):
        return {"throttle"}
    event_id = re.search(r'"event_id":"([^"]*)"', step["request"]["body"])[1]
    if event_id.startswith("q-"):
        return {"quota"}
    return {"repeat", "reuse", "in-flight"} if f'"event_id":"{event_id}"' in last["request"]["body"] else {"fallback"}


def mended(policy, entry, names):
    """The vector with these breaches mended."""
    *before, last = entry["steps"]
    draft = Draft(policy, last)
    for name in names:
        if name in MENDS:
            MENDS[name](draft)
    kept = [copy.deepcopy(step) for step in before if not _led_up_to(step, last) & set(names)]
    for step in kept:
        if _led_up_to(step, last) == {"throttle"}:
            # Whoever was refused before is whoever sends now.
            headers = dict(step["request"]["headers"]) | {"x-forwarded-for": draft.field("x-forwarded-for")}
            step["request"]["headers"] = [[name, value] for name, value in headers.items()]
    return {**entry, "steps": [*kept, draft.finish()]}


def problems(policy, entry, answer_of):
    """What is wrong with a precedence vector. `answer_of` plays a vector and tells the code of its last step."""
    names = breaches(entry["id"])
    if len(names) != 2 or not set(names) <= set(CODES):
        return [f"{entry['id']}: no two breaches that tests/oracle/precedence.py knows"]
    first, second = names
    wanted = [((), CODES[first]), ((first,), CODES[second]), ((second,), CODES[first]), (names, "accepted")]
    found = []
    for mend, code in wanted:
        got = answer_of(mended(policy, entry, mend)) if mend else answer_of(entry)
        if got != code:
            what = " and ".join(mend) or "nothing"
            found.append(f"{entry['id']}: with {what} mended the answer is {got}, not {code}")
    return found
