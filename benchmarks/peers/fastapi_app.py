"""FastAPI: the connection manager of its documentation, and pydantic."""

from __future__ import annotations

import json

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from benchmarks.peers.validation import Form

__all__ = ["application"]

application = FastAPI()


class _Connections:
    def __init__(self) -> None:
        self.active: set[WebSocket] = set()

    async def broadcast(self, text: str) -> None:
        for socket in tuple(self.active):
            await socket.send_text(text)


_connections = _Connections()


@application.websocket("/")
async def serve(socket: WebSocket) -> None:
    await socket.accept()
    _connections.active.add(socket)
    try:
        while True:
            message = await socket.receive_json()
            if message["event"] == "ping":
                await socket.send_json({"event": "pong", "data": {}})
            elif message["event"] == "submit":
                try:
                    Form.model_validate(message["data"])
                except ValidationError:
                    await socket.send_json({"event": "error", "data": {}})
                else:
                    await socket.send_json({"event": "submitted", "data": {}})
            else:
                said = {"event": "said", "data": message["data"]}
                await _connections.broadcast(json.dumps(said))
    except WebSocketDisconnect:
        pass
    finally:
        _connections.active.discard(socket)
