"""Receipts and attestations (components/core/src/receipt.rs, attestation.rs)."""

import hmac
import re

import mac

AGE_MS_MAX, AHEAD_MS_MAX = 300_000, 60_000
FORM = re.compile(rb"v1;t=(0|[1-9][0-9]{0,14});mac=([A-Za-z0-9_-]{43})")
TIME_MAX = 253_402_300_799_999


class NotAttested(Exception):
    """Why an attestation is not believed, a cause of docs/answers.md; and the skew where its time is what is wrong."""

    def __init__(self, cause, skew_ms=None):
        super().__init__(cause)
        self.cause, self.skew_ms = cause, skew_ms


def issue(key, partner, event_id, payload_hash):
    tag = mac.tag(key, "countersign receipt v1", partner.encode(), event_id.encode(), payload_hash)
    return "cs1_" + mac.to_base64url(tag)


def _attestation_tag(key, at, partner, event_id, body):
    parts = (str(at).encode(), partner.encode(), event_id.encode(), mac.sha256(body))
    return mac.tag(key, "countersign attestation v1", *parts)


def attest(key, at, partner, event_id, body):
    return f"v1;t={at};mac={mac.to_base64url(_attestation_tag(key, at, partner, event_id, body))}"


def check_attestation(keys, field, partner, event_id, body, now):
    """Raises NotAttested. The MAC comes before the age: only a hop learns of a clock that is wrong."""
    match = FORM.fullmatch(field)
    tag = mac.from_base64url(match[2]) if match else None
    if tag is None or int(match[1]) > TIME_MAX:
        raise NotAttested("attestation_form")
    at = int(match[1])
    if not any(hmac.compare_digest(_attestation_tag(key, at, partner, event_id, body), tag) for key in keys):
        raise NotAttested("attestation_mismatch")
    if now - at > AGE_MS_MAX or at - now > AHEAD_MS_MAX:
        raise NotAttested("attestation_stale", at - now)
