"""A peer's verbs: what each refuses, and what is left of them once the peer is going or gone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_ws_gateway import (
    AskRejected,
    LimitReached,
    Limits,
    Peer,
    PeerClosed,
    message,
    namespace,
    on_connect,
    on_disconnect,
)
from asgi_ws_gateway.runtime.link import GoneLink
from asgi_ws_gateway.testing import (
    ClientConnection,
    FakePeer,
    GatewayTestClient,
    RequestFailed,
)


@namespace("/verbs")
class Verbs:
    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.log: list[Any] = []

    @on_connect
    async def came(self, peer: Peer) -> None:
        self.peers.append(peer)

    @on_disconnect
    async def left(self, peer: Peer) -> None:
        self.log += [peer.connected, peer.join("late"), peer.leave("lobby"), peer.rooms]
        try:
            await peer.ask("late")
        except PeerClosed:
            self.log.append("closed")

    @message("join")
    async def join(self, data: Any, peer: Peer) -> bool:
        return peer.join(data)


@asynccontextmanager
async def connected(**limits: Any) -> AsyncIterator[tuple[Verbs, Peer, ClientConnection]]:
    gateway = Verbs()
    async with GatewayTestClient(gateway, limits=Limits(**limits)) as client:
        async with client.connect("/verbs") as connection:
            await client.settle()
            yield gateway, gateway.peers[0], connection


@pytest.mark.parametrize("room", ["", None, 1, b"lobby", ["lobby"]])
async def test_a_rooms_name_is_text_that_is_not_empty(room: Any) -> None:
    async with connected() as (_, peer, _):
        with pytest.raises(ValueError, match="a room's name is a str that is not empty"):
            peer.join(room)
        assert peer.rooms == frozenset()


async def test_joining_and_leaving_twice_is_as_good_as_once() -> None:
    async with connected() as (_, peer, _):
        assert [peer.join("lobby"), peer.join("lobby")] == [True, True]
        assert peer.rooms == {"lobby"}
        assert [peer.leave("lobby"), peer.leave("lobby")] == [True, True]
        assert peer.rooms == frozenset()


async def test_a_peer_may_be_in_only_so_many_rooms_at_once() -> None:
    async with connected(max_rooms=2) as (_, peer, connection):
        assert [peer.join("a"), peer.join("b"), peer.join("b")] == [True] * 3
        with pytest.raises(LimitReached, match="too many rooms"):
            peer.join("c")
        with pytest.raises(RequestFailed, match="limit_reached"):
            await connection.request("join", "c")
        assert peer.rooms == {"a", "b"}
        peer.leave("a")
        assert await connection.request("join", "c") is True
        assert peer.rooms == {"b", "c"}


async def test_a_rooms_name_is_only_so_long() -> None:
    async with connected(max_room_length=3) as (_, peer, _):
        assert peer.join("abc")
        with pytest.raises(LimitReached, match="name is too long"):
            peer.join("abcd")
        assert peer.rooms == {"abc"}


async def test_without_limits_rooms_are_as_many_and_as_long_as_you_like() -> None:
    async with connected(max_rooms=None, max_room_length=None) as (_, peer, _):
        assert all(peer.join(str(number) * 200) for number in range(200))
        assert len(peer.rooms) == 200


async def test_a_peer_that_is_going_changes_no_rooms_and_answers_nothing() -> None:
    async with connected() as (gateway, peer, connection):
        peer.join("lobby")
        await connection.close()
        assert gateway.log == [False, False, False, {"lobby"}, "closed"]


async def test_a_peer_that_has_gone_cannot_be_asked() -> None:
    async with connected() as (_, peer, connection):
        await connection.close()
        with pytest.raises(PeerClosed):
            await peer.ask("anyone there?")


async def test_what_outlives_a_peer_that_has_gone_sends_nothing() -> None:
    peer = FakePeer()
    running: Any = None
    link = GoneLink(running, peer, frozenset({"lobby"}))
    del peer
    gc.collect()
    assert await link.send("late", None, None) is False
    assert (link.connected, link.rooms) == (False, {"lobby"})


async def test_a_question_that_does_not_fit_is_not_waited_for() -> None:
    async with connected(outbox_messages=1) as (_, peer, connection):
        connection.pause()
        # One is on its way, one waits, and the question is too many.
        assert [await peer.send("news"), await peer.send("news")] == [True, True]
        with pytest.raises(PeerClosed):
            await peer.ask("sure?", timeout=None)
        assert not peer.connected
        connection.resume()
        assert await connection.closed() == (1013, "too slow")


async def test_nor_is_one_that_is_dropped_before_it_is_sent() -> None:
    async with connected(outbox_messages=1, overflow="drop_newest") as (_, peer, connection):
        connection.pause()
        assert [await peer.send("news"), await peer.send("news")] == [True, True]
        with pytest.raises(PeerClosed):
            await peer.ask("sure?", timeout=None)
        assert peer.connected
        connection.resume()
        assert [await connection.receive("news") for _ in range(2)] == [None, None]


async def test_who_sends_more_than_is_read_closes_that_peer() -> None:
    async with connected(outbox_messages=1) as (_, peer, connection):
        connection.pause()
        assert [await peer.send("news", n) for n in range(4)] == [True, True, False, False]
        connection.resume()
        assert await connection.closed() == (1013, "too slow")


async def test_a_peer_can_be_asked_from_a_foreign_loop() -> None:
    async with connected() as (_, peer, connection), anyio.create_task_group() as group:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await peer.ask("sure?"))
            with pytest.raises(AskRejected, match="no"):
                await peer.ask("really?")

        group.start_soon(anyio.to_thread.run_sync, lambda: asyncio.run(ask()))
        connection.answer(await connection.receive_frame(), "yes")
        connection.reject(await connection.receive_frame(), "no")
    assert answers == ["yes"]
