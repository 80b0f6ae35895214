"""Time limits, cancels, and what a handler does about them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import (
    AskRejected,
    AskTimeout,
    BlockingPeer,
    LimitReached,
    Limits,
    Peer,
    PeerClosed,
    emit,
    message,
    namespace,
    on_connect,
    on_disconnect,
)
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed

SOON = 0.01
"""A time limit that is meant to pass."""


@namespace("/slow")
class Slow:
    def __init__(self) -> None:
        self.entered = anyio.Event()
        self.open = anyio.Event()
        self.cancelled = anyio.Event()
        self.thread = threading.Event()

    async def _wait(self) -> None:
        self.entered.set()
        try:
            await self.open.wait()
        except BaseException:
            self.cancelled.set()
            raise

    @message("limited", timeout=SOON)
    @emit("never")
    async def limited(self) -> None:
        await self._wait()

    @message("swallows", timeout=SOON)
    @emit("never")
    async def swallows(self) -> str:
        try:
            await self._wait()
        except BaseException:
            pass
        return "as if nothing had happened"

    @message("translates", timeout=SOON)
    async def translates(self) -> None:
        try:
            await self._wait()
        except BaseException:
            raise RuntimeError("not what it seems") from None

    @message("patient", timeout=None)
    @emit("done")
    async def patient(self) -> str:
        await self._wait()
        return "patient"

    @message("concurrent", concurrent=True, timeout=SOON)
    async def concurrent(self) -> None:
        await self._wait()

    @message("concurrent_patient", concurrent=True)
    async def concurrent_patient(self) -> None:
        await self._wait()

    @message("step", timeout=SOON)
    @emit("value")
    async def step(self) -> AsyncIterator[int]:
        yield 1
        await self._wait()
        yield 2

    @message("blocks", timeout=0.25)  # enough for its thread to begin on a busy machine
    def blocks(self) -> str:
        self.thread.wait(10)
        return "too late"

    @message("ping")
    async def ping(self) -> str:
        return "pong"


@pytest.mark.parametrize("event", ["limited", "swallows", "translates", "concurrent"])
async def test_a_handler_past_its_time_is_cancelled_and_told(event: str) -> None:
    gateway = Slow()
    async with GatewayTestClient(gateway) as client, client.connect("/slow") as peer:
        for _ in range(3):
            with pytest.raises(RequestFailed) as failed:
                await peer.request(event)
            assert failed.value.code == "handler_timeout"
            assert gateway.cancelled.is_set()
            assert await peer.request("ping") == "pong"
        assert peer.pending == []


async def test_the_service_has_a_time_limit_for_handlers_without_their_own() -> None:
    gateway = Slow()
    limits = Limits(handler_timeout=SOON)
    async with GatewayTestClient(gateway, limits=limits) as client, client.connect("/slow") as peer:
        with pytest.raises(RequestFailed, match="handler_timeout"):
            await peer.request("concurrent_patient")
        await peer.send("patient", id="p")
        gateway.open.set()
        assert (await peer.receive_frame())["data"] == "patient"


async def test_each_step_of_a_stream_has_the_time_limit() -> None:
    gateway = Slow()
    async with GatewayTestClient(gateway) as client, client.connect("/slow") as peer:
        await peer.send("step", id="s")
        assert (await peer.receive_frame())["data"] == 1
        assert (await peer.receive_frame())["data"]["code"] == "handler_timeout"
        assert await peer.request("ping") == "pong"


async def test_a_blocked_thread_is_abandoned_and_still_counts() -> None:
    gateway = Slow()
    limits = Limits(threads=1)

    @namespace("/other")
    class Other:
        @message("thread", timeout=SOON)
        def thread(self) -> str:
            return "ran"

    async with GatewayTestClient(gateway, Other(), limits=limits) as client:
        async with client.connect("/slow") as peer, client.connect("/other") as other:
            with pytest.raises(RequestFailed, match="handler_timeout"):
                await peer.request("blocks")
            assert await peer.request("ping") == "pong"
            with pytest.raises(RequestFailed, match="handler_timeout"):
                await other.request("thread")
            gateway.thread.set()
            while True:
                try:
                    assert await other.request("thread") == "ran"
                    break
                except RequestFailed:
                    continue


async def test_a_running_message_can_be_cancelled() -> None:
    gateway = Slow()
    async with GatewayTestClient(gateway) as client, client.connect("/slow") as peer:
        await peer.send("patient", id="p")
        await gateway.entered.wait()
        peer.cancel("p")
        frame = await peer.receive_frame()
        assert (frame["event"], frame["id"], frame["data"]["code"]) == ("error", "p", "cancelled")
        assert gateway.cancelled.is_set()
        assert await peer.request("ping") == "pong"


async def test_a_waiting_message_can_be_cancelled_and_others_go_on() -> None:
    gateway = Slow()
    async with GatewayTestClient(gateway) as client, client.connect("/slow") as peer:
        await peer.send("patient", id="p")
        await peer.send("ping", id="q")
        await peer.send("ping", id="r")
        await gateway.entered.wait()
        peer.cancel("q")
        peer.cancel("unknown")
        frame = await peer.receive_frame()
        assert (frame["id"], frame["data"]["code"]) == ("q", "cancelled")
        gateway.open.set()
        assert (await peer.receive_frame())["id"] == "p"
        assert (await peer.receive_frame()) == {"event": "ack", "data": "pong", "id": "r"}


async def test_a_concurrent_message_can_be_cancelled() -> None:
    gateway = Slow()
    async with GatewayTestClient(gateway) as client, client.connect("/slow") as peer:
        await peer.send("concurrent_patient", id=1)
        await gateway.entered.wait()
        peer.cancel(1)
        assert (await peer.receive_frame())["data"]["code"] == "cancelled"


async def test_a_message_that_has_ended_cannot_be_cancelled_any_more() -> None:
    async with GatewayTestClient(Slow()) as client, client.connect("/slow") as peer:
        assert await peer.request("ping", id="p") == "pong"
        peer.cancel("p")
        assert await peer.request("ping") == "pong"
        assert peer.pending == []


@namespace("/asks")
class Asks:
    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    @message("ask")
    @emit("answered")
    async def ask(self, data: Any, peer: Peer) -> Any:
        return await peer.ask("confirm", data)

    @message("impatient")
    async def impatient(self, data: Any, peer: Peer) -> Any:
        try:
            await peer.ask("confirm", timeout=SOON)
        except AskTimeout:
            return "no answer"

    @message("rejected")
    async def rejected(self, data: Any, peer: Peer) -> Any:
        try:
            await peer.ask("confirm")
        except AskRejected as error:
            return [error.code, error.message]

    @message("lost", concurrent=True)
    async def lost(self, data: Any, peer: Peer) -> None:
        try:
            await peer.ask("confirm")
        except PeerClosed as error:
            self.outcomes.append(type(error).__name__)
            raise

    @message("many")
    async def many(self, data: Any, peer: Peer) -> Any:
        async def ask(number: int) -> None:
            answers.append(await peer.ask("confirm", number))

        answers: list[Any] = []
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(ask, number)
        return sorted(answers)

    @message("too_many")
    async def too_many(self, data: Any, peer: Peer) -> Any:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(peer.ask, "confirm")
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            try:
                await peer.ask("confirm")
            except LimitReached:
                group.cancel_scope.cancel()
                return "limit"


async def test_a_question_is_answered_while_its_handler_waits() -> None:
    async with GatewayTestClient(Asks()) as client, client.connect("/asks") as peer:
        await peer.send("ask", {"sure": True}, id="c1")
        question = await peer.receive_frame()
        assert question["event"] == "confirm"
        assert question["data"] == {"sure": True}
        assert question["id"].startswith("s:")
        peer.answer(question, "yes")
        assert await peer.receive_frame() == {"event": "answered", "data": "yes", "id": "c1"}


async def test_a_question_without_an_answer_times_out_and_late_answers_are_ignored() -> None:
    async with GatewayTestClient(Asks()) as client, client.connect("/asks") as peer:
        assert await peer.request("impatient") == "no answer"
        question = await peer.receive_frame()
        peer.answer(question, "late")
        await client.settle()
        assert client.service is not None
        assert client.service.stats().stale_answers == 1
        assert peer.pending == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"code": "no", "message": "not now"}', ["no", "not now"]),
        ('{"code": 5, "message": []}', ["rejected", ""]),
        ("null", ["rejected", ""]),
        ("[1]", ["rejected", ""]),
    ],
)
async def test_a_question_may_be_answered_with_an_error(text: str, expected: list[str]) -> None:
    async with GatewayTestClient(Asks()) as client, client.connect("/asks") as peer:
        await peer.send("rejected", id="c")
        question = await peer.receive_frame()
        await peer.send_text(f'{{"event":"error","data":{text},"id":"{question["id"]}"}}')
        assert await peer.receive_frame() == {"event": "ack", "data": expected, "id": "c"}


async def test_a_question_ends_when_its_peer_leaves() -> None:
    gateway = Asks()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/asks") as peer:
            await peer.send("lost")
            await peer.receive("confirm")
        await client.settle()
    assert gateway.outcomes == ["PeerClosed"]


async def test_several_questions_may_be_open() -> None:
    async with GatewayTestClient(Asks()) as client, client.connect("/asks") as peer:
        await peer.send("many", id="m")
        questions = [await peer.receive_frame() for _ in range(3)]
        for question in reversed(questions):
            peer.answer(question, question["data"] * 10)
        assert await peer.receive_frame() == {"event": "ack", "data": [0, 10, 20], "id": "m"}


async def test_open_questions_are_limited() -> None:
    limits = Limits(max_pending_asks=3)
    async with GatewayTestClient(Asks(), limits=limits) as client, client.connect("/asks") as peer:
        await peer.send("too_many", id="m")
        frames = [await peer.receive_frame() for _ in range(4)]
        assert frames[-1] == {"event": "ack", "data": "limit", "id": "m"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio's cancellation cannot be made
@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_future_in_a_handler_is_a_failure_of_the_handler(
    anyio_backend: str, late: bool
) -> None:
    @namespace("/future")
    class Future:
        @message("go")
        async def go(self) -> None:
            if late:
                await anyio.lowlevel.checkpoint()
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        @message("ping")
        async def ping(self) -> str:
            return "pong"

    async with GatewayTestClient(Future()) as client, client.connect("/future") as peer:
        with pytest.raises(RequestFailed, match="handler_failed"):
            await peer.request("go")
        assert await peer.request("ping") == "pong"


async def test_a_connect_hook_past_its_time_closes_with_1011() -> None:
    @namespace("/connect")
    class Connect:
        def __init__(self) -> None:
            self.ended: list[Any] = []

        @on_connect
        async def connected(self, peer: Peer) -> None:
            await anyio.sleep_forever()

        @on_disconnect
        async def disconnected(self, peer: Peer, code: int, reason: str) -> None:
            self.ended.append((code, reason))

    gateway = Connect()
    limits = Limits(handler_timeout=SOON)
    async with (
        GatewayTestClient(gateway, limits=limits) as client,
        client.connect("/connect") as peer,
    ):
        assert await peer.closed() == (1011, "internal error")
        await client.settle()
    assert gateway.ended == [(1011, "internal error")]


async def test_a_thread_can_ask_too() -> None:
    @namespace("/thread")
    class Thread:
        @message("go")
        def go(self, data: Any, peer: BlockingPeer) -> Any:
            try:
                return peer.ask("confirm", timeout=SOON)
            except AskTimeout:
                return "no answer"

    async with GatewayTestClient(Thread()) as client, client.connect("/thread") as peer:
        assert await peer.request("go") == "no answer"
