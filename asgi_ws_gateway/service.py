"""`WebSocketService`: gateways are registered with it, it runs, and anything is sent through it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

import anyio

from .errors import ConfigurationError, ServiceNotRunning
from .limits import Limits
from .observers import Observer
from .peer import Peer
from .protocol.audience import ALL, DeliveryReport, Everyone
from .protocol.codec import Codec, JSONCodec
from .protocol.paths import Match
from .protocol.presence import Presence
from .routing.compile import Defaults, compile_gateway
from .routing.table import Namespace, RoutingTable
from .runtime.blocking import BlockingService
from .runtime.dispatcher import Dispatcher
from .runtime.lifetime import Lifetime, StartCancelled
from .runtime.running import AnyPeer, Running
from .runtime.telemetry import Stats, Telemetry
from .runtime.threads import Runner

__all__ = ["Health", "WebSocketService"]

T = TypeVar("T")


class Health(NamedTuple):
    """How a service is.

    Attributes:
        status: `"ok"`, or `"degraded"` while something does not work as it should.
        reason: What that is.
        since: Since when, in UTC.
    """

    status: Literal["ok", "degraded"]
    reason: str | None = None
    since: datetime | None = None


class WebSocketService:
    """What serves the gateways of one application.

    Every coroutine may be awaited in a foreign event loop too (`async_to_sync` makes one), and is
    then carried out in the service's own.

    Args:
        limits: For every namespace that has none of its own.
        codec: The same.
        allowed_origins: The same: `"same-origin"`, a list of origins, or `"*"`.
        observers: Told what happens.
        run_sync: Runs plain `def` handlers, in place of the service's threads: takes a function of
            no arguments, and awaits its result.
        lifespan: Called with the service; an async context that is open while it runs.
        check_outgoing: Whether results are checked against the emitters' schemas.

    Attributes:
        blocking: The same calls for threads.
        complaints: Logs what is wrong with clients that are no peers yet.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        codec: Codec | None = None,
        allowed_origins: Sequence[str] | str = "same-origin",
        observers: Sequence[Observer] = (),
        run_sync: Runner | None = None,
        lifespan: Callable[[WebSocketService], AbstractAsyncContextManager[Any]] | None = None,
        check_outgoing: bool = True,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self.telemetry = Telemetry(tuple(observers))
        self.complaints = self.telemetry.complaints
        self.blocking = BlockingService(lambda: self.running)
        self._table = RoutingTable()
        self._defaults = Defaults(
            self.limits, JSONCodec() if codec is None else codec, allowed_origins
        )
        self._run_sync = run_sync
        self._lifespan = lifespan
        self._check_outgoing = check_outgoing
        self._dispatchers: dict[int, Dispatcher] = {}
        self._lifetime: Lifetime | None = None

    def register(self, *gateways: object) -> None:
        """Registers instances of decorated classes, all of them or none.

        Raises:
            ConfigurationError: It lists every mistake in every gateway.
        """
        if gateways and self._lifetime is not None:
            raise ConfigurationError("register() comes before serving starts")
        mistakes: list[str] = []
        namespaces: list[Namespace] = []
        taken = {namespace.pattern.shape: namespace for namespace in self._table}
        for gateway in gateways:
            namespace, found = compile_gateway(gateway, self._defaults)
            mistakes += found
            if namespace is None:
                continue
            rival = taken.setdefault(namespace.pattern.shape, namespace)
            if rival is not namespace:
                mistakes.append(
                    f"{namespace.label}: {namespace.pattern.text!r} is served by {rival.label} "
                    f"already (as {rival.pattern.text!r}): choose another path"
                )
            namespaces.append(namespace)
        if mistakes:
            raise ConfigurationError(mistakes)
        for namespace in namespaces:
            self._table.add(namespace)

    async def __aenter__(self) -> Self:
        """Starts it, or joins in if it runs already."""
        while self._lifetime is not None and self._lifetime.stopping:
            await self._lifetime.ended.wait()
        lifetime = self._current_lifetime()
        # Counted before it waits: whoever entered with it may leave first.
        lifetime.entered += 1
        try:
            await lifetime.start()
        except StartCancelled:
            return await self.__aenter__()
        except BaseException:
            lifetime.entered -= 1
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends it when the last who entered leaves; who is still connected is closed with 1012."""
        lifetime = self._lifetime
        if lifetime is None:
            return  # it ended with its event loop
        lifetime.entered -= 1
        if lifetime.entered == 0:
            with anyio.CancelScope(shield=True):
                await lifetime.stop()

    async def start(self) -> None:
        """Starts it, unless it runs: for servers that send no lifespan. It ends with its loop.

        Raises:
            Exception: What the `lifespan` raised.
        """
        while True:
            lifetime = self._current_lifetime()
            if lifetime.running is not None and not lifetime.running.background.here:
                raise RuntimeError("the service runs already, in another event loop")
            try:
                return await lifetime.start()
            except StartCancelled:
                pass

    async def drain(self, grace: float = 10.0) -> None:
        """Lets go of every client in good order: call it before the server stops.

        New handshakes are refused (503), nothing more is read, handlers have `grace` seconds to
        end, what is queued goes out, and all are closed with 1012. Handlers that still run are
        cancelled. Returns when the closes are handed to the server, a second after `grace` at the
        latest.
        """
        running = self.running
        if running.background.here:
            await running.drain(grace)
        else:
            await running.background.hand_over(running.drain, grace)

    async def emit(
        self, peer_or_id: AnyPeer | str, event: str, data: Any = None, *, latest: str | None = None
    ) -> DeliveryReport:
        """Sends to one peer, without waiting for it.

        Args:
            peer_or_id: Who; one that has left is no error.
            event: The event's name.
            data: What the codec can encode.
            latest: A key; what is still unsent with the same event and key is replaced.

        Raises:
            EncodeError: `data` cannot be encoded. So do all other sends.
            ServiceNotRunning: The service does not run. So do all other calls.
        """
        return await self._call(Running.emit, peer_or_id, event, data, latest)

    async def emit_to_user(
        self,
        user: str,
        event: str,
        data: Any = None,
        *,
        namespace: str | None = None,
        latest: str | None = None,
    ) -> DeliveryReport:
        """Sends to all peers of a user: those whose attempt hook said `Accept(user=user)`.

        Args:
            user: Who.
            event: The event's name.
            data: What the codec can encode.
            namespace: Only those of this path; every namespace when left out.
            latest: As for `emit`.
        """
        return await self._call(Running.emit_to_user, user, event, data, namespace, latest)

    async def broadcast(
        self,
        namespace_or_peer: AnyPeer | str,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        exclude: AnyPeer | str | Collection[AnyPeer | str] = (),
        latest: str | None = None,
    ) -> DeliveryReport:
        """Sends to everyone in a namespace, or in one of its rooms; waits for none.

        Args:
            namespace_or_peer: A concrete path, or a peer for the one it is in.
            event: The event's name.
            data: What the codec can encode.
            room: Only those in this room.
            exclude: Peers, or ids of peers, who are left out.
            latest: As for `emit`.

        Raises:
            UnknownNamespace: No gateway serves that path.
        """
        return await self._call(
            Running.broadcast, namespace_or_peer, event, data, room, exclude, latest
        )

    async def broadcast_others(
        self,
        peer: AnyPeer,
        event: str,
        data: Any = None,
        *,
        room: str | Everyone | None = ALL,
        latest: str | None = None,
    ) -> DeliveryReport:
        """Sends to everyone in the peer's namespace, or in one of its rooms, but that peer."""
        return await self._call(Running.broadcast, peer, event, data, room, peer, latest)

    async def disconnect(
        self, peer_or_id: AnyPeer | str, code: int = 1000, reason: str = ""
    ) -> None:
        """Closes a peer, once what is queued for it has gone out; does not wait for that.

        Raises:
            ValueError: The code may not be sent.
        """
        await self._call(Running.disconnect, peer_or_id, code, reason)

    async def disconnect_user(self, user: str, code: int = 1008, reason: str = "") -> None:
        """Closes all peers of a user, as `disconnect` does."""
        await self._call(Running.disconnect_user, user, code, reason)

    async def presence(self, namespace: str, *, room: str | Everyone = ALL) -> list[Presence]:
        """Who is in a namespace, or in one of its rooms.

        Raises:
            UnknownNamespace: No gateway serves that path.
        """
        return await self._call(Running.presence, namespace, room)

    def peers(self, namespace: str, *, room: str | Everyone = ALL) -> list[Peer[Any]]:
        """Who is in a namespace, or in one of its rooms, on this node.

        Raises:
            UnknownNamespace: No gateway serves that path.
        """
        return self.running.peers(namespace, room)

    def peer(self, id: str) -> Peer[Any] | None:
        """The peer with this id, if it is on this node."""
        return self.running.peer(id)

    def stats(self) -> Stats:
        """The counters, live: copy what you want to keep."""
        return self.telemetry.stats

    def health(self) -> Health:
        """`ok`, or `degraded` with what is wrong."""
        running = None if self._lifetime is None else self._lifetime.running
        if running is None:
            return Health("degraded", "not running")
        if running.draining_since is not None:
            return Health("degraded", "draining", running.draining_since)
        if running.failed_since is not None:
            return Health("degraded", "the lifespan has failed", running.failed_since)
        return Health("ok")

    # For the layers above.

    def find(self, path: str) -> Match[Namespace] | None:
        """What serves a path, as the server decoded it."""
        return self._table.find(path)

    @property
    def running(self) -> Running:
        """What its connections share. Raises `ServiceNotRunning`."""
        lifetime = self._lifetime
        if lifetime is None or lifetime.running is None or lifetime.running.background.ended:
            raise ServiceNotRunning(
                "the service does not run: enter it with `async with service`, or serve its "
                "GatewayMiddleware"
            )
        return lifetime.running

    def dispatcher(self, running: Running, namespace: Namespace) -> Dispatcher:
        """What handles a namespace's messages."""
        dispatcher = self._dispatchers.get(id(namespace))
        if dispatcher is None:
            dispatcher = self._dispatchers[id(namespace)] = Dispatcher(running, namespace)
        return dispatcher

    async def _call(self, call: Callable[..., T], *args: Any) -> T:
        running = self.running
        if running.background.here:
            result = call(running, *args)
            await running.background.relieve()
            return result
        return await running.background.hand_over_sync(call, running, *args)

    def _current_lifetime(self) -> Lifetime:
        lifetime = self._lifetime
        if lifetime is not None and (
            lifetime.running is None or not lifetime.running.background.ended
        ):
            return lifetime
        lifespan = self._lifespan
        self._dispatchers.clear()
        self._lifetime = lifetime = Lifetime(
            self._table,
            self.telemetry,
            limits=self.limits,
            run_sync=self._run_sync,
            lifespan=None if lifespan is None else lambda: lifespan(self),
            codec=self._defaults.codec,
            check_outgoing=self._check_outgoing,
            on_end=lambda: self._forget(lifetime),
        )
        return lifetime

    def _forget(self, lifetime: Lifetime | None) -> None:
        if self._lifetime is lifetime:
            self._lifetime = None
