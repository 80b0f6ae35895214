"""Puts one peer's messages on its transport, in the order they were pushed.

While the transport takes them at once there is neither queue nor task: `send` is started by
whoever pushes, and has ended by then. When one suspends, a task to end it comes into being, and
waits for the next that does. Where a send has to end in the task that began it, under trio and
where a middleware stands between, that task sends them all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from math import inf
from types import CoroutineType
from typing import Any, Final, Protocol

import anyio

from ..limits import Limits
from ..protocol.codec import wire_size
from ..protocol.outbox import DROPPED, OVERFLOW, QUEUED, Outbox, Verdict
from .background import Background
from .cancellation import CancelledError, harmless
from .steps import resume
from .transport import Transport

__all__ = ["Writer", "WriterOwner"]

_COROUTINE: Final[type[Any]] = CoroutineType


class WriterOwner(Protocol):
    """What a writer needs of its connection.

    Three callables would be three objects more for every connection.
    """

    def lost(self) -> None:
        """The transport has failed: the peer is gone."""
        ...

    def overflowed(self) -> None:
        """One send hangs for `limits.send_timeout`."""
        ...

    def dropped(self, reason: str, count: int) -> None:
        """So many are lost: `overflow` by policy, `closed` with the outbox, `gone` as the peer."""
        ...


class Writer:
    """One peer's way out.

    Args:
        transport: Where to.
        limits: Those of the peer's namespace.
        background: Runs the draining task.
        owner: Whose it is.

    Attributes:
        idle: Nothing is under way, nothing waits.
    """

    __slots__ = (
        "_background",
        "_draining",
        "_forget_watch",
        "_idle_event",
        "_limits",
        "_next",
        "_outbox",
        "_owner",
        "_parked",
        "_refusing",
        "_room_event",
        "_since",
        "_steps",
        "_stopped",
        "_transport",
        "idle",
    )

    def __init__(
        self,
        transport: Transport,
        limits: Limits,
        background: Background,
        owner: WriterOwner,
    ) -> None:
        self._transport = transport
        self._limits = limits
        self._background = background
        self._owner: WriterOwner | None = owner
        self._steps = background.steps_sends and transport.direct
        self._outbox: Outbox | None = None
        self._draining: anyio.CancelScope | None = None
        self._parked: anyio.Event | None = None
        self._next: tuple[Any, Any] = (None, None)
        self._idle_event: anyio.Event | None = None
        self._room_event: anyio.Event | None = None
        self._forget_watch: Callable[[], None] | None = None
        self._since = 0.0
        self._refusing = False
        self._stopped = False
        self.idle = True

    def push(
        self,
        payload: str | bytes,
        *,
        answer: bool = False,
        key: tuple[str, str] | None = None,
    ) -> Verdict:
        """Sends a message, or queues it; never waits. Arguments as `Outbox.push`."""
        if self._refusing:
            self._tell_dropped("gone", 1)
            return DROPPED
        if not self.idle:
            return self._queue(payload, answer, key)
        if not self._steps:
            self._start(None, payload)
            return QUEUED
        # Started here and, if it suspends, ended by the draining task.
        try:
            steps: Any = self._transport.send(payload)
            if type(steps) is _COROUTINE:
                yielded = steps.send(None)
            else:  # granian's
                steps = steps.__await__()
                yielded = next(steps)
        except StopIteration:
            return QUEUED
        except (Exception, CancelledError):
            # Nobody can have cancelled us between two steps: the server's send was, by itself.
            self._lose()
            return DROPPED
        self._start(steps, yielded)
        return QUEUED

    @property
    def over_half(self) -> bool:
        """Whether the outbox is over half full."""
        return self._outbox is not None and self._outbox.over_half

    def fits(self, payloads: list[str | bytes]) -> bool:
        """Whether all of them would be sent or queued without any policy."""
        if self.idle or self._outbox is None or not payloads:
            return True
        return self._outbox.fits(sum(map(wire_size, payloads)), len(payloads))

    def refuse(self) -> None:
        """Takes nothing more; what is queued still goes out."""
        self._refusing = True

    async def room(self, enough: Callable[[], bool]) -> None:
        """Waits until `enough()` holds of the outbox, or the writer stops."""
        while not (self._stopped or self.idle or enough()):
            if self._room_event is None:
                self._room_event = anyio.Event()
            await self._room_event.wait()

    async def flushed(self) -> None:
        """Waits until everything has been handed to the server, or the writer has stopped."""
        while not self.idle:
            if self._idle_event is None:
                self._idle_event = anyio.Event()
            await self._idle_event.wait()

    def stop(self) -> None:
        """Drops what is queued, and ends a send under way if the server lets it be cancelled."""
        self._refusing = self._stopped = True
        if self._forget_watch is not None:
            self._forget_watch()
            self._forget_watch = None
        if self._draining is not None:
            self._draining.cancel()
        self._wake_room()
        if self._outbox:
            self._tell_dropped("closed", self._outbox.clear())

    def _lose(self) -> None:
        """A send has failed, and its message is lost."""
        self.stop()
        self._tell_dropped("gone", 1)
        assert self._owner is not None
        self._owner.lost()

    def release(self) -> None:
        """Lets go of its peer: a send that the server never ends keeps the writer, and no more."""
        self.stop()
        self._owner = None
        self._outbox = None
        del self._transport

    def _queue(self, payload: str | bytes, answer: bool, key: tuple[str, str] | None) -> Verdict:
        outbox = self._outbox
        if outbox is None:
            limits = self._limits
            outbox = self._outbox = Outbox(
                limits.outbox_bytes, limits.outbox_messages, limits.overflow
            )
        before = outbox.dropped
        verdict = outbox.push(payload, wire_size(payload), answer=answer, key=key)
        if outbox.filling:
            self._background.pressed = True
        lost = outbox.dropped - before + (verdict is OVERFLOW)
        if lost:
            self._tell_dropped("overflow", lost)
        return verdict

    def _start(self, steps: Any, first: Any) -> None:
        self.idle = False
        if self._parked is None:
            # In a context of its own, not that of whoever happened to push first.
            Context().run(self._background.spawn, self._drain, steps, first)
        else:
            self._next = steps, first
            self._parked.set()

    async def _drain(self, steps: Any, first: Any) -> None:
        """Ends a started send (or sends `first`), then all that was queued meanwhile."""
        try:
            with anyio.CancelScope() as self._draining:
                while not self._stopped:
                    self._watch()
                    if steps is None:
                        await self._transport.send(first)
                    else:
                        await resume(steps, first)
                        steps = None
                    if self._outbox:
                        first = self._outbox.pop()
                        self._wake_room()
                    else:
                        # The next may need a task as well, and to make one costs more than a wait.
                        steps, first = await self._park()
        except BaseException as error:
            if not (self._stopped or self.idle):
                self._lose()
            if not harmless(error):
                raise
        finally:
            self._draining = None
            self._become_idle()

    async def _park(self) -> tuple[Any, Any]:
        self._become_idle()
        self._parked = anyio.Event()
        try:
            await self._parked.wait()
        finally:
            self._parked = None
        return self._next

    def _become_idle(self) -> None:
        self.idle = True
        self._since = inf
        self._next = (None, None)
        self._wake_room()
        if self._idle_event is not None:
            self._idle_event.set()
            self._idle_event = None

    def _watch(self) -> None:
        """Watches that the send which begins now does not hang.

        A timer and not a scope: hypercorn shields its sends under trio (0.18). It looks again as
        long as it finds sends under way, since one for each would cost more than they do.
        """
        self._since = anyio.current_time()
        seconds = self._limits.send_timeout
        if seconds is not None and self._forget_watch is None:
            self._forget_watch = self._background.call_later(seconds, self._look)

    def _look(self) -> None:
        self._forget_watch = None
        seconds = self._limits.send_timeout
        assert seconds is not None
        if not self.idle:
            # A send that has been pushed and not begun has all its time.
            left = min(seconds, self._since + seconds - anyio.current_time())
            if left <= 0:
                assert self._owner is not None
                self._owner.overflowed()
            else:
                self._forget_watch = self._background.call_later(left, self._look)

    def _wake_room(self) -> None:
        if self._room_event is not None:
            self._room_event.set()
            self._room_event = None

    def _tell_dropped(self, reason: str, count: int) -> None:
        if self._owner is not None:
            self._owner.dropped(reason, count)
