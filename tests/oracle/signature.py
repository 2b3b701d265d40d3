"""Signatures in three schemes (docs/config.md; components/core/src/signature.rs; Standard Webhooks 1.0)."""

import base64
import binascii
import hmac
import re

import canonical
import diagnosis
import mac
import rules

WEBHOOK = ("webhook-id", "webhook-timestamp", "webhook-signature")
DECIMAL = re.compile(rb"0|[1-9][0-9]{0,14}")
SECONDS_MAX = 253_402_300_799
TAGS_MAX = 8
SIGNATURE_BYTES_MAX = 1024


class NotAuthentic(Exception):
    """Why a signature is not believed, a cause of docs/answers.md; and the skew where its time is what is wrong."""

    def __init__(self, cause, skew_ms=None):
        super().__init__(cause)
        self.cause, self.skew_ms = cause, skew_ms
        # The mistake behind it, where the request tells.
        self.mistake = None


def unsigned_member(partner):
    """The member that carries the signature, and is not signed."""
    return partner.place[1] if partner.scheme == "jcs" and partner.place[0] == "body" else None


def form_hint(partner):
    """How a signature has to be written; a cause of docs/answers.md."""
    if partner.scheme == "standard-webhooks":
        return "signature_webhook_or_svix" if rules.SIGNATURE else "signature_webhook"
    return "signature_member" if partner.place[0] == "body" else "signature_header"


def _single(headers, name):
    fields = headers.all(name)
    if len(fields) != 1:
        raise NotAuthentic("signature_form" if fields else "signature_absent")
    return fields[0]


def _hex_tag(field):
    tag = mac.from_hex(field.removeprefix(b"sha256=")) if field.startswith(b"sha256=") else None
    if tag is None:
        raise NotAuthentic("signature_form")
    return tag


def _webhook_tags(field):
    tags = []
    for entry in field.split(b" "):
        try:
            tag = base64.b64decode(entry.removeprefix(b"v1,"), validate=True)
        except binascii.Error:
            continue
        if entry.startswith(b"v1,") and len(tag) == 32 and base64.b64encode(tag) == entry[3:]:
            tags.append(tag)
    if not 1 <= len(tags) <= TAGS_MAX or len(field) > SIGNATURE_BYTES_MAX:
        raise NotAuthentic("signature_form")
    return tags


def _is_message_id(text):
    """Whether an id can be signed: a full stop in it would let one message be read as another."""
    return re.fullmatch(rb"[!-~]{1,256}", text) is not None and b"." not in text


def _is_time(text):
    return DECIMAL.fullmatch(text) is not None and int(text) <= SECONDS_MAX


def _presented(partner, headers, body, document):
    """The tags that a request presents, the bytes under them, and the time that a sender states, in milliseconds."""
    if partner.scheme == "standard-webhooks":
        names = diagnosis.family_of(headers) if rules.SIGNATURE else WEBHOOK
        identity, sent_at, field = (_single(headers, name) for name in names)
        tags = _webhook_tags(field)
        if not _is_message_id(identity) or not _is_time(sent_at):
            raise NotAuthentic("signature_form")
        return tags, b".".join((identity, sent_at, body)), 1000 * int(sent_at)
    if partner.place[0] == "body":
        field = document.get(partner.place[1]) if isinstance(document, dict) else None
        if not isinstance(field, str):
            is_there = isinstance(document, dict) and partner.place[1] in document
            raise NotAuthentic("signature_form" if is_there else "signature_absent")
        tags = [_hex_tag(field.encode())]
    else:
        tags = [_hex_tag(_single(headers, partner.place[1]))]
    covers = body if partner.scheme == "raw" else canonical.write(document, unsigned_member(partner))
    return tags, covers, None


def _mistake(partner, headers, body, document, now, cause, skew_ms):
    """The mistake that explains a refusal, or None."""
    if cause == "signature_absent":
        return diagnosis.absent(partner, headers)
    if cause == "signature_form":
        return diagnosis.malformed(partner, headers, document, _is_message_id, _is_time)
    if cause == "signature_time":
        return "timestamp_old" if skew_ms < 0 else "timestamp_ahead"
    tags, covers, _ = _presented(partner, headers, body, document)
    prefix = covers.removesuffix(body) if partner.scheme == "standard-webhooks" else b""
    return diagnosis.mismatch(partner, tags, covers, body, prefix, document, now)


def verify(partner, headers, body, document, now):
    """Raises NotAuthentic where no key of the partner that is valid now gives a signature that is presented."""
    try:
        _verify(partner, headers, body, document, now)
    except NotAuthentic as error:
        if rules.SIGNATURE:
            error.mistake = _mistake(partner, headers, body, document, now, error.cause, error.skew_ms)
        raise


def _verify(partner, headers, body, document, now):
    tags, covers, sent_at = _presented(partner, headers, body, document)
    valid = [key for key in partner.keys if key.is_valid_at(now)]
    if not valid:
        raise NotAuthentic("signature_key")
    if not any(hmac.compare_digest(mac.hmac_sha256(key.secret, covers), tag) for key in valid for tag in tags):
        raise NotAuthentic("signature_mismatch")
    if sent_at is not None and abs(sent_at - now) > partner.tolerance_ms:
        raise NotAuthentic("signature_time", sent_at - now)
