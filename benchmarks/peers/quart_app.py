"""Quart: its global `websocket`, and a set of the real ones."""

from __future__ import annotations

import json
from typing import Any

from quart import Quart, websocket

from benchmarks.peers.validation import is_valid

__all__ = ["application"]

application = Quart(__name__)

_sockets: set[Any] = set()


@application.websocket("/")
async def serve() -> None:
    await websocket.accept()
    me = websocket._get_current_object()  # type: ignore[attr-defined]
    _sockets.add(me)
    try:
        while True:
            message = json.loads(await websocket.receive())
            event, data = message["event"], message["data"]
            if event == "ping":
                await websocket.send(json.dumps({"event": "pong", "data": {}}))
            elif event == "submit":
                name = "submitted" if is_valid(data) else "error"
                await websocket.send(json.dumps({"event": name, "data": {}}))
            else:
                text = json.dumps({"event": "said", "data": data})
                for one in tuple(_sockets):
                    await one.send(text)
    finally:
        _sockets.discard(me)
