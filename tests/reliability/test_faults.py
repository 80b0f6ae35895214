"""Whatever fails, and wherever it fails: a session ends once, leaves nothing, and hurts nobody."""

from __future__ import annotations

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import Iterator
from itertools import count, product
from random import Random
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import GatewayMiddleware, WebSocketService, message, namespace
from asgi_ws_gateway.testing import GatewayTestClient
from tests.effort import Effort
from tests.reliability.clock import LOOPS, hurry, on_trio
from tests.reliability.faults import SUSPENSION, Fault, FaultyWire, Points
from tests.reliability.session import (
    AT_ONCE,
    BOUND,
    PATIENCE,
    Calm,
    End,
    Session,
    be_closed,
    calm,
    drop,
    leave,
)

ENDS: list[End] = [leave, drop, be_closed]


@pytest.fixture(params=LOOPS.values(), ids=list(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


async def faulty(service: Calm, fault: Fault, end: End = leave, **options: Any) -> int:
    """A session for each of its awaits, which has this fault; returns how many that are."""
    clean = await service.session(Points(), end, **options)
    found = [(name, time) for name, time in clean.passed if fault.fits(name) and name != SUSPENSION]
    for point in found:
        points = await service.session(Points({point: fault}), end, **options)
        assert points.hit is not None, f"{point} was not reached"
    return len(found)


FAULTS = [fault for fault in Fault if fault.ends]

USER_CODE = [
    *("attempt hook", "connect hook", "disconnect hook", "on_error"),
    *("handler", "handler that asks", "handler that broadcasts", "handler that closes"),
    *("concurrent handler", "stream", "stream's end"),
    *("thread", "thread's stream", "thread's stream's end"),
]


def named(fault: Fault) -> str:
    return fault.name.lower()


async def test_a_session_without_a_fault_is_whole() -> None:
    async with calm() as service:
        points = await service.session(Points(), be_closed)
    assert points.lefts == [4000]
    server = ["receive", "send accept", "send send", "send close", SUSPENSION]
    assert {name for name, _ in points.passed} == {*USER_CODE, *server}


@pytest.mark.parametrize("fault", FAULTS, ids=named)
async def test_a_fault_at_any_await_hurts_nobody_else(
    fault: Fault, effort: Effort, anyio_backend_name: str
) -> None:
    sessions = 0
    async with calm() as service:
        for end, slow in product(ENDS, (False, True)):
            if slow == (end is drop) or effort.soak:
                sessions += await faulty(service, fault, end, slow=slow)
    effort.figure(
        f"{fault.value} at every await of a session ({anyio_backend_name})",
        "`on_disconnect` once, nothing left, a bystander served",
        f"so in {sessions} sessions of {sessions}",
    )
    assert sessions > 60


@pytest.mark.parametrize("fault", FAULTS, ids=named)
async def test_a_fault_at_any_await_of_a_refusal_hurts_nobody(fault: Fault) -> None:
    async with calm() as service:
        sessions = await faulty(service, fault, url="/session?status=401")
        sessions += await faulty(service, fault, url="/session?status=401", denials=False)
        sessions += await faulty(service, fault, url="/session?code=4001")
    assert sessions >= 3


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_the_server_may_cancel_wherever_a_session_waits(end: End) -> None:
    async with calm() as service:
        for time in count(1):
            points = Points({(SUSPENSION, time): Fault.SERVER_CANCELS})
            await service.session(points, end)
            if points.hit is None:
                break
    assert time > 20


# A generator whose thread was cut off closes itself when it is collected, after its loop has ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_several_faults_in_one_session_hurt_nobody_else(effort: Effort) -> None:
    async with calm() as service:
        found = {end: (await service.session(Points(), end)).passed for end in ENDS}
        for seed in range(effort.of(100, 20_000)):
            random = Random(seed)
            end = random.choice(ENDS)
            faults = {
                point: random.choice([fault for fault in FAULTS if fault.fits(point[0])])
                for point in random.sample(found[end], 3)
            }
            await service.session(Points(faults), end, slow=random.random() < 0.5)


async def test_a_cancellation_asked_for_before_the_accept_is_not_lost_in_the_connect_hook() -> None:
    faults = {
        ("attempt hook", 2): Fault.SERVER_CANCELS,
        ("connect hook", 2): Fault.STUBBORN_HANG,
        ("receive", 2): Fault.CANCELS_ITSELF,
    }
    async with calm() as service:
        for end in ENDS:
            await service.session(Points(faults), end)


async def test_a_cancellation_of_a_thread_s_own_ends_nothing_while_its_peer_is_lost() -> None:
    faults = {("thread", 2): Fault.CANCELS_ITSELF, ("send send", 6): Fault.RUNTIME_ERROR}
    async with calm() as service:
        for end in ENDS:
            await service.session(
                Points({("stream's end", 1): Fault.OWN_CANCELLATION, **faults}), end
            )
            await service.session(Points(faults), end)


async def test_a_cancellation_that_the_disconnect_hook_swallows_is_not_lost() -> None:
    faults = {
        ("suspension", 20): Fault.SERVER_CANCELS,
        ("send send", 12): Fault.RUNTIME_ERROR,
        ("disconnect hook", 2): Fault.STUBBORN_HANG,
    }
    async with calm() as service:
        await service.session(Points(faults), be_closed)


@namespace("/own")
class CancelsItself:
    @message("cancel", concurrent=True)
    async def cancel(self) -> None:
        if not on_trio():
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    @message("ping")
    async def ping(self) -> str:
        return "pong"


async def test_a_concurrent_handler_that_cancels_its_own_task_does_not_end_the_service() -> None:
    async with (
        GatewayTestClient(CancelsItself()) as client,
        client.connect("/own") as peer,
        client.connect("/own") as other,
    ):
        await peer.send("cancel")
        for _ in range(3):
            assert await other.request("ping") == "pong"
        async with client.connect("/own") as late:
            assert await late.request("ping") == "pong"


async def test_a_send_that_cancels_its_own_task_does_not_end_the_service() -> None:
    faults = {
        ("concurrent handler", 1): Fault.ODD_ERROR,
        ("send send", 3): Fault.CANCELS_ITSELF,
        ("stream's end", 1): Fault.RUNTIME_ERROR,
    }
    async with calm() as service:
        for end in ENDS:
            await service.session(Points(faults), end)


class BrokenObserver:
    """Each of its methods raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def broken(*args: Any) -> None:
            raise self._error("broken")

        return broken


class BrokenLog(logging.Handler):
    """A full disk, say."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("broken")


@pytest.fixture
def broken_log() -> Iterator[None]:
    log = logging.getLogger("asgi_ws_gateway")
    handler = BrokenLog()
    log.addHandler(handler)
    yield
    log.removeHandler(handler)


WITH_AN_ERROR_PATH = [Fault.RUNTIME_ERROR, Fault.OWN_CANCELLATION, Fault.HANG]


@pytest.mark.parametrize("fault", WITH_AN_ERROR_PATH, ids=named)
@pytest.mark.usefixtures("broken_log")
async def test_a_log_that_fails_hurts_nobody(fault: Fault) -> None:
    async with calm() as service:
        assert await faulty(service, fault, be_closed) > 40


@pytest.mark.parametrize("fault", WITH_AN_ERROR_PATH, ids=named)
@pytest.mark.parametrize("error", [RuntimeError, CancelledError])
async def test_observers_that_fail_hurt_nobody(fault: Fault, error: type[BaseException]) -> None:
    async with calm(observers=[BrokenObserver(error)]) as service:
        assert await faulty(service, fault, be_closed) > 40


# Neither a thread can be ended, nor a generator that is still in its step.
ENDABLE = [name for name in USER_CODE if not name.startswith(("thread", "stream"))]


@pytest.mark.parametrize("name", ENDABLE)
@pytest.mark.parametrize("fault", [Fault.ENDLESS_HANG, Fault.SHIELDED_HANG], ids=named)
async def test_user_code_that_never_ends_is_left_behind(fault: Fault, name: str) -> None:
    async with calm() as service:
        points = await service.session(Points({(name, 1): fault}), be_closed)
    assert points.hit is not None


@pytest.mark.parametrize("name", ["send send", "send close"])
async def test_a_send_that_never_ends_holds_up_nothing_else(name: str) -> None:
    async with calm() as service:
        points = await service.session(Points({(name, 1): Fault.ENDLESS_HANG}), be_closed)
    assert points.hit is not None


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.ENDLESS_HANG], ids=named)
async def test_a_service_stops_whatever_hangs(fault: Fault) -> None:
    service = WebSocketService()
    app = GatewayMiddleware(None, service, gateways=[Session()])
    names = [name for name in ENDABLE if name != "handler that asks"]
    if fault.ends:
        names += ["receive", "send send"]
    wires = [FaultyWire(Points({(name, 1): fault})) for name in names]

    async def let_go() -> None:
        await anyio.sleep(BOUND)
        for wire in wires:
            wire.points.let_go()

    async with anyio.create_task_group() as group:
        async with service:
            for wire in wires:
                for event in ("aside", "wait", "news", "fail", "close"):
                    wire.put({"type": "websocket.receive", "text": f'{{"event": "{event}"}}'})
                group.start_soon(wire.serve, app, "/session")
            await anyio.wait_all_tasks_blocked()
            since = anyio.current_time()
            group.start_soon(let_go)
        assert anyio.current_time() - since < AT_ONCE
        for wire in wires:
            await wire.finished.wait()
        assert anyio.current_time() - since < BOUND
        group.cancel_scope.cancel()
    for wire in wires:
        assert (wire.error, wire.fault) == (None, None)
        assert len(wire.points.lefts) == (wire.accepted is not None)
        assert wire.points.hit is not None


async def in_time_of_anyio(send: Any, message: Any) -> None:
    with anyio.fail_after(1):
        await send(message)


async def in_time_of_asyncio(send: Any, message: Any) -> None:
    async with asyncio.timeout(1):
        await send(message)


@pytest.mark.parametrize(
    ("anyio_backend", "send_in_time"),
    [
        (LOOPS["asyncio"], in_time_of_anyio),
        (LOOPS["asyncio"], in_time_of_asyncio),
        (LOOPS["trio"], in_time_of_anyio),
    ],
    ids=["asyncio-anyio", "asyncio-asyncio", "trio-anyio"],
)
async def test_the_time_limit_of_a_middleware_for_sends_hurts_nobody_else(
    send_in_time: Any,
) -> None:
    service = WebSocketService()
    inner = GatewayMiddleware(None, service, gateways=[Session()])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def limited(message: Any) -> None:
            await send_in_time(send, message)

        await inner(scope, receive, limited)

    survived = False
    scope = {"points": Points()}
    async with (
        GatewayTestClient(app, service=service, timeout=PATIENCE) as client,
        client.connect("/session", scope=scope) as slow,
        client.connect("/session", scope=scope) as peer,
    ):
        await client.settle()
        slow.pause()
        await peer.request("news")
        hurry()
        await slow.closed()
        survived = await peer.request("plain") == "done"
    assert survived
