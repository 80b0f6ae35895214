"""Promises of the documentation that no test of one module shows."""

from collections.abc import Iterator
from typing import Any

import pytest

from asgi_ws_gateway import (
    BlockingPeer,
    ConnectionRejected,
    GatewayMiddleware,
    Limits,
    Peer,
    ServiceNotRunning,
    UnknownNamespace,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connect,
)
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed


@pytest.mark.parametrize("path", ["/rooms/{id}", "/rooms/{id}/", "/{place}/{id}"])
async def test_a_patterns_own_text_is_unknown_beside_a_wider_pattern(path: str) -> None:
    @namespace("/rooms/{id}")
    class Rooms:
        pass

    @namespace("/{place}/{id}")
    class Places:
        pass

    async with GatewayTestClient(Rooms(), Places()) as client:
        assert client.service is not None
        with pytest.raises(UnknownNamespace):
            await client.service.broadcast(path, "news")


async def test_a_thread_sees_and_says_what_others_may_see_of_its_peer() -> None:
    @namespace("/moods")
    class Moods:
        @message("set")
        async def set_mood(self, data: Any, peer: Peer) -> None:
            peer.user, peer.presence = data

        @message("set in a thread")
        def set_in_a_thread(self, data: Any, peer: BlockingPeer) -> None:
            peer.user, peer.presence = data

        @message("get")
        @emit("is")
        async def get(self, data: Any, peer: Peer) -> Any:
            return [peer.user, peer.presence]

        @message("get in a thread")
        @emit("is")
        def get_in_a_thread(self, data: Any, peer: BlockingPeer) -> Any:
            return [peer.user, peer.presence]

    async with GatewayTestClient(Moods()) as client, client.connect("/moods") as ada:
        assert client.service is not None
        assert await ada.request("get in a thread") == [None, None]
        await ada.request("set", ["Ada", "calm"])
        assert await ada.request("get in a thread") == ["Ada", "calm"]
        await ada.request("set in a thread", ["Ada L.", "merry"])
        assert await ada.request("get") == ["Ada L.", "merry"]
        assert [who.data for who in await client.service.presence("/moods")] == ["merry"]


async def test_an_answered_heartbeat_is_no_stale_answer() -> None:
    @namespace("/pulse", limits=Limits(heartbeat=0.02))
    class Pulse:
        pass

    async with GatewayTestClient(Pulse()) as client, client.connect("/pulse") as peer:
        assert client.service is not None
        frame = await peer.receive_frame()
        peer.answer(frame)
        await client.settle()
        assert client.service.stats().stale_answers == 0
        peer.answer(frame)
        await client.settle()
        assert client.service.stats().stale_answers == 1


async def test_a_kept_peer_cannot_broadcast_once_the_service_has_ended() -> None:
    kept: list[Peer] = []

    @namespace("/kept")
    class Kept:
        @on_connect
        async def entered(self, peer: Peer) -> None:
            kept.append(peer)

    async with GatewayTestClient(Kept()) as client:
        async with client.connect("/kept"):
            pass
        assert await kept[0].broadcast("news") == (0, 0, True)
    for broadcast in (kept[0].broadcast, kept[0].broadcast_others):
        with pytest.raises(ServiceNotRunning):
            await broadcast("news")


async def test_a_connect_hooks_rejection_is_the_reason_of_the_close() -> None:
    @namespace("/full")
    class Full:
        @on_connect
        def entered(self, peer: BlockingPeer) -> None:
            raise ConnectionRejected("é" * 100, status=401)

    async with GatewayTestClient(Full()) as client, client.connect("/full") as peer:
        assert await peer.closed() == (1008, "é" * 61)


async def test_a_service_that_runs_can_be_wrapped_and_tested() -> None:
    @namespace("/running")
    class Running:
        @message("ping")
        @emit("pong")
        async def ping(self) -> None:
            pass

    service = WebSocketService()
    service.register(Running())
    async with service:
        for target in (service, GatewayMiddleware(None, service)):
            async with GatewayTestClient(target) as client, client.connect("/running") as peer:
                assert await peer.request("ping") is None


@pytest.mark.parametrize("event", ["call", "step"])
async def test_a_thread_that_exits_harms_neither_its_connection_nor_the_server(event: str) -> None:
    @namespace("/exits")
    class Exits:
        @message("call")
        def call(self) -> None:
            raise SystemExit(2)

        @message("step")
        def step(self) -> Iterator[int]:
            yield 1
            raise SystemExit(2)

    async with GatewayTestClient(Exits()) as client, client.connect("/exits") as peer:
        for _ in range(2):
            with pytest.raises(RequestFailed, match="handler_failed"):
                await peer.request(event)


async def test_a_peer_that_reads_gets_messages_of_any_size_sent_in_a_row() -> None:
    @namespace("/large", limits=Limits(outbox_bytes=100))
    class Large:
        pass

    async with GatewayTestClient(Large()) as client, client.connect("/large") as peer:
        assert client.service is not None
        for number in range(10):
            report = await client.service.broadcast("/large", "page", [number, "x" * 500])
            assert report == (1, 0, True)
        for number in range(10):
            assert (await peer.receive("page"))[0] == number
