"""Whose an exception is: our caller's, who ends the task at hand, or user code's own."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Final, cast

import anyio

from .event_loop import on_trio

__all__ = [
    "FATAL",
    "CancelledError",
    "as_failure",
    "cancellations",
    "cancelled_by_itself",
    "harmless",
    "holds",
    "made_by_a_scope",
    "no_exception",
    "raise_if_cancelled",
]

CancelledError: Final = asyncio.CancelledError

FATAL: Final = (KeyboardInterrupt, SystemExit)
"""What is meant for the whole process."""


def cancelled_by_itself() -> bool:
    """Whether a cancellation being handled came from user code, not from whoever runs this task.

    A handler that awaits a cancelled future raises asyncio's `CancelledError` although nobody
    cancelled the handler. Under trio that exception cannot be made, but kept and raised again.
    """
    if on_trio():
        return anyio.current_effective_deadline() != -inf
    task = asyncio.current_task()
    return task is not None and task.cancelling() == 0


def harmless(error: BaseException) -> bool:
    """Whether an exception concerns nobody but the call that raised it.

    So does a cancellation that nobody asked for: asyncio's, when what was awaited is cancelled.
    """
    if isinstance(error, anyio.get_cancelled_exc_class()):
        return cancelled_by_itself()
    return isinstance(error, Exception)


def cancellations() -> int:
    """How many cancellations of this task are asked for; trio does not count, but repeats them."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # there is no loop of asyncio's, so this is trio
        return 0
    return 0 if task is None else task.cancelling()


def made_by_a_scope(error: BaseException) -> bool:
    """Whether a cancellation of asyncio's says that it comes from one of anyio's scopes."""
    return bool(error.args) and "cancel scope" in str(error.args[0])


def raise_if_cancelled(before: int) -> None:
    """Raises the cancellation by which the server ends this task, if user code swallowed it.

    asyncio delivers such a one only once. Those of scopes are repeated, and so left alone.

    Args:
        before: What `cancellations` said before the user code ran.
    """
    if cancellations() > before and anyio.current_effective_deadline() != -inf:
        raise asyncio.CancelledError


def holds(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception is one of these, or a group that has one in it."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return group.subgroup(kinds) is not None
    return isinstance(error, kinds)


def as_failure(error: BaseException) -> Exception:
    """What a validator, a strategy or a codec has raised, which may be anybody's.

    Raises:
        BaseException: The same, if it is not theirs to raise.
    """
    if isinstance(error, Exception):
        return error
    if holds(error, (anyio.get_cancelled_exc_class(), GeneratorExit, *FATAL)):
        raise error
    failure = no_exception(error)
    failure.__cause__ = error
    return failure


def no_exception(error: BaseException) -> Exception:
    """In place of what libraries derive from BaseException, asyncio's cancellation on trio too."""
    return RuntimeError(f"it raised {type(error).__name__}, which is no Exception")
