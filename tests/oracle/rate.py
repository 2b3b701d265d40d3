"""The generic cell rate algorithm in microseconds (components/core/src/rate.rs). Stored: when it is full again."""

from dataclasses import dataclass

CLOCK_STEP_US_MAX = 60_000_000


def _up(number, divisor):
    return -(-number // divisor)


@dataclass
class Quota:
    """What `RateLimit` tells: seconds rounded up, events rounded down."""

    burst: int
    window_seconds: int
    remaining: int
    reset_seconds: int


@dataclass
class Rate:
    interval_us: int
    burst: int

    @classmethod
    def per(cls, count, period_ms, burst):
        """`count` events in a period; the interval is rounded up, so that the rate is never more than was asked for."""
        return cls(_up(1000 * period_ms, count), burst)

    def _full_at(self, stored, now_us):
        full_at, spent = max(stored or 0, now_us), now_us + self.interval_us * self.burst
        # Beyond what a spent quota leaves, the clock was set back: all but one event counts as spent.
        return spent - self.interval_us if full_at > spent + CLOCK_STEP_US_MAX else full_at

    def _quota(self, full_at, now_us):
        window_us, debt_us = self.interval_us * self.burst, full_at - now_us
        left = max(window_us - debt_us, 0) // self.interval_us
        return Quota(self.burst, _up(window_us, 1_000_000), left, _up(debt_us, 1_000_000))

    def take(self, stored, now):
        """What to store and the quota left; or None and the milliseconds until an event is admitted, and the quota."""
        now_us = 1000 * now
        full_at, latest = self._full_at(stored, now_us), now_us + self.interval_us * self.burst
        after = full_at + self.interval_us
        if after <= latest:
            return after, 0, self._quota(after, now_us)
        return None, _up(after - latest, 1000), self._quota(full_at, now_us)
