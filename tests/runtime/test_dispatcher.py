"""Streams that do not end when they should, and error hooks that do more than answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import (
    BlockingPeer,
    Limits,
    MessageRejected,
    Peer,
    emit,
    message,
    namespace,
    on_error,
)
from asgi_ws_gateway.testing import ClientConnection, GatewayTestClient, RequestFailed


@namespace("/streams")
class Streams:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.blocking = False
        self.go_on = threading.Event()

    @message("stubborn")
    @emit("value")
    async def stubborn(self) -> AsyncIterator[int]:
        try:
            for number in range(10**9):
                try:
                    yield number
                except anyio.get_cancelled_exc_class():
                    self.log.append("swallowed")
        finally:
            self.log.append("closed")

    @message("in_thread")
    @emit("value")
    def in_thread(self) -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            self.log.append("closed")

    @message("fails_to_close")
    @emit("value")
    async def fails_to_close(self) -> AsyncIterator[Any]:
        try:
            yield 1
            yield object()
        finally:
            raise ValueError("while it was closed")

    @message("blocks")
    @emit("value")
    def blocks(self) -> Iterator[int]:
        yield 1
        self.blocking = True
        self.go_on.wait(10)

    @message("ping")
    async def ping(self) -> str:
        return "pong"


async def inline(work: Callable[[], Any]) -> Any:
    """In place of threads, for which no test can wait."""
    return work()


async def answer(peer: ClientConnection, id: str = "s") -> Any:
    """The answer to a stream: its values are passed over."""
    while True:
        frame = await peer.receive_frame()
        if frame.get("id") == id and "more" not in frame:
            return frame["data"]


@pytest.mark.parametrize(
    ("event", "log"), [("stubborn", ["swallowed", "closed"]), ("in_thread", ["closed"])]
)
async def test_a_stream_that_waits_for_room_ends_when_its_peer_is_closed(
    event: str, log: list[str]
) -> None:
    gateway = Streams()
    limits = Limits(outbox_messages=4)
    async with GatewayTestClient(gateway, limits=limits, run_sync=inline) as client:
        async with client.connect("/streams") as peer:
            assert client.service is not None
            peer.pause()
            await peer.send(event, id="s")
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as group:
                group.start_soon(client.service.disconnect, client.service.peers("/streams")[0])
                await anyio.wait_all_tasks_blocked()
                assert gateway.log == log
                peer.resume()
            assert await peer.closed() == (1000, "")
            assert [frame["data"] for frame in peer.pending] == [0, 1, 2, 3, 4]


async def test_an_endless_stream_that_swallows_its_cancellation_is_cancelled() -> None:
    gateway = Streams()
    async with GatewayTestClient(gateway) as client, client.connect("/streams") as peer:
        await peer.send("stubborn", id="s")
        assert await peer.receive("value") == 0
        peer.cancel("s")
        assert (await answer(peer))["code"] == "cancelled"
        assert gateway.log[-1] == "closed"
        assert await peer.request("ping") == "pong"


@pytest.mark.parametrize(
    ("event", "code"), [("fails_to_close", "handler_failed"), ("blocks", "cancelled")]
)
async def test_a_stream_that_cannot_be_closed_harms_nothing(
    event: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asgi_ws_gateway")
    gateway = Streams()
    async with GatewayTestClient(gateway) as client, client.connect("/streams") as peer:
        await peer.send(event, id="s")
        assert await peer.receive("value") == 1
        if event == "blocks":
            while not gateway.blocking:
                await anyio.sleep(0.001)
            peer.cancel("s")
        assert (await answer(peer))["code"] == code
        assert await peer.request("ping") == "pong"
        gateway.go_on.set()
    assert f"Streams.{event} could not be closed" in caplog.messages


class Unreadable(MessageRejected):
    """Leaves out what it should call."""

    def __init__(self) -> None:
        pass


@namespace("/hook")
class Hooked:
    """Its error hook does what the message says."""

    def __init__(self) -> None:
        self.waiting = anyio.Event()

    @message("fail")
    async def fail(self, data: Any, peer: Peer) -> None:
        peer.state["then"] = data
        raise ValueError("secret")

    @message("fail_in_thread")
    def fail_in_thread(self, data: Any, peer: BlockingPeer) -> None:
        peer.state["then"] = data
        raise ValueError("secret")

    @on_error
    async def failed(self, error: Exception, peer: Peer, event: str) -> MessageRejected | None:
        then = peer.state["then"]
        if then == "answer":
            return MessageRejected("answered", "as the hook returned it")
        if then == "reject":
            raise MessageRejected("refused", "as the hook raised it")
        if then == "unreadable":
            return Unreadable()
        if then == "fail":
            raise KeyError("secret")
        if then == "wait":
            self.waiting.set()
            await anyio.sleep_forever()
        if then == "swallow":
            self.waiting.set()
            try:
                await anyio.sleep_forever()
            except BaseException:
                pass
        return None


@pytest.mark.parametrize("event", ["fail", "fail_in_thread"])
@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("nothing", "handler_failed"),
        ("fail", "handler_failed"),
        ("unreadable", "handler_failed"),
        ("answer", "answered"),
        ("reject", "refused"),
        ("wait", "handler_timeout"),
        ("swallow", "handler_timeout"),
    ],
)
async def test_an_error_hook_answers_rejects_fails_or_takes_too_long(
    event: str, then: str, code: str
) -> None:
    limits = Limits(handler_timeout=0.05 if code == "handler_timeout" else None)
    async with GatewayTestClient(Hooked(), limits=limits) as client:
        async with client.connect("/hook") as peer:
            for _ in range(2):
                with pytest.raises(RequestFailed) as failure:
                    await peer.request(event, then)
                assert failure.value.code == code
                assert "secret" not in str(failure.value)
            assert peer.pending == []


@pytest.mark.parametrize("then", ["wait", "swallow"])
async def test_a_message_can_be_cancelled_while_its_error_hook_runs(then: str) -> None:
    gateway = Hooked()
    async with GatewayTestClient(gateway) as client, client.connect("/hook") as peer:
        await peer.send("fail", then, id="f")
        await gateway.waiting.wait()
        peer.cancel("f")
        assert (await answer(peer, "f"))["code"] == "cancelled"
