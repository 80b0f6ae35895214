"""Message flow: what happens in which order, from the handshake to the end."""

from typing import Any

import pytest

from asgi_ws_gateway import (
    ConnectionRequest,
    Peer,
    broadcast,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient


@namespace("/chat")
class ChatGateway:
    def __init__(self) -> None:
        self.steps: list[str] = []

    @on_connection_attempt
    async def attempt(self, params: dict[str, str], request: ConnectionRequest) -> bool:
        self.steps.append("attempt")
        return params.get("room") == "lobby" and request.headers.get("x-key") == "k"

    @on_connect
    async def connected(self, peer: Peer) -> None:
        self.steps.append("connect")

    @message("send")
    @broadcast("to-all")
    @emit("to-sender")
    async def on_send(self, data: Any, peer: Peer) -> dict[str, Any]:
        self.steps.append(f"send {data}")
        return {"answer": data}

    @on_disconnect
    async def left(self, peer: Peer, code: int, reason: str) -> None:
        self.steps.append(f"disconnect {code} {reason}")


async def test_a_connection_goes_through_its_steps_in_order() -> None:
    gateway = ChatGateway()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/chat?room=lobby", headers={"X-Key": "k"}) as alice:
            await alice.send("send", 1)
            await alice.send("send", 2)
            await alice.close(1000, "bye")
    assert gateway.steps == ["attempt", "connect", "send 1", "send 2", "disconnect 1000 bye"]


@pytest.mark.parametrize(
    ("url", "headers"), [("/chat", {"x-key": "k"}), ("/chat?room=lobby", {"x-key": "wrong"})]
)
async def test_the_hook_decides_by_query_and_headers(url: str, headers: dict[str, str]) -> None:
    gateway = ChatGateway()
    async with GatewayTestClient(gateway) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect(url, headers=headers):
                pass
    assert refused.value.status == 403
    assert gateway.steps == ["attempt"]


async def test_a_message_is_matched_handled_and_its_result_sent_back() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat?room=lobby", headers={"x-key": "k"}) as alice,
        client.connect("/chat?room=lobby", headers={"x-key": "k"}) as bob,
    ):
        await alice.send("send", "hi")
        assert await alice.receive_frame() == {"event": "to-sender", "data": {"answer": "hi"}}
        assert await alice.receive_frame() == {"event": "to-all", "data": {"answer": "hi"}}
        assert await bob.receive_frame() == {"event": "to-all", "data": {"answer": "hi"}}
        await client.settle()
        assert (alice.pending, bob.pending) == ([], [])


async def test_a_message_with_an_id_gets_an_answer_with_it() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat?room=lobby", headers={"x-key": "k"}) as alice,
    ):
        await alice.send("send", "hi", id="c1")
        assert await alice.receive_frame() == {
            "event": "to-sender",
            "data": {"answer": "hi"},
            "id": "c1",
        }
        assert await alice.receive_frame() == {"event": "to-all", "data": {"answer": "hi"}}
