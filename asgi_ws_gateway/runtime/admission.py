"""How many may come in: handshakes under way, open connections, and those of one address."""

from __future__ import annotations

from collections import Counter

import anyio

from ..limits import Limits

__all__ = ["Admission"]


class Admission:
    """Counts who is in, for the service-wide limits.

    Args:
        limits: The service's.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._attempts = 0
        self._connections = 0
        self._by_ip: Counter[str] = Counter()
        self._emptied: anyio.Event | None = None

    def enter(self, ip: str | None) -> str | None:
        """Counts a handshake and its connection; returns the limit that forbids it, if one does.

        Whoever was let in calls `leave` in the end.
        """
        limits = self._limits
        if limits.max_connections is not None and self._connections >= limits.max_connections:
            return "max_connections"
        if limits.max_connections_per_ip is not None and ip is not None:
            if self._by_ip[ip] >= limits.max_connections_per_ip:
                return "max_connections_per_ip"
            self._by_ip[ip] += 1
        self._connections += 1
        return None

    def leave(self, ip: str | None) -> None:
        """The connection, or its handshake, has ended."""
        self._connections -= 1
        if self._limits.max_connections_per_ip is not None and ip is not None:
            self._by_ip[ip] -= 1
            if not self._by_ip[ip]:
                del self._by_ip[ip]
        if not self._connections and self._emptied is not None:
            self._emptied.set()
            self._emptied = None

    async def emptied(self) -> None:
        """Waits until nobody is in."""
        while self._connections:
            if self._emptied is None:
                self._emptied = anyio.Event()
            await self._emptied.wait()

    def begin_attempt(self) -> bool:
        """Counts an attempt hook under way; whether there may be one more."""
        if self._limits.max_attempts is not None and self._attempts >= self._limits.max_attempts:
            return False
        self._attempts += 1
        return True

    def end_attempt(self) -> None:
        """The attempt hook has ended."""
        self._attempts -= 1
