"""Fairness: how long one connection may have the event loop to itself."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from anyio.lowlevel import checkpoint

__all__ = ["Turn"]

MESSAGES: Final = 256
SECONDS: Final = 0.010


class Turn:
    """What a connection has done since others last had a chance."""

    __slots__ = ("_messages", "_seconds", "since")

    def __init__(self) -> None:
        self._messages = 0
        self._seconds = 0.0
        self.since = 0.0

    def begin(self) -> None:
        """Something arrived: the waiting for it does not count."""
        self.since = perf_counter()

    def over(self) -> bool:
        """One message, or value of a stream, is dealt with; whether it is time to `give_way`."""
        now = perf_counter()
        self._messages += 1
        self._seconds += now - self.since
        self.since = now
        return self._seconds >= SECONDS or self._messages >= MESSAGES

    async def give_way(self) -> None:
        """Lets others run."""
        self._messages = 0
        self._seconds = 0.0
        await checkpoint()
        self.since = perf_counter()
