"""Whatever of the application's own goes wrong, no client reads of it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import anyio
import pytest

from asgi_ws_gateway import (
    AskRejected,
    ConnectionRejected,
    EncodeError,
    JSONCodec,
    MessageRejected,
    Peer,
    PeerClosed,
    ValidationFailed,
    broadcast,
    emit,
    emit_with,
    fallback,
    message,
    namespace,
    on_error,
)
from asgi_ws_gateway.errors import Issue
from asgi_ws_gateway.testing import ClientConnection, ConnectionClosed, GatewayTestClient

CANARY: Final = "canary-5d1e"
"""Stands wherever a secret could stand, and must reach no client."""


class Odd(BaseException):
    """Neither an error nor a cancellation."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __str__


class Unread(MessageRejected):
    def __init__(self) -> None:
        """It never calls the one of its base."""


class Secret:
    def __repr__(self) -> str:
        return CANARY

    __str__ = __repr__


class Mute:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


def chained() -> Exception:
    error = RuntimeError(CANARY)
    error.__cause__ = KeyError(CANARY)
    error.add_note(CANARY)
    return error


ERRORS: Final[dict[str, Callable[[], BaseException]]] = {
    "error": lambda: ValueError(CANARY),
    "chained": chained,
    "system": lambda: OSError(5, CANARY, CANARY),
    "group": lambda: ExceptionGroup(CANARY, [ValueError(CANARY), MessageRejected(CANARY, CANARY)]),
    "odd": lambda: Odd(CANARY),
    "odd group": lambda: BaseExceptionGroup(CANARY, [Odd(CANARY), ValueError(CANARY)]),
    "unprintable": Unprintable,
    "stop": lambda: StopIteration(CANARY),
    "refusal of a handshake": lambda: ConnectionRejected(CANARY, 401),
    "refusal by a schema": lambda: ValidationFailed([Issue(CANARY, CANARY, CANARY)]),
    "not encoded": lambda: EncodeError(CANARY),
    "peer closed": lambda: PeerClosed(CANARY),
    "ask rejected": lambda: AskRejected(CANARY, CANARY, CANARY),
    "rejection without text": Unread,
    "rejection with a text that is none": lambda: MessageRejected("no", Mute()),  # type: ignore[arg-type]
    "rejection with data that is none": lambda: MessageRejected("no", data=Secret()),
}


class Refusing:
    schema: Any = True

    def validate(self, data: Any) -> Any:
        raise RuntimeError(CANARY)


class Failing:
    def plan(self, result: Any, data: Any, peer: Peer) -> Any:
        raise RuntimeError(CANARY)


def fail(data: Any = None, peer: Any = None) -> Any:
    raise RuntimeError(CANARY)


@namespace("/leaky", codec=JSONCodec(default=fail))
class Leaky:
    @message("ping")
    @emit("pong")
    async def ping(self) -> str:
        return "pong"

    @message("echo")
    async def echo(self, data: Any) -> Any:
        return data

    # Every way to run what fails.

    @message("coroutine")
    async def coroutine(self, data: Any) -> None:
        raise ERRORS[data]()

    @message("thread")
    def thread(self, data: Any) -> None:
        raise ERRORS[data]()

    @message("concurrent", concurrent=True)
    async def concurrent(self, data: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise ERRORS[data]()

    @message("stream")
    @emit("value")
    async def stream(self, data: Any) -> AsyncIterator[int]:
        yield 1
        raise ERRORS[data]()

    @message("thread stream")
    @emit("value")
    def thread_stream(self, data: Any) -> Iterator[int]:
        yield 1
        raise ERRORS[data]()

    @fallback
    async def fallback(self, event: str, data: Any) -> None:
        raise ERRORS[data]()

    # Every other thing of the user's that may fail on the way from a message to its answer.

    @message("validator", schema=Refusing())
    async def validator(self) -> None:
        pass

    @message("unencodable")
    @broadcast("told")
    @emit("done")
    async def unencodable(self) -> Any:
        return {CANARY: Secret()}

    @message("nan")
    @broadcast("told")
    async def nan(self) -> Any:
        return {CANARY: math.nan}

    @message("outgoing")
    @broadcast("told", schema={"const": CANARY})
    async def outgoing(self) -> str:
        return "something else"

    @message("strategy")
    @emit_with(Failing())
    async def strategy(self) -> None:
        pass

    @message("room")
    @broadcast("told", room=fail)
    async def room(self) -> None:
        pass

    @message("latest")
    @broadcast("told", latest=fail)
    async def latest(self) -> None:
        pass

    @message("sends")
    async def sends(self, data: Any, peer: Peer) -> None:
        await peer.send("told", Secret())

    @message("broadcasts")
    async def broadcasts(self, data: Any, peer: Peer) -> None:
        await peer.broadcast("told", Secret())

    @message("asks")
    async def asks(self, data: Any, peer: Peer) -> None:
        await peer.ask("told", Secret())


class Hooked(Leaky):
    @on_error
    async def on_failure(self, error: Exception, peer: Peer, event: str) -> Any:
        raise ERRORS[self.hook]() if self.hook in ERRORS else RuntimeError(CANARY)

    hook = ""


async def failed(peer: ClientConnection, event: str, data: Any = None) -> None:
    """It is answered, once, that the event could not be handled, and nothing else."""
    await peer.send(event, data, id="c1")
    frame = await peer.receive_frame()
    while frame.get("more"):
        frame = await peer.receive_frame()
    assert frame == {
        "event": "error",
        "data": {
            "code": "handler_failed",
            "message": "the message could not be handled",
            "event": event,
        },
        "id": "c1",
    }


WAYS: Final = ["coroutine", "thread", "concurrent", "stream", "thread stream", "unknown"]


@pytest.mark.parametrize("error", ERRORS)
async def test_no_exception_of_a_handler_tells_its_text_or_ends_a_connection(error: str) -> None:
    async with (
        GatewayTestClient(Leaky()) as client,
        client.connect("/leaky") as peer,
        client.connect("/leaky") as bystander,
    ):
        for way in WAYS:
            await failed(peer, way, error)
        assert await peer.request("ping") == await bystander.request("ping") == "pong"
        assert peer.pending == bystander.pending == []
        assert client.service is not None
        assert client.service.stats().failed == {"handler_failed": len(WAYS)}


@pytest.mark.parametrize(
    "event",
    [
        *("validator", "unencodable", "nan", "outgoing", "strategy", "room", "latest"),
        *("sends", "broadcasts", "asks"),
    ],
)
async def test_nothing_else_that_fails_on_the_way_to_an_answer_tells_its_text(
    event: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        GatewayTestClient(Leaky()) as client,
        client.connect("/leaky") as peer,
        client.connect("/leaky") as bystander,
    ):
        await failed(peer, event)
        assert await peer.request("ping") == await bystander.request("ping") == "pong"
        assert peer.pending == bystander.pending == []
    assert event == "nan" or CANARY in caplog.text


@pytest.mark.parametrize("error", ERRORS)
async def test_an_error_hook_that_fails_as_well_tells_nothing(error: str) -> None:
    gateway = Hooked()
    gateway.hook = error
    async with GatewayTestClient(gateway) as client, client.connect("/leaky") as peer:
        await failed(peer, "coroutine", "error")
        assert await peer.request("ping") == "pong"


class Broken(JSONCodec):
    """Of somebody else's making."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> str:
        if event not in ("ping", "pong"):
            raise self.error
        return super().encode(event, data, id, more)

    def decode(self, payload: Any, max_depth: int | None) -> Any:
        if payload == "undecodable":
            raise self.error
        return super().decode(payload, max_depth)


@pytest.mark.parametrize("text", ["undecodable", '{"event": "echo", "id": 1}', "{}"])
@pytest.mark.parametrize("error", [EncodeError(CANARY), RuntimeError(CANARY), Unprintable()])
async def test_a_codec_that_fails_tells_nothing_and_harms_no_other_peer(
    text: str, error: Exception
) -> None:
    @namespace("/broken", codec=Broken(error))
    class OnBroken(Leaky):
        pass

    async with (
        GatewayTestClient(OnBroken()) as client,
        client.connect("/broken") as peer,
        client.connect("/broken") as bystander,
    ):
        await peer.send_text(text)
        # Not even the error can be encoded.
        with pytest.raises(ConnectionClosed) as closed:
            await peer.receive_frame()
        assert (closed.value.code, closed.value.reason) == (1011, "internal error")
        assert await bystander.request("ping") == "pong"
        assert bystander.pending == []
