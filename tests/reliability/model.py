"""A gateway that can do everything, and what has to come of it, in lists and sets.

In the model nothing waits. Of what a peer has not read, one message is in a send that hangs, and
the others behind it; what a disconnect hook says comes when everything else is done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from asgi_ws_gateway import (
    ALL,
    SKIP,
    Accept,
    AskRejected,
    ConnectionRejected,
    DeliveryReport,
    Limits,
    MessageRejected,
    Peer,
    PeerClosed,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.limits import Overflow
from asgi_ws_gateway.runtime.telemetry import Stats

__all__ = ["LIMITS", "ROOMS", "SECONDS", "SMALL", "Model", "Person", "Record", "gateways"]

SECONDS: Final = 60.0
"""What everything may take: nothing here is about time, and busy machines stand still at times."""

MAX_ROOMS: Final = 2
SMALL: Final = 4


def limits(overflow: Overflow, outbox_messages: int) -> Limits:
    return Limits(
        overflow=overflow,
        outbox_messages=outbox_messages,
        max_rooms=MAX_ROOMS,
        send_timeout=SECONDS,
        attempt_timeout=SECONDS,
        handler_timeout=SECONDS,
        ask_timeout=SECONDS,
        linger=SECONDS,
    )


LIMITS: Final = {
    "/hall": limits("close", 1000),
    "/rooms/a": limits("close", SMALL),
    "/rooms/b": limits("close", SMALL),
    "/drop_newest": limits("drop_newest", SMALL),
    "/drop_oldest": limits("drop_oldest", SMALL),
}
"""Of every path; the two rooms have one gateway."""

ENTRANCE: Final = "entrance"
"""The room that everybody is in at first, and that hears who comes, and that somebody leaves."""

ROOMS: Final = (ENTRANCE, "attic", "cellar", "kitchen")

SENTENCES: Final = {
    "handler_failed": "the message could not be handled",
    "limit_reached": "too many rooms",
    "unwanted": "not today",
}


@dataclass
class Record:
    """What the gateways saw.

    Attributes:
        peers: By the name that each came with.
        left: What the disconnect hook was told, and the rooms, each time.
        unanswered: Who asked somebody who went instead of answering.
    """

    peers: dict[str, Peer] = field(default_factory=dict)
    left: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    unanswered: list[str] = field(default_factory=list)


class Gateway:
    """Serves each of the paths."""

    def __init__(self, record: Record) -> None:
        self.record = record

    @on_connection_attempt
    async def admit(self, params: dict[str, str]) -> Accept | bool:
        match params.get("attempt"):
            case "no":
                return False
            case "full":
                raise ConnectionRejected("full", status=429)
            case "told":
                raise ConnectionRejected("told", close_code=4001)
            case "failure":
                raise RuntimeError("the hook fails")
        return Accept(user=params.get("user"), presence=params["name"])

    @on_connect
    async def enter(self, peer: Peer) -> bool:
        self.record.peers[peer.presence] = peer
        peer.join(ENTRANCE)
        await peer.send("welcome", peer.presence)
        await peer.broadcast_others("came", peer.presence, room=ENTRANCE)
        if peer.params.get("connect") == "failure":
            raise RuntimeError("the hook fails")
        return "connect" not in peer.params

    @on_disconnect
    async def leave(self, peer: Peer, code: int, reason: str) -> None:
        self.record.left[peer.presence].append((code, reason, peer.rooms))
        assert not await peer.send("late")
        # Not who: of those who go at once nobody knows who is first.
        await peer.broadcast_others("left", room=ENTRANCE)

    @message("say")
    @broadcast_others("third")
    @broadcast("second", room=lambda data, peer: data["room"])
    @emit("first")
    async def say(self, data: Any) -> Any:
        return data

    @message("whisper")
    @broadcast_others("whispered")
    async def whisper(self, data: Any) -> Any:
        return data

    @message("join")
    async def join(self, data: Any, peer: Peer) -> bool:
        return peer.join(data)

    @message("fail")
    @broadcast("never")
    async def fail(self, data: Any) -> Any:
        if data == "object":
            return object()
        if data == "refusal":
            raise MessageRejected("unwanted", SENTENCES["unwanted"])
        raise RuntimeError("the handler fails")

    @message("ask")
    @emit("answered")
    async def ask(self, data: Any, peer: Peer) -> Any:
        try:
            return await self.record.peers[data].ask("question", peer.presence)
        except AskRejected as rejection:
            return rejection.code
        except PeerClosed:
            self.record.unanswered.append(peer.presence)
            return SKIP

    @message("close")
    async def close(self, peer: Peer) -> None:
        await peer.close(4002, "as you wish")


def gateways(record: Record) -> list[Gateway]:
    """What serves the paths."""
    patterns = {"/rooms/{name}" if "rooms" in path else path: path for path in LIMITS}
    return [
        namespace(pattern, limits=LIMITS[path])(type(f"At {pattern}", (Gateway,), {}))(record)
        for pattern, path in patterns.items()
    ]


@dataclass(eq=False)
class Person:
    """One accepted connection.

    Attributes:
        heard: What its client has received and nobody has looked at.
        paused: Whether its client does not read.
        sending: What hangs, since the client does not read.
        waiting: What is behind that, by itself and with its key if it came with `latest`.
        end: How it ended, once it has.
        lost: Whether its client was not told so.
        questions: How many it was asked.
    """

    name: str
    path: str
    user: str | None
    rooms: set[str] = field(default_factory=lambda: {ENTRANCE})
    heard: list[Any] = field(default_factory=list)
    paused: bool = False
    sending: Any = None
    waiting: list[tuple[Any, Any]] = field(default_factory=list)
    end: tuple[int, str] | None = None
    lost: bool = False
    questions: int = 0

    def __repr__(self) -> str:
        return self.name

    @property
    def here(self) -> bool:
        """Whether it is connected."""
        return self.end is None

    def may_join(self, room: str) -> bool:
        """Whether that room would not be one too many."""
        return room in self.rooms or len(self.rooms) < MAX_ROOMS

    def read(self) -> None:
        """Reads again, and hears what has waited."""
        if self.sending is not None:
            self.heard += [self.sending, *(frame for frame, _ in self.waiting)]
        self.forget()

    def forget(self) -> None:
        """Hears nothing of what has waited."""
        self.paused = False
        self.sending = None
        self.waiting.clear()


class Model:
    """Who is where, and what they were sent.

    Attributes:
        people: Whoever was accepted, in the order of their coming.
        unanswered: As the gateways record it.
        stats: What the service should have counted; what was lost by policy, of all that was lost.
        slow: Who was closed and has not read that yet, in the order of their ends.
    """

    def __init__(self) -> None:
        self.people: list[Person] = []
        self.unanswered: list[str] = []
        self.stats = Stats()
        self.slow: list[Person] = []
        self._leaving: list[Person] = []

    def audience(
        self, path: str, room: Any = ALL, exclude: Collection[Person] = ()
    ) -> list[Person]:
        """Whom a broadcast is for."""
        return [
            person
            for person in self.people
            if person.here and person.path == path
            if room is ALL or room in person.rooms
            if person not in exclude
        ]

    def of(self, user: str, path: str | None = None) -> list[Person]:
        """All connections of a user, or those to one path."""
        return [
            person
            for person in self.people
            if person.here and person.user == user and path in (None, person.path)
        ]

    def send(
        self,
        people: Iterable[Person],
        event: str,
        data: Any = None,
        latest: Any = None,
        id: Any = None,
    ) -> DeliveryReport:
        """Sends something to those of them who are here."""
        frame = {"event": event, "data": data} | ({} if id is None else {"id": id})
        key = None if latest is None else (event, latest)
        told = {person: self._tell(person, frame, key) for person in people if person.here}
        missed = [person for person in told if not told[person]]
        self.stats.queued += len(told) - len(missed)
        self.stats.dropped["overflow"] += len(missed)
        overflowed = [person for person in missed if LIMITS[person.path].overflow == "close"]
        for person in overflowed:
            person.sending = None
            person.waiting.clear()
        self.end(overflowed, 1013, "too slow")
        return DeliveryReport(len(told) - len(missed), len(missed), True)

    def _tell(self, person: Person, frame: Any, key: Any) -> bool:
        if not person.paused:
            person.heard.append(frame)
            return True
        if person.sending is None:
            person.sending = frame
            return True
        keys = [key for _, key in person.waiting]
        if key is not None and key in keys:
            person.waiting[keys.index(key)] = (frame, key)
            return True
        limits = LIMITS[person.path]
        if len(person.waiting) == limits.outbox_messages:
            if limits.overflow != "drop_oldest":
                return False
            self.stats.dropped["overflow"] += 1
            del person.waiting[0]
        person.waiting.append((frame, key))
        return True

    def come(self, path: str, user: str | None) -> Person:
        """Somebody connects, and the connect hook does its part."""
        person = Person(f"p{len(self.people)}", path, user)
        self.people.append(person)
        self.stats.accepted += 1
        self.stats.connections += 1
        self.send([person], "welcome", person.name)
        self.send(self.audience(path, ENTRANCE, [person]), "came", person.name)
        return person

    def handle(self, person: Person, event: str, data: Any, id: Any = None) -> None:
        """A handler returns, and what it returns goes to whoever it worked for."""
        self.stats.handled += 1
        self.send([person], event, data, id=id)

    def fail(self, person: Person, code: str, event: str, id: Any) -> None:
        """A handler fails."""
        self.stats.failed[code] += 1
        error = {"code": code, "message": SENTENCES[code], "event": event}
        self.send([person], "error", error, id=id)

    def skip(self, person: Person) -> None:
        """A handler gets no answer to what it asks, and sends none."""
        self.stats.handled += 1
        self.unanswered.append(person.name)

    def end(self, people: Iterable[Person], code: int, reason: str = "") -> None:
        """They are closed, all at once; what waits for them they hear before that."""
        for person in people:
            person.end = (code, reason)
            self.stats.connections -= 1
            self.stats.closed[code] += 1
            self._leaving.append(person)
            if person.paused:
                self.slow.append(person)
                person.read()

    def leave(
        self, people: Iterable[Person], code: int, reason: str = "", lost: bool = False
    ) -> None:
        """Their clients go, and hear no more."""
        for person in people:
            person.lost = lost
            person.forget()
        self.end(people, code, reason)

    def settle(self) -> None:
        """The disconnect hooks run."""
        while self._leaving:
            self.send(self.audience(self._leaving.pop(0).path, ENTRANCE), "left")
