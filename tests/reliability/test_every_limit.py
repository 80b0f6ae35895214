"""Every limit lets through what it says and not one more, `None` lets through anything, and a
namespace's own limits hold in place of the service's. Time is made here: a week passes at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import fields
from functools import partial
from typing import Any, Final, NamedTuple

import anyio
import pytest
from anyio.lowlevel import checkpoint
from trio.testing import MockClock

from asgi_ws_gateway import (
    Limits,
    Peer,
    message,
    namespace,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.limits import SERVICE_WIDE
from asgi_ws_gateway.runtime.telemetry import Stats
from asgi_ws_gateway.testing import (
    ClientConnection,
    ConnectionDenied,
    GatewayTestClient,
    RequestFailed,
)

WEEK: Final = 7 * 24 * 3600.0
SHORT: Final = 1000.0
"""A time limit, in made seconds: real ones do not count beside it."""


class MadeTime(asyncio.SelectorEventLoop):
    """asyncio with a clock that can be moved; trio has `MockClock`."""

    moved = 0.0

    def time(self) -> float:
        return super().time() + self.moved


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if request.param == "asyncio":
        return "asyncio", {"loop_factory": MadeTime}
    return "trio", {"clock": MockClock(rate=1.0)}


@namespace("/limited")
class Limited:
    def __init__(self) -> None:
        self.held = 0
        self.left = 0
        self.open = anyio.Event()
        self.open_threads = threading.Event()

    @on_connection_attempt
    async def attempt(self, params: dict[str, str]) -> bool:
        if "hold" in params:
            await self.hold()
        return True

    @on_disconnect
    async def leave(self) -> None:
        self.left += 1

    @message("hold")
    async def hold(self) -> None:
        self.held += 1
        await self.open.wait()

    @message("hold on", timeout=None)
    async def hold_on(self) -> None:
        await self.hold()

    @message("hold a thread", timeout=None)
    def hold_a_thread(self) -> None:
        self.held += 1
        self.open_threads.wait(30)

    @message("echo")
    async def echo(self, data: Any) -> Any:
        return data

    @message("join")
    async def join(self, data: Any, peer: Peer) -> bool:
        return peer.join(data)

    @message("ask", concurrent=True, timeout=None)
    async def ask(self, data: Any, peer: Peer) -> None:
        if data == 1:
            await peer.ask("question")
        async with anyio.create_task_group() as group:
            for _ in range(data):
                group.start_soon(peer.ask, "question")


class Trial:
    """One service, with limits to be tried."""

    def __init__(self, client: GatewayTestClient, gateway: Limited) -> None:
        assert client.service is not None
        self.client = client
        self.service = client.service
        self.gateway = gateway

    def connect(self, query: str = "") -> AbstractAsyncContextManager[ClientConnection]:
        return self.client.connect(f"/limited{query}")

    @property
    def stats(self) -> Stats:
        return self.service.stats()

    async def push(self, size: int = 100) -> str | None:
        """Sends everyone a message of so many bytes."""
        data = "." * (size - len('{"event":"x","data":""}'))
        report = await self.service.broadcast("/limited", "x", data)
        return "dropped" if report.dropped else None


@asynccontextmanager
async def trial(own: Limits | None, of_service: Limits | None = None) -> AsyncIterator[Trial]:
    gateway = Limited()
    if own is not None:
        gateway = namespace("/limited", limits=own)(type("Own", (Limited,), {}))()
    options: dict[str, Any] = {"timeout": 2 * WEEK, "limits": of_service}
    async with GatewayTestClient(gateway, **options) as client:
        try:
            yield Trial(client, gateway)
        finally:
            gateway.open.set()
            gateway.open_threads.set()


async def turns() -> None:
    """Lets everything happen that does not wait for anything else."""
    for _ in range(50):
        await checkpoint()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await checkpoint()


async def refusal(call: Callable[[], Awaitable[Any]]) -> str | None:
    """How a request or a handshake is refused; `None` if it is not."""
    try:
        await call()
    except RequestFailed as failed:
        return failed.code
    except ConnectionDenied as denied:
        return str(denied.status)
    return None


# What is counted. Each lets `most` through, and yields a try of one more.

OneMore = Callable[[], Awaitable[str | None]]


async def told(peer: ClientConnection, data: str) -> str | None:
    """Sends data as it is; what it is refused with."""
    await peer.send_text(f'{{"event":"echo","id":"c","data":{data}}}')
    frame = await peer.receive_frame()
    return frame["data"]["code"] if frame["event"] == "error" else None


@asynccontextmanager
async def max_message_bytes(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    data = '"' + "é" + "." * (most - len('{"event":"echo","id":"c","data":"éé"}')) + '"'
    async with trial.connect() as peer:
        assert await told(peer, data) is None
        yield partial(told, peer, data + " ")


@asynccontextmanager
async def max_depth(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    data = "[" * (most - 1) + "]" * (most - 1)
    async with trial.connect() as peer:
        assert await told(peer, data) is None
        yield partial(told, peer, f"[{data}]")


@asynccontextmanager
async def max_rooms(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with trial.connect() as peer:
        for room in [*range(most), 0]:  # it is in the last one already
            assert await peer.request("join", str(room)) is True
        yield partial(refusal, partial(peer.request, "join", "one more"))


@asynccontextmanager
async def max_room_length(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with trial.connect() as peer:
        assert await peer.request("join", "é" * most) is True
        yield partial(refusal, partial(peer.request, "join", "é" * (most + 1)))


@asynccontextmanager
async def max_pending_asks(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with trial.connect() as peer:

        async def one_more() -> str | None:
            before = len(peer.pending)
            await peer.send("ask", 1)
            await until(lambda: len(peer.pending) > before)
            last = peer.pending[-1]
            return last["data"]["code"] if last["event"] == "error" else None

        await peer.send("ask", most)
        await until(lambda: len(peer.pending) == most)
        yield one_more


@asynccontextmanager
async def outbox_messages(trial: Trial, most: int, size: int = 100) -> AsyncIterator[OneMore]:
    async with trial.connect() as peer:
        peer.pause()
        await trial.push()  # it is on its way, and does not wait
        for _ in range(most):
            assert await trial.push(size) is None
        yield partial(trial.push, size)
        peer.resume()


@asynccontextmanager
async def outbox_bytes(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with outbox_messages(trial, 4, most // 4) as one_more:
        yield one_more


@asynccontextmanager
async def inbox_messages(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with trial.connect() as peer:

        async def one_more() -> str | None:
            await peer.send("echo")
            await turns()
            return None if trial.stats.received == 1 + most + 1 else "not read"

        await peer.send("hold on")
        for _ in range(most):
            await peer.send("echo")
        await until(lambda: trial.stats.received == 1 + most)
        yield one_more
        trial.gateway.open.set()
        await trial.client.settle()
        assert trial.stats.handled == 1 + most + 1  # late is not lost


@asynccontextmanager
async def rate(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with trial.connect() as peer:
        for _ in range(most):
            await peer.request("echo")
        yield partial(refusal, partial(peer.request, "echo"))


@asynccontextmanager
async def max_attempts(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async def knock(query: str) -> None:
        async with trial.connect(query):
            pass

    async with anyio.create_task_group() as group:
        for _ in range(most):
            group.start_soon(knock, "?hold=1")
        await until(lambda: trial.gateway.held == most)
        yield partial(refusal, partial(knock, ""))
        trial.gateway.open.set()


@asynccontextmanager
async def max_connections(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with AsyncExitStack() as stack:
        for _ in range(most):
            await stack.enter_async_context(trial.connect())
        yield partial(refusal, lambda: stack.enter_async_context(trial.connect()))


@asynccontextmanager
async def threads(trial: Trial, most: int) -> AsyncIterator[OneMore]:
    async with AsyncExitStack() as stack:

        async def hold() -> None:
            peer = await stack.enter_async_context(trial.connect())
            await peer.send("hold a thread")

        async def one_more() -> str | None:
            await hold()
            # Nothing tells that a thread does not start: it would need no time to speak of.
            await anyio.to_thread.run_sync(time.sleep, 0.05)
            return None if trial.gateway.held > most else "waits"

        for _ in range(most):
            await hold()
        await until(lambda: trial.gateway.held == most)
        yield one_more
        trial.gateway.open_threads.set()
        await trial.client.settle()
        assert trial.gateway.held == most + 1


class Counted(NamedTuple):
    case: Callable[[Trial, int], AbstractAsyncContextManager[OneMore]]
    most: int
    refused: str
    many: int
    """More than the default allows."""


COUNTED: Final = {
    "max_message_bytes": Counted(max_message_bytes, 100, "message_too_large", 2**20 + 1),
    "max_depth": Counted(max_depth, 3, "invalid_json", 65),
    "max_rooms": Counted(max_rooms, 3, "limit_reached", 129),
    "max_room_length": Counted(max_room_length, 3, "limit_reached", 129),
    "max_pending_asks": Counted(max_pending_asks, 3, "limit_reached", 65),
    "outbox_messages": Counted(outbox_messages, 3, "dropped", 1025),
    "outbox_bytes": Counted(outbox_bytes, 400, "dropped", 2**20 + 4),
    "inbox_messages": Counted(inbox_messages, 3, "not read", 65),
    "rate": Counted(rate, 3, "rate_limited", 500),
    "burst": Counted(rate, 3, "rate_limited", 500),
    "max_attempts": Counted(max_attempts, 3, "503", 1001),
    "max_connections": Counted(max_connections, 3, "503", 50),
    "max_connections_per_ip": Counted(max_connections, 3, "429", 50),
    "threads": Counted(threads, 3, "waits", 41),
}


def limited(field: str, value: Any) -> Limits:
    rate = {"rate": 0.001 if value else 1000} if field == "burst" else {}
    return Limits(**rate, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", COUNTED)
async def test_a_limit_lets_through_what_it_says_and_not_one_more(field: str) -> None:
    case, most, refused, _ = COUNTED[field]
    async with (
        trial(None, limited(field, most)) as everywhere,
        case(everywhere, most) as one_more,
    ):
        assert await one_more() == refused


@pytest.mark.parametrize("field", sorted(COUNTED.keys() - SERVICE_WIDE))
async def test_a_namespace_may_have_a_limit_of_its_own(field: str) -> None:
    case, most, refused, _ = COUNTED[field]
    async with trial(limited(field, most)) as here, case(here, most) as one_more:
        assert await one_more() == refused


@pytest.mark.parametrize("field", COUNTED)
async def test_none_lets_through_anything(field: str) -> None:
    case, most, _, many = COUNTED[field]
    none = limited(field, None)
    own, of_service = (None, none) if field in SERVICE_WIDE else (none, limited(field, most))
    async with trial(own, of_service) as here, case(here, many) as one_more:
        assert await one_more() is None


# What is timed. Each starts what the time of the limit counts for, and yields whether that is over.

Over = Callable[[], bool]


@asynccontextmanager
async def handler_timeout(trial: Trial) -> AsyncIterator[Over]:
    async with trial.connect() as peer:
        await peer.send("hold")
        yield lambda: [frame["data"]["code"] for frame in peer.pending] == ["handler_timeout"]
        trial.gateway.open.set()


@asynccontextmanager
async def attempt_timeout(trial: Trial) -> AsyncIterator[Over]:
    answers: list[str | None] = []

    async def connect() -> None:
        async with trial.connect("?hold=1"):
            pass

    async def knock() -> None:
        answers.append(await refusal(connect))

    async with anyio.create_task_group() as group:
        group.start_soon(knock)
        yield lambda: answers == ["503"]
        trial.gateway.open.set()


@asynccontextmanager
async def send_timeout(trial: Trial) -> AsyncIterator[Over]:
    async with trial.connect() as peer:
        peer.pause()
        await trial.push()
        yield lambda: trial.service.peers("/limited") == []
        peer.resume()


@asynccontextmanager
async def linger(trial: Trial) -> AsyncIterator[Over]:
    async with trial.connect() as peer:
        await peer.send("hold on")
        await until(lambda: trial.gateway.held == 1)
        peer.drop()
        yield lambda: trial.gateway.left == 1
        trial.gateway.open.set()


@asynccontextmanager
async def ask_timeout(trial: Trial) -> AsyncIterator[Over]:
    async with trial.connect() as peer:
        await peer.send("ask", 1)
        yield lambda: [frame["event"] for frame in peer.pending] == ["question", "error"]


@asynccontextmanager
async def heartbeat(trial: Trial) -> AsyncIterator[Over]:
    async with trial.connect() as peer:
        yield lambda: [frame["event"] for frame in peer.pending] == ["heartbeat"]


@asynccontextmanager
async def unanswered_heartbeat(trial: Trial) -> AsyncIterator[Over]:
    async with trial.connect() as peer:
        yield lambda: trial.stats.closed == {4408: 1}
        assert [frame["event"] for frame in peer.pending] in ([], ["heartbeat"])


TIMED: Final = {
    "handler_timeout": handler_timeout,
    "attempt_timeout": attempt_timeout,
    "send_timeout": send_timeout,
    "linger": linger,
    "ask_timeout": ask_timeout,
    "heartbeat": heartbeat,
}


@pytest.fixture
def let_pass(anyio_backend: tuple[str, dict[str, Any]]) -> Callable[[float], Awaitable[None]]:
    """Lets made time pass."""

    async def let_pass(seconds: float) -> None:
        await turns()
        if anyio_backend[0] == "asyncio":
            loop: Any = asyncio.get_running_loop()
            loop.moved += seconds
        else:
            anyio_backend[1]["clock"].jump(seconds)
        await turns()

    return let_pass


@pytest.mark.parametrize("of", ["service", "namespace"])
@pytest.mark.parametrize("field", TIMED)
async def test_a_time_limit_is_over_when_it_says(
    field: str, of: str, let_pass: Callable[[float], Awaitable[None]]
) -> None:
    limits = limited(field, SHORT)
    of_service, own = (limits, None) if of == "service" else (Limits(), limits)
    async with trial(own, of_service) as here, TIMED[field](here) as over:
        await let_pass(SHORT - 10)
        assert not over()
        await let_pass(20)
        assert over()


async def test_a_heartbeat_has_as_long_again_for_its_answer(
    let_pass: Callable[[float], Awaitable[None]],
) -> None:
    async with trial(limited("heartbeat", SHORT)) as here, unanswered_heartbeat(here) as over:
        await let_pass(SHORT + 10)
        await let_pass(SHORT - 30)
        assert not over()
        await let_pass(40)
        assert over()


@pytest.mark.parametrize("field", TIMED)
async def test_without_a_time_limit_a_week_may_pass(
    field: str, let_pass: Callable[[float], Awaitable[None]]
) -> None:
    none = limited(field, None)
    async with trial(none, limited(field, SHORT)) as here, TIMED[field](here) as over:
        await let_pass(WEEK)
        assert not over()


@pytest.mark.parametrize("of", ["service", "namespace"])
@pytest.mark.parametrize(
    ("overflow", "kept"),
    [("close", []), ("drop_oldest", [0, 2, 3]), ("drop_newest", [0, 1, 2])],
)
async def test_what_overflows_is_the_affair_of_the_policy(
    overflow: Any, kept: list[int], of: str
) -> None:
    limits = Limits(overflow=overflow, outbox_messages=2)
    of_service, own = (limits, None) if of == "service" else (Limits(), limits)
    async with trial(own, of_service) as here, here.connect() as peer:
        peer.pause()
        for number in range(4):
            await here.service.broadcast("/limited", "x", number)
        peer.resume()
        await here.client.settle()
        assert [frame["data"] for frame in peer.pending] == kept
        assert here.stats.dropped["overflow"] == 1
        assert (here.stats.closed[1013] == 1) == (overflow == "close")


def test_no_limit_is_left_out() -> None:
    assert {field.name for field in fields(Limits)} == {*COUNTED, *TIMED, "overflow"}
