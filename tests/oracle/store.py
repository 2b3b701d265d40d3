"""The store contract (components/core/src/store.rs): throttle, quota, claims and fallback identities of one vector."""

import re
from dataclasses import dataclass

import rules
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
        money = (self.event.currency, self.event.minor) if rules.FALLBACK_BY_TS_EVENT else ()
        return self.partner.name, self.event.type, self.event.click_id, *money

    @property
    def lease_until(self):
        return self.now + self.lease_ms


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
    window_ms: int
    window_until: int

    def covers(self, claim):
        if rules.FALLBACK_BY_TS_EVENT:
            return abs(claim.event.ts_event - self.ts_event) < claim.window_ms and claim.now < self.until
        return claim.now < self.until


class Unavailable(Exception):
    """The store could not answer."""


class Limited(Exception):
    """The quota is spent: milliseconds until it admits an event, and the quota."""


class Store:
    """An empty store. `comment` is the vector's: it names events that share a slot of the claim table, where any do."""

    def __init__(self, policy, comment=""):
        per_minute = policy.source_requests_per_minute
        self.refusals_rate = Rate.per(per_minute, 60_000, per_minute)
        self.capacity = policy.entries_per_slot
        shared = re.search(r"\((\S+) and (\S+) share a slot", comment)
        self.shared = set(shared.groups()) if shared else set()
        # What the shared slot has pushed out was accepted before this instant.
        self.remembers_from = 0
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
        quota = None if rules.KNOWN_BEFORE_QUOTA else self._spend(claim)
        known = self._known(claim)
        if known:
            return known
        ts_event_min = max(claim.ts_event_min, self.remembers_from if self._is_bounded(claim) else 0)
        if rules.FRESHNESS and claim.event.ts_event < ts_event_min:
            return "too_old", ts_event_min
        if not rules.FALLBACK_BY_TS_EVENT:
            self._make_room(claim)
        rival = self._rival(claim)
        if rival and not rival.is_committed:
            return "in_flight", rival.until - claim.now
        # Only what writes spends quota.
        if rules.KNOWN_BEFORE_QUOTA:
            quota = self._spend(claim)
        if rules.FALLBACK_BY_TS_EVENT:
            self._make_room(claim)
        until = claim.now + claim.retention_ms
        if rival:
            if rules.FALLBACK_BY_TS_EVENT:
                self.events[claim.name] = Held("duplicate", until, claim.payload_hash, original=rival.owner[1])
            return "duplicate_of", rival.owner[1]
        self.events[claim.name] = Held("pending", claim.lease_until, receipt_key=claim.receipt_key)
        if claim.window_ms is not None:
            window_until, ts_event = claim.now + claim.window_ms, claim.event.ts_event
            identity = Identity(claim.name, False, claim.lease_until, ts_event, claim.window_ms, window_until)
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
            is_known = (claim.partner.name, held.original) in self.events
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
        # Counted from now alone, an event of a fast clock would be forgotten while its age still passes.
        since = max(now, claim.event.ts_event) if rules.FRESHNESS else now
        self.events[claim.name] = Held("committed", since + claim.retention_ms, claim.payload_hash, claim.receipt_key)
        if held and held.state == "committed" and held.is_live(now):
            # The first commit stands.
            self.events[claim.name] = held
        for one in self.identities.get(claim.fallback, []):
            if one.owner == claim.name and not one.is_committed:
                by_time = now + claim.retention_ms + one.window_ms
                one.is_committed, one.until = True, by_time if rules.FALLBACK_BY_TS_EVENT else one.window_until

    def release(self, claim):
        """Takes away the very claim, and no later one of the same event."""
        held = self.events.get(claim.name)
        if held and held.state == "pending" and held.until == claim.lease_until:
            del self.events[claim.name]
        is_own = lambda one: one.owner == claim.name and not one.is_committed and one.until == claim.lease_until
        known = self.identities.get(claim.fallback, [])
        self.identities[claim.fallback] = [one for one in known if not is_own(one)]

    def _is_bounded(self, claim):
        """Whether the store's own memory bounds the age of an event."""
        return claim.knows_own_memory and claim.event.id in self.shared

    def _make_room(self, claim):
        """In a slot that is full the oldest committed event gives way; a claim that is under way never does."""
        if claim.event.id not in self.shared:
            return
        ring = [(name, held) for name, held in self.events.items() if name[1] in self.shared]
        while len(ring) >= self.capacity:
            free = [entry for entry in ring if entry[1].state != "pending" or not entry[1].is_live(claim.now)]
            if not free:
                raise Unavailable
            oldest = min(free, key=lambda entry: (entry[1].is_live(claim.now), entry[1].until))
            if oldest[1].is_live(claim.now):
                self.remembers_from = max(self.remembers_from, oldest[1].until - claim.retention_ms + 1)
            del self.events[oldest[0]]
            ring.remove(oldest)
