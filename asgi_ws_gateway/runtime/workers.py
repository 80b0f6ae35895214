"""Daemon threads for asyncio, used again while there is work.

anyio's threads are daemons under trio only. Under asyncio a handler that blocks for ever would keep
a process from ending whose shutdown is complete.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from .event_loop import call_soon

__all__ = ["Workers"]

IDLE_SECONDS: Final = 10.0
"""How long a thread waits for more work."""


class _Job(NamedTuple):
    work: Callable[[], None]
    tell: Callable[[], None]


class Workers:
    """Runs calls in threads: in one that is idle, or else in a new one."""

    def __init__(self) -> None:
        self._idle: deque[_Worker] = deque()
        self._token: EventLoopToken = current_token()

    async def run(self, call: Callable[[], Any]) -> Any:
        """Runs `call` in a thread, with a copy of the caller's context variables.

        Cancelled, it no longer waits; the thread goes on.
        """
        outcome: Future[Any] = Future()
        done = anyio.Event()
        work = partial(_settle, outcome, copy_context(), call)
        tell = partial(call_soon, self._token, done.set)
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self._idle, self._token)
            worker.start()
        worker.jobs.put(_Job(work, tell))
        await done.wait()
        try:
            return outcome.result()
        finally:
            del outcome, work  # an exception keeps this frame, which would keep the exception

    def stop(self) -> None:
        """Ends the threads that have nothing to do."""
        while self._idle:
            self._idle.pop().jobs.put(None)


class _Worker(threading.Thread):
    """Does one job after the other; between them it is in `idle`, last in, first out."""

    def __init__(self, idle: deque[_Worker], token: EventLoopToken) -> None:
        super().__init__(name="asgi_ws_gateway worker", daemon=True)
        self._idle = idle
        self._token = token
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()

    def run(self) -> None:
        """The thread's own work."""
        _let_anyio_call_back(self._token)
        while (job := self._next()) is not None:
            job.work()
            self._idle.append(self)
            job.tell()
            del job  # it holds the result, and would until the next one comes

    def _next(self) -> _Job | None:
        while True:
            try:
                return self.jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                try:
                    self._idle.remove(self)
                except ValueError:
                    continue  # somebody has just taken this one, and is about to give it work
                return None


def _settle(outcome: Future[Any], context: Context, call: Callable[[], Any]) -> None:
    try:
        outcome.set_result(context.run(call))
    except BaseException as error:
        outcome.set_exception(error)


def _let_anyio_call_back(token: EventLoopToken) -> None:
    """Lets user code here call `anyio.from_thread`, as in anyio's own threads.

    anyio (4.16) has no public way to say so. Without this, it asks such calls for a token.
    """
    thread: Any = getattr(from_thread, "threadlocals", None)
    if thread is not None:
        thread.current_token = token
        thread.current_cancel_scope = None
