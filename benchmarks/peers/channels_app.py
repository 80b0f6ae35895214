"""Django Channels: a consumer, a group, and the channel layer in memory."""

from __future__ import annotations

from typing import Any

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    # Room for the broadcasts under way: what does not fit is dropped.
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 1_000},
        }
    },
    INSTALLED_APPS=["channels"],
    SECRET_KEY="none",
)

import django  # noqa: E402

django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.routing import URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402

from benchmarks.peers.validation import is_valid  # noqa: E402

__all__ = ["application"]


class _Consumer(AsyncJsonWebsocketConsumer):
    groups = ("everybody",)

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        event, data = content["event"], content["data"]
        if event == "ping":
            await self.send_json({"event": "pong", "data": {}})
        elif event == "submit":
            name = "submitted" if is_valid(data) else "error"
            await self.send_json({"event": name, "data": {}})
        else:
            await self.channel_layer.group_send("everybody", {"type": "said", "data": data})

    async def said(self, message: dict[str, Any]) -> None:
        await self.send_json({"event": "said", "data": message["data"]})


_router = URLRouter([re_path(r"^$", _Consumer.as_asgi())])


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise ValueError("Channels does not speak lifespan")
    await _router(scope, receive, send)
