"""What a `Peer` can do, while it is connected and afterwards."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import ref

import anyio

from ..errors import AskRejected, AskTimeout, LimitReached, PeerClosed, ServiceNotRunning
from ..limits import DEFAULT
from ..peer import Peer
from ..protocol.audience import Audience, Delivery, DeliveryReport, Everyone
from ..protocol.close_codes import Close, check_code, cut_reason
from ..protocol.messages import Answer
from ..protocol.outbox import OVERFLOW, QUEUED
from .running import Running, check_event

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["ConnectionLink", "GoneLink", "Question", "current"]

current: Final[ContextVar[str | None]] = ContextVar("connection", default=None)
"""The id of the peer whose handler or hook is running: its own sends wait for room.

Not the connection itself, which every task that user code starts would keep.
"""


class Question:
    """One `ask` under way."""

    __slots__ = ("answer", "settled")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.settled = anyio.Event()

    def settle(self, answer: Answer | None) -> None:
        """Ends the waiting; `None` if there will be no answer."""
        self.answer = answer
        self.settled.set()


class ConnectionLink:
    """Carries out a peer's verbs on its connection; see `Peer` for what each means."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connected(self) -> bool:
        return self._connection.ending is None

    @property
    def rooms(self) -> frozenset[str]:
        return frozenset(self._connection.joined or ())

    async def send(self, event: str, data: Any, latest: str | None) -> bool:
        background = self._connection.running.background
        if not background.here:
            return await background.hand_over(self.send, event, data, latest)
        check_event(event)
        payload = self._connection.codec.encode(event, data)
        return await self._send(event, payload, None if latest is None else (event, latest))

    async def broadcast(
        self,
        event: str,
        data: Any,
        room: str | Everyone | None,
        latest: str | None,
        exclude: tuple[str, ...],
    ) -> DeliveryReport:
        peer = self._connection.peer
        return await _broadcast(
            self._connection.running, peer.namespace, event, data, room, latest, exclude
        )

    async def ask(self, event: str, data: Any, timeout: Any) -> Any:
        connection = self._connection
        background = connection.running.background
        if not background.here:
            return await background.hand_over(self.ask, event, data, timeout)
        check_event(event)
        if connection.ending is not None:
            raise PeerClosed("the peer is gone")
        if timeout is DEFAULT:
            timeout = connection.limits.ask_timeout
        question = Question()
        id = connection.session.ask(question)
        try:
            payload = connection.codec.encode(event, data, id)
            if not await self._send(event, payload, None):
                raise PeerClosed("the peer is gone")
            with anyio.move_on_after(timeout) as scope:
                await question.settled.wait()
            if scope.cancelled_caught:
                raise AskTimeout(f"no answer to {event!r} within {timeout} s")
        finally:
            connection.session.asks.pop(id, None)
        if question.answer is None:
            raise PeerClosed("the peer left before it answered")
        return _answer_data(question.answer)

    def join(self, room: str) -> bool:
        connection = self._connection
        background = connection.running.background
        if not background.here:
            return background.run_sync(self.join, room)
        if type(room) is not str or not room:
            raise ValueError(f"a room's name is a str that is not empty, not {room!r}")
        if connection.ending is not None:
            return False
        joined = connection.joined or ()
        if room not in joined:
            limits = connection.limits
            if limits.max_room_length is not None and len(room) > limits.max_room_length:
                raise LimitReached("the room's name is too long")
            if limits.max_rooms is not None and len(joined) >= limits.max_rooms:
                raise LimitReached("too many rooms")
            connection.running.hub.join(connection, room)
        return True

    def leave(self, room: str) -> bool:
        connection = self._connection
        background = connection.running.background
        if not background.here:
            return background.run_sync(self.leave, room)
        if connection.ending is not None:
            return False
        connection.running.hub.leave(connection, room)
        return True

    async def close(self, code: int, reason: str) -> None:
        background = self._connection.running.background
        if not background.here:
            return await background.hand_over(self.close, code, reason)
        check_code(code)
        self._connection.close_soon(Close(code, cut_reason(reason)))
        await self._connection.closed()

    async def _send(self, event: str, payload: str | bytes, key: tuple[str, str] | None) -> bool:
        connection = self._connection
        if connection.ending is not None:
            connection.running.telemetry.dropped(connection.peer, "gone", 1)
            return False
        if current.get() == connection.id:
            await connection.make_room([payload])
        verdict = connection.writer.push(payload, key=key)
        if verdict is OVERFLOW:
            connection.overflowed()
        await connection.running.background.relieve()
        connection.count(event, verdict)
        return verdict is QUEUED


class GoneLink:
    """What is left of a peer that has gone: its sends say so, its broadcasts still go out.

    It takes the place of the link to the connection, so that a `Peer` which user code keeps does
    not keep queues and buffers with it.
    """

    __slots__ = ("_namespace", "_peer", "_rooms", "_running")

    def __init__(self, running: Running, peer: Peer[Any], rooms: frozenset[str]) -> None:
        self._running = running
        self._namespace = peer.namespace
        self._peer = ref(peer)  # which holds this
        self._rooms = rooms

    @property
    def connected(self) -> bool:
        return False

    @property
    def rooms(self) -> frozenset[str]:
        return self._rooms

    async def send(self, event: str, data: Any, latest: str | None) -> bool:
        peer = self._peer()
        if peer is not None:
            self._running.telemetry.dropped(peer, "gone", 1)
        return False

    async def broadcast(
        self,
        event: str,
        data: Any,
        room: str | Everyone | None,
        latest: str | None,
        exclude: tuple[str, ...],
    ) -> DeliveryReport:
        if self._running.background.ended:
            raise ServiceNotRunning("the service has ended since this peer was connected to it")
        return await _broadcast(self._running, self._namespace, event, data, room, latest, exclude)

    async def ask(self, event: str, data: Any, timeout: Any) -> Any:
        raise PeerClosed("the peer is gone")

    def join(self, room: str) -> bool:
        return False

    def leave(self, room: str) -> bool:
        return False

    async def close(self, code: int, reason: str) -> None:
        check_code(code)


async def _broadcast(
    running: Running,
    namespace: str,
    event: str,
    data: Any,
    room: str | Everyone | None,
    latest: str | None,
    exclude: tuple[str, ...],
) -> DeliveryReport:
    if not running.background.here:
        return await running.background.hand_over(
            _broadcast, running, namespace, event, data, room, latest, exclude
        )
    check_event(event)
    audience = Audience(namespace, room, None, exclude)
    report = running.deliver(Delivery(audience, event, data, latest))
    await running.background.relieve()
    return report


def _answer_data(answer: Answer) -> Any:
    if not answer.failed:
        return answer.data
    # A client's `error` may hold anything.
    given: Any = answer.data
    data = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    code, message = data.get("code"), data.get("message")
    raise AskRejected(
        code if isinstance(code, str) else "rejected",
        message if isinstance(message, str) else "",
        given,
    )
