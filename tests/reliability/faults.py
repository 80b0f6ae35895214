"""A connection of which one await fails, in every way that an await can."""

from __future__ import annotations

import asyncio
import threading
import types
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from enum import Enum
from math import inf
from typing import Any, Final

import anyio
import trio
from anyio import from_thread
from anyio.lowlevel import checkpoint, current_token

from asgi_ws_gateway.testing.scope import websocket_scope
from asgi_ws_gateway.testing.wire import Wire
from tests.reliability.clock import hurry, on_trio

__all__ = ["SUSPENSION", "Fault", "FaultyWire", "Point", "Points"]

Point = tuple[str, int]
"""An await: what is awaited, and for which time."""

SUSPENSION: Final = "suspension"
"""Any await of the connection's own task, which the server may cancel there."""


class Fault(Enum):
    """What becomes of an await."""

    OS_ERROR = "OSError"
    RUNTIME_ERROR = "RuntimeError"
    OWN_CANCELLATION = "the loop's cancellation, though nobody cancelled"
    ODD_ERROR = "what is no Exception"
    HANG = "a hang"
    STUBBORN_HANG = "a hang that survives one cancellation"
    CANCELS_ITSELF = "a cancellation of the task that it happens to run in"
    SERVER_CANCELS = "the server cancels the connection's task"

    ENDLESS_HANG = "a hang that survives every cancellation"
    SHIELDED_HANG = "a hang that is shielded from cancellation"

    @property
    def hangs(self) -> bool:
        """Whether the await does not return by itself."""
        return self.value.startswith("a hang")

    @property
    def ends(self) -> bool:
        """Whether what hangs can be ended."""
        return self not in (Fault.ENDLESS_HANG, Fault.SHIELDED_HANG)

    def fits(self, name: str) -> bool:
        """Whether this may become of that await."""
        if name == SUSPENSION:
            return self is Fault.SERVER_CANCELS
        # What a server does is exceptional enough; handlers raise whatever they call raises.
        return self is not Fault.ODD_ERROR or not name.startswith(("receive", "send"))


class Points:
    """The awaits of one session, some of which have a fault.

    Args:
        faults: By the await that has it.

    Attributes:
        passed: The awaits that were reached.
        hit: When the first fault was reached.
        lefts: The codes that the disconnect hook was called with.
        cancels: Cancels the connection's task.
        cancelled: Whether the server did so.
    """

    def __init__(self, faults: Mapping[Point, Fault] | None = None) -> None:
        self.faults = dict(faults or {})
        self.passed: list[Point] = []
        self.hit: float | None = None
        self.lefts: list[int] = []
        self.cancels: Callable[[], Any] = lambda: None
        self.cancelled = False
        self._over = anyio.Event()
        self._thread_over = threading.Event()
        self._counts: Counter[str] = Counter()
        self._token = current_token()

    def let_go(self) -> None:
        """Ends whatever hangs."""
        self._over.set()
        self._thread_over.set()

    @property
    def ends(self) -> bool:
        """Whether all that hangs can be ended."""
        return all(fault.ends for fault in self.faults.values())

    async def reach(self, name: str) -> None:
        """An await of the session."""
        fault = self._pass(name)
        if fault is None:
            return
        self._hit()
        if fault is Fault.SERVER_CANCELS:
            self.cancel()
        elif fault is Fault.CANCELS_ITSELF:
            await _cancel_itself()
        elif fault is Fault.OWN_CANCELLATION:
            await _be_cancelled_by_nobody()
        elif fault.hangs:
            await self._hang(fault)
        else:
            raise _ERRORS[fault](f"a fault at {name}")

    async def _hang(self, fault: Fault) -> None:
        if fault is Fault.SHIELDED_HANG:
            with anyio.CancelScope(shield=True):
                await self._over.wait()
            return
        swallows = {Fault.STUBBORN_HANG: 1, Fault.ENDLESS_HANG: inf}.get(fault, 0)
        while not self._over.is_set():
            try:
                await self._over.wait()
            except anyio.get_cancelled_exc_class():
                swallows -= 1
                if swallows < 0:
                    raise

    def reach_in_thread(self, name: str) -> None:
        """The same for the call of a thread."""
        fault = self._pass(name)
        if fault is None:
            return
        from_thread.run_sync(self._hit, token=self._token)
        if fault is Fault.SERVER_CANCELS:
            from_thread.run_sync(self.cancel, token=self._token)
        elif fault in (Fault.OWN_CANCELLATION, Fault.CANCELS_ITSELF):
            raise asyncio.CancelledError
        elif fault.hangs:
            self._thread_over.wait(30)
        else:
            raise _ERRORS[fault](f"a fault at {name}")

    def suspend(self) -> None:
        """The connection's task waits, wherever that is: only the server can do something to it."""
        if self._pass(SUSPENSION) is not None:
            self._hit()
            self.cancel()

    def cancel(self) -> None:
        self.cancelled = True
        self.cancels()

    def _pass(self, name: str) -> Fault | None:
        self._counts[name] += 1
        self.passed.append((name, self._counts[name]))
        return self.faults.get(self.passed[-1])

    def _hit(self) -> None:
        if self.hit is None:
            self.hit = anyio.current_time()
        # From now on somebody may wait for a time limit; or be busy for just as long.
        hurry(rate=1.0 if self.ends else 20.0)


class _Odd(BaseException):
    """As pytest's own are, and those of some libraries."""


_ERRORS: Final = {
    Fault.OS_ERROR: OSError,
    Fault.RUNTIME_ERROR: RuntimeError,
    Fault.ODD_ERROR: _Odd,
}


class FaultyWire(Wire):
    """A server's side of a session: each `receive` and `send` is one of its points.

    Args:
        points: Those of the session.
        slow: Whether no send ends at once.
        denials: Whether the server can carry a denial.

    Attributes:
        points: The session's.
        scope: The handshake's, once it is served.
        error: What the application raised, if that is not what the server did to it.
        returned: When it returned.
    """

    def __init__(self, points: Points, *, slow: bool = False, denials: bool = True) -> None:
        super().__init__(denials=denials)
        self.scope: dict[str, Any] | None = None
        self.error: BaseException | None = None
        self.returned = 0.0
        self.points = points
        self._slow = slow
        self._under_way: set[str] = set()
        self._broken = False
        self.put({"type": "websocket.connect"})

    async def serve(self, app: Any, url: str) -> None:
        """Runs the application until it returns."""
        self.scope = scope = websocket_scope(url)
        scope["points"] = self.points
        if not self._denials:
            del scope["extensions"]
        try:
            await _cancellable(app(scope, self.receive, self.send), self.points)
        except BaseException as error:
            self.error = error
        finally:
            self.returned = anyio.current_time()
            self.finish()

    async def receive(self) -> dict[str, Any]:
        with self._only("receive"):
            with self._judged():
                assert not self._broken, "a receive after one that failed"
            try:
                await self.points.reach("receive")
            except Exception:
                self._broken = True
                raise
            return await super().receive()

    async def send(self, message: dict[str, Any]) -> None:
        with self._only("send"):
            if self._slow:
                await checkpoint()
            kind = message["type"].removeprefix("websocket.")
            with self._judged():
                closing = kind == "close" and self.accepted is not None
                assert not (closing and "receive" in self._under_way), "a close during a receive"
            await self.points.reach(f"send {kind}")
            await super().send(message)

    @contextmanager
    def _only(self, call: str) -> Generator[None, None, None]:
        with self._judged():
            assert call not in self._under_way, f"two tasks are in {call}() at once"
        self._under_way.add(call)
        try:
            yield
        finally:
            self._under_way.discard(call)


async def _cancellable(work: Coroutine[Any, Any, None], points: Points) -> None:
    """Awaits it in a task that `points.cancel` cancels, and passes on what else it raises."""
    if on_trio():
        with trio.CancelScope() as scope:
            points.cancels = scope.cancel
            await _watched(work, points.suspend)
        return

    async def run() -> None:
        await _watched(work, points.suspend)

    task = asyncio.get_running_loop().create_task(run())
    points.cancels = task.cancel
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
    if not (task.cancelled() and task.cancelling()):
        task.result()
        assert not points.cancelled, "the server's cancellation got lost"


@types.coroutine
def _watched(work: Coroutine[Any, Any, None], on_suspend: Callable[[], None]) -> Any:
    """Awaits it, and tells of each suspension."""
    step: Callable[[], Any] = lambda: work.send(None)  # noqa: E731
    while True:
        try:
            yielded = step()
        except StopIteration as done:
            return done.value
        on_suspend()
        try:
            sent = yield yielded
        except BaseException as error:
            step = lambda error=error: work.throw(error)  # noqa: E731
        else:
            step = lambda sent=sent: work.send(sent)  # noqa: E731


async def _cancel_itself() -> None:
    """As a handler may that keeps its task, for the next of its kind to cancel."""
    if on_trio():
        await _be_cancelled_by_nobody()
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await checkpoint()


async def _be_cancelled_by_nobody() -> None:
    if not on_trio():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await checkpoint()
        except trio.Cancelled as error:
            kept = error
    raise kept
