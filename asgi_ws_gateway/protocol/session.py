"""One connection's protocol state: what an arriving payload means, and which questions are open.

No I/O and no clock: the time is an argument.
"""

from __future__ import annotations

from math import inf
from typing import Final, Generic, TypeVar

from ..errors import LimitReached
from ..limits import Limits
from .codec import Codec, read_envelope, wire_size
from .messages import Failure, Incoming, Message
from .rate import RateLimiter, RateVerdict

__all__ = ["Flooding", "Session"]

W = TypeVar("W")

_UNSUPPORTED: Final = Failure("unsupported_frame")
_TOO_LARGE: Final = Failure("message_too_large")
_INVALID: Final = Failure("invalid_json")


class Flooding(Exception):
    """The peer stayed over its rate for so long that it has to be closed."""


class Session(Generic[W]):
    """What one peer may say, and what it was asked.

    Args:
        codec: Reads what arrives.
        limits: Those of the peer's namespace.
        now: The time, in seconds of any monotonic clock.

    Attributes:
        asks: Whoever waits for the answer, by the question's id.
    """

    __slots__ = (
        "_codec",
        "_kind",
        "_limits",
        "_max_bytes",
        "_max_depth",
        "_next_ask",
        "_rate",
        "asks",
    )

    def __init__(self, codec: Codec, limits: Limits, now: float) -> None:
        self._codec = codec
        self._kind: type = bytes if codec.binary else str
        self._limits = limits
        self._max_bytes = inf if limits.max_message_bytes is None else limits.max_message_bytes
        self._max_depth = limits.max_depth
        self._rate = None if limits.rate is None else RateLimiter(limits.rate, limits.burst, now)
        self._next_ask = 0
        self.asks: dict[str, W] = {}

    def receive(self, payload: str | bytes, now: float) -> Incoming | None:
        """What a payload means; `None` for one that is refused and need not be told.

        Raises:
            Flooding: Close the peer.
        """
        incoming: Incoming
        limit = self._max_bytes
        if type(payload) is not self._kind:
            incoming = _UNSUPPORTED
        else:
            try:
                # A character has at most four bytes: most messages need no closer look.
                if len(payload) > limit / 4 and (
                    len(payload) > limit or wire_size(payload) > limit
                ):
                    incoming = _TOO_LARGE
                else:
                    incoming = read_envelope(self._codec.decode(payload, self._max_depth))
            except ValueError:
                incoming = _INVALID
        # An answer or a cancel is not work for a handler. Counted are those that are in vain.
        if self._rate is not None and isinstance(incoming, Message | Failure):
            return self._limited(self._rate, incoming, now)
        return incoming

    def _limited(
        self, rate: RateLimiter, incoming: Message | Failure, now: float
    ) -> Message | Failure | None:
        verdict = rate.take(now)
        if verdict is RateVerdict.CLOSE:
            raise Flooding
        if verdict is RateVerdict.REFUSE:
            if incoming.id is None and not rate.may_tell(now):
                return None
            return Failure("rate_limited", incoming.event, incoming.id)
        return incoming

    def count_idle_talk(self, now: float) -> None:
        """Counts an answer or a cancel that came to nothing: it is a message as any other.

        Raises:
            Flooding: Close the peer.
        """
        if self._rate is not None and self._rate.take(now) is RateVerdict.CLOSE:
            raise Flooding

    def ask(self, waiter: W) -> str:
        """Opens a question and returns its id.

        Raises:
            LimitReached: Too many are open.
        """
        if self._limits.max_pending_asks is not None and (
            len(self.asks) >= self._limits.max_pending_asks
        ):
            raise LimitReached("too many questions are waiting for an answer")
        id = self.next_id()
        self.asks[id] = waiter
        return id

    def next_id(self) -> str:
        """A fresh id of ours; they start with `s:`, as no client's does."""
        self._next_ask += 1
        return f"s:{self._next_ask}"
