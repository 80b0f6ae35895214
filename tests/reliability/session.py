"""A session in which everything happens, in a service with a bystander who must not notice."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from asgi_ws_gateway import (
    Accept,
    BlockingPeer,
    ConnectionRejected,
    ConnectionRequest,
    JSONCodec,
    Limits,
    MessageRejected,
    Peer,
    broadcast,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
    on_error,
)
from asgi_ws_gateway.testing import ClientConnection, ConnectionClosed, GatewayTestClient
from tests.reliability.clock import hurry, on_trio, tasks
from tests.reliability.faults import Fault, FaultyWire, Points

__all__ = ["AT_ONCE", "BOUND", "Calm", "End", "Session", "be_closed", "calm", "drop", "leave"]

PATIENCE: Final = 100.0
"""A client's, in seconds: longer than any limit."""

BOUND: Final = 40.0
"""For the end of a session that was left or closed: longer than all its limits together."""

AT_ONCE: Final = 5.0
"""For the end of one that the server cancels, and of a service."""


def reach(peer: Peer, name: str) -> Awaitable[None]:
    points: Points = peer.request.scope["points"]
    return points.reach(name)


def reach_in_thread(peer: BlockingPeer, name: str) -> None:
    points: Points = peer.request.scope["points"]
    points.reach_in_thread(name)


@namespace("/session")
class Session:
    @on_connection_attempt
    async def attempted(self, params: Any, request: ConnectionRequest) -> Any:
        await request.scope["points"].reach("attempt hook")
        if "status" in params:
            raise ConnectionRejected("not you", status=int(params["status"]))
        if "code" in params:
            raise ConnectionRejected("not you", close_code=int(params["code"]))
        await request.scope["points"].reach("attempt hook")
        return Accept(user="somebody")

    @on_connect
    async def connected(self, peer: Peer) -> None:
        await reach(peer, "connect hook")
        peer.join("room")
        peer.join(peer.id)
        await peer.send("welcome")
        await reach(peer, "connect hook")

    @on_disconnect
    async def left(self, peer: Peer, code: int, reason: str) -> None:
        peer.request.scope["points"].lefts.append(code)
        await reach(peer, "disconnect hook")
        assert await peer.send("too late") is False
        await peer.broadcast_others("left", room="room")
        await reach(peer, "disconnect hook")

    @on_error
    async def failed(self, error: Exception, peer: Peer, event: str) -> MessageRejected:
        await reach(peer, "on_error")
        return MessageRejected("told")

    @message("plain")
    @emit("plain")
    async def plain(self) -> str:
        return "done"

    @message("wait")
    async def wait(self, data: Any, peer: Peer) -> None:
        await reach(peer, "handler")
        await checkpoint()
        await reach(peer, "handler")

    @message("ask")
    async def ask(self, data: Any, peer: Peer) -> Any:
        answer = await peer.ask("question")
        await reach(peer, "handler that asks")
        return answer

    @message("stream")
    @emit("value")
    async def stream(self, data: Any, peer: Peer) -> AsyncIterator[int]:
        try:
            for value in range(2):
                await reach(peer, "stream")
                yield value
        finally:
            await reach(peer, "stream's end")

    @message("thread")
    def thread(self, data: Any, peer: BlockingPeer) -> str:
        reach_in_thread(peer, "thread")
        peer.send("from a thread")
        reach_in_thread(peer, "thread")
        return "done"

    @message("thread's stream")
    @emit("value")
    def thread_stream(self, data: Any, peer: BlockingPeer) -> Iterator[int]:
        try:
            for value in range(2):
                reach_in_thread(peer, "thread's stream")
                yield value
        finally:
            reach_in_thread(peer, "thread's stream's end")

    @message("aside", concurrent=True)
    async def aside(self, data: Any, peer: Peer) -> None:
        await reach(peer, "concurrent handler")
        await checkpoint()
        await reach(peer, "concurrent handler")

    @message("news")
    @broadcast("news", room="room")
    async def news(self, data: Any, peer: Peer) -> None:
        await reach(peer, "handler that broadcasts")

    @message("fail")
    async def fail(self) -> None:
        raise RuntimeError("secret")

    @message("unencodable")
    @emit("unencodable")
    async def unencodable(self) -> Any:
        return object()

    @message("close")
    async def close(self, data: Any, peer: Peer) -> None:
        await reach(peer, "handler that closes")
        await peer.close(4000, "enough")
        await reach(peer, "handler that closes")


End = Callable[[ClientConnection], Awaitable[None]]


async def leave(peer: ClientConnection) -> None:
    await peer.close()


async def drop(peer: ClientConnection) -> None:
    await peer.send("wait")
    await peer.drop()


async def be_closed(peer: ClientConnection) -> None:
    await peer.send("close")
    await peer.closed()


EVENTS: Final = (
    *("plain", "wait", "ask", "stream", "thread", "thread's stream"),
    *("news", "fail", "unencodable"),
)


async def talk(peer: ClientConnection, end: End) -> None:
    """All that a client may have to say, one after the other."""
    await peer.send("aside")
    for event in EVENTS:
        await peer.send(event, id=event)
        answered = False
        while not answered:
            frame = await peer.receive_frame()
            if frame["event"] == "question":
                peer.answer(frame, "yes")
            answered = frame.get("id") == event and "more" not in frame
    await end(peer)


class Calm:
    """A service with a bystander, in which session after session goes wrong.

    Args:
        client: Runs the service.
        bystander: Is in the room that every session enters.
    """

    def __init__(self, client: GatewayTestClient, bystander: ClientConnection) -> None:
        assert client.service is not None
        self._client = client
        self._service = client.service
        self._bystander = bystander
        self._tasks: Counter[str] | None = None

    async def session(
        self,
        points: Points,
        end: End = leave,
        *,
        url: str = "/session",
        slow: bool = False,
        denials: bool = True,
    ) -> Points:
        """A whole session, and all that must hold after it."""
        try:
            wire = FaultyWire(points, slow=slow, denials=denials)
            hurry(inf)
            await self._run(wire, end, url)
            hurry(inf)
            points.let_go()
            assert wire.error is None, repr(wire.error)
            assert wire.fault is None, repr(wire.fault)
            has_hooks = wire.accepted is not None and "code" not in url
            assert len(points.lefts) == has_hooks
            await self.check()
        except BaseException as error:
            points.let_go()
            hurry()
            error.add_note(f"{points.faults}, {end.__name__}, {url}, {slow=}, {denials=}")
            raise
        return points

    async def _run(self, wire: FaultyWire, end: End, url: str) -> None:
        points = wire.points
        async with anyio.create_task_group() as group:
            group.start_soon(wire.serve, self._client.app, url)
            peer = ClientConnection(wire, JSONCodec(), PATIENCE)
            try:
                with anyio.fail_after(PATIENCE):
                    while not (wire.accepted or wire.denial or wire.finished.is_set()):
                        await wire.changed()
                if wire.accepted and wire.end is None:
                    await talk(peer, end)
            except (ConnectionClosed, TimeoutError):
                assert points.hit is not None, "what has no fault goes well"
            wire.leave(1001)
            if any(fault.hangs and name == "receive" for (name, _), fault in points.faults.items()):
                # The client says nothing any more, not even that it has left.
                for silent in self._service.peers("/session")[1:]:
                    await self._service.disconnect(silent)
            with anyio.move_on_after(BOUND):
                await wire.finished.wait()
            if not wire.finished.is_set():
                points.let_go()
                # Nothing reaches what shields itself under trio.
                shielded = on_trio() and Fault.SHIELDED_HANG in points.faults.values()
                assert shielded, "the session does not end"
                await wire.finished.wait()
        if points.hit is not None and set(points.faults.values()) == {Fault.SERVER_CANCELS}:
            assert wire.returned - points.hit < AT_ONCE

    async def check(self) -> None:
        """Nothing is left of any session, and the bystander is served."""
        running = self._service.running
        assert self._service.stats().connections == len(running.hub) == 1
        [bystander] = running.hub
        for index in (running.hub._namespaces, running.hub._rooms, running.hub._users):
            assert {member for members in index.values() for member in members} == {bystander}
        assert len(running.hub._rooms) == len(bystander.joined)
        assert (running.admission._connections, running.admission._attempts) == (1, 0)
        assert (await self._service.broadcast("/session", "check", room="room")).queued == 1
        while (await self._bystander.receive_frame())["event"] != "check":
            pass
        # There is one thread only: it is free again.
        assert await self._bystander.request("thread") == "done"
        assert await self._bystander.request("plain") == "done"
        for _ in range(100):
            if tasks() == self._tasks:
                return
            await checkpoint()
        assert self._tasks is None, tasks() - self._tasks
        self._tasks = tasks()


@asynccontextmanager
async def calm(**options: Any) -> AsyncGenerator[Calm]:
    """A service as it is before anything has gone wrong."""
    limits = Limits(threads=1)
    async with (
        GatewayTestClient(Session(), limits=limits, timeout=10 * PATIENCE, **options) as client,
        client.connect("/session", scope={"points": Points()}) as bystander,
    ):
        made = Calm(client, bystander)
        await bystander.receive("welcome")
        await made.check()
        yield made
