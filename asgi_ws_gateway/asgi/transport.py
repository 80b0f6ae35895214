"""A websocket connection of an ASGI server, as a `Transport`.

Servers differ in almost everything here; what each does is told where it matters. Versions seen:
uvicorn 0.54, hypercorn 0.18, daphne 4.2, granian 2.8.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterable
from types import FunctionType
from typing import Any, Final

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

from ..protocol.close_codes import ABNORMAL, NO_STATUS, fallbacks
from ..runtime.background import Background
from ..runtime.cancellation import harmless
from ..runtime.log import Log
from ..runtime.telemetry import Telemetry
from ..runtime.transport import Disconnected
from .types import ASGIReceive, ASGISend, Message, Scope

__all__ = ["ASGITransport"]

logger = Log(__name__)

STOP_SECONDS: Final = 1.0
"""For a server's `receive` to let itself be cancelled."""

DISCARD_SECONDS: Final = 1.0
"""For a client to answer our close."""

# A body that is no page, whatever it looks like.
_DENIAL_HEADERS = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
)


class ASGITransport:
    """One connection: first the handshake, then, once accepted, a `Transport`.

    Args:
        scope: Of the connection.
        receive: Of the connection.
        send: Of the connection.
        binary: Whether messages leave as bytes.
        telemetry: Counts what a server should not have sent.

    Attributes:
        direct: See `Transport.direct`.
    """

    __slots__ = (
        "_ahead",
        "_binary",
        "_closed",
        "_ended",
        "_receive",
        "_scope",
        "_send",
        "_telemetry",
        "direct",
    )

    def __init__(
        self,
        scope: Scope,
        receive: ASGIReceive,
        send: ASGISend,
        *,
        binary: bool,
        telemetry: Telemetry,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._binary = binary
        self._telemetry = telemetry
        self._ahead: _Ahead | None = None
        self._closed = False
        self._ended = False
        # A function is somebody's middleware, but for daphne's. It may hold a time limit, which is
        # tied to the task that it was begun in.
        self.direct = not isinstance(send, FunctionType)

    # The handshake.

    def watch(self, background: Background, on_disconnect: Any) -> None:
        """Starts to receive before the accept, to notice a client that leaves.

        What it receives is not lost: the first `receive` after the accept takes over, since a
        pending one cannot be cancelled everywhere without losing a message.
        """
        self._ahead = _Ahead(on_disconnect)
        background.spawn(self._ahead.run, self._receive_one)

    async def stop_watching(self) -> None:
        """Ends what `watch` started, if nobody took over; nobody is in `receive` then."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            await ahead.stop()

    async def accept(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Accepts; does not wait for `websocket.connect`, which Quart's test client never sends."""
        message: Message = {"type": "websocket.accept", "headers": list(headers)}
        if subprotocol is not None:
            message["subprotocol"] = subprotocol
        await self._send(message)

    async def deny(
        self, status: int, reason: str, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        """Refuses with a status where the server can carry one, else with its 403.

        Nothing may be received afterwards.
        """
        await self.stop_watching()
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        body = reason.encode("utf-8", "replace")
        await self._send(
            {
                "type": "websocket.http.response.start",
                "status": status,
                "headers": _denial_headers(body, headers),
            }
        )
        # One message: granian loses the first part of a body in two.
        await self._send({"type": "websocket.http.response.body", "body": body})
        # uvicorn takes a denial for complete only when its loop has come round, and logs an error
        # about us if we have returned by then.
        await cancel_shielded_checkpoint()

    # The transport.

    def receive(self) -> Awaitable[str | bytes]:
        """See `Transport.receive`."""
        if self._ahead is None:
            return self._receive_one()
        ahead, self._ahead = self._ahead, None
        return ahead.result()

    def send(self, payload: str | bytes) -> Awaitable[None]:
        """See `Transport.send`."""
        if self._binary:
            return self._send({"type": "websocket.send", "bytes": payload})
        return self._send({"type": "websocket.send", "text": payload})

    async def close(self, code: int, reason: str) -> None:
        """See `Transport.close`."""
        await self.stop_watching()
        for attempt in fallbacks(code):
            try:
                await self._send({"type": "websocket.close", "code": attempt, "reason": reason})
                self._closed = True
                return
            except BaseException as error:
                if not harmless(error):
                    raise
                # The client may be gone, or daphne refuses the code: it is tried with another.
                logger.debug("The server did not take close code %d", attempt, exc_info=True)

    async def discard(self) -> None:
        """Passes over what a client said before it learnt of our close, until it has gone.

        hypercorn (0.18) never ends a connection of which ten messages wait to be received, and so
        would keep it for good. granian (2.8), on the contrary, may end as a whole when anything is
        received after a close.
        """
        if not self._closed or self._ended or "granian" in sys.modules:
            return
        with anyio.move_on_after(DISCARD_SECONDS):
            try:
                while True:
                    await self._receive_one()
            except Disconnected:
                pass

    async def _receive_one(self) -> str | bytes:
        while True:
            try:
                message = await self._receive()
            except BaseException as error:
                if not harmless(error):
                    raise
                self._ended = True
                logger.exception("The server's receive failed; taken as a disconnect")
                raise Disconnected(ABNORMAL) from None
            kind = message.get("type")
            if kind == "websocket.receive":
                # hypercorn has both keys, one of them None.
                text, data = message.get("text"), message.get("bytes")
                if text is not None and data is None:
                    return text  # type: ignore[no-any-return]
                if data is not None and text is None:
                    return data  # type: ignore[no-any-return]
                self._telemetry.server_fault()
            elif kind == "websocket.disconnect" or kind == "websocket.close":
                # Quart's test client closes with the latter.
                code, reason = message.get("code"), message.get("reason")
                raise Disconnected(
                    int(code) if isinstance(code, int) else NO_STATUS,  # wsproto's are of an enum
                    reason if isinstance(reason, str) else "",
                )
            elif kind != "websocket.connect":
                self._telemetry.server_fault()


class _Ahead:
    """One `receive` that was started before anybody needed what it brings."""

    def __init__(self, on_disconnect: Any) -> None:
        self._on_disconnect = on_disconnect
        self._scope = anyio.CancelScope()
        self._done = anyio.Event()
        self._payload: str | bytes | None = None
        self._end: Disconnected | None = None

    async def run(self, receive: Any) -> None:
        try:
            with self._scope:
                self._payload = await receive()
        except Disconnected as end:
            self._end = end
            self._on_disconnect()
        finally:
            self._done.set()

    async def result(self) -> str | bytes:
        try:
            await self._done.wait()
        except BaseException:
            await self.stop()
            raise
        if self._payload is None:
            raise self._end or Disconnected(ABNORMAL)
        return self._payload

    async def stop(self) -> None:
        self._scope.cancel()
        with anyio.move_on_after(STOP_SECONDS, shield=True):
            await self._done.wait()


def _denial_headers(
    body: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Each name once: at one that comes twice in a denial, granian (2.8) ends as a whole.

    Values of one name are joined (RFC 9110, 5.3); of several cookies, which cannot be, the last one
    is sent.
    """
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in joined and name != b"set-cookie":
            value = joined[name] + b", " + value
        joined[name] = value
    length = str(len(body)).encode()
    return list({**dict(_DENIAL_HEADERS), **joined, b"content-length": length}.items())
