"""What can be measured while a client talks: CPU time, function calls, tasks and callbacks."""

from __future__ import annotations

import asyncio
import sys
from time import process_time
from types import FrameType
from typing import Any

__all__ = ["CPU", "Calls", "Turns"]


class CPU:
    """CPU time of the whole process, threads included, in seconds."""

    spent = 0.0

    def start(self) -> None:
        self._started = process_time()

    def stop(self) -> None:
        self.spent = process_time() - self._started


class Calls:
    """Calls of Python and of C functions, in this thread only."""

    calls = 0

    def start(self) -> None:
        sys.setprofile(self._count)

    def stop(self) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.calls += 1


class Turns:
    """Tasks made, and callbacks given to asyncio's loop."""

    tasks = 0
    callbacks = 0

    def start(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        for name in ("call_soon", "call_soon_threadsafe", "call_at"):
            setattr(loop, name, self._counting(getattr(loop, name)))
        loop.set_task_factory(self._make)

    def stop(self) -> None:
        for name in ("call_soon", "call_soon_threadsafe", "call_at"):
            delattr(self._loop, name)
        self._loop.set_task_factory(None)

    def _counting(self, call: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.callbacks += 1
            return call(*args, **kwargs)

        return counted

    def _make(self, loop: Any, coroutine: Any, **kwargs: Any) -> Any:
        self.tasks += 1
        return asyncio.Task(coroutine, loop=loop, **kwargs)
