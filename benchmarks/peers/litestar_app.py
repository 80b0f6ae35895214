"""Litestar: a socket handler, with msgspec to decode, validate and encode."""

from __future__ import annotations

import msgspec
from litestar import Litestar, WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from benchmarks.apps.by_hand_msgspec import is_valid

__all__ = ["application"]

_sockets: set[WebSocket] = set()


@websocket("/")
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
                text = msgspec.json.encode({"event": "said", "data": data}).decode()
                for one in tuple(_sockets):
                    await one.send_text(text)
    except WebSocketDisconnect:
        pass
    finally:
        _sockets.discard(socket)


application = Litestar([_serve], openapi_config=None)
