"""What a peer still has to be sent: a queue bounded in messages and in bytes.

It only decides; whoever pushes carries the verdict out.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from math import inf
from typing import Final

from ..limits import Overflow

__all__ = ["DROPPED", "OVERFLOW", "QUEUED", "Outbox", "Verdict"]


class Verdict(Enum):
    """What became of a push."""

    QUEUED = auto()
    DROPPED = auto()
    OVERFLOW = auto()
    """Not queued, and the peer has to be closed."""


# One is looked at for each peer of a broadcast, and an attribute of an Enum is dear.
QUEUED: Final = Verdict.QUEUED
DROPPED: Final = Verdict.DROPPED
OVERFLOW: Final = Verdict.OVERFLOW


class Entry:
    __slots__ = ("answer", "key", "payload", "size")

    def __init__(
        self, payload: str | bytes, size: int, answer: bool, key: tuple[str, str] | None
    ) -> None:
        self.payload = payload
        self.size = size
        self.answer = answer
        self.key = key


class Outbox:
    """First in, first out.

    Args:
        max_bytes: Bytes that may wait; one message of any size is taken when nothing waits.
        max_messages: Messages that may wait.
        overflow: What to do at either limit.

    Attributes:
        bytes: How many bytes wait.
        dropped: How many messages were ever lost here by the policy.
    """

    __slots__ = (
        "_answer_bytes",
        "_answers",
        "_entries",
        "_latest",
        "_max_bytes",
        "_max_messages",
        "_overflow",
        "bytes",
        "dropped",
    )

    def __init__(self, max_bytes: int | None, max_messages: int | None, overflow: Overflow) -> None:
        self._max_bytes = inf if max_bytes is None else max_bytes
        self._max_messages = inf if max_messages is None else max_messages
        self._overflow = overflow
        self._entries: deque[Entry] = deque()
        self._latest: dict[tuple[str, str], Entry] = {}
        self._answers = 0
        self._answer_bytes = 0
        self.bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def filling(self) -> bool:
        """Whether it is over half full: the time to let whoever empties it run."""
        return len(self._entries) * 2 > self._max_messages or self.bytes * 2 > self._max_bytes

    @property
    def over_half(self) -> bool:
        """The same with more than one message: the time to stop reading what would add to it."""
        return len(self._entries) > 1 and self.filling

    def fits(self, size: int, messages: int = 1) -> bool:
        """Whether so many messages of `size` bytes together would be taken without any policy."""
        return self._room_for(size, len(self._entries), self.bytes, messages)

    def push(
        self,
        payload: str | bytes,
        size: int,
        *,
        answer: bool = False,
        key: tuple[str, str] | None = None,
    ) -> Verdict:
        """Queues a message of `size` bytes, or says why not.

        Args:
            payload: What to send.
            size: Its bytes.
            answer: It answers a message with an id, and is never dropped.
            key: Event and `latest` key, for what is no answer; an unsent message with the same
                one is replaced, in its place if that fits.
        """
        unsent = None if key is None else self._latest.get(key)
        if unsent is not None and self._room_for(
            size, len(self._entries) - 1, self.bytes - unsent.size
        ):
            self.bytes += size - unsent.size
            unsent.payload, unsent.size = payload, size
            return QUEUED
        if not (answer or self.fits(size)):
            if self._overflow == "close":
                return OVERFLOW
            if self._overflow == "drop_newest" or not self._could_fit(size):
                self.dropped += 1
                return DROPPED
        if unsent is not None:
            self._remove(unsent)  # replaced, not lost
        while not (answer or self.fits(size)):
            self._remove(next(entry for entry in self._entries if not entry.answer))
            self.dropped += 1
        entry = Entry(payload, size, answer, key)
        self._entries.append(entry)
        self.bytes += size
        if answer:
            self._answers += 1
            self._answer_bytes += size
        if key is not None:
            self._latest[key] = entry
        return QUEUED

    def pop(self) -> str | bytes:
        """The message to send next. Raises `IndexError` when there is none."""
        entry = self._entries.popleft()
        self._forget(entry)
        return entry.payload

    def clear(self) -> int:
        """Drops everything; returns how many messages that were."""
        count = len(self._entries)
        self._entries.clear()
        self._latest.clear()
        self.bytes = self._answers = self._answer_bytes = 0
        return count

    def _room_for(self, size: int, waiting: int, waiting_bytes: int, messages: int = 1) -> bool:
        return waiting == 0 or (
            waiting + messages <= self._max_messages and waiting_bytes + size <= self._max_bytes
        )

    def _could_fit(self, size: int) -> bool:
        """Whether dropping can make enough room: answers stay."""
        return self._room_for(size, self._answers, self._answer_bytes)

    def _remove(self, entry: Entry) -> None:
        self._entries.remove(entry)
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        self.bytes -= entry.size
        if entry.answer:
            self._answers -= 1
            self._answer_bytes -= entry.size
        if entry.key is not None:
            del self._latest[entry.key]
