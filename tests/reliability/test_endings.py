"""Whatever user code does about it, a connection that the server cancels ends within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import anyio
import pytest

from asgi_ws_gateway import (
    GatewayMiddleware,
    Peer,
    WebSocketService,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from tests.asgi.server import serving, text
from tests.reliability.clock import LOOPS, hurry, on_trio
from tests.unending import shields, shields_and_swallows, swallows, waits

pytestmark = pytest.mark.parametrize("anyio_backend", LOOPS.values(), ids=LOOPS)

SECONDS: Final = 1.0
TOLERANCE: Final = 0.2
"""What the computing takes, since time goes on beside the jumps of the clock."""


WAYS: Final = [waits, swallows, shields, shields_and_swallows]


@namespace("/endless")
class Endless:
    def __init__(self, way: Callable[[], Awaitable[None]], *places: str) -> None:
        self._way = way
        self._places = places
        self.reached = 0
        self.left = 0

    async def _reach(self, place: str) -> None:
        if place in self._places:
            self.reached += 1
            await self._way()

    @on_connection_attempt
    async def attempt(self) -> bool:
        await self._reach("attempt")
        return True

    @on_connect
    async def connect(self, peer: Peer) -> None:
        await self._reach("connect")

    @message("stay", timeout=None)
    async def stay(self, data: Any) -> None:
        await self._reach("handler")

    @message("beside", timeout=None, concurrent=True)
    async def beside(self, data: Any) -> None:
        await self._reach("concurrent handler")

    @on_disconnect
    async def leave(self, peer: Peer) -> None:
        self.left += 1
        await self._reach("disconnect")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "places", [("connect", "disconnect"), ("handler", "concurrent handler", "disconnect")]
)
async def test_a_cancelled_connection_ends_within_a_second(
    way: Callable[[], Awaitable[None]], places: tuple[str, ...]
) -> None:
    if on_trio() and way in (shields, shields_and_swallows):
        way = swallows  # nothing breaks a shield there
    gateway = Endless(way, *places)
    application = GatewayMiddleware(None, WebSocketService(), gateways=[gateway])
    hurry()
    async with application.service, serving(application, "/endless") as server:
        server.put(text('{"event": "beside"}'), text('{"event": "stay"}'))
        await anyio.wait_all_tasks_blocked()
        assert gateway.reached == len(places) - 1
        since = anyio.current_time()
        server.cancel_natively()
        await server.returned.wait()
        assert anyio.current_time() - since < SECONDS + TOLERANCE
        assert gateway.left == 1


@pytest.mark.parametrize("way", WAYS)
async def test_an_attempt_ends_with_the_service(way: Callable[[], Awaitable[None]]) -> None:
    if on_trio() and way in (shields, shields_and_swallows):
        way = swallows
    gateway = Endless(way, "attempt")
    application = GatewayMiddleware(None, WebSocketService(), gateways=[gateway])
    hurry()
    async with serving(application, "/endless") as server:
        async with application.service:
            await anyio.wait_all_tasks_blocked()
            assert gateway.reached == 1
            since = anyio.current_time()
        await server.returned.wait()
        assert anyio.current_time() - since < SECONDS + TOLERANCE
    assert [message.get("status") for message in server.sent] == [503, None]
    assert application.service.stats().refused == {"draining": 1}


async def test_a_disconnect_hook_has_time_to_do_its_work() -> None:
    done = anyio.Event()

    async def works() -> None:
        await anyio.sleep(0.45)
        done.set()

    gateway = Endless(works, "disconnect")
    application = GatewayMiddleware(None, WebSocketService(), gateways=[gateway])
    hurry()
    async with application.service, serving(application, "/endless") as server:
        await server.sends("websocket.accept")
        server.cancel_natively()
        await server.returned.wait()
    assert done.is_set()


async def test_a_time_limit_of_a_handler_s_own_takes_nothing_from_the_disconnect_hook() -> None:
    done = anyio.Event()

    @namespace("/limited")
    class Limited:
        @message("stay")
        async def stay(self) -> None:
            if on_trio():
                with anyio.move_on_after(0.05):
                    await anyio.sleep_forever()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anyio.sleep_forever()

        @on_disconnect
        async def leave(self, peer: Peer) -> None:
            await anyio.sleep(0.4)
            done.set()

    application = GatewayMiddleware(None, WebSocketService(), gateways=[Limited()])
    hurry()
    async with application.service, serving(application, "/limited") as server:
        server.put(text('{"event": "stay", "id": 1}'))
        await server.sends("websocket.send")
        await anyio.sleep(10)
        server.cancel_natively()
        await server.returned.wait()
    assert done.is_set()
