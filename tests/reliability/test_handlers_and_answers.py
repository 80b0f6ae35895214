"""Whatever a handler does, raises or returns concerns its own message alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

from asgi_ws_gateway import (
    Accept,
    BlockingPeer,
    Issue,
    Limits,
    MessageRejected,
    Peer,
    ValidationFailed,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
    on_error,
)
from asgi_ws_gateway.testing import (
    ClientConnection,
    ConnectionDenied,
    GatewayTestClient,
    RequestFailed,
)

SOON = 0.02
CANARY = "canary-7d1c"

KINDS = ["now", "later", "concurrent", "thread", "stream", "thread stream"]


class Odd(BaseException):
    """Neither an error nor a cancellation."""


class Mute(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError(CANARY)


class MuteRejection(MessageRejected):
    """The same, of what is meant to be told."""

    def __init__(self) -> None:
        super().__init__("mute", Mute())  # type: ignore[arg-type]


@namespace("/any")
class AnyKind:
    """Does what it is given, as every kind of handler."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    @message("now")
    @broadcast("told")
    async def now(self) -> Any:
        return self._act()

    @message("later")
    @broadcast("told")
    async def later(self) -> Any:
        await checkpoint()
        return self._act()

    @message("concurrent", concurrent=True)
    @broadcast("told")
    async def concurrent(self) -> Any:
        await checkpoint()
        return self._act()

    @message("thread")
    @broadcast("told")
    def thread(self) -> Any:
        return self._act()

    @message("stream")
    @broadcast("told")
    async def stream(self) -> AsyncIterator[Any]:
        await checkpoint()
        yield self._act()

    @message("thread stream")
    @broadcast("told")
    def thread_stream(self) -> Iterator[Any]:
        yield self._act()

    @message("ping")
    async def ping(self) -> str:
        return "pong"


def raising(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def act() -> Any:
        raise error()

    return act


ERRORS = {
    "an exception": lambda: ValueError(CANARY),
    "one that cannot be printed": Mute,
    "a rejection that cannot be printed": MuteRejection,
    "an end of an iteration": lambda: StopIteration(CANARY),
    "an end of an async iteration": lambda: StopAsyncIteration(CANARY),
    "no exception": lambda: Odd(CANARY),
    "a group of no exceptions": lambda: BaseExceptionGroup(CANARY, [Odd(), ValueError(CANARY)]),
    "the end of a generator": lambda: GeneratorExit(CANARY),
}


@pytest.mark.parametrize("error", ERRORS)
async def test_what_a_handler_raises_fails_its_message_and_nothing_else(error: str) -> None:
    async with (
        GatewayTestClient(AnyKind(raising(ERRORS[error]))) as client,
        client.connect("/any") as peer,
        client.connect("/any") as other,
    ):
        assert client.service is not None
        for kind in KINDS:
            with pytest.raises(RequestFailed, match="handler_failed") as failed:
                await peer.request(kind, id=kind)
            assert CANARY not in str(failed.value)
            assert await peer.request("ping") == await other.request("ping") == "pong"
        await client.settle()
        assert peer.pending == other.pending == []
        assert client.service.stats().failed == {"handler_failed": len(KINDS)}
        assert await client.service.broadcast("/any", "news") == (2, 0, True)


def cycle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


RESULTS = {
    "an object": object,
    "not a number": lambda: {"a": [float("nan")]},
    "half a surrogate pair": lambda: ["\ud800"],
    "a key that is no text": lambda: {(1, 2): 3},
    "itself": cycle,
    "more depth than there is": deep,
    "a number of 5,000 digits": lambda: 10**5000,
}


@pytest.mark.parametrize("result", RESULTS)
async def test_a_result_that_cannot_be_sent_is_sent_to_nobody(result: str) -> None:
    async with (
        GatewayTestClient(AnyKind(RESULTS[result])) as client,
        client.connect("/any") as peer,
        client.connect("/any") as other,
    ):
        for kind in KINDS:
            with pytest.raises(RequestFailed, match="handler_failed"):
                await peer.request(kind, id=kind)
            assert await peer.request("ping") == await other.request("ping") == "pong"
        await client.settle()
        assert peer.pending == other.pending == []


@namespace("/leaks")
class Leaks:
    """Has a secret in every exception that it can raise."""

    def __init__(self, place: str) -> None:
        self._place = place

    def _at(self, place: str) -> None:
        if self._place == place:
            raise RuntimeError(CANARY) from KeyError(CANARY)

    @on_connection_attempt
    async def attempt(self) -> bool:
        self._at("attempt")
        return True

    @on_connect
    async def connect(self) -> None:
        self._at("connect")

    @on_disconnect
    async def leave(self) -> None:
        self._at("disconnect")

    @on_error
    async def error(self, error: Exception) -> None:
        self._at("error")
        if self._place == "handler":
            raise MessageRejected from error

    @message("go", schema={"const": 1})
    @emit("went", schema={"const": "c"})
    @broadcast_others("seen", room=lambda data, peer: 1 / 0)
    async def go(self) -> str:
        self._at("handler")
        return CANARY


class Validator:
    """Somebody's own, with a fault of its own."""

    schema = True

    def __init__(self, error: Exception) -> None:
        self._error = error

    def validate(self, data: Any) -> Any:
        raise self._error


async def everything_told(gateway: Any) -> str:
    """What a client is ever told when it connects, tries everything and is closed."""
    seen: list[str] = []
    async with GatewayTestClient(gateway) as client:
        try:
            async with client.connect("/leaks") as peer:
                for data in (1, CANARY[::-1]):
                    await peer.send("go", data, id=1)
                await client.settle()
                seen.append(str(peer.pending))
                assert client.service is not None
                for one in client.service.peers("/leaks"):
                    await one.close(4000)
                seen.append(str(await peer.closed()))
        except Exception as denied:
            seen.append(f"{denied} {vars(denied)}")
    return "\n".join(seen)


@pytest.mark.parametrize("place", ["attempt", "connect", "disconnect", "error", "handler", "none"])
async def test_no_text_of_an_exception_is_ever_told(place: str) -> None:
    told = await everything_told(Leaks(place))
    assert CANARY not in told
    assert CANARY[::-1] not in told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError(CANARY), "handler_failed"),
        (ValidationFailed([Issue(f"/{n}", "is wrong", "mine") for n in range(10_000)]), "/7"),
    ],
)
async def test_a_validator_of_ones_own_cannot_say_too_much(error: Exception, told: str) -> None:
    @namespace("/leaks")
    class Checked:
        @message("go", schema=Validator(error))
        async def go(self, data: Any) -> None:
            raise AssertionError("it does not run")

    answers = await everything_told(Checked())
    assert told in answers
    assert CANARY not in answers
    assert "/8" not in answers


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


EXITS = {
    "an exit": SystemExit,
    "an interrupt": KeyboardInterrupt,
    "an exit in a group": lambda: BaseExceptionGroup("", [ValueError(), SystemExit()]),
}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("exit", EXITS)
def test_what_ends_the_process_is_not_held_up(exit: str, backend: str) -> None:
    async def serve() -> None:
        async with GatewayTestClient(AnyKind(raising(EXITS[exit]))) as client:
            async with client.connect("/any") as peer:
                await peer.request("later")

    with pytest.raises(BaseException) as raised:  # noqa: PT011
        anyio.run(serve, backend=backend)
    assert {SystemExit, KeyboardInterrupt} & {type(leaf) for leaf in leaves(raised.value)}


@namespace("/fails", limits=Limits(max_message_bytes=200, max_rooms=1, rate=0.001, burst=2))
class Fails:
    @message("reject")
    async def reject(self, data: Any) -> None:
        raise MessageRejected(**data)

    @message("fail")
    async def fail(self) -> None:
        raise ValueError

    @message("check", schema={"type": "integer"})
    async def check(self, data: Any) -> None:
        raise AssertionError("it does not run")

    @message("take time", timeout=SOON)
    async def take_time(self) -> None:
        await anyio.sleep_forever()

    @message("wait")
    async def wait(self) -> None:
        await anyio.sleep_forever()

    @message("join")
    async def join(self, peer: Peer) -> None:
        peer.join("a")
        peer.join("b")


FAILURES: dict[str, Callable[[ClientConnection], Any]] = {
    "invalid_json": lambda peer: peer.send_text("{"),
    "invalid_message": lambda peer: peer.send_text("{}"),
    "unsupported_frame": lambda peer: peer.send_bytes(b"{}"),
    "message_too_large": lambda peer: peer.send_text("." * 201),
    "unknown_event": lambda peer: peer.send("nowhere"),
    "validation_failed": lambda peer: peer.send("check", "x"),
    "rejected": lambda peer: peer.send("reject", {}),
    "their_own": lambda peer: peer.send("reject", {"code": "their_own"}),
    "handler_failed": lambda peer: peer.send("fail"),
    "handler_timeout": lambda peer: peer.send("take time"),
    "limit_reached": lambda peer: peer.send("join"),
}


@pytest.mark.parametrize("code", FAILURES)
async def test_every_failure_is_counted_by_its_code(code: str) -> None:
    async with GatewayTestClient(Fails()) as client, client.connect("/fails") as peer:
        assert client.service is not None
        for _ in range(2):
            await FAILURES[code](peer)
            assert (await peer.receive("error"))["code"] == code
        stats = client.service.stats()
        assert (stats.received, stats.handled, stats.failed) == (2, 0, {code: 2})


async def test_a_cancelled_message_is_counted_too() -> None:
    async with GatewayTestClient(Fails()) as client, client.connect("/fails") as peer:
        assert client.service is not None
        for id in ("running", "waiting"):
            await peer.send("wait", id=id)
        for id in ("waiting", "running"):
            peer.cancel(id)
            assert (await peer.receive("error"))["code"] == "cancelled"
        assert client.service.stats().failed == {"cancelled": 2}


async def test_a_message_over_the_rate_is_counted_whether_it_is_told_or_not() -> None:
    async with GatewayTestClient(Fails()) as client, client.connect("/fails") as peer:
        assert client.service is not None
        for _ in range(7):
            await peer.send("nowhere")
        await client.settle()
        assert [frame["data"]["code"] for frame in peer.pending].count("rate_limited") == 1
        assert client.service.stats().failed == {"unknown_event": 2, "rate_limited": 5}


who: ContextVar[str] = ContextVar("who", default="nobody")


@namespace("/who")
class Who:
    """Looks who is served, by a variable as middleware and libraries keep one, and writes it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str]] = []

    def look(self, user: str | None) -> None:
        self.seen.append((user, who.get()))
        who.set(str(user))

    @on_connection_attempt
    async def attempt(self, params: dict[str, str]) -> Accept:
        self.seen.append(("nobody", who.get()))
        who.set(params["user"])
        return Accept(user=params["user"])

    @on_connect
    def connect(self, peer: BlockingPeer) -> None:
        self.look(peer.user)

    @on_disconnect
    async def leave(self, peer: Peer) -> None:
        self.look(peer.user)

    @message("later")
    async def later(self, data: Any, peer: Peer) -> None:
        await checkpoint()
        self.look(peer.user)

    @message("concurrent", concurrent=True)
    async def concurrent(self, data: Any, peer: Peer) -> None:
        self.look(peer.user)
        await checkpoint()
        self.look(peer.user)

    @message("thread")
    def thread(self, data: Any, peer: BlockingPeer) -> None:
        self.look(peer.user)

    @message("stream")
    async def stream(self, data: Any, peer: Peer) -> AsyncIterator[None]:
        for _ in range(2):
            self.look(peer.user)
            yield

    @message("thread stream")
    def thread_stream(self, data: Any, peer: BlockingPeer) -> Iterator[None]:
        for _ in range(2):
            self.look(peer.user)
            yield


async def test_no_context_variable_passes_from_one_peer_to_another() -> None:
    gateway = Who()
    users = ["ada", "bob", "cyd"]
    async with GatewayTestClient(gateway, limits=Limits(threads=1)) as client:
        for _ in range(2):
            async with (
                client.connect("/who?user=ada") as ada,
                client.connect("/who?user=bob") as bob,
                client.connect("/who?user=cyd") as cyd,
            ):
                for kind in KINDS[1:]:
                    for peer in (ada, bob, cyd):
                        await peer.send(kind)
                await client.settle()
    assert len(gateway.seen) == 2 * len(users) * (3 + 1 + 2 + 1 + 2 + 2)
    assert [seen for seen in gateway.seen if seen[0] != seen[1]] == []
    assert who.get() == "nobody"


@namespace("/hang")
class Hangs:
    def __init__(self) -> None:
        self.hanging = 0
        self.ended = 0
        self.open = threading.Event()

    async def _hang(self) -> None:
        self.hanging += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.ended += 1

    @on_connection_attempt
    async def attempt(self, params: dict[str, str]) -> bool:
        if "hang" in params:
            await self._hang()
        return True

    @message("hang")
    async def hang(self) -> None:
        await self._hang()

    @message("block")
    def block(self) -> None:
        self.hanging += 1
        self.open.wait(30)

    @message("ping")
    async def ping(self) -> str:
        return "pong"


async def hung(gateway: Hangs, count: int) -> None:
    while gateway.hanging < count:
        await checkpoint()


async def test_blocked_threads_are_nobody_elses(anyio_backend_name: str) -> None:
    gateway = Hangs()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(GatewayTestClient(gateway))
        peers = [await stack.enter_async_context(client.connect("/hang")) for _ in range(45)]
        stack.callback(gateway.open.set)
        for peer in peers:
            await peer.send("block")
        await hung(gateway, 40)
        # The application's own threads, and those of other libraries, are free.
        assert to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert await to_thread.run_sync(lambda: "free") == "free"
        if anyio_backend_name == "asyncio":
            assert await asyncio.to_thread(lambda: "free") == "free"
        async with client.connect("/hang") as other:
            assert await other.request("ping") == "pong"
        assert gateway.hanging == 40


async def test_whoever_hangs_holds_up_nobody_else() -> None:
    gateway = Hangs()
    limits = Limits(threads=2, attempt_timeout=0.1, linger=SOON)
    denied: list[int] = []

    async def knock() -> None:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect("/hang?hang=1"):
                pass
        denied.append(refused.value.status)

    async with GatewayTestClient(gateway, limits=limits) as client:
        assert client.service is not None
        async with anyio.create_task_group() as group, AsyncExitStack() as stack:
            for _ in range(100):
                group.start_soon(knock)
            for _ in range(10):
                for event in ("hang", "block"):
                    peer = await stack.enter_async_context(client.connect("/hang"))
                    await peer.send(event)
                    stack.callback(peer.drop)
            await hung(gateway, 100 + 10 + 2)
            async with client.connect("/hang") as other:
                assert await other.request("ping") == "pong"
        assert denied == [503] * 100
        await client.settle()
        assert gateway.ended == 110
        gateway.open.set()
        async with client.connect("/hang") as other:
            await other.request("block")
        # Those whose turn came too late for their peer have never run.
        assert gateway.hanging == 100 + 10 + 2 + 1
