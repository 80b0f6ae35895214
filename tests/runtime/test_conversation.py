"""One peer's messages and hooks, interrupted where they wait and where they do not care."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import Limits, Peer, message, namespace, on_connect, on_disconnect
from asgi_ws_gateway.runtime import connection
from asgi_ws_gateway.testing import ClientConnection, GatewayTestClient

SOON = 0.01
"""A time limit that is meant to pass."""


@namespace("/aside")
class Aside:
    """Handlers that run beside each other, each until it is let go."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self.may_end: dict[Any, anyio.Event] = {}
        self.at_end: Callable[[], Any] = lambda: None
        self.changed = anyio.Event()

    @message("work", concurrent=True)
    async def work(self, data: Any) -> Any:
        self.may_end[data] = anyio.Event()
        self._note(self.started, data)
        try:
            await self.may_end[data].wait()
        finally:
            self._note(self.ended, data)
        self.at_end()
        return data

    @message("work_for_peer", concurrent=True, cancel_on_disconnect=True)
    async def work_for_peer(self, data: Any) -> Any:
        return await self.work(data)

    @message("shielded", concurrent=True)
    async def shielded(self, data: Any) -> None:
        with anyio.CancelScope(shield=True):
            await self.work(data)

    @message("in_turn")
    async def in_turn(self, data: Any) -> Any:
        return await self.work(data)

    @message("cleans_up")
    async def cleans_up(self, data: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.work(data)

    @message("stubborn", concurrent=True, timeout=SOON)
    async def stubborn(self) -> str:
        try:
            await anyio.sleep_forever()
        except BaseException:
            pass
        return "as if nothing had happened"

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(5):
            while not condition():
                await self.changed.wait()

    def _note(self, log: list[Any], data: Any) -> None:
        log.append(data)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()


async def work(peer: ClientConnection, gateway: Aside, *names: str) -> None:
    """Has work done of each name, which is its id too."""
    for name in names:
        await peer.send("work", name, id=name)
    await gateway.until(lambda: set(names) <= set(gateway.started))


async def error(peer: ClientConnection) -> tuple[Any, str]:
    """The next message: an id and an error's code."""
    frame = await peer.receive_frame()
    assert frame["event"] == "error"
    return frame["id"], frame["data"]["code"]


async def test_of_several_concurrent_messages_the_one_that_is_meant_is_cancelled() -> None:
    gateway = Aside()
    async with GatewayTestClient(gateway) as client, client.connect("/aside") as peer:
        await work(peer, gateway, "a", "b", "c")
        peer.cancel("b")
        assert await error(peer) == ("b", "cancelled")
        assert gateway.ended == ["b"]
        for name in ("c", "a"):
            gateway.may_end[name].set()
            assert (await peer.receive_frame())["id"] == name


async def test_a_concurrent_handler_that_swallows_its_time_limit_is_told_of_it() -> None:
    gateway = Aside()
    async with GatewayTestClient(gateway) as client, client.connect("/aside") as peer:
        await peer.send("stubborn", id="s")
        assert await error(peer) == ("s", "handler_timeout")
        await client.settle()
        assert peer.pending == []


async def test_all_who_wait_for_concurrent_handlers_are_told() -> None:
    gateway = Aside()
    async with GatewayTestClient(gateway) as client, client.connect("/aside") as peer:
        await work(peer, gateway, "a")
        settled: list[int] = []

        async def settle(number: int) -> None:
            await client.settle()
            settled.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(settle, number)
            await anyio.wait_all_tasks_blocked()
            assert settled == []
            gateway.may_end["a"].set()
        assert sorted(settled) == [0, 1, 2]


async def test_a_message_that_is_cancelled_just_as_its_place_comes_free_is_not_handled() -> None:
    gateway = Aside()
    limits = Limits(inbox_messages=1)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/aside") as peer:
            await work(peer, gateway, "a")
            await peer.send("work", "b", id="b")
            await anyio.wait_all_tasks_blocked()
            gateway.at_end = lambda: peer.cancel("b")
            gateway.may_end["a"].set()
            answers = [(await peer.receive_frame()) for _ in range(2)]
            assert {frame["id"]: frame["event"] for frame in answers} == {"a": "ack", "b": "error"}
            await client.settle()
            assert gateway.started == gateway.ended
            # The place is free.
            gateway.at_end = lambda: None
            await work(peer, gateway, "c")
            gateway.may_end["c"].set()
            assert (await peer.receive_frame())["id"] == "c"


@pytest.mark.parametrize(("event", "started"), [("work", ["a", "b"]), ("work_for_peer", ["a"])])
async def test_what_waits_for_its_place_when_its_peer_leaves(
    event: str, started: list[str]
) -> None:
    gateway = Aside()
    limits = Limits(inbox_messages=1, linger=5.0)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/aside") as peer:
            await work(peer, gateway, "a")
            await peer.send(event, "b")
            await anyio.wait_all_tasks_blocked()
            done = peer.drop()
            await anyio.wait_all_tasks_blocked()
            gateway.may_end["a"].set()
            if "b" in started:
                await gateway.until(lambda: "b" in gateway.started)
                gateway.may_end["b"].set()
            await done
    assert gateway.started == gateway.ended == started


@pytest.mark.parametrize(("event", "started"), [("work", ["a", "b"]), ("work_for_peer", ["a"])])
async def test_what_waits_for_its_turn_when_its_peer_leaves(event: str, started: list[str]) -> None:
    gateway = Aside()
    async with GatewayTestClient(gateway) as client, client.connect("/aside") as peer:
        await peer.send("in_turn", "a")
        await gateway.until(lambda: gateway.started == ["a"])
        await peer.send(event, "b")
        done = peer.drop()
        await anyio.wait_all_tasks_blocked()
        gateway.may_end["a"].set()
        if "b" in started:
            await gateway.until(lambda: "b" in gateway.started)
            gateway.may_end["b"].set()
        await done
    assert gateway.started == gateway.ended == started


async def test_without_a_limit_what_runs_when_its_peer_leaves_is_waited_for() -> None:
    gateway = Aside()
    limits = Limits(linger=None)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/aside") as peer:
            await work(peer, gateway, "b")
            await peer.send("in_turn", "a")
            await gateway.until(lambda: "a" in gateway.started)
            done = peer.drop()
            await anyio.wait_all_tasks_blocked()
            for name in ("a", "b"):
                assert name not in gateway.ended
                gateway.may_end[name].set()
            await done
    assert sorted(gateway.ended) == ["a", "b"]


async def test_a_second_cancel_changes_nothing() -> None:
    gateway = Aside()
    async with GatewayTestClient(gateway) as client, client.connect("/aside") as peer:
        await peer.send("cleans_up", "a", id="c")
        await anyio.wait_all_tasks_blocked()
        for _ in range(2):
            peer.cancel("c")
            await anyio.wait_all_tasks_blocked()
            assert (gateway.started, gateway.ended) == (["a"], [])
        gateway.may_end["a"].set()
        assert await error(peer) == ("c", "cancelled")
        await client.settle()
        assert peer.pending == []


async def test_concurrent_handlers_that_do_not_end_are_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "SHUTDOWN_SECONDS", SOON)
    gateway = Aside()
    async with GatewayTestClient(gateway, limits=Limits(linger=SOON)) as client:
        async with client.connect("/aside") as peer:
            await peer.send("shielded", "a")
            await gateway.until(lambda: gateway.started == ["a"])
            await peer.drop()
            (line,) = told(caplog)
            assert line.startswith("Abandoned 1 handlers of peer ")
            gateway.may_end["a"].set()
            await gateway.until(lambda: gateway.ended == ["a"])


async def test_what_is_started_after_its_peer_left_may_only_linger() -> None:
    gateway = Aside()
    limits = Limits(inbox_messages=1, linger=0.1)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/aside") as peer:
            await work(peer, gateway, "a")
            await peer.send("work", "b")
            await anyio.wait_all_tasks_blocked()
            done = peer.drop()
            await anyio.wait_all_tasks_blocked()
            gateway.may_end["a"].set()
            await gateway.until(lambda: "b" in gateway.started)
            await done
    assert gateway.ended == ["a", "b"]


@namespace("/hooks")
class Hooks:
    """Hooks that wait for ever, and may swallow their cancellation."""

    def __init__(self, *, connect: bool = False, swallow: bool = False) -> None:
        self.connect = connect
        self.swallow = swallow
        self.entered = anyio.Event()

    @on_connect
    async def came(self, peer: Peer) -> None:
        if self.connect:
            await self._wait()

    @on_disconnect
    async def left(self, peer: Peer) -> None:
        if not self.connect:
            await self._wait()

    async def _wait(self) -> None:
        self.entered.set()
        try:
            await anyio.sleep_forever()
        except BaseException:
            if not self.swallow:
                raise


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as an error, without the peer's id."""
    return [
        record.getMessage().rpartition(" ")[0]
        for record in caplog.records
        if record.levelno >= logging.ERROR
    ]


@pytest.mark.parametrize("swallow", [False, True])
async def test_a_connect_hook_past_its_time_closes_whatever_it_does_about_that(
    swallow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Hooks(connect=True, swallow=swallow)
    limits = Limits(handler_timeout=SOON)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/hooks") as peer:
            assert (await peer.closed()).code == 1011
    assert told(caplog) == ["The connect hook took too long for peer"]


@pytest.mark.parametrize("swallow", [False, True])
async def test_a_connect_hook_lingers_only_so_long_once_its_peer_has_left(
    swallow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Hooks(connect=True, swallow=swallow)
    async with GatewayTestClient(gateway, limits=Limits(linger=SOON)) as client:
        async with client.connect("/hooks") as peer:
            await gateway.entered.wait()
            await peer.drop()
    assert told(caplog) == []


@pytest.mark.parametrize("swallow", [False, True])
async def test_a_disconnect_hook_lingers_only_so_long_whatever_it_does_about_that(
    swallow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Hooks(swallow=swallow)
    async with GatewayTestClient(gateway, limits=Limits(linger=SOON)) as client:
        async with client.connect("/hooks") as peer:
            await peer.close()
    assert told(caplog) == ["Hooks.left took too long for peer"]
