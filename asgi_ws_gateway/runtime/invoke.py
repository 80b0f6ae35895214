"""How user code is run: at once, in the task at hand, and as a matter for others only if it waits.

Most handlers never suspend. Their first step is their last, and nothing at all was scheduled.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from enum import Enum, auto
from math import inf
from typing import Any, TypeVar, cast

import anyio

from .background import cancellations, cancelled_by_itself, raise_if_cancelled

__all__ = ["Interrupted", "Reason", "Stage", "resume"]

T = TypeVar("T")


_PASSING = (Exception, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What user code may raise and we do not take for something else."""


class Reason(Enum):
    """Why user code was interrupted."""

    TIMEOUT = auto()
    CANCELLED = auto()
    """By the client's `cancel`."""
    GONE = auto()
    """Its peer left, or was closed."""


class Interrupted(Exception):
    """User code was interrupted, and whatever it did about that does not count."""


@types.coroutine
def resume(steps: Any, yielded: Any) -> Generator[Any, Any, Any]:
    """Goes on with an awaitable that was started by hand and has yielded once.

    It passes everything on to the event loop and back, as `await` does from the start.
    """
    try:
        while True:
            try:
                sent = yield yielded
            except BaseException as error:
                # granian's awaitables can only be gone on with, which is over now.
                if not hasattr(steps, "throw"):
                    raise
                yielded = steps.throw(error)
            else:
                # A coroutine takes no `next`, granian's awaitables take nothing else.
                yielded = steps.send(sent) if hasattr(steps, "send") else next(steps)
    except StopIteration as done:
        return done.value


class Stage:
    """A task that runs user code, one call after the other, under one cancel scope.

    The scope is entered before the first call. Its deadline is set only when a call suspends, and
    cleared when that call ends; so a call that does not suspend costs no timer. Once it has fired
    it is spent: leave it with `Interrupted`, and enter the next.

    Args:
        on_suspend: Called each time a call suspends for the first time.
    """

    __slots__ = ("_on_suspend", "_until", "busy", "interrupted_by", "scope")

    def __init__(self, on_suspend: Callable[[], None]) -> None:
        self._on_suspend = on_suspend
        self._until = inf
        self.interrupted_by: Reason | None = None
        """What `interrupt` was called with."""
        self.busy = False
        """Whether a call is suspended."""
        self.scope = anyio.CancelScope()

    async def run(self, call: Coroutine[Any, Any, T], timeout: float | None) -> T:
        """Awaits user code.

        Args:
            call: It is always started.
            timeout: Seconds, from its first suspension; `None` for no limit.

        Raises:
            Interrupted: It was interrupted, and returned or raised something all the same.
        """
        try:
            yielded = call.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except BaseException as error:
            own = self._own(error)
            if own is error:
                raise
            raise own from error
        self.busy = True
        if timeout is not None or self._until != inf:
            seconds = inf if timeout is None else timeout
            self.scope.deadline = min(anyio.current_time() + seconds, self._until)
        self._on_suspend()
        before = cancellations()
        try:
            result: T = await resume(call, yielded)
            raise_if_cancelled(before)
        except BaseException as error:
            if isinstance(error, Exception):
                raise_if_cancelled(before)
            own = self._own(error)
            if own is error:
                raise
            raise own from error
        finally:
            self.busy = False
            self.scope.deadline = inf
        if self.scope.cancel_called:
            raise Interrupted
        return result

    def _own(self, error: BaseException) -> BaseException:
        """What an exception of user code is to us."""
        if isinstance(error, anyio.get_cancelled_exc_class()):
            if not self.scope.cancel_called and cancelled_by_itself():
                return RuntimeError("a task or future it waited for was cancelled")
            return error
        if isinstance(error, BaseExceptionGroup):
            # trio: what children raised while they were cancelled comes beside their cancellation.
            group = cast("BaseExceptionGroup[BaseException]", error)
            error = group.split(anyio.get_cancelled_exc_class())[1] or group
        elif not isinstance(error, _PASSING):
            # What libraries derive from BaseException, asyncio's cancellation under trio included.
            error = RuntimeError(f"it raised {type(error).__name__}, which is no Exception")
        if self.scope.cancel_called and isinstance(error, Exception):
            return Interrupted()
        return error

    def interrupt(self, reason: Reason) -> None:
        """Cancels what runs here."""
        if not self.scope.cancel_called:
            self.interrupted_by = reason
            self.scope.cancel()

    def end_within(self, seconds: float | None) -> None:
        """Interrupts what runs here, and what is run later, `seconds` from now at the latest."""
        if seconds is None:
            return
        self._until = anyio.current_time() + seconds
        if self.busy:
            self.scope.deadline = min(self.scope.deadline, self._until)

    @property
    def expired(self) -> bool:
        """Whether the time of `end_within` is over."""
        return anyio.current_time() >= self._until

    @property
    def reason(self) -> Reason:
        """Why the spent scope was cancelled."""
        if self.interrupted_by is not None:
            return self.interrupted_by
        return Reason.GONE if self.expired else Reason.TIMEOUT

    def renew(self) -> None:
        """Takes a fresh scope, for what is run next."""
        self.scope = anyio.CancelScope()
        self.interrupted_by = None
