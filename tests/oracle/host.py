"""A host: takes a request through the checks, hands the event on to the vector's upstream, and settles the claim."""

import re

import gate
import receipt
from answer import FAILURE_MS, Answer, Reject, refusal, success
from policy import in_force

TRANSPORT = {"date", "server", "connection", "keep-alive", "transfer-encoding", "host", "x-request-id"}
OK = {"status": 200, "headers": [], "body": ""}
# What is refused at `/collect` before anything of the hop is read, and what the store says of an event.
BEFORE_THE_HOP = {"content_type_unsupported", "payload_too_large", "source_limited", "store_unavailable"}
OF_THE_STORE = {"event_id_reused", "in_flight", "event_too_old"}
# 4xx that speak of the hop to the upstream and not of the event.
OF_THE_HOP = {401, 403, 404, 405, 407, 408, 411, 413, 414, 415, 417, 421, 426, 431}
# 5xx that no intermediary makes of a request which it sent on.
KNOWN = {500, 501}


def is_transport(name):
    """Whether vectors do not compare the field (tests/src/vector.rs)."""
    return name in TRANSPORT or name.startswith("x-envoy-")


def answer(wire, policy, store, is_inbox, now, upstream):
    """What the sender hears of one request."""
    request = gate.Request(wire, policy, store, is_inbox, now)
    try:
        gate.examine(request)
        claim, found, more = gate.claim(request)
        if found == "duplicate_of":
            return success("fallback_duplicate", duplicate_of=more)
        issued = _receipt(policy, claim, more if found == "seen" else claim.receipt_key)
        if found == "seen":
            return success("duplicate", receipt=issued)
        if is_inbox:
            return success("accepted", quota=more, receipt=issued)
    except Reject as reject:
        return refusal(_of_the_hop(request, reject), policy.documentation_url)
    heard = _settle(policy, store, claim, upstream, now, issued, more)
    heard.handed_on = _told(policy, claim, issued, wire.body, now)
    return heard


def _of_the_hop(request, reject):
    """The refusal as a filter in front hears it: what is wrong is the operator's, and nothing was accepted."""
    is_hop = request.is_inbox and request.collects
    if not is_hop or reject.code in BEFORE_THE_HOP:
        return reject
    reject.not_accepted = _identifier(request.attested_id or "")
    if reject.code in OF_THE_STORE:
        return reject
    reject.status, reject.retry_ms = 503, FAILURE_MS
    if reject.why != "attestation_missing":
        reject.hint = reject.hint or "of_the_hop"
    return reject


def _receipt(policy, claim, key_id):
    """The receipt of the key that was in force at the claim, or of the newest where that one is gone."""
    keys = {key.id: key for key in policy.receipt_keys}
    key = keys.get(key_id) or in_force(policy.receipt_keys, claim.now)
    return receipt.issue(key.secret, claim.partner.name, claim.event.id, claim.payload_hash)


def _told(policy, claim, issued, body, now):
    """The fields on what is handed on, sorted."""
    partner, event_id = claim.partner.name, claim.event.id
    attestation = receipt.attest(in_force(policy.hop_keys, now).secret, now, partner, event_id, body)
    fields = {"partner": partner, "event-id": event_id, "receipt": issued, "attestation": attestation}
    return sorted([f"x-countersign-{name}", value] for name, value in fields.items())


def _settle(policy, store, claim, upstream, now, issued, quota):
    """Check 13: what the upstream did decides over the claim, and over what the sender hears."""
    if upstream == "pending":
        return Answer("")
    reply = OK if upstream == "ok" else None if upstream in ("reset", "timeout") else upstream["reply"]
    end, code = _judge(reply, claim.event.id)
    if end == "commit":
        store.commit(claim, now)
        return success(code, quota=quota, receipt=issued)
    if end == "release":
        store.release(claim)
    if code == "fallback_duplicate":
        return success(code, duplicate_of=_identifier(_fields(reply)["x-countersign-duplicate-of"]))
    if code == "upstream_refused":
        return _passed_on(reply)
    retry_ms = FAILURE_MS if end == "release" else claim.lease_until - now
    return refusal(Reject(code, retry_ms=retry_ms), policy.documentation_url)


def _judge(reply, event_id):
    """The claim's end (`commit`, `release`, or `lease` where nobody knows) and the code of the answer."""
    if reply is None:
        return "lease", "upstream_unavailable"
    status, fields = reply["status"], _fields(reply)
    vouched = fields.get("x-countersign-not-accepted") == event_id
    if 200 <= status < 300 and vouched:
        return "lease", "upstream_unavailable"
    if 200 <= status < 300:
        if "x-countersign-duplicate-of" in fields:
            return "release", "fallback_duplicate"
        replayed = fields.get("idempotent-replayed", "").lower() == "true"
        return "commit", "duplicate" if replayed else "accepted"
    if status < 400:
        return "lease", "upstream_redirect_refused"
    if status < 500:
        of_the_hop = status in OF_THE_HOP and not vouched
        return "release", "upstream_unavailable" if of_the_hop else "upstream_refused"
    known = vouched or status in KNOWN
    return "release" if known else "lease", "upstream_unavailable"


def _identifier(text):
    """An event id as it may stand in a header field, or None."""
    return text if re.fullmatch("[!-~]{1,128}", text) else None


def _fields(reply):
    return {name.lower(): value for name, value in reply["headers"]}


def _passed_on(reply):
    """The upstream's own answer."""
    headers = [[name.lower(), value] for name, value in reply["headers"] if not is_transport(name.lower())]
    # What the upstream says to the gate is not for the sender.
    headers = [field for field in headers if not field[0].startswith("x-countersign-")]
    length = ["content-length", str(len(reply["body"].encode()))]
    return Answer("upstream_refused", reply["status"], sorted([*headers, length]), reply["body"])
