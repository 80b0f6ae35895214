"""The threads of plain `def` handlers under asyncio."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import anyio
import pytest
from anyio import from_thread

from asgi_ws_gateway import Limits, message, namespace
from asgi_ws_gateway.runtime import workers
from asgi_ws_gateway.runtime.workers import Workers
from asgi_ws_gateway.testing import GatewayTestClient

ROOT = Path(__file__).parents[2]

BLOCKS_FOR_EVER = """
import anyio, threading
from asgi_ws_gateway import Limits, message, namespace, on_disconnect
from asgi_ws_gateway.testing import GatewayTestClient

@namespace("/blocks")
class Blocks:
    entered = threading.Event()

    @message("block")
    def block(self):
        self.entered.set()
        threading.Event().wait()

    @message("entered")
    def wait_until_entered(self):
        self.entered.wait(10)

    @on_disconnect
    def left(self):
        print("left", flush=True)
        threading.Event().wait()

async def main():
    async with GatewayTestClient(Blocks(), limits=Limits(linger=0.5)) as client:
        async with client.connect("/blocks") as one, client.connect("/blocks") as other:
            await one.send("block")
            await other.request("entered")
    print("stopped", flush=True)

anyio.run(main, backend="{backend}")
"""


@pytest.fixture
def anyio_backend() -> str:
    """trio's threads are trio's own."""
    return "asyncio"


@pytest.fixture
async def pool() -> Workers:
    return Workers()


async def test_threads_are_used_again(pool: Workers) -> None:
    first = await pool.run(threading.current_thread)
    assert await pool.run(threading.current_thread) is first
    assert first.daemon


async def test_calls_at_once_run_in_threads_of_their_own(pool: Workers) -> None:
    together = threading.Barrier(3)

    async def meet() -> None:
        await pool.run(lambda: together.wait(10))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(meet)
    assert not together.broken


async def test_what_a_call_raises_is_raised_where_it_is_awaited(pool: Workers) -> None:
    def fail() -> None:
        raise LookupError("as it was")

    with pytest.raises(LookupError, match="as it was"):
        await pool.run(fail)
    assert await pool.run(lambda: 1) == 1


async def test_a_call_sees_the_context_of_its_caller_and_changes_a_copy(pool: Workers) -> None:
    variable = ContextVar("variable", default="default")
    variable.set("caller's")

    def change() -> str:
        before = variable.get()
        variable.set("thread's")
        return before

    assert await pool.run(change) == "caller's"
    assert variable.get() == "caller's"


async def test_a_call_may_call_back_with_anyio(pool: Workers) -> None:
    called = anyio.Event()

    def call_back() -> int:
        from_thread.run_sync(called.set)
        from_thread.check_cancelled()
        return from_thread.run(answer)

    async def answer() -> int:
        return threading.get_ident()

    assert await pool.run(call_back) == threading.get_ident()
    assert called.is_set()


async def test_an_idle_thread_ends_with_the_pool(pool: Workers) -> None:
    thread = await pool.run(threading.current_thread)
    pool.stop()
    await anyio.to_thread.run_sync(thread.join, 10)
    assert not thread.is_alive()


async def test_an_idle_thread_ends_by_itself(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.01)
    thread = await pool.run(threading.current_thread)
    await anyio.to_thread.run_sync(thread.join, 10)
    assert not thread.is_alive()
    assert await pool.run(threading.current_thread) is not thread


async def test_a_thread_that_is_taken_just_as_it_would_end_still_does_its_work(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = threading.Event()

    class Late(SimpleQueue[Any]):
        """The work comes once the thread has waited in vain."""

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if not late.is_set():
                late.set()
                raise Empty
            return super().get(block, timeout)

    monkeypatch.setattr(workers, "SimpleQueue", Late)
    # A new thread is not among the idle ones: somebody has it.
    assert await pool.run(lambda: "done") == "done"
    assert late.is_set()


async def test_without_anyios_own_record_of_threads_calls_are_run(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(from_thread, "threadlocals")
    assert await pool.run(lambda: "done") == "done"


async def test_the_threads_of_a_service_end_with_it() -> None:
    @namespace("/threads")
    class Threaded:
        def __init__(self) -> None:
            self.thread: threading.Thread | None = None

        @message("which")
        def which(self) -> None:
            self.thread = threading.current_thread()

    gateway = Threaded()
    async with GatewayTestClient(gateway, limits=Limits(threads=1)) as client:
        async with client.connect("/threads") as peer:
            await peer.request("which")
    assert gateway.thread is not None
    await anyio.to_thread.run_sync(gateway.thread.join, 10)
    assert not gateway.thread.is_alive()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_threads_that_block_for_ever_do_not_keep_the_process(backend: str) -> None:
    program = BLOCKS_FOR_EVER.replace("{backend}", backend)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ended.stdout.splitlines() == ["left", "left", "stopped"], ended.stderr
