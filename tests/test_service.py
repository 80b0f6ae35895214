"""The service: its lifetime, and every call of it, from its own event loop and from elsewhere."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from asgiref.sync import async_to_sync

from asgi_ws_gateway import (
    ALL,
    Accept,
    ConfigurationError,
    DeliveryReport,
    EncodeError,
    JSONCodec,
    Limits,
    Observer,
    Peer,
    Presence,
    ServiceNotRunning,
    UnknownNamespace,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.runtime.admission import Admission
from asgi_ws_gateway.testing import ClientConnection, ConnectionDenied, GatewayTestClient


class Attempting:
    """The query says who a client is, and where."""

    @on_connection_attempt
    async def attempt(self, params: dict[str, str]) -> Accept:
        return Accept(user=params.get("user"), presence=params.get("presence"))

    @on_connect
    async def entered(self, peer: Peer) -> None:
        for room in filter(None, peer.params.get("rooms", "").split(",")):
            peer.join(room)

    @message("ping")
    @emit("pong")
    async def ping(self) -> None:
        pass

    @message("fail")
    async def fail(self) -> None:
        raise ValueError


@namespace("/chat")
class Chat(Attempting):
    pass


@namespace("/games/{game}")
class Game(Attempting):
    pass


class CountingCodec(JSONCodec):
    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[str] = []

    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> str:
        self.encoded.append(event)
        return super().encode(event, data, id, more)


@asynccontextmanager
async def client_of(**options: Any) -> AsyncIterator[GatewayTestClient]:
    async with GatewayTestClient(Chat(), Game(), **options) as client:
        yield client


def the_service(client: GatewayTestClient) -> WebSocketService:
    assert client.service is not None
    return client.service


def peer_of(client: GatewayTestClient, user: str) -> Peer[Any]:
    """The peer of a user who has but one."""
    (member,) = the_service(client).running.hub.user(user)
    return member.peer


# Sends.


async def test_emit_reaches_one_peer_by_itself_or_its_id() -> None:
    async with client_of() as client:
        service = the_service(client)
        async with client.connect("/chat?user=a") as a, client.connect("/chat?user=b") as b:
            peer = peer_of(client, "a")
            assert await service.emit(peer, "news", 1) == DeliveryReport(1, 0, True)
            assert await service.emit(peer.id, "news") == DeliveryReport(1, 0, True)
            assert await a.receive("news") == 1
            assert await a.receive("news") is None
            await client.settle()
            assert b.pending == []
        assert await service.emit(peer, "news") == DeliveryReport(0, 0, True)
        assert await service.emit("nobody", "news") == DeliveryReport(0, 0, True)


async def test_emit_to_user_reaches_all_peers_of_a_user_in_every_namespace() -> None:
    async with client_of() as client:
        service = the_service(client)
        async with (
            client.connect("/chat?user=a") as one,
            client.connect("/games/1?user=a") as two,
            client.connect("/games/2?user=a") as three,
            client.connect("/chat?user=b") as other,
        ):
            assert await service.emit_to_user("a", "all") == DeliveryReport(3, 0, True)
            report = await service.emit_to_user("a", "some", namespace="games/1/")
            assert report == DeliveryReport(1, 0, True)
            assert await service.emit_to_user("nobody", "all") == DeliveryReport(0, 0, True)
            with pytest.raises(UnknownNamespace):
                await service.emit_to_user("a", "all", namespace="/other")
            await client.settle()
            events = [[frame["event"] for frame in c.pending] for c in (one, two, three, other)]
            assert events == [["all"], ["all", "some"], ["all"], []]


async def test_emit_to_user_encodes_once_a_codec() -> None:
    shared, own = CountingCodec(), CountingCodec()

    @namespace("/own", codec=own)
    class Own(Attempting):
        pass

    async with (
        GatewayTestClient(Chat(), Game(), Own(), codec=shared) as client,
        client.connect("/chat?user=a") as one,
        client.connect("/games/1?user=a") as two,
        client.connect("/own?user=a") as three,
        client.connect("/own?user=a") as four,
    ):
        await the_service(client).emit_to_user("a", "news", 1)
        for connection in (one, two, three, four):
            assert await connection.receive("news") == 1
        assert shared.encoded.count("news") == own.encoded.count("news") == 1


async def test_a_broadcast_is_encoded_once() -> None:
    codec = CountingCodec()
    async with client_of(codec=codec) as client:
        service = the_service(client)
        async with client.connect("/chat"), client.connect("/chat"), client.connect("/chat"):
            assert await service.broadcast("/chat", "news") == DeliveryReport(3, 0, True)
        assert codec.encoded.count("news") == 1


@asynccontextmanager
async def four(client: GatewayTestClient) -> AsyncIterator[dict[str, ClientConnection]]:
    async with (
        client.connect("/chat?user=a&rooms=red") as a,
        client.connect("/chat?user=b&rooms=red,blue") as b,
        client.connect("/chat?user=c") as c,
        client.connect("/games/1?user=d&rooms=red") as d,
    ):
        await client.settle()
        yield {"a": a, "b": b, "c": c, "d": d}


@pytest.mark.parametrize("path", ["/chat", "chat", "/chat/", "chat/"])
async def test_broadcast_reaches_everyone_in_a_namespace(path: str) -> None:
    async with client_of() as client, four(client) as connections:
        report = await the_service(client).broadcast(path, "news")
        await client.settle()
        assert report == DeliveryReport(3, 0, True)
        assert [name for name, c in connections.items() if c.pending] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("room", "reached"),
    [(ALL, "abc"), ("red", "ab"), ("blue", "b"), ("empty", ""), ("", ""), (None, "")],
    ids=repr,
)
async def test_broadcast_reaches_everyone_in_a_room(room: Any, reached: str) -> None:
    async with client_of() as client, four(client) as connections:
        report = await the_service(client).broadcast("/chat", "news", 1, room=room)
        await client.settle()
        assert report == DeliveryReport(len(reached), 0, True)
        assert "".join(name for name, c in connections.items() if c.pending) == reached


@pytest.mark.parametrize(
    ("exclude", "reached"),
    [
        (lambda a, b: (), "abc"),
        (lambda a, b: a, "bc"),
        (lambda a, b: a.id, "bc"),
        (lambda a, b: [a, b], "c"),
        (lambda a, b: {a.id, b.id}, "c"),
        (lambda a, b: (a, b.id), "c"),
        (lambda a, b: iter([a]), "bc"),
        (lambda a, b: "nobody", "abc"),
    ],
    ids=["nobody", "peer", "id", "peers", "ids", "both", "iterator", "stranger"],
)
async def test_exclude_is_a_peer_an_id_or_several(
    exclude: Callable[[Any, Any], Any], reached: str
) -> None:
    async with client_of() as client, four(client) as connections:
        without = exclude(peer_of(client, "a"), peer_of(client, "b"))
        report = await the_service(client).broadcast("/chat", "news", exclude=without)
        await client.settle()
        assert report == DeliveryReport(len(reached), 0, True)
        assert "".join(name for name, c in connections.items() if c.pending) == reached


async def test_broadcast_takes_a_peer_for_its_namespace() -> None:
    async with client_of() as client, four(client):
        service, peer = the_service(client), peer_of(client, "d")
        assert await service.broadcast(peer, "news") == DeliveryReport(1, 0, True)


async def test_broadcast_others_leaves_out_the_peer() -> None:
    async with client_of() as client, four(client) as connections:
        service, peer = the_service(client), peer_of(client, "b")
        assert await service.broadcast_others(peer, "all") == DeliveryReport(2, 0, True)
        assert await service.broadcast_others(peer, "room", room="red") == DeliveryReport(
            1, 0, True
        )
        await client.settle()
        events = {name: [f["event"] for f in c.pending] for name, c in connections.items()}
        assert events == {"a": ["all", "room"], "b": [], "c": ["all"], "d": []}


async def test_concrete_paths_of_a_pattern_are_audiences_of_their_own() -> None:
    async with (
        client_of() as client,
        client.connect("/games/1") as one,
        client.connect("/games/2") as two,
    ):
        assert (await the_service(client).broadcast("/games/1", "move")).queued == 1
        assert (await the_service(client).broadcast("/games/3", "move")).queued == 0
        await client.settle()
        assert (len(one.pending), len(two.pending)) == (1, 0)


@pytest.mark.parametrize("path", ["/other", "/games/{game}", "/games", "/games/1/2", "/Chat", ""])
async def test_a_path_that_is_not_registered_is_unknown(path: str) -> None:
    async with client_of() as client:
        service = the_service(client)
        for call in (
            lambda: service.broadcast(path, "news"),
            lambda: service.presence(path),
        ):
            with pytest.raises(UnknownNamespace):
                await call()
        with pytest.raises(UnknownNamespace):
            service.peers(path)


async def test_latest_replaces_what_is_unsent() -> None:
    async with client_of() as client, client.connect("/chat?user=a") as a:
        service, peer = the_service(client), peer_of(client, "a")
        a.pause()
        for number in range(4):
            await service.broadcast("/chat", "at", number, latest="k")
            await service.emit(peer, "by", number, latest="k")
            await service.emit_to_user("a", "to", number, latest="k")
            await service.broadcast_others(peer, "not", number, latest="k")
        a.resume()
        await client.settle()
        assert [(f["event"], f["data"]) for f in a.pending] == [
            ("at", 0),  # under way already when the next one came
            ("by", 3),
            ("to", 3),
            ("at", 3),
        ]


async def test_a_report_says_who_lost_it() -> None:
    limits = Limits(outbox_messages=1, overflow="drop_newest")
    async with (
        client_of(limits=limits) as client,
        client.connect("/chat") as slow,
        client.connect("/chat") as fast,
    ):
        slow.pause()
        reports = []
        for number in range(4):
            reports.append(await the_service(client).broadcast("/chat", "news", number))
            await fast.receive("news")
        assert [sum(report[:2]) for report in reports] == [2] * 4
        assert reports[0] == DeliveryReport(2, 0, True)
        assert reports[-1] == DeliveryReport(1, 1, True)
        slow.resume()


@pytest.mark.parametrize("event", ["", "ack", "error", "heartbeat"])
async def test_some_event_names_cannot_be_sent(event: str) -> None:
    async with client_of() as client:
        service = the_service(client)
        for call in (
            lambda: service.emit("id", event),
            lambda: service.emit_to_user("a", event),
            lambda: service.broadcast("/chat", event),
        ):
            with pytest.raises(ValueError, match="empty or reserved"):
                await call()


async def test_an_event_that_is_no_text_is_a_type_error() -> None:
    async with client_of() as client:
        with pytest.raises(TypeError, match="not 5"):
            await the_service(client).broadcast("/chat", 5)  # type: ignore[arg-type]


async def test_data_that_cannot_be_encoded_reaches_nobody() -> None:
    async with client_of() as client, client.connect("/chat?user=a") as a:
        service, peer = the_service(client), peer_of(client, "a")
        for call in (
            lambda: service.emit(peer, "news", object()),
            lambda: service.emit_to_user("a", "news", float("nan")),
            lambda: service.broadcast("/chat", "news", {1: 2}),
        ):
            with pytest.raises(EncodeError):
                await call()
        await client.settle()
        assert a.pending == []
        assert peer.connected


async def test_one_peer_that_fails_does_not_fail_the_send() -> None:
    async with client_of() as client:
        service = the_service(client)
        async with client.connect("/chat") as broken, client.connect("/chat") as fine:
            broken.fail_sends(RuntimeError("closed"))
            report = await service.broadcast("/chat", "news", 1)
            assert report.queued + report.dropped == 2
            assert await fine.receive("news") == 1
            assert (await service.broadcast("/chat", "news", 2)).queued >= 1
            assert await fine.receive("news") == 2
            await broken.drop()


# Who is there.


async def test_peers_and_peer_find_who_is_on_this_node() -> None:
    async with client_of() as client, four(client):
        service, a = the_service(client), peer_of(client, "a")
        assert [peer.user for peer in service.peers("/chat")] == ["a", "b", "c"]
        assert [peer.user for peer in service.peers("chat/", room="red")] == ["a", "b"]
        assert service.peers("/chat", room="empty") == []
        assert service.peers("/games/9") == []
        assert service.peer(a.id) is a
        assert service.peer("nobody") is None


async def test_presence_shows_what_others_may_see() -> None:
    async with (
        client_of() as client,
        client.connect("/chat?user=a&presence=away&rooms=red"),
        client.connect("/chat"),
    ):
        service = the_service(client)
        await client.settle()
        first, second = await service.presence("/chat")
        peer = peer_of(client, "a")
        assert first == Presence(peer.id, "a", "/chat", frozenset({"red"}), first.node, "away")
        assert (second.user, second.rooms, second.data) == (None, frozenset(), None)
        assert first.node == second.node != ""
        assert await service.presence("/chat", room="red") == [first]
        assert await service.presence("/chat", room="empty") == []


# Closing others.


async def test_disconnect_closes_one_peer_once_its_messages_have_gone_out() -> None:
    async with (
        client_of() as client,
        client.connect("/chat?user=a") as a,
        client.connect("/chat?user=b") as b,
    ):
        service, peer = the_service(client), peer_of(client, "a")
        await service.emit(peer, "last")
        await service.disconnect(peer, 4000, "bye")
        await service.disconnect(peer.id)
        await service.disconnect("nobody")
        assert await a.receive("last") is None
        assert await a.closed() == (4000, "bye")
        assert await b.request("ping") is None


async def test_disconnect_user_closes_all_peers_of_a_user() -> None:
    async with client_of() as client:
        service = the_service(client)
        async with client.connect("/chat?user=a") as one, client.connect("/games/1?user=a") as two:
            await service.disconnect_user("a")
            assert await one.closed() == await two.closed() == (1008, "")
        async with client.connect("/chat?user=a") as one, client.connect("/chat?user=b") as other:
            await service.disconnect_user("a", 4001, "\N{EURO SIGN}" * 50)
            assert await one.closed() == (4001, "\N{EURO SIGN}" * 41)
            assert await other.request("ping") is None


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, True])
async def test_a_close_code_that_may_not_be_sent_is_a_value_error(code: int) -> None:
    async with client_of() as client, client.connect("/chat?user=a"):
        service = the_service(client)
        with pytest.raises(ValueError, match="close code"):
            await service.disconnect(peer_of(client, "a"), code)
        with pytest.raises(ValueError, match="close code"):
            await service.disconnect_user("nobody", code)
        assert peer_of(client, "a").connected


# Its lifetime.


def all_calls(service: WebSocketService) -> list[Callable[[], Any]]:
    return [
        lambda: service.emit("id", "news"),
        lambda: service.emit_to_user("a", "news"),
        lambda: service.broadcast("/chat", "news"),
        lambda: service.disconnect("id"),
        lambda: service.disconnect_user("a"),
        lambda: service.presence("/chat"),
        service.drain,
    ]


def all_blocking_calls(service: WebSocketService) -> list[Callable[[], Any]]:
    blocking, peer = service.blocking, Chat  # a class stands for a peer that is never looked at
    return [
        lambda: blocking.emit("id", "news"),
        lambda: blocking.emit_to_user("a", "news"),
        lambda: blocking.broadcast("/chat", "news"),
        lambda: blocking.broadcast_others(peer, "news"),  # type: ignore[arg-type]
        lambda: blocking.disconnect("id"),
        lambda: blocking.disconnect_user("a"),
        lambda: blocking.presence("/chat"),
        lambda: blocking.peers("/chat"),
        lambda: blocking.peer("id"),
    ]


async def test_while_it_does_not_run_every_call_says_so() -> None:
    service = WebSocketService()
    service.register(Chat())
    for _ in range(2):
        for call in all_calls(service):
            with pytest.raises(ServiceNotRunning, match="async with service"):
                await call()
        for call in all_blocking_calls(service):
            with pytest.raises(ServiceNotRunning):
                call()
        with pytest.raises(ServiceNotRunning):
            service.peers("/chat")
        with pytest.raises(ServiceNotRunning):
            service.peer("id")
        assert service.stats().connections == 0
        async with service:
            pass


async def test_registering_comes_before_serving() -> None:
    service = WebSocketService()
    async with service:
        with pytest.raises(ConfigurationError, match="before serving"):
            service.register(Chat())
    service.register(Chat())
    async with service:
        assert await service.broadcast("/chat", "news") == (0, 0, True)


def test_registering_is_all_or_nothing() -> None:
    service = WebSocketService()
    with pytest.raises(ConfigurationError) as caught:
        service.register(Chat(), Chat(), object())
    assert len(caught.value.mistakes) == 2
    assert service.find("/chat") is None
    service.register(Chat())
    with pytest.raises(ConfigurationError, match="served by Chat"):
        service.register(Chat())


async def test_it_ends_when_the_last_who_entered_leaves() -> None:
    service = WebSocketService()
    async with service as same:
        assert same is service
        async with service:
            pass
        assert service.health().status == "ok"
        await service.start()  # nothing new
    assert service.health().status == "degraded"


async def test_it_can_be_started_and_ended_again_and_again() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        log.append("in")
        yield
        log.append("out")

    service = WebSocketService(lifespan=lifespan)
    service.register(Chat())
    nodes = set()
    for _ in range(50):
        async with service:
            nodes.add(service.running.node)
            assert await service.broadcast("/chat", "news") == (0, 0, True)
    assert log == ["in", "out"] * 50
    assert len(nodes) == 50


def test_it_can_run_in_one_event_loop_after_the_other(anyio_backend_name: str) -> None:
    service = WebSocketService()
    service.register(Chat())

    async def use() -> None:
        async with GatewayTestClient(service) as client, client.connect("/chat") as connection:
            assert await connection.request("ping") is None
            assert (await service.broadcast("/chat", "news")).queued == 1

    for backend in (anyio_backend_name, "asyncio", "trio"):
        anyio.run(use, backend=backend)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_started_for_one_connection_it_ends_with_its_loop(anyio_backend_name: str) -> None:
    service = WebSocketService()
    for _ in range(2):
        anyio.run(service.start, backend=anyio_backend_name)
        assert service.health().reason == "not running"


async def test_concurrent_starts_are_one() -> None:
    entered: list[int] = []
    go = anyio.Event()

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        entered.append(1)
        await go.wait()
        yield

    service = WebSocketService(lifespan=lifespan)
    running: list[bool] = []

    async def start() -> None:
        async with service:
            running.append(service.health().status == "ok")

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(start)
        await anyio.wait_all_tasks_blocked()
        assert running == []
        go.set()
    assert entered == [1]
    assert running == [True] * 5


async def test_entering_while_it_ends_waits_and_starts_it_anew() -> None:
    ending, go = anyio.Event(), anyio.Event()

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        yield
        ending.set()
        await go.wait()

    service = WebSocketService(lifespan=lifespan)
    nodes: list[str] = []

    async def use() -> None:
        async with service:
            nodes.append(service.running.node)

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await ending.wait()
        group.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        assert len(nodes) == 1
        go.set()
    assert len(set(nodes)) == 2
    assert service.health().reason == "not running"


async def test_concurrent_starts_fail_together_and_the_next_is_a_new_one() -> None:
    go = anyio.Event()
    broken = True

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        await go.wait()
        if broken:
            raise OSError("no pool")
        yield

    service = WebSocketService(lifespan=lifespan)
    failures: list[Exception] = []

    async def start() -> None:
        try:
            await service.start()
        except Exception as error:
            failures.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(start)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert sorted(type(failure).__name__ for failure in failures) == [
        *("OSError", "RuntimeError", "RuntimeError")
    ]
    assert service.health().reason == "not running"
    broken = False
    async with service:
        assert service.health().status == "ok"


async def test_a_start_that_is_cancelled_leaves_nothing_running() -> None:
    log: list[str] = []
    starting = anyio.Event()

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        starting.set()
        try:
            await anyio.sleep_forever()
            yield
        finally:
            log.append("cancelled")

    service = WebSocketService(lifespan=lifespan)
    async with anyio.create_task_group() as group:
        group.start_soon(service.start)
        await starting.wait()
        group.cancel_scope.cancel()
    assert log == ["cancelled"]
    assert service.health().reason == "not running"


async def test_who_enters_while_a_start_is_cancelled_starts_it_anew() -> None:
    entered: list[int] = []
    starting = anyio.Event()

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        entered.append(len(entered) + 1)
        starting.set()
        if entered == [1]:
            await anyio.sleep_forever()
        yield

    service = WebSocketService(lifespan=lifespan)

    async def use() -> None:
        async with service:
            assert service.health().status == "ok"
            entered.append(0)

    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def begin() -> None:
            with scope:
                await use()

        group.start_soon(begin)
        await starting.wait()
        group.start_soon(use)
        group.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
    assert entered == [1, 2, 0, 0]
    assert service.health().reason == "not running"


async def test_a_lifetime_that_ends_late_does_not_end_its_successor() -> None:
    async with WebSocketService() as service:
        running = service.running
        # As an event loop in another thread may tell it, which has ended some time ago.
        service._forget(None)
        assert service.running is running


async def test_a_disconnect_hook_may_use_what_the_lifespan_holds() -> None:
    log: list[Any] = []

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        yield
        log.append("pool closed")

    @namespace("/")
    class Leaving:
        @on_disconnect
        async def left(self, peer: Peer, code: int) -> None:
            await anyio.lowlevel.checkpoint()
            log.append((code, await peer.broadcast("left")))

    service = WebSocketService(lifespan=lifespan)
    service.register(Leaving())
    async with GatewayTestClient(service) as client, client.connect("/") as connection:
        await service.__aexit__(None, None, None)
        assert await connection.closed() == (1012, "service restart")
        assert log == [(1012, DeliveryReport(0, 0, True)), "pool closed"]


async def test_stopping_a_lifetime_twice_does_no_harm() -> None:
    service = WebSocketService()
    await service.start()
    lifetime = service._lifetime
    assert lifetime is not None
    for _ in range(2):
        await lifetime.stop()
        assert lifetime.ended.is_set()
    assert service.health().reason == "not running"


async def test_all_who_wait_for_everybody_to_leave_are_told() -> None:
    admission = Admission(Limits())
    await admission.emptied()
    admission.enter(None)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(admission.emptied)
        await anyio.wait_all_tasks_blocked()
        admission.leave(None)


# Drain and health.


async def test_drain_lets_handlers_end_sends_what_is_queued_and_closes_with_1012() -> None:
    go, running = anyio.Event(), anyio.Event()

    @namespace("/")
    class Slow:
        @message("work")
        @emit("worked")
        async def work(self) -> None:
            running.set()
            await go.wait()

    async with (
        GatewayTestClient(Slow()) as client,
        client.connect("/") as busy,
        client.connect("/") as idle,
    ):
        service = the_service(client)
        assert service.health() == ("ok", None, None)
        await busy.send("work")
        await running.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(service.drain)
            assert await idle.closed() == (1012, "service restart")
            health = service.health()
            assert (health.status, health.reason) == ("degraded", "draining")
            assert health.since is not None
            with pytest.raises(ConnectionDenied) as caught:
                async with client.connect("/"):
                    pass
            assert caught.value.status == 503
            go.set()
            assert await busy.receive("worked") is None
            assert await busy.closed() == (1012, "service restart")
        assert service.health().since == health.since


async def test_drain_cancels_what_does_not_end_in_time() -> None:
    running = anyio.Event()
    ended: list[str] = []

    @namespace("/")
    class Slow:
        @message("work")
        async def work(self) -> None:
            running.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("cancelled")

    async with GatewayTestClient(Slow()) as client, client.connect("/") as busy:
        await busy.send("work")
        await running.wait()
        await the_service(client).drain(grace=0)
        assert await busy.closed() == (1012, "service restart")
        assert ended == ["cancelled"]


# From elsewhere.


async def test_blocking_serves_threads() -> None:
    async with client_of() as client, four(client) as connections:
        blocking, a = the_service(client).blocking, peer_of(client, "a")

        def in_a_thread() -> list[Any]:
            return [
                blocking.emit(a, "emit", 1),
                blocking.emit_to_user("b", "to", namespace="/chat"),
                blocking.broadcast("/chat", "all", room="red", exclude=[a], latest="k"),
                blocking.broadcast_others(a, "others"),
                [peer.user for peer in blocking.peers("/chat", room="red")],
                blocking.peer(a.id) is a,
                [presence.user for presence in blocking.presence("/games/1")],
                blocking.disconnect(a, 4000, "bye"),
                blocking.disconnect_user("b"),
            ]

        assert await anyio.to_thread.run_sync(in_a_thread) == [
            *((1, 0, True), (1, 0, True), (1, 0, True), (2, 0, True)),
            *(["a", "b"], True, ["d"], None, None),
        ]
        assert await connections["a"].closed() == (4000, "bye")
        assert await connections["b"].closed() == (1008, "")
        assert [frame["event"] for frame in connections["b"].pending] == ["to", "all", "others"]


async def test_blocking_raises_in_its_thread_what_the_call_raises() -> None:
    async with client_of() as client:
        blocking = the_service(client).blocking
        with pytest.raises(UnknownNamespace):
            await anyio.to_thread.run_sync(blocking.broadcast, "/other", "news")


async def test_blocking_on_the_event_loops_own_thread_is_an_error() -> None:
    async with client_of() as client:
        service = the_service(client)
        for call in all_blocking_calls(service):
            with pytest.raises(RuntimeError, match="wait for itself"):
                call()


async def in_another_loop(call: Callable[..., Any], *args: Any) -> Any:
    """Awaits it in an event loop of asyncio, in a thread of its own."""

    def run() -> Any:
        async def use() -> Any:
            return await call(*args)

        return asyncio.run(use())

    return await anyio.to_thread.run_sync(run)


async def test_every_call_can_be_awaited_in_a_foreign_loop() -> None:
    async with client_of() as client, four(client) as connections:
        service = the_service(client)
        a = peer_of(client, "a")

        async def elsewhere() -> list[Any]:
            return [
                await service.emit(a, "emit"),
                await service.emit_to_user("a", "to"),
                await service.broadcast("/chat", "all"),
                await service.broadcast_others(a, "others"),
                len(await service.presence("/chat")),
                await a.send("sent"),
                await a.broadcast("spread"),
                await a.close(4000),
                await service.disconnect_user("b"),
                await service.disconnect("nobody"),
            ]

        assert await in_another_loop(elsewhere) == [
            *((1, 0, True), (1, 0, True), (3, 0, True), (2, 0, True)),
            *(3, True, (3, 0, True), None, None, None),
        ]
        assert await connections["a"].closed() == (4000, "")
        with pytest.raises(UnknownNamespace):
            await in_another_loop(service.broadcast, "/other", "news")
        await in_another_loop(service.drain, 1.0)
        assert await connections["c"].closed() == (1012, "service restart")


async def test_it_can_be_called_through_async_to_sync() -> None:
    async with client_of() as client, client.connect("/chat") as connection:
        broadcast = async_to_sync(the_service(client).broadcast)
        report = await anyio.to_thread.run_sync(broadcast, "/chat", "news", 1)
        assert report == (1, 0, True)
        assert await connection.receive("news") == 1


async def test_plain_functions_run_where_run_sync_says() -> None:
    ran: list[str] = []

    async def run_sync(call: Callable[[], Any]) -> Any:
        ran.append(threading.current_thread().name)
        return await anyio.to_thread.run_sync(call)

    @namespace("/")
    class Plain:
        @message("who")
        @emit("am")
        def who(self) -> str:
            return "me"

    async with (
        GatewayTestClient(Plain(), run_sync=run_sync) as client,
        client.connect("/") as connection,
    ):
        assert await connection.request("who") == "me"
    assert len(ran) == 1


# Counters and observers.


class Recorder(Observer):
    def __init__(self) -> None:
        self.log: list[Any] = []

    def refused(self, namespace: str, reason: str) -> None:
        self.log.append(("refused", namespace, reason))

    def connected(self, peer: Peer[Any]) -> None:
        self.log.append(("connected", peer.user, peer.connected))

    def disconnected(self, peer: Peer[Any], code: int) -> None:
        self.log.append(("disconnected", peer.user, code))

    def handled(self, peer: Peer[Any], event: str | None, seconds: float) -> None:
        assert seconds >= 0
        self.log.append(("handled", peer.user, event))

    def failed(self, peer: Peer[Any], event: str | None, code: str) -> None:
        self.log.append(("failed", event, code))

    def sent(self, namespace: str, event: str, queued: int, dropped: int) -> None:
        self.log.append(("sent", namespace, event, queued, dropped))

    def received(self, peer: Peer[Any]) -> None:
        self.log.append(("received", peer.user))

    def dropped(self, peer: Peer[Any], reason: str, count: int) -> None:
        self.log.append(("dropped", peer.user, reason, count))

    def ignored(self, reason: str) -> None:
        self.log.append(("ignored", reason))


async def exercise(client: GatewayTestClient) -> None:
    with pytest.raises(ConnectionDenied):
        async with client.connect("/chat", headers={"origin": "https://evil.example"}):
            pass
    async with client.connect("/chat?user=a") as a:
        await a.request("ping")
        await a.send("made up")
        await a.receive_frame()
        await a.send("fail")
        await a.receive_frame()
        await a.send_text("not json")
        await a.receive_frame()
        await a.send_text('{"event": "ack", "id": "s:9"}')
        await client.settle()
        await the_service(client).broadcast("/chat", "news")
        await a.close(4321)


async def test_stats_count_what_happens() -> None:
    async with client_of() as client:
        await exercise(client)
        stats = the_service(client).stats()
    assert stats.accepted == 1
    assert stats.connections == 0
    assert stats.refused == {"origin": 1}
    assert stats.received == 5
    assert stats.handled == 1
    assert stats.failed == {"unknown_event": 1, "handler_failed": 1, "invalid_json": 1}
    assert stats.queued == 5
    assert stats.closed == {4321: 1}
    assert stats.dropped == {}
    assert stats.stale_answers == 1
    assert stats.server_faults == 0


async def test_observers_are_told_what_happens() -> None:
    first, second = Recorder(), Recorder()
    async with client_of(observers=[first, second]) as client:
        await exercise(client)
    assert (
        first.log
        == second.log
        == [
            ("refused", "/chat", "origin"),
            ("connected", "a", True),
            ("received", "a"),
            ("sent", "/chat", "pong", 1, 0),
            ("handled", "a", "ping"),
            ("received", "a"),
            ("failed", None, "unknown_event"),
            ("sent", "/chat", "error", 1, 0),
            ("received", "a"),
            ("failed", "fail", "handler_failed"),
            ("sent", "/chat", "error", 1, 0),
            ("received", "a"),
            ("failed", None, "invalid_json"),
            ("sent", "/chat", "error", 1, 0),
            ("received", "a"),
            ("ignored", "stale_answer"),
            ("sent", "/chat", "news", 1, 0),
            ("disconnected", "a", 4321),
        ]
    )


class Broken:
    """Every method of it raises, and there are none."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a broken observer")


async def test_an_observer_that_raises_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "asgi_ws_gateway.runtime.telemetry")
    fine = Recorder()
    async with client_of(observers=[Broken(), fine]) as client:
        await exercise(client)
    assert len(fine.log) == 18
    assert "An observer failed: Broken" in caplog.text


async def test_an_observer_may_override_what_it_likes() -> None:
    class Nothing(Observer):
        pass

    async with client_of(observers=[Nothing()]) as client:
        await exercise(client)
    assert the_service(client).stats().accepted == 1


async def test_a_lifespan_that_fails_while_the_service_runs_is_bad_health(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = anyio.Event()

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            yield

    async def fail() -> None:
        await broken.wait()
        raise RuntimeError("the game loop")

    service = WebSocketService(lifespan=lifespan)
    async with service:
        assert service.health() == ("ok", None, None)
        broken.set()
        with anyio.fail_after(5):
            while service.health().status == "ok":
                await anyio.lowlevel.checkpoint()
        assert service.health().reason == "the lifespan has failed"
        assert service.health().since is not None
    assert "the game loop" in caplog.text


async def test_a_lifespan_knows_no_context_of_who_came_first() -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        seen.append(user.get())
        yield
        seen.append(user.get())

    user.set("the first")
    async with WebSocketService(lifespan=lifespan):
        pass
    assert seen == ["nobody", "nobody"]


async def test_what_cannot_be_encoded_is_an_error_for_nobody_too() -> None:
    async with WebSocketService() as service:
        with pytest.raises(EncodeError):
            await service.emit("nobody", "event", object())
        with pytest.raises(EncodeError):
            await service.emit_to_user("nobody", "event", float("nan"))
        assert await service.emit("nobody", "event", 1) == (0, 0, True)
