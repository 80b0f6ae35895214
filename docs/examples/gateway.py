from typing import Any

from asgi_ws_gateway import GatewayMiddleware, Peer, broadcast, emit, message, namespace

SAY = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 500}},
}


@namespace("/chat")
class ChatGateway:
    @message("say", schema=SAY)
    @emit("delivered")
    @broadcast("said", room="lobby")
    async def say(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        peer.join("lobby")
        return {"from": peer.id, "text": data["text"]}


application = GatewayMiddleware(None, gateways=[ChatGateway()])
