"""Starlette: a set of sockets and a loop, as its documentation has it."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.peers.validation import is_valid

__all__ = ["application"]

_sockets: set[WebSocket] = set()


async def _serve(socket: WebSocket) -> None:
    await socket.accept()
    _sockets.add(socket)
    try:
        while True:
            message = await socket.receive_json()
            event, data = message["event"], message["data"]
            if event == "ping":
                await socket.send_json({"event": "pong", "data": {}})
            elif event == "submit":
                name = "submitted" if is_valid(data) else "error"
                await socket.send_json({"event": name, "data": {}})
            else:
                text = json.dumps({"event": "said", "data": data})
                for one in tuple(_sockets):
                    await one.send_text(text)
    except WebSocketDisconnect:
        pass
    finally:
        _sockets.discard(socket)


application = Starlette(routes=[WebSocketRoute("/", _serve)])
