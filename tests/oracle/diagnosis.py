"""Why a signature is not believed, as far as the request itself tells (components/core/src/signature/diagnosis.rs)."""

import base64
import binascii
import re

import canonical
import mac

MACS_MAX, BODY_BYTES_MAX = 32, 8_192
PUBLISHED = b"countersign-sandbox-signing-key-is-published"
FAMILIES = ("webhook", "svix")
OTHER_HASHES = (b"sha1=", b"sha512=", b"sha384=", b"md5=")
HEX = re.compile(rb"[0-9A-Fa-f]*")


def family_of(headers):
    """The names of the three fields of Standard Webhooks; the older names count where none of the others is there."""
    there = {family: _has(headers, family) for family in FAMILIES}
    family = "svix" if there["svix"] and not there["webhook"] else "webhook"
    return [f"{family}-{part}" for part in ("id", "timestamp", "signature")]


def _has(headers, family):
    return any(headers.all(f"{family}-{part}") for part in ("id", "timestamp", "signature"))


def absent(partner, headers):
    """The cause of a signature that is not there, or None."""
    webhook, svix = (_has(headers, family) for family in FAMILIES)
    if partner.scheme != "standard-webhooks":
        return "signed_as_webhook" if webhook or svix else None
    if webhook and svix:
        return "families_mixed"
    if webhook or svix:
        return "family_incomplete"
    return "not_signed_as_webhook" if headers.all("x-signature") else None


def _is_base64_of_32(text):
    try:
        return len(text) in (43, 44) and len(_base64(text)) == 32
    except binascii.Error:
        return False


def _base64(text):
    """Strict base64, with padding or without."""
    data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if base64.b64encode(data).rstrip(b"=") != text.rstrip(b"="):
        raise binascii.Error
    return data


def _hex_form(field):
    prefixed = field[:7].lower() == b"sha256="
    digits = field[7:] if prefixed else field
    if _is_base64_of_32(digits):
        return "base64_not_hex"
    other_length = HEX.fullmatch(digits) and len(digits) in (32, 40, 96, 128)
    if field.lower().startswith(OTHER_HASHES) or other_length:
        return "other_hash"
    if field.startswith(b"sha256="):
        return "digits_off"
    if mac.from_hex(digits) is None:
        return None
    return "prefix_case" if prefixed else "prefix_missing"


def _webhook_form(headers, is_message_id, is_time):
    fields = [headers.all(name) for name in family_of(headers)]
    if any(len(values) != 1 for values in fields):
        return "repeated"
    (identity,), (timestamp,), (field,) = fields
    if not is_message_id(identity):
        return "message_id_form"
    if not is_time(timestamp):
        return "timestamp_form"
    entries = [entry for entry in field.split(b" ") if entry]
    if not entries:
        return None
    if not entries[0].startswith(b"v1,"):
        is_bare = _is_base64_of_32(entries[0]) or mac.from_hex(entries[0]) is not None
        return "version_missing" if is_bare else "other_version"
    return "hex_not_base64" if mac.from_hex(entries[0][3:]) is not None else None


def malformed(partner, headers, document, is_message_id, is_time):
    """The cause of a signature that is written wrongly, or None."""
    if partner.scheme == "standard-webhooks":
        return _webhook_form(headers, is_message_id, is_time)
    if partner.place[0] == "header":
        fields = headers.all(partner.place[1])
        return "repeated" if len(fields) > 1 else _hex_form(fields[0])
    member = document.get(partner.place[1])
    return _hex_form(member.encode()) if isinstance(member, str) and len(member.encode()) <= 256 else None


def _lenient_base64(text):
    """As some libraries hand secrets out: padding left away, spare bits set; None where it is not base64."""
    text = text.removeprefix(b"whsec_")
    try:
        return base64.b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4), validate=True) or None
    except binascii.Error:
        return None


def _misreadings(secret):
    encoded = base64.b64encode(secret)
    return (
        ("key_as_text", b"base64:" + encoded),
        ("key_as_text", b"whsec_" + encoded),
        ("key_as_base64", encoded),
        ("key_decoded", _lenient_base64(secret)),
        ("key_decoded", mac.from_hex(secret)),
        ("key_with_line_break", secret + b"\n"),
    )


def mismatch(partner, tags, own, body, webhook_prefix, document, now):
    """The cause of a signature that no valid key gives, or None. `own` is what should be signed."""
    if len(body) > BODY_BYTES_MAX:
        return None
    left = MACS_MAX

    def fits(secret, message):
        nonlocal left
        left -= 1
        return left >= 0 and mac.hmac_sha256(secret, message) in tags

    if fits(PUBLISHED, own):
        return "sandbox_key"
    for key in partner.keys:
        if not key.is_valid_at(now) and fits(key.secret, own):
            return "key_not_yet_valid" if key.not_before is not None and now < key.not_before else "key_expired"
    valid = [key for key in partner.keys if key.is_valid_at(now)]
    written, trimmed = canonical.write(document), body.strip(b" \t\n\r\x0c")
    if partner.scheme == "standard-webhooks":
        others = [("body_alone", body), ("canonical_not_body", written), ("body_trimmed", webhook_prefix + trimmed)]
    elif partner.scheme == "raw":
        others = [("canonical_not_body", written), ("body_trimmed", trimmed)]
    else:
        others = [("body_not_canonical", body), ("body_trimmed", trimmed)]
    if trimmed == body:
        others.pop()
    for cause, message in others:
        if any(fits(key.secret, message) for key in valid):
            return cause
    for key in valid:
        for cause, secret in _misreadings(key.secret):
            if secret is not None and fits(secret, own):
                return cause
    return None
