"""User code that does not end although it was cancelled is given up, and harms nobody else."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from asgi_ws_gateway import (
    GatewayMiddleware,
    Limits,
    Peer,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.runtime import conversation, invoke
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient
from tests.asgi.server import serving, text
from tests.unending import ignores, shields, swallows

SOON = 0.02

Behaviour = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoke, "CLEANUP_SECONDS", SOON)
    monkeypatch.setattr(invoke, "UNSURE_SECONDS", SOON)
    monkeypatch.setattr(conversation, "HURRIED_SECONDS", SOON)


@pytest.fixture(params=[swallows, shields])
def unending(request: pytest.FixtureRequest, anyio_backend_name: str) -> Behaviour:
    """What does not end; under trio a shield cannot be broken, by anybody."""
    behaviour: Behaviour = request.param
    return swallows if anyio_backend_name == "trio" else behaviour


@namespace("/odd")
class Odd:
    """Does not end in one place."""

    def __init__(self, place: str, behaviour: Behaviour) -> None:
        self._place = place
        self._behaviour = behaviour
        self.entered = anyio.Event()
        self.left: list[int] = []

    async def _be(self, place: str) -> None:
        if self._place == place:
            self.entered.set()
            await self._behaviour()

    @on_connection_attempt
    async def attempt(self) -> bool:
        await self._be("attempt")
        return True

    @on_connect
    async def connect(self, peer: Peer) -> None:
        peer.join("room")
        await self._be("connect")

    @message("stay")
    async def stay(self) -> None:
        await self._be("handler")

    @message("beside", concurrent=True)
    async def beside(self) -> None:
        await self._be("concurrent handler")

    @message("stream")
    async def stream(self) -> AsyncIterator[int]:
        yield 1
        await self._be("stream")

    @message("ping")
    async def ping(self) -> str:
        return "pong"

    @on_disconnect
    async def leave(self, peer: Peer, code: int) -> None:
        self.left.append(code)
        await self._be("disconnect")


EVENTS = {"handler": "stay", "concurrent handler": "beside", "stream": "stream"}
LIMITS = Limits(handler_timeout=SOON, attempt_timeout=SOON, linger=SOON)
PATIENT = Limits(handler_timeout=None, attempt_timeout=None, linger=SOON)


@pytest.mark.parametrize("place", EVENTS)
async def test_a_handler_that_swallows_its_timeout_costs_its_peer_the_connection(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Odd(place, swallows)
    async with GatewayTestClient(gateway, limits=LIMITS) as client:
        async with client.connect("/odd") as peer, client.connect("/odd") as other:
            await peer.send(EVENTS[place])
            assert await peer.closed() == (1011, "internal error")
            assert await other.request("ping") == "pong"
        await client.settle()
    given_up = [record for record in caplog.records if "does not end" in record.getMessage()]
    assert [record.levelno for record in given_up] == [logging.ERROR]
    assert gateway.left == [1011, 1000]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_handler_that_ignores_even_that_is_left_where_it_is() -> None:
    gateway = Odd("handler", ignores)
    async with GatewayTestClient(gateway, limits=LIMITS) as client:
        async with client.connect("/odd") as peer, client.connect("/odd") as other:
            await peer.send("stay")
            await peer.closed()
            assert await other.request("ping") == "pong"
        await client.settle()
    assert len(gateway.left) == 2
    gc.collect()  # Python complains of it here, rather than in another test


async def test_an_attempt_hook_that_does_not_end_is_refused(unending: Behaviour) -> None:
    limits = Limits(attempt_timeout=SOON)
    async with GatewayTestClient(Odd("attempt", unending), limits=limits) as client:
        with pytest.raises(ConnectionDenied):
            async with client.connect("/odd"):
                pass


@pytest.mark.parametrize("place", ["connect", *EVENTS])
async def test_a_peer_that_leaves_is_gone_whatever_its_handler_does(
    place: str, unending: Behaviour
) -> None:
    gateway = Odd(place, unending)
    async with GatewayTestClient(gateway, limits=PATIENT) as client:
        async with client.connect("/odd") as peer:
            if place in EVENTS:
                await peer.send(EVENTS[place])
            await gateway.entered.wait()
            await peer.drop()
        assert gateway.left == [1006]
        assert client.service is not None
        assert client.service.stats().connections == 0


async def test_a_disconnect_hook_that_does_not_end_is_given_up(unending: Behaviour) -> None:
    gateway = Odd("disconnect", unending)
    async with GatewayTestClient(gateway, limits=PATIENT) as client:
        async with client.connect("/odd") as peer:
            await peer.drop()
        assert gateway.left == [1006]
        assert client.service is not None
        assert client.service.stats().connections == 0


@pytest.mark.parametrize("place", ["connect", *EVENTS])
async def test_a_service_ends_whatever_its_handlers_do(place: str, unending: Behaviour) -> None:
    gateway = Odd(place, unending)
    application = GatewayMiddleware(None, gateways=[gateway], limits=PATIENT)
    async with GatewayTestClient(application) as client, client.connect("/odd") as peer:
        if place in EVENTS:
            await peer.send(EVENTS[place])
        await gateway.entered.wait()
        await application.service.drain(0.0)
        assert (await peer.closed()).code == 1012
    assert gateway.left == [1012]


@pytest.mark.parametrize("place", ["attempt", "connect", "handler", "stream"])
async def test_a_connection_that_the_server_cancels_ends_whatever_its_handlers_do(
    place: str, unending: Behaviour
) -> None:
    gateway = Odd(place, unending)
    application = GatewayMiddleware(None, gateways=[gateway], limits=PATIENT)
    async with application.service, serving(application, "/odd") as server:
        if place in EVENTS:
            server.put(text(f'{{"event": "{EVENTS[place]}"}}'))
        await gateway.entered.wait()
        server.cancel_natively()
        await server.returned.wait()
        assert len(gateway.left) == (place != "attempt")


@namespace("/limited")
class Limited:
    """Handlers with time limits of their own, and much to do once they have passed."""

    @message("anyio")
    async def of_anyio(self) -> str:
        for _ in range(3):
            with anyio.move_on_after(SOON):
                await anyio.sleep_forever()
            await anyio.sleep(3 * SOON)
        return "done"

    @message("asyncio")
    async def of_asyncio(self) -> str:
        for _ in range(3):
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON):
                    await anyio.sleep_forever()
            await anyio.sleep(3 * SOON)
        return "done"

    @message("group")
    async def of_a_group(self) -> str:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                group.cancel_scope.cancel()
                with suppress(anyio.get_cancelled_exc_class()):
                    await anyio.sleep_forever()
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(3 * SOON)
        return "done"


@pytest.mark.parametrize("event", ["anyio", "asyncio", "group"])
async def test_a_handler_may_have_time_limits_of_its_own(
    event: str, anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend_name == "trio" and event == "asyncio":
        event = "anyio"  # trio has no other
    async with GatewayTestClient(Limited()) as client, client.connect("/limited") as peer:
        assert await peer.request(event) == "done"
    assert caplog.records == []
