"""One connection to a client, as the runtime sees it: what arrives, what leaves, how it ends."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

__all__ = ["Disconnected", "Transport"]


class Disconnected(Exception):
    """The client is gone, or the server says so: the end of what can be received."""

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(code, reason)


class Transport(Protocol):
    """An accepted connection.

    Only one task is ever in `receive`, only one in `send`, and nobody is in `receive` while `close`
    runs: there are servers that lose messages, raise or block otherwise.
    """

    @property
    def direct(self) -> bool:
        """Whether a send that one task has begun may be ended by another."""
        ...

    def receive(self) -> Awaitable[str | bytes]:
        """Waits for the next message.

        Raises:
            Disconnected: There is none any more; it is not called again.
        """
        ...

    def send(self, payload: str | bytes) -> Awaitable[None]:
        """Hands a message to the server; any exception means that the client is gone."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Ends the connection, with another code where the server refuses this one."""
        ...
