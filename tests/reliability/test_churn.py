"""Peers come and go by the thousand, in every way; nothing of them is kept."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from collections import Counter
from types import ModuleType
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_ws_gateway import (
    Accept,
    BlockingPeer,
    GatewayMiddleware,
    JSONCodec,
    Peer,
    WebSocketService,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.asgi.transport import ASGITransport
from asgi_ws_gateway.protocol.outbox import Outbox
from asgi_ws_gateway.protocol.session import Session
from asgi_ws_gateway.runtime.connection import Connection
from asgi_ws_gateway.runtime.conversation import Conversation
from asgi_ws_gateway.runtime.heart import Heart
from asgi_ws_gateway.runtime.inbox import Inbox
from asgi_ws_gateway.runtime.invoke import Stage
from asgi_ws_gateway.runtime.link import ConnectionLink, Question
from asgi_ws_gateway.runtime.turn import Turn
from asgi_ws_gateway.runtime.writer import Writer
from asgi_ws_gateway.testing import ClientConnection, GatewayTestClient
from tests.effort import Effort
from tests.reliability.clock import LOOPS, tasks
from tests.reliability.faults import Fault, FaultyWire, Points

WARM_UP = 600
TOGETHER = 20
"""How many are connected at once."""

OF_A_CONNECTION = (
    *(ASGITransport, Connection, ConnectionLink, Conversation, Heart, Inbox, Outbox, Question),
    *(Session, Stage, Turn, Writer),
)


@pytest.fixture(params=LOOPS.values(), ids=list(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@namespace("/churn/{place}")
class Churn:
    def __init__(self) -> None:
        self.left = 0
        self.kept: list[Peer | BlockingPeer] = []
        self.keeps = False

    @on_connection_attempt
    async def attempted(self, params: dict[str, str]) -> Accept:
        await checkpoint()
        return Accept(user=params["user"], state={"large": bytearray(1000)})

    @on_connect
    async def connected(self, peer: Peer) -> None:
        peer.join("everybody")
        peer.join(f"only {peer.user}")
        if self.keeps:
            self.kept.append(peer)

    @on_disconnect
    async def disconnected(self, peer: Peer) -> None:
        self.left += 1
        await checkpoint()
        await peer.broadcast("left", room="everybody")

    @message("keep")
    def keep(self, data: Any, peer: BlockingPeer) -> None:
        self.kept.append(peer)

    @message("hold", cancel_on_disconnect=True)
    async def hold(self, data: Any, peer: Peer) -> None:
        await peer.send("held")
        await anyio.sleep_forever()

    @message("ask", concurrent=True)
    async def ask(self, data: Any, peer: Peer) -> None:
        await peer.ask("question")

    @message("fill")
    async def fill(self, data: Any, peer: Peer) -> None:
        for _ in range(10):
            await peer.send("filled", "x" * 1000)


async def until(peer: ClientConnection, event: str) -> None:
    while (await peer.receive_frame())["event"] != event:
        pass


async def come_and_go(client: GatewayTestClient, number: int) -> None:
    """One of them: half leave without a word, a third while a message of theirs is handled."""
    async with client.connect(f"/churn/{number % 7}?user={number}") as peer:
        if number % 3 == 0:
            event, sign = [("hold", "held"), ("ask", "question")][number % 2]
            await peer.send(event)
            await until(peer, sign)
        elif number % 5 == 0:
            peer.pause()
            await peer.send("fill")
            await checkpoint()
        if number // 3 % 2:
            await peer.drop()
        else:
            await peer.close()


async def churn(client: GatewayTestClient, count: int) -> None:
    for start in range(0, count, TOGETHER):
        async with anyio.create_task_group() as group:
            for number in range(start, start + TOGETHER):
                group.start_soon(come_and_go, client, number)
        await client.settle()


def alive() -> Counter[str]:
    """What is kept of connections, by its class."""
    gc.collect()
    return Counter(type(it).__name__ for it in gc.get_objects() if isinstance(it, OF_A_CONNECTION))


async def test_nothing_is_kept_of_peers_that_have_gone(
    effort: Effort, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "asgi_ws_gateway")  # pytest keeps what is logged
    count = effort.of(1_500, 50_000)
    gateway, before = Churn(), alive()
    async with GatewayTestClient(gateway) as client:
        assert client.service is not None
        await churn(client, WARM_UP)
        at_rest = tasks()
        gc.collect()
        objects = len(gc.get_objects())
        tracemalloc.start()
        try:
            await churn(client, count)
            gc.collect()
            size = tracemalloc.get_traced_memory()[0] / count
        finally:
            tracemalloc.stop()
        objects = len(gc.get_objects()) - objects
        effort.figure(
            f"{count} peers, half without a word, a third mid-message ({anyio_backend_name})",
            "no peer, task or room left, under 200 bytes a peer kept",
            f"{size:.0f} bytes and {objects / count:.2f} objects a peer",
        )
        assert size < 200
        assert objects < count
        assert gateway.left == client.service.stats().accepted == WARM_UP + count
        assert client.service.stats().connections == 0
        running = client.service.running
        assert not any(vars(running.hub).values())
        assert (running.admission._connections, running.admission._attempts) == (0, 0)
        assert tasks() == at_rest
        assert not alive() - before


def reachable(root: Any) -> list[Any]:
    found, waiting = {id(root): root}, [root]
    for it in waiting:
        for other in gc.get_referents(it):
            if id(other) not in found and not isinstance(other, type | ModuleType):
                found[id(other)] = other
                waiting.append(other)
    return waiting


@pytest.mark.parametrize("end", ["leaves", "drops", "is closed", "is stuck"])
async def test_neither_a_socket_nor_a_kept_peer_keeps_what_is_ours(end: str) -> None:
    gateway, before = Churn(), alive()
    gateway.keeps = True
    service = WebSocketService()
    app = GatewayMiddleware(None, service, gateways=[gateway])
    stuck = Points({("send send", 3): Fault.ENDLESS_HANG} if end == "is stuck" else {})
    wire = FaultyWire(stuck)
    async with service, anyio.create_task_group() as group:
        group.start_soon(wire.serve, app, "/churn/here?user=somebody")
        client = ClientConnection(wire, JSONCodec(), timeout=100)
        await client.send("ask")
        await until(client, "question")
        await client.send("keep")
        await client.send("fill")
        if end == "leaves":
            await client.close()
        elif end == "drops":
            await client.drop()
        elif end == "is closed":
            await until(client, "filled")
            await service.disconnect(gateway.kept[0])
        with anyio.fail_after(100):
            await wire.finished.wait()
        await checkpoint()

        kept = alive() - before
        stuck.let_go()
        # All of ours that is in a send which does not end.
        assert kept == ({"Writer": 1} if end == "is stuck" else {})
        assert [peer.connected for peer in gateway.kept] == [False, False]
        assert gateway.kept[0].rooms == {"everybody", "only somebody"}
        assert wire.scope is not None
        scope = {key: value for key, value in wire.scope.items() if key != "points"}
        theirs = [it for it in reachable(scope) if type(it).__module__.startswith("asgi_ws_")]
        assert theirs == []
