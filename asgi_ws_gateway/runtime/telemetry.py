"""Counts what happens, and tells the observers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..observers import Observer
from ..peer import Peer
from .log import Complaints, Log

__all__ = ["Stats", "Telemetry"]

logger = Log(__name__)

LONGEST_CODE: Final = 64
MOST_CODES: Final = 256
"""Codes of errors that are counted each for itself."""


@dataclass(slots=True)
class Stats:
    """Counters since the service was created, and how many peers are connected now.

    Attributes:
        connections: Connected now, on this node.
        accepted: Handshakes that were let in.
        refused: Handshakes that were not, by reason.
        received: Messages that clients sent.
        handled: Messages handled without an error.
        failed: Messages answered with an error, by code.
        queued: Messages handed to a peer, each peer of a broadcast counted.
        dropped: Messages that a peer did not get, by reason: `overflow` (by policy), `closed` (they
            waited when it was closed), `gone` (they came too late, or their sending failed).
        closed: Connections ended, by code.
        stale_answers: Answers to questions that were not, or no longer, open.
        server_faults: ASGI messages that made no sense.
    """

    connections: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    received: int = 0
    handled: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    queued: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    closed: Counter[int] = field(default_factory=Counter[int])
    stale_answers: int = 0
    server_faults: int = 0


class Telemetry:
    """What happens in one service.

    Args:
        observers: Who else wants to know. What they raise is logged, and goes no further.

    What happens with every message is counted in `stats` by those who see it, and told here only if
    it is `observed`: that is a call less.

    Attributes:
        stats: The counters.
        complaints: About what happens while there is no peer yet, or none any more.
        observed: Whether anybody else wants to know.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.stats = Stats()
        self.complaints = Complaints()
        self.observed = bool(observers)
        self._observers = observers

    def refused(self, namespace: str | None, reason: str) -> None:
        """A handshake was refused."""
        self.stats.refused[reason] += 1
        self._tell(lambda observer: observer.refused(namespace, reason))

    def connected(self, peer: Peer[Any]) -> None:
        """A peer was accepted."""
        self.stats.accepted += 1
        self.stats.connections += 1
        if self.observed:
            self._tell(lambda observer: observer.connected(peer))

    def disconnected(self, peer: Peer[Any], code: int) -> None:
        """A peer is gone for good."""
        self.stats.connections -= 1
        self.stats.closed[code] += 1
        if self.observed:
            self._tell(lambda observer: observer.disconnected(peer, code))

    def received(self, peer: Peer[Any]) -> None:
        """A message arrived, and was counted."""
        self._tell(lambda observer: observer.received(peer))

    def handled(self, peer: Peer[Any], event: str | None, seconds: float) -> None:
        """A message was handled, and counted."""
        self._tell(lambda observer: observer.handled(peer, event, seconds))

    def failed(self, peer: Peer[Any], event: str | None, code: str) -> None:
        """A message failed; `event` only if it is registered."""
        if code not in self.stats.failed and (
            len(code) > LONGEST_CODE or len(self.stats.failed) >= MOST_CODES
        ):
            code = "rejected"  # a handler's own codes may be a client's words
        self.stats.failed[code] += 1
        if self.observed:
            self._tell(lambda observer: observer.failed(peer, event, code))

    def dropped(self, peer: Peer[Any], reason: str, count: int) -> None:
        """Messages were lost on their way to one peer."""
        self.stats.dropped[reason] += count
        if self.observed:
            self._tell(lambda observer: observer.dropped(peer, reason, count))

    def stale_answer(self) -> None:
        """A question was answered that is not open."""
        self.stats.stale_answers += 1
        self._tell(lambda observer: observer.ignored("stale_answer"))

    def server_fault(self) -> None:
        """The server sent what makes no sense."""
        self.stats.server_faults += 1
        self._tell(lambda observer: observer.ignored("server_fault"))

    def sent(self, namespace: str, event: str, queued: int, dropped: int) -> None:
        """One encoded message went out, and was counted."""
        self._tell(lambda observer: observer.sent(namespace, event, queued, dropped))

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                tell(observer)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                # Of whatever kind: no cancellation of ours comes out of a plain call.
                name = type(observer).__name__
                self.complaints.error(logger, name, "An observer failed: %s", name, error=error)
