"""What a message costs in tasks, loop callbacks and encodes: counts, alike on every machine."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

import asgi_ws_gateway
from asgi_ws_gateway import (
    GatewayMiddleware,
    JSONCodec,
    Peer,
    WebSocketService,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
)
from asgi_ws_gateway.runtime import turn
from asgi_ws_gateway.testing.scope import websocket_scope

SEND = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}


@pytest.fixture
def anyio_backend() -> str:
    """These count asyncio's own tasks and callbacks."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns are given by the count alone: a busy machine takes 10 ms for a few messages."""
    monkeypatch.setattr(turn, "SECONDS", float("inf"))


class CountingCodec(JSONCodec):
    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[str] = []

    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> str:
        self.encoded.append(event)
        return super().encode(event, data, id, more)


class CountingLoop:
    """Counts what is scheduled on the running loop."""

    def __init__(self) -> None:
        self.callbacks = 0
        self.tasks = 0
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> CountingLoop:
        self._call_soon = self._loop.call_soon
        self._call_at = self._loop.call_at

        def call_soon(*args: Any, **kwargs: Any) -> Any:
            self.callbacks += 1
            return self._call_soon(*args, **kwargs)

        def call_at(*args: Any, **kwargs: Any) -> Any:
            self.callbacks += 1
            return self._call_at(*args, **kwargs)

        def create(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
            self.tasks += 1
            return asyncio.Task(coroutine, loop=loop, **kwargs)

        self._loop.call_soon = call_soon  # type: ignore[method-assign]
        self._loop.call_at = call_at  # type: ignore[method-assign]
        self._loop.set_task_factory(create)
        return self

    def __exit__(self, *_: object) -> None:
        del self._loop.call_soon  # type: ignore[method-assign]
        del self._loop.call_at  # type: ignore[method-assign]
        self._loop.set_task_factory(None)


@namespace("/counted")
class Counted:
    @message("ping")
    @emit("pong")
    async def on_ping(self) -> dict[str, Any]:
        return {}

    @message("submit", schema=SEND)
    @emit("submitted")
    async def on_submit(self, data: dict[str, Any], peer: Peer) -> str:
        return str(data["text"])

    @message("say")
    @broadcast("said")
    async def on_say(self, data: Any) -> Any:
        return data

    @message("both")
    @emit("done")
    @broadcast_others("told")
    async def on_both(self) -> None:
        return None


class Driver:
    """A server whose messages are all there at once and whose sends never wait."""

    def __init__(self, messages: list[str], at_end: Callable[[], Awaitable[None]]) -> None:
        self.messages = iter(messages)
        self.at_end = at_end
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        for text in self.messages:
            return {"type": "websocket.receive", "text": text}
        await self.at_end()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


class Audience:
    """Peers that are connected and listen."""

    def __init__(self, application: GatewayMiddleware, count: int) -> None:
        self.application = application
        self.leave = asyncio.Event()
        self.drivers = [Driver([], self._wait) for _ in range(count)]

    async def _wait(self) -> None:
        await self.leave.wait()

    async def __aenter__(self) -> Audience:
        self.tasks = [
            asyncio.create_task(
                self.application(websocket_scope("/counted"), driver.receive, driver.send)
            )
            for driver in self.drivers
        ]
        service = self.application.service
        while len(service.peers("/counted")) < len(self.drivers):
            await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave.set()
        await asyncio.gather(*self.tasks)


async def run(application: GatewayMiddleware, messages: list[str]) -> tuple[CountingLoop, Driver]:
    """Serves one connection that sends `messages`; counts from its start to its end."""

    async def nothing() -> None:
        return None

    driver = Driver(messages, nothing)
    with CountingLoop() as loop:
        await application(websocket_scope("/counted"), driver.receive, driver.send)
    return loop, driver


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"ping"}',
        '{"event":"ping","id":1}',
        '{"event":"submit","data":{"text":"hi"}}',
        '{"event":"submit","data":{}}',
        '{"event":"say","data":"hi"}',
        '{"event":"both","id":"c1"}',
        '{"event":"unknown"}',
        "not json",
    ],
)
async def test_a_message_that_does_not_wait_costs_no_task_and_no_callback(text: str) -> None:
    application = GatewayMiddleware(None, gateways=[Counted()])
    async with application.service:
        idle, _ = await run(application, [])
        loop, driver = await run(application, [text] * 200)
    assert len(driver.sent) >= 200
    assert loop.tasks == idle.tasks == 0
    assert loop.callbacks == idle.callbacks


async def test_after_256_messages_the_loop_has_a_turn() -> None:
    application = GatewayMiddleware(None, gateways=[Counted()])
    async with application.service:
        idle, _ = await run(application, [])
        loop, driver = await run(application, ['{"event":"ping"}'] * 600)
    assert len(driver.sent) == 601
    assert loop.callbacks - idle.callbacks >= 2


@pytest.mark.parametrize("peers", [1, 10, 300])
async def test_a_broadcast_is_encoded_once_and_scheduled_never(peers: int) -> None:
    codec = CountingCodec()
    service = WebSocketService(codec=codec)
    service.register(Counted())
    application = GatewayMiddleware(None, service)
    async with service, Audience(application, peers) as audience:
        with CountingLoop() as loop:
            report = await service.broadcast("/counted", "news", {"n": 1})
        assert report == (peers, 0, True)
        assert codec.encoded == ["news"]
        assert (loop.tasks, loop.callbacks) == (0, 0)
        assert all(
            driver.sent[-1] == {"type": "websocket.send", "text": '{"event":"news","data":{"n":1}}'}
            for driver in audience.drivers
        )


async def test_a_handlers_broadcast_is_encoded_once_whatever_the_number_of_peers() -> None:
    codec = CountingCodec()
    application = GatewayMiddleware(None, gateways=[Counted()], codec=codec)
    async with application.service, Audience(application, 100) as audience:
        loop, _ = await run(application, ['{"event":"say","data":"hi"}'])
        assert codec.encoded == ["said"]
        assert loop.tasks == 0
        assert all(len(driver.sent) == 2 for driver in audience.drivers)


async def test_a_suspended_send_costs_one_task_and_later_ones_none() -> None:
    application = GatewayMiddleware(None, gateways=[Counted()])
    service = application.service
    room = asyncio.Event()
    async with service, Audience(application, 1) as audience:
        driver = audience.drivers[0]
        take = driver.send

        async def slow(message: dict[str, Any]) -> None:
            await room.wait()
            await take(message)

        member: Any = next(iter(service.running.hub))
        member._transport._send = slow
        with CountingLoop() as loop:
            for number in range(50):
                assert await service.broadcast("/counted", "news", number) == (1, 0, True)
            assert loop.tasks == 1
        room.set()
        await member.settled()
        texts = [message["text"] for message in driver.sent[1:]]
        assert texts == [f'{{"event":"news","data":{number}}}' for number in range(50)]


PACKAGE: Final = str(Path(asgi_ws_gateway.__file__).parent)


async def calls(application: GatewayMiddleware, text: str, messages: int) -> Counter[str]:
    """The calls of the package's own functions, while one connection sends so many messages."""
    counted: Counter[str] = Counter()

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            counted[frame.f_code.co_qualname] += 1

    async def nothing() -> None:
        return None

    driver = Driver([text] * messages, nothing)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        await application(websocket_scope("/counted"), driver.receive, driver.send)
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ('{"event":"ping"}', 17),
        ('{"event":"ping","id":1}', 19),
    ],
)
async def test_a_message_costs_so_many_calls_of_ours(text: str, own: int) -> None:
    application = GatewayMiddleware(None, gateways=[Counted()])
    async with application.service:
        some, more = [await calls(application, text, count) for count in (20, 120)]
    each = {name: (more[name] - some[name]) / 100 for name in more if more[name] > some[name]}
    assert sum(each.values()) == own, each


async def test_a_delivery_costs_two_calls_of_ours() -> None:
    application = GatewayMiddleware(None, gateways=[Counted()])
    some: Counter[str] = Counter()
    async with application.service:
        for peers in (10, 110):
            async with Audience(application, peers):
                before, some = some, await calls(application, '{"event":"say"}', 1)
    each = {name: (some[name] - before[name]) / 100 for name in some if some[name] > before[name]}
    assert each == {"Writer.push": 1, "ASGITransport.send": 1}
