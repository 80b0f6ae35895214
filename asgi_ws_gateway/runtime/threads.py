"""The service's own bounded threads for plain `def` handlers and hooks."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any, TypeAlias

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import EventLoopToken, current_token

from .event_loop import call_soon, on_trio
from .workers import Workers

__all__ = ["Runner", "Threads"]

Runner: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function of no arguments off the event loop, and returns its result."""


class Threads:
    """Runs calls in threads, `limit` at a time; further ones wait their turn.

    Args:
        limit: How many; `None` for no limit.
        runner: In place of threads of our own.
    """

    def __init__(self, limit: int | None, runner: Runner | None = None) -> None:
        self._limiter = CapacityLimiter(inf if limit is None else limit)
        self._workers = Workers()
        if runner is None:
            runner = self._workers.run if not on_trio() else _run_in_trio_thread
        self._runner = runner
        self._token: EventLoopToken = current_token()

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """Runs `call(*args)` in a thread.

        Cancelled, it no longer waits; the thread goes on, and counts until it has ended.
        """
        place = _Place(self._limiter, self._token)
        await self._limiter.acquire_on_behalf_of(place)
        work = partial(place.occupy, call, args)
        try:
            return await self._runner(work)
        finally:
            place.leave()

    def stop(self) -> None:
        """Ends the threads that have nothing to do."""
        self._workers.stop()


async def _run_in_trio_thread(work: Callable[[], Any]) -> Any:
    # Ours counts. anyio's limiter would free the place of a thread it no longer waits for.
    return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=CapacityLimiter(inf))


class _Place:
    """One place in the limiter, freed by whoever is done last: the waiting task or the thread."""

    def __init__(self, limiter: CapacityLimiter, token: EventLoopToken) -> None:
        self._limiter = limiter
        self._token = token
        self._lock = threading.Lock()
        self._running = False
        self._abandoned = False

    def occupy(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Runs in the thread."""
        if not self._begin():
            return None
        try:
            result = call(*args)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("a plain def returned a coroutine: make it an async def")
            return result
        except BaseException as error:
            if isinstance(error, Exception):
                raise
            # SystemExit ends a thread. Passed on to the event loop it would end the server, and
            # a cancellation would be taken for the server's.
            raise RuntimeError(f"it raised {type(error).__name__}") from error
        finally:
            self._end()

    def leave(self) -> None:
        """Runs in the event loop, whatever became of the call."""
        with self._lock:
            self._abandoned = True
            running = self._running
        if not running:
            self._free()

    def _begin(self) -> bool:
        with self._lock:
            self._running = not self._abandoned
            return self._running

    def _end(self) -> None:
        with self._lock:
            self._running = False
            abandoned = self._abandoned
        if abandoned:
            call_soon(self._token, self._free)

    def _free(self) -> None:
        self._limiter.release_on_behalf_of(self)
