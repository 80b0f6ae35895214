"""What goes wrong only when two things come together: found by reading, kept by these tests."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_ws_gateway import (
    Accept,
    BlockingPeer,
    GatewayMiddleware,
    Limits,
    Peer,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.protocol.codec import JSONCodec
from asgi_ws_gateway.runtime import workers
from asgi_ws_gateway.runtime.connection import Connection
from asgi_ws_gateway.runtime.threads import Threads
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed
from asgi_ws_gateway.testing.scope import websocket_scope
from asgi_ws_gateway.testing.wire import Wire

SOON = 0.01
"""A time limit that is meant to pass."""


async def turns(count: int = 20) -> None:
    """Lets everything happen that does not wait for anything else."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


def text(event: str, id: str | None = None) -> dict[str, Any]:
    """A message as a server hands it over."""
    told = f'{{"event":"{event}"' + (f',"id":"{id}"' if id else "") + "}"
    return {"type": "websocket.receive", "text": told}


@namespace("/r")
class Review:
    def __init__(self) -> None:
        self.entered = anyio.Event()
        self.open = anyio.Event()
        self.log: list[Any] = []

    @message("ping")
    async def ping(self) -> str:
        return "pong"

    @message("wait")
    async def wait(self) -> str:
        self.log.append("wait")
        self.entered.set()
        try:
            await self.open.wait()
        except BaseException:
            self.log.append("cancelled")
            raise
        self.log.append("waited")
        return "waited"

    @message("slow", concurrent=True)
    async def slow(self) -> str:
        self.entered.set()
        await self.open.wait()
        return "slow"

    @message("step")
    async def step(self) -> str:
        await anyio.lowlevel.checkpoint()
        self.log.append("step")
        return "stepped"

    @message("stream")
    @emit("value")
    async def stream(self) -> AsyncIterator[int]:
        self.log.append("stream")
        for number in range(1000):
            yield number
            await anyio.sleep(0.001)

    @message("group", timeout=SOON)
    async def group(self) -> None:
        async def fails() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("while it was cancelled")

        async with anyio.create_task_group() as group:
            group.start_soon(fails)
            group.start_soon(anyio.sleep_forever)
            self.entered.set()

    @message("group_forever")
    async def group_forever(self) -> None:
        async def fails() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("while it was cancelled")

        async with anyio.create_task_group() as group:
            group.start_soon(fails)
            group.start_soon(anyio.sleep_forever)
            await anyio.lowlevel.checkpoint()
            self.entered.set()

    @message("swallow")
    async def swallow(self) -> str:
        self.entered.set()
        try:
            await anyio.sleep_forever()
        except BaseException:
            pass
        return "as if nothing had happened"

    @message("future", timeout=SOON)
    async def future(self) -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            pass
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    @message("timed_stream")
    @emit("value")
    async def timed_stream(self) -> AsyncIterator[int]:
        with anyio.move_on_after(0.05):
            for number in range(10**9):
                yield number

    @message("scoped_stream")
    @emit("value")
    async def scoped_stream(self) -> AsyncIterator[int]:
        self.entered.set()
        try:
            with anyio.move_on_after(50):
                for number in range(10**9):
                    yield number
        finally:
            self.log.append("closed")

    @message("scoped_stream_sleeping")
    @emit("value")
    async def scoped_stream_sleeping(self) -> AsyncIterator[int]:
        with anyio.move_on_after(50):
            for number in range(10**9):
                yield number
                await anyio.sleep(0.001)

    @message("grouped_stream")
    @emit("value")
    async def grouped_stream(self) -> AsyncIterator[int]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            for number in range(10**9):
                yield number

    @message("cleanup_stream", timeout=SOON)
    @emit("value")
    async def cleanup_stream(self) -> AsyncIterator[int]:
        try:
            yield 1
            raise ValueError
        finally:
            self.log.append("closed")

    @message("unencodable_stream")
    @emit("value")
    async def unencodable_stream(self) -> AsyncIterator[Any]:
        with anyio.move_on_after(50):
            yield 1
            yield object()

    @message("asyncio_stream")
    @emit("value")
    async def asyncio_stream(self) -> AsyncIterator[int]:
        try:
            async with asyncio.timeout(0.05):
                for number in range(10**9):
                    yield number
        except TimeoutError:
            yield -1

    @message("waits_concurrently", concurrent=True)
    async def waits_concurrently(self) -> None:
        self.entered.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("ended")

    @on_disconnect
    async def left(self, peer: Peer, code: int) -> None:
        self.log.append(("left", code))


def service_of(client: GatewayTestClient) -> WebSocketService:
    assert client.service is not None
    return client.service


class Server:
    """Serves one connection in a task that a test may cancel as the server does."""

    def __init__(self, application: GatewayMiddleware, path: str = "/r") -> None:
        self.application = application
        self.path = path
        self.wire = Wire()
        self.outcome: BaseException | str | None = None

    async def run(self) -> None:
        try:
            await self.application(websocket_scope(self.path), self.wire.receive, self.wire.send)
        except BaseException as error:
            self.outcome = error
            raise
        else:
            self.outcome = "returned"
        finally:
            self.wire.finish()


async def test_a_reader_is_not_started_beside_the_connections_own_task_that_waits_to_read() -> None:
    gateway = Review()
    limits = Limits(outbox_messages=4)
    async with GatewayTestClient(gateway, limits=limits) as client, client.connect("/r") as peer:
        await client.settle()
        peer.pause()
        for number in range(4):
            await service_of(client).broadcast("/r", "news", number)
        await peer.send("slow", id="s")
        await gateway.entered.wait()
        await turns()
        peer.resume()
        await turns()
        assert await peer.request("ping") == "pong"
        gateway.open.set()
        await client.settle()


async def test_a_cancel_that_comes_too_late_does_not_hit_the_next_message() -> None:
    gateway = Review()
    limits = Limits(outbox_messages=2)
    async with GatewayTestClient(gateway, limits=limits) as client, client.connect("/r") as peer:
        await peer.send("wait", id="w")
        await gateway.entered.wait()
        await peer.send("step", id="s")
        await turns()
        member: Any = next(iter(service_of(client).running.hub))
        background: Any = service_of(client).running.background
        relieve = background.relieve

        async def late() -> None:
            # The answer is out; what is left of the message is to let others run.
            background.relieve = relieve
            member.conversation.cancel("w")
            await relieve()

        background.relieve = late
        gateway.open.set()
        assert (await peer.receive_frame())["data"] == "waited"
        assert (await peer.receive_frame())["data"] == "stepped"


async def test_a_client_that_leaves_during_a_drain_has_its_message_handled() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/r") as peer:
            await peer.send("wait")
            await gateway.entered.wait()
            async with anyio.create_task_group() as group:
                group.start_soon(service_of(client).drain, 3.0)
                await turns()
                peer.drop()
                await turns()
                gateway.open.set()
            await client.settle()
    assert gateway.log == ["wait", "waited", ("left", 1006)]


async def test_a_drain_does_not_wait_for_whom_somebody_else_closes() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/r") as peer:
            await peer.send("stream")
            await peer.receive("value")
            with anyio.fail_after(2):
                async with anyio.create_task_group() as group:
                    group.start_soon(service_of(client).drain, 30.0)
                    await turns()
                    await service_of(client).disconnect(service_of(client).peers("/r")[0])


async def test_the_disconnect_hook_runs_although_a_cancelled_peer_does_not_read() -> None:
    gateway = Review()
    application = GatewayMiddleware(None, gateways=[gateway])
    async with application.service:
        server = Server(application)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(server.run)
                while not application.service.peers("/r"):
                    await anyio.lowlevel.checkpoint()
                server.wire.pause()
                await application.service.broadcast("/r", "news")
                await turns()
                group.cancel_scope.cancel()
    assert gateway.log == [("left", 1012)]


@pytest.mark.parametrize("event", ["wait", "swallow", "group_forever"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_native_cancellation_ends_the_connection_once(event: str, times: int) -> None:
    gateway = Review()
    application = GatewayMiddleware(None, gateways=[gateway])
    async with application.service:
        server = Server(application)
        server.wire.put(text(event))
        task = asyncio.create_task(server.run())
        await gateway.entered.wait()
        for _ in range(times):
            task.cancel()
            await turns(1)
        with anyio.fail_after(3):
            await asyncio.wait([task])
        assert isinstance(server.outcome, asyncio.CancelledError), server.outcome
        assert [entry for entry in gateway.log if entry[0] == "left"] == [("left", 1012)]


async def test_a_child_that_fails_while_its_handler_is_cancelled_harms_no_connection() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client, client.connect("/r") as peer:
        with pytest.raises(RequestFailed, match="handler_timeout"):
            await peer.request("group")
        assert await peer.request("ping") == "pong"


async def test_only_cancellation_leaves_when_a_child_fails_while_the_server_cancels() -> None:
    gateway = Review()
    application = GatewayMiddleware(None, gateways=[gateway])
    async with application.service:
        server = Server(application)
        server.wire.put(text("group_forever"))
        with anyio.fail_after(3):
            async with anyio.create_task_group() as group:
                group.start_soon(server.run)
                await gateway.entered.wait()
                await turns(2)
                group.cancel_scope.cancel()
        assert isinstance(server.outcome, anyio.get_cancelled_exc_class())
    assert gateway.log == [("left", 1012)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_future_after_a_swallowed_time_limit_harms_no_connection() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client, client.connect("/r") as peer:
        with pytest.raises(RequestFailed, match="handler_timeout"):
            await peer.request("future")
        assert await peer.request("ping") == "pong"


async def test_a_streams_own_time_limit_may_pass_between_its_steps() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client, client.connect("/r") as peer:
        await peer.send("timed_stream", id="t")
        with anyio.fail_after(3):
            while True:
                frame = await peer.receive_frame()
                if "more" not in frame:
                    break
        assert frame["event"] == "ack"
        assert await peer.request("ping") == "pong"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stream_may_use_asyncios_time_limit() -> None:
    async with GatewayTestClient(Review()) as client, client.connect("/r") as peer:
        await peer.send("asyncio_stream", id="t")
        values: list[Any] = []
        while "more" in (frame := await peer.receive_frame()):
            values.append(frame["data"])
        assert values[-1] == -1
        assert frame["event"] == "ack"
        assert await peer.request("ping") == "pong"


async def test_a_stream_that_fails_is_closed_within_a_scope_of_its_own() -> None:
    async with GatewayTestClient(Review()) as client, client.connect("/r") as peer:
        for _ in range(2):
            with pytest.raises(RequestFailed, match="handler_failed"):
                await peer.request("unencodable_stream")
        assert await peer.request("ping") == "pong"
        assert (await peer.receive_frame())["data"] == 1


async def test_concurrent_handlers_end_when_the_server_cancels() -> None:
    gateway = Review()
    application = GatewayMiddleware(None, gateways=[gateway])
    async with application.service:
        server = Server(application)
        server.wire.put(text("waits_concurrently"))
        with anyio.fail_after(3):
            async with anyio.create_task_group() as group:
                group.start_soon(server.run)
                await gateway.entered.wait()
                group.cancel_scope.cancel()
    assert gateway.log == ["ended", ("left", 1012)]


@pytest.mark.parametrize("event", ["scoped_stream", "scoped_stream_sleeping", "grouped_stream"])
async def test_a_cancelled_stream_may_have_a_scope_of_its_own_around_its_steps(event: str) -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client, client.connect("/r") as peer:
        for _ in range(3):
            await peer.send(event, id="t")
            with anyio.fail_after(3):
                await peer.receive_frame()
                peer.cancel("t")
                while True:
                    frame = await peer.receive_frame()
                    if "more" not in frame:
                        break
            assert frame["data"]["code"] == "cancelled"
        assert await peer.request("ping") == "pong"


async def test_a_waiting_stream_is_not_started_for_a_peer_that_has_left() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/r") as peer:
            await peer.send("wait")
            await gateway.entered.wait()
            await peer.send("stream")
            await turns()
            peer.drop()
            await turns()
            gateway.open.set()
            await client.settle()
    assert gateway.log == ["wait", "waited", ("left", 1006)]


async def test_what_was_received_is_handled_although_a_send_found_its_peer_gone() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/r") as peer:
            await peer.send("wait")
            await gateway.entered.wait()
            await peer.send("step")
            await turns()
            peer.fail_sends()
            await service_of(client).broadcast("/r", "news")
            await turns()
            gateway.open.set()
            await client.settle()
    assert gateway.log == ["wait", "waited", "step", ("left", 1006)]


class Broken(JSONCodec):
    """Raises what a codec may not raise."""

    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> str:
        raise TypeError("broken")


async def test_what_fails_inside_is_closed_once_with_1011() -> None:
    gateway = Review()
    async with GatewayTestClient(gateway, codec=Broken()) as client, client.connect("/r") as peer:
        await peer.send_text("{}")
        assert await peer.closed() == (1011, "internal error")
        await client.settle()
    assert gateway.log == [("left", 1011)]


@namespace("/k")
class Keeps:
    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.stop = anyio.Event()
        self.group: Any = None

    @message("spawn")
    async def spawn(self, peer: Peer) -> None:
        self.peers.append(peer)
        self.group.start_soon(self.stop.wait)


async def test_neither_a_kept_peer_nor_a_task_of_a_handler_keeps_the_connection() -> None:
    def connections() -> list[Any]:
        gc.collect()
        return [
            thing
            for thing in gc.get_objects()
            if type(thing) is Connection and thing.peer in gateway.peers
        ]

    gateway = Keeps()
    async with anyio.create_task_group() as gateway.group:
        async with GatewayTestClient(gateway) as client:
            async with client.connect("/k") as peer:
                await peer.request("spawn")
                assert len(connections()) == 1
            await client.settle()
            await turns()
            assert connections() == []
        gateway.stop.set()


async def test_a_handshake_that_meets_the_end_of_the_service_is_answered() -> None:
    application = GatewayMiddleware(None, gateways=[Review()])
    servers: list[Server] = []

    async def comes() -> None:
        for _ in range(60):
            server = Server(application)
            servers.append(server)
            group.start_soon(server.run)
            await turns(1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            async with application.service:
                group.start_soon(comes)
                await turns(3)
            await turns(60)
            for server in servers:
                server.wire.leave(1000)
    assert all(server.outcome == "returned" for server in servers)
    assert all(server.wire.accepted or server.wire.denial for server in servers)


class Refuses(Wire):
    cancel = False

    async def send(self, message: dict[str, Any]) -> None:
        if self.cancel and message["type"] == "websocket.send":
            raise asyncio.CancelledError
        await super().send(message)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_send_that_raises_a_cancellation_of_its_own_harms_no_broadcast() -> None:
    application = GatewayMiddleware(None, gateways=[Review()])
    async with application.service as service, anyio.create_task_group() as group:
        servers = [Server(application) for _ in range(3)]
        servers[1].wire = Refuses()
        for server in servers:
            group.start_soon(server.run)
        while len(service.peers("/r")) < 3:
            await turns(1)
        servers[1].wire.cancel = True
        await service.broadcast("/r", "news")
        assert [len(server.wire.received) for server in servers] == [1, 0, 1]
        assert len(service.peers("/r")) == 2
        for server in servers:
            server.wire.leave(1000)


@namespace("/u")
class Renames:
    @on_connection_attempt
    async def attempt(self) -> Accept:
        return Accept(user="a")

    @on_connect
    async def connect(self, peer: Peer) -> None:
        peer.user = "b"


async def test_a_changed_user_leaves_nothing_behind() -> None:
    async with GatewayTestClient(Renames()) as client:
        async with client.connect("/u"):
            pass
        await client.settle()
        assert (await service_of(client).emit_to_user("a", "x")).queued == 0
        hub: Any = service_of(client).running.hub
        assert hub._users == {}


@namespace("/b")
class Blocking:
    @message("flood")
    def flood(self, data: Any, peer: BlockingPeer) -> int:
        return sum(peer.send("flood", number) for number in range(10))


async def test_a_thread_feels_the_pressure_of_its_own_peer() -> None:
    limits = Limits(outbox_messages=2)
    async with GatewayTestClient(Blocking(), limits=limits) as client, client.connect("/b") as peer:
        peer.pause()
        await peer.send("flood", id="f")
        # One is on its way and two wait: the thread has come as far as it can.
        while service_of(client).stats().queued < 3:
            await anyio.lowlevel.checkpoint()
        peer.resume()
        for _ in range(10):
            await peer.receive("flood")
        assert await peer.receive("ack") == 10


@namespace("/c")
class Closes:
    def __init__(self) -> None:
        self.log: list[Any] = []

    @message("close", concurrent=True)
    async def close(self, peer: Peer) -> None:
        await peer.close(4000)
        self.log.append("closed")

    @message("close_streaming")
    async def stream(self, peer: Peer) -> AsyncIterator[int]:
        yield 1
        await peer.close(4000)
        yield 2

    @message("close_thread")
    def thread(self, peer: BlockingPeer) -> None:
        peer.close(4000)
        self.log.append("closed")

    @on_disconnect
    async def left(self, peer: Peer, code: int) -> None:
        await peer.close(4001)
        self.log.append(code)


@pytest.mark.parametrize("event", ["close", "close_streaming", "close_thread"])
async def test_closing_from_everywhere(event: str) -> None:
    gateway = Closes()
    async with GatewayTestClient(gateway) as client, client.connect("/c") as peer:
        for _ in range(3):
            await peer.send(event)
        kept = service_of(client).peers("/c")[0]
        async with anyio.create_task_group() as group:
            group.start_soon(kept.close, 4000)
            group.start_soon(kept.close, 4000)
        assert (await peer.closed()).code == 4000
        await client.settle()
        assert [entry for entry in gateway.log if entry != "closed"] == [4000]


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_native_cancellation_while_it_listens(times: int) -> None:
    gateway = Review()
    application = GatewayMiddleware(None, gateways=[gateway])
    async with application.service as service:
        server = Server(application)
        task = asyncio.create_task(server.run())
        while not service.peers("/r"):
            await turns(1)
        for _ in range(times):
            task.cancel()
            await turns(1)
        await asyncio.wait([task])
        assert gateway.log == [("left", 1012)]
        assert server.wire.end == (1012, "service restart")


class Sync(Wire):
    """A server whose `send` is no coroutine function, as granian's: it may raise when called."""

    gone = False

    def send(self, message: dict[str, Any]) -> Any:
        if self.gone:
            raise RuntimeError("the client is gone")
        return super().send(message)


async def test_a_send_that_raises_when_it_is_called_harms_no_broadcast() -> None:
    application = GatewayMiddleware(None, gateways=[Review()])
    async with application.service as service, anyio.create_task_group() as group:
        servers = [Server(application) for _ in range(3)]
        broken = servers[1].wire = Sync()
        for server in servers:
            group.start_soon(server.run)
        while len(service.peers("/r")) < 3:
            await turns(1)
        broken.gone = True
        await service.broadcast("/r", "news")
        await turns()
        assert [len(server.wire.received) for server in servers] == [1, 0, 1]
        assert len(service.peers("/r")) == 2
        for server in servers:
            server.wire.leave(1000)


async def test_a_message_that_waits_for_its_place_can_be_cancelled() -> None:
    gateway = Review()
    limits = Limits(inbox_messages=1)
    async with GatewayTestClient(gateway, limits=limits) as client, client.connect("/r") as peer:
        await peer.send("slow", id="first")
        await gateway.entered.wait()
        await peer.send("slow", id="second")
        await turns()
        peer.cancel("second")
        frame = await peer.receive_frame()
        assert (frame["id"], frame["data"]["code"]) == ("second", "cancelled")
        gateway.open.set()
        assert (await peer.receive_frame())["id"] == "first"
        assert await peer.request("ping") == "pong"


class Odd(BaseException):
    """Neither an error nor a cancellation."""


@namespace("/odd")
class Raises:
    def __init__(self) -> None:
        self.left = 0

    @message("now")
    async def now(self) -> None:
        raise Odd

    @message("later", concurrent=True)
    async def later(self) -> None:
        await anyio.lowlevel.checkpoint()
        raise Odd

    @on_disconnect
    async def leave(self) -> None:
        self.left += 1
        raise Odd


async def test_whatever_a_handler_raises_harms_no_connection() -> None:
    gateway = Raises()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/odd") as peer:
            for event in ["now", "later"] * 2:
                with pytest.raises(RequestFailed, match="handler_failed"):
                    await peer.request(event)
    assert gateway.left == 1


async def test_a_drain_is_no_silence_of_the_client() -> None:
    gateway = Review()
    limits = Limits(heartbeat=0.02)
    async with GatewayTestClient(gateway, limits=limits) as client, client.connect("/r") as peer:
        await peer.send("wait", id="w")
        await gateway.entered.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(service_of(client).drain, 5.0)
            await turns()
            # Whatever it says now is the last that is read.
            await peer.send("ping")
            await anyio.sleep(0.2)  # long enough for a heartbeat that should not come
            gateway.open.set()
        assert (await peer.closed()).code == 1012


def test_an_abandoned_thread_does_not_wait_for_a_loop_that_has_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", SOON)
    freed = threading.Event()
    threads: list[threading.Thread] = []

    def blocks() -> None:
        threads.append(threading.current_thread())
        freed.wait(5)

    async def abandons() -> None:
        with anyio.move_on_after(SOON):
            await Threads(1).run(blocks)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(abandons())
        freed.set()
        threads[0].join(1)
        assert not threads[0].is_alive()
    finally:
        loop.close()


async def test_whoever_waits_for_the_start_outlives_whoever_began_it() -> None:
    @asynccontextmanager
    async def lifespan(_: WebSocketService) -> AsyncGenerator[None, None]:
        await anyio.sleep(0.05)
        yield

    application = GatewayMiddleware(None, gateways=[Review()], lifespan=lifespan)
    first, second = Server(application), Server(application)

    async def starts(scope: anyio.CancelScope) -> None:
        with scope:
            await first.run()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(starts, scope)
            await turns(3)
            group.start_soon(second.run)
            await turns(3)
            scope.cancel()
            while second.wire.accepted is None:
                assert second.wire.denial is None
                await second.wire.changed()
            async with application.service:
                second.wire.leave(1000)
