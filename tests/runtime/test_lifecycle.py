"""From accept to the disconnect hook, whatever comes between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import (
    Accept,
    BlockingPeer,
    ConnectionRejected,
    Limits,
    Peer,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import ConnectionClosed, GatewayTestClient

SOON = 0.01


class Watched:
    """Records every peer's life."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.entered = anyio.Event()
        self.open = anyio.Event()
        self.left = anyio.Event()

    @on_disconnect
    async def _left(self, peer: Peer, code: int, reason: str) -> None:
        self.log.append(("left", code, reason, sorted(peer.rooms), peer.connected))
        assert await peer.send("too late") is False
        self.left.set()


@namespace("/life")
class Life(Watched):
    @on_connect
    async def _connected(self, peer: Peer) -> None:
        self.log.append("connected")
        peer.join("room")
        assert peer.connected

    @message("hold")
    @emit("held")
    async def hold(self) -> None:
        self.log.append("hold")
        self.entered.set()
        try:
            await self.open.wait()
            self.log.append("held")
        except BaseException:
            self.log.append("cancelled")
            raise

    @message("hold_dearly", cancel_on_disconnect=True)
    async def hold_dearly(self) -> None:
        await self.hold()

    @message("hold_aside", concurrent=True)
    async def hold_aside(self) -> None:
        await self.hold()

    @message("stream")
    @emit("value")
    async def stream(self) -> AsyncIterator[int]:
        try:
            yield 1
            self.entered.set()
            await self.open.wait()
        finally:
            self.log.append("closed stream")

    @message("note")
    async def note(self, data: Any) -> None:
        self.log.append(data)

    @message("close")
    async def close(self, data: Any, peer: Peer) -> None:
        await peer.send("before")
        await peer.close(4000, "enough")
        self.log.append(("closed", peer.connected, await peer.send("after")))

    @message("refuse")
    async def refuse(self, data: Any, peer: Peer) -> None:
        with pytest.raises(ValueError, match="close code"):
            await peer.close(1005)


@pytest.mark.parametrize("code", [1000, 1001, 4001])
async def test_the_code_and_reason_of_a_client_that_leaves(code: int) -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client, client.connect("/life") as peer:
        await peer.close(code, "bye")
    assert gateway.log == ["connected", ("left", code, "bye", ["room"], False)]


async def test_a_dropped_connection_is_1006_and_leaves_the_audience() -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/life") as peer, client.connect("/life"):
            assert client.service is not None
            assert len(client.service.peers("/life", room="room")) == 2
            await peer.drop()
            assert len(client.service.peers("/life", room="room")) == 1
            assert gateway.log[-1] == ("left", 1006, "", ["room"], False)
        assert client.service.peers("/life") == []


async def test_the_server_closes_from_a_handler() -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client, client.connect("/life") as peer:
        await peer.send("refuse")
        await peer.send("close")
        await peer.receive("before")
        assert await peer.closed() == (4000, "enough")
        with pytest.raises(ConnectionClosed):
            await peer.receive("anything")
        await client.settle()
    assert gateway.log == [
        "connected",
        ("closed", False, False),
        ("left", 4000, "enough", ["room"], False),
    ]


async def test_the_server_closes_from_outside_while_a_handler_waits() -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client, client.connect("/life") as peer:
        await peer.send("hold")
        await peer.send("note", "never handled")
        await gateway.entered.wait()
        assert client.service is not None
        await client.service.disconnect(client.service.peers("/life")[0], 4000, "out")
        assert await peer.closed() == (4000, "out")
        gateway.open.set()
        await client.settle()
    assert gateway.log == ["connected", "hold", "held", ("left", 4000, "out", ["room"], False)]


async def test_what_was_received_is_handled_although_its_peer_has_left() -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client, client.connect("/life") as peer:
        await peer.send("hold")
        await peer.send("note", "handled")
        await peer.send("hold_dearly")
        await gateway.entered.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.close)
            await anyio.wait_all_tasks_blocked()
            gateway.open.set()
    assert gateway.log == [
        "connected",
        "hold",
        "held",
        "handled",
        ("left", 1000, "", ["room"], False),
    ]


@pytest.mark.parametrize("event", ["hold_dearly", "stream"])
async def test_some_handlers_end_with_their_peer(event: str) -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client, client.connect("/life") as peer:
        await peer.send(event)
        await peer.send("note", "handled")
        await gateway.entered.wait()
        await peer.close()
    expected = ["hold", "cancelled"] if event == "hold_dearly" else ["closed stream"]
    assert gateway.log == [
        "connected",
        *expected,
        "handled",
        ("left", 1000, "", ["room"], False),
    ]


@pytest.mark.parametrize("event", ["hold", "hold_aside"])
async def test_a_handler_lingers_only_so_long(event: str) -> None:
    gateway = Life()
    limits = Limits(linger=SOON)
    async with GatewayTestClient(gateway, limits=limits) as client, client.connect("/life") as peer:
        await peer.send(event)
        await gateway.entered.wait()
        await peer.close()
    assert gateway.log == [
        "connected",
        "hold",
        "cancelled",
        ("left", 1000, "", ["room"], False),
    ]


async def test_the_disconnect_hook_waits_for_concurrent_handlers() -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client, client.connect("/life") as peer:
        await peer.send("hold_aside")
        await gateway.entered.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.close)
            await anyio.wait_all_tasks_blocked()
            assert gateway.log == ["connected", "hold"]
            gateway.open.set()
    assert gateway.log[-2:] == ["held", ("left", 1000, "", ["room"], False)]


@pytest.mark.parametrize("fault", ["raise", "false", "reject"])
@pytest.mark.parametrize("late", [False, True])
async def test_a_connect_hook_that_fails_or_refuses_closes(fault: str, late: bool) -> None:
    @namespace("/refused")
    class Refused(Watched):
        @on_connect
        async def _connected(self, peer: Peer) -> Any:
            if late:
                await anyio.lowlevel.checkpoint()
            if fault == "raise":
                raise RuntimeError("secret")
            if fault == "reject":
                raise ConnectionRejected("no")
            return False

        @message("note")
        async def note(self, data: Any) -> None:
            self.log.append("handled")

    gateway = Refused()
    async with GatewayTestClient(gateway) as client, client.connect("/refused") as peer:
        expected = {
            "raise": (1011, "internal error"),
            "reject": (1008, "no"),
            "false": (1008, "refused"),
        }[fault]
        assert await peer.closed() == expected
        await client.settle()
    assert gateway.log == [("left", *expected, [], False)]


async def test_messages_wait_for_the_connect_hook() -> None:
    @namespace("/first")
    class First(Watched):
        @on_connect
        async def _connected(self, peer: Peer) -> None:
            self.entered.set()
            await self.open.wait()
            self.log.append("connected")

        @message("note")
        async def note(self, data: Any) -> None:
            self.log.append(data)

    gateway = First()
    async with GatewayTestClient(gateway) as client, client.connect("/first") as peer:
        for number in range(5):
            await peer.send("note", number)
        await gateway.entered.wait()
        await anyio.wait_all_tasks_blocked()
        assert gateway.log == []
        gateway.open.set()
        await client.settle()
    assert gateway.log[:6] == ["connected", 0, 1, 2, 3, 4]


async def test_a_peer_that_leaves_during_the_connect_hook() -> None:
    @namespace("/early")
    class Early(Watched):
        @on_connect
        async def _connected(self, peer: Peer) -> None:
            self.entered.set()
            await self.open.wait()
            self.log.append(peer.connected)

    gateway = Early()
    async with GatewayTestClient(gateway) as client, client.connect("/early") as peer:
        await gateway.entered.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.close)
            await anyio.wait_all_tasks_blocked()
            gateway.open.set()
    assert gateway.log == [False, ("left", 1000, "", [], False)]


async def test_a_disconnect_hook_that_fails_or_hangs_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @namespace("/hook")
    class Hook:
        @on_disconnect
        async def _left(self, peer: Peer, code: int) -> None:
            if code == 4001:
                raise RuntimeError("secret")
            await anyio.sleep_forever()

    async with GatewayTestClient(Hook(), limits=Limits(linger=SOON)) as client:
        for code in (4001, 4002):
            async with client.connect("/hook") as peer:
                await peer.close(code)
        assert client.service is not None
        assert client.service.stats().connections == 0
    assert "Hook._left failed" in caplog.text
    assert "Hook._left took too long" in caplog.text


async def test_a_plain_def_disconnect_hook_has_a_blocking_peer() -> None:
    seen: list[Any] = []

    @namespace("/thread")
    class Thread:
        @on_connect
        def connected(self, peer: BlockingPeer) -> None:
            peer.join("room")

        @on_disconnect
        def left(self, peer: BlockingPeer, code: int, reason: str) -> None:
            report = peer.broadcast_others("left", code, room="room")
            seen.append((type(peer).__name__, code, sorted(peer.rooms), report.queued))

    async with GatewayTestClient(Thread()) as client, client.connect("/thread") as other:
        await client.settle()
        async with client.connect("/thread"):
            await client.settle()
        assert await other.receive("left") == 1000
    assert seen[0] == ("BlockingPeer", 1000, ["room"], 1)


async def test_a_connection_ends_when_its_time_is_over() -> None:
    @namespace("/expires")
    class Expires(Watched):
        @on_connection_attempt
        async def attempt(self, params: dict[str, str]) -> Accept:
            return Accept(expires_at=1.0)

    gateway = Expires()
    async with GatewayTestClient(gateway) as client, client.connect("/expires") as peer:
        assert await peer.closed() == (4401, "expired")
        await client.settle()
    assert gateway.log == [("left", 4401, "expired", [], False)]


async def test_a_silent_peer_is_asked_and_then_closed() -> None:
    @namespace("/heart", limits=Limits(heartbeat=SOON))
    class Heart(Watched):
        pass

    gateway = Heart()
    async with GatewayTestClient(gateway) as client, client.connect("/heart") as peer:
        for _ in range(3):
            question = await peer.receive_frame()
            assert question["event"] == "heartbeat"
            assert question["data"] is None
            assert question["id"].startswith("s:")
            peer.answer(question)
        while True:
            try:
                await peer.receive("heartbeat")
            except ConnectionClosed:
                break
        assert await peer.closed() == (4408, "heartbeat timeout")
        await client.settle()
    assert gateway.log == [("left", 4408, "heartbeat timeout", [], False)]


async def test_a_kept_peer_can_do_nothing_any_more() -> None:
    kept: list[Peer[Any]] = []

    @namespace("/kept")
    class Kept:
        @on_connect
        async def connected(self, peer: Peer) -> None:
            peer.join("room")
            kept.append(peer)

    async with GatewayTestClient(Kept()) as client, client.connect("/kept") as other:
        async with client.connect("/kept"):
            await client.settle()
        peer = kept[1]
        assert not peer.connected
        assert peer.rooms == {"room"}
        assert await peer.send("event") is False
        assert peer.join("room") is False
        assert peer.leave("room") is False
        await peer.close()
        assert (await peer.broadcast("still", 1)).queued == 1
        assert await other.receive("still") == 1


async def test_the_server_cancels_a_connection() -> None:
    """As hypercorn and daphne do when they stop."""
    from asgi_ws_gateway import GatewayMiddleware
    from asgi_ws_gateway.testing.scope import websocket_scope
    from asgi_ws_gateway.testing.wire import Wire

    gateway = Life()
    application = GatewayMiddleware(None, gateways=[gateway])
    async with application.service:
        wire = Wire()
        returned = False

        async def serve(scope: anyio.CancelScope) -> None:
            nonlocal returned
            with scope:
                await application(websocket_scope("/life"), wire.receive, wire.send)
                returned = True

        scope = anyio.CancelScope()
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(serve, scope)
                wire.put({"type": "websocket.receive", "text": '{"event":"hold"}'})
                await gateway.entered.wait()
                scope.cancel()
        assert not returned
        assert wire.end == (1012, "service restart")
        assert gateway.log == [
            "connected",
            "hold",
            "cancelled",
            ("left", 1012, "service restart", ["room"], False),
        ]


async def test_drain_finishes_handlers_and_closes_everyone_with_1012() -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/life") as busy, client.connect("/life") as idle:
            await busy.send("hold", id="h")
            await gateway.entered.wait()
            assert client.service is not None
            async with anyio.create_task_group() as group:
                group.start_soon(client.service.drain, 5.0)
                assert await idle.closed() == (1012, "service restart")
                gateway.open.set()
                assert await busy.receive("held") is None
                assert await busy.closed() == (1012, "service restart")
            await client.settle()
        assert [entry[1] for entry in gateway.log if entry[0] == "left"] == [1012, 1012]


async def test_drain_does_not_wait_longer_than_its_grace() -> None:
    gateway = Life()
    async with GatewayTestClient(gateway) as client, client.connect("/life") as busy:
        await busy.send("hold", id="h")
        await gateway.entered.wait()
        assert client.service is not None
        await client.service.drain(SOON)
        assert await busy.closed() == (1012, "service restart")
        await client.settle()
    assert gateway.log[1:] == [
        "hold",
        "cancelled",
        ("left", 1012, "service restart", ["room"], False),
    ]
