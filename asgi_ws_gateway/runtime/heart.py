"""A connection's clocks: when it expires, and whether its client is still there."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import anyio

from ..protocol.close_codes import EXPIRED, HEARTBEAT_TIMEOUT, Close
from .background import Background
from .inbox import Inbox

__all__ = ["Heart"]


class Heart:
    """Closes a connection in time.

    Args:
        background: Runs the timers.
        inbox: Tells whether the client is being listened to at all.
        interval: Seconds of silence until the client is asked, and as many until it is closed;
            `None` never asks.
        beat: Asks the client.
        close: Closes the connection.
    """

    __slots__ = (
        "_background",
        "_beat",
        "_close",
        "_expiry",
        "_inbox",
        "_interval",
        "_next",
        "heard",
    )

    def __init__(
        self,
        background: Background,
        inbox: Inbox,
        interval: float | None,
        *,
        beat: Callable[[], None],
        close: Callable[[Close], None],
    ) -> None:
        self._background = background
        self._inbox = inbox
        self._interval = interval
        self._beat = beat
        self._close = close
        self._expiry: Callable[[], None] | None = None
        self._next: Callable[[], None] | None = None
        self.heard = 0.0
        """When the client last said anything; whoever reads keeps it up to date."""

    def start(self, expires_at: datetime | float | None) -> None:
        """Starts the clocks.

        Args:
            expires_at: An aware `datetime`, or seconds since the epoch.
        """
        if expires_at is not None:
            moment = expires_at.timestamp() if isinstance(expires_at, datetime) else expires_at
            seconds = max(0.0, moment - time.time())
            self._expiry = self._background.call_later(seconds, lambda: self._close(EXPIRED))
        if self._interval is not None:
            self.heard = anyio.current_time()
            self._listen(self._interval)

    def stop(self) -> None:
        """Stops them."""
        for forget in (self._expiry, self._next):
            if forget is not None:
                forget()
        self._expiry = self._next = None

    def _listen(self, seconds: float, asked: float | None = None) -> None:
        self._next = self._background.call_later(seconds, lambda: self._check(asked))

    def _check(self, asked: float | None) -> None:
        """Looks whether the client was heard, if it was asked: since then."""
        assert self._interval is not None
        now = anyio.current_time()
        if self._inbox.paused:
            # It may well speak: it is us who do not listen.
            self.heard = now
        silent = now - self.heard
        if asked is not None and self.heard < asked:
            self._close(HEARTBEAT_TIMEOUT)
        elif silent < self._interval:
            self._listen(self._interval - silent)
        else:
            self._listen(self._interval, asked=now)
            self._beat()
