"""The writer alone, with a transport and a clock that do what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_ws_gateway import Limits
from asgi_ws_gateway.protocol.outbox import Verdict
from asgi_ws_gateway.runtime.background import Background
from asgi_ws_gateway.runtime.writer import Writer


class Timers(Background):
    """Runs no timer by itself.

    Attributes:
        timers: How long each one runs, and what it calls at its end.
    """

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        timer = (seconds, call)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer) if timer in self.timers else None

    def fire(self) -> None:
        _, call = self.timers.pop(0)
        call()


class Transport:
    """A server that takes one message each time it is let."""

    direct = True

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self.cancelled: Exception | None = None
        self._may: list[anyio.Event] = []

    async def send(self, payload: str | bytes) -> None:
        self._may.append(anyio.Event())
        try:
            await self._may[-1].wait()
        except BaseException:
            if self.cancelled is not None:
                raise self.cancelled from None
            raise
        self.sent.append(payload)

    async def take(self) -> None:
        await anyio.wait_all_tasks_blocked()
        self._may[-1].set()
        await anyio.wait_all_tasks_blocked()


class Peer:
    """A writer, and what it tells."""

    def __init__(self, background: Background, **limits: Any) -> None:
        self.transport: Any = Transport()
        self.log: list[Any] = []
        self.writer = Writer(
            self.transport,
            Limits(**limits),
            background,
            self,
        )

    def lost(self) -> None:
        self.log.append("lost")

    def overflowed(self) -> None:
        self.log.append("stuck")

    def dropped(self, reason: str, count: int) -> None:
        self.log.append((reason, count))

    def push(self, *payloads: str) -> None:
        for payload in payloads:
            assert self.writer.push(payload) is Verdict.QUEUED


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the one item of a list."""
    time = [1000.0]
    monkeypatch.setattr(anyio, "current_time", lambda: time[0])
    return time


@asynccontextmanager
async def timers() -> AsyncIterator[Timers]:
    background = Timers()
    await background.start()
    yield background
    await background.stop()


async def test_sends_that_go_on_slowly_are_not_taken_for_one_that_hangs(clock: list[float]) -> None:
    async with timers() as background:
        peer = Peer(background, send_timeout=10.0)
        peer.push("a", "b")
        await anyio.wait_all_tasks_blocked()
        assert [seconds for seconds, _ in background.timers] == [10.0]
        clock[0] += 8
        await peer.transport.take()
        clock[0] += 2
        background.fire()
        assert peer.log == []
        # Of the second send's time, eight seconds are left.
        assert [seconds for seconds, _ in background.timers] == [8.0]
        clock[0] += 8
        background.fire()
        assert peer.log == ["stuck"]


async def test_once_everything_is_sent_the_timer_finds_nothing_and_is_the_last(
    clock: list[float],
) -> None:
    async with timers() as background:
        peer = Peer(background, send_timeout=10.0)
        peer.push("a", "b")
        await peer.transport.take()
        background.fire()
        assert len(background.timers) == 1
        await peer.transport.take()
        assert peer.writer.idle
        assert peer.transport.sent == ["a", "b"]
        clock[0] += 10
        background.fire()
        assert (peer.log, background.timers) == ([], [])


class Step:
    """As granian's: it can be awaited, and is no coroutine."""

    def __init__(self, sent: list[str | bytes], payload: str | bytes, *, waits: bool) -> None:
        self._sent = sent
        self._payload = payload
        self._waits = waits

    def __await__(self) -> Generator[Any, Any, None]:
        if self._waits:
            yield from anyio.lowlevel.checkpoint().__await__()
        self._sent.append(self._payload)


@pytest.mark.parametrize("waits", [False, True])
async def test_what_a_server_gives_to_be_awaited_may_be_no_coroutine(waits: bool) -> None:
    async with timers() as background:
        peer = Peer(background)
        peer.transport.send = partial(Step, peer.transport.sent, waits=waits)
        peer.push("a", "b")
        await peer.writer.flushed()
        assert peer.transport.sent == ["a", "b"]
        assert peer.log == []


async def test_a_released_writer_tells_nobody(clock: list[float]) -> None:
    async with timers() as background:
        peer = Peer(background)
        peer.writer.release()
        assert peer.writer.push("late") is Verdict.DROPPED
        assert peer.log == []


async def test_a_writer_that_has_stopped_leaves_no_timer(clock: list[float]) -> None:
    async with timers() as background:
        peer = Peer(background, send_timeout=10.0)
        peer.push("a")
        await peer.transport.take()
        assert len(background.timers) == 1
        peer.writer.stop()
        assert background.timers == []


async def test_where_no_send_may_change_its_task_one_task_sends_them_all(
    clock: list[float],
) -> None:
    async with timers() as background:
        peer = Peer(background)
        peer.transport.direct = False
        writer = Writer(
            peer.transport,
            Limits(),
            background,
            peer,
        )
        spawned: list[Any] = []
        spawn = background.spawn
        background.spawn = lambda *work: (spawned.append(work), spawn(*work))  # type: ignore[method-assign, assignment]
        for payload in ("a", "b", "c"):
            assert writer.push(payload) is Verdict.QUEUED
            await peer.transport.take()
            assert writer.idle
        assert peer.transport.sent == ["a", "b", "c"]
        assert len(spawned) == 1
        writer.stop()
        await anyio.wait_all_tasks_blocked()
        assert peer.log == []


async def test_without_a_time_limit_a_send_may_take_for_ever() -> None:
    async with timers() as background:
        peer = Peer(background, send_timeout=None)
        peer.push("a", "b")
        await anyio.wait_all_tasks_blocked()
        assert background.timers == []
        await peer.transport.take()
        await peer.transport.take()
        assert (peer.transport.sent, peer.log) == (["a", "b"], [])


async def test_all_who_wait_for_it_to_be_flushed_are_told() -> None:
    async with timers() as background, anyio.create_task_group() as group:
        peer = Peer(background)
        peer.push("a", "b")
        told: list[int] = []

        async def wait(number: int) -> None:
            await peer.writer.flushed()
            told.append(number)

        for number in range(3):
            group.start_soon(wait, number)
        await peer.transport.take()
        assert told == []
        await peer.transport.take()
        assert sorted(told) == [0, 1, 2]


async def test_what_a_send_raises_once_it_was_given_up_is_no_loss() -> None:
    async with timers() as background:
        peer = Peer(background)
        peer.push("a", "b", "c")
        peer.transport.cancelled = OSError("the connection is closed")
        await anyio.wait_all_tasks_blocked()
        peer.writer.stop()
        await peer.writer.flushed()
        assert peer.log == [("closed", 2)]
        assert peer.writer.push("d") is Verdict.DROPPED
        assert peer.log[1:] == [("gone", 1)]


async def test_a_send_that_has_been_pushed_and_not_begun_does_not_hang(clock: list[float]) -> None:
    async with timers() as background:
        peer = Peer(background, send_timeout=10.0)
        peer.push("a")
        await peer.transport.take()
        clock[0] += 10
        # The timer of the first send comes due before the second has begun.
        peer.push("b")
        background.fire()
        assert peer.log == []
        await peer.transport.take()
        assert peer.transport.sent == ["a", "b"]


whose: ContextVar[str] = ContextVar("whose", default="nobody's")


async def test_the_task_that_sends_is_in_nobody_s_context() -> None:
    async with timers() as background:
        peer = Peer(background)
        peer.transport.direct = False
        seen: list[str] = []

        async def send(payload: str | bytes) -> None:
            seen.append(whose.get())

        peer.transport.send = send
        writer = Writer(peer.transport, Limits(), background, peer)
        for name in ("ada's", "bob's"):
            token = whose.set(name)
            writer.push("x")
            whose.reset(token)
            await writer.flushed()
        assert seen == ["nobody's", "nobody's"]
