"""An ASGI server for one in-process connection, stricter than any real one.

Whatever a server somewhere raises on, loses or chokes on is an `AssertionError` here: two sends at
once, a send after the close, text that cannot be encoded, a close code or reason that may not be
sent. An application may well catch it, since to it any exception of `send` means that the client is
gone; so the first is kept for the test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import anyio

from ..protocol.close_codes import MAX_REASON_BYTES, check_code

__all__ = ["CloseInfo", "Wire"]


class CloseInfo(NamedTuple):
    """How a connection ended, as its client sees it."""

    code: int
    reason: str = ""


class Wire:
    """Between one client and the application.

    Attributes:
        received: What the application sent and the client has not looked at: `str` or `bytes`.
        accepted: The accept message, once there is one.
        denial: Status, headers and body, once the handshake is refused.
        end: How it ended, once it has.
        finished: Set when the application has returned.
        fault: The first thing the application did that it may not do.
    """

    def __init__(self, *, denials: bool = True) -> None:
        self.received: deque[str | bytes] = deque()
        self.accepted: dict[str, Any] | None = None
        self.denial: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None
        self.end: CloseInfo | None = None
        self.finished = anyio.Event()
        self.fault: AssertionError | None = None
        self._denials = denials
        self._denial_start: dict[str, Any] | None = None
        self._denial_body = b""
        self._incoming: deque[dict[str, Any]] = deque()
        self._changed = anyio.Event()
        self._resumed: anyio.Event | None = None
        self._sending = False
        self._receiving = False
        self._lost = False
        self._closed = False
        self._told = False
        self._failure: Exception | None = None

    # The client's side.

    def put(self, message: dict[str, Any]) -> None:
        """Lets the application receive a message."""
        self._incoming.append(message)
        self._change()

    def leave(self, code: int, reason: str = "", *, lost: bool = False) -> None:
        """Ends it from the client's side; `lost` makes later sends of the application fail."""
        if self.end is None:
            self.end = CloseInfo(code, reason)
            self._lost = lost
            self.put({"type": "websocket.disconnect", "code": code, "reason": reason})
            self.resume()

    def fail_sends(self, error: Exception) -> None:
        """Makes every further send of the application raise `error`."""
        self._failure = error

    def pause(self) -> None:
        """Reads no more: the application's next send hangs."""
        if self._resumed is None:
            self._resumed = anyio.Event()

    def resume(self) -> None:
        """Reads again."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    @property
    def paused(self) -> bool:
        """Whether the client reads."""
        return self._resumed is not None

    @property
    def drained(self) -> bool:
        """Whether the application has received everything, and waits for more."""
        return self.finished.is_set() or (self._receiving and not self._incoming)

    async def changed(self) -> None:
        """Waits until anything happens on either side."""
        await self._changed.wait()

    # The application's side.

    async def receive(self) -> dict[str, Any]:
        """ASGI's `receive`."""
        with self._judged():
            assert not self._receiving, "two tasks are in receive() at once"
            assert not self._told, "a receive after the disconnect: some servers wait for ever"
            assert not self._refused, "a receive after the refusal"
        self._receiving = True
        try:
            while not self._incoming:
                self._change()
                await self._changed.wait()
            message = self._incoming.popleft()
            self._told = message["type"] == "websocket.disconnect"
            return message
        finally:
            self._receiving = False
            self._change()

    async def send(self, message: dict[str, Any]) -> None:
        """ASGI's `send`."""
        with self._judged():
            assert not self._sending, "two tasks are in send() at once"
        self._sending = True
        try:
            if self._resumed is not None:
                await self._resumed.wait()
            if self._failure is not None:
                raise self._failure
            if self._lost:
                raise OSError("the client is gone")
            with self._judged():
                self._take(message)
        finally:
            self._sending = False
            self._change()

    def finish(self) -> None:
        """The application has returned; a server ends the connection now, if it is still there."""
        if self.end is None:
            self.end = CloseInfo(1006)
        self.finished.set()
        self._change()

    @property
    def _refused(self) -> bool:
        return self.denial is not None or self._denial_start is not None

    @contextmanager
    def _judged(self) -> Generator[None, None, None]:
        try:
            yield
        except AssertionError as fault:
            self.fault = self.fault or fault
            raise

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        assert not self._closed, f"{kind!r} after the close"
        if kind == "websocket.accept":
            assert self.accepted is None, "accepted twice"
            assert not self._refused, "accepted after a refusal"
            self.accepted = message
        elif kind == "websocket.send":
            self._take_payload(message)
        elif kind == "websocket.close":
            self._take_close(message)
        elif kind == "websocket.http.response.start":
            assert self._denials, "the denial response extension is not there"
            assert self.accepted is None, "a denial after the accept"
            assert not self._refused, "refused twice"
            self._denial_start = message
        elif kind == "websocket.http.response.body":
            assert self._denial_start is not None, "a body before its start"
            assert self.denial is None, "a second body"
            # In pieces, as a wrapped framework may send it; granian (2.8) loses all but the last.
            self._denial_body += message.get("body", b"")
            if not message.get("more_body"):
                start = self._denial_start
                headers = list(start.get("headers", ()))
                self.denial = (start["status"], headers, self._denial_body)
        else:
            raise AssertionError(f"{kind!r} is not a message that may be sent")

    def _take_payload(self, message: dict[str, Any]) -> None:
        assert self.accepted is not None, "a send before the accept"
        text, data = message.get("text"), message.get("bytes")
        assert (text is None) != (data is None), "a message has either text or bytes"
        payload: Any = data if text is None else text
        if text is not None:
            assert type(text) is str, "text is a str"
            assert _encodable(text), "text holds a lone surrogate"
        else:
            assert type(data) is bytes, "bytes are bytes, not a view or an array"
        assert payload, "daphne drops an empty message"
        if self.end is None:
            self.received.append(payload)

    def _take_close(self, message: dict[str, Any]) -> None:
        if self.accepted is None:
            assert not self._refused, "refused twice"
            self.denial = (403, [], b"")
            return
        code, reason = message.get("code", 1000), message.get("reason") or ""
        assert _legal(code), f"{code!r} is not a close code that may be sent"
        assert _encodable(reason), "the reason of a close holds a lone surrogate"
        assert len(reason.encode()) <= MAX_REASON_BYTES, "the reason of a close is too long"
        assert not self._receiving, "granian blocks: a close while a task is in receive()"
        self._closed = True
        if self.end is None:
            self.end = CloseInfo(code, reason)
            # A client that reads answers a close, and the server tells the application.
            self.put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _legal(code: Any) -> bool:
    try:
        check_code(code)
    except (TypeError, ValueError):
        return False
    return True
