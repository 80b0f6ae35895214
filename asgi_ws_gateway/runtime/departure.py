"""From the end of a connection to the end of its disconnect hook: nothing of it runs afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from ..protocol.close_codes import GOING_DOWN
from .invoke import Interrupted, Stage
from .log import Log
from .patience import SHUTDOWN_SECONDS

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["depart"]

logger = Log(__name__)

LEAST_SECONDS: Final = 0.1
"""What is left to the disconnect hook of a handler that has taken its time to end."""


async def depart(connection: Connection, cancelled_at: float | None) -> None:
    """Waits for the close, for handlers that still run, and for the disconnect hook.

    Args:
        connection: It may still be open if it was cancelled.
        cancelled_at: When the server cancelled it, if it did. From then on, all that is left has
            `SHUTDOWN_SECONDS`: each step half of what remains, so that the hook has its turn.
    """
    left = connection.ending is not None and not connection.closing
    if left and cancelled_at is None and not connection.conversation.concurrent:
        # The usual end: nothing is under way.
        if connection.namespace.on_disconnect is not None:
            with anyio.CancelScope(shield=True):
                await _disconnect_hook(connection, None)
        return
    ends = None
    if cancelled_at is not None:
        ends = max(cancelled_at + SHUTDOWN_SECONDS, anyio.current_time() + LEAST_SECONDS)
    seconds = None if ends is None else _left(ends) / 2
    try:
        with anyio.move_on_after(seconds, shield=True):
            connection.close_soon(GOING_DOWN)
            await connection.closed()
            if ends is not None:
                connection.conversation.abort()
            if connection.conversation.concurrent:
                await _concurrent_handlers(connection)
    finally:
        # Even if asyncio's cancellation comes a second time.
        with anyio.CancelScope(shield=True):
            await _disconnect_hook(connection, ends)


def _left(ends: float) -> float:
    return max(0.0, ends - anyio.current_time())


async def _concurrent_handlers(connection: Connection) -> None:
    conversation = connection.conversation
    linger = connection.limits.linger
    with anyio.move_on_after(None if linger is None else linger + SHUTDOWN_SECONDS) as scope:
        while conversation.concurrent:
            await conversation.one_ended()
    if scope.cancelled_caught:
        count = conversation.concurrent
        logger.error("Abandoned %d handlers of peer %s, which do not end", count, connection.id)


async def _disconnect_hook(connection: Connection, ends: float | None) -> None:
    hook = connection.namespace.on_disconnect
    if hook is None:
        return
    ending = connection.ending or GOING_DOWN
    label = hook.label
    complaints = connection.running.telemetry.complaints
    stage = Stage(connection.running.background, _ignore)
    if ends is None:
        stage.end_within(connection.limits.linger)
    else:
        # It may swallow its cancellation, or shield itself from it: a quarter for either.
        stage.end_within(_left(ends) / 2, _left(ends) / 4)
    try:
        with stage.scope:
            subject = connection.subject(hook)
            dispatcher = connection.dispatcher
            await dispatcher.run_hook(hook, stage, None, subject, ending.code, ending.reason)
            return
    except Interrupted:
        pass
    except Exception as error:
        complaints.error(logger, label, "%s failed for peer %s", label, connection.id, error=error)
        return
    complaints.error(logger, label, "%s took too long for peer %s", label, connection.id)


def _ignore() -> None:
    """There is nothing left to read."""
