"""One accepted connection, from its accept to the end of its disconnect hook.

One coroutine receives, handles and answers (`conversation`). Others come into being only when they
are needed: a reader while a handler waits (`inbox`), a task that drains the outbox while a send
waits (`writer`), one for every concurrent handler, and one that closes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, TypeGuard

import anyio

from ..peer import BlockingPeer, Peer
from ..protocol.close_codes import (
    ABNORMAL,
    GOING_DOWN,
    HEARTBEAT_TIMEOUT,
    INTERNAL_ERROR,
    RATE_LIMITED,
    TOO_SLOW,
    Close,
)
from ..protocol.outbox import OVERFLOW, QUEUED, Verdict
from ..request import Accept, ConnectionRequest
from ..routing.table import Hook, Namespace
from .arrivals import Arrivals
from .cancellation import raise_if_cancelled
from .conversation import Conversation
from .departure import depart
from .dispatcher import Dispatcher
from .heart import Heart
from .inbox import Inbox
from .link import ConnectionLink, GoneLink, current
from .log import Complaints, Log
from .patience import SHUTDOWN_SECONDS
from .running import Running
from .transport import Transport
from .turn import Turn
from .writer import Writer

__all__ = ["Connection"]

logger = Log(__name__)

_FAULTS = (TOO_SLOW, RATE_LIMITED, HEARTBEAT_TIMEOUT)
"""Of the client: told to whoever looks after the server, though not for each of many."""


class Connection:
    """One accepted connection.

    Args:
        running: The service's lifetime.
        namespace: What it connected to.
        dispatcher: Handles that namespace's messages.
        transport: The way to the client.
        request: Its handshake.
        accept: What the attempt hook said.

    Attributes:
        ending: The first cause of its end; `None` while it is open.
        joined: The rooms it is, or was, in, if there are any.
        session: What the client may say, and what it was asked.
    """

    __slots__ = (
        "_blocking_peer",
        "_closed",
        "_complaints",
        "_expires_at",
        "_telemetry",
        "_transport",
        "codec",
        "conversation",
        "dispatcher",
        "ending",
        "heart",
        "id",
        "inbox",
        "joined",
        "limits",
        "namespace",
        "peer",
        "running",
        "session",
        "turn",
        "writer",
    )

    def __init__(
        self,
        running: Running,
        namespace: Namespace,
        dispatcher: Dispatcher,
        transport: Transport,
        request: ConnectionRequest,
        accept: Accept,
    ) -> None:
        limits = namespace.limits
        background = running.background
        arrivals = Arrivals(self, namespace, running.telemetry)
        self.id = secrets.token_urlsafe(16)
        self.running = running
        self.namespace = namespace
        self.limits = limits
        self.codec = namespace.codec
        self.dispatcher = dispatcher
        self.session = arrivals.session
        self.ending: Close | None = None
        self.joined: set[str] | None = None
        self.peer = _peer(self, request, accept)
        self.turn = Turn()
        self.writer = Writer(
            transport,
            limits,
            background,
            self,
        )
        self.inbox = Inbox(
            transport,
            background,
            self.writer,
            self.turn,
            limits.inbox_messages,
            limits.max_message_bytes,
            arrivals,
            self,
        )
        self.heart: Heart | None = None
        if limits.heartbeat is not None or accept.expires_at is not None:
            self.heart = Heart(
                background,
                self.inbox,
                limits.heartbeat,
                beat=arrivals.beat,
                close=self.close_soon,
            )
        self.conversation = Conversation(self)
        self._transport = transport
        self._telemetry = running.telemetry
        # Few need these: they are made when they are asked for.
        self._blocking_peer: BlockingPeer[Any] | None = None
        self._complaints: Complaints | None = None
        self._closed: anyio.Event | None = None
        self._expires_at = accept.expires_at

    async def run(self, before: int) -> None:
        """Serves the connection until it has ended, its disconnect hook included.

        Never raises but when it is cancelled from outside.

        Args:
            before: What `cancellations` said before any user code ran.
        """
        around = current.get()
        current.set(self.id)
        self.running.hub.add(self)
        self.running.telemetry.connected(self.peer)
        cancelled_at: float | None = None
        try:
            if self.heart is not None:
                self.heart.start(self._expires_at)
            await self.conversation.run(before)
        except Exception:
            logger.exception("The connection of peer %s failed", self.id)
            self.close_soon(INTERNAL_ERROR)
        except BaseException:
            cancelled_at = self.conversation.stage.cancelled_at or anyio.current_time()
            raise
        finally:
            try:
                await depart(self, cancelled_at)
            finally:
                self._release()
                current.set(around)
        # It may have come while the disconnect hook ran, and swallowed it.
        raise_if_cancelled(before)

    @property
    def complaints(self) -> Complaints:
        """Logs what is wrong with the peer, now and then."""
        if self._complaints is None:
            self._complaints = Complaints()
        return self._complaints

    @property
    def blocking_peer(self) -> BlockingPeer[Any]:
        """The peer for plain `def` handlers."""
        if self._blocking_peer is None:
            self._blocking_peer = BlockingPeer(self.peer, self.running.background)
        return self._blocking_peer

    def subject(self, hook: Hook) -> Peer[Any] | BlockingPeer[Any]:
        """The peer as a hook wants it."""
        return self.blocking_peer if hook.kind.threaded else self.peer

    async def make_room(self, payloads: list[str | bytes]) -> None:
        """Waits until all of them fit into the outbox; a peer that reads too slowly is dropped."""
        writer = self.writer
        if writer.fits(payloads):
            return
        with anyio.move_on_after(self.limits.send_timeout) as scope:
            await writer.room(lambda: writer.fits(payloads))
        if scope.cancelled_caught:
            self.overflowed()

    def reply(self, event: str, payload: str | bytes, *, answer: bool) -> None:
        """Sends to this peer without waiting."""
        verdict = self.writer.push(payload, answer=answer)
        if verdict is QUEUED and not self._telemetry.observed:
            self._telemetry.stats.queued += 1  # `count`, less a call
            return
        if verdict is OVERFLOW:
            self.overflowed()
        self.count(event, verdict)

    def count(self, event: str, verdict: Verdict) -> None:
        """Counts a message to this peer."""
        queued = int(verdict is QUEUED)
        telemetry = self._telemetry
        telemetry.stats.queued += queued
        if telemetry.observed:
            telemetry.sent(self.peer.namespace, event, queued, 1 - queued)

    def read_ahead(self) -> None:
        """Sees to it that a disconnect or a `cancel` is noticed while this task is busy."""
        self.inbox.read_ahead()

    # How it ends.

    def close_soon(self, close: Close) -> None:
        """Ends it: what is queued goes out first, then the close."""
        if self._end(close):
            self.writer.refuse()
            self._start_closing(flush=True)

    def overflowed(self) -> None:
        """Ends it because the peer does not read: nothing more goes out but, perhaps, the close."""
        if self._end(TOO_SLOW):
            self.writer.stop()
            self._start_closing(flush=False)

    @property
    def closing(self) -> bool:
        """Whether it is us who end it."""
        return self._closed is not None

    async def closed(self) -> None:
        """Waits until the close is handed to the server, if it is us who end it."""
        if self._closed is not None:
            await self._closed.wait()

    async def drain(self, grace: float) -> None:
        """Reads no more, lets handlers end within `grace` seconds, and closes with 1012.

        Returns when the close is handed to the server.
        """
        self.inbox.hold()
        with anyio.move_on_after(grace) as scope:
            await self.settled()
        self.close_soon(GOING_DOWN)
        # Whoever left meanwhile has `linger` for its handlers.
        if scope.cancelled_caught and self.closing:
            self.conversation.abort()
        await self.closed()

    async def settled(self, *, flushed: bool = True) -> bool:
        """Waits until nothing is being handled and, if `flushed`, nothing waits to be sent.

        Returns whether there was nothing to wait for. It does not wait for one that has ended.
        """
        at_once = True
        while self.ending is None:
            if flushed and not self.writer.idle:
                await self.writer.flushed()
            elif self.conversation.concurrent:
                await self.conversation.one_ended()
            elif not self.inbox.idle:
                await self.inbox.until_idle()
            else:
                break
            at_once = False
        return at_once

    def left(self, code: int, reason: str) -> None:
        """The client has gone."""
        self._end(Close(code, reason))
        self.writer.stop()

    def lost(self) -> None:
        """A send failed: the client has gone, and no `receive` has told yet.

        What it said before is handled, as when it says goodbye.
        """
        if self._end(Close(ABNORMAL)):
            self._start_closing(flush=False, rest=False)

    def _end(self, cause: Close) -> bool:
        if self.ending is not None:
            return False
        self.ending = cause
        if cause in _FAULTS:
            self.running.telemetry.complaints.warn(
                logger, cause.reason, "Closed peer %s (%d): %s", self.id, cause.code, cause.reason
            )
        self.running.hub.remove(self)
        if self.heart is not None:
            self.heart.stop()
        for question in self.session.asks.values():
            question.settle(None)
        self.conversation.end(self.limits.linger)
        return True

    def _start_closing(self, *, flush: bool, rest: bool = True) -> None:
        self._closed = anyio.Event()
        self.inbox.refuse(rest=rest)
        self.running.background.spawn(self._close, flush)
        if self.inbox.awaited:
            self.conversation.stage.scope.cancel()

    async def _close(self, flush: bool) -> None:
        """Hands the close to the server. Nobody is in `receive` or `send` by then."""
        assert self.ending is not None
        assert self._closed is not None
        try:
            with anyio.move_on_after(SHUTDOWN_SECONDS):  # for a receive that cannot be cancelled
                await self.inbox.stop()
            with anyio.move_on_after(self.limits.send_timeout):
                if flush:
                    await self.writer.flushed()
            self.writer.stop()
            # A timer as well as a scope: hypercorn shields its sends under trio (0.18).
            forget = self.running.background.call_later(SHUTDOWN_SECONDS, self._closed.set)
            try:
                with anyio.move_on_after(SHUTDOWN_SECONDS):
                    await self.writer.flushed()
                    await self._transport.close(self.ending.code, self.ending.reason)
            finally:
                forget()
        finally:
            self._closed.set()

    def _release(self) -> None:
        ending = self.ending or GOING_DOWN
        self._end(ending)
        self.inbox.refuse()
        self.writer.release()
        rooms = frozenset(self.joined or ())
        self.peer.relink(GoneLink(self.running, self.peer, rooms))
        self.running.telemetry.disconnected(self.peer, ending.code)

    def dropped(self, reason: str, count: int) -> None:
        """Messages to it are lost."""
        self.running.telemetry.dropped(self.peer, reason, count)


def _peer(connection: Connection, request: ConnectionRequest, accept: Accept) -> Peer[Any]:
    state: Any = {} if accept.state is None else accept.state
    if _is_mapping(state):
        state = dict(state)
    return Peer(
        ConnectionLink(connection),
        id=connection.id,
        namespace=request.namespace,
        request=request,
        user=accept.user,
        state=state,
        presence=accept.presence,
    )


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)
