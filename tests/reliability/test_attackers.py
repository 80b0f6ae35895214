"""What a client does that knows how we work, and the others pay for nothing of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_ws_gateway import (
    JSONCodec,
    Limits,
    MessageRejected,
    Peer,
    broadcast,
    emit,
    message,
    namespace,
)
from asgi_ws_gateway.protocol.messages import Message
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed

MEGABYTE = "x" * 1_000_000


class Panic(BaseException):
    """What an extension module raises where its own language panics."""


def panics(data: Any, peer: Peer) -> str:
    raise Panic


@namespace("/x")
class Target:
    def __init__(self) -> None:
        self.open = anyio.Event()
        self.cancelled = 0

    @message("panic", concurrent=True)
    async def panic(self) -> None:
        raise BaseExceptionGroup("of a task group", [Panic()])

    @message("panic in a room", concurrent=True)
    @broadcast("x", room=panics)
    async def panic_in_a_room(self) -> None: ...

    @message("wait")
    async def wait(self, data: Any) -> None:
        await self.open.wait()

    @message("wait aside", concurrent=True)
    async def wait_aside(self, data: Any) -> None:
        try:
            await self.open.wait()
        except BaseException:
            self.cancelled += 1
            raise

    @message("reject")
    async def reject(self, data: Any) -> None:
        raise MessageRejected(data)

    @message("ping")
    @emit("pong")
    async def ping(self) -> int:
        await anyio.lowlevel.checkpoint()
        return 1


def stats(client: GatewayTestClient) -> Any:
    assert client.service is not None
    return client.service.stats()


@pytest.mark.parametrize("event", ["panic", "panic in a room"])
async def test_what_is_no_exception_ends_nobody_else_s_connection(event: str) -> None:
    async with GatewayTestClient(Target()) as client:
        async with client.connect("/x") as bystander, client.connect("/x") as culprit:
            with pytest.raises(RequestFailed, match="handler_failed"):
                await culprit.request(event)
            assert await bystander.request("ping") == 1
            assert await culprit.request("ping") == 1


@pytest.mark.parametrize("event", ["wait", "wait aside"])
async def test_what_waits_for_a_handler_is_bounded_in_bytes(event: str) -> None:
    gateway = Target()
    limits = Limits(max_message_bytes=1024 * 1024)
    async with GatewayTestClient(gateway, limits=limits) as client:
        async with client.connect("/x") as peer:
            text = json.dumps({"event": event, "data": MEGABYTE})
            for _ in range(20):
                await peer.send_text(text)
            await anyio.wait_all_tasks_blocked()
            # At most two run, one waits for its turn, and two for that.
            assert stats(client).received <= 5
            gateway.open.set()
            await client.settle()
            assert stats(client).handled == 20


async def test_a_cancel_compares_no_data() -> None:
    class Touchy:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        __hash__ = None  # type: ignore[assignment]

    gateway = Target()
    async with GatewayTestClient(gateway) as client, client.connect("/x") as peer:
        for id in ("running", "first", "second"):
            await peer.send("wait", id=id)
        await anyio.wait_all_tasks_blocked()
        assert client.service is not None
        [member] = client.service.running.hub
        waiting = member.inbox._waiting  # type: ignore[attr-defined]
        for index, (found, size) in enumerate(list(waiting)):
            assert isinstance(found, Message)
            waiting[index] = (replace(found, data=Touchy()), size)
        peer.cancel("second")
        assert (await peer.receive_frame())["data"]["code"] == "cancelled"
        peer.cancel("first")
        assert (await peer.receive_frame())["data"]["code"] == "cancelled"
        gateway.open.set()


async def test_as_many_cancels_end_as_many_messages_of_one_id() -> None:
    gateway = Target()
    async with GatewayTestClient(gateway) as client, client.connect("/x") as peer:
        for _ in range(3):
            await peer.send("wait aside", id="same")
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            peer.cancel("same")
        for _ in range(3):
            assert (await peer.receive_frame())["data"]["code"] == "cancelled"
        assert gateway.cancelled == 3


@pytest.mark.parametrize("text", ['{"cancel": "none"}', '{"event": "ack", "id": "s:99"}'])
async def test_a_flood_of_what_comes_to_nothing_ends_as_any_other(text: str) -> None:
    limits = Limits(rate=1e-9, burst=5)
    async with GatewayTestClient(Target(), limits=limits) as client:
        async with client.connect("/x") as peer:
            for _ in range(60):
                await peer.send_text(text)
            assert await peer.closed() == (1008, "rate limited")
            await client.settle()
            assert peer.pending == []


async def test_answers_that_are_waited_for_do_not_count_against_the_rate() -> None:
    @namespace("/asks")
    class Asks:
        @message("ask")
        async def ask(self, peer: Peer) -> list[Any]:
            return [await peer.ask("sure?") for _ in range(20)]

    limits = Limits(rate=1e-9, burst=1)
    async with GatewayTestClient(Asks(), limits=limits) as client:
        async with client.connect("/asks") as peer:
            await peer.send("ask", id=1)
            for _ in range(20):
                peer.answer(await peer.receive_frame(), "yes")
            assert (await peer.receive_frame())["data"] == ["yes"] * 20


async def test_codes_that_a_client_makes_up_are_not_kept() -> None:
    async with GatewayTestClient(Target()) as client, client.connect("/x") as peer:
        for number in range(400):
            with pytest.raises(RequestFailed):
                await peer.request("reject", f"code {number}")
        with pytest.raises(RequestFailed):
            await peer.request("reject", "c" * 1000)
        failed = stats(client).failed
    assert len(failed) <= 257
    assert sum(failed.values()) == 401
    assert failed["code 0"] == 1
    assert max(map(len, failed)) <= 64


def test_names_of_events_that_a_client_makes_up_are_not_kept() -> None:
    json_codec = JSONCodec()
    for number in range(10):
        assert json_codec.encode(f"{number}" * 129, 1).endswith('","data":1}')
    assert not json_codec._prefixes
