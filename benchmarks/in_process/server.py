"""A server without sockets: what it has to say is there at once, and a send never waits.

Only a connection that has nothing to say waits, for an event, until it is told to leave.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from asgi_ws_gateway.testing.scope import websocket_scope
from benchmarks.in_process.loops import Loop
from benchmarks.messages import ANSWERS
from benchmarks.systems import System

__all__ = ["Connection", "Meter", "Server", "Talk"]

HEADERS: Final = (
    ("host", "testserver"),
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("origin", "http://testserver"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("sec-websocket-version", "13"),
)
"""What a browser sends and a server passes on, less what nobody here reads."""
CONNECT: Final = {"type": "websocket.connect"}
DISCONNECT: Final = {"type": "websocket.disconnect", "code": 1000, "reason": ""}
SETTLING: Final = 0.02
"""Some applications go on in tasks of their own; asleep, this costs no CPU time."""


class Meter(Protocol):
    """What is measured from the first message to the last answer."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Connection:
    """A client that connects, says no more than hello, and hears what it is told."""

    def __init__(self, server: Server, path: str) -> None:
        self.server = server
        self.scope = websocket_scope(path, headers=HEADERS)
        self.first = [*reversed(server.hello), CONNECT]
        self.leaving = server.loop.event()

    async def receive(self) -> dict[str, Any]:
        if self.first:
            return self.first.pop()
        await self.leaving.wait()
        return DISCONNECT

    async def send(self, message: dict[str, Any]) -> None:
        server = self.server
        server.sent += 1
        if server.sent == server.wanted:
            server.last = message
            server.reached.set()


class Talk(Connection):
    """A client that says the same again and again, each time when all answers have come."""

    def __init__(
        self, server: Server, path: str, text: str, meter: Meter, counted: int, warm: int
    ) -> None:
        super().__init__(server, path)
        self.message = {"type": "websocket.receive", "text": text}
        self.meter = meter
        self.answers = 1
        self.counted = counted
        self.left = counted + warm
        self.begin = server.loop.event()
        self.over = server.loop.event()

    async def receive(self) -> dict[str, Any]:
        if self.first:
            return self.first.pop()
        server = self.server
        if server.talking is not self:
            await self.begin.wait()
            server.talking = self
        if server.sent < server.wanted:
            if server.reached.is_set():
                server.reached = server.loop.event()
            await server.reached.wait()
        if self.left == self.counted:
            self.meter.start()
        elif not self.left:
            self.meter.stop()
            self.over.set()
            await self.leaving.wait()
            return DISCONNECT
        self.left -= 1
        server.wanted += self.answers
        return self.message


class Server:
    """Runs an application."""

    def __init__(self, loop: Loop, system: System) -> None:
        self.loop = loop
        self.system = system
        self.app = system.load()
        self.hello = [{"type": "websocket.receive", "text": text} for text in system.hello]
        self.sent = 0
        self.wanted = 0
        self.last: dict[str, Any] = {}
        self.reached = loop.event()
        self.talking: Talk | None = None
        self._leaving = 0
        self._gone = loop.event()

    async def start(self) -> None:
        """Until the application has started, if it speaks lifespan."""
        started = self.loop.event()
        self.loop.start(self._lifespan, started.set)
        await started.wait()

    def connections(self, count: int, path: Callable[[int], str] | None = None) -> list[Connection]:
        """So many that are to be opened; `path` says where each."""
        return [
            Connection(self, self.system.path if path is None else path(number))
            for number in range(count)
        ]

    async def open(self, connections: Sequence[Connection]) -> None:
        """Until all of them are accepted, and greeted."""
        if not connections:
            return
        self.wanted = self.sent + len(connections) * (1 + self.system.greetings)
        self.reached = self.loop.event()
        for connection in connections:
            self.loop.start(self._serve, connection)
        await self.reached.wait()
        await self.loop.sleep(SETTLING)

    async def close(self, connections: Sequence[Connection]) -> None:
        """Until the application has returned for each of them."""
        self._gone = self.loop.event()
        self._leaving = len(connections)
        for connection in connections:
            connection.leaving.set()
        await self._gone.wait()
        await self.loop.sleep(SETTLING)

    async def talk(
        self,
        event: str,
        data: Any,
        meter: Meter,
        *,
        counted: int,
        warm: int,
        answers: int = 1,
        path: str | None = None,
    ) -> None:
        """One more connection, which stays, says something `warm + counted` times."""
        text = self.system.message(event, data)
        talk = Talk(self, path or self.system.path, text, meter, counted, warm)
        talk.answers = answers
        await self.open([talk])
        talk.begin.set()
        await talk.over.wait()
        answer = str(self.last.get("text") or self.last.get("bytes"))
        if ANSWERS.get(event, "") not in answer:
            raise RuntimeError(f"{event} was answered with {answer}")

    async def _serve(self, connection: Connection) -> None:
        try:
            await self.app(connection.scope, connection.receive, connection.send)
        except Exception:
            traceback.print_exc()
            os._exit(1)  # whoever waits would wait for ever
        self._leaving -= 1
        if not self._leaving:
            self._gone.set()

    async def _lifespan(self, started: Callable[[], None]) -> None:
        messages = [{"type": "lifespan.startup"}]

        async def receive() -> dict[str, Any]:
            if not messages:
                await self.loop.event().wait()
            return messages.pop()

        async def send(message: dict[str, Any]) -> None:
            started()

        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self.app(scope, receive, send)
        except Exception:
            pass  # it does not speak lifespan, and servers then go on without
        started()
