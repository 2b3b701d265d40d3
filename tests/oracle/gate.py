"""The order of the checks (docs/architecture.md), a function for each; the first that fails answers."""

import re

import bearer
import canonical
import click
import event
import instants
import mac
import receipt
import rules
import signature
import source
import strict_json
import texts
from answer import FAILURE_MS, Reject
from policy import in_force
from store import Claim, Limited, Unavailable


class Request:
    """A request on its way through the checks, and what they found out about it."""

    def __init__(self, wire, policy, store, is_inbox, now):
        self.wire, self.policy, self.store, self.is_inbox, self.now = wire, policy, store, is_inbox, now
        self.client = self.route = self.partner = self.token = self.attested_id = None
        self.document = self.payload_hash = self.event = None

    @property
    def collects(self):
        return self.route == "/collect"


def method_and_path(request):
    if request.wire.method != "POST":
        raise Reject("method_not_allowed")
    request.route = request.wire.path.split("?")[0]
    if request.route == "/postback" or request.collects and request.is_inbox:
        return
    if not re.fullmatch(r"/postback/[^/]+", request.route):
        raise Reject("not_found", "path")


def _is_json(headers):
    types, codings = headers.all("content-type"), headers.all("content-encoding")
    if len(types) != 1 or len(codings) > 1 or codings and codings[0].lower() != b"identity":
        return False
    media, *parameters = (part.strip().lower() for part in types[0].split(b";"))
    allowed = {b"", b"charset=utf-8", b'charset="utf-8"'}
    return media == b"application/json" and all(parameter in allowed for parameter in parameters)


def content(request):
    if not _is_json(request.wire.headers):
        raise Reject("content_type_unsupported", "content_type")
    if len(request.wire.body) > request.policy.body_bytes_max:
        raise Reject("payload_too_large", "size")


def throttle(request):
    request.client = source.client_address(request.wire.peer, request.policy.trusted, request.wire.headers)
    wait_ms = request.client and request.store.refused_too_often(request.client, request.now)
    if wait_ms:
        raise Reject("source_limited", retry_ms=wait_ms)


def attestation(request):
    """`/collect`: in place of checks 4 to 6, 8 and 10."""
    names = ("x-countersign-partner", "x-countersign-event-id", "x-countersign-attestation")
    fields = [request.wire.headers.all(name) for name in names]
    try:
        # The id comes first: the filter is told of it, whatever the others are.
        (request.attested_id,) = [value.decode() for value in fields[1]]
        (partner,) = [value.decode() for value in fields[0]]
        (field,) = fields[2]
    except ValueError:
        # One that is missing, repeated, or not text.
        raise Reject("attestation_invalid", "attestation_missing") from None
    try:
        keys = [key.secret for key in request.policy.hop_keys if key.is_valid_at(request.now)]
        receipt.check_attestation(keys, field, partner, request.attested_id, request.wire.body, request.now)
    except receipt.NotAttested as error:
        skew = None if error.skew_ms is None else (error.skew_ms, request.now)
        raise Reject("attestation_invalid", error.cause, skew=skew) from None
    request.partner = request.policy.partners.get(partner)
    if request.partner is None:
        raise Reject("attestation_invalid", "attestation_partner")


def partner(request):
    name = request.route.removeprefix("/postback").removeprefix("/")
    named = request.policy.partners.get(name)
    if name and named is None:
        raise Reject("partner_unknown", "partner_name")
    request.token, absent = bearer.of(request.wire.headers)
    if request.token is None:
        if named is None:
            hint = "token_absent" if rules.DETAIL or rules.TOKEN else None
            raise Reject("token_missing", absent if rules.TOKEN else "token_absent", hint=hint)
        if named.token:
            raise Reject("token_missing", absent if rules.TOKEN else "token_needed")
        request.partner = named
        return
    of_token, cause = bearer.partner_of(request.policy, request.token)
    if named and of_token and of_token is not named:
        raise Reject("partner_unknown", "partner_differs")
    if not of_token and (cause == "partner_issuer" or not named):
        why = cause if rules.TOKEN else "partner_issuer"
        raise Reject("partner_unknown", why, hint=_unknown_hint(named, cause))
    request.partner = named or of_token


def _unknown_hint(named, cause):
    """The hint for a token that names no partner of ours."""
    if rules.TOKEN and named:
        return None if named.token else "partner_without_token"
    if rules.TOKEN and cause != "partner_issuer":
        return "partner_anonymous"
    return "partner_issuer" if (rules.DETAIL or rules.TOKEN) and not named else None


def allowed_source(request):
    demands, wire, policy = request.partner, request.wire, request.policy
    if demands.allow and (request.client is None or not source.is_in(request.client, demands.allow)):
        raise Reject("source_not_allowed", "address")
    if demands.certificate_uri or demands.certificate_sha256:
        uris, digests = source.certificate(wire.peer, policy.trusted, wire.headers)
        if not set(uris) & set(demands.certificate_uri) and not set(digests) & set(demands.certificate_sha256):
            raise Reject("certificate_not_allowed", "certificate")


def valid_token(request):
    if request.partner.token:
        try:
            bearer.verify(request.partner.token, request.token, request.now)
        except bearer.BadToken as error:
            skew = None if error.skew_ms is None else (error.skew_ms, request.now)
            raise Reject(error.code, error.cause, skew=skew) from None


def json(request):
    try:
        is_canonical_signed = not rules.SIGNATURE or request.partner.scheme == "jcs"
        request.document = strict_json.read(request.wire.body, exact=is_canonical_signed)
    except strict_json.Malformed as error:
        problem, hint = error.problem, None
        if rules.SIGNATURE and problem == "number_inexact":
            # An integer is nearly always an id, anything else a float.
            is_integer = re.match(rb"-?[0-9]+(?![0-9.eE])", request.wire.body[error.offset :])
            problem = hint = "integer_beyond_double" if is_integer else "number_beyond_double"
        members = [("offset", error.offset), ("detail", texts.MALFORMED[problem])]
        raise Reject("payload_malformed", problem, hint=hint, members=members) from None


def authentic(request):
    partner_rules, wire = request.partner, request.wire
    payload = canonical.write(request.document, signature.unsigned_member(partner_rules))
    request.payload_hash = mac.sha256(payload)
    if request.collects:
        return
    try:
        signature.verify(partner_rules, wire.headers, wire.body, request.document, request.now)
    except signature.NotAuthentic as error:
        form = error.cause in ("signature_absent", "signature_form")
        hint = error.mistake or (signature.form_hint(partner_rules) if form else None)
        is_shown = error.cause == "signature_mismatch" and request.policy.sandbox
        shown = [("string_to_sign", payload.decode())] if is_shown else []
        skew = None if error.skew_ms is None else (error.skew_ms, request.now)
        raise Reject("signature_invalid", error.mistake or error.cause, hint=hint, members=shown, skew=skew) from None


def valid_event(request):
    try:
        future_ms_max = request.policy.ts_event_future_ms_max
        request.event = event.read(request.document, request.partner, future_ms_max, request.now)
    except event.NotAnEvent as error:
        listed = [{"pointer": pointer, "detail": texts.EVENT[cause]} for pointer, cause in error.problems]
        skew = None if error.skew_ms is None else (error.skew_ms, request.now)
        raise Reject("event_invalid", members=[("errors", listed)], skew=skew) from None
    keys = request.wire.headers.all("idempotency-key")
    spelled = (request.event.id.encode(), b'"%s"' % request.event.id.encode())
    if len(keys) > 1 or keys and keys[0] not in spelled:
        raise Reject("event_invalid", hint="idempotency_key")


def valid_click(request):
    verify = request.policy.click_verify
    try:
        # Sealed or not, it is one click: from here on only its plain id counts.
        request.event.click_id = click.inspect(request.policy.click_keys, request.event.click_id)
    except click.NotOurs as error:
        hint = str(error)
        passes = verify == "off" and hint not in click.CERTAIN or verify == "when_ours" and hint == "click_foreign"
        if not passes:
            raise Reject("click_id_invalid", hint=hint) from None


def attested_event(request):
    if request.collects and request.attested_id != request.event.id:
        raise Reject("attestation_invalid", "attestation_event")


FIRST = (method_and_path, content, throttle)
UNAUTHENTICATED = (partner, allowed_source, valid_token, json, authentic)
ATTESTED = (attestation, json, authentic)
AUTHENTICATED = (valid_event, valid_click, attested_event)


def examine(request):
    """Checks 1 to 9: raises Reject. A refusal by checks 4 to 8 counts against the source."""
    for check in FIRST:
        check(request)
    try:
        for check in ATTESTED if request.collects else UNAUTHENTICATED:
            check(request)
    except Reject:
        if request.client is not None:
            request.store.count_refusal(request.client, request.now)
        raise
    for check in AUTHENTICATED:
        check(request)


def claim(request):
    """Checks 10 to 12: the claim, the store's answer and what belongs to it; raises Reject."""
    policy, past_ms_max = request.policy, request.partner.past_ms_max
    wanted = Claim(
        partner=request.partner,
        event=request.event,
        payload_hash=request.payload_hash,
        spends_quota=not request.collects,
        is_hand_on=request.is_inbox,
        lease_ms=policy.lease_ms,
        retention_ms=policy.retention_ms,
        receipt_key=in_force(policy.receipt_keys, request.now).id,
        # An inbox remembers ids for as long as the ledger, so nothing is too old for it. Elsewhere what was accepted
        # exactly as long ago as is remembered is forgotten from now on.
        ts_event_min=0 if request.is_inbox or past_ms_max is None else request.now - past_ms_max + 1,
        knows_own_memory=not request.is_inbox and not policy.is_upstream_idempotent,
        now=request.now,
    )
    try:
        answer, more = request.store.claim(wanted)
    except Unavailable:
        raise Reject("store_unavailable", retry_ms=FAILURE_MS) from None
    except Limited as limited:
        raise Reject("rate_limited", retry_ms=limited.args[0], quota=limited.args[1]) from None
    if answer == "in_flight":
        raise Reject("in_flight", retry_ms=more, status=request.partner.in_flight_status)
    if answer == "reused":
        raise Reject("event_id_reused", "reused")
    if answer == "too_old":
        raise Reject("event_too_old", members=[("ts_event_min", instants.write(more))])
    return wanted, answer, more
