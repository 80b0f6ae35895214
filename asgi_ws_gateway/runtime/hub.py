"""Who is here: the peers of this node by id, namespace, room and user; and the way to all of them.

Nothing here waits, so no set changes under a loop that sends to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Protocol, TypeVar

from ..peer import Peer
from ..protocol.audience import Audience, Everyone
from ..protocol.close_codes import Close
from ..protocol.outbox import OVERFLOW, QUEUED, Verdict

__all__ = ["Hub", "Member"]

K = TypeVar("K")


class Way(Protocol):
    """What the hub needs of a peer's writer."""

    def push(
        self, payload: str | bytes, *, answer: bool = False, key: tuple[str, str] | None = None
    ) -> Verdict:
        """Sends or queues a message; never waits."""
        ...


class Member(Protocol):
    """What the hub needs of a connection."""

    @property
    def id(self) -> str:
        """The peer's id."""
        ...

    @property
    def peer(self) -> Peer[Any]:
        """The peer."""
        ...

    joined: set[str] | None
    """The rooms it is in, if any; the hub changes it."""

    @property
    def writer(self) -> Way:
        """The way to it."""
        ...

    def overflowed(self) -> None:
        """Ends it: it does not read."""
        ...

    def close_soon(self, close: Close) -> None:
        """Ends it, once what is queued has gone out."""
        ...

    async def drain(self, grace: float) -> None:
        """Ends it in good order."""
        ...

    async def settled(self, *, flushed: bool = True) -> bool:
        """Waits until it is idle; whether it was."""
        ...


class Hub:
    """The peers of one node."""

    def __init__(self) -> None:
        # Dicts serve as ordered sets: whoever came first is sent to first.
        self._members: dict[str, Member] = {}
        self._namespaces: dict[str, dict[Member, None]] = {}
        self._rooms: dict[tuple[str, str], dict[Member, None]] = {}
        self._users: dict[str, dict[Member, None]] = {}
        # As they came: `Peer.user` is the application's to change.
        self._user_of: dict[Member, str] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def add(self, member: Member) -> None:
        """Takes a peer into its namespace."""
        peer = member.peer
        self._members[member.id] = member
        self._namespaces.setdefault(peer.namespace, {})[member] = None
        if peer.user is not None:
            self._users.setdefault(peer.user, {})[member] = None
            self._user_of[member] = peer.user

    def remove(self, member: Member) -> None:
        """Takes a peer out of everything. Its `joined` still tells the rooms it was in."""
        if self._members.pop(member.id, None) is None:
            return
        peer = member.peer
        _discard(self._namespaces, peer.namespace, member)
        for room in member.joined or ():
            _discard(self._rooms, (peer.namespace, room), member)
        user = self._user_of.pop(member, None)
        if user is not None:
            _discard(self._users, user, member)

    def join(self, member: Member, room: str) -> None:
        """Takes a peer into a room."""
        if member.joined is None:
            member.joined = set()
        member.joined.add(room)
        self._rooms.setdefault((member.peer.namespace, room), {})[member] = None

    def leave(self, member: Member, room: str) -> None:
        """Takes a peer out of a room, if it is in it. An empty room is gone."""
        if member.joined and room in member.joined:
            member.joined.discard(room)
            _discard(self._rooms, (member.peer.namespace, room), member)

    def find(self, id: str) -> Member | None:
        """The peer with this id, on this node."""
        return self._members.get(id)

    def user(self, user: str) -> list[Member]:
        """All peers of a user, on this node."""
        return list(self._users.get(user, ()))

    def audience(self, audience: Audience) -> list[Member]:
        """Whom it means, on this node; exclusions are not taken out."""
        if audience.peer is not None:
            member = self._members.get(audience.peer)
            return [] if member is None else [member]
        if isinstance(audience.room, Everyone):
            return list(self._namespaces.get(audience.namespace, ()))
        if audience.room is None:
            return []
        return list(self._rooms.get((audience.namespace, audience.room), ()))

    def push(
        self,
        members: list[Member],
        payload: str | bytes,
        *,
        key: tuple[str, str] | None = None,
        exclude: Collection[str] = (),
    ) -> tuple[int, int]:
        """Hands one payload to each of them; waits for none.

        Returns how many took it, and how many lost it by their overflow policy or because they
        just left.
        """
        queued = dropped = 0
        overflowed: list[Member] = []
        for member in members:
            if exclude and member.id in exclude:
                continue
            verdict = member.writer.push(payload, key=key)
            if verdict is QUEUED:
                queued += 1
                continue
            dropped += 1
            if verdict is OVERFLOW:
                overflowed.append(member)
        # After the loop, so that closing one never comes between two of the others.
        for member in overflowed:
            member.overflowed()
        return queued, dropped


def _discard(index: dict[K, dict[Member, None]], key: K, member: Member) -> None:
    members = index.get(key)
    if members is not None:
        members.pop(member, None)
        if not members:
            del index[key]
