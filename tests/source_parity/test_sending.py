"""Sending messages: to the sender, to all, to all others."""

from typing import Any

from asgi_ws_gateway import (
    SKIP,
    WebSocketService,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
)
from asgi_ws_gateway.testing import GatewayTestClient


@namespace("/chat")
class ChatGateway:
    @message("ping")
    @emit("pong")
    async def handle_ping(self) -> dict[str, Any]:
        return {"timestamp": 1_700_000_000}

    @message("user-joined")
    @broadcast("user-status")
    async def handle_user_joined(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"type": "joined", "username": data["username"]}

    @message("typing")
    @broadcast_others("user-typing")
    async def handle_typing(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"username": data["username"], "is_typing": True}

    @message("publish")
    @emit("published")
    @broadcast_others("news")
    async def publish(self, data: Any) -> str:
        return data

    @message("maybe")
    @emit("yes")
    async def maybe(self, data: Any) -> Any:
        return None if data else SKIP


async def test_emit_goes_to_the_sender_only() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        await alice.send("ping")
        assert await alice.receive_frame() == {
            "event": "pong",
            "data": {"timestamp": 1_700_000_000},
        }
        await client.settle()
        assert (alice.pending, bob.pending) == ([], [])


async def test_broadcast_goes_to_everyone_the_sender_included() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
        client.connect("/chat") as carol,
    ):
        await alice.send("user-joined", {"username": "Alice"})
        for each in (alice, bob, carol):
            assert await each.receive("user-status") == {"type": "joined", "username": "Alice"}
        await client.settle()
        assert [each.pending for each in (alice, bob, carol)] == [[], [], []]


async def test_broadcast_others_leaves_the_sender_out() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
        client.connect("/chat") as carol,
    ):
        await alice.send("typing", {"username": "Alice"})
        for each in (bob, carol):
            assert await each.receive("user-typing") == {"username": "Alice", "is_typing": True}
        await client.settle()
        assert alice.pending == []


async def test_broadcast_others_alone_in_a_namespace_reaches_nobody() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        await alice.send("typing", {"username": "Alice"})
        await client.settle()
        assert alice.pending == []


async def test_one_result_may_go_two_ways() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        await alice.send("publish", "extra!")
        assert await alice.receive("published") == "extra!"
        assert await bob.receive("news") == "extra!"
        await client.settle()
        assert (alice.pending, bob.pending) == ([], [])


async def test_a_result_of_none_is_sent_and_skip_is_not() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        await alice.send("maybe", True)
        assert await alice.receive_frame() == {"event": "yes", "data": None}
        await alice.send("maybe", False)
        await client.settle()
        assert alice.pending == []


async def test_all_three_work_without_any_handler() -> None:
    service = WebSocketService()
    service.register(ChatGateway())
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        first, _ = service.peers("/chat")
        await service.emit(first, "one", 1)
        await service.broadcast_others(first, "others", 2)
        await service.broadcast("/chat", "all", 3)
        assert [await alice.receive("one"), await alice.receive("all")] == [1, 3]
        assert [await bob.receive("others"), await bob.receive("all")] == [2, 3]
