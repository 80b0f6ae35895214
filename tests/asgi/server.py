"""One connection as a server makes it, message by message, and all that the application did."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import trio

from asgi_ws_gateway.testing.scope import websocket_scope

CONNECT = {"type": "websocket.connect"}
LEFT = {"type": "websocket.disconnect", "code": 1005}


def text(payload: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": payload}


class Server:
    """Records everything. `on_send` and `on_receive` may raise, to fail as some server does."""

    def __init__(self, scope: dict[str, Any], *, connects: bool = True) -> None:
        self.scope = scope
        self.sent: list[dict[str, Any]] = []
        self.receives = 0
        self.receiving = 0
        self.returned = anyio.Event()
        self.cancel = anyio.CancelScope()
        self._task: asyncio.Task[Any] | None = None
        self.on_send: Callable[[dict[str, Any]], None] = lambda message: None
        self.on_receive: Callable[[], None] = lambda: None
        self._incoming: deque[dict[str, Any]] = deque([CONNECT] if connects else [])
        self._changed = anyio.Event()

    def put(self, *messages: dict[str, Any]) -> None:
        self._incoming.extend(messages)
        self._change()

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.sent]

    @property
    def unread(self) -> int:
        return len(self._incoming)

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not condition():
                await self._changed.wait()

    async def sends(self, kind: str) -> dict[str, Any]:
        await self.until(lambda: kind in self.kinds)
        return next(message for message in self.sent if message["type"] == kind)

    async def run(self, app: Any) -> None:
        self._task = None if trio.lowlevel.in_trio_run() else asyncio.current_task()
        try:
            with self.cancel:
                await app(self.scope, self.receive, self.send)
        finally:
            self.returned.set()
            self._change()

    def cancel_natively(self) -> None:
        """Cancels the application in the way of its event loop's own servers."""
        if self._task is None:
            self.cancel.cancel()
        else:
            self._task.cancel()

    async def receive(self) -> dict[str, Any]:
        self.receives += 1
        self.receiving += 1
        self._change()
        try:
            self.on_receive()
            while not self._incoming:
                await self._changed.wait()
            return self._incoming.popleft()
        finally:
            self.receiving -= 1
            self._change()

    async def send(self, message: dict[str, Any]) -> None:
        self.on_send(message)
        self.sent.append(message)
        if message["type"] == "websocket.close" and self.kinds[0] == "websocket.accept":
            self.put({"type": "websocket.disconnect", "code": message["code"]})
        self._change()

    def _change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


@asynccontextmanager
async def serving(app: Any, url: str = "/", **options: Any) -> AsyncGenerator[Server]:
    """Runs the application for one connection; at the end of the block it must have returned."""
    scope = websocket_scope(url, **options)
    async with serving_scope(app, scope) as server:
        yield server


@asynccontextmanager
async def serving_scope(
    app: Any, scope: dict[str, Any], *, connects: bool = True
) -> AsyncGenerator[Server]:
    server = Server(scope, connects=connects)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, app)
        yield server
        with anyio.fail_after(10):
            await server.returned.wait()


async def refusal(app: Any, url: str = "/", **options: Any) -> list[dict[str, Any]]:
    """Everything that is sent to a client which is refused."""
    async with serving(app, url, **options) as server:
        pass
    return server.sent
