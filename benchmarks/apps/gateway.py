"""The gateway with the three events, and every limit at its default."""

from __future__ import annotations

from typing import Any

from asgi_ws_gateway import GatewayMiddleware, broadcast, emit, message, namespace
from benchmarks.messages import SCHEMA

__all__ = ["Gateway", "application"]


@namespace("/")
class Gateway:
    @message("ping")
    @emit("pong")
    async def ping(self) -> dict[str, Any]:
        return {}

    @message("submit", schema=SCHEMA)
    @emit("submitted")
    async def submit(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}

    @message("say")
    @broadcast("said")
    async def say(self, data: Any) -> Any:
        return data


application = GatewayMiddleware(None, gateways=[Gateway()])
