"""The lifespan of the service and of the wrapped app, together.

Many apps do not speak lifespan, and say so by raising or returning at once (Django, Channels'
router). Then we answer for them; nothing of theirs reaches the server.
"""

from __future__ import annotations

from typing import Any

from ..runtime.log import Log
from ..service import WebSocketService
from .types import ASGIApp, ASGIReceive, ASGISend, Message, Scope

__all__ = ["lifespan"]

logger = Log(__name__)


async def lifespan(
    service: WebSocketService,
    app: ASGIApp | None,
    scope: Scope,
    receive: ASGIReceive,
    send: ASGISend,
) -> None:
    """Starts the service before the app, and ends it after the app."""
    message = await receive()
    try:
        await service.__aenter__()
    except Exception as error:
        logger.exception("The service could not be started")
        await send({"type": "lifespan.startup.failed", "message": _text(error)})
        return
    inner = _Inner(message, receive, send)
    try:
        if app is not None:
            await inner.run(app, scope)
        if not inner.startup_answered:
            await send({"type": "lifespan.startup.complete"})
        if inner.startup_failed:
            return
        if not inner.shutdown_received:
            await inner.wait_for_shutdown()
    finally:
        await service.__aexit__(None, None, None)
    await send(inner.shutdown_answer or {"type": "lifespan.shutdown.complete"})


class _Inner:
    """The wrapped app's view: its startup is answered as it says, its shutdown once we are down."""

    def __init__(self, startup: Message, receive: ASGIReceive, send: ASGISend) -> None:
        self._startup: Message | None = startup
        self._receive = receive
        self._send = send
        self._asked = False
        self._foreign = False
        self.startup_answered = False
        self.startup_failed = False
        self.shutdown_received = False
        self.shutdown_answer: Message | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Runs the app to its end, whatever that is."""
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:
            # What `send` raised below may arrive inside a group, or as something else.
            if not self._foreign:
                await self._failed(error)

    async def wait_for_shutdown(self) -> None:
        while (await self._receive()).get("type") != "lifespan.shutdown":
            pass
        self.shutdown_received = True

    async def receive(self) -> Message:
        self._asked = True
        if self._startup is not None:
            startup, self._startup = self._startup, None
            return startup
        message: Message = await self._receive()
        self.shutdown_received = message.get("type") == "lifespan.shutdown"
        return message

    async def send(self, message: Any) -> None:
        kind = str(message.get("type", ""))
        if not kind.startswith("lifespan."):
            self._foreign = True
            raise _NotLifespan
        if kind.startswith("lifespan.startup."):
            self.startup_answered = True
            self.startup_failed = kind == "lifespan.startup.failed"
            await self._send(message)
        else:
            self.shutdown_answer = message

    async def _failed(self, error: Exception) -> None:
        if not self._asked:
            return  # it does not speak lifespan
        if not self.startup_answered:
            logger.error("The wrapped app failed to start", exc_info=error)
            self.startup_answered = self.startup_failed = True
            await self._send({"type": "lifespan.startup.failed", "message": _text(error)})
        elif self.shutdown_received:
            logger.error("The wrapped app failed to shut down", exc_info=error)
            self.shutdown_answer = {"type": "lifespan.shutdown.failed", "message": _text(error)}
        else:
            logger.error("The wrapped app's lifespan ended early", exc_info=error)


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return type(error).__name__


class _NotLifespan(Exception):
    """The app answered a lifespan scope with something else."""
