"""What a connection's own task does between accept and end: the connect hook, then the messages.

One message after the other is handled in this task; only a handler marked `concurrent=True` gets a
task of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from ..errors import ConnectionRejected
from ..protocol.close_codes import INTERNAL_ERROR, POLICY, cut_reason
from ..protocol.messages import Failure, Message, MessageId
from ..routing.table import Route
from .cancellation import raise_if_cancelled
from .invoke import Abandoned, Interrupted, Reason, Stage
from .log import Log
from .patience import HURRIED_SECONDS
from .transport import Disconnected

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Conversation"]

logger = Log(__name__)


class Conversation:
    """Handles what one peer says.

    Args:
        connection: Whose it is.

    Attributes:
        stage: Where the connection's own task runs user code.
    """

    __slots__ = (
        "_concurrent",
        "_concurrent_bytes",
        "_connection",
        "_dispatcher",
        "_handling",
        "_namespace",
        "_one_ended",
        "stage",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._namespace = connection.namespace
        self._dispatcher = connection.dispatcher
        self._handling: tuple[Route, Message] | None = None
        self._concurrent: dict[Stage, tuple[Route, Message]] = {}
        self._concurrent_bytes = 0
        self._one_ended: anyio.Event | None = None
        self.stage = Stage(connection.running.background, connection.read_ahead)

    async def run(self, before: int) -> None:
        """Talks until the connection has ended.

        Args:
            before: What `cancellations` said before any user code ran.
        """
        connection = self._connection
        stage = self.stage
        connecting = True
        while True:
            with stage.scope:
                try:
                    if connecting:
                        await self._connect()
                        connecting = False
                    await self._handle_messages()
                except Disconnected:
                    return
                except Abandoned:
                    if not stage.scope.cancel_called:
                        # The server cancelled it. trio says so again, and that is the cause.
                        await checkpoint()
                    connection.close_soon(INTERNAL_ERROR)
                    return
                except Interrupted:
                    pass
            raise_if_cancelled(before)
            if connecting:
                if connection.ending is None:
                    text = "The connect hook took too long for peer %s"
                    complaints = connection.running.telemetry.complaints
                    complaints.error(logger, text, text, connection.id)
                    connection.close_soon(INTERNAL_ERROR)
                return
            handling, self._handling = self._handling, None
            if handling is not None:
                await self._answer_interrupted(handling, stage.reason)
            if stage.expired:
                return
            stage.renew()

    def cancel(self, id: MessageId) -> bool:
        """Cancels the message with this id, be it running or waiting; whether there was one."""
        if self._handling is not None and self._handling[1].id == id:
            self.stage.interrupt(Reason.CANCELLED)
            return True
        for stage, (_, message) in self._concurrent.items():
            if message.id == id and stage.interrupted_by is None:
                stage.interrupt(Reason.CANCELLED)
                return True
        withdrawn = self._connection.inbox.withdraw(id)
        if withdrawn is not None:
            failure = Failure("cancelled", withdrawn.event, id)
            payload = self._dispatcher.error(failure, self._connection)
            self._connection.reply("error", payload, answer=True)
        return withdrawn is not None

    def end(self, linger: float | None) -> None:
        """The peer is gone: what runs for it may go on for `linger` seconds, unless it need not."""
        self._limit(self.stage, self._handling, linger)
        for stage, handling in self._concurrent.items():
            self._limit(stage, handling, linger)

    def abort(self) -> None:
        """Interrupts what runs, which has little time to end."""
        for stage in (self.stage, *self._concurrent):
            if stage.busy:
                stage.interrupt(Reason.GONE, HURRIED_SECONDS)

    @property
    def concurrent(self) -> int:
        """How many concurrent handlers run."""
        return len(self._concurrent)

    async def one_ended(self) -> None:
        """Waits until a concurrent handler has ended."""
        if self._one_ended is None:
            self._one_ended = anyio.Event()
        await self._one_ended.wait()

    async def _connect(self) -> None:
        hook = self._namespace.on_connect
        if hook is None:
            return
        label = hook.label
        connection = self._connection
        complaints = connection.running.telemetry.complaints
        timeout = self._namespace.limits.handler_timeout
        refusal = POLICY
        try:
            result = await self._dispatcher.run_hook(
                hook, self.stage, timeout, connection.subject(hook)
            )
        except Interrupted:
            raise
        except ConnectionRejected as rejection:
            result = False
            refusal = POLICY._replace(reason=cut_reason(str(rejection.reason)))
        except Exception as error:
            complaints.error(
                logger, label, "%s failed for peer %s", label, connection.id, error=error
            )
            connection.close_soon(INTERNAL_ERROR)
            return
        if result is False:
            complaints.warn(
                logger,
                label,
                "%s refused peer %s, which was accepted already: "
                "decide in @on_connection_attempt instead",
                label,
                connection.id,
            )
            connection.close_soon(refusal)

    async def _handle_messages(self) -> None:
        connection = self._connection
        dispatcher = self._dispatcher
        inbox = connection.inbox
        turn = connection.turn
        stage = self.stage
        routes = dispatcher.routes
        while True:
            incoming = await inbox.next()
            if isinstance(incoming, Failure):
                await dispatcher.refuse(incoming, connection)
            else:
                route = routes.get(incoming.event) or dispatcher.route(incoming.event)
                if route is None:
                    await dispatcher.refuse_unknown(incoming, connection)
                elif route.concurrent:
                    await self._start_concurrent(route, incoming)
                elif connection.ending is None or not _ends_with_peer(route):
                    self._handling = (route, incoming)
                    await dispatcher.handle(route, incoming, connection, stage)
                    self._handling = None
                    if stage.interrupted_by is not None:
                        # Too late for that message, and not meant for the next.
                        raise Interrupted
            if turn.over():
                await turn.give_way()

    async def _start_concurrent(self, route: Route, message: Message) -> None:
        connection = self._connection
        size = connection.inbox.size
        if self._full():
            # While it waits for a place it is this task's message, and can be cancelled as such.
            self._handling = (route, message)
            while self._full():
                connection.read_ahead()
                await self.one_ended()
            if self.stage.interrupted_by is not None:
                raise Interrupted
            self._handling = None
        stage = Stage(connection.running.background, connection.read_ahead)
        if connection.ending is not None:
            if _ends_with_peer(route):
                return
            stage.end_within(self._namespace.limits.linger)
        self._concurrent[stage] = (route, message)
        self._concurrent_bytes += size
        connection.running.background.spawn(self._run_concurrent, stage, route, message, size)

    def _full(self) -> bool:
        """Whether as much is handled at once as may wait in the inbox."""
        limits = self._namespace.limits
        most, most_bytes = limits.inbox_messages, limits.max_message_bytes
        return (most is not None and len(self._concurrent) >= most) or (
            most_bytes is not None and self._concurrent_bytes >= most_bytes
        )

    async def _run_concurrent(
        self, stage: Stage, route: Route, message: Message, size: int
    ) -> None:
        try:
            with stage.scope:
                try:
                    await self._dispatcher.handle(route, message, self._connection, stage)
                    return
                except Abandoned:
                    self._connection.close_soon(INTERNAL_ERROR)
                    return
                except Interrupted:
                    pass
            await self._answer_interrupted((route, message), stage.reason)
        finally:
            del self._concurrent[stage]
            self._concurrent_bytes -= size
            if self._one_ended is not None:
                self._one_ended.set()
                self._one_ended = None

    async def _answer_interrupted(self, handling: tuple[Route, Message], reason: Reason) -> None:
        route, message = handling
        if reason is Reason.TIMEOUT:
            self._connection.complaints.warn(
                logger,
                route.label,
                "%s took too long for peer %s",
                route.label,
                self._connection.id,
            )
            failure = Failure("handler_timeout", message.event, message.id)
        elif reason is Reason.CANCELLED:
            failure = Failure("cancelled", message.event, message.id)
        else:
            return
        await self._dispatcher.fail(failure, self._connection)

    def _limit(
        self, stage: Stage, handling: tuple[Route, Message] | None, linger: float | None
    ) -> None:
        if handling is not None and _ends_with_peer(handling[0]):
            stage.interrupt(Reason.GONE)
        stage.end_within(linger)


def _ends_with_peer(route: Route) -> bool:
    return route.cancel_on_disconnect or route.kind.streams
