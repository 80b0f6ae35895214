"""What handlers and hooks do that should end, and does not."""

from __future__ import annotations

import anyio

__all__ = ["ignores", "shields", "shields_and_swallows", "swallows", "waits"]


async def waits() -> None:
    await anyio.sleep_forever()


async def swallows() -> None:
    while True:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            pass


async def ignores() -> None:
    while True:
        try:
            await anyio.sleep_forever()
        except BaseException:
            pass


async def shields() -> None:
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()


async def shields_and_swallows() -> None:
    with anyio.CancelScope(shield=True):
        await swallows()
