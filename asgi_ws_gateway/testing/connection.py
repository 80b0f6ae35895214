"""A client's end of one in-process connection, in the words of the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio

from ..errors import Issue
from ..protocol.codec import Codec
from ..protocol.messages import MessageId
from .wire import CloseInfo, Wire

__all__ = [
    "ClientConnection",
    "CloseInfo",
    "ConnectionClosed",
    "ConnectionDenied",
    "RequestFailed",
]


class ConnectionDenied(Exception):
    """The handshake was refused.

    Attributes:
        status: The HTTP status.
        body: The body as text.
        headers: The headers, by lower-case name.
    """

    def __init__(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        super().__init__(f"{status}: {body}")


class ConnectionClosed(Exception):
    """Something was awaited from a connection that has ended."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}" if reason else str(code))


class RequestFailed(Exception):
    """A request was answered with an `error`.

    Attributes:
        code: The error's code.
        message: Its sentence.
        issues: Those of `validation_failed`.
        data: What a `MessageRejected` carried.
    """

    def __init__(self, error: dict[str, Any]) -> None:
        self.code: str = error["code"]
        self.message: str = error["message"]
        self.issues = tuple(Issue(**issue) for issue in error.get("issues", ()))
        self.data = error.get("data")
        super().__init__(f"{self.code}: {self.message}")


class Done:
    """What is returned by calls that act at once: nothing has to be awaited, and all may be."""

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, None]:
        if self._wait is not None:
            yield from self._wait().__await__()


class ClientConnection:
    """What `GatewayTestClient.connect` gives.

    Every wait ends with a `TimeoutError` after `timeout` seconds.

    Attributes:
        subprotocol: The one that was accepted.
        headers: Those of the accept, by lower-case name.
    """

    def __init__(self, wire: Wire, codec: Codec, timeout: float) -> None:
        accept = wire.accepted or {}
        self.subprotocol: str | None = accept.get("subprotocol")
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in accept.get("headers", ())
        }
        self._wire = wire
        self._codec = codec
        self._timeout = timeout
        self._pending: list[dict[str, Any]] = []
        self._requests = 0

    @property
    def pending(self) -> list[dict[str, Any]]:
        """Whole envelopes that were received and not yet taken, oldest first."""
        self._decode()
        return list(self._pending)

    async def send(self, event: str, data: Any = None, *, id: MessageId | None = None) -> None:
        """Sends an event."""
        self._put(self._codec.encode(event, data, id))

    async def send_text(self, text: str) -> None:
        """Sends a text message as it is."""
        self._put(text)

    async def send_bytes(self, data: bytes) -> None:
        """Sends a binary message as it is."""
        self._put(data)

    async def receive(self, event: str) -> Any:
        """The data of the next message, which must be `event`.

        Raises:
            AssertionError: It is another event.
            ConnectionClosed: There is none, and there will be none.
        """
        await self._until(lambda: bool(self._pending), f"{event!r}")
        found = self._pending[0]
        assert found["event"] == event, f"expected {event!r}, but the next message is {found}"
        return self._pending.pop(0)["data"]

    async def receive_frame(self) -> dict[str, Any]:
        """The whole envelope of the next message. Raises `ConnectionClosed`."""
        await self._until(lambda: bool(self._pending), "a message")
        return self._pending.pop(0)

    def take(self, event: str) -> Any:
        """The data of the first pending `event`, wherever it stands. Raises `AssertionError`."""
        self._decode()
        for index, frame in enumerate(self._pending):
            if frame["event"] == event:
                return self._pending.pop(index)["data"]
        raise AssertionError(f"no {event!r} is pending: {self._pending}")

    async def request(self, event: str, data: Any = None, *, id: MessageId | None = None) -> Any:
        """Sends an event with an id, and returns the data of its final answer.

        Other messages stay pending, the values of a stream among them.

        Raises:
            RequestFailed: The answer is an `error`.
            ConnectionClosed: There will be no answer.
        """
        if id is None:
            self._requests += 1
            id = f"t{self._requests}"
        await self.send(event, data, id=id)
        await self._until(lambda: self._answer_to(id) is not None, f"the answer to {event!r}")
        answer = self._answer_to(id)
        assert answer is not None
        self._pending.remove(answer)
        if answer["event"] == "error":
            raise RequestFailed(answer["data"])
        return answer["data"]

    def answer(self, frame: dict[str, Any], data: Any = None) -> Done:
        """Answers a question: the envelope of what `peer.ask` sent, or of a `heartbeat`."""
        self._put(self._codec.encode("ack", data, frame["id"]))
        return Done()

    def reject(self, frame: dict[str, Any], code: str, message: str = "") -> Done:
        """Answers a question with an error."""
        self._put(self._codec.encode("error", {"code": code, "message": message}, frame["id"]))
        return Done()

    def cancel(self, id: MessageId) -> Done:
        """Cancels the message with this id."""
        self._put(json.dumps({"cancel": id}))
        return Done()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Leaves in good order; returns when the application has dealt with it."""
        self._wire.leave(code, reason)
        await self._finished()

    def drop(self) -> Done:
        """Leaves without a word: no close, and what the application still sends fails.

        Awaited, it returns when the application has dealt with it.
        """
        self._wire.leave(1006, lost=True)
        return Done(self._finished)

    def pause(self) -> None:
        """Reads no more, so that the application's next send hangs."""
        self._wire.pause()

    def resume(self) -> None:
        """Reads again."""
        self._wire.resume()

    def fail_sends(self, error: Exception | None = None) -> None:
        """Makes every further send of the application raise, as a lost connection does."""
        self._wire.fail_sends(OSError("the client is gone") if error is None else error)

    async def closed(self) -> CloseInfo:
        """Waits for the end of the connection, and says how it ended."""
        await self._wait(lambda: self._wire.end is not None, "the close")
        assert self._wire.end is not None
        return self._wire.end

    def _put(self, payload: str | bytes) -> None:
        if self._wire.end is not None:
            raise ConnectionClosed(*self._wire.end)
        key = "text" if isinstance(payload, str) else "bytes"
        self._wire.put({"type": "websocket.receive", key: payload})

    def _decode(self) -> None:
        while self._wire.received:
            self._pending.append(self._codec.decode(self._wire.received.popleft(), None))

    def _answer_to(self, id: MessageId) -> dict[str, Any] | None:
        for frame in self._pending:
            if frame.get("id") == id and "more" not in frame:
                return frame
        return None

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        def met() -> bool:
            self._decode()
            if not condition() and self._wire.end is not None:
                raise ConnectionClosed(*self._wire.end)
            return condition()

        await self._wait(met, what)

    async def _finished(self) -> None:
        await self._wait(self._wire.finished.is_set, "the application to let go of the connection")

    async def _wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            with anyio.fail_after(self._timeout):
                while not condition():
                    await self._wire.changed()
        except TimeoutError:
            raise TimeoutError(
                f"waited {self._timeout} s for {what}; pending: {self.pending}"
            ) from None
