"""Slow and stuck peers: what they lose, and that nobody else does."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from asgi_ws_gateway import (
    Limits,
    Peer,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
    on_disconnect,
)
from asgi_ws_gateway.testing import ConnectionClosed, GatewayTestClient

SOON = 0.01


@namespace("/push")
class Push:
    def __init__(self) -> None:
        self.left: list[tuple[int, str]] = []

    @message("ping")
    @emit("pong")
    async def ping(self, data: Any) -> Any:
        return data

    @message("tell")
    @broadcast_others("told")
    async def tell(self, data: Any) -> Any:
        return data

    @message("flood")
    async def flood(self, data: Any, peer: Peer) -> int:
        for number in range(data):
            await peer.send("flood", number)
        return data

    @message("echo")
    @emit("echoed")
    @broadcast("told")
    async def echo(self, data: Any) -> Any:
        return data

    @on_disconnect
    async def _left(self, peer: Peer, code: int, reason: str) -> None:
        self.left.append((code, reason))


async def test_a_peer_that_does_not_read_loses_its_own_connection_and_nothing_else() -> None:
    gateway = Push()
    limits = Limits(outbox_messages=5)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/push") as stuck, client.connect("/push") as reader:
            assert client.service is not None
            stuck.pause()
            # One is on its way, five wait, and the seventh is too many.
            for number in range(7):
                report = await client.service.broadcast("/push", "news", number)
                assert report == ((2, 0, True) if number < 6 else (1, 1, True))
            assert [await reader.receive("news") for _ in range(7)] == list(range(7))
            await client.settle()
            assert gateway.left == [(1013, "too slow")]
            assert (await client.service.broadcast("/push", "news", 7)) == (1, 0, True)
        assert client.service.stats().dropped == {"overflow": 1, "closed": 5}


@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop_oldest", [0, 4, 5, 6]), ("drop_newest", [0, 1, 2, 3])]
)
async def test_the_dropping_policies_keep_the_connection(overflow: Any, kept: list[int]) -> None:
    limits = Limits(outbox_messages=3, overflow=overflow)
    async with GatewayTestClient(Push(), limits=limits) as client:
        async with client.connect("/push") as peer:
            assert client.service is not None
            peer.pause()
            for number in range(7):
                await client.service.broadcast("/push", "news", number)
            peer.resume()
            assert [await peer.receive("news") for _ in kept] == kept
            await client.settle()
            assert peer.pending == []
        assert client.service.stats().dropped["overflow"] == 3


async def test_a_send_that_hangs_drops_its_peer() -> None:
    gateway = Push()
    limits = Limits(send_timeout=SOON)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/push") as peer:
            assert client.service is not None
            peer.pause()
            await client.service.broadcast("/push", "news")
            while not gateway.left:
                await anyio.lowlevel.checkpoint()
            peer.resume()
        assert gateway.left == [(1013, "too slow")]
        assert client.service.peers("/push") == []


async def test_the_latest_value_replaces_the_unsent_one() -> None:
    async with GatewayTestClient(Push()) as client, client.connect("/push") as peer:
        assert client.service is not None
        peer.pause()
        await client.service.broadcast("/push", "first")
        for number in range(100):
            await client.service.broadcast("/push", "position", number, latest="a")
            await client.service.broadcast("/push", "position", -number, latest="b")
            await client.service.broadcast("/push", "other", number, latest="a")
        peer.resume()
        await client.settle()
        assert peer.pending == [
            {"event": "first", "data": None},
            {"event": "position", "data": 99},
            {"event": "position", "data": -99},
            {"event": "other", "data": 99},
        ]


async def test_a_handler_feels_the_pressure_of_its_own_peer() -> None:
    limits = Limits(outbox_messages=4)
    async with GatewayTestClient(Push(), limits=limits) as client, client.connect("/push") as peer:
        peer.pause()
        await peer.send("flood", 100, id="f")
        await anyio.wait_all_tasks_blocked()
        peer.resume()
        assert [await peer.receive("flood") for _ in range(100)] == list(range(100))
        assert (await peer.receive_frame())["id"] == "f"


async def test_a_handler_does_not_wait_for_ever_for_its_own_peer() -> None:
    gateway = Push()
    limits = Limits(outbox_messages=4, send_timeout=SOON)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/push") as peer:
            peer.pause()
            await peer.send("flood", 100, id="f")
            while not gateway.left:
                await anyio.lowlevel.checkpoint()
            assert gateway.left == [(1013, "too slow")]
            peer.resume()


async def test_a_handler_does_not_wait_for_ever_for_room_that_others_take() -> None:
    gateway = Push()
    limits = Limits(outbox_bytes=1000, send_timeout=0.2, overflow="drop_newest")
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/push") as peer:
            assert client.service is not None
            peer.pause()
            # One is on its way, and one waits.
            for _ in range(2):
                await client.service.broadcast("/push", "news")
            await peer.send("ping", "x" * 950)
            await anyio.wait_all_tasks_blocked()
            # The client reads on, so that no send hangs; but there is never room for so much.
            with anyio.fail_after(10):
                while not gateway.left:
                    while (await client.service.broadcast("/push", "news")).queued:
                        pass
                    peer.resume()
                    peer.pause()
                    await anyio.lowlevel.checkpoint()
            assert gateway.left == [(1013, "too slow")]
            peer.resume()


async def test_a_handler_whose_own_broadcast_fills_the_outbox_closes_its_peer() -> None:
    gateway = Push()
    async with GatewayTestClient(gateway, limits=Limits(outbox_messages=1)) as client:
        async with client.connect("/push") as peer, client.connect("/push") as other:
            assert client.service is not None
            peer.pause()
            await client.service.emit(client.service.peers("/push")[0], "news")
            await peer.send("echo", "hi")
            assert await other.receive("told") == "hi"
            while len(client.service.peers("/push")) == 2:
                await anyio.lowlevel.checkpoint()
            peer.resume()
            assert await peer.closed() == (1013, "too slow")
        assert gateway.left == [(1013, "too slow"), (1000, "")]
        assert client.service.stats().dropped == {"overflow": 1, "closed": 1}


async def test_a_peer_that_does_not_read_keeps_the_close_code_it_was_given() -> None:
    gateway = Push()
    async with GatewayTestClient(gateway, limits=Limits(send_timeout=SOON)) as client:
        async with client.connect("/push") as peer:
            assert client.service is not None
            peer.pause()
            await client.service.broadcast("/push", "news")
            (connected,) = client.service.peers("/push")
            with anyio.move_on_after(5 * SOON):
                await client.service.disconnect(connected, 4000, "enough")
                await connected.close(4001)
                await anyio.sleep_forever()
            peer.resume()
            assert await peer.closed() == (4000, "enough")
            await client.settle()
        assert gateway.left == [(4000, "enough")]


async def test_answers_are_never_dropped() -> None:
    limits = Limits(outbox_messages=2, overflow="drop_newest")
    async with GatewayTestClient(Push(), limits=limits) as client, client.connect("/push") as peer:
        assert client.service is not None
        peer.pause()
        for number in range(5):
            await client.service.broadcast("/push", "news", number)
            await peer.send("ping", number, id=number)
        await anyio.wait_all_tasks_blocked()
        peer.resume()
        await client.settle()
        answers = [frame["id"] for frame in peer.pending if frame["event"] == "pong"]
        assert answers == [0, 1, 2, 3, 4]


async def test_reading_stops_while_the_outbox_is_over_half_full() -> None:
    limits = Limits(outbox_messages=8)
    async with GatewayTestClient(Push(), limits=limits) as client, client.connect("/push") as peer:
        assert client.service is not None
        peer.pause()
        for number in range(100):
            await peer.send("ping", number)
        await anyio.wait_all_tasks_blocked()
        received = client.service.stats().received
        assert received <= 8
        peer.resume()
        assert [await peer.receive("pong") for _ in range(100)] == list(range(100))


async def test_one_failing_send_does_not_stop_a_broadcast() -> None:
    gateway = Push()
    async with GatewayTestClient(gateway) as client:
        async with (
            client.connect("/push") as one,
            client.connect("/push") as broken,
            client.connect("/push") as three,
        ):
            assert client.service is not None
            broken.fail_sends(RuntimeError("whatever a server raises"))
            report = await client.service.broadcast("/push", "news")
            assert report.queued + report.dropped == 3
            await one.receive("news")
            await three.receive("news")
            await client.settle()
            assert gateway.left == [(1006, "")]
            with pytest.raises(ConnectionClosed):
                await broken.close()
                await broken.receive("anything")


async def test_a_message_of_any_size_fits_into_an_empty_outbox() -> None:
    limits = Limits(outbox_bytes=10)
    async with GatewayTestClient(Push(), limits=limits) as client, client.connect("/push") as peer:
        assert client.service is not None
        peer.pause()
        for text in ("on its way", "x" * 1000):
            assert (await client.service.broadcast("/push", "news", text)).queued == 1
        peer.resume()
        assert await peer.receive("news") == "on its way"
        assert await peer.receive("news") == "x" * 1000
