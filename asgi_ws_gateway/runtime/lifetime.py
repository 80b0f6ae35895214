"""From the start of a service to its end, on one event loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import anyio

from ..limits import Limits
from ..protocol.codec import Codec
from ..routing.table import RoutingTable
from .background import Background
from .log import Log
from .running import Running
from .telemetry import Telemetry
from .threads import Runner, Threads

__all__ = ["Lifespan", "Lifetime", "StartCancelled"]

logger = Log(__name__)

STOP_SECONDS: Final = 1.0
"""What is left to disconnect hooks when the service stops."""

Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]


class StartCancelled(Exception):
    """Nothing is wrong with the service: start another lifetime."""


class Lifetime:
    """One start of a service.

    Args:
        table: What is registered.
        telemetry: Counts everything.
        limits: The service-wide ones.
        codec: The service's.
        run_sync: Runs plain `def` handlers, in place of the service's threads.
        lifespan: Opens the user's context, if there is one.
        check_outgoing: Whether emitters' schemas are checked.
        on_end: Called when it has ended, be it with its event loop.

    Attributes:
        running: What its connections share, from its start to its end.
        entered: How many have entered it and not left.
        stopping: Whether `stop` was called.
        ended: Set when it is over.
    """

    def __init__(
        self,
        table: RoutingTable,
        telemetry: Telemetry,
        *,
        limits: Limits,
        run_sync: Runner | None,
        lifespan: Lifespan | None,
        codec: Codec,
        check_outgoing: bool,
        on_end: Callable[[], None],
    ) -> None:
        self._table = table
        self._telemetry = telemetry
        self._limits = limits
        self._run_sync = run_sync
        self._lifespan = lifespan
        self._codec = codec
        self._check_outgoing = check_outgoing
        self._on_end = on_end
        self._started: anyio.Event | None = None
        self._stopping = anyio.Event()
        self._left = anyio.Event()
        self._error: BaseException | None = None
        self.running: Running | None = None
        self.entered = 0
        self.stopping = False
        self.ended = anyio.Event()

    async def start(self) -> None:
        """Starts it; whoever comes while it starts waits for the same start.

        Raises:
            StartCancelled: Whoever started it was cancelled meanwhile.
            Exception: What the lifespan raised.
        """
        if self._started is not None:
            if not self._started.is_set():  # anyio gives others a turn even if it is
                await self._started.wait()
            if isinstance(self._error, anyio.get_cancelled_exc_class()):
                raise StartCancelled
            if self._error is not None:
                raise RuntimeError("the service could not be started") from self._error
            return
        self._started = anyio.Event()
        try:
            await self._start()
        except BaseException as error:
            self._error = error
            with anyio.CancelScope(shield=True):
                await self._background.stop()
            raise
        finally:
            self._started.set()

    async def stop(self) -> None:
        """Closes what is still connected, leaves the lifespan, and ends all tasks."""
        self.stopping = True
        if self.running is not None:
            await self.running.drain(0.0)
            self.running.abort_attempts()
            # Disconnect hooks may want what the lifespan holds.
            with anyio.move_on_after(STOP_SECONDS):
                await self.running.admission.emptied()
        self._stopping.set()
        if self._lifespan is not None:
            await self._left.wait()
        await self._background.stop()
        self._threads.stop()

    async def _start(self) -> None:
        self._background = Background(self._ended)
        await self._background.start()
        self._threads = Threads(self._limits.threads, self._run_sync)
        self.running = running = Running(
            self._table,
            self._background,
            self._threads,
            self._telemetry,
            limits=self._limits,
            codec=self._codec,
            check_outgoing=self._check_outgoing,
        )
        if self._lifespan is not None:
            entered = anyio.Event()
            # In a context of its own, not that of the connection which happened to be first.
            Context().run(self._background.spawn, self._live, self._lifespan, running, entered)
            await entered.wait()
            if self._error is not None:
                raise self._error

    async def _live(self, lifespan: Lifespan, running: Running, entered: anyio.Event) -> None:
        """A task of its own: the user's context may hold a task group."""
        # Unless it is told otherwise below: even a cancellation of its own is a failure to start.
        self._error = RuntimeError("the service's lifespan did not start")
        try:
            async with lifespan():
                self._error = None
                entered.set()
                await self._stopping.wait()
        except Exception as error:
            if entered.is_set():
                logger.exception("The service's lifespan failed")
                running.failed_since = datetime.now(UTC)
            else:
                self._error = error
        finally:
            entered.set()
            self._left.set()

    def _ended(self) -> None:
        self.running = None
        self._on_end()
        self.ended.set()
