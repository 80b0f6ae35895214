"""Tasks that no connection owns, and the way into the service's event loop from elsewhere.

anyio has no detached task, and needs none where a lifespan task can own a group; daphne and bare
Django have no lifespan.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import anyio
from anyio import from_thread, to_thread
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken, cancel_shielded_checkpoint, current_token

from .cancellation import FATAL, CancelledError, cancellations, cancelled_by_itself, holds
from .event_loop import on_trio
from .log import Log

__all__ = ["Background"]

T = TypeVar("T")

logger = Log(__name__)

STOP_SECONDS: Final = 1.0
"""For cancelled tasks to end in."""


class Background:
    """One lifetime of a service on one event loop.

    Args:
        on_end: Called when it has ended, by `stop` or with its event loop.

    Attributes:
        steps_sends: Whether a server's `send` may be started by one task and ended by another.
            trio ties a suspended call to its task.
        pressed: Whether an outbox was filled over its half since the last `relieve`.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._group: TaskGroup | None = None
        self._stopping = anyio.Event()
        self._ended = anyio.Event()
        self._token: EventLoopToken = current_token()
        self._thread = threading.get_ident()
        self.steps_sends = not on_trio()
        self.pressed = False

    async def start(self) -> None:
        """Starts it; returns once `spawn` may be called."""
        started = anyio.Event()
        # A context of its own: it must not keep that of the connection which happened to be first.
        context = contextvars.Context()
        if self.steps_sends:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._live(started), context=context)
        else:
            import trio

            trio.lowlevel.spawn_system_task(self._live, started, context=context)
        await started.wait()

    async def stop(self) -> None:
        """Cancels all that still runs, and waits until it has ended.

        It gives up on what does not let itself be cancelled, such as a server's send.
        """
        self._stopping.set()
        with anyio.move_on_after(STOP_SECONDS):
            await self._ended.wait()
        if not self._ended.is_set():
            logger.error("Abandoned background tasks that do not end")
            self._end()

    def spawn(self, call: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Starts a task. What it raises is logged, and harms no other."""
        assert self._group is not None
        self._group.start_soon(self._guard, call, args)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Calls `call` after `seconds`, unless what is returned was called before."""
        if self.steps_sends:
            loop = asyncio.get_running_loop()

            async def fire() -> None:
                if not handle.cancelled():
                    call()

            def start() -> None:
                # In a task: anyio does not know the loop of a bare callback. It never suspends, so
                # nobody has to hold it.
                loop.create_task(self._guard(fire, ()))  # noqa: RUF006

            handle = loop.call_later(seconds, start)
            return handle.cancel
        scope = anyio.CancelScope()

        async def wait() -> None:
            with scope:
                await anyio.sleep(seconds)
                call()

        import trio

        # Not in the group: when that is cancelled, somebody may still have to be given up.
        trio.lowlevel.spawn_system_task(self._guard, wait, ())
        return scope.cancel

    def own_task(self) -> Any:
        """The task at hand, for `wake` and `ends`."""
        return asyncio.current_task() if self.steps_sends else None

    def ends(self, task: Any, before: int, scope: anyio.CancelScope) -> bool:
        """Whether whoever runs a task wants it to end, as far as anybody can tell.

        Under asyncio a time limit inside the task looks the same, until it takes that back; only
        anyio's is known by its words. trio (0.35) knows what is cancelled around a scope, but has
        no public way to ask.

        Args:
            task: As `own_task` named it.
            before: What `cancellations` said before.
            scope: In that task, around what is not to be judged by its own time limits.
        """
        if self.steps_sends:
            return bool(task.cancelling() > before)
        of_trio = getattr(scope, "_CancelScope__original", None)
        status = getattr(of_trio, "_cancel_status", None)
        return bool(getattr(status, "effectively_cancelled", False))

    def wake(self, task: Any) -> None:
        """Raises a cancellation in a task even if it has shielded itself.

        Does nothing under trio, where no code can be reached that shields itself, and any other
        gets its cancellation again at each step.
        """
        if self.steps_sends:
            task.cancel()

    def let_sleep(self, task: Any) -> None:
        """Takes back what `wake` did, once it has been seen."""
        if self.steps_sends:
            task.uncancel()

    async def relieve(self) -> None:
        """Lets the draining tasks run, if an outbox is over half full.

        Who sends in a loop without ever waiting would otherwise fill the outboxes of peers who
        read as fast as they can, wherever a send is left to a task: under trio and on granian.
        """
        if self.pressed:
            self.pressed = False
            await cancel_shielded_checkpoint()
            if not self.steps_sends:
                # trio runs what is ready in any order: after two turns everybody has had one.
                await cancel_shielded_checkpoint()

    @property
    def ended(self) -> bool:
        """Whether it is over, by `stop` or with its event loop."""
        return self._ended.is_set() or self._loop_is_closed()

    @property
    def here(self) -> bool:
        """Whether the caller runs on this event loop: a thread runs one at a time."""
        return threading.get_ident() == self._thread

    async def hand_over(self, call: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Awaits a coroutine function on this event loop, from another one."""
        return await to_thread.run_sync(partial(self.run, call, *args))

    async def hand_over_sync(self, call: Callable[..., T], *args: Any) -> T:
        """Calls a plain function on this event loop, from another one."""
        return await to_thread.run_sync(partial(self.run_sync, call, *args))

    def run(self, call: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Runs a coroutine function on this event loop, and waits in the calling thread.

        Raises:
            RuntimeError: The calling thread is the event loop's own, which would wait for itself.
        """
        self._refuse_own_thread()
        return from_thread.run(call, *args, token=self._token)

    def run_sync(self, call: Callable[..., T], *args: Any) -> T:
        """The same for a plain function."""
        self._refuse_own_thread()
        return from_thread.run_sync(call, *args, token=self._token)

    def _refuse_own_thread(self) -> None:
        if threading.get_ident() == self._thread:
            raise RuntimeError(
                "a blocking call on the event loop's own thread would wait for itself: "
                "await the same call without `.blocking`"
            )

    async def _live(self, started: anyio.Event) -> None:
        try:
            async with anyio.create_task_group() as self._group:
                started.set()
                await self._stopping.wait()
                self._group.cancel_scope.cancel()
        finally:
            self._end()

    def _end(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._on_end()

    def _loop_is_closed(self) -> bool:
        """Whether the loop was closed although tasks were left in it; trio ends them all."""
        is_closed = getattr(self._token.native_token, "is_closed", None)
        return is_closed is not None and is_closed()

    async def _guard(self, call: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            await call(*args)
        except Exception:
            logger.exception("A background task failed")
        except BaseException as error:
            # One that passed would end the group, and with it the service for everybody: also a
            # cancellation that is not the group's, but a future's, or of a handler's own task.
            if holds(error, FATAL):
                raise
            if holds(error, (anyio.get_cancelled_exc_class(),)):
                foreign = cancelled_by_itself() if on_trio() else not self._stopping.is_set()
                if not foreign:
                    raise
            logger.exception("A background task failed")
        if self.steps_sends and cancellations() and not self._stopping.is_set():
            # One that was asked for and has not come yet would let the task end as cancelled, and
            # that ends the group: a handler may cancel its own task, and so may a server's send.
            with suppress(CancelledError):
                await asyncio.sleep(0)
