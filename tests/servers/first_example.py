from typing import Any

from asgi_ws_gateway import (
    Accept, ConnectionRejected, ConnectionRequest, GatewayMiddleware, Peer,
    broadcast_others, emit, message, namespace, on_connect, on_connection_attempt, on_disconnect,
)
from starlette.applications import Starlette     # or Django, Quart, Litestar, FastAPI, or None

SEND = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 500}},
    "additionalProperties": False,
}


@namespace("/chat")
class ChatGateway:
    def __init__(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens

    @on_connection_attempt
    async def authenticate(self, params: dict[str, str], request: ConnectionRequest) -> Accept:
        user = self.tokens.get(params.get("token", ""))
        if user is None:
            raise ConnectionRejected("unknown token", status=401)
        return Accept(user=user)

    @on_connect
    async def entered(self, peer: Peer) -> None:
        peer.join("lobby")
        await peer.broadcast_others("joined", {"user": peer.user}, room="lobby")

    @on_disconnect
    async def left(self, peer: Peer, code: int, reason: str) -> None:
        await peer.broadcast_others("left", {"user": peer.user}, room="lobby")

    @message("send", schema=SEND)
    @emit("sent")
    @broadcast_others("new", room="lobby")
    async def on_send(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return {"from": peer.user, "text": data["text"]}

    @message("ping")
    @emit("pong")
    async def on_ping(self) -> dict[str, Any]:
        return {}


application = GatewayMiddleware(Starlette(), gateways=[ChatGateway({"t": "Alice"})])
