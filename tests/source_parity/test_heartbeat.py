"""Advanced patterns, heartbeat: clients can ping, and the server notices those that are dead."""

from typing import Any

from asgi_ws_gateway import Limits, Peer, emit, message, namespace, on_disconnect
from asgi_ws_gateway.testing import GatewayTestClient


@namespace("/realtime")
class RealtimeGateway:
    @message("ping")
    @emit("pong")
    async def handle_ping(self) -> dict[str, Any]:
        return {"timestamp": 1_700_000_000}


@namespace("/realtime", limits=Limits(heartbeat=0.2))
class WatchfulGateway(RealtimeGateway):
    def __init__(self) -> None:
        self.left: list[int] = []

    @on_disconnect
    async def gone(self, peer: Peer, code: int, reason: str) -> None:
        self.left.append(code)


async def test_every_ping_is_answered() -> None:
    async with GatewayTestClient(RealtimeGateway()) as client, client.connect("/realtime") as alice:
        for _ in range(3):
            await alice.send("ping", {})
            assert await alice.receive("pong") == {"timestamp": 1_700_000_000}


async def test_a_ping_with_an_id_measures_the_round_trip() -> None:
    async with GatewayTestClient(RealtimeGateway()) as client, client.connect("/realtime") as alice:
        await alice.send("ping", {}, id=7)
        assert (await alice.receive_frame())["id"] == 7


async def test_a_client_that_does_not_answer_is_disconnected() -> None:
    gateway = WatchfulGateway()
    async with GatewayTestClient(gateway) as client, client.connect("/realtime") as alice:
        assert await alice.receive("heartbeat") is None
        assert await alice.closed() == (4408, "heartbeat timeout")
        await client.settle()
        assert gateway.left == [4408]


async def test_a_client_that_answers_stays() -> None:
    gateway = WatchfulGateway()
    async with GatewayTestClient(gateway) as client, client.connect("/realtime") as alice:
        for _ in range(3):
            frame = await alice.receive_frame()
            assert frame["event"] == "heartbeat"
            alice.answer(frame)
        assert await alice.request("ping", {})
    assert gateway.left == [1000]
