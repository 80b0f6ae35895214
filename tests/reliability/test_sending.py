"""What is sent reaches everyone it is for, in order and once, whatever becomes of some of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_ws_gateway import (
    GatewayMiddleware,
    Limits,
    Peer,
    WebSocketService,
    emit,
    message,
    namespace,
    on_disconnect,
)
from asgi_ws_gateway.runtime import turn
from asgi_ws_gateway.testing import ClientConnection, GatewayTestClient
from asgi_ws_gateway.testing.scope import websocket_scope
from asgi_ws_gateway.testing.wire import Wire
from tests.effort import Effort

SOON: Final = 0.02


@namespace("/send")
class Sends:
    def __init__(self) -> None:
        self.left: list[int] = []
        self.open = anyio.Event()

    @message("echo")
    @emit("echoed")
    async def echo(self, data: Any) -> Any:
        return data

    @message("echo aside", concurrent=True)
    @emit("echoed")
    async def echo_aside(self, data: Any) -> Any:
        await self.open.wait()
        return data

    @message("join")
    async def join(self, data: Any, peer: Peer) -> bool:
        return peer.join(data)

    @message("leave")
    async def leave(self, data: Any, peer: Peer) -> bool:
        return peer.leave(data)

    @on_disconnect
    async def disconnected(self, peer: Peer, code: int) -> None:
        self.left.append(code)


def service_of(client: GatewayTestClient) -> WebSocketService:
    assert client.service is not None
    return client.service


# Fairness.


class Crowd:
    """Flooders whose messages are all there at once, and one who pings when a flood is on."""

    FLOODS: Final = {
        "handled": '{"event":"flood"}',
        "failing": '{"event":"nowhere"}',
        "malformed": "{",
        "answers to nothing": '{"event":"ack","data":null,"id":"s:99"}',
        "cancels of nothing": '{"cancel":"c1"}',
        "over the rate": '{"event":"flood"}',
    }
    ENOUGH: Final = 20_000

    def __init__(self, text: str, *, busy: bool) -> None:
        self.text = text
        self.busy = busy
        self.handled = [0, 0]
        self.at_ping: list[int] = []
        self.at_answer: list[int] = []
        self.pinged = anyio.Event()
        self.answered = anyio.Event()

    async def flood(self, number: int) -> dict[str, Any]:
        """What a flooder's server has received: the next is always there."""
        if self.answered.is_set() or self.handled[number] == self.ENOUGH:
            await checkpoint()
            return {"type": "websocket.disconnect", "code": 1000}
        self.handled[number] += 1
        if self.handled[number] == 1000 and not self.pinged.is_set():
            self.at_ping = list(self.handled)
            self.pinged.set()
        text = '{"event":"wait"}' if self.busy and self.handled[number] == 1 else self.text
        return {"type": "websocket.receive", "text": text}

    async def ping(self) -> dict[str, Any]:
        if self.pinged.is_set():
            await self.answered.wait()
            return {"type": "websocket.disconnect", "code": 1000}
        await self.pinged.wait()
        return {"type": "websocket.receive", "text": '{"event":"ping","id":1}'}

    async def swallow(self, message: dict[str, Any]) -> None:
        """A flooder's server sends at once."""

    async def take(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            self.at_answer = list(self.handled)
            self.answered.set()


@namespace("/crowd")
class Crowded:
    @message("flood")
    async def flood(self) -> None:
        return None

    @message("wait", cancel_on_disconnect=True)
    async def wait(self) -> None:
        await anyio.sleep_forever()

    @message("ping")
    async def ping(self) -> str:
        return "pong"


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("flood", Crowd.FLOODS)
async def test_two_who_flood_handle_a_turn_each_before_anybody_else_is_answered(
    flood: str, busy: bool, monkeypatch: pytest.MonkeyPatch, anyio_backend_name: str
) -> None:
    monkeypatch.setattr(turn, "SECONDS", float("inf"))  # by count, on any machine
    crowd = Crowd(Crowd.FLOODS[flood], busy=busy)
    rate = {"rate": 0.001, "burst": 10**6} if flood == "over the rate" else {}
    limits = Limits(inbox_messages=None, **rate)
    application = GatewayMiddleware(None, gateways=[Crowded()], limits=limits)
    async with application.service as service, anyio.create_task_group() as group:
        group.start_soon(application, websocket_scope("/crowd"), crowd.ping, crowd.take)
        while not service.peers("/crowd"):
            await checkpoint()
        for number in (0, 1):
            receive = partial(crowd.flood, number)
            group.start_soon(application, websocket_scope("/crowd"), receive, crowd.swallow)
        await crowd.answered.wait()
    # trio runs what is ready in any order, and sends from a task of its own.
    turns = 1 if anyio_backend_name == "asyncio" else 3
    for before, after in zip(crowd.at_ping, crowd.at_answer, strict=True):
        assert after - before <= turns * 256


# Fan-out.


@pytest.mark.parametrize("seed", range(3))
async def test_who_stays_gets_every_broadcast_once_and_in_order_whoever_comes_and_goes(
    seed: int, effort: Effort
) -> None:
    chance = random.Random(seed)
    rounds = effort.of(100, 1_000)
    limits = Limits(outbox_messages=None)
    async with GatewayTestClient(Sends(), limits=limits) as client, AsyncExitStack() as stack:
        service = service_of(client)

        async def enter() -> ClientConnection:
            peer = await stack.enter_async_context(client.connect("/send"))
            await peer.request("join", "room")
            return peer

        constant = [await enter() for _ in range(10)]
        passing = [await enter() for _ in range(5)]
        for number in range(rounds):
            # None of these is waited for: they happen while the broadcast goes out.
            one = chance.randrange(len(passing))
            act = chance.choice(["leave", "join", "drop", "fail", "pause", "resume", "none"])
            if act in ("leave", "join"):
                await passing[one].send(act, "room")
            elif act in ("drop", "fail"):
                passing[one].drop() if act == "drop" else passing[one].fail_sends()
                passing[one] = await enter()
            elif act != "none":
                slow = chance.choice(constant)
                slow.pause() if act == "pause" else slow.resume()
            report = await service.broadcast("/send", "news", number, room="room")
            assert report.queued >= len(constant)
        for peer in constant:
            peer.resume()
        await client.settle()
        for peer in constant:
            news = [frame["data"] for frame in peer.pending if frame["event"] == "news"]
            assert news == list(range(rounds))


async def test_who_is_in_a_room_is_decided_when_it_is_sent_to() -> None:
    async with (
        GatewayTestClient(Sends()) as client,
        client.connect("/send") as early,
        client.connect("/send") as late,
    ):
        service = service_of(client)
        await client.settle()
        one, two = service.peers("/send")
        for peer in (early, late):
            peer.pause()  # so that all of it is still on its way afterwards
        one.join("room")
        await service.broadcast("/send", "news", 1, room="room")
        one.leave("room")
        two.join("room")
        await service.broadcast("/send", "news", 2, room="room")
        for peer in (early, late):
            peer.resume()
        await client.settle()
        assert [frame["data"] for frame in early.pending] == [1]
        assert [frame["data"] for frame in late.pending] == [2]


@pytest.mark.parametrize(
    "name", ["*", "/send:room", "ALL", "None", "a room\r\n\x00", "\ud800", "é" * 128]
)
async def test_a_room_is_its_name_and_nothing_more(name: str) -> None:
    async with (
        GatewayTestClient(Sends()) as client,
        client.connect("/send") as inside,
        client.connect("/send") as outside,
    ):
        service = service_of(client)
        await client.settle()
        one, two = service.peers("/send")
        one.join(name)
        two.join("room")
        assert (await service.broadcast("/send", "news", room=name)).queued == 1
        assert (await service.broadcast("/send", "news", room="room")).queued == 1
        await client.settle()
        assert len(inside.pending) == len(outside.pending) == 1


async def test_no_client_is_in_more_rooms_than_it_may(effort: Effort) -> None:
    async with GatewayTestClient(Sends()) as client, client.connect("/send") as greedy:
        tries = effort.of(1_000, 10_000)
        for number in range(tries):
            await greedy.send("join", str(number))
        await client.settle()
        codes = [frame["data"]["code"] for frame in greedy.pending]
        assert codes == ["limit_reached"] * (tries - 128)
        service = service_of(client)
        assert sum(len(service.peers("/send", room=str(number))) for number in range(tries)) == 128
        await greedy.drop()
        assert service.running.hub._rooms == {}


async def test_rooms_that_were_left_leave_nothing_behind(effort: Effort) -> None:
    times = effort.of(5_000, 500_000)
    async with GatewayTestClient(Sends()) as client, client.connect("/send"):
        await client.settle()
        (peer,) = service_of(client).peers("/send")

        def come_and_go(start: int) -> None:
            for number in range(start, start + times):
                peer.join(f"room {number}")
                peer.leave(f"room {number}")

        come_and_go(0)
        gc.collect()
        tracemalloc.start()
        try:
            come_and_go(times)
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        effort.figure(
            f"{2 * times:,} rooms joined and left by one peer",
            "under 64 KiB kept",
            f"{kept / 1024:.1f} KiB kept",
        )
        assert kept < 64 * 1024
        assert peer.rooms == frozenset()


class Server:
    """One connection whose server fails in a way of its own, once it is told to."""

    def __init__(self, how: str) -> None:
        self.wire = Wire()
        self.how = how
        self.failing = False

    def send(self, message: dict[str, Any]) -> Any:
        if self.failing and self.how == "when it is called":
            raise RuntimeError("the client is gone")
        return self._send(message)

    async def _send(self, message: dict[str, Any]) -> None:
        if self.failing:
            if self.how == "after it has waited":
                await checkpoint()
            raise OSError("the client is gone")
        await self.wire.send(message)


@pytest.mark.parametrize("how", ["when it is called", "at once", "after it has waited"])
async def test_a_send_that_fails_is_lost_for_its_own_peer_only(how: str) -> None:
    gateway = Sends()
    application = GatewayMiddleware(None, gateways=[gateway])
    servers = [Server(how) for _ in range(10)]
    async with application.service as service, anyio.create_task_group() as group:
        for server in servers:
            group.start_soon(
                application, websocket_scope("/send"), server.wire.receive, server.send
            )
        while len(service.peers("/send")) < len(servers):
            await checkpoint()
        for server in servers[::3]:
            server.failing = True
        reports = [await service.broadcast("/send", "news", number) for number in range(5)]
        while len(gateway.left) < 4:
            await checkpoint()
        assert gateway.left == [1006] * 4
        assert [len(server.wire.received) for server in servers] == [0, 5, 5] * 3 + [0]
        # What a report calls lost is counted, and so is what turns out to be lost later.
        lost = sum(report.queued + report.dropped for report in reports) - 30
        assert sum(service.stats().dropped.values()) == lost
        for server in servers:
            server.wire.leave(1000)


async def test_a_send_that_never_ends_keeps_neither_its_peer_nor_the_service(
    anyio_backend_name: str,
) -> None:
    released = anyio.Event()
    ended = anyio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept":
            return
        if anyio_backend_name == "trio":  # as hypercorn sends there
            with anyio.CancelScope(shield=True):
                await released.wait()
        while not released.is_set():
            try:
                await asyncio.sleep(SOON)
            except asyncio.CancelledError:
                pass

    gateway = Sends()
    application = GatewayMiddleware(None, gateways=[gateway], limits=Limits(send_timeout=SOON))

    async def serve() -> None:
        async with application.service as service:
            group.start_soon(application, websocket_scope("/send"), Wire().receive, send)
            while not service.peers("/send"):
                await checkpoint()
            await service.broadcast("/send", "news")
            while not gateway.left:
                await anyio.sleep(SOON)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        with anyio.move_on_after(6):
            await ended.wait()
        in_time = ended.is_set()
        released.set()
    assert gateway.left == [1013]
    assert in_time


# Back-pressure.


@pytest.mark.parametrize("event", ["echo", "echo aside"])
async def test_who_asks_and_never_reads_is_not_read_either(event: str) -> None:
    size, waiting, messages = 10_000, 8, 200
    limits = Limits(outbox_bytes=10 * size, inbox_messages=waiting)
    gateway = Sends()
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/send") as peer:
            stats = service_of(client).stats()
            peer.pause()
            for number in range(messages):
                await peer.send(event, "." * size, id=number)
            if event == "echo aside":
                while stats.received < waiting:  # and all of them answer at once
                    await checkpoint()
            gateway.open.set()
            await anyio.wait_all_tasks_blocked()
            # One is on its way, beside those that wait: in their place only those who ask aside
            # can fill more than half.
            if event == "echo":
                assert stats.received == stats.queued <= 5 + 1
            else:
                assert stats.queued <= 10 + 1
                assert stats.received <= stats.queued + 2 * waiting + 1
            peer.resume()
            for _ in range(messages):
                assert len(await peer.receive("echoed")) == size


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
@pytest.mark.parametrize("full", ["outbox_messages", "outbox_bytes"])
async def test_no_policy_drops_an_answer(overflow: Any, full: str) -> None:
    limits = Limits(overflow=overflow, **{full: {"outbox_messages": 4, "outbox_bytes": 200}[full]})
    async with GatewayTestClient(Sends(), limits=limits) as client, client.connect("/send") as peer:
        peer.pause()
        for number in range(20):
            await service_of(client).broadcast("/send", "news", number)
            await peer.send("echo", number, id=number)
        await anyio.wait_all_tasks_blocked()
        peer.resume()
        await client.settle()
        answers = [frame["id"] for frame in peer.pending if frame["event"] == "echoed"]
        assert answers == list(range(20))
        assert service_of(client).stats().dropped["overflow"] > 0


# What is said of it.


async def overflow(client: GatewayTestClient, peer: ClientConnection) -> None:
    peer.pause()
    for _ in range(5):
        await service_of(client).broadcast("/send", "news")


async def hang(client: GatewayTestClient, peer: ClientConnection) -> None:
    peer.pause()
    await service_of(client).broadcast("/send", "news")


async def flood(client: GatewayTestClient, peer: ClientConnection) -> None:
    for _ in range(100):
        await peer.send("echo")


async def say_nothing(client: GatewayTestClient, peer: ClientConnection) -> None:
    """Answers no heartbeat."""


@pytest.mark.parametrize(
    ("do", "limits", "code", "reason"),
    [
        (overflow, Limits(outbox_messages=3), 1013, "too slow"),
        (hang, Limits(send_timeout=SOON), 1013, "too slow"),
        (flood, Limits(rate=1, burst=1), 1008, "rate limited"),
        (say_nothing, Limits(heartbeat=SOON), 4408, "heartbeat timeout"),
    ],
)
async def test_a_peer_that_is_closed_for_what_it_does_is_counted_and_told_once(
    do: Callable[[GatewayTestClient, ClientConnection], Awaitable[None]],
    limits: Limits,
    code: int,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = Sends()
    caplog.set_level(logging.WARNING)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/send") as peer:
            await do(client, peer)
            while service_of(client).peers("/send"):
                await anyio.sleep(SOON / 10)
            peer.resume()
            await client.settle()
        assert gateway.left == [code]
        assert service_of(client).stats().closed == {code: 1}
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if reason in line]) == 1, lines
    assert all(len(line) < 512 for line in lines)


async def test_what_a_peer_that_has_left_is_sent_is_counted() -> None:
    async with GatewayTestClient(Sends()) as client:
        async with client.connect("/send"):
            await client.settle()
            (peer,) = service_of(client).peers("/send")
        assert await peer.send("late") is False
        assert service_of(client).stats().dropped == {"gone": 1}
