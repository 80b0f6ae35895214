"""Faults of the source design that may not come back: routing, handlers, sending, the service.

Each test fails as soon as the fault it is named after is there again.
"""

import itertools
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio import to_thread

from asgi_ws_gateway import (
    ConfigurationError,
    GatewayMiddleware,
    Issue,
    MessageRejected,
    Peer,
    ValidationFailed,
    WebSocketService,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
    on_connect,
    on_disconnect,
)
from asgi_ws_gateway.testing import ClientConnection, GatewayTestClient, RequestFailed


def service_of(*gateways: object) -> WebSocketService:
    service = WebSocketService()
    service.register(*gateways)
    return service


async def refused(connection: ClientConnection, event: str, data: Any = None) -> RequestFailed:
    with pytest.raises(RequestFailed) as failed:
        await connection.request(event, data)
    return failed.value


# Events are looked up as exact strings, never as attributes.


@namespace("/shop")
class Shop:
    def __init__(self) -> None:
        self.orders: list[Any] = []

    @message("order")
    async def on_order(self, data: Any) -> None:
        self.orders.append(data)

    def refund_everybody(self, data: Any) -> None:
        self.orders.clear()


@pytest.mark.parametrize(
    "event",
    [
        "constructor",
        "toString",
        "hasOwnProperty",
        "prototype",
        "__proto__",
        "__class__",
        "__init__",
        "__dict__",
        "keys",
        "get",
        "pop",
        "orders",
        "on_order",
        "refund_everybody",
        "Order",
        "order ",
        "order\x00",
        "None",
    ],
)
async def test_an_event_named_like_an_attribute_has_no_handler(event: str) -> None:
    shop = Shop()
    async with GatewayTestClient(shop) as client, client.connect("/shop") as alice:
        await alice.request("order", 1)
        failed = await refused(alice, event, {"data": 2})
        assert failed.code == "unknown_event"
        assert shop.orders == [1]


@pytest.mark.parametrize("event", ['["order"]', '{"order": 1}', "1", "true", "null", '""'])
async def test_an_event_that_is_no_name_matches_no_handler(event: str) -> None:
    shop = Shop()
    async with GatewayTestClient(shop) as client, client.connect("/shop") as alice:
        await alice.send_text(f'{{"event": {event}, "data": 1, "id": "c1"}}')
        frame = await alice.receive_frame()
        assert (frame["event"], frame["data"]["code"]) == ("error", "invalid_message")
        assert shop.orders == []


# A namespace exists by its decorator alone.


async def test_a_push_only_namespace_is_served() -> None:
    @namespace("/ticker")
    class Ticker:
        pass

    service = service_of(Ticker())
    async with GatewayTestClient(service) as client, client.connect("/ticker") as alice:
        report = await service.broadcast("/ticker", "price", 7)
        assert report.queued == 1
        assert await alice.receive("price") == 7
        assert (await refused(alice, "anything")).code == "unknown_event"


# Slashes at either end mean nothing, and a path may have parameters.


@pytest.mark.parametrize("declared", ["chat", "/chat", "chat/", "/chat/"])
@pytest.mark.parametrize("requested", ["/chat", "/chat/"])
async def test_leading_and_trailing_slashes_make_no_difference(
    declared: str, requested: str
) -> None:
    @namespace(declared)
    class Chat:
        @message("where")
        @emit("here")
        async def where(self, peer: Peer) -> str:
            return peer.namespace

    service = service_of(Chat())
    async with GatewayTestClient(service) as client, client.connect(requested) as alice:
        assert await alice.request("where") == "/chat"
        for spelling in ("chat", "/chat", "/chat/"):
            assert (await service.broadcast(spelling, "news")).queued == 1


async def test_the_root_is_a_path() -> None:
    @namespace("/")
    class Root:
        pass

    service = service_of(Root())
    async with GatewayTestClient(service) as client, client.connect("/"):
        assert len(service.peers("/")) == 1


async def test_a_path_may_have_parameters() -> None:
    @namespace("/rooms/{room}/seats/{seat}")
    class Seats:
        @message("where")
        @emit("here")
        async def where(self, peer: Peer) -> dict[str, str]:
            return peer.path_params

    service = service_of(Seats())
    async with (
        GatewayTestClient(service) as client,
        client.connect("/rooms/red/seats/1") as one,
        client.connect("/rooms/red/seats/2") as two,
    ):
        assert await one.request("where") == {"room": "red", "seat": "1"}
        assert await two.request("where") == {"room": "red", "seat": "2"}
        await service.broadcast("/rooms/red/seats/2", "taken")
        assert await two.receive("taken") is None
        await client.settle()
        assert one.pending == []


# The handler gets what the validator returns.


class Trimmed:
    """A validator with defaults, a conversion and a stripped key."""

    schema = True

    def validate(self, data: Any) -> Any:
        if not isinstance(data, dict) or "count" not in data:
            raise ValidationFailed([Issue("/count", "is required", "required")])
        return {"count": int(data["count"]), "unit": data.get("unit", "piece")}


@namespace("/orders")
class Orders:
    @message("order", schema=Trimmed())
    @broadcast("ordered", room=lambda data, peer: data["unit"])
    @emit("accepted")
    async def order(self, data: Any, peer: Peer) -> Any:
        peer.join(data["unit"])
        return data


async def test_the_handler_gets_the_validated_value() -> None:
    async with GatewayTestClient(Orders()) as client, client.connect("/orders") as alice:
        answer = await alice.request("order", {"count": "3", "is_admin": True})
        assert answer == {"count": 3, "unit": "piece"}
        # `room=` is decided by the validated value as well: the default unit names the room.
        assert await alice.receive("ordered") == {"count": 3, "unit": "piece"}


async def test_what_the_validator_refuses_never_reaches_the_handler() -> None:
    async with GatewayTestClient(Orders()) as client, client.connect("/orders") as alice:
        failed = await refused(alice, "order", {"unit": "box"})
        assert failed.issues == (Issue("/count", "is required", "required"),)


# One message of a peer after the other, peers beside each other.


@namespace("/queue")
class Queue:
    def __init__(self) -> None:
        self.steps: list[str] = []
        self.started = anyio.Event()
        self.release = anyio.Event()

    @message("slow")
    @emit("done")
    async def slow(self) -> str:
        self.steps.append("slow begins")
        self.started.set()
        await self.release.wait()
        self.steps.append("slow ends")
        return "slow"

    @message("quick")
    @emit("done")
    async def quick(self, data: Any) -> str:
        self.steps.append(f"quick {data}")
        return f"quick {data}"


async def test_messages_of_one_peer_are_handled_and_answered_one_after_the_other() -> None:
    queue = Queue()
    async with (
        GatewayTestClient(queue) as client,
        client.connect("/queue") as alice,
        client.connect("/queue") as bob,
    ):
        await alice.send("slow")
        await alice.send("quick", "alice 1")
        await alice.send("quick", "alice 2")
        await queue.started.wait()
        # Another peer is served meanwhile, so that the event loop has had many turns.
        for number in range(20):
            assert await bob.request("quick", f"bob {number}") == f"quick bob {number}"
        assert [step for step in queue.steps if "bob" not in step] == ["slow begins"]
        assert alice.pending == []

        queue.release.set()
        answers = [await alice.receive("done") for _ in range(3)]
        assert answers == ["slow", "quick alice 1", "quick alice 2"]
        assert [step for step in queue.steps if "bob" not in step] == [
            "slow begins",
            "slow ends",
            "quick alice 1",
            "quick alice 2",
        ]


# Decorators in any order.

DECORATORS: dict[str, Callable[[Any], Any]] = {
    "message": message("say", schema={"type": "string"}),
    "emit": emit("said"),
    "broadcast_others": broadcast_others("heard"),
}


@pytest.mark.parametrize("order", list(itertools.permutations(DECORATORS)), ids="-".join)
async def test_the_order_of_decorators_does_not_decide_what_is_sent(
    order: tuple[str, ...],
) -> None:
    async def say(self: Any, data: Any) -> Any:
        return data

    for name in order:
        assert DECORATORS[name](say) is say
    chat = namespace("/chat")(type("Chat", (), {"say": say}))

    async with (
        GatewayTestClient(chat()) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        assert (await refused(alice, "say", 1)).code == "validation_failed"
        await alice.send("say", "hi")
        assert await alice.receive("said") == "hi"
        assert await bob.receive("heard") == "hi"
        await client.settle()
        assert (alice.pending, bob.pending) == ([], [])


async def test_emitters_fire_nearest_to_the_function_first() -> None:
    @namespace("/chat")
    class Chat:
        @broadcast("third")
        @message("say")
        @emit("second")
        @broadcast("first")
        async def say(self) -> None: ...

    async with GatewayTestClient(Chat()) as client, client.connect("/chat") as alice:
        await alice.send("say")
        events = [(await alice.receive_frame())["event"] for _ in range(3)]
        assert events == ["first", "second", "third"]


# All of a result is sent, or nothing of it.


def broken_room(data: Any, peer: Peer) -> str:
    raise RuntimeError("no such room")


def closed_room(data: Any, peer: Peer) -> str:
    raise MessageRejected("closed", "The room is closed")


@namespace("/news")
class News:
    @message("unencodable")
    @broadcast("second", schema=True)
    @emit("first")
    async def unencodable(self) -> Any:
        return object()

    @message("mismatch")
    @broadcast("second", schema={"type": "string"})
    @emit("first")
    async def mismatch(self) -> int:
        return 1

    @message("broken")
    @broadcast("second", room=broken_room)
    @broadcast("first")
    async def broken(self) -> int:
        return 1

    @message("closed")
    @broadcast("second", room=closed_room)
    @broadcast_others("first")
    @emit("zeroth")
    async def closed(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ("unencodable", "handler_failed"),
        ("mismatch", "handler_failed"),
        ("broken", "handler_failed"),
        ("closed", "closed"),
    ],
)
async def test_when_a_later_emitter_fails_nothing_was_sent_by_an_earlier_one(
    event: str, code: str
) -> None:
    async with (
        GatewayTestClient(News()) as client,
        client.connect("/news") as alice,
        client.connect("/news") as bob,
    ):
        await alice.send(event)
        assert (await alice.receive("error"))["code"] == code
        await client.settle()
        assert (alice.pending, bob.pending) == ([], [])
        assert (await refused(alice, event)).code == code
        await client.settle()
        assert (alice.pending, bob.pending) == ([], [])


# One bad receiver is nobody else's problem.


@namespace("/room")
class Room:
    def __init__(self) -> None:
        self.left: list[tuple[str, int]] = []

    @on_connect
    async def enter(self, peer: Peer) -> None:
        peer.state["name"] = peer.params["name"]
        peer.join("all")

    @message("say")
    @broadcast("said", room="all")
    async def say(self, data: Any) -> Any:
        return data

    @on_disconnect
    async def leave(self, peer: Peer, code: int, reason: str) -> None:
        self.left.append((peer.state["name"], code))


@pytest.mark.parametrize("error", [OSError("connection lost"), RuntimeError("after close")])
async def test_a_peer_whose_send_raises_does_not_stop_a_broadcast(error: Exception) -> None:
    room = Room()
    service = service_of(room)
    async with (
        GatewayTestClient(service) as client,
        client.connect("/room?name=alice") as alice,
        client.connect("/room?name=broken") as broken,
        client.connect("/room?name=carol") as carol,
    ):
        broken.fail_sends(error)
        await alice.send("say", "one")
        assert await alice.receive("said") == "one"
        assert await carol.receive("said") == "one"

        await service.broadcast("/room", "said", "two")
        assert await alice.receive("said") == "two"
        assert await carol.receive("said") == "two"

        await client.settle()
        assert [peer.state["name"] for peer in service.peers("/room")] == ["alice", "carol"]
        assert (await service.broadcast("/room", "said", "three")).queued == 2
    assert room.left[0][0] == "broken"
    assert sorted(name for name, _ in room.left) == ["alice", "broken", "carol"]


async def test_a_peer_that_does_not_read_does_not_hold_up_a_broadcast() -> None:
    service = service_of(Room())
    async with (
        GatewayTestClient(service) as client,
        client.connect("/room?name=slow") as slow,
        client.connect("/room?name=bob") as bob,
    ):
        slow.pause()
        for number in range(10):
            await bob.send("say", number)
            assert await bob.receive("said") == number
        slow.resume()
        assert [await slow.receive("said") for _ in range(10)] == list(range(10))


# Nothing leaks between classes.


@namespace("/base")
class Base:
    @message("shared")
    @emit("answer")
    async def shared(self) -> str:
        return "base"


@namespace("/left")
class Left(Base):
    @message("left-only")
    async def left_only(self) -> None: ...


@namespace("/right")
class Right(Base):
    @message("right-only")
    async def right_only(self) -> None: ...

    @message("shared")
    @emit("answer")
    async def shared(self) -> str:
        return "right"


class Heir(Left):
    @message("heir-only")
    async def heir_only(self) -> None: ...


async def test_a_subclass_changes_neither_its_parent_nor_its_siblings() -> None:
    async with (
        GatewayTestClient(Left(), Right(), Base()) as client,
        client.connect("/base") as base,
        client.connect("/left") as left,
        client.connect("/right") as right,
    ):
        assert await base.request("shared") == "base"
        assert await left.request("shared") == "base"
        assert await right.request("shared") == "right"
        assert await left.request("left-only") is None
        assert await right.request("right-only") is None
        for connection, events in (
            (base, ("left-only", "right-only", "heir-only")),
            (left, ("right-only", "heir-only")),
            (right, ("left-only", "heir-only")),
        ):
            for event in events:
                assert (await refused(connection, event)).code == "unknown_event"


async def test_a_subclass_inherits_its_parents_namespace_and_handlers() -> None:
    async with GatewayTestClient(Heir()) as client, client.connect("/left") as alice:
        assert await alice.request("shared") == "base"
        assert await alice.request("left-only") is None
        assert await alice.request("heir-only") is None


def test_an_override_that_lost_its_decorator_is_refused() -> None:
    @namespace("/forgetful")
    class Forgetful(Base):
        async def shared(self) -> str:
            return "never called"

    with pytest.raises(ConfigurationError, match=r"Forgetful\.shared: .*lost its decorator"):
        WebSocketService().register(Forgetful())


# Sending needs no peer at hand.


async def test_the_service_sends_without_a_peer_at_hand() -> None:
    service = service_of(Room(), Shop())
    async with GatewayTestClient(service) as client:
        assert (await service.broadcast("/room", "news", 0)).queued == 0
        async with (
            client.connect("/room?name=alice") as alice,
            client.connect("/shop") as shopper,
        ):
            assert (await service.broadcast("/room", "news", 1)).queued == 1
            await to_thread.run_sync(lambda: service.blocking.broadcast("/room", "news", 2))
            async with anyio.create_task_group() as group:
                group.start_soon(service.broadcast, "/room", "news", 3)
            assert [await alice.receive("news") for _ in range(3)] == [1, 2, 3]
            assert shopper.pending == []


async def test_an_http_route_of_the_wrapped_application_sends() -> None:
    service = service_of(Room())

    async def route(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await service.broadcast("/room", "news", scope["path"])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        statuses.append(event.get("status"))

    statuses: list[int | None] = []
    application = GatewayMiddleware(route, service)
    async with (
        GatewayTestClient(application) as client,
        client.connect("/room?name=alice") as alice,
    ):
        await application({"type": "http", "method": "POST", "path": "/publish"}, receive, send)
        assert await alice.receive("news") == "/publish"
    assert statuses == [204, None]
