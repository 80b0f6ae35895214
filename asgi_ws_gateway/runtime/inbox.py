"""What a peer has said and nobody has handled yet.

As a rule it is empty: the connection's own task receives, and handles. Once a handler suspends, a
reader task receives in its place, so that a disconnect, an answer or a `cancel` is noticed while
the handler waits. A pending `receive` is never cancelled to give the reading back (granian 2.8
loses messages that way): the reader hands over with the next message that finds nobody busy.
"""

from __future__ import annotations

from collections import deque
from math import inf
from time import perf_counter
from typing import Protocol

import anyio

from ..protocol.messages import Failure, Message, MessageId
from .background import Background
from .transport import Disconnected, Transport
from .turn import Turn
from .writer import Writer

__all__ = ["Inbox"]


class PayloadReader(Protocol):
    """What an inbox needs to know of what arrives."""

    def read(self, payload: str | bytes) -> Message | Failure | None:
        """What a payload means; `None` for what needs no handling any more."""
        ...


class InboxOwner(Protocol):
    """What an inbox needs of its connection."""

    def left(self, code: int, reason: str) -> None:
        """The client is gone; told once."""
        ...


class Inbox:
    """One peer's way in.

    Args:
        transport: Where from.
        background: Runs the reader.
        writer: The peer's way out; while it is over half full, nothing is read that adds to it.
        turn: How long the connection's own task has had the event loop.
        max_messages: How many may wait before the reading stops.
        max_bytes: How many characters or bytes of messages, in all. What was read of them may take
            thirty times as much memory.
        arrivals: Says what a payload means.
        owner: Whose it is.

    Attributes:
        awaited: Whether the connection's task waits in `next`, and so may be cancelled.
        paused: Whether nothing is read, whatever the client sends.
        size: Characters or bytes of the message that `next` returned last.
    """

    __slots__ = (
        "_arrivals",
        "_background",
        "_bytes",
        "_ended",
        "_held",
        "_idle",
        "_max_bytes",
        "_max_messages",
        "_out",
        "_owner",
        "_reader",
        "_room",
        "_stopped",
        "_transport",
        "_turn",
        "_waiting",
        "_wanted",
        "_writer",
        "awaited",
        "paused",
        "size",
    )

    def __init__(
        self,
        transport: Transport,
        background: Background,
        writer: Writer,
        turn: Turn,
        max_messages: int | None,
        max_bytes: int | None,
        arrivals: PayloadReader,
        owner: InboxOwner,
    ) -> None:
        self._transport = transport
        self._background = background
        self._writer = writer
        self._turn = turn
        self._max_messages = inf if max_messages is None else max_messages
        self._max_bytes = inf if max_bytes is None else max_bytes
        self._arrivals = arrivals
        self._owner = owner
        self._waiting: deque[tuple[Message | Failure, int]] | None = None
        """Made when it is needed: an empty one takes 600 bytes."""
        self._bytes = 0
        self._ended = False
        self._stopped = False
        self._reader: anyio.CancelScope | None = None
        self._wanted: anyio.Event | None = None
        self._room: anyio.Event | None = None
        self._held = False
        self._idle: anyio.Event | None = None
        self._out: anyio.Event | None = None
        self.awaited = False
        self.paused = False
        self.size = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being handled."""
        return self.awaited and not self._waiting

    async def until_idle(self) -> None:
        """Waits until `idle` holds, or the reading has ended."""
        while not (self.idle or self._ended or self._stopped):
            if self._idle is None:
                self._idle = anyio.Event()
            await self._idle.wait()

    async def next(self) -> Message | Failure:
        """Waits for what to handle next.

        Raises:
            Disconnected: The client is gone, and everything it said was handed out.
        """
        while True:
            if self._waiting:
                if self._room is not None:
                    self._room.set()
                self._turn.begin()
                waited, self.size = self._waiting.popleft()
                self._bytes -= self.size
                return waited
            if self._idle is not None:
                self._tell_idle()
            stopped = self._stopped
            if self._ended or stopped:
                raise Disconnected(0)
            self.awaited = True
            try:
                if self._reader is not None:
                    await self._until_reader_ends()
                    continue
                if self._held or not self._writer.idle:
                    await self._pause()
                payload = await self._transport.receive()
            except Disconnected as end:
                self._end(end)
                raise
            finally:
                self.awaited = False
                if self._out is not None:
                    self._tell_out()
            if self._stopped:
                continue
            turn = self._turn
            turn.since = perf_counter()  # `begin`, less a call
            incoming = self._arrivals.read(payload)
            if incoming is not None:
                self.size = len(payload)
                return incoming
            if turn.over():
                await turn.give_way()

    def read_ahead(self) -> None:
        """Starts the reader, unless it runs or there is nothing more to come."""
        # While the connection's own task is in `next`, it reads itself, or waits to.
        if self._reader is None and not (self._ended or self._stopped or self.awaited):
            self._reader = anyio.CancelScope()
            self._background.spawn(self._run_reader, self._reader)

    def hold(self) -> None:
        """Reads no more; what has been read is still handed out."""
        self._held = True

    async def stop(self) -> None:
        """Ends the reading; returns once nobody is in `receive`.

        If `awaited`, the connection's own task has to be cancelled by who calls this.
        """
        self._stopped = True
        if self._reader is not None:
            self._reader.cancel()
        while self.awaited or self._reader is not None:
            if self._out is None:
                self._out = anyio.Event()
            await self._out.wait()

    def withdraw(self, id: MessageId) -> Message | None:
        """Takes back a message that has not been handed out."""
        waiting = self._waiting or deque()
        for index, (incoming, size) in enumerate(waiting):
            if isinstance(incoming, Message) and incoming.id == id:
                del waiting[index]  # `remove` would compare the data of all before it
                self._bytes -= size
                return incoming
        return None

    def refuse(self, *, rest: bool = True) -> None:
        """Reads no more; `next` finds the end, at once or, without `rest`, behind what waits."""
        self._stopped = True
        if rest:
            self._waiting = None
            self._bytes = 0
        self._tell_idle()

    async def _until_reader_ends(self) -> None:
        self._wanted = anyio.Event()
        try:
            await self._wanted.wait()
        finally:
            self._wanted = None

    async def _pause(self) -> None:
        """Waits until it may be read on."""
        if self._held:
            self.paused = True
            await anyio.sleep_forever()
        if self._writer.over_half:
            self.paused = True
            try:
                await self._writer.room(lambda: not self._writer.over_half)
            finally:
                self.paused = False

    async def _run_reader(self, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._read_until_wanted()
        except Disconnected as end:
            self._end(end)
        finally:
            self.paused = False
            self._reader = None
            self._tell_out()
            if self._wanted is not None:
                self._wanted.set()

    async def _read_until_wanted(self) -> None:
        turn = Turn()
        while self._wanted is None or not self._waiting:
            waiting = self._waiting or ()
            if len(waiting) >= self._max_messages or self._bytes >= self._max_bytes:
                self.paused = True
                self._room = anyio.Event()
                await self._room.wait()
                self._room = None
                self.paused = False
                if self._wanted is not None:
                    return
                continue
            await self._pause()
            payload = await self._transport.receive()
            if self._stopped:
                return
            turn.begin()
            incoming = self._arrivals.read(payload)
            if incoming is not None:
                if self._waiting is None:
                    self._waiting = deque()
                self._waiting.append((incoming, len(payload)))
                self._bytes += len(payload)
            if turn.over():
                await turn.give_way()

    def _end(self, end: Disconnected) -> None:
        self._ended = True
        self._owner.left(end.code, end.reason)
        self._tell_idle()

    def _tell_idle(self) -> None:
        if self._idle is not None:
            self._idle.set()
            self._idle = None

    def _tell_out(self) -> None:
        if self._out is not None and not self.awaited and self._reader is None:
            self._out.set()
            self._out = None
