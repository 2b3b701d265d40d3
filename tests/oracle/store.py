"""The store contract (components/core/src/store.rs): throttle, quota, claims and fallback identities of one vector."""

import math
import re
from dataclasses import dataclass

import source
from rate import Rate

LEASE_MS_MAX = 3_600_000


@dataclass
class Claim:
    """What a verified event asks the store for."""

    partner: object
    event: object
    payload_hash: bytes
    spends_quota: bool
    is_hand_on: bool
    lease_ms: int
    retention_ms: int
    receipt_key: str
    ts_event_min: int
    knows_own_memory: bool
    now: int

    @property
    def name(self):
        return self.partner.name, self.event.id

    @property
    def window_ms(self):
        return self.partner.window_ms.get(self.event.type)

    @property
    def fallback(self):
        return self.partner.name, self.event.type, self.event.click_id, self.event.currency, self.event.minor

    @property
    def lease_until(self):
        return self.now + self.lease_ms

    def remembered_until(self, now):
        """Until when the event is remembered; counted from now alone, one of a fast clock would outlive its memory."""
        return max(now, self.event.ts_event) + self.retention_ms


@dataclass
class Held:
    """An event: pending until its lease ends, or committed, or a duplicate of another, until it is forgotten."""

    state: str
    until: int
    payload_hash: bytes = b""
    receipt_key: str = ""
    original: str = None

    def is_live(self, now):
        # A lease that ends later than any lease is long was taken by a clock that has been set back.
        return now < self.until and (self.state != "pending" or self.until - now <= LEASE_MS_MAX)


@dataclass
class Identity:
    """A fallback identity of an event. While its event is pending, so is the identity."""

    owner: tuple
    is_committed: bool
    until: int
    ts_event: int

    def covers(self, claim):
        return abs(claim.event.ts_event - self.ts_event) < claim.window_ms and claim.now < self.until


class Unavailable(Exception):
    """The store could not answer."""


class Limited(Exception):
    """The quota is spent: milliseconds until it admits an event, and the quota."""


class Store:
    """A store that was empty when it began. `comment` is the vector's: it names events that share a slot, if any."""

    def __init__(self, policy, began, comment=""):
        per_minute = policy.source_requests_per_minute
        self.refusals_rate = Rate.per(per_minute, 60_000, per_minute)
        self.capacity = policy.entries_per_slot
        shared = re.search(r"\((\S+) and (\S+) share a slot", comment)
        self.shared = set(shared.groups()) if shared else set()
        # The store knows nothing from before it began. The shared slot has pushed out events from before `forgotten`.
        self.began, self.forgotten = began, began
        # By source, partner, event; and for each fallback identity those of its events.
        self.refusals, self.quotas, self.events, self.identities = {}, {}, {}, {}

    def refused_too_often(self, client, now):
        """Milliseconds until the source is looked at again, or 0."""
        return self.refusals_rate.take(self.refusals.get(source.throttle_key(client)), now)[1]

    def count_refusal(self, client, now):
        key = source.throttle_key(client)
        stored, _, _ = self.refusals_rate.take(self.refusals.get(key), now)
        # A source that is limited has nothing left to lose.
        if stored is not None:
            self.refusals[key] = stored

    def _spend(self, claim):
        """What is left of the partner's quota after this event."""
        if not claim.spends_quota:
            return None
        rate, name = Rate.per(claim.partner.per_second, 1000, claim.partner.burst), claim.partner.name
        stored, wait_ms, quota = rate.take(self.quotas.get(name), claim.now)
        if stored is None:
            raise Limited(wait_ms, quota)
        self.quotas[name] = stored
        return quota

    def claim(self, claim):
        """The answer's name, and what belongs to it. Raises Limited or Unavailable."""
        known = self._known(claim)
        if known:
            return known
        ts_event_min = max(claim.ts_event_min, self._remembers_from(claim))
        if claim.event.ts_event < ts_event_min:
            return "too_old", ts_event_min
        rival = self._rival(claim)
        if rival and not rival.is_committed:
            return "in_flight", rival.until - claim.now
        # Only what writes spends quota, and without room nothing is written.
        leaving = self._leaving(claim)
        quota = self._spend(claim)
        self._forget(leaving, claim)
        if rival:
            until = math.inf if claim.is_hand_on else claim.remembered_until(claim.now)
            self.events[claim.name] = Held("duplicate", until, claim.payload_hash, original=rival.owner[1])
            return "duplicate_of", rival.owner[1]
        self.events[claim.name] = Held("pending", claim.lease_until, receipt_key=claim.receipt_key)
        if claim.window_ms is not None:
            identity = Identity(claim.name, False, claim.lease_until, claim.event.ts_event)
            self.identities[claim.fallback] = [*self._identities(claim), identity]
        if claim.is_hand_on:
            self.commit(claim, claim.now)
        return "fresh", quota

    def _known(self, claim):
        """The answer to an event that is known by its id."""
        held = self.events.get(claim.name)
        if not held or not held.is_live(claim.now):
            self.events.pop(claim.name, None)
            return None
        if held.state == "pending":
            return "in_flight", held.until - claim.now
        if held.payload_hash != claim.payload_hash:
            return "reused", None
        if held.state == "duplicate":
            # An inbox keeps the name beside the duplicate, a table only with the identity.
            is_known = claim.is_hand_on or held.original in [one.owner[1] for one in self._identities(claim)]
            return "duplicate_of", held.original if is_known else None
        return "seen", held.receipt_key

    def _identities(self, claim):
        """The identities of that name that still count, but for what an earlier attempt of the same event left."""
        known = self.identities.get(claim.fallback, [])
        return [one for one in known if claim.now < one.until and (one.is_committed or one.owner != claim.name)]

    def _rival(self, claim):
        """The event that this one would duplicate: a committed one first, then the one that came first."""
        if claim.window_ms is None:
            return None
        rivals = [one for one in self._identities(claim) if one.covers(claim)]
        return min(rivals, key=lambda one: not one.is_committed, default=None)

    def commit(self, claim, now):
        held = self.events.get(claim.name)
        # An inbox never forgets an id.
        until = math.inf if claim.is_hand_on else claim.remembered_until(now)
        if not held or held.state != "committed" or not held.is_live(now):
            # The first commit stands.
            self.events[claim.name] = Held("committed", until, claim.payload_hash, claim.receipt_key)
        for one in self.identities.get(claim.fallback, []):
            if one.owner == claim.name and not one.is_committed:
                one.is_committed, one.until = True, claim.remembered_until(now) + claim.window_ms

    def release(self, claim):
        """Takes away the very claim, and no later one of the same event."""
        held = self.events.get(claim.name)
        if held and held.state == "pending" and held.until == claim.lease_until:
            del self.events[claim.name]
        is_own = lambda one: one.owner == claim.name and not one.is_committed and one.until == claim.lease_until
        known = self.identities.get(claim.fallback, [])
        self.identities[claim.fallback] = [one for one in known if not is_own(one)]

    def _remembers_from(self, claim):
        """The earliest `ts_event` that the store's own memory can tell from a repeat."""
        if not claim.knows_own_memory:
            return 0
        return self.forgotten if claim.event.id in self.shared else self.began

    def _leaving(self, claim):
        """What gives way in a slot that is full: the oldest committed event; a claim that is under way never does."""
        if claim.event.id not in self.shared:
            return []
        ring = [(name, held) for name, held in self.events.items() if name[1] in self.shared and name != claim.name]
        free = [entry for entry in ring if entry[1].state != "pending" or not entry[1].is_live(claim.now)]
        free.sort(key=lambda entry: (entry[1].is_live(claim.now), entry[1].until))
        surplus = max(len(ring) + 1 - self.capacity, 0)
        if surplus > len(free):
            raise Unavailable
        return free[:surplus]

    def _forget(self, leaving, claim):
        for name, held in leaving:
            if held.is_live(claim.now):
                self.forgotten = max(self.forgotten, held.until - claim.retention_ms + 1)
            del self.events[name]
