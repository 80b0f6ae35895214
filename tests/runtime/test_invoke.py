"""User code that is run step by step: what it awaits, and the last that it does."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_ws_gateway.runtime import invoke
from asgi_ws_gateway.runtime.background import Background
from asgi_ws_gateway.runtime.invoke import Stage
from asgi_ws_gateway.runtime.steps import resume

SOON = 0.01
"""A time limit that is meant to pass."""


class Steps:
    """Can only be gone on with, as granian's awaitables."""

    def __init__(self, *yields: str) -> None:
        self.left = list(yields)

    def __next__(self) -> str:
        if not self.left:
            raise StopIteration("result")
        return self.left.pop(0)


def outcome(generator: Any) -> Any:
    with pytest.raises(StopIteration) as done:
        generator.send(None)
    return done.value.value


def test_it_passes_on_what_is_yielded_and_returns_what_is_returned() -> None:
    generator: Any = resume(Steps("second", "third"), "first")
    assert [generator.send(None) for _ in range(3)] == ["first", "second", "third"]
    assert outcome(generator) == "result"


def test_a_coroutine_is_sent_to_and_thrown_into() -> None:
    class Yields:
        def __await__(self) -> Any:
            try:
                got = yield "second"
            except ValueError as error:
                got = error.args[0]
            return (got, (yield "third"))

    async def call() -> Any:
        return await Yields()

    for act in ("send", "throw"):
        steps: Any = call().__await__()
        generator: Any = resume(steps, next(steps))
        assert generator.send(None) == "second"
        given = "given" if act == "send" else ValueError("given")
        assert getattr(generator, act)(given) == "third"
        with pytest.raises(StopIteration) as done:
            generator.send("more")
        assert done.value.value == ("given", "more")


def test_what_cannot_be_thrown_into_ends_there() -> None:
    steps = Steps("second")
    generator: Any = resume(steps, "first")
    assert generator.send(None) == "first"
    with pytest.raises(ValueError, match="of the event loop"):
        generator.throw(ValueError("of the event loop"))
    assert steps.left == ["second"]


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    background = Background(lambda: None)
    await background.start()
    yield Stage(background, lambda: None)
    await background.stop()


async def test_cancellations_in_a_group_are_a_cancellation() -> None:
    async def group() -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as error:
            raise BaseExceptionGroup("of its children", [error]) from None

    async with staged() as stage:
        with stage.scope:
            await stage.run(group(), SOON)
        assert stage.scope.cancelled_caught


async def test_what_is_closed_cleans_up_and_is_gone() -> None:
    @types.coroutine
    def suspend() -> Generator[None, None, None]:
        yield

    log: list[str] = []

    async def clean_up() -> None:
        try:
            await suspend()
        finally:
            log.append("cleaned up")

    async with staged() as stage:
        # As Python closes it when it is left behind with its event loop.
        running = stage.run(clean_up(), None)
        running.send(None)
        running.close()
    assert log == ["cleaned up"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_what_ends_the_process_may_be_the_last_that_abandoned_code_does(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoke, "CLEANUP_SECONDS", SOON)
    monkeypatch.setattr(invoke, "UNSURE_SECONDS", SOON)

    async def unending() -> None:
        while True:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                pass
            except BaseException:
                raise error from None

    async with staged() as stage:
        with pytest.raises(error), stage.scope:
            await stage.run(unending(), SOON)
