"""The service's calls for threads."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from ..peer import Peer
from ..protocol.audience import ALL, DeliveryReport, Everyone
from ..protocol.presence import Presence
from .running import AnyPeer, Running

__all__ = ["BlockingService"]

T = TypeVar("T")


class BlockingService:
    """The calls of `WebSocketService`, each waiting for its result.

    On the event loop's own thread they raise `RuntimeError`, since they would wait for themselves.

    Args:
        running: Gives the current lifetime, or raises `ServiceNotRunning`.
    """

    def __init__(self, running: Callable[[], Running]) -> None:
        self._running = running

    def emit(
        self, peer_or_id: AnyPeer | str, event: str, data: Any = None, *, latest: str | None = None
    ) -> DeliveryReport:
        """See `WebSocketService.emit`."""
        return self._call(Running.emit, peer_or_id, event, data, latest)

    def emit_to_user(
        self,
        user: str,
        event: str,
        data: Any = None,
        *,
        namespace: str | None = None,
        latest: str | None = None,
    ) -> DeliveryReport:
        """See `WebSocketService.emit_to_user`."""
        return self._call(Running.emit_to_user, user, event, data, namespace, latest)

    def broadcast(
        self,
        namespace_or_peer: AnyPeer | str,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        exclude: AnyPeer | str | Collection[AnyPeer | str] = (),
        latest: str | None = None,
    ) -> DeliveryReport:
        """See `WebSocketService.broadcast`."""
        return self._call(Running.broadcast, namespace_or_peer, event, data, room, exclude, latest)

    def broadcast_others(
        self,
        peer: AnyPeer,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        latest: str | None = None,
    ) -> DeliveryReport:
        """See `WebSocketService.broadcast_others`."""
        return self._call(Running.broadcast, peer, event, data, room, peer, latest)

    def disconnect(self, peer_or_id: AnyPeer | str, code: int = 1000, reason: str = "") -> None:
        """See `WebSocketService.disconnect`."""
        self._call(Running.disconnect, peer_or_id, code, reason)

    def disconnect_user(self, user: str, code: int = 1008, reason: str = "") -> None:
        """See `WebSocketService.disconnect_user`."""
        self._call(Running.disconnect_user, user, code, reason)

    def presence(self, namespace: str, *, room: str | Everyone = ALL) -> list[Presence]:
        """See `WebSocketService.presence`."""
        return self._call(Running.presence, namespace, room)

    def peers(self, namespace: str, *, room: str | Everyone = ALL) -> list[Peer[Any]]:
        """See `WebSocketService.peers`."""
        return self._call(Running.peers, namespace, room)

    def peer(self, id: str) -> Peer[Any] | None:
        """See `WebSocketService.peer`."""
        return self._call(Running.peer, id)

    def _call(self, call: Callable[..., T], *args: Any) -> T:
        running = self._running()
        return running.background.run_sync(call, running, *args)
