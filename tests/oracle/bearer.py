"""Tokens: compact JWS (RFC 7515, RFC 7519) and opaque ones (docs/config.md; components/core/src/token.rs)."""

import re

import claims
import curves
import mac
import rules

AHEAD_MS_MAX = 60_000
OPAQUE_LIFE_MS_MAX = 400 * 86_400_000
WITHOUT_KEY_ID_MAX = 2
SPELLED = re.compile(rb"[A-Za-z0-9\-._~+/=]+")
ALGORITHMS = {"HS256": "HS256", "ES256": "ES256", "EdDSA": "EdDSA", "Ed25519": "EdDSA"}
VERIFIERS = {
    "HS256": lambda key, message, signature: mac.hmac_sha256(key, message) == signature,
    "ES256": curves.es256,
    "EdDSA": curves.eddsa,
}


class BadToken(Exception):
    """Why a token is refused, a cause of docs/answers.md, with its code, and the skew where a time is wrong."""

    def __init__(self, cause, skew_ms=None, code="token_invalid"):
        super().__init__(cause)
        self.cause, self.skew_ms, self.code = cause, skew_ms, code


def bytes_max():
    return 8192 if rules.TOKEN else 4096


def of(headers):
    """The token of a request (RFC 6750 §2.1), or None and the cause why there is none."""
    fields = headers.all("authorization")
    if not fields:
        return None, "token_absent"
    if len(fields) > 1:
        return None, "token_repeated"
    scheme, token = fields[0][:7].lower(), fields[0][7:]
    if scheme not in (b"bearer ", b"bearer"):
        return None, "token_scheme"
    if not token:
        return None, "token_empty"
    if not SPELLED.fullmatch(token) or not rules.TOKEN and len(token) > bytes_max():
        return None, "token_characters"
    return token, None


def _split(token):
    parts = token.split(b".")
    return parts if len(parts) == 3 and all(parts) else None


def _members(part, name, wanted):
    """The wanted members of a part that is a JSON object; raises BadToken."""
    data = mac.from_base64url(part)
    if data is None:
        raise BadToken(f"token_{name}_encoding")
    try:
        return claims.members(data, wanted)
    except claims.NotMembers as error:
        raise BadToken(f"token_{name}_{error}") from None


def issuer(token):
    """The `iss` of a JWS that nobody has verified yet; raises BadToken with the cause why it has none."""
    if len(token) > bytes_max():
        raise BadToken("token_long")
    parts = _split(token)
    try:
        name = _members(parts[1], "payload", ["iss"]).get("iss") if parts else None
    except BadToken as error:
        raise BadToken("token_no_issuer" if error.cause == "token_payload_repeated" else "token_no_jws") from None
    if not parts:
        raise BadToken("token_no_jws")
    if not claims.is_text(name) or not 1 <= len(name.encode()) <= 128:
        raise BadToken("token_no_issuer")
    return name


def partner_of(policy, token):
    """The partner that a token names, or None and the cause: `partner_issuer` where nobody has its issuer."""
    partners = [partner for partner in policy.partners.values() if partner.token]
    try:
        name = issuer(token)
    except BadToken as error:
        known = [one for one in partners if mac.sha256(token) in [opaque.secret for opaque in one.token["opaque"]]]
        return (known[0], None) if known and error.cause != "token_long" else (None, error.cause)
    known = [partner for partner in partners if partner.token["issuer"] == name]
    return (known[0], None) if known else (None, "partner_issuer")


def verify(policy, token, now):
    """Raises BadToken where the token is not good now."""
    if len(token) > bytes_max():
        raise BadToken("token_long")
    for known in policy["opaque"]:
        if known.secret == mac.sha256(token):
            return _check_opaque(known, now)
    parts = _split(token)
    if not parts:
        raise BadToken("token_form")
    algorithm, key_id = _header(_members(parts[0], "header", ["alg", "kid", "crit", "b64"]))
    signature = mac.from_base64url(parts[2])
    if signature is None:
        raise BadToken("token_signature_encoding")
    _check_key(policy["keys"], algorithm, key_id, parts[0] + b"." + parts[1], signature, now)
    return _check_claims(policy, _members(parts[1], "payload", ["iss", "aud", "iat", "exp", "nbf"]), now)


def _check_opaque(known, now):
    ends = [] if known.not_after is None else [known.not_after]
    if known.not_before is not None:
        if now < known.not_before:
            raise BadToken("token_not_yet_valid", known.not_before - now)
        if rules.TOKEN:
            ends.append(known.not_before + OPAQUE_LIFE_MS_MAX)
    if ends and min(ends) <= now:
        raise BadToken("token_expired", min(ends) - now, "token_expired")


def _header(header):
    """Algorithm and key id of a header that asks for nothing more."""
    for name in ("crit", "b64"):
        if name in header:
            raise BadToken(f"token_{name}")
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not claims.is_text(algorithm) or algorithm not in ALGORITHMS:
        raise BadToken("token_algorithm")
    if "kid" in header and not claims.is_text(key_id):
        raise BadToken("token_kid_form")
    if key_id is not None and rules.TOKEN and len(key_id.encode()) > 128:
        raise BadToken("token_kid_long")
    return ALGORITHMS[algorithm], key_id


def _check_key(keys, algorithm, key_id, message, signature, now):
    """Raises BadToken with how close the token came to being verified by any key."""
    usable = [key for key in keys if key.algorithm == algorithm and key.is_valid_at(now)]
    if rules.TOKEN and key_id is None and algorithm != "HS256" and len(usable) > WITHOUT_KEY_ID_MAX:
        raise BadToken("token_kid_needed")
    closest = ["token_kid_unknown", "token_algorithm_of_key", "token_key_validity", "token_mismatch", None]
    reached = 0
    for key in keys:
        steps = (
            lambda: key_id in (None, key.id),
            lambda: key.algorithm == algorithm,
            lambda: key.is_valid_at(now),
            lambda: VERIFIERS[algorithm](key.secret, message, signature),
        )
        reached = max(reached, next((place for place, step in enumerate(steps) if not step()), len(steps)))
    if not keys:
        raise BadToken("token_no_keys")
    if closest[reached]:
        raise BadToken(closest[reached])


def _date(found, name, is_needed):
    """A NumericDate in milliseconds; None where it is not there."""
    if name not in found:
        if is_needed:
            raise BadToken(f"token_{name}_missing")
        return None
    try:
        return claims.milliseconds(found[name])
    except claims.NotMembers as error:
        raise BadToken(f"token_date_{error}") from None


def _check_claims(policy, found, now):
    for name, wanted in (("iss", policy["issuer"]), ("aud", policy["audience"])):
        claim = found.get(name)
        several = claim if name == "aud" and isinstance(claim, list) else [claim]
        if rules.TOKEN and name not in found:
            raise BadToken(f"token_{name}_missing")
        if not all(map(claims.is_text, several)) or wanted not in several:
            raise BadToken(f"token_{name}")
    issued, expires, begins = _date(found, "iat", True), _date(found, "exp", True), _date(found, "nbf", False)
    for date, cause in ((issued, "token_iat_ahead"), (begins, "token_not_yet_valid")):
        if date is not None and date - now > AHEAD_MS_MAX:
            raise BadToken(cause, date - now)
    if expires <= now:
        raise BadToken("token_expired", expires - now, "token_expired")
    if expires <= issued:
        raise BadToken("token_life")
    if expires - issued > 1000 * min(policy["lifetime_seconds_max"], 900):
        raise BadToken("token_lifetime", code="token_lifetime_too_long")
