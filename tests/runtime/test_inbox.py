"""The inbox alone: whoever waits for it, for whatever, is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio

from asgi_ws_gateway.protocol.messages import Message
from asgi_ws_gateway.runtime.background import Background
from asgi_ws_gateway.runtime.inbox import Inbox
from asgi_ws_gateway.runtime.turn import Turn


class Transport:
    """Receives nothing, and lets go of that only when it may."""

    def __init__(self) -> None:
        self.receiving = False
        self.may_end = anyio.Event()

    async def receive(self) -> str:
        self.receiving = True
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.may_end.wait()
            self.receiving = False


@asynccontextmanager
async def reading() -> AsyncIterator[tuple[Inbox, Transport]]:
    background = Background(lambda: None)
    await background.start()
    transport: Any = Transport()
    writer: Any = SimpleNamespace(idle=True, over_half=False)
    inbox = Inbox(
        transport,
        background,
        writer,
        Turn(),
        max_messages=None,
        max_bytes=None,
        arrivals=SimpleNamespace(read=lambda payload: Message("read", payload)),
        owner=SimpleNamespace(left=lambda code, reason: None),
    )
    yield inbox, transport
    transport.may_end.set()
    await background.stop()


async def test_all_who_wait_for_it_to_be_idle_are_told() -> None:
    async with reading() as (inbox, transport), anyio.create_task_group() as group:
        told: list[int] = []

        async def wait(number: int) -> None:
            await inbox.until_idle()
            told.append(number)

        for number in range(3):
            group.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        assert told == []
        group.start_soon(inbox.next)
        await anyio.wait_all_tasks_blocked()
        assert sorted(told) == [0, 1, 2]
        transport.may_end.set()
        group.cancel_scope.cancel()


async def test_all_who_stop_it_return_once_nobody_is_in_receive() -> None:
    async with reading() as (inbox, transport), anyio.create_task_group() as group:
        inbox.read_ahead()
        await anyio.wait_all_tasks_blocked()
        seen: list[bool] = []

        async def stop() -> None:
            await inbox.stop()
            seen.append(transport.receiving)

        for _ in range(3):
            group.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        assert (transport.receiving, seen) == (True, [])
        transport.may_end.set()
        await anyio.wait_all_tasks_blocked()
        assert seen == [False] * 3
