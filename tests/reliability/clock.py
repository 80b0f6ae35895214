"""Time that need not pass: once everybody waits, the next time limit has come.

trio has a clock for this, asyncio gets a loop of its own. Nothing else changes: threads run, and
what takes long takes long.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from math import inf
from time import monotonic
from typing import Any

import trio
from anyio.lowlevel import current_token
from trio.testing import MockClock

__all__ = ["LOOPS", "hurry", "on_trio", "tasks"]


class _HurriedSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.patience = inf
        self.rate = 1.0
        self.ahead = 0.0
        self._last = monotonic()

    def select(self, timeout: float | None = None) -> Any:
        now = monotonic()
        self.ahead += (now - self._last) * (self.rate - 1)
        self._last = now
        if timeout is None or timeout <= self.patience:
            return super().select(timeout)
        ready = super().select(self.patience)
        if not ready:
            self.ahead += timeout - self.patience
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with what trio's `MockClock` does: when all wait, their time has come."""

    def __init__(self) -> None:
        self.clock = _HurriedSelector()
        super().__init__(self.clock)

    def time(self) -> float:
        return super().time() + self.clock.ahead


LOOPS = {
    "asyncio": ("asyncio", {"loop_factory": HurriedLoop}),
    "trio": ("trio", {"clock": MockClock(rate=1)}),
}
"""What `anyio_backend` may be."""


def hurry(patience: float = 0.005, *, rate: float = 1.0) -> None:
    """Once nothing has happened for so long, the time comes for which somebody waits.

    Args:
        patience: Real seconds; threads need some. `inf`: time passes as it does.
        rate: How many seconds pass in a real one.
    """
    if on_trio():
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.autojump_threshold = patience
        clock.rate = rate
    else:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HurriedLoop)
        loop.clock.patience = patience
        loop.clock.rate = rate


def on_trio() -> bool:
    return current_token().backend_class.__module__.endswith("_trio")


def tasks() -> Counter[str]:
    """All tasks of the event loop, by what they run."""
    if on_trio():
        found = [trio.lowlevel.current_root_task()]
        for task in found:
            found += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        return Counter(_what_runs(task.coro) for task in found)
    return Counter(_what_runs(task.get_coro()) for task in asyncio.all_tasks())


def _what_runs(work: Any) -> str:
    # The package's own tasks are all guarded in one way.
    guarded = work.cr_frame.f_locals.get("call") if work.cr_frame is not None else None
    return str(getattr(guarded, "__qualname__", work.__qualname__))
