"""The application that crowds connect to: broadcasts at a rate, and handlers that never end.

What a test wants to know of a process that may be gone is printed, one JSON array a line.
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_ws_gateway import (
    SKIP,
    BlockingPeer,
    ConnectionRequest,
    GatewayMiddleware,
    Limits,
    Peer,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)

released = threading.Event()


def note(kind: str, *details: Any) -> None:
    os.write(1, json.dumps([kind, *details]).encode() + b"\n")  # whole, from any thread


# Longer than it takes to fill the outbox at the rates of the tests: that is to decide.
@namespace("/crowd", limits=Limits(send_timeout=60))
class Crowd:
    """Hears every broadcast, and is answered."""

    @message("ping")
    @emit("pong")
    async def on_ping(self) -> None:
        return None

    @message("quiet")
    @emit("nothing")
    async def on_quiet(self) -> Any:
        return SKIP

    @message("big")
    async def on_big(self) -> str:
        return "x" * 10_000

    @message("work")
    async def on_work(self, data: Any) -> str:
        note("working")
        try:
            await anyio.sleep(data)
        except anyio.get_cancelled_exc_class():
            note("told")
            raise
        note("finished")
        return "done"

    @message("wait", timeout=None)
    async def on_wait(self) -> None:
        note("waiting")
        await anyio.sleep_forever()

    @message("block", timeout=None)
    def on_block(self) -> None:
        note("waiting")
        released.wait()

    @on_disconnect
    async def left(self, peer: Peer, code: int, reason: str) -> None:
        note("left", peer.namespace, code, reason)


@namespace("/narrow", limits=Limits(outbox_bytes=32 * 1024))
class Narrow(Crowd):
    """The same with a small outbox."""


@namespace("/beating", limits=Limits(heartbeat=0.5))
class Beating(Crowd):
    """The same for those who show that they live."""


class Hanging:
    """Whatever `?at=` names hangs, and ends only by cancellation."""

    way: ClassVar = "waits"

    @on_connection_attempt
    async def attempted(self, params: dict[str, str], request: ConnectionRequest) -> bool:
        await self.reach("attempt", params)
        return True

    @on_connect
    async def entered(self, peer: Peer) -> None:
        await self.reach("connect", peer.params)

    @message("hang", timeout=None)
    async def on_hang(self, peer: Peer) -> None:
        await self.reach("handler", peer.params)

    @on_disconnect
    async def left(self, peer: Peer, code: int, reason: str) -> None:
        note("left", peer.namespace, code, reason)
        await self.reach("disconnect", peer.params)

    async def reach(self, place: str, params: dict[str, str]) -> None:
        if params["at"] == place:
            note("hanging", self.way, place)
            await self.hang()

    async def hang(self) -> None:
        await anyio.sleep_forever()


@namespace("/waits")
class Waits(Hanging):
    pass


@namespace("/swallows")
class Swallows(Hanging):
    """The same, and not even cancellation ends it."""

    way = "swallows"

    async def hang(self) -> None:
        while True:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                pass


@namespace("/blocks")
class Blocks:
    """The same in threads, which nothing ends."""

    @on_connection_attempt
    def attempted(self, params: dict[str, str], request: ConnectionRequest) -> bool:
        self.reach("attempt", params)
        return True

    @on_connect
    def entered(self, peer: BlockingPeer) -> None:
        self.reach("connect", peer.params)

    @message("hang", timeout=None)
    def on_hang(self, peer: BlockingPeer) -> None:
        self.reach("handler", peer.params)

    @on_disconnect
    def left(self, peer: BlockingPeer, code: int, reason: str) -> None:
        note("left", peer.namespace, code, reason)
        self.reach("disconnect", peer.params)

    def reach(self, place: str, params: dict[str, str]) -> None:
        if params["at"] == place:
            note("hanging", "blocks", place)
            threading.Event().wait()


by_hand: set[WebSocket] = set()


async def plain(socket: WebSocket) -> None:
    """What the same costs without any gateway."""
    await socket.accept()
    if "at" in socket.query_params:
        await anyio.sleep_forever()
    by_hand.add(socket)
    try:
        async for text in socket.iter_text():
            await socket.send_text(json.dumps({"event": "pong", "data": json.loads(text)}))
    finally:
        by_hand.discard(socket)


async def broadcast(request: Request) -> Response:
    """Broadcasts at a rate. Each message says when it was due, however late it goes out."""
    params = request.query_params
    path, rate = params["path"], float(params["rate"])
    count, size = int(params["count"]), int(params["size"])
    start = time.monotonic()
    for number in range(count):
        due = start + number / rate
        await anyio.sleep(max(0, due - time.monotonic()))
        body = f"{due:.6f} {number} {int(number == count - 1)} ".ljust(size, "x")
        if path == "/plain":
            text = json.dumps({"event": "news", "data": body}, separators=(",", ":"))
            for socket in list(by_hand):
                await socket.send({"type": "websocket.send", "text": text})
        else:
            await service.broadcast(path, "news", body)
    return JSONResponse(None)


def memory(request: Request) -> Response:
    """Bytes in use, and the most since the last POST."""
    gc.collect()
    if request.method == "POST":
        Path("/proc/self/clear_refs").write_text("5")
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    now, most = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return JSONResponse({"now": now, "most": most})


async def release(request: Request) -> Response:
    released.set()
    return JSONResponse(None)


service = WebSocketService()
service.register(Crowd(), Narrow(), Beating(), Waits(), Swallows(), Blocks())
routes = [
    Route("/broadcast", broadcast, methods=["POST"]),
    Route("/memory", memory, methods=["GET", "POST"]),
    Route("/release", release, methods=["POST"]),
    WebSocketRoute("/plain", plain),
]
application = GatewayMiddleware(Starlette(routes=routes), service)
