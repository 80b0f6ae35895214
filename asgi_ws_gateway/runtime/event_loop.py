"""What asyncio and trio do differently, but for tasks (`background`) and `cancellation`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from anyio.lowlevel import EventLoopToken, current_token

__all__ = ["call_soon", "has_own_task", "in_own_task", "on_trio"]


def on_trio() -> bool:
    """Whether the running event loop is trio's."""
    return current_token().backend_class.__module__.endswith("_trio")


def call_soon(token: EventLoopToken, call: Callable[[], None]) -> None:
    """Calls it in an event loop, from a thread that does not wait for that.

    A loop that has ended calls nothing; one that was stopped would let a waiting thread wait for
    ever, and the process with it.
    """
    loop: Any = token.native_token
    with suppress(RuntimeError):
        if hasattr(loop, "call_soon_threadsafe"):
            loop.call_soon_threadsafe(call)
        else:
            loop.run_sync_soon(call)


def has_own_task() -> bool:
    """Whether the server runs us in a real task.

    granian's `--task-impl rust` (2.8) drives applications without one, where no time limit fires.
    """
    if "granian" not in sys.modules or on_trio():
        return True
    return type(asyncio.current_task()).__module__.partition(".")[0] != "granian"


async def in_own_task(call: Coroutine[Any, Any, None]) -> None:
    """Runs `call` in a real asyncio task."""
    await asyncio.get_running_loop().create_task(call)
