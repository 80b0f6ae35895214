"""A peer as handlers see it. What it does is done by its link, which the runtime provides."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .limits import DEFAULT
from .protocol.audience import ALL, DeliveryReport, Everyone
from .request import ConnectionRequest

__all__ = ["BlockingPeer", "Peer", "PeerLink", "Portal"]

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    S = TypeVarWithDefault("S", default=dict[str, Any])
else:
    S = TypeVar("S")


class PeerLink(Protocol):
    """What carries out a peer's verbs; `Peer` says what each means."""

    @property
    def connected(self) -> bool:
        """See `Peer.connected`."""
        ...

    @property
    def rooms(self) -> frozenset[str]:
        """See `Peer.rooms`."""
        ...

    async def send(self, event: str, data: Any, latest: str | None) -> bool:
        """See `Peer.send`."""
        ...

    async def broadcast(
        self,
        event: str,
        data: Any,
        room: str | Everyone | None,
        latest: str | None,
        exclude: tuple[str, ...],
    ) -> DeliveryReport:
        """See `Peer.broadcast`; `exclude` holds ids."""
        ...

    async def ask(self, event: str, data: Any, timeout: Any) -> Any:
        """See `Peer.ask`."""
        ...

    def join(self, room: str) -> bool:
        """See `Peer.join`."""
        ...

    def leave(self, room: str) -> bool:
        """See `Peer.leave`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """See `Peer.close`."""
        ...


class Portal(Protocol):
    """Runs something on the service's event loop, for a thread that waits for it."""

    def run(self, call: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Runs a coroutine function."""
        ...

    def run_sync(self, call: Callable[..., T], *args: Any) -> T:
        """Runs a plain function."""
        ...


class _PeerFacts(Generic[S]):
    """What is known of a peer, however it is driven."""

    __slots__ = ("__weakref__", "id", "namespace", "request")

    id: str
    namespace: str
    request: ConnectionRequest

    @property
    def path_params(self) -> dict[str, str]:
        """What `{name}` segments of the namespace matched."""
        return self.request.path_params

    @property
    def params(self) -> dict[str, str]:
        """The handshake's query parameters; the last value of a repeated one."""
        return self.request.params

    @property
    def ip(self) -> str | None:
        """The address the server saw at the handshake."""
        return self.request.ip

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of {self.namespace!r}>"


class Peer(_PeerFacts[S]):
    """One accepted connection.

    It is in the audience of its namespace from accept on, until it leaves.

    Attributes:
        id: Unguessable, and unique among all nodes.
        user: What the attempt hook said, if it did.
        state: Yours: what `Accept(state=...)` gave, else an empty dict.
        presence: What others may see of it, from `Accept(presence=...)`.
        namespace: Its concrete path, such as `/rooms/42`.
        request: Its handshake.
    """

    __slots__ = ("_link", "presence", "state", "user")

    user: str | None
    state: S
    presence: Any

    def __init__(
        self,
        link: PeerLink,
        *,
        id: str,
        namespace: str,
        request: ConnectionRequest,
        user: str | None = None,
        state: Any = None,
        presence: Any = None,
    ) -> None:
        self._link = link
        self.id = id
        self.user = user
        self.state = state
        self.presence = presence
        self.namespace = namespace
        self.request = request

    def relink(self, link: PeerLink) -> None:
        """Carries out its verbs elsewhere from now on; for the runtime."""
        self._link = link

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in; once it has gone, those it was in."""
        return self._link.rooms

    @property
    def connected(self) -> bool:
        """Whether sends can still reach it, as far as is known."""
        return self._link.connected

    async def send(self, event: str, data: Any = None, *, latest: str | None = None) -> bool:
        """Sends one event; `False` once the peer is gone.

        Called from this peer's own handlers and hooks, it waits while the outbox is full, for
        `limits.send_timeout` at most. From anywhere else it never waits: `limits.overflow` says
        what happens.

        Args:
            event: Its name.
            data: What the codec can encode.
            latest: A key; what is still unsent with the same event and key is replaced.

        Raises:
            EncodeError: `data` cannot be encoded.
        """
        return await self._link.send(event, data, latest)

    async def broadcast(
        self,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        latest: str | None = None,
    ) -> DeliveryReport:
        """Sends to everyone in the namespace, or in one of its rooms, this peer included.

        It waits for no peer. See `send` for `latest` and errors.
        """
        return await self._link.broadcast(event, data, room, latest, ())

    async def broadcast_others(
        self,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        latest: str | None = None,
    ) -> DeliveryReport:
        """Like `broadcast`, without this peer."""
        return await self._link.broadcast(event, data, room, latest, (self.id,))

    async def ask(self, event: str, data: Any = None, *, timeout: Any = DEFAULT) -> Any:
        """Sends a question and waits for the client's `ack`; returns its data.

        Args:
            event: Its name.
            data: What the codec can encode.
            timeout: Seconds; `None` for no limit, `limits.ask_timeout` when left out.

        Raises:
            AskTimeout: No answer in time.
            AskRejected: The client answered with an error.
            PeerClosed: It left, or was gone already.
            LimitReached: `limits.max_pending_asks` questions are open.
        """
        return await self._link.ask(event, data, timeout)

    def join(self, room: str) -> bool:
        """Enters a room, which exists while somebody is in it. `False` once the peer is gone.

        Raises:
            LimitReached: Too many rooms, or too long a name; also a `ValueError`.
        """
        return self._link.join(room)

    def leave(self, room: str) -> bool:
        """Leaves a room, if it is in it. `False` once the peer is gone."""
        return self._link.leave(room)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Sends what is queued, then closes; later sends return `False`.

        Returns when the close is handed to the server, or after `limits.send_timeout`.

        Raises:
            ValueError: The code may not be sent.
        """
        await self._link.close(code, reason)


class BlockingPeer(_PeerFacts[S]):
    """The same peer for plain `def` handlers, which run in a thread: its verbs wait.

    Every verb means what it means on `Peer`, from the first argument to the last error.
    """

    __slots__ = ("_peer", "_portal")

    def __init__(self, peer: Peer[S], portal: Portal) -> None:
        self._peer = peer
        self._portal = portal
        self.id = peer.id
        self.namespace = peer.namespace
        self.request = peer.request

    @property
    def user(self) -> str | None:
        """The same as `Peer.user`."""
        return self._peer.user

    @user.setter
    def user(self, user: str | None) -> None:
        self._peer.user = user

    @property
    def presence(self) -> Any:
        """The same object as `Peer.presence`."""
        return self._peer.presence

    @presence.setter
    def presence(self, presence: Any) -> None:
        self._peer.presence = presence

    @property
    def state(self) -> S:
        """The same object as `Peer.state`."""
        return self._peer.state

    @state.setter
    def state(self, state: S) -> None:
        self._peer.state = state

    @property
    def rooms(self) -> frozenset[str]:
        """See `Peer.rooms`."""
        return self._peer.rooms

    @property
    def connected(self) -> bool:
        """See `Peer.connected`."""
        return self._peer.connected

    def send(self, event: str, data: Any = None, *, latest: str | None = None) -> bool:
        """See `Peer.send`."""
        return self._portal.run(partial(self._peer.send, event, data, latest=latest))

    def broadcast(
        self,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        latest: str | None = None,
    ) -> DeliveryReport:
        """See `Peer.broadcast`."""
        call = partial(self._peer.broadcast, event, data, room=room, latest=latest)
        return self._portal.run(call)

    def broadcast_others(
        self,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        latest: str | None = None,
    ) -> DeliveryReport:
        """See `Peer.broadcast_others`."""
        call = partial(self._peer.broadcast_others, event, data, room=room, latest=latest)
        return self._portal.run(call)

    def ask(self, event: str, data: Any = None, *, timeout: Any = DEFAULT) -> Any:
        """See `Peer.ask`."""
        return self._portal.run(partial(self._peer.ask, event, data, timeout=timeout))

    def join(self, room: str) -> bool:
        """See `Peer.join`."""
        return self._portal.run_sync(self._peer.join, room)

    def leave(self, room: str) -> bool:
        """See `Peer.leave`."""
        return self._portal.run_sync(self._peer.leave, room)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """See `Peer.close`."""
        self._portal.run(self._peer.close, code, reason)
