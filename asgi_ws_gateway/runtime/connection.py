"""One accepted connection, from its accept to the end of its disconnect hook.

One coroutine receives, handles and answers (`conversation`). Others come into being only when they
are needed: a reader while a handler waits (`inbox`), a task that drains the outbox while a send
waits (`writer`), one for every concurrent handler, and one that closes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
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
from ..protocol.messages import Answer, Cancel, Failure, Message
from ..protocol.outbox import Verdict
from ..protocol.session import Flooding, Session
from ..request import Accept, ConnectionRequest
from ..routing.table import Hook, Namespace
from .conversation import Conversation
from .dispatcher import Dispatcher
from .heart import Heart
from .inbox import Inbox
from .invoke import Interrupted, Stage
from .link import ConnectionLink, GoneLink, Question, current
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
        joined: The rooms it is, or was, in.
    """

    __slots__ = (
        "_beat_id",
        "_blocking_peer",
        "_closed",
        "_conversation",
        "_dispatcher",
        "_heart",
        "_namespace",
        "_timed",
        "_transport",
        "codec",
        "complaints",
        "ending",
        "id",
        "inbox",
        "joined",
        "limits",
        "peer",
        "push",
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
        self.id = secrets.token_urlsafe(16)
        self.running = running
        self.limits = limits
        self.codec = namespace.codec
        self.complaints = Complaints()
        self.ending: Close | None = None
        self.joined: set[str] = set()
        self.peer = _peer(self, request, accept)
        self.session: Session[Question] = Session(namespace.codec, limits, anyio.current_time())
        self.turn = Turn()
        self.writer = Writer(
            transport,
            limits,
            background,
            on_lost=self._lost,
            on_stuck=self.overflowed,
            on_dropped=self._dropped,
        )
        self.push = self.writer.push
        self.inbox = Inbox(
            transport,
            background,
            self.writer,
            self.turn,
            limits.inbox_messages,
            limits.max_message_bytes,
            read=self._read,
            on_disconnect=self._left,
        )
        self._heart = Heart(
            background,
            self.inbox,
            limits.heartbeat,
            beat=self._beat,
            close=self.close_soon,
        )
        self._conversation = Conversation(self, namespace, dispatcher)
        self._namespace = namespace
        self._dispatcher = dispatcher
        self._transport = transport
        self._blocking_peer: BlockingPeer[Any] | None = None
        self._closed: anyio.Event | None = None
        self._timed = limits.rate is not None or limits.heartbeat is not None
        self._beat_id: str | None = None

    async def run(self, expires_at: datetime | float | None = None) -> None:
        """Serves the connection until it has ended, its disconnect hook included.

        Never raises but when it is cancelled from outside.
        """
        token = current.set(self.id)
        self.running.hub.add(self)
        self.running.telemetry.connected(self.peer)
        cancelled = True
        try:
            self._heart.start(expires_at)
            await self._conversation.run()
            cancelled = False
        except Exception:
            logger.exception("The connection of peer %s failed", self.id)
            self.close_soon(INTERNAL_ERROR)
            cancelled = False
        finally:
            try:
                await self._conclude(cancelled)
            finally:
                self._release()
                current.reset(token)

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
        verdict = self.push(payload, answer=answer)
        queued = verdict is Verdict.QUEUED
        if verdict is Verdict.OVERFLOW:
            self.overflowed()
        self.running.telemetry.sent(self.peer.namespace, event, int(queued), int(not queued))

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
        if scope.cancelled_caught:
            self._conversation.abort()
        await self.closed()

    async def settled(self, *, flushed: bool = True) -> bool:
        """Waits until nothing is being handled and, if `flushed`, nothing waits to be sent.

        Returns whether there was nothing to wait for. It does not wait for one that has ended.
        """
        at_once = True
        while self.ending is None:
            if flushed and not self.writer.idle:
                await self.writer.flushed()
            elif self._conversation.concurrent:
                await self._conversation.one_ended()
            elif not self.inbox.idle:
                await self.inbox.until_idle()
            else:
                break
            at_once = False
        return at_once

    def _left(self, code: int, reason: str) -> None:
        """The client has gone."""
        self._end(Close(code, reason))
        self.writer.stop()

    def _lost(self) -> None:
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
        self._heart.stop()
        for question in self.session.asks.values():
            question.settle(None)
        self._conversation.end(self.limits.linger)
        return True

    def _start_closing(self, *, flush: bool, rest: bool = True) -> None:
        self._closed = anyio.Event()
        self.inbox.refuse(rest=rest)
        self.running.background.spawn(self._close, flush)
        if self.inbox.awaited:
            self._conversation.stage.scope.cancel()

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

    async def _conclude(self, cancelled: bool) -> None:
        # Each has its own time, and the hook its turn even if asyncio's cancellation comes twice.
        seconds = SHUTDOWN_SECONDS if cancelled else None
        try:
            with anyio.move_on_after(seconds, shield=True):
                if self.ending is None:
                    self._end(GOING_DOWN)
                    self.writer.refuse()
                    self._start_closing(flush=True)
                await self.closed()
                if cancelled:
                    self._conversation.abort()
                if self._conversation.concurrent:
                    await self._concurrent_handlers()
        finally:
            with anyio.CancelScope(shield=True):
                await self._disconnect(cancelled)

    async def _concurrent_handlers(self) -> None:
        linger = self.limits.linger
        with anyio.move_on_after(None if linger is None else linger + SHUTDOWN_SECONDS) as scope:
            while self._conversation.concurrent:
                await self._conversation.one_ended()
        if scope.cancelled_caught:
            count = self._conversation.concurrent
            logger.error("Abandoned %d handlers of peer %s, which do not end", count, self.id)

    async def _disconnect(self, cancelled: bool) -> None:
        hook = self._namespace.on_disconnect
        if hook is None:
            return
        assert self.ending is not None
        label = hook.label
        complaints = self.running.telemetry.complaints
        stage = Stage(self.running.background, _ignore)
        if cancelled:
            stage.end_within(SHUTDOWN_SECONDS, SHUTDOWN_SECONDS)
        else:
            stage.end_within(self.limits.linger)
        try:
            with stage.scope:
                await self._dispatcher.run_hook(
                    hook,
                    stage,
                    None,
                    self.subject(hook),
                    self.ending.code,
                    self.ending.reason,
                )
                return
        except Interrupted:
            pass
        except Exception as error:
            complaints.error(logger, label, "%s failed for peer %s", label, self.id, error=error)
            return
        complaints.error(logger, label, "%s took too long for peer %s", label, self.id)

    def _release(self) -> None:
        ending = self.ending or GOING_DOWN
        self._end(ending)
        self.inbox.refuse()
        self.writer.release()
        rooms = frozenset(self.joined)
        self.peer.relink(GoneLink(self.running, self.peer, rooms))
        self.running.telemetry.disconnected(self.peer, ending.code)

    # What arrives.

    def _read(self, payload: str | bytes) -> Message | Failure | None:
        """What is left to handle of a payload; whoever waits for an answer has it at once."""
        if self.closing:
            return None
        self.running.telemetry.received(self.peer)
        now = 0.0
        if self._timed:
            now = self._heart.heard = anyio.current_time()
        try:
            incoming = self.session.receive(payload, now)
        except Flooding:
            self.running.telemetry.failed(self.peer, None, "rate_limited")
            self.close_soon(RATE_LIMITED)
            return None
        except Exception as error:
            text = "The codec failed on a message of peer %s"
            self.complaints.error(logger, text, text, self.id, error=error)
            return Failure("invalid_json")
        if incoming is None:
            # It would have been answered, had its sender not been told just now.
            self.running.telemetry.failed(self.peer, None, "rate_limited")
            return None
        if isinstance(incoming, Answer):
            question = self.session.asks.pop(incoming.id, None)
            if question is not None:
                question.settle(incoming)
            elif incoming.id == self._beat_id:
                self._beat_id = None
            else:
                self.running.telemetry.stale_answer()
                self._count_idle_talk(now)
            return None
        if isinstance(incoming, Cancel):
            if not self._conversation.cancel(incoming.id):
                self._count_idle_talk(now)
            return None
        return incoming

    def _count_idle_talk(self, now: float) -> None:
        try:
            self.session.count_idle_talk(now)
        except Flooding:
            self.close_soon(RATE_LIMITED)

    def _beat(self) -> None:
        self._beat_id = self.session.next_id()
        payload = self.codec.encode("heartbeat", None, self._beat_id)
        self.reply("heartbeat", payload, answer=True)

    def _dropped(self, reason: str, count: int) -> None:
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


def _ignore() -> None:
    """There is nothing left to read."""
