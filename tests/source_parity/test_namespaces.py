"""Core concepts, namespaces: each has its path, its connections, its hooks and its events."""

from typing import Any

import pytest

from asgi_ws_gateway import (
    Peer,
    WebSocketService,
    broadcast,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient, RequestFailed


@namespace("/chat")
class ChatGateway:
    @on_connection_attempt
    async def check(self, params: dict[str, str]) -> bool:
        return params.get("token") == "t"

    @message("say")
    @broadcast("said")
    async def say(self, data: Any) -> str:
        return data

    @message("where")
    @emit("here")
    async def where(self, data: Any, peer: Peer) -> str:
        return peer.namespace


@namespace("/notifications")
class NotificationsGateway:
    @on_connect
    async def greet(self, peer: Peer) -> None:
        await peer.send("welcome", {"unread": 0})

    @message("where")
    @emit("here")
    async def where(self, data: Any, peer: Peer) -> str:
        return peer.namespace


@pytest.fixture
def service() -> WebSocketService:
    made = WebSocketService()
    made.register(ChatGateway(), NotificationsGateway())
    return made


async def test_each_namespace_has_its_own_path(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?token=t") as chatter,
        client.connect("/notifications") as watcher,
    ):
        assert await chatter.request("where") == "/chat"
        assert await watcher.receive("welcome") == {"unread": 0}
        assert await watcher.request("where") == "/notifications"


async def test_each_namespace_keeps_its_own_connections(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?token=t"),
        client.connect("/chat?token=t"),
        client.connect("/notifications"),
    ):
        assert len(service.peers("/chat")) == 2
        assert len(service.peers("/notifications")) == 1


async def test_each_namespace_has_its_own_hooks(service: WebSocketService) -> None:
    async with GatewayTestClient(service) as client:
        with pytest.raises(ConnectionDenied):
            async with client.connect("/chat"):
                pass
        async with client.connect("/notifications") as watcher:
            assert await watcher.receive("welcome")
        async with client.connect("/chat?token=t") as chatter:
            await client.settle()
            assert chatter.pending == []


async def test_events_of_one_namespace_mean_nothing_in_another(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?token=t") as chatter,
        client.connect("/notifications") as watcher,
    ):
        await watcher.receive("welcome")
        with pytest.raises(RequestFailed) as failed:
            await watcher.request("say", "hello?")
        assert failed.value.code == "unknown_event"

        await chatter.send("say", "hello")
        assert await chatter.receive("said") == "hello"
        await client.settle()
        assert watcher.pending == []


async def test_a_namespace_may_stand_for_many_paths() -> None:
    @namespace("/rooms/{room_id}")
    class RoomGateway:
        @message("say")
        @broadcast("said")
        async def say(self, data: Any, peer: Peer) -> dict[str, Any]:
            return {"room": peer.path_params["room_id"], "text": data}

    async with (
        GatewayTestClient(RoomGateway()) as client,
        client.connect("/rooms/red") as red,
        client.connect("/rooms/blue") as blue,
    ):
        await red.send("say", "hi")
        assert await red.receive("said") == {"room": "red", "text": "hi"}
        await client.settle()
        assert blue.pending == []
