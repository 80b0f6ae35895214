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

    __slots__ = ("_messages", "_seconds", "_since")

    def __init__(self) -> None:
        self._messages = 0
        self._seconds = 0.0
        self._since = 0.0

    def begin(self) -> None:
        """Something arrived: the waiting for it does not count."""
        self._since = perf_counter()

    async def give_way(self) -> None:
        """One message, or one value of a stream, is dealt with: lets others run if it is time."""
        now = perf_counter()
        self._messages += 1
        self._seconds += now - self._since
        self._since = now
        if self._messages >= MESSAGES or self._seconds >= SECONDS:
            self._messages = 0
            self._seconds = 0.0
            await checkpoint()
            self._since = perf_counter()
