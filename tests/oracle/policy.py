"""The configuration document (docs/config.md), with its defaults and with keys in place of the secrets' names."""

import base64
import ipaddress
from dataclasses import dataclass, field

import instants

PUBLISHED = "countersign-sandbox-{}-key-is-published"
DOCUMENTATION_URL = "https://countersign.example/docs/rejects.md"
BUILT_IN_MONEY = {
    "registration": "optional",
    "kyc_approved": "optional",
    "install": "optional",
    "deposit_success": "required",
    "refund": "required",
    "chargeback": "required",
}


@dataclass
class Key:
    """A key, a public key or an opaque token, and when it is valid: from `not_before` on, up to before `not_after`."""

    id: str
    secret: bytes
    algorithm: str = ""
    not_before: int = None
    not_after: int = None

    def is_valid_at(self, now):
        return (self.not_before is None or self.not_before <= now) and (self.not_after is None or now < self.not_after)


@dataclass
class Partner:
    name: str
    scheme: str = "jcs"
    place: tuple = ("header", "x-signature")
    tolerance_ms: int = 300_000
    keys: list = field(default_factory=list)
    token: dict = None
    allow: list = field(default_factory=list)
    certificate_uri: list = field(default_factory=list)
    certificate_sha256: list = field(default_factory=list)
    per_second: int = 50
    burst: int = 200
    in_flight_status: int = 503
    past_ms_max: int = None
    money: dict = field(default_factory=lambda: dict(BUILT_IN_MONEY))
    window_ms: dict = field(default_factory=dict)


class Policy:
    def __init__(self, document, secrets):
        self._secrets = secrets
        self.sandbox = document["environment"] == "sandbox"
        limits, dedup = document.get("limits", {}), document.get("dedup", {})
        self.body_bytes_max = limits.get("body_bytes_max", 65_536)
        self.source_requests_per_minute = limits.get("source_requests_per_minute", 600)
        self.ts_event_future_ms_max = 1000 * limits.get("ts_event_future_seconds_max", 300)
        self.entries_per_slot = dedup.get("entries_per_slot", 8)
        self.retention_ms = 86_400_000 * dedup.get("retention_days", 30)
        self.lease_ms = 1000 * dedup.get("lease_seconds", 30)
        self.trusted = [network(text) for text in document.get("trusted_proxies", [])]
        self.click_verify = document.get("click_id", {}).get("verify", "require")
        self.click_keys = [self._key(key) for key in document.get("click_id", {}).get("keys", [])]
        if "click_id" not in document:
            self.click_keys = [Key("sandbox", PUBLISHED.format("click").encode())]
        self.receipt_keys = self._named_keys(document.get("receipt"), "receipt")
        self.hop_keys = self._named_keys(document.get("attestation"), "hop")
        self.documentation_url = document.get("documentation_url", DOCUMENTATION_URL)
        self.is_upstream_idempotent = document.get("upstream", {}).get("idempotent", self.sandbox)
        self.partners = {name: self._partner(name, part) for name, part in document.get("partners", {}).items()}
        if self.sandbox:
            key = Key("sandbox", PUBLISHED.format("signing").encode())
            self.partners["sandbox"] = Partner("sandbox", keys=[key])

    def _secret(self, name, webhook=False):
        text = self._secrets[name]
        if webhook or text.startswith("base64:"):
            encoded = text.removeprefix("base64:").removeprefix("whsec_")
            return base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        return text.encode()

    def _named_keys(self, part, purpose):
        """The keys of receipts or of the hop: several with their ends, or one secret that is valid for ever."""
        if part is None:
            return [Key("sandbox", PUBLISHED.format(purpose).encode())]
        return [self._key({"id": purpose, **key}) for key in part.get("keys", [part])]

    def _key(self, part, webhook=False):
        if "secret" in part:
            secret = self._secret(part["secret"]["name"], webhook)
        elif "sha256" in part:
            secret = bytes.fromhex(part["sha256"])
        else:
            parts = (part["public_key"][name] for name in "xy" if name in part["public_key"])
            secret = b"".join(base64.urlsafe_b64decode(text + "=") for text in parts)
        ends = {end: part[end] and instants.parse(part[end]) for end in ("not_before", "not_after") if end in part}
        return Key(part["id"], secret, part.get("algorithm", ""), **ends)

    def _partner(self, name, part):
        partner, signature, source = Partner(name), part["signature"], part.get("source", {})
        partner.scheme = signature.get("scheme", "jcs")
        place = signature.get("in", "header")
        default = "x-signature" if place == "header" else "signature"
        partner.place = (place, signature.get("name", default))
        partner.tolerance_ms = 1000 * signature.get("tolerance_seconds", 300)
        partner.keys = [self._key(key, partner.scheme == "standard-webhooks") for key in signature["keys"]]
        if "token" in part:
            keys = {kind: [self._key(key) for key in part["token"].get(kind, [])] for kind in ("keys", "opaque")}
            partner.token = {"audience": "countersign", "lifetime_seconds_max": 900, **part["token"], **keys}
        partner.allow = [network(text) for text in source.get("allow", [])]
        partner.certificate_uri = source.get("certificate_uri", [])
        partner.certificate_sha256 = [digest.lower() for digest in source.get("certificate_sha256", [])]
        rate = part.get("rate", {})
        partner.per_second = rate.get("per_second", 50)
        partner.burst = rate.get("burst", 4 * partner.per_second)
        partner.in_flight_status = part.get("in_flight_status", 503)
        if "ts_event_past_seconds_max" in part:
            partner.past_ms_max = 1000 * part["ts_event_past_seconds_max"]
        elif not self.is_upstream_idempotent:
            partner.past_ms_max = self.retention_ms
        for event, rules in part.get("events", {}).items():
            if "custom" in rules:
                partner.money[event] = rules["custom"]["amount"]
            if "fallback_window_seconds" in rules:
                partner.window_ms[event] = 1000 * rules["fallback_window_seconds"]
        return partner


def in_force(keys, now):
    """The key that signs: of those that are valid the newest, which is the one that began last."""
    return max((key for key in keys if key.is_valid_at(now)), key=lambda key: key.not_before or 0)


def network(text):
    """A network or an address; an IPv4-mapped one is that of IPv4."""
    parsed = ipaddress.ip_network(text)
    mapped = parsed.network_address.ipv4_mapped if parsed.version == 6 else None
    return ipaddress.ip_network(f"{mapped}/{parsed.prefixlen - 96}") if mapped else parsed
