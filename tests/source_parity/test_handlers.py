"""Message handlers, listening to events: coroutines, plain functions, and what they may take."""

import threading
from typing import Any

from asgi_ws_gateway import BlockingPeer, Peer, broadcast_others, emit, message, namespace
from asgi_ws_gateway.testing import FakePeer, GatewayTestClient


@namespace("/chat")
class ChatGateway:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    @message("send-message")
    async def handle_message(self, data: Any, peer: Peer) -> None:
        self.calls.append(("send-message", data, peer.id))

    @message("typing")
    @broadcast_others("typing")
    async def handle_typing(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return {"peer": peer.id, **data}

    @message("archive")
    @emit("archived")
    def archive(self, data: Any, peer: BlockingPeer) -> dict[str, Any]:
        """A plain function, which may block: it runs in a thread."""
        on_loop = threading.current_thread() is threading.main_thread()
        return {"text": data, "peer": peer.id, "on_loop": on_loop}

    @message("stop")
    @emit("stopped")
    async def stop(self, peer: Peer) -> str:
        return peer.id

    @message("count")
    @emit("number")
    async def count(self, data: Any) -> Any:
        for number in range(data):
            yield number


async def test_each_event_has_its_handler() -> None:
    gateway = ChatGateway()
    async with (
        GatewayTestClient(gateway) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        me = await alice.request("stop")
        await alice.send("send-message", {"text": "hi"})
        await alice.send("typing", {"is_typing": True})
        assert await bob.receive("typing") == {"peer": me, "is_typing": True}
        assert gateway.calls == [("send-message", {"text": "hi"}, me)]


async def test_a_plain_function_is_a_handler_too() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        me = await alice.request("stop")
        assert await alice.request("archive", "hi") == {"text": "hi", "peer": me, "on_loop": False}


async def test_a_generator_sends_each_of_its_values() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        await alice.send("count", 3)
        assert [await alice.receive("number") for _ in range(3)] == [0, 1, 2]


async def test_a_handler_is_an_ordinary_method() -> None:
    gateway, peer = ChatGateway(), FakePeer(namespace="/chat", id="p1")
    assert await gateway.handle_typing({"is_typing": False}, peer) == {
        "peer": "p1",
        "is_typing": False,
    }
    assert (peer.sent, peer.broadcasts) == ([], [])
