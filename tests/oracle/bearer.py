"""Tokens: compact JWS (RFC 7515, RFC 7519) and opaque ones (docs/config.md; components/core/src/token.rs)."""

import re

import curves
import mac
import strict_json

BYTES_MAX = 4096
AHEAD_MS_MAX = 60_000
SPELLED = re.compile(rb"[A-Za-z0-9\-._~+/=]{1,%d}" % BYTES_MAX)
ALGORITHMS = {"HS256": "HS256", "ES256": "ES256", "EdDSA": "EdDSA", "Ed25519": "EdDSA"}
VERIFIERS = {
    "HS256": lambda key, message, signature: mac.hmac_sha256(key, message) == signature,
    "ES256": curves.es256,
    "EdDSA": curves.eddsa,
}
DATE = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]+))?")


class BadToken(Exception):
    """The code of the refusal, and how far the sender's time is ahead of ours where that is what is wrong."""

    def __init__(self, code, skew_ms=None):
        super().__init__(code)
        self.code, self.skew_ms = code, skew_ms


def of(headers):
    """The token of a request (RFC 6750 §2.1), or None."""
    fields = headers.all("authorization")
    if len(fields) != 1 or fields[0][:7].lower() != b"bearer " or not SPELLED.fullmatch(fields[0][7:]):
        return None
    return fields[0][7:]


def _json(part):
    """The strict JSON object of a part, or None."""
    data = mac.from_base64url(part)
    try:
        value = strict_json.read(data, depth_max=8, nodes_max=512) if data is not None else None
    except strict_json.Malformed:
        return None
    return value if isinstance(value, dict) else None


def _split(token):
    parts = token.split(b".")
    return parts if len(parts) == 3 and all(parts) else None


def issuer(token):
    """The `iss` of a JWS that nobody has verified yet, or None."""
    parts = _split(token)
    claims = parts and _json(parts[1]) or {}
    name = claims.get("iss")
    return name if isinstance(name, str) and len(name.encode()) <= 128 else None


def partner_of(policy, token):
    """The partner that a token names: one, `unknown` where it names nobody's issuer, None where it names none."""
    name = issuer(token)
    for partner in policy.partners.values():
        if name is not None and partner.token and partner.token["issuer"] == name:
            return partner
        if name is None and partner.token and mac.sha256(token) in [known.secret for known in partner.token["opaque"]]:
            return partner
    return None if name is None else "unknown"


def verify(rules, token, now):
    """Raises BadToken where the token is not good now."""
    for known in rules["opaque"]:
        if known.secret == mac.sha256(token):
            if known.not_before is not None and now < known.not_before:
                raise BadToken("token_invalid", known.not_before - now)
            if known.not_after is not None and known.not_after <= now:
                raise BadToken("token_expired", known.not_after - now)
            return
    parts = _split(token)
    header, signature = (_json(parts[0]), mac.from_base64url(parts[2])) if parts else (None, None)
    if header is None or signature is None or "crit" in header or "b64" in header:
        raise BadToken("token_invalid")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or not isinstance(key_id, str) and "kid" in header:
        raise BadToken("token_invalid")
    message = parts[0] + b"." + parts[1]
    verifies = VERIFIERS[ALGORITHMS[algorithm]]
    usable = (key for key in rules["keys"] if key.algorithm == ALGORITHMS[algorithm] and key.is_valid_at(now))
    if not any(key_id in (None, key.id) and verifies(key.secret, message, signature) for key in usable):
        raise BadToken("token_invalid")
    _check_claims(rules, _json(parts[1]), now)


def _date(claims, name):
    """A NumericDate in milliseconds, what is finer cut off; None where it is not there."""
    if name not in claims:
        return None
    value = claims[name]
    match = DATE.fullmatch(value.literal) if isinstance(value, strict_json.Number) else None
    if not match:
        raise BadToken("token_invalid")
    return min(1000 * int(match[1]) + int(((match[2] or "") + "000")[:3]), 253_402_300_799_999)


def _check_claims(rules, claims, now):
    if claims is None or claims.get("iss") != rules["issuer"]:
        raise BadToken("token_invalid")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(one, str) for one in audiences) or rules["audience"] not in audiences:
        raise BadToken("token_invalid")
    issued, expires, begins = (_date(claims, name) for name in ("iat", "exp", "nbf"))
    if issued is None or expires is None:
        raise BadToken("token_invalid")
    for date in (issued, begins):
        if date is not None and date - now > AHEAD_MS_MAX:
            raise BadToken("token_invalid", date - now)
    if expires <= now:
        raise BadToken("token_expired", expires - now)
    if expires <= issued:
        raise BadToken("token_invalid")
    if expires - issued > 1000 * min(rules["lifetime_seconds_max"], 900):
        raise BadToken("token_lifetime_too_long")
