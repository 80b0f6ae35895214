"""Tasks and events of asyncio and of trio, as a server would make them: nothing between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

import trio

__all__ = ["LOOPS", "Event", "Loop", "run"]


class Event(Protocol):
    def is_set(self) -> bool: ...
    def set(self) -> Any: ...
    async def wait(self) -> Any: ...


class Loop(Protocol):
    def event(self) -> Event: ...
    def start(self, call: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None: ...
    async def sleep(self, seconds: float, /) -> None: ...


class _Asyncio:
    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []  # the loop itself keeps them weakly

    def event(self) -> Event:
        return asyncio.Event()

    def start(self, call: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self._tasks.append(asyncio.create_task(call(*args)))

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


class _Trio:
    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def event(self) -> Event:
        return trio.Event()

    def start(self, call: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self._nursery.start_soon(call, *args)

    async def sleep(self, seconds: float, /) -> None:
        await trio.sleep(seconds)


LOOPS: Final = ("asyncio", "trio")


def run(name: str, main: Callable[[Loop], Awaitable[None]]) -> None:
    """Runs it; what it has started is not waited for."""

    async def on_asyncio() -> None:
        await main(_Asyncio())

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            await main(_Trio(nursery))
            nursery.cancel_scope.cancel()

    if name == "trio":
        trio.run(on_trio)
    else:
        asyncio.run(on_asyncio())
