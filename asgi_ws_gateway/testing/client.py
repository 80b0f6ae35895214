"""A whole application in process: its lifespan, and connections to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from ..asgi.middleware import GatewayMiddleware
from ..protocol.codec import Codec, JSONCodec
from ..protocol.paths import strip_root
from ..service import WebSocketService
from .connection import ClientConnection, ConnectionDenied
from .scope import HeaderPairs, websocket_scope
from .wire import Wire

__all__ = ["GatewayTestClient"]

_WIRE: Final = "asgi_ws_gateway.testing.wire"
"""In a scope: its wire. Middlewares that copy a scope keep it."""


class GatewayTestClient:
    """Runs an application in the caller's own event loop, and connects to it.

    What the application raises, and whatever it does that some server would choke on, fails the
    test.

    Args:
        target: An ASGI application, a `WebSocketService`, or instances of gateways.
        service: The service inside the application, where it is not the outermost layer; `settle`
            needs it.
        timeout: Seconds for every wait.
        options: Of the `WebSocketService` that is made for instances of gateways.
    """

    def __init__(
        self,
        *target: Any,
        service: WebSocketService | None = None,
        timeout: float = 5.0,
        **options: Any,
    ) -> None:
        self.app, self.service = _application(target, service, options)
        self.timeout = timeout
        self._group: TaskGroup | None = None
        self._lifespan = _Lifespan()
        self._wires: list[Wire] = []

    async def __aenter__(self) -> Self:
        """Starts the application. Raises `RuntimeError` if it says that it cannot start."""
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        try:
            self._group.start_soon(self._lifespan.run, self.app)
            with self._limited("the application to start"):
                await self._lifespan.startup()
        except BaseException as error:
            await self._end(error)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Ends connections that are still open, and then the application."""
        if error is None:
            try:
                with self._limited("the application to let go of its connections"):
                    for wire in self._wires:
                        wire.leave(1001)
                        await wire.finished.wait()
                with self._limited("the application to shut down"):
                    await self._lifespan.shutdown()
            except BaseException as failure:
                await self._end(failure)
                raise
        return await self._end(error)

    @asynccontextmanager
    async def connect(
        self,
        url: str,
        *,
        headers: HeaderPairs = (),
        subprotocols: Iterable[str] = (),
        client: tuple[str, int] | None = ("testclient", 50000),
        denials: bool = True,
        scope: dict[str, Any] | None = None,
    ) -> AsyncGenerator[ClientConnection, None]:
        """Connects, and leaves with 1000 at the end of the block if it is still connected.

        Args:
            url: Path and query, such as `"/chat?token=t"`.
            headers: Of the handshake.
            subprotocols: What the client offers.
            client: Its address.
            denials: Whether the server can carry a status and a body (daphne cannot).
            scope: Merged into the ASGI scope.

        Raises:
            ConnectionDenied: The handshake was refused.
        """
        assert self._group is not None, "enter the client first: async with GatewayTestClient(...)"
        made = websocket_scope(url, headers=headers, subprotocols=subprotocols, client=client)
        made["state"] = dict(self._lifespan.state)
        if not denials:
            del made["extensions"]
        wire = Wire(denials=denials)
        made[_WIRE] = wire
        made.update(scope or {})
        wire.put({"type": "websocket.connect"})
        self._group.start_soon(self._serve, made, wire)
        self._wires.append(wire)
        try:
            await self._handshake(wire)
            connection = ClientConnection(wire, self._codec(made), self.timeout)
            yield connection
            if wire.end is None:
                await connection.close()
        finally:
            wire.leave(1006, lost=True)

    async def _end(self, error: BaseException | None) -> bool | None:
        """Ends all tasks. What they raised is raised; `error` itself is left as it is."""
        assert self._group is not None
        if error is None:
            return await self._group.__aexit__(None, None, None)
        self._group.cancel_scope.cancel()
        if isinstance(error, anyio.get_cancelled_exc_class()):
            return await self._group.__aexit__(type(error), error, error.__traceback__)
        await self._group.__aexit__(None, None, None)
        return None

    @contextmanager
    def _limited(self, what: str) -> Generator[None, None, None]:
        try:
            with anyio.fail_after(self.timeout):
                yield
        except TimeoutError:
            raise TimeoutError(f"waited {self.timeout} s for {what}") from None

    async def settle(self) -> None:
        """Waits until every handler has ended and every outbox is empty.

        A client that does not read keeps its outbox; that is not waited for. Nor are open
        questions' answers, which nobody but the test can give: answer them first.
        """
        with self._limited("handlers to end and outboxes to empty"):
            while not await self._settled():
                await checkpoint()

    async def _settled(self) -> bool:
        """Waits for everything there is; whether there was nothing to wait for."""
        self._wires = [wire for wire in self._wires if not wire.finished.is_set()]
        if self.service is None or self.service.health().reason == "not running":
            return all(wire.drained for wire in self._wires)
        members = list(self.service.running.hub)
        # Who has left the hub and is still counted has a disconnect hook to run.
        quiet = self.service.stats().connections == len(members)
        for member in members:
            wire = member.peer.request.scope.get(_WIRE)
            quiet &= await member.settled(flushed=wire is None or not wire.paused)
        for wire in self._wires:
            while not wire.drained:
                quiet = False
                await wire.changed()
        return quiet

    async def _serve(self, scope: dict[str, Any], wire: Wire) -> None:
        assert self._group is not None
        try:
            await self.app(scope, wire.receive, wire.send)
        except anyio.get_cancelled_exc_class():
            # asyncio's task groups end in silence for it, and the test with them.
            if self._group.cancel_scope.cancel_called:
                raise
            raise AssertionError("the application was cancelled, by itself") from None
        finally:
            wire.finish()
        if wire.fault is not None:
            raise wire.fault

    async def _handshake(self, wire: Wire) -> None:
        with self._limited("the answer to the handshake"):
            while wire.accepted is None and wire.denial is None:
                assert not wire.finished.is_set(), "the application returned without an answer"
                await wire.changed()
            if wire.denial is not None:
                await wire.finished.wait()
                status, headers, body = wire.denial
                raise ConnectionDenied(
                    status,
                    body.decode(),
                    {name.decode("latin-1"): value.decode("latin-1") for name, value in headers},
                )

    def _codec(self, scope: dict[str, Any]) -> Codec:
        path = strip_root(scope.get("path") or "", scope.get("root_path") or "")
        match = None if self.service is None else self.service.find(path)
        return JSONCodec() if match is None else match.target.codec


def _application(
    target: tuple[Any, ...], service: WebSocketService | None, options: dict[str, Any]
) -> tuple[Any, WebSocketService | None]:
    app: Any = target[0] if target else None
    if isinstance(app, WebSocketService):
        app, service = GatewayMiddleware(None, app), app
    elif not callable(app) or isinstance(app, type):
        service = WebSocketService(**options)
        return GatewayMiddleware(None, service, gateways=target), service
    elif service is None and isinstance(app, GatewayMiddleware):
        service = app.service
    if len(target) > 1:
        raise TypeError("give it one application, one service, or instances of gateways")
    if options:
        names = ", ".join(sorted(options))
        raise TypeError(f"options of a service ({names}) go to the one that is tested")
    return app, service


class _Lifespan:
    """A server's side of the lifespan protocol; an app that does not speak it is fine."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._started = anyio.Event()
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._asked = False
        self._failure: str | None = None

    async def run(self, app: Any) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        try:
            await app(scope, self._receive, self._send)
        except Exception:
            if self._started.is_set():
                raise
        finally:
            self._started.set()
            self._stopped.set()

    async def startup(self) -> None:
        await self._started.wait()
        if self._failure is not None:
            raise RuntimeError(f"the application could not start: {self._failure}")

    async def shutdown(self) -> None:
        self._stopping.set()
        await self._stopped.wait()

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"].endswith(".failed"):
            self._failure = message.get("message", "")
        if message["type"].startswith("lifespan.startup."):
            self._started.set()
        else:
            self._stopped.set()
