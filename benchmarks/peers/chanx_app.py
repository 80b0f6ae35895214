"""chanx on Starlette: typed messages, one group, and the channel layer in memory.

Its log is off: with everything at its defaults it draws a traceback for each answer to a client
that has gone, and that is all one would measure.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import structlog
from chanx.core.decorators import channel, ws_handler
from chanx.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx.messages.base import BaseMessage
from fast_channels.layers import InMemoryChannelLayer, register_channel_layer
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from benchmarks.peers.validation import Form

__all__ = ["application"]

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
register_channel_layer("default", InMemoryChannelLayer(capacity=1_000))


class Ping(BaseMessage):
    action: Literal["ping"] = "ping"
    payload: dict[str, Any]


class Pong(BaseMessage):
    action: Literal["pong"] = "pong"
    payload: dict[str, Any]


class Submit(BaseMessage):
    action: Literal["submit"] = "submit"
    payload: Form


class Submitted(BaseMessage):
    action: Literal["submitted"] = "submitted"
    payload: dict[str, Any]


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: dict[str, Any]


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: dict[str, Any]


@channel(name="benchmark")
class Consumer(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "default"
    groups = ["everybody"]  # noqa: RUF012
    send_completion = False
    log_websocket_message = False

    @ws_handler
    async def on_ping(self, message: Ping) -> Pong:
        return Pong(payload={})

    @ws_handler
    async def on_submit(self, message: Submit) -> Submitted:
        return Submitted(payload={})

    @ws_handler(output_type=Said)
    async def on_say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload))


application = Starlette(routes=[WebSocketRoute("/", Consumer.as_asgi())])
