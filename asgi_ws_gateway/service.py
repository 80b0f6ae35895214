"""`WebSocketService`: gateways are registered with it, it runs, and anything is sent through it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Literal, NamedTuple, ParamSpec, Self, TypeAlias, TypeVar

import anyio

from .errors import ConfigurationError, ServiceNotRunning
from .limits import Limits
from .observers import Observer
from .peer import BlockingPeer, Peer
from .protocol.audience import ALL, Audience, Delivery, DeliveryReport, Everyone
from .protocol.close_codes import Close, check_code, cut_reason
from .protocol.codec import Codec, JSONCodec
from .protocol.paths import Match, normalise
from .protocol.presence import Presence
from .request import Accept, ConnectionRequest
from .routing.compile import Defaults, compile_gateway
from .routing.table import Namespace, RoutingTable
from .runtime.background import Background
from .runtime.connection import Connection
from .runtime.dispatcher import Dispatcher
from .runtime.running import Running, check_event
from .runtime.telemetry import Stats, Telemetry
from .runtime.threads import Runner, Threads
from .runtime.transport import Transport

__all__ = ["AnyPeer", "Health", "WebSocketService"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")
AnyPeer: TypeAlias = Peer[Any] | BlockingPeer[Any]
Lifespan: TypeAlias = "Callable[[WebSocketService], AbstractAsyncContextManager[Any]]"


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
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        codec: Codec | None = None,
        allowed_origins: Sequence[str] | str = "same-origin",
        observers: Sequence[Observer] = (),
        run_sync: Runner | None = None,
        lifespan: Lifespan | None = None,
        check_outgoing: bool = True,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self.table = RoutingTable()
        self.telemetry = Telemetry(observers)
        self.blocking = BlockingService(self)
        self._defaults = Defaults(
            self.limits, JSONCodec() if codec is None else codec, allowed_origins
        )
        self._run_sync = run_sync
        self._lifespan = lifespan
        self._check_outgoing = check_outgoing
        self._dispatchers: dict[int, Dispatcher] = {}
        self._entered = 0
        self._lifetime: _Lifetime | None = None

    def register(self, *gateways: object) -> None:
        """Registers instances of decorated classes, all of them or none.

        Raises:
            ConfigurationError: It lists every mistake in every gateway.
        """
        if self._lifetime is not None:
            raise ConfigurationError("register() comes before serving starts")
        mistakes: list[str] = []
        namespaces: list[Namespace] = []
        taken = {namespace.pattern.shape: namespace for namespace in self.table}
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
            self.table.add(namespace)

    # Its lifetime.

    async def __aenter__(self) -> Self:
        """Starts it, or joins in if it runs already; see `__aexit__`."""
        await self.start()
        self._entered += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes all connections with 1012 and ends it, when the last who entered leaves."""
        self._entered -= 1
        if self._entered == 0 and self._lifetime is not None:
            with anyio.CancelScope(shield=True):
                await self._lifetime.stop()

    async def start(self) -> None:
        """Starts it, unless it runs: for servers that send no lifespan. It ends with its loop.

        Raises:
            Exception: What the `lifespan` raised.
        """
        if self._lifetime is None:
            self._dispatchers.clear()
            self._lifetime = _Lifetime(self)
        await self._lifetime.start()

    async def drain(self, grace: float = 10.0) -> None:
        """Lets go of every client in good order: call it before the server stops.

        New handshakes are refused (503), nothing more is read, handlers have `grace` seconds to
        end, what is queued goes out, and all are closed with 1012. Handlers that still run are
        cancelled. Returns when the closes are handed to the server, a second after `grace` at the
        latest.
        """
        await self._call(self._drain, grace)

    async def _drain(self, running: Running, grace: float) -> None:
        if running.draining_since is None:
            running.draining_since = datetime.now(UTC)
        with anyio.move_on_after(grace + 1.0):
            async with anyio.create_task_group() as group:
                for member in running.hub:
                    group.start_soon(member.drain, grace)

    # Sending.

    async def emit(
        self, peer_or_id: AnyPeer | str, event: str, data: Any = None, *, latest: str | None = None
    ) -> DeliveryReport:
        """Sends to one peer, without waiting for it.

        Raises:
            EncodeError: `data` cannot be encoded.
            ServiceNotRunning: The service does not run; so do all other sends.
        """
        return await self._call(self._emit, _id(peer_or_id), event, data, latest)

    async def _emit(
        self, running: Running, id: str, event: str, data: Any, latest: str | None
    ) -> DeliveryReport:
        check_event(event)
        member = running.hub.find(id)
        return running.deliver_each([] if member is None else [member], event, data, latest)

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
            latest: A key; what is still unsent with the same event and key is replaced.
        """
        return await self._call(self._emit_to_user, user, event, data, namespace, latest)

    async def _emit_to_user(
        self,
        running: Running,
        user: str,
        event: str,
        data: Any,
        namespace: str | None,
        latest: str | None,
    ) -> DeliveryReport:
        check_event(event)
        members = running.hub.user(user)
        if namespace is not None:
            running.namespace(namespace)
            path = normalise(namespace)
            members = [member for member in members if member.peer.namespace == path]
        return running.deliver_each(members, event, data, latest)

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
            latest: A key; what is still unsent with the same event and key is replaced.

        Raises:
            UnknownNamespace: No gateway serves that path.
        """
        path = namespace_or_peer if isinstance(namespace_or_peer, str) else namespace_or_peer.namespace
        return await self._call(
            self._broadcast, normalise(path), event, data, room, _ids(exclude), latest
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
        """Sends to everyone in the peer's namespace, or room of it, but that peer."""
        return await self._call(
            self._broadcast, peer.namespace, event, data, room, (peer.id,), latest
        )

    async def _broadcast(
        self,
        running: Running,
        path: str,
        event: str,
        data: Any,
        room: str | Everyone | None,
        exclude: tuple[str, ...],
        latest: str | None,
    ) -> DeliveryReport:
        check_event(event)
        return running.deliver(Delivery(Audience(path, room, None, exclude), event, data, latest))

    async def disconnect(
        self, peer_or_id: AnyPeer | str, code: int = 1000, reason: str = ""
    ) -> None:
        """Closes a peer, once what is queued for it has gone out; does not wait for that.

        Raises:
            ValueError: The code may not be sent.
        """
        check_code(code)
        await self._call(self._disconnect, _id(peer_or_id), Close(code, cut_reason(reason)))

    async def _disconnect(self, running: Running, id: str, close: Close) -> None:
        member = running.hub.find(id)
        if member is not None:
            member.close_soon(close)

    async def disconnect_user(self, user: str, code: int = 1008, reason: str = "") -> None:
        """Closes all peers of a user, as `disconnect` does."""
        check_code(code)
        await self._call(self._disconnect_user, user, Close(code, cut_reason(reason)))

    async def _disconnect_user(self, running: Running, user: str, close: Close) -> None:
        for member in running.hub.user(user):
            member.close_soon(close)

    # Looking.

    def peers(self, namespace: str, *, room: str | Everyone = ALL) -> list[Peer[Any]]:
        """Who is in a namespace, or in one of its rooms, on this node.

        Raises:
            UnknownNamespace: No gateway serves that path.
        """
        running = self._running
        running.namespace(namespace)
        members = running.hub.audience(Audience(normalise(namespace), room))
        return [member.peer for member in members]

    def peer(self, id: str) -> Peer[Any] | None:
        """The peer with this id, if it is on this node."""
        member = self._running.hub.find(id)
        return None if member is None else member.peer

    async def presence(self, namespace: str, *, room: str | Everyone = ALL) -> list[Presence]:
        """Who is in a namespace, or in one of its rooms.

        Raises:
            UnknownNamespace: No gateway serves that path.
        """
        return await self._call(self._presence, namespace, room)

    async def _presence(
        self, running: Running, namespace: str, room: str | Everyone
    ) -> list[Presence]:
        return running.presence(namespace, room)

    def stats(self) -> Stats:
        """The counters: live ones, so copy what you want to keep."""
        return self.telemetry.stats

    def health(self) -> Health:
        """`ok`, or `degraded` with what is wrong."""
        lifetime = self._lifetime
        if lifetime is None or lifetime.running is None:
            return Health("degraded", "not running")
        if lifetime.running.draining_since is not None:
            return Health("degraded", "draining", lifetime.running.draining_since)
        return Health("ok")

    # For the ASGI layer and for testing.

    def find(self, path: str) -> Match[Namespace] | None:
        """What serves a path, as the server decoded it."""
        return self.table.find(path)

    @property
    def running(self) -> Running:
        """Its lifetime. Raises `ServiceNotRunning`."""
        return self._running

    async def serve(
        self,
        match: Match[Namespace],
        transport: Transport,
        request: ConnectionRequest,
        accept: Accept,
    ) -> None:
        """Serves an accepted connection until its end."""
        running = self._running
        namespace = match.target
        connection = Connection(
            running, namespace, self.dispatcher(namespace), transport, request, accept
        )
        await connection.run(accept.expires_at)

    def dispatcher(self, namespace: Namespace) -> Dispatcher:
        """What handles a namespace's messages."""
        dispatcher = self._dispatchers.get(id(namespace))
        if dispatcher is None:
            dispatcher = self._dispatchers[id(namespace)] = Dispatcher(self._running, namespace)
        return dispatcher

    @property
    def _running(self) -> Running:
        lifetime = self._lifetime
        if lifetime is None or lifetime.running is None:
            raise ServiceNotRunning(
                "the service does not run: enter it with `async with service`, or serve its "
                "GatewayMiddleware"
            )
        return lifetime.running

    async def _call(self, call: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        running = self._running
        if running.background.here:
            return await call(running, *args)
        return await running.background.hand_over(call, running, *args)


class _Lifetime:
    """From the first who enters to the last who leaves, on one event loop."""

    def __init__(self, service: WebSocketService) -> None:
        self._service = service
        self._started: anyio.Event | None = None
        self._error: BaseException | None = None
        self._stopping = anyio.Event()
        self._left = anyio.Event()
        self.running: Running | None = None

    async def start(self) -> None:
        if self._started is None:
            self._started = anyio.Event()
            try:
                await self._start()
            except BaseException as error:
                self._error = error
                self._forget()
                raise
            finally:
                self._started.set()
        await self._started.wait()
        if self._error is not None:
            raise RuntimeError("the service could not be started") from self._error

    async def _start(self) -> None:
        service = self._service
        background = Background(self._forget)
        await background.start()
        self._background = background
        self.running = Running(
            service.table,
            background,
            Threads(service.limits.threads, service._run_sync),
            service.telemetry,
            limits=service.limits,
            check_outgoing=service._check_outgoing,
        )
        if service._lifespan is not None:
            entered = anyio.Event()
            background.spawn(self._live, service._lifespan, entered)
            await entered.wait()
            if self._error is not None:
                await background.stop()
                raise self._error

    async def stop(self) -> None:
        await self._service.drain(0.0)
        self._stopping.set()
        if self._service._lifespan is not None:
            await self._left.wait()
        await self._background.stop()

    async def _live(self, lifespan: Lifespan, entered: anyio.Event) -> None:
        try:
            async with lifespan(self._service):
                entered.set()
                await self._stopping.wait()
        except Exception as error:
            if not entered.is_set():
                self._error = error
            else:
                logger.exception("The service's lifespan failed")
        finally:
            entered.set()
            self._left.set()

    def _forget(self) -> None:
        self.running = None
        if self._service._lifetime is self:
            self._service._lifetime = None


class BlockingService:
    """The same calls for threads: each waits for its result.

    On the event loop's own thread they raise `RuntimeError`, since they would wait for themselves.
    """

    def __init__(self, service: WebSocketService) -> None:
        self._service = service

    def emit(
        self, peer_or_id: AnyPeer | str, event: str, data: Any = None, *, latest: str | None = None
    ) -> DeliveryReport:
        """See `WebSocketService.emit`."""
        return self._run(self._service.emit, peer_or_id, event, data, latest=latest)

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
        return self._run(
            self._service.emit_to_user, user, event, data, namespace=namespace, latest=latest
        )

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
        return self._run(
            self._service.broadcast,
            namespace_or_peer,
            event,
            data,
            room=room,
            exclude=exclude,
            latest=latest,
        )

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
        return self._run(
            self._service.broadcast_others, peer, event, data, room=room, latest=latest
        )

    def disconnect(self, peer_or_id: AnyPeer | str, code: int = 1000, reason: str = "") -> None:
        """See `WebSocketService.disconnect`."""
        self._run(self._service.disconnect, peer_or_id, code, reason)

    def disconnect_user(self, user: str, code: int = 1008, reason: str = "") -> None:
        """See `WebSocketService.disconnect_user`."""
        self._run(self._service.disconnect_user, user, code, reason)

    def presence(self, namespace: str, *, room: str | Everyone = ALL) -> list[Presence]:
        """See `WebSocketService.presence`."""
        return self._run(self._service.presence, namespace, room=room)

    def peers(self, namespace: str, *, room: str | Everyone = ALL) -> list[Peer[Any]]:
        """See `WebSocketService.peers`."""
        background = self._service.running.background
        return background.run_sync(partial(self._service.peers, namespace, room=room))

    def peer(self, id: str) -> Peer[Any] | None:
        """See `WebSocketService.peer`."""
        return self._service.running.background.run_sync(self._service.peer, id)

    def drain(self, grace: float = 10.0) -> None:
        """See `WebSocketService.drain`."""
        self._run(self._service.drain, grace)

    def _run(
        self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return self._service.running.background.run(partial(call, *args, **kwargs))


def _id(peer_or_id: AnyPeer | str) -> str:
    return peer_or_id if isinstance(peer_or_id, str) else peer_or_id.id


def _ids(peers: AnyPeer | str | Collection[AnyPeer | str]) -> tuple[str, ...]:
    if isinstance(peers, str | Peer | BlockingPeer):
        return (_id(peers),)
    return tuple(_id(peer) for peer in peers)
