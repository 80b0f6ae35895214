"""Event loops, forks, threads and logs: the service outlives them, or ends in time."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

import asgi_ws_gateway
from asgi_ws_gateway import (
    BlockingPeer,
    GatewayMiddleware,
    Limits,
    Peer,
    WebSocketService,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
    on_error,
)
from asgi_ws_gateway.runtime import running
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient, RequestFailed
from asgi_ws_gateway.testing.scope import websocket_scope
from asgi_ws_gateway.testing.wire import Wire
from tests.effort import Effort

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = Path(asgi_ws_gateway.__file__).parent
BACKENDS: Final = ["asyncio", "trio"]


@namespace("/process")
class Gateway:
    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.left: Counter[int] = Counter()
        self.open = threading.Event()

    @on_connect
    async def connected(self, peer: Peer) -> None:
        peer.join("room")

    @message("ping")
    async def ping(self) -> str:
        return "pong"

    @message("wait")
    async def wait(self) -> str:
        await checkpoint()
        return "waited"

    @message("hang")
    async def hang(self) -> None:
        await anyio.sleep_forever()

    @message("fail")
    async def fail(self, data: Any) -> None:
        raise ValueError(data)

    @message("keep")
    async def keep(self, peer: Peer) -> None:
        self.kept.append(peer)

    @message("keep in a thread")
    def keep_in_a_thread(self, peer: BlockingPeer) -> None:
        self.kept.append(peer)

    @message("count")
    def count(self, data: Any, peer: BlockingPeer) -> bool:
        return all(peer.send("number", number) for number in range(data))

    @on_disconnect
    async def leave(self, peer: Peer, code: int) -> None:
        self.left[code] += 1


def service_of(client: GatewayTestClient) -> WebSocketService:
    assert client.service is not None
    return client.service


def ours() -> Counter[str]:
    """What there is of us in this process, by type."""
    gc.collect()
    names = (type(thing) for thing in gc.get_objects())
    return Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in names
        if str(kind.__module__).startswith("asgi_ws_gateway.runtime")
    )


# Event loops.


def test_it_lives_a_hundred_times_each_in_a_loop_of_its_own() -> None:
    gateway = Gateway()
    application = GatewayMiddleware(None, gateways=[gateway])

    async def live() -> None:
        async with GatewayTestClient(application) as client, client.connect("/process") as peer:
            assert await peer.request("wait") == "waited"
            assert (await application.service.broadcast("/process", "news")).queued == 1

    for round in range(100):
        anyio.run(live, backend=BACKENDS[round % 2])
        assert application.service.health().reason == "not running"
        if round == 9:
            before = ours()
    assert gateway.left == {1000: 100}
    assert ours() == before


def test_it_outlives_a_loop_that_was_closed_under_it() -> None:
    application = GatewayMiddleware(None, gateways=[Gateway()])
    for _ in range(2):
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(application.service.start())
        finally:
            loop.close()  # none of its tasks has ended: some test suites do that

    async def live() -> None:
        async with GatewayTestClient(application, timeout=2) as client:
            async with client.connect("/process") as peer:
                assert await peer.request("wait") == "waited"

    for backend in BACKENDS:
        anyio.run(live, backend=backend)
    gc.collect()  # what the closed loops have left must not raise later


class Threaded(Wire):
    """Knows which threads it is used in."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    async def send(self, message: dict[str, Any]) -> None:
        self.threads.add(threading.get_ident())
        await super().send(message)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_connection_is_never_used_in_a_thread_that_is_not_its_servers(backend: str) -> None:
    application = GatewayMiddleware(None, gateways=[Gateway()])
    started, served, ended = (threading.Event() for _ in range(3))
    wire = Threaded()

    async def first() -> None:
        async with GatewayTestClient(application) as client:
            async with client.connect("/process") as peer:
                started.set()
                await to_thread.run_sync(served.wait, 5)
                await application.service.broadcast("/process", "news")
                await peer.receive("news")
                ended.set()

    async def second() -> None:
        """A second server of the same application, in a loop and a thread of its own."""
        async with anyio.create_task_group() as group:
            group.start_soon(application, websocket_scope("/process"), wire.receive, wire.send)
            with anyio.move_on_after(5):
                while wire.accepted is None and wire.denial is None:
                    await checkpoint()
            served.set()
            await to_thread.run_sync(ended.wait, 5)
            wire.leave(1000)
            group.cancel_scope.cancel()

    thread = threading.Thread(target=partial(anyio.run, first, backend=backend), daemon=True)
    thread.start()
    started.wait(5)
    anyio.run(second, backend=backend)
    thread.join(5)
    assert not thread.is_alive()
    assert wire.threads == {threading.get_ident()}
    assert wire.denial is None or wire.denial[0] == 503


# Processes.

FORKS: Final = """
import json, os, sys
from typing import Any
import anyio
from asgi_ws_gateway import BlockingPeer, GatewayMiddleware, message, namespace
from asgi_ws_gateway.testing import GatewayTestClient

@namespace("/fork")
class Fork:
    @message("who")
    def who(self, data: Any, peer: BlockingPeer) -> Any:
        return [peer.id, application.service.running.node]

async def serve():
    async with GatewayTestClient(application) as client, client.connect("/fork") as peer:
        return await peer.request("who")

def live():
    return anyio.run(serve, backend=sys.argv[1])

def tell(ids):
    os.write(1, (json.dumps(ids) + "\\n").encode())

application = GatewayMiddleware(None, gateways=[Fork()])
if sys.argv[2] == "used":
    live()
for _ in range(3):
    if not os.fork():
        tell(live())
        os._exit(0)
tell(live())
assert [os.wait()[1] for _ in range(3)] == [0, 0, 0]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("used", ["fresh", "used"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_forked_workers_share_nothing(backend: str, used: str) -> None:
    # -W: that threads and fork go badly together is no news, and none is at work by then.
    command = [sys.executable, "-W", "ignore", "-c", FORKS, backend, used]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=30)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(told) == 4
    for ids in zip(*told, strict=True):
        assert len(set(ids)) == 4


# The end, and the beginning.


async def test_a_drain_lets_go_of_everyone_whatever_they_are_at() -> None:
    gateway = Gateway()
    async with GatewayTestClient(gateway) as client, AsyncExitStack() as stack:
        service = service_of(client)
        peers = [await stack.enter_async_context(client.connect("/process")) for _ in range(60)]
        for peer in peers[:20]:
            await peer.send("hang")
        for peer in peers[20:40]:
            peer.pause()
        await service.broadcast("/process", "news")
        await service.drain(0.05)
        for peer in peers[20:40]:
            peer.resume()
        await client.settle()
        assert gateway.left == service.stats().closed == {1012: 60}
        assert [(await peer.closed()).code for peer in peers] == [1012] * 60
        with pytest.raises(ConnectionDenied, match="503"):
            async with client.connect("/process"):
                pass


async def test_a_drain_of_many_gives_others_a_turn_between() -> None:
    seen: list[int] = []
    async with GatewayTestClient(Gateway()) as client, AsyncExitStack() as stack:
        for _ in range(250):
            await stack.enter_async_context(client.connect("/process"))
        service = service_of(client)

        async def watch() -> None:
            while service.peers("/process"):
                seen.append(len(service.peers("/process")))
                await checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await service.drain()
    assert [count for count in seen if 0 < count < 250]


async def test_a_stop_closes_everyone_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "DRAINED_TOGETHER", 1)
    monkeypatch.setattr(running, "checkpoint", anyio.sleep_forever)
    async with GatewayTestClient(Gateway()) as client, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(client.connect("/process")) for _ in range(5)]
        service = service_of(client)
        await service.drain(0.0)
        assert [(await peer.closed()).code for peer in peers] == [1012] * 5


async def test_a_lifespan_may_come_after_the_first_connection() -> None:
    gateway = Gateway()
    application = GatewayMiddleware(None, gateways=[gateway])
    early = Wire()
    async with anyio.create_task_group() as group:
        group.start_soon(application, websocket_scope("/process"), early.receive, early.send)
        while early.accepted is None:
            await early.changed()
        async with GatewayTestClient(application) as client, client.connect("/process") as late:
            assert await late.request("ping") == "pong"
            early.put({"type": "websocket.receive", "text": '{"event":"ping","id":1}'})
            while not early.received:
                await early.changed()
            assert len(application.service.peers("/process")) == 2
        while early.end is None:
            await early.changed()
    assert early.end == (1012, "service restart")
    assert gateway.left == {1000: 1, 1012: 1}


async def test_every_handshake_is_counted_once_whenever_the_service_ends() -> None:
    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        if fails:
            raise RuntimeError
        yield

    class Slow(Wire):
        async def send(self, message: dict[str, Any]) -> None:
            if message["type"] == "websocket.accept":
                accepting.set()
                await accept.wait()
            await super().send(message)

    fails = True
    accepting, accept = anyio.Event(), anyio.Event()
    application = GatewayMiddleware(None, gateways=[Gateway()], lifespan=lifespan)
    service = application.service
    unlucky, slow = Wire(), Slow()
    await application(websocket_scope("/process"), unlucky.receive, unlucky.send)
    assert unlucky.denial is not None
    assert service.stats().refused == {"not_started": 1}
    fails = False
    async with service, anyio.create_task_group() as group:
        group.start_soon(application, websocket_scope("/process"), slow.receive, slow.send)
        await accepting.wait()
        await service.drain(0)
        accept.set()
    assert slow.end == (1012, "service restart")
    assert service.stats().refused == {"not_started": 1, "draining": 1}
    assert service.stats().accepted == 0


# What is kept.


@pytest.mark.parametrize("event", ["keep", "keep in a thread"])
async def test_a_kept_peer_keeps_nothing_of_its_connection(event: str) -> None:
    gateway = Gateway()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/process") as peer:
            await peer.request(event)  # what is made once is there
        before = ours()
        for _ in range(3):
            async with client.connect("/process") as peer:
                await peer.request(event)
                peer.pause()
                for _ in range(100):
                    await service_of(client).broadcast("/process", "news", "." * 1000)
                await peer.drop()
        await client.settle()
        for _ in range(20):
            await checkpoint()
        kept = ours() - before
        # What takes the connection's place, and nothing that could hold a queue or a buffer.
        assert kept == {"asgi_ws_gateway.runtime.link.GoneLink": 3}
        assert [one.rooms for one in gateway.kept] == [{"room"}] * 4


async def test_a_peer_that_says_nothing_costs_little(
    effort: Effort, anyio_backend_name: str
) -> None:
    count = effort.of(100, 2_000)
    application = GatewayMiddleware(None, gateways=[Gateway()])
    service = application.service
    leave = anyio.Event()

    async def receive() -> dict[str, Any]:
        await leave.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        """Takes everything at once."""

    async with service, anyio.create_task_group() as group:

        async def connect(scopes: list[dict[str, Any]]) -> None:
            before = service.stats().connections
            for scope in scopes:
                group.start_soon(application, scope, receive, send)
            while service.stats().connections < before + len(scopes):
                await checkpoint()
            gc.collect()

        await connect([websocket_scope("/process")])
        scopes = [websocket_scope("/process") for _ in range(count)]
        tracemalloc.start()
        try:
            await connect(scopes)
            snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
        leave.set()
    ours = snapshot.filter_traces([tracemalloc.Filter(True, str(PACKAGE / "*"))])
    each = sum(trace.size for trace in ours.traces) / count
    effort.figure(
        f"{count:,} peers that say nothing, on {anyio_backend_name}",
        "at most 12 KiB of our own for each",
        f"{each / 1024:.1f} KiB",
    )
    assert 1024 < each < 12 * 1024


# Threads.


async def test_what_threads_send_arrives_though_the_loop_sleeps(effort: Effort) -> None:
    threads, times = 4, effort.of(100, 5_000)
    limits = Limits(outbox_messages=None)
    async with GatewayTestClient(Gateway(), limits=limits) as client:
        async with client.connect("/process") as peer:
            service = service_of(client)

            def send(thread: int) -> None:
                for number in range(times):
                    service.blocking.broadcast("/process", f"from {thread}", number, room="room")

            await client.settle()
            async with anyio.create_task_group() as group:
                for thread in range(threads):
                    group.start_soon(to_thread.run_sync, send, thread)
            await client.settle()
            for thread in range(threads):
                numbers = [frame["data"] for frame in peer.pending if str(thread) in frame["event"]]
                assert numbers == list(range(times))


@pytest.mark.parametrize("verb", ["join", "leave"])
async def test_what_belongs_to_the_loop_is_not_touched_in_another_thread(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway()
    touched_in: list[int] = []
    async with GatewayTestClient(gateway) as client, client.connect("/process") as peer:
        await peer.request("keep")
        hub: Any = service_of(client).running.hub
        original = getattr(hub, verb)

        def touch(*args: Any) -> Any:
            touched_in.append(threading.get_ident())
            return original(*args)

        monkeypatch.setattr(hub, verb, touch)
        name = {"join": "another", "leave": "room"}[verb]
        try:
            assert await to_thread.run_sync(getattr(gateway.kept[0], verb), name) is True
        except RuntimeError:
            assert touched_in == []
        else:
            assert touched_in == [threading.get_ident()]


# The log.


class Unprintable(logging.Handler):
    """Fails as a log does whose disk is full, or whose code is wrong."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("no space left on device")


@pytest.fixture
def broken_log() -> Iterator[None]:
    handler = Unprintable()
    logger = logging.getLogger("asgi_ws_gateway")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


class Fails:
    """Raises in one place."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.left = 0

    def _at(self, place: str) -> None:
        if place == self._place:
            raise RuntimeError(place)

    @on_connection_attempt
    async def attempt(self) -> bool:
        self._at("attempt")
        return True

    @on_connect
    async def connected(self) -> None:
        self._at("connect")

    @on_disconnect
    async def leave(self) -> None:
        self.left += 1
        self._at("disconnect")

    @on_error
    async def error(self) -> None:
        self._at("error")

    @message("fail")
    async def fail(self) -> None:
        raise ValueError

    @message("fail aside", concurrent=True)
    async def fail_aside(self) -> None:
        raise ValueError

    @message("ping")
    async def ping(self) -> str:
        return "pong"


class Fallible:
    """An observer, all of whose methods fail."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.usefixtures("broken_log")
@pytest.mark.parametrize("place", ["connect", "disconnect", "error", "handlers"])
async def test_a_log_that_fails_harms_nobody(place: str) -> None:
    gateway = namespace("/fails")(type("Any", (Fails,), {}))(place)
    async with GatewayTestClient(gateway, observers=[Fallible()]) as client:
        async with client.connect("/fails") as peer:
            if place == "connect":
                assert await peer.closed() == (1011, "internal error")
            else:
                for event in ("fail", "fail aside"):
                    with pytest.raises(RequestFailed, match="handler_failed"):
                        await peer.request(event)
                with pytest.raises(RequestFailed, match="unknown_event"):
                    await peer.request("nowhere")
                assert await peer.request("ping") == "pong"
        await client.settle()
        assert gateway.left == 1
        assert service_of(client).health().status == "ok"


@pytest.mark.usefixtures("broken_log")
async def test_a_log_that_fails_lets_nobody_in() -> None:
    gateway = namespace("/fails")(type("Any", (Fails,), {}))("attempt")
    async with GatewayTestClient(gateway) as client:
        for url, headers in (("/fails", {}), ("/fails", {"origin": "http://evil"}), ("/no", {})):
            with pytest.raises(ConnectionDenied, match="403"):
                async with client.connect(url, headers=headers):
                    pass


@pytest.mark.parametrize("place", ["error", "handlers", "disconnect"])
async def test_a_peer_that_does_the_same_again_and_again_fills_no_log(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    gateway = namespace("/fails")(type("Any", (Fails,), {}))(place)
    async with GatewayTestClient(gateway) as client, client.connect("/fails") as peer:
        for _ in range(100):
            for event in ("fail", "fail aside", "no\r\nwhere"):
                await peer.send(event)
        await client.settle()
    lines = Counter(record.msg for record in caplog.records)
    assert sum(lines.values()) <= 6, lines
    assert not any(set("\r\n") & set(record.getMessage()) for record in caplog.records)
