"""Tasks and timers that outlive whoever starts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from asgi_ws_gateway.runtime.background import Background


@asynccontextmanager
async def running() -> AsyncIterator[Background]:
    background = Background(lambda: None)
    await background.start()
    yield background
    await background.stop()


async def test_a_task_that_fails_is_logged_and_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    async def fail() -> None:
        raise ValueError("of this task alone")

    async def work(text: str) -> None:
        await anyio.lowlevel.checkpoint()
        done.append(text)

    async with running() as background:
        background.spawn(work, "before")
        background.spawn(fail)
        background.spawn(work, "after")
        await anyio.wait_all_tasks_blocked()
        assert sorted(done) == ["after", "before"]
        background.spawn(work, "later")
        await anyio.wait_all_tasks_blocked()
    assert done[-1] == "later"
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "A background task failed")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "of this task alone"


class Odd(BaseException):
    """What only some libraries raise."""


@pytest.mark.parametrize("error", [Odd("alone"), BaseExceptionGroup("", [ValueError(), Odd()])])
async def test_nor_does_one_that_raises_what_is_no_exception(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise error

    async with running() as background:
        background.spawn(fail)
        await anyio.wait_all_tasks_blocked()
        done = anyio.Event()
        background.call_later(0, done.set)
        await done.wait()
    assert caplog.messages == ["A background task failed"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_process_is_not_held_up(error: type[BaseException]) -> None:
    async def end() -> None:
        raise error

    # Not in a task of its own, where it would end the test run.
    async with running() as background:
        with pytest.raises(error):
            await background._guard(end, ())


async def test_a_timer_calls_once_its_time_has_come_unless_it_was_forgotten() -> None:
    called: list[str] = []
    rang = anyio.Event()
    async with running() as background:
        forget = background.call_later(0.01, lambda: called.append("forgotten"))
        background.call_later(0.02, lambda: called.append("kept"))
        background.call_later(0.03, rang.set)
        forget()
        await rang.wait()
    assert called == ["kept"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_timer_can_be_forgotten_until_the_moment_it_calls() -> None:
    called: list[str] = []
    async with running() as background:
        forget = background.call_later(0, lambda: called.append("forgotten"))
        # Comes due together with the timer, whose task has not begun by then.
        asyncio.get_running_loop().call_later(0, forget)
        background.call_later(0.01, lambda: called.append("kept"))
        while not called:
            await anyio.lowlevel.checkpoint()
    assert called == ["kept"]
