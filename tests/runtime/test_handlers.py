"""How handlers are run: order, kinds, errors, answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import (
    ALL,
    SKIP,
    Audience,
    BlockingPeer,
    ConnectionRequest,
    Delivery,
    Limits,
    MessageRejected,
    Peer,
    broadcast,
    broadcast_others,
    emit,
    emit_with,
    fallback,
    message,
    namespace,
    on_error,
)
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed


class Gate:
    """Lets a test hold handlers at a known place."""

    def __init__(self) -> None:
        self.entered = anyio.Event()
        self.open = anyio.Event()
        self.cancelled = False

    async def pass_through(self) -> None:
        self.entered.set()
        try:
            await self.open.wait()
        except BaseException:
            self.cancelled = True
            raise


async def test_messages_of_one_peer_are_handled_in_order_one_at_a_time() -> None:
    @namespace("/order")
    class Order:
        def __init__(self) -> None:
            self.gate = Gate()
            self.running = 0
            self.most = 0

        @message("slow")
        @emit("slow")
        async def slow(self) -> None:
            self.running += 1
            self.most = max(self.most, self.running)
            await self.gate.pass_through()
            self.running -= 1

        @message("quick")
        @emit("quick")
        async def quick(self, data: Any) -> Any:
            self.most = max(self.most, self.running + 1)
            return data

    gateway = Order()
    async with GatewayTestClient(gateway) as client, client.connect("/order") as peer:
        await peer.send("slow")
        for number in range(100):
            await peer.send("quick", number)
        await gateway.gate.entered.wait()
        assert peer.pending == []
        gateway.gate.open.set()
        await peer.receive("slow")
        assert [await peer.receive("quick") for _ in range(100)] == list(range(100))
        assert gateway.most == 1


async def test_peers_do_not_wait_for_each_other() -> None:
    @namespace("/apart")
    class Apart:
        def __init__(self) -> None:
            self.gate = Gate()

        @message("hold")
        async def hold(self) -> None:
            await self.gate.pass_through()

        @message("ping")
        async def ping(self) -> str:
            return "pong"

    gateway = Apart()
    async with (
        GatewayTestClient(gateway) as client,
        client.connect("/apart") as one,
        client.connect("/apart") as other,
    ):
        await one.send("hold")
        await gateway.gate.entered.wait()
        assert await other.request("ping") == "pong"
        gateway.gate.open.set()


async def test_concurrent_handlers_do_not_hold_up_later_messages() -> None:
    @namespace("/concurrent")
    class Concurrent:
        def __init__(self) -> None:
            self.gates = {"a": Gate(), "b": Gate()}

        @message("wait", concurrent=True)
        @emit("done")
        async def wait(self, data: Any) -> Any:
            await self.gates[data].pass_through()
            return data

        @message("ping")
        async def ping(self) -> str:
            return "pong"

    gateway = Concurrent()
    async with GatewayTestClient(gateway) as client, client.connect("/concurrent") as peer:
        await peer.send("wait", "a", id="a")
        await peer.send("wait", "b", id="b")
        assert await peer.request("ping") == "pong"
        gateway.gates["b"].open.set()
        assert (await peer.receive_frame()) == {"event": "done", "data": "b", "id": "b"}
        gateway.gates["a"].open.set()
        assert (await peer.receive_frame()) == {"event": "done", "data": "a", "id": "a"}
        await client.settle()


async def test_only_so_many_concurrent_handlers_run_at_once() -> None:
    @namespace("/many")
    class Many:
        def __init__(self) -> None:
            self.gate = anyio.Event()
            self.running = 0
            self.most = 0
            self.full = anyio.Event()

        @message("wait", concurrent=True)
        async def wait(self) -> None:
            self.running += 1
            self.most = max(self.most, self.running)
            if self.running == 3:
                self.full.set()
            await self.gate.wait()
            self.running -= 1

    gateway = Many()
    limits = Limits(inbox_messages=3)
    async with GatewayTestClient(gateway, limits=limits) as client, client.connect("/many") as peer:
        for number in range(10):
            await peer.send("wait", id=number)
        await gateway.full.wait()
        gateway.gate.set()
        answered = {(await peer.receive_frame())["id"] for _ in range(10)}
        assert answered == set(range(10))
        assert gateway.most == 3


async def test_a_plain_def_runs_in_a_thread_with_a_blocking_peer() -> None:
    @namespace("/threads")
    class Threads:
        @message("where")
        @emit("here")
        def where(self, data: Any, peer: BlockingPeer) -> dict[str, Any]:
            assert peer.send("note", data)
            assert peer.join("room")
            report = peer.broadcast("all", 1, room="room")
            others = peer.broadcast_others("others", 2)
            return {
                "thread": threading.current_thread() is not threading.main_thread(),
                "rooms": sorted(peer.rooms),
                "reports": [list(report), list(others)],
                "same": type(peer).__name__,
            }

        @message("ask")
        def ask(self, data: Any, peer: BlockingPeer) -> Any:
            return peer.ask("confirm", data)

        @message("close")
        def close(self, data: Any, peer: BlockingPeer) -> None:
            peer.close(4001, "bye")

    async with GatewayTestClient(Threads()) as client, client.connect("/threads") as peer:
        await peer.send("where", {"x": 1})
        assert await peer.receive("note") == {"x": 1}
        assert await peer.receive("all") == 1
        assert await peer.receive("here") == {
            "thread": True,
            "rooms": ["room"],
            "reports": [[1, 0, True], [0, 0, True]],
            "same": "BlockingPeer",
        }
        await peer.send("ask", "sure?", id="q")
        question = await peer.receive_frame()
        assert question["event"] == "confirm"
        assert question["data"] == "sure?"
        peer.answer(question, "yes")
        assert await peer.receive_frame() == {"event": "ack", "data": "yes", "id": "q"}
        await peer.send("close")
        assert await peer.closed() == (4001, "bye")


async def test_a_plain_def_that_returns_a_coroutine_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def later() -> int:
        return 1

    @namespace("/sneaky")
    class Sneaky:
        @message("go")
        def go(self) -> Any:
            return later()

    async with GatewayTestClient(Sneaky()) as client, client.connect("/sneaky") as peer:
        with pytest.raises(RequestFailed, match="handler_failed"):
            await peer.request("go")
    assert "make it an async def" in caplog.text


@pytest.mark.parametrize("event", ["count", "count_in_thread"])
async def test_a_generator_streams_every_value_through_the_emitters(event: str) -> None:
    @namespace("/stream")
    class Stream:
        @message("count")
        @emit("number")
        @broadcast_others("seen")
        async def count(self, data: Any) -> AsyncIterator[Any]:
            for number in range(data):
                yield number if number != 1 else SKIP

        @message("count_in_thread")
        @emit("number")
        @broadcast_others("seen")
        def count_in_thread(self, data: Any) -> Iterator[Any]:
            for number in range(data):
                yield number if number != 1 else SKIP

    async with (
        GatewayTestClient(Stream()) as client,
        client.connect("/stream") as peer,
        client.connect("/stream") as other,
    ):
        await peer.send(event, 3, id="c1")
        assert [await peer.receive_frame() for _ in range(3)] == [
            {"event": "number", "data": 0, "id": "c1", "more": True},
            {"event": "number", "data": 2, "id": "c1", "more": True},
            {"event": "ack", "data": None, "id": "c1"},
        ]
        assert [await other.receive("seen") for _ in range(2)] == [0, 2]
        await peer.send(event, 1)
        assert await peer.receive_frame() == {"event": "number", "data": 0}
        await client.settle()
        assert peer.pending == []


async def test_a_stream_that_fails_ends_with_an_error() -> None:
    @namespace("/broken")
    class Broken:
        @message("go")
        @emit("value")
        async def go(self) -> AsyncIterator[int]:
            yield 1
            raise RuntimeError("secret")

    async with GatewayTestClient(Broken()) as client, client.connect("/broken") as peer:
        await peer.send("go", id="c1")
        assert (await peer.receive_frame())["more"] is True
        error = await peer.receive_frame()
        assert error["event"] == "error"
        assert error["id"] == "c1"
        assert error["data"]["code"] == "handler_failed"


async def test_an_endless_stream_leaves_the_loop_to_others_and_can_be_cancelled() -> None:
    @namespace("/endless")
    class Endless:
        def __init__(self) -> None:
            self.cleaned = anyio.Event()

        @message("go")
        async def go(self) -> AsyncIterator[int]:
            try:
                number = 0
                while True:
                    yield number
                    number += 1
            finally:
                self.cleaned.set()

        @message("ping")
        async def ping(self) -> str:
            return "pong"

    gateway = Endless()
    async with (
        GatewayTestClient(gateway) as client,
        client.connect("/endless") as peer,
        client.connect("/endless") as other,
    ):
        await peer.send("go", id="c1")
        assert await other.request("ping") == "pong"
        peer.cancel("c1")
        frame = await peer.receive_frame()
        assert (frame["event"], frame["id"], frame["data"]["code"]) == ("error", "c1", "cancelled")
        await gateway.cleaned.wait()
        assert await peer.request("ping") == "pong"


async def test_the_answer_to_an_id() -> None:
    @namespace("/answers")
    class Answers:
        @message("emits")
        @emit("emitted")
        async def emits(self) -> int:
            return 1

        @message("plain")
        async def plain(self) -> dict[str, int]:
            return {"result": 2}

        @message("none")
        async def none(self) -> None:
            return None

        @message("skips")
        @emit("emitted")
        async def skips(self) -> Any:
            return SKIP

        @message("broadcasts")
        @broadcast("told")
        async def broadcasts(self) -> int:
            return 3

        @message("emits_none")
        @emit("emitted")
        async def emits_none(self) -> None:
            return None

    async with GatewayTestClient(Answers()) as client, client.connect("/answers") as peer:
        for event, frames in {
            "emits": [{"event": "emitted", "data": 1, "id": "c"}],
            "plain": [{"event": "ack", "data": {"result": 2}, "id": "c"}],
            "none": [{"event": "ack", "data": None, "id": "c"}],
            "skips": [{"event": "ack", "data": None, "id": "c"}],
            "broadcasts": [
                {"event": "told", "data": 3},
                {"event": "ack", "data": 3, "id": "c"},
            ],
            "emits_none": [{"event": "emitted", "data": None, "id": "c"}],
        }.items():
            await peer.send(event, id="c")
            assert [await peer.receive_frame() for _ in frames] == frames
            await client.settle()
            assert peer.pending == []
        for event, frames in {
            "emits": [{"event": "emitted", "data": 1}],
            "plain": [],
            "skips": [],
            "emits_none": [{"event": "emitted", "data": None}],
        }.items():
            await peer.send(event)
            await client.settle()
            assert peer.pending == frames
            for _ in frames:
                await peer.receive_frame()


async def test_emitters_fire_nearest_to_the_function_first() -> None:
    @namespace("/nearest")
    class Nearest:
        @broadcast("third")
        @message("go")
        @emit("second")
        @broadcast("first")
        async def go(self) -> None:
            return None

    async with GatewayTestClient(Nearest()) as client, client.connect("/nearest") as peer:
        await peer.send("go", id=1)
        events = [(await peer.receive_frame())["event"] for _ in range(3)]
        assert events == ["first", "second", "third"]


async def test_nothing_is_sent_when_one_of_several_emitters_fails() -> None:
    class Fails:
        def plan(self, result: Any, data: Any, peer: Peer[Any]) -> Delivery | None:
            if data == "raise":
                raise RuntimeError("secret")
            return Delivery(Audience(peer.namespace), "custom", data if data else float("nan"))

    @namespace("/atomic")
    class Atomic:
        @emit_with(Fails())
        @emit("emitted")
        @broadcast("told")
        @message("go")
        async def go(self, data: Any) -> int:
            return 1

    async with (
        GatewayTestClient(Atomic()) as client,
        client.connect("/atomic") as peer,
        client.connect("/atomic") as other,
    ):
        for data in ("raise", None):
            with pytest.raises(RequestFailed, match="handler_failed"):
                await peer.request("go", data)
            await client.settle()
            assert peer.pending == []
            assert other.pending == []
        assert await peer.request("go", "fine") == 1
        await client.settle()
        assert other.pending == [
            {"event": "told", "data": 1},
            {"event": "custom", "data": "fine"},
        ]


@pytest.mark.parametrize("fault", [{"room": ["a", "list"]}, {"latest": ["a", "list"]}])
async def test_a_strategy_that_plans_nonsense_sends_nothing_at_all(fault: dict[str, Any]) -> None:
    class Nonsense:
        def plan(self, result: Any, data: Any, peer: Peer[Any]) -> Delivery | None:
            audience = Audience(peer.namespace, fault.get("room", ALL))
            return Delivery(audience, "custom", result, fault.get("latest"))

    @namespace("/nonsense")
    class Gateway:
        @emit_with(Nonsense())
        @broadcast("told")
        @message("go")
        async def go(self) -> int:
            return 1

    async with GatewayTestClient(Gateway()) as client, client.connect("/nonsense") as peer:
        with pytest.raises(RequestFailed, match="handler_failed"):
            await peer.request("go")
        assert peer.pending == []


async def test_a_result_that_breaks_the_emitters_schema_is_not_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @namespace("/contract")
    class Contract:
        @message("go")
        @emit("result", schema={"type": "integer"})
        async def go(self, data: Any) -> Any:
            return data

    gateway = Contract()
    async with GatewayTestClient(gateway) as client, client.connect("/contract") as peer:
        assert await peer.request("go", 1) == 1
        with pytest.raises(RequestFailed, match="handler_failed"):
            await peer.request("go", "secret")
    assert "result" in caplog.text
    async with (
        GatewayTestClient(gateway, check_outgoing=False) as client,
        client.connect("/contract") as peer,
    ):
        assert await peer.request("go", "unchecked") == "unchecked"


async def test_rooms_of_emitters_may_depend_on_the_message() -> None:
    def room(data: Any, peer: Peer[Any]) -> str | None:
        return data["room"]

    @namespace("/rooms")
    class Rooms:
        @message("join")
        async def join(self, data: Any, peer: Peer) -> bool:
            return peer.join(data)

        @message("say")
        @broadcast_others("said", room=room)
        async def say(self, data: Any) -> Any:
            return data["text"]

    async with (
        GatewayTestClient(Rooms()) as client,
        client.connect("/rooms") as one,
        client.connect("/rooms") as two,
        client.connect("/rooms") as three,
    ):
        await one.request("join", "a")
        await two.request("join", "a")
        await three.request("join", "b")
        await one.request("say", {"room": "a", "text": "hi"})
        assert await two.receive("said") == "hi"
        await one.request("say", {"room": None, "text": "to nobody"})
        await client.settle()
        assert one.pending == two.pending == three.pending == []


async def test_the_fallback_gets_what_nobody_else_does() -> None:
    @namespace("/fallback")
    class Fallback:
        @message("known")
        async def known(self) -> str:
            return "known"

        @fallback
        @emit("fell")
        async def fell(self, event: str, data: Any, peer: Peer) -> list[Any]:
            return [event, data, peer.namespace]

    async with GatewayTestClient(Fallback()) as client, client.connect("/fallback") as peer:
        assert await peer.request("known") == "known"
        assert await peer.request("other", 5) == ["other", 5, "/fallback"]
        with pytest.raises(RequestFailed, match="unknown_event"):
            await peer.request("heartbeat")  # reserved: nobody's, not even the fallback's


async def test_parameters_are_passed_by_annotation_and_position() -> None:
    @namespace("/parameters/{name}")
    class Parameters:
        @message("mixed")
        async def mixed(self, request: ConnectionRequest, data: Any, who: Peer) -> list[Any]:
            return [request.path, data, who.path_params]

        @message("only_peer")
        async def only_peer(self, peer: Peer) -> Any:
            return peer.params

    async with (
        GatewayTestClient(Parameters()) as client,
        client.connect("/parameters/x?y=1") as peer,
    ):
        assert await peer.request("mixed", 1) == ["/parameters/x", 1, {"name": "x"}]
        assert await peer.request("only_peer") == {"y": "1"}


async def test_an_exception_is_logged_and_its_text_never_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @namespace("/fails")
    class Fails:
        @message("go")
        @emit("gone")
        async def go(self) -> None:
            raise RuntimeError("canary-1f7b")

    async with GatewayTestClient(Fails()) as client, client.connect("/fails") as peer:
        await peer.send("go")
        frame = await peer.receive_frame()
        assert frame == {
            "event": "error",
            "data": {
                "code": "handler_failed",
                "message": "the message could not be handled",
                "event": "go",
            },
        }
    assert "Fails.go" in caplog.text
    assert "canary-1f7b" in caplog.text


async def test_a_handlers_own_exception_chain_reaches_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @namespace("/chain")
    class Chain:
        @message("go")
        async def go(self) -> None:
            try:
                raise KeyError("cause")
            except KeyError as error:
                await anyio.lowlevel.checkpoint()
                raise RuntimeError("effect") from error

    async with GatewayTestClient(Chain()) as client, client.connect("/chain") as peer:
        with pytest.raises(RequestFailed):
            await peer.request("go")
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    error = record.exc_info[1]
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, KeyError)


async def test_a_rejection_speaks_for_itself() -> None:
    @namespace("/rejects")
    class Rejects:
        @message("go")
        async def go(self, data: Any) -> None:
            if data == "bad data":
                raise MessageRejected("full", data=object())
            raise MessageRejected("full", "the table is full", data={"seats": 0})

        @message("plain")
        async def plain(self) -> None:
            raise MessageRejected

    async with GatewayTestClient(Rejects()) as client, client.connect("/rejects") as peer:
        with pytest.raises(RequestFailed) as refused:
            await peer.request("go")
        assert (refused.value.code, refused.value.message, refused.value.data) == (
            "full",
            "the table is full",
            {"seats": 0},
        )
        with pytest.raises(RequestFailed, match="rejected: the message was rejected"):
            await peer.request("plain")
        with pytest.raises(RequestFailed, match="handler_failed"):
            await peer.request("go", "bad data")


@pytest.mark.parametrize("in_thread", [False, True])
async def test_the_error_hook_sees_every_exception_and_may_answer(in_thread: bool) -> None:
    seen: list[tuple[str, str, str]] = []

    def translate(error: Exception, peer: Any, event: str) -> MessageRejected | None:
        seen.append((type(error).__name__, type(peer).__name__, event))
        if isinstance(error, KeyError):
            return MessageRejected("not_found", "no such thing")
        if isinstance(error, ZeroDivisionError):
            raise RuntimeError("the hook fails too")
        return None

    class Base:
        @message("go")
        async def go(self, data: Any) -> Any:
            if data == "reject":
                raise MessageRejected("mine")
            if data == "result":
                return object()
            raise {"key": KeyError, "zero": ZeroDivisionError, "value": ValueError}[data]

    @namespace("/hooked")
    class Hooked(Base):
        @on_error
        async def translate(self, error: Exception, peer: Peer, event: str) -> Any:
            return translate(error, peer, event)

    @namespace("/hooked")
    class HookedInThread(Base):
        @on_error
        def translate(self, error: Exception, peer: BlockingPeer, event: str) -> Any:
            return translate(error, peer, event)

    gateway = HookedInThread() if in_thread else Hooked()
    kind = "BlockingPeer" if in_thread else "Peer"
    async with GatewayTestClient(gateway) as client, client.connect("/hooked") as peer:
        for data, code in {
            "key": "not_found",
            "zero": "handler_failed",
            "value": "handler_failed",
            "reject": "mine",
            "result": "handler_failed",
        }.items():
            with pytest.raises(RequestFailed) as failed:
                await peer.request("go", data)
            assert failed.value.code == code
    assert seen == [
        ("KeyError", kind, "go"),
        ("ZeroDivisionError", kind, "go"),
        ("ValueError", kind, "go"),
        ("EncodeError", kind, "go"),
    ]


async def test_an_unknown_event_is_told_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    @namespace("/unknown")
    class Unknown:
        pass

    with caplog.at_level(logging.WARNING):
        async with GatewayTestClient(Unknown()) as client, client.connect("/unknown") as peer:
            for _ in range(20):
                with pytest.raises(RequestFailed, match="unknown_event"):
                    await peer.request("a\nb\x1b[31m" + "x" * 100)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith('No message handler for event "a\\nb\\x1b[31mxxx')
    assert '" in namespace "/unknown"' in lines[0]
    assert len(lines[0]) < 200
