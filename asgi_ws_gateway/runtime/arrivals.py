"""What arrives from one client: whoever waits for it has it at once, the rest is for handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from ..protocol.close_codes import RATE_LIMITED
from ..protocol.messages import Answer, Cancel, Failure, Message
from ..protocol.session import Flooding, Session
from ..routing.table import Namespace
from .link import Question
from .log import Log
from .telemetry import Telemetry

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Arrivals"]

logger = Log(__name__)


class Arrivals:
    """Reads for a connection.

    Args:
        connection: Whose client it is.
        namespace: What it is connected to.
        telemetry: Counts.

    Attributes:
        session: What the client may say, and what it was asked.
    """

    __slots__ = ("_beat_id", "_connection", "_telemetry", "_timed", "session")

    def __init__(self, connection: Connection, namespace: Namespace, telemetry: Telemetry) -> None:
        limits = namespace.limits
        self._telemetry = telemetry
        self._connection = connection
        self._beat_id: str | None = None
        self._timed = limits.rate is not None or limits.heartbeat is not None
        now = 0.0 if limits.rate is None else anyio.current_time()
        self.session: Session[Question] = Session(namespace.codec, limits, now)

    def read(self, payload: str | bytes) -> Message | Failure | None:
        """What is left to handle of a payload, if anything."""
        connection = self._connection
        telemetry = self._telemetry
        telemetry.stats.received += 1
        if telemetry.observed:
            telemetry.received(connection.peer)
        now = 0.0
        if self._timed:
            now = anyio.current_time()
            if connection.heart is not None:
                connection.heart.heard = now
        try:
            incoming = self.session.receive(payload, now)
        except Flooding:
            telemetry.failed(connection.peer, None, "rate_limited")
            connection.close_soon(RATE_LIMITED)
            return None
        except Exception as error:
            text = "The codec failed on a message of peer %s"
            connection.complaints.error(logger, text, text, connection.id, error=error)
            return Failure("invalid_json")
        if type(incoming) is Message:
            return incoming
        if incoming is None:
            # It would have been answered, had its sender not been told just now.
            telemetry.failed(connection.peer, None, "rate_limited")
            return None
        if isinstance(incoming, Answer):
            self._settle(incoming, now)
            return None
        if isinstance(incoming, Cancel):
            if not connection.conversation.cancel(incoming.id):
                self._count_idle_talk(now)
            return None
        return incoming

    def beat(self) -> None:
        """Asks the client whether it is there."""
        connection = self._connection
        self._beat_id = self.session.next_id()
        payload = connection.codec.encode("heartbeat", None, self._beat_id)
        connection.reply("heartbeat", payload, answer=True)

    def _settle(self, answer: Answer, now: float) -> None:
        question = self.session.asks.pop(answer.id, None)
        if question is not None:
            question.settle(answer)
        elif answer.id == self._beat_id:
            self._beat_id = None
        else:
            self._telemetry.stale_answer()
            self._count_idle_talk(now)

    def _count_idle_talk(self, now: float) -> None:
        try:
            self.session.count_idle_talk(now)
        except Flooding:
            self._connection.close_soon(RATE_LIMITED)
