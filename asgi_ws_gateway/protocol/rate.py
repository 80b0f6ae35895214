"""How often a peer may speak: a token bucket, and a second one for those who do not stop."""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["RateLimiter", "RateVerdict"]

_PATIENCE = 10
"""How many bursts of refused messages a peer may send before it is closed."""

_TELL_EVERY = 1.0


class RateVerdict(Enum):
    """What to do with a message."""

    ADMIT = auto()
    REFUSE = auto()
    CLOSE = auto()
    """It went on and on: end the connection."""


class _Bucket:
    __slots__ = ("_capacity", "_level", "_rate", "_since")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self._rate = rate
        self._capacity = capacity
        self._level = capacity
        self._since = now

    def take(self, now: float) -> bool:
        self._level = min(self._capacity, self._level + (now - self._since) * self._rate)
        self._since = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


class RateLimiter:
    """One peer's allowance.

    Args:
        rate: Messages a second.
        burst: Messages at once; as many as a second allows, and at least one, when `None`.
        now: The time, in seconds of any monotonic clock.
    """

    __slots__ = ("_messages", "_refusals", "_told")

    def __init__(self, rate: float, burst: int | None, now: float) -> None:
        capacity = max(1.0, rate) if burst is None else burst
        self._messages = _Bucket(rate, capacity, now)
        self._refusals = _Bucket(rate, capacity * _PATIENCE, now)
        self._told = now - _TELL_EVERY

    def take(self, now: float) -> RateVerdict:
        """Judges one message that arrived at `now`."""
        if self._messages.take(now):
            return RateVerdict.ADMIT
        return RateVerdict.REFUSE if self._refusals.take(now) else RateVerdict.CLOSE

    def may_tell(self, now: float) -> bool:
        """Whether a refusal without an id may be told: once a second."""
        if now - self._told < _TELL_EVERY:
            return False
        self._told = now
        return True
