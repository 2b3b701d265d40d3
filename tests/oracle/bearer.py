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
    """Why a token is refused, a cause of docs/answers.md, and its code; and the skew where its time is what is wrong."""

    def __init__(self, cause, skew_ms=None, code="token_invalid"):
        super().__init__(cause)
        self.cause, self.skew_ms, self.code = cause, skew_ms, code


def of(headers):
    """The token of a request (RFC 6750 §2.1), or None."""
    fields = headers.all("authorization")
    if len(fields) != 1 or fields[0][:7].lower() != b"bearer " or not SPELLED.fullmatch(fields[0][7:]):
        return None
    return fields[0][7:]


def _json(part, name):
    """The strict JSON object of a part; raises BadToken."""
    data = mac.from_base64url(part)
    if data is None:
        raise BadToken(f"token_{name}_encoding")
    try:
        value = strict_json.read(data, depth_max=8, nodes_max=512)
    except strict_json.Malformed:
        raise BadToken(f"token_{name}_json") from None
    if not isinstance(value, dict):
        raise BadToken(f"token_{name}_object")
    return value


def _split(token):
    parts = token.split(b".")
    return parts if len(parts) == 3 and all(parts) else None


def issuer(token):
    """The `iss` of a JWS that nobody has verified yet, or None."""
    parts = _split(token)
    try:
        name = _json(parts[1], "payload").get("iss") if parts else None
    except BadToken:
        return None
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
                raise BadToken("token_not_yet_valid", known.not_before - now)
            if known.not_after is not None and known.not_after <= now:
                raise BadToken("token_expired", known.not_after - now, "token_expired")
            return
    parts = _split(token)
    if not parts:
        raise BadToken("token_form")
    algorithm, key_id = _header(_json(parts[0], "header"))
    signature = mac.from_base64url(parts[2])
    if signature is None:
        raise BadToken("token_signature_encoding")
    _check_key(rules["keys"], algorithm, key_id, parts[0] + b"." + parts[1], signature, now)
    _check_claims(rules, _json(parts[1], "payload"), now)


def _header(header):
    """Algorithm and key id of a header that asks for nothing more."""
    for name in ("crit", "b64"):
        if name in header:
            raise BadToken(f"token_{name}")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadToken("token_algorithm")
    if "kid" in header and not isinstance(key_id, str):
        raise BadToken("token_kid_form")
    return ALGORITHMS[algorithm], key_id


def _check_key(keys, algorithm, key_id, message, signature, now):
    """Raises BadToken with how close the token came to being verified by any key."""
    closest = ["token_kid_unknown", "token_algorithm_of_key", "token_key_validity", "token_mismatch", None]
    reached = 0
    for key in keys:
        steps = (
            lambda: key_id in (None, key.id),
            lambda: key.algorithm == algorithm,
            lambda: key.is_valid_at(now),
            lambda: VERIFIERS[algorithm](key.secret, message, signature),
        )
        passed = next((place for place, step in enumerate(steps) if not step()), len(steps))
        reached = max(reached, passed)
    if closest[reached]:
        raise BadToken(closest[reached])


def _date(claims, name, is_needed):
    """A NumericDate in milliseconds, what is finer cut off; None where it is not there."""
    if name not in claims:
        if is_needed:
            raise BadToken(f"token_{name}_missing")
        return None
    value = claims[name]
    match = DATE.fullmatch(value.literal) if isinstance(value, strict_json.Number) else None
    if not match:
        raise BadToken("token_date")
    return min(1000 * int(match[1]) + int(((match[2] or "") + "000")[:3]), 253_402_300_799_999)


def _check_claims(rules, claims, now):
    if claims.get("iss") != rules["issuer"]:
        raise BadToken("token_issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(one, str) for one in audiences) or rules["audience"] not in audiences:
        raise BadToken("token_audience")
    issued, expires, begins = _date(claims, "iat", True), _date(claims, "exp", True), _date(claims, "nbf", False)
    for date, cause in ((issued, "token_iat_ahead"), (begins, "token_not_yet_valid")):
        if date is not None and date - now > AHEAD_MS_MAX:
            raise BadToken(cause, date - now)
    if expires <= now:
        raise BadToken("token_expired", expires - now, "token_expired")
    if expires <= issued:
        raise BadToken("token_life")
    if expires - issued > 1000 * min(rules["lifetime_seconds_max"], 900):
        raise BadToken("token_lifetime", code="token_lifetime_too_long")
