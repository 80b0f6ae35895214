"""One accepted connection, from its accept to the end of its disconnect hook.

One coroutine receives, handles and answers. Others come into being only when they are needed: a
reader while a handler waits (`inbox`), a task that drains the outbox while a send waits (`writer`),
one for every handler marked `concurrent=True`, and one that closes.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from time import perf_counter
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from ..errors import ConnectionRejected
from ..peer import BlockingPeer, Peer
from ..protocol.close_codes import (
    EXPIRED,
    GOING_DOWN,
    HEARTBEAT_TIMEOUT,
    INTERNAL_ERROR,
    POLICY,
    RATE_LIMITED,
    TOO_SLOW,
    Close,
)
from ..protocol.messages import Answer, Cancel, Failure, Message, MessageId
from ..protocol.outbox import Verdict
from ..protocol.session import Flooding, Session
from ..request import Accept, ConnectionRequest
from ..routing.table import Hook, Namespace, Route
from .dispatcher import Dispatcher
from .inbox import Inbox
from .invoke import Interrupted, Reason, Stage
from .link import ConnectionLink, GoneLink, Question, current
from .log import Complaints
from .running import Running
from .transport import Disconnected, Transport
from .writer import Writer

__all__ = ["Connection"]

logger = logging.getLogger(__name__)

MESSAGES_A_TURN: Final = 256
SECONDS_A_TURN: Final = 0.010

SHUTDOWN_SECONDS: Final = 1.0
"""What is left to a connection that the server has cancelled."""


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
        "_blocking_peer",
        "_closed",
        "_concurrent",
        "_concurrent_ended",
        "_dispatcher",
        "_handling",
        "_heard",
        "_namespace",
        "_timed",
        "_timers",
        "_transport",
        "_turn_messages",
        "_turn_seconds",
        "_turn_since",
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
        "stage",
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
        self.id = secrets.token_urlsafe(16)
        self.running = running
        self.limits = limits
        self.codec = namespace.codec
        self.complaints = Complaints()
        self.ending: Close | None = None
        self.joined: set[str] = set()
        self.session: Session[Question] = Session(namespace.codec, limits, anyio.current_time())
        self.writer = Writer(
            transport,
            limits,
            running.background,
            on_lost=self._lost,
            on_stuck=self.overflowed,
            on_dropped=running.telemetry.dropped,
        )
        self.push = self.writer.push
        self.inbox = Inbox(
            transport,
            running.background,
            self.writer,
            limits.inbox_messages,
            read=self._read,
            on_disconnect=self._left,
        )
        self.stage = Stage(self.inbox.read_ahead)
        state = accept.state
        self.peer: Peer[Any] = Peer(
            ConnectionLink(self),
            id=self.id,
            namespace=request.namespace,
            request=request,
            user=accept.user,
            state={} if state is None else dict(state) if isinstance(state, Mapping) else state,
            presence=accept.presence,
        )
        self._blocking_peer: BlockingPeer[Any] | None = None
        self._namespace = namespace
        self._dispatcher = dispatcher
        self._transport = transport
        self._handling: tuple[Route, Message] | None = None
        self._concurrent: dict[Stage, tuple[Route, Message]] = {}
        self._concurrent_ended: anyio.Event | None = None
        self._closed: anyio.Event | None = None
        self._timers: dict[str, Callable[[], None]] = {}
        self._timed = limits.rate is not None or limits.heartbeat is not None
        self._heard = 0.0
        self._turn_messages = 0
        self._turn_seconds = 0.0
        self._turn_since = 0.0

    @property
    def blocking_peer(self) -> BlockingPeer[Any]:
        """The peer for plain `def` handlers."""
        if self._blocking_peer is None:
            self._blocking_peer = BlockingPeer(self.peer, self.running.background)
        return self._blocking_peer

    async def run(self, expires_at: datetime | float | None = None) -> None:
        """Serves the connection until it has ended, its disconnect hook included.

        Never raises but when it is cancelled from outside.
        """
        token = current.set(self)
        self.running.hub.add(self)
        self.running.telemetry.connected(self.peer)
        cancelled = True
        try:
            self._start_timers(expires_at)
            await self._converse()
            cancelled = False
        finally:
            try:
                await self._conclude(cancelled)
            finally:
                self._release()
                current.reset(token)

    # What the dispatcher needs of an origin.

    async def make_room(self, payloads: list[str | bytes]) -> None:
        """Waits until all of them fit into the outbox; a peer that reads too slowly is dropped."""
        writer = self.writer
        if writer.fits(payloads):
            return
        with anyio.move_on_after(self.limits.send_timeout) as scope:
            await writer.room(lambda: writer.fits(payloads))
        if scope.cancelled_caught:
            self.overflowed()

    def reply(self, payload: str | bytes, *, answer: bool) -> None:
        """Sends to this peer without waiting."""
        verdict = self.push(payload, answer=answer)
        if verdict is Verdict.QUEUED:
            self.running.telemetry.stats.queued += 1
        elif verdict is Verdict.OVERFLOW:
            self.overflowed()

    def read_ahead(self) -> None:
        """Sees to it that a disconnect or a `cancel` is noticed while this task is busy."""
        self.inbox.read_ahead()

    async def give_way(self) -> None:
        """Lets others have the event loop after 256 messages or 10 ms."""
        now = perf_counter()
        self._turn_messages += 1
        self._turn_seconds += now - self._turn_since
        self._turn_since = now
        if self._turn_messages >= MESSAGES_A_TURN or self._turn_seconds >= SECONDS_A_TURN:
            self._turn_messages = 0
            self._turn_seconds = 0.0
            await checkpoint()
            self._turn_since = perf_counter()

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

    async def closed(self) -> None:
        """Waits until the close is handed to the server, if we close."""
        if self._closed is not None:
            await self._closed.wait()

    async def settled(self, *, flushed: bool = True) -> bool:
        """Waits until nothing is being handled and, if `flushed`, nothing waits to be sent.

        Returns whether there was nothing to wait for. It does not wait for one that has ended.
        """
        at_once = True
        while self.ending is None:
            if flushed and not self.writer.idle:
                await self.writer.flushed()
            elif self._concurrent:
                await self._one_concurrent_ended()
            elif not self.inbox.idle:
                await self.inbox.until_idle()
            else:
                break
            at_once = False
        return at_once

    async def drain(self, grace: float) -> None:
        """Reads no more, lets handlers end within `grace` seconds, and closes with 1012.

        Returns when the close is handed to the server.
        """
        self.inbox.hold()
        with anyio.move_on_after(grace):
            await self.settled()
        self.close_soon(GOING_DOWN)
        for stage in (self.stage, *self._concurrent):
            if stage.busy:
                stage.interrupt(Reason.GONE)
        await self.closed()

    def _left(self, code: int, reason: str) -> None:
        """The client has gone."""
        self._end(Close(code, reason))
        self.writer.stop()

    def _lost(self) -> None:
        """A send failed: the client has gone, and no `receive` has told yet."""
        if self._end(Close(1006)):
            self._start_closing(flush=False)

    def _end(self, cause: Close) -> bool:
        if self.ending is not None:
            return False
        self.ending = cause
        self.running.hub.remove(self)
        for forget in self._timers.values():
            forget()
        self._timers.clear()
        for question in self.session.asks.values():
            question.settle(None)
        self._limit(self.stage, self._handling)
        for stage, handling in self._concurrent.items():
            self._limit(stage, handling)
        return True

    def _limit(self, stage: Stage, handling: tuple[Route, Message] | None) -> None:
        """Says how long what runs on a stage still may, now that the peer is gone."""
        if handling is not None:
            route = handling[0]
            if route.cancel_on_disconnect or route.kind.streams:
                stage.interrupt(Reason.GONE)
        stage.end_within(self.limits.linger)

    def _start_closing(self, *, flush: bool) -> None:
        self._closed = anyio.Event()
        self.inbox.refuse()
        self.running.background.spawn(self._close, flush)
        if self.inbox.awaited:
            self.stage.interrupt(Reason.GONE)

    async def _close(self, flush: bool) -> None:
        """Hands the close to the server. Nobody is in `receive` or `send` by then."""
        assert self.ending is not None
        try:
            await self.inbox.stop()
            with anyio.move_on_after(self.limits.send_timeout):
                if flush:
                    await self.writer.flushed()
            self.writer.stop()
            with anyio.move_on_after(SHUTDOWN_SECONDS):
                await self.writer.flushed()
                await self._transport.close(self.ending.code, self.ending.reason)
        finally:
            if self._closed is not None:
                self._closed.set()

    # What it does meanwhile.

    async def _converse(self) -> None:
        connecting = True
        while True:
            with self.stage.scope:
                try:
                    if connecting:
                        await self._connect()
                        connecting = False
                    await self._handle_messages()
                except Disconnected:
                    return
                except Interrupted:
                    pass
            handling, self._handling = self._handling, None
            if connecting:
                if self.ending is None:
                    logger.error("The connect hook of peer %s took too long", self.id)
                    self.close_soon(INTERNAL_ERROR)
                return
            reason = self.stage.reason
            if handling is not None:
                await self._answer_interrupted(handling, reason)
            if self._closed is not None or (reason is Reason.GONE and self.stage.expired):
                return
            self.stage.renew()

    async def _connect(self) -> None:
        hook = self._namespace.on_connect
        if hook is None:
            return
        try:
            result = await self._dispatcher.run_hook(
                hook, self.stage, self.limits.handler_timeout, self._subject(hook)
            )
        except Interrupted:
            raise
        except ConnectionRejected:
            result = False
        except Exception:
            logger.exception("%s failed for peer %s", hook.label, self.id)
            self.close_soon(INTERNAL_ERROR)
            return
        if result is False:
            logger.warning(
                "%s refused peer %s, which was accepted already: "
                "decide in @on_connection_attempt instead",
                hook.label,
                self.id,
            )
            self.close_soon(POLICY)

    async def _handle_messages(self) -> None:
        dispatcher = self._dispatcher
        inbox = self.inbox
        while True:
            incoming = await inbox.next()
            self._turn_since = perf_counter()
            if type(incoming) is Failure:
                await dispatcher.fail(incoming, self)
            elif isinstance(incoming, Message):
                route = dispatcher.route(incoming.event)
                if route is None:
                    await dispatcher.refuse_unknown(incoming, self)
                elif route.concurrent:
                    await self._start_concurrent(route, incoming)
                elif self.ending is None or not route.cancel_on_disconnect:
                    self._handling = (route, incoming)
                    await dispatcher.handle(route, incoming, self, self.stage)
                    self._handling = None
            await self.give_way()

    async def _start_concurrent(self, route: Route, message: Message) -> None:
        limit = self.limits.inbox_messages
        while limit is not None and len(self._concurrent) >= limit:
            self.read_ahead()
            await self._one_concurrent_ended()
        if self.ending is not None and route.cancel_on_disconnect:
            return
        stage = Stage(self.read_ahead)
        if self.ending is not None:
            stage.end_within(self.limits.linger)
        self._concurrent[stage] = (route, message)
        self.running.background.spawn(self._run_concurrent, stage, route, message)

    async def _run_concurrent(self, stage: Stage, route: Route, message: Message) -> None:
        try:
            with stage.scope:
                try:
                    await self._dispatcher.handle(route, message, self, stage)
                    return
                except Interrupted:
                    pass
            await self._answer_interrupted((route, message), stage.reason)
        finally:
            del self._concurrent[stage]
            if self._concurrent_ended is not None:
                self._concurrent_ended.set()
                self._concurrent_ended = None

    async def _one_concurrent_ended(self) -> None:
        if self._concurrent_ended is None:
            self._concurrent_ended = anyio.Event()
        await self._concurrent_ended.wait()

    async def _answer_interrupted(self, handling: tuple[Route, Message], reason: Reason) -> None:
        route, message = handling
        if reason is Reason.TIMEOUT:
            logger.warning("%s took too long for peer %s", route.label, self.id)
            failure = Failure("handler_timeout", message.event, message.id)
        elif reason is Reason.CANCELLED:
            failure = Failure("cancelled", message.event, message.id)
        else:
            return
        await self._dispatcher.fail(failure, self)

    def _read(self, payload: str | bytes) -> Message | Failure | None:
        if self._closed is not None:
            return None
        self.running.telemetry.stats.received += 1
        now = 0.0
        if self._timed:
            now = self._heard = anyio.current_time()
        try:
            incoming = self.session.receive(payload, now)
        except Flooding:
            self.close_soon(RATE_LIMITED)
            return None
        except Exception:
            logger.exception("The codec failed on a message of peer %s", self.id)
            return Failure("invalid_json")
        if isinstance(incoming, Answer):
            question = self.session.asks.pop(incoming.id, None)
            if question is None:
                self.running.telemetry.stats.stale_answers += 1
            else:
                question.settle(incoming)
            return None
        if isinstance(incoming, Cancel):
            self._cancel(incoming.id)
            return None
        return incoming

    def _cancel(self, id: MessageId) -> None:
        if self._handling is not None and self._handling[1].id == id:
            self.stage.interrupt(Reason.CANCELLED)
            return
        for stage, (_, message) in self._concurrent.items():
            if message.id == id:
                stage.interrupt(Reason.CANCELLED)
                return
        withdrawn = self.inbox.withdraw(id)
        if withdrawn is not None:
            failure = Failure("cancelled", withdrawn.event, id)
            self.reply(self._dispatcher.error(failure, self), answer=True)

    # Timers.

    def _start_timers(self, expires_at: datetime | float | None) -> None:
        if expires_at is not None:
            moment = expires_at.timestamp() if isinstance(expires_at, datetime) else expires_at
            seconds = max(0.0, moment - time.time())
            self._in("expiry", seconds, lambda: self.close_soon(EXPIRED))
        if self.limits.heartbeat is not None:
            self._heard = anyio.current_time()
            self._in("heart", self.limits.heartbeat, self._check_heart)

    def _in(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        self._timers[name] = self.running.background.call_later(seconds, call)

    def _check_heart(self, asked: float | None = None) -> None:
        """Asks a silent peer, and closes one that has been silent since it was `asked`."""
        interval = self.limits.heartbeat
        assert interval is not None
        now = anyio.current_time()
        if self.inbox.paused:
            # It may well speak: it is us who do not listen.
            self._heard = now
        silent = now - self._heard
        if silent < interval:
            self._in("heart", interval - silent, self._check_heart)
        elif asked is not None and self._heard < asked:
            # Not by `silent` alone: this timer may be later than a quick answer was.
            self.close_soon(HEARTBEAT_TIMEOUT)
        else:
            self.push(self.codec.encode("heartbeat", None, self.session.next_id()), answer=True)
            self._in("heart", interval, lambda: self._check_heart(now))

    # Its end.

    async def _conclude(self, cancelled: bool) -> None:
        with anyio.CancelScope(shield=True) as scope:
            if cancelled:
                scope.deadline = anyio.current_time() + SHUTDOWN_SECONDS
            if self.ending is None:
                self._end(GOING_DOWN)
                self.writer.refuse()
                await self._close(flush=True)
            await self.closed()
            await self._concurrent_handlers()
            await self._disconnect()

    async def _concurrent_handlers(self) -> None:
        if not self._concurrent:
            return
        linger = self.limits.linger
        with anyio.move_on_after(None if linger is None else linger + SHUTDOWN_SECONDS) as scope:
            while self._concurrent:
                await self._one_concurrent_ended()
        if scope.cancelled_caught:
            logger.error(
                "Abandoned %d handlers of peer %s, which do not end", len(self._concurrent), self.id
            )

    async def _disconnect(self) -> None:
        hook = self._namespace.on_disconnect
        if hook is None:
            return
        assert self.ending is not None
        stage = Stage(_ignore)
        with stage.scope:
            try:
                await self._dispatcher.run_hook(
                    hook,
                    stage,
                    self.limits.linger,
                    self._subject(hook),
                    self.ending.code,
                    self.ending.reason,
                )
                return
            except Interrupted:
                pass
            except Exception:
                logger.exception("%s failed for peer %s", hook.label, self.id)
                return
        logger.error("%s took too long for peer %s", hook.label, self.id)

    def _release(self) -> None:
        ending = self.ending or GOING_DOWN
        self._end(ending)
        peer = self.peer
        peer._link = GoneLink(self.running, peer.namespace, frozenset(self.joined))
        self.inbox.refuse()
        self.running.telemetry.disconnected(peer, ending.code)

    def _subject(self, hook: Hook) -> Peer[Any] | BlockingPeer[Any]:
        return self.blocking_peer if hook.kind.threaded else self.peer


def _ignore() -> None:
    """There is nothing left to read."""
