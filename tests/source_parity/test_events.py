"""Core concepts, events: named messages from clients, and to them."""

from typing import Any

import pytest

from asgi_ws_gateway import (
    ConfigurationError,
    Peer,
    WebSocketService,
    emit,
    fallback,
    message,
    namespace,
)
from asgi_ws_gateway.testing import GatewayTestClient


@namespace("/chat")
class ChatGateway:
    def __init__(self) -> None:
        self.received: list[Any] = []

    @message("message")
    async def handle_message(self, data: Any, peer: Peer) -> None:
        self.received.append((data, peer.namespace))

    @message("größe 📏")
    @emit("größe 📏")
    async def measure(self, data: Any) -> int:
        return len(data)


async def test_the_server_listens_for_an_event() -> None:
    gateway = ChatGateway()
    async with GatewayTestClient(gateway) as client, client.connect("/chat") as alice:
        await alice.send("message", {"any": ["json", 1, None]})
        await client.settle()
        assert gateway.received == [({"any": ["json", 1, None]}, "/chat")]


async def test_data_left_out_is_none() -> None:
    gateway = ChatGateway()
    async with GatewayTestClient(gateway) as client, client.connect("/chat") as alice:
        await alice.send_text('{"event": "message"}')
        await client.settle()
        assert gateway.received == [(None, "/chat")]


async def test_an_event_may_have_any_name() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        await alice.send("größe 📏", "äöü")
        assert await alice.receive_frame() == {"event": "größe 📏", "data": 3}


async def test_the_server_sends_an_event_when_it_likes() -> None:
    service = WebSocketService()
    service.register(ChatGateway())
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        await service.broadcast("/chat", "update", {"version": 2})
        for each in (alice, bob):
            assert await each.receive_frame() == {"event": "update", "data": {"version": 2}}


def test_an_emitter_on_a_method_that_no_event_starts_is_a_mistake() -> None:
    @namespace("/updates")
    class UpdatesGateway:
        @emit("update")
        async def send_update(self) -> None: ...

    with pytest.raises(ConfigurationError, match=r"UpdatesGateway\.send_update: .*@message"):
        WebSocketService().register(UpdatesGateway())


async def test_what_has_no_handler_may_have_a_fallback() -> None:
    @namespace("/chat")
    class OpenGateway:
        @fallback
        @emit("echo")
        async def anything(self, event: str, data: Any) -> list[Any]:
            return [event, data]

    async with GatewayTestClient(OpenGateway()) as client, client.connect("/chat") as alice:
        await alice.send("made-up", 1)
        assert await alice.receive("echo") == ["made-up", 1]
