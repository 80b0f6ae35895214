"""No application at all: what driving one costs, to be taken off counts."""

from __future__ import annotations

from typing import Any

from benchmarks.apps.by_hand import Receive, Send, lifespan

__all__ = ["application"]

_PONG = {"type": "websocket.send", "text": '{"event":"pong","data":{}}'}
_SAID = {"type": "websocket.send", "text": '{"event":"said","data":{}}'}
_sends: set[Send] = set()


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    _sends.add(send)
    try:
        while "text" in (message := await receive()):
            if '"say"' in message["text"]:
                for one in _sends:
                    await one(_SAID)
            else:
                await send(_PONG)
    finally:
        _sends.discard(send)
