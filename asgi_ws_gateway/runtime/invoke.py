"""How user code is run: at once, in the task at hand, and as a matter for others only if it waits.

Most handlers never suspend. Their first step is their last, and nothing at all was scheduled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum, auto
from math import inf
from typing import Any, TypeVar, cast

import anyio

from .background import Background
from .cancellation import (
    FATAL,
    cancellations,
    cancelled_by_itself,
    holds,
    made_by_a_scope,
    no_exception,
    raise_if_cancelled,
)
from .log import Log
from .patience import CLEANUP_SECONDS, UNSURE_SECONDS, Patience
from .steps import resume

__all__ = ["Abandoned", "Interrupted", "Reason", "Stage", "Suspended"]

logger = Log(__name__)

T = TypeVar("T")


class Reason(Enum):
    """Why user code was interrupted."""

    TIMEOUT = auto()
    CANCELLED = auto()
    """By the client's `cancel`."""
    GONE = auto()
    """Its peer left, or was closed."""


class Interrupted(Exception):
    """User code was interrupted, and whatever it did about that does not count."""


class Abandoned(Interrupted):
    """User code did not end although it was cancelled, and was left where it is.

    Scopes and task groups that it has entered are still open in its task, which should end soon.
    """


class Suspended:
    """What a call's first step came to, if it was not its last."""

    __slots__ = ("yielded",)

    def __init__(self, yielded: Any) -> None:
        self.yielded = yielded


class Stage:
    """A task that runs user code, one call after the other, under one cancel scope.

    The scope is entered before the first call. Its deadline is set only when a call suspends, and
    cleared when that call ends; so a call that does not suspend costs no timer. Once it has fired
    it is spent: leave it with `Interrupted`, and enter the next.

    User code that does not end although it was cancelled is abandoned in the end: it is closed, and
    what it does about that does not count. Only what shields itself under trio cannot be reached.

    Args:
        background: Runs timers.
        on_suspend: Called each time a call suspends for the first time.
    """

    __slots__ = (
        "_background",
        "_before",
        "_cleanup",
        "_closed",
        "_on_suspend",
        "_patience",
        "_task",
        "_until",
        "busy",
        "cancelled_at",
        "interrupted_by",
        "scope",
    )

    def __init__(self, background: Background, on_suspend: Callable[[], None]) -> None:
        self._background = background
        self._on_suspend = on_suspend
        self._until = inf
        self._cleanup = CLEANUP_SECONDS
        self._before = 0
        self._closed = False
        self._task: Any = None
        self._patience: Patience | None = None
        self.interrupted_by: Reason | None = None
        """What `interrupt` was called with."""
        self.busy = False
        """Whether a call is suspended."""
        self.cancelled_at: float | None = None
        """When whoever runs the task first cancelled a suspended call."""
        self.scope = anyio.CancelScope()

    async def run(self, call: Coroutine[Any, Any, T], timeout: float | None) -> T:
        """Awaits user code.

        Args:
            call: It is always started.
            timeout: Seconds, from its first suspension; `None` for no limit.

        Raises:
            Interrupted: It was interrupted, and returned or raised something all the same.
            Abandoned: It was interrupted, and did neither.
        """
        result = self.begin(call)
        if type(result) is Suspended:
            return await self.end(call, result, timeout)
        return cast("T", result)

    def begin(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Runs user code to its end, without waiting, or until it suspends: for `end`.

        Most code never does, and `run` would be a coroutine more for each message.
        """
        try:
            return Suspended(call.send(None))
        except StopIteration as done:
            return done.value
        except BaseException as error:
            own = self._own(error)
            if own is error:
                raise
            raise own from error

    async def end(
        self, call: Coroutine[Any, Any, T], suspended: Suspended, timeout: float | None
    ) -> T:
        """Awaits the rest of user code; see `run`."""
        self.busy = True
        self._task = self._background.own_task()
        if timeout is not None or self._until != inf:
            seconds = inf if timeout is None else timeout
            self.scope.deadline = min(anyio.current_time() + seconds, self._until)
        if self._until != inf:
            self._limit_patience(self._until - anyio.current_time(), self._cleanup)
        self._on_suspend()
        before = self._before = cancellations()
        try:
            try:
                result: T = await resume(call, suspended.yielded, self._before_throw)
            except Abandoned:
                _abandon(call)
                raise
            except anyio.get_cancelled_exc_class() as error:
                if self._patience is not None and self._patience.broken:
                    raise Interrupted from error
                raise
            finally:
                self._end_patience()
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
            if self.cancelled_at is not None and not self._is_to_end():
                self.cancelled_at = None  # it was a time limit of the user code's own
        if self.scope.cancel_called:
            raise Interrupted
        return result

    def _own(self, error: BaseException) -> BaseException:
        """What an exception of user code is to us."""
        if isinstance(error, anyio.get_cancelled_exc_class()):
            if not self.scope.cancel_called:
                if cancelled_by_itself():
                    return RuntimeError("a task or future it waited for was cancelled")
            elif self._background.steps_sends and not made_by_a_scope(error):
                # Its own or the server's, while the scope's is on its way. The server's is raised
                # again once the scope is left.
                return Interrupted()
            return error
        if isinstance(error, BaseExceptionGroup):
            # trio: what children raised while they were cancelled comes beside their cancellation.
            group = cast("BaseExceptionGroup[BaseException]", error)
            rest = group.split(anyio.get_cancelled_exc_class())[1]
            if rest is None and (self.scope.cancel_called or not cancelled_by_itself()):
                return group
            error = rest or group
        if isinstance(error, GeneratorExit) and self._closed:
            return error
        if not isinstance(error, Exception) and not holds(error, FATAL):
            error = no_exception(error)
        if isinstance(error, Abandoned):
            return error
        if self.scope.cancel_called and isinstance(error, Exception):
            return Interrupted()
        return error

    def interrupt(self, reason: Reason, patience: float = CLEANUP_SECONDS) -> None:
        """Cancels what runs here; it has `patience` seconds to end."""
        if not self.scope.cancel_called:
            self.interrupted_by = reason
            self.scope.cancel()
        if self.busy:
            self._limit_patience(0.0, patience)

    def end_within(self, seconds: float | None, patience: float | None = None) -> None:
        """Interrupts what runs here, and what is run later, `seconds` from now at the latest.

        It has `patience` seconds more to end, or as many as are usual.
        """
        if seconds is None:
            return
        self._until = anyio.current_time() + seconds
        self._cleanup = patience = CLEANUP_SECONDS if patience is None else patience
        if self.busy:
            self.scope.deadline = min(self.scope.deadline, self._until)
            self._limit_patience(seconds, patience)

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

    def _before_throw(self, error: BaseException) -> None:
        self._closed = isinstance(error, GeneratorExit)
        if not isinstance(error, anyio.get_cancelled_exc_class()):
            return
        if not self.scope.cancel_called and (made_by_a_scope(error) or not self._is_to_end()):
            return  # by a time limit, or a task group, of the user code's own
        own = self.scope.cancel_called
        if not own and self.cancelled_at is None:
            self.cancelled_at = anyio.current_time()
        if self._limit_patience(0.0, CLEANUP_SECONDS if own else UNSURE_SECONDS).lost():
            raise Abandoned

    def _is_to_end(self) -> bool:
        scope = self.scope
        return scope.cancel_called or self._background.ends(self._task, self._before, scope)

    def _limit_patience(self, until: float, cleanup: float) -> Patience:
        """Cancelled `until` seconds from now at the latest, it has `cleanup` seconds to end."""
        seconds = until + cleanup
        if self._patience is None:
            wanted = self._is_to_end
            self._patience = Patience(self._background, self._task, seconds, cleanup, wanted)
        else:
            self._patience.shorten(seconds, cleanup)
        return self._patience

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.end()
            self._patience = None


class _GivenUp(BaseException):
    """The last that user code hears."""


def _abandon(call: Coroutine[Any, Any, Any]) -> None:
    name = getattr(call, "__qualname__", repr(call))
    logger.error("%s does not end although it was cancelled: abandoned", name)
    try:
        # `close` would leave asynchronous generators as they are.
        call.throw(_GivenUp())
        call.close()
    except BaseException as error:
        if holds(error, FATAL):
            raise
        logger.debug("What %s did about it", name, exc_info=True)
