"""How long user code that was cancelled is waited for.

Code may swallow its cancellation, or shield itself from it, by mistake for ever. Its connection
would never end then, nor would the process.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

import anyio

from .background import Background

__all__ = [
    "CLEANUP_SECONDS",
    "HURRIED_SECONDS",
    "SHUTDOWN_SECONDS",
    "UNSURE_SECONDS",
    "Patience",
]

CLEANUP_SECONDS: Final = 5.0
"""What cancelled user code has to clean up in."""

SHUTDOWN_SECONDS: Final = 1.0
"""For all that is left of a connection that the server cancels, and for a close that hangs."""

HURRIED_SECONDS: Final = 0.3
"""What cancelled user code has to clean up in when the service comes to its end."""

UNSURE_SECONDS: Final = 0.5
"""The same when the server has cancelled it, or `asyncio.timeout` has, which looks the same."""


class Patience:
    """Waits for one call to end; once the time is over, wakes its task.

    Args:
        background: Runs the timer.
        task: As `Background.own_task` named it.
        seconds: How long.
        last: Seconds more for a call that had shielded itself, and so learns of it only then.
        wanted: Whether the call is still to end; a time limit inside it may have been met.

    Attributes:
        broken: Whether the call had shielded itself, and was cancelled through its shield.
    """

    __slots__ = (
        "_background",
        "_ends",
        "_forget",
        "_last",
        "_over",
        "_seen",
        "_task",
        "_wanted",
        "broken",
    )

    def __init__(
        self,
        background: Background,
        task: Any,
        seconds: float,
        last: float,
        wanted: Callable[[], bool],
    ) -> None:
        self._wanted = wanted
        self._last = min(last, SHUTDOWN_SECONDS)
        self._background = background
        self._task = task
        self._seen = False
        self.broken = False
        self._start(seconds)

    def shorten(self, seconds: float, last: float) -> None:
        """It is over in `seconds`, if that is earlier."""
        self._last = min(self._last, last)
        if anyio.current_time() + seconds < self._ends:
            self._forget()
            self._start(seconds)

    def lost(self) -> bool:
        """Whether a cancellation that has arrived is one too many, and is not passed on."""
        if self._over and self._seen:
            return True
        if self._over:
            # The first that it sees. It may clean up.
            self.broken = True
            self.end()
            self._start(self._last)
        self._seen = True
        return False

    def end(self) -> None:
        """The call has ended, or is given up."""
        self._forget()
        if self._over:
            self._background.let_sleep(self._task)

    def _start(self, seconds: float) -> None:
        self._over = False
        self._ends = anyio.current_time() + seconds
        self._forget: Callable[[], None] = self._background.call_later(seconds, self._run_out)

    def _run_out(self) -> None:
        if not self._wanted():
            self._seen = False
            self._ends = inf
            return
        self._over = True
        self._background.wake(self._task)
