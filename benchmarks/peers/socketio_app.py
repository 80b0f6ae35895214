"""python-socketio: its events, over websockets from the start."""

from __future__ import annotations

from typing import Any

import socketio

from benchmarks.peers.validation import is_valid

__all__ = ["application"]

# No ping of its own comes between: the longest run is shorter than that.
_server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", ping_interval=3600)


@_server.event
async def ping(sid: str, data: Any) -> None:
    await _server.emit("pong", {}, to=sid)


@_server.event
async def submit(sid: str, data: Any) -> None:
    await _server.emit("submitted" if is_valid(data) else "error", {}, to=sid)


@_server.event
async def say(sid: str, data: Any) -> None:
    await _server.emit("said", data)


application = socketio.ASGIApp(_server)
