"""Awaiting by hand: an awaitable is started in one place, and ended in another if it suspends."""

from __future__ import annotations

import types
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["resume"]


@types.coroutine
def resume(
    steps: Any, yielded: Any, on_throw: Callable[[BaseException], None] | None = None
) -> Generator[Any, Any, Any]:
    """Goes on with an awaitable that was started by hand and has yielded once.

    It passes everything on to the event loop and back, as `await` does from the start.

    Args:
        steps: The awaitable.
        yielded: What it has yielded.
        on_throw: Called before an exception is passed on into the awaitable; what it raises ends
            this, and leaves the awaitable as it is.
    """
    try:
        while True:
            try:
                sent = yield yielded
            except BaseException as error:
                if on_throw is not None:
                    on_throw(error)
                # granian's awaitables can only be gone on with, which is over now.
                if not hasattr(steps, "throw"):
                    raise
                yielded = steps.throw(error)
            else:
                # trio sends an exception, in an `outcome.Error`, and raises it further in.
                if sent is not None and on_throw is not None and hasattr(sent, "error"):
                    on_throw(sent.error)
                # A coroutine takes no `next`, granian's awaitables take nothing else.
                yielded = steps.send(sent) if hasattr(steps, "send") else next(steps)
    except StopIteration as done:
        return done.value
