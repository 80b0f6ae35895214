"""The connection that a message came from, as those who handle the message see it."""

from __future__ import annotations

from typing import Any, Protocol

from ..peer import BlockingPeer, Peer
from .log import Complaints
from .turn import Turn
from .writer import Writer

__all__ = ["Origin"]


class Origin(Protocol):
    """What handling a message needs of its connection."""

    @property
    def id(self) -> str:
        """The peer's id."""
        ...

    @property
    def peer(self) -> Peer[Any]:
        """The peer, for coroutines."""
        ...

    @property
    def blocking_peer(self) -> BlockingPeer[Any]:
        """The peer, for threads."""
        ...

    @property
    def complaints(self) -> Complaints:
        """Logs what is wrong with the peer, now and then."""
        ...

    @property
    def turn(self) -> Turn:
        """How long it has had the event loop."""
        ...

    @property
    def writer(self) -> Writer:
        """The way to the peer."""
        ...

    async def make_room(self, payloads: list[str | bytes]) -> None:
        """Waits until all of them fit into the peer's outbox."""
        ...

    def reply(self, event: str, payload: str | bytes, *, answer: bool) -> None:
        """Sends to the peer, without waiting; an answer is never dropped."""
        ...

    def read_ahead(self) -> None:
        """Sees to it that a disconnect or a `cancel` is noticed."""
        ...
