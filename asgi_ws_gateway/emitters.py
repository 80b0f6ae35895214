"""What becomes of a handler's result: to the sender, to all, to the others, or a strategy of yours.

A strategy only plans. The runtime encodes all that a result leads to before it sends any of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias, final, runtime_checkable

from .peer import Peer
from .protocol.audience import ALL, Audience, Delivery, Everyone

__all__ = ["SKIP", "EmitterStrategy", "Key", "Room", "ToAll", "ToOthers", "ToSender"]


@final
class _Skip:
    __slots__ = ()

    def __repr__(self) -> str:
        return "SKIP"


SKIP: Final[Any] = _Skip()
"""As a handler's result: no emitter fires."""

Room: TypeAlias = "str | Everyone | Callable[[Any, Peer[Any]], str | Everyone | None] | None"
Key: TypeAlias = "str | Callable[[Any, Peer[Any]], str | None] | None"


@runtime_checkable
class EmitterStrategy(Protocol):
    """Turns a result into what is sent.

    Its contract suite is `asgi_ws_gateway.testing.contracts.EmitterStrategyContract`.
    """

    def plan(self, result: Any, data: Any, peer: Peer[Any]) -> Delivery | None:
        """Says what to send to whom, or `None` for nothing.

        It sends nothing itself, and waits for nothing.

        Args:
            result: What the handler returned, or yielded.
            data: What the handler was given.
            peer: Who sent it.
        """
        ...


class ToSender:
    """What `@emit` stands for."""

    def __init__(self, event: str) -> None:
        self.event = event

    def plan(self, result: Any, data: Any, peer: Peer[Any]) -> Delivery | None:
        """See `EmitterStrategy.plan`."""
        return Delivery(Audience(peer.namespace, peer=peer.id), self.event, result)


class ToAll:
    """What `@broadcast` stands for."""

    def __init__(self, event: str, room: Room = ALL, latest: Key = None) -> None:
        self.event = event
        self.room = room
        self.latest = latest

    def plan(self, result: Any, data: Any, peer: Peer[Any]) -> Delivery | None:
        """See `EmitterStrategy.plan`."""
        room = self.room(data, peer) if callable(self.room) else self.room
        if room is None:
            return None
        latest = self.latest(data, peer) if callable(self.latest) else self.latest
        # Found out here, before anything is sent: these are looked up in dictionaries later.
        if not isinstance(room, str | Everyone):
            raise TypeError(f"room= gave a {type(room).__name__}, not a str, ALL or None")
        if not isinstance(latest, str | None):
            raise TypeError(f"latest= gave a {type(latest).__name__}, not a str or None")
        audience = Audience(peer.namespace, room, exclude=self._exclude(peer))
        return Delivery(audience, self.event, result, latest)

    def _exclude(self, peer: Peer[Any]) -> tuple[str, ...]:
        return ()


class ToOthers(ToAll):
    """What `@broadcast_others` stands for."""

    def _exclude(self, peer: Peer[Any]) -> tuple[str, ...]:
        return (peer.id,)
