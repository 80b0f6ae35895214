"""Faults of the source design that may not come back: who is let in, and how connections end."""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import pytest

import asgi_ws_gateway
from asgi_ws_gateway import (
    Accept,
    ConfigurationError,
    GatewayMiddleware,
    Peer,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.runtime.hub import Hub
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient

# No spelling of a guarded path goes around its hook.


class Guarded:
    def __init__(self) -> None:
        self.asked = 0
        self.entered = 0

    @on_connection_attempt
    async def check(self, params: dict[str, str]) -> bool:
        self.asked += 1
        return params.get("token") == "t"

    @on_connect
    async def enter(self) -> None:
        self.entered += 1


@namespace("/Private-Chat")
class Fixed(Guarded):
    pass


@namespace("/rooms/{room}/Private-Chat")
class Patterned(Guarded):
    pass


SPELLINGS: list[Callable[[str], str]] = [
    lambda path: path,
    str.lower,
    str.upper,
    str.swapcase,
    lambda path: path + "/",
    lambda path: path + "//",
    lambda path: "/" + path,
    lambda path: path[1:],
    lambda path: path.replace("/", "//"),
    lambda path: path.replace("/", "/./"),
    lambda path: "/x/.." + path,
    lambda path: path + "/.",
    lambda path: path + "/x/..",
    lambda path: path.replace("-", "%2d"),
    lambda path: path.replace("-", "%252D"),
    lambda path: path.replace("/P", "%2fP"),
    lambda path: path.replace("/", "\\"),
    lambda path: path + "%00",
    lambda path: path + "\x00",
    lambda path: path + ";v=1",
    lambda path: path + " ",
    lambda path: path + "?",
    lambda path: path.replace("i", "ı"),
    lambda path: path.replace("P", "\uff30"),
]


@pytest.mark.parametrize("root", ["", "/", "/app", "/App/", "/Private-Chat", "/rooms"])
@pytest.mark.parametrize("below_root", [False, True])
@pytest.mark.parametrize("gateway_class", [Fixed, Patterned])
async def test_no_spelling_of_a_guarded_path_reaches_its_namespace_without_its_hook(
    gateway_class: type[Guarded], below_root: bool, root: str
) -> None:
    original = "/Private-Chat" if gateway_class is Fixed else "/rooms/red/Private-Chat"
    gateway = gateway_class()
    service = WebSocketService()
    service.register(gateway)
    async with GatewayTestClient(service) as client:
        for spell in SPELLINGS:
            path = (root if below_root else "") + spell(original)
            where = {"path": path, "raw_path": path.encode(), "root_path": root}
            with pytest.raises(ConnectionDenied):
                async with client.connect("/", scope=where):
                    pass
        assert gateway.entered == 0

        # With the token, whatever gets in was asked for it.
        for spell in SPELLINGS:
            path = (root if below_root else "") + spell(original)
            where = {"path": path, "raw_path": path.encode(), "root_path": root}
            asked, entered = gateway.asked, gateway.entered
            try:
                async with client.connect("/?token=t", scope=where):
                    pass
            except ConnectionDenied:
                assert (gateway.asked, gateway.entered) == (asked, entered)
            else:
                assert (gateway.asked, gateway.entered) == (asked + 1, entered + 1)


async def test_a_path_in_another_case_is_another_path() -> None:
    gateway = Fixed()
    async with GatewayTestClient(gateway) as client:
        for path in ("/private-chat", "/PRIVATE-CHAT", "/private-Chat"):
            with pytest.raises(ConnectionDenied):
                async with client.connect(f"{path}?token=t"):
                    pass
        async with client.connect("/Private-Chat?token=t"):
            pass
    assert gateway.asked == 1


async def test_a_path_that_is_not_ours_goes_to_the_wrapped_application_untouched() -> None:
    seen = []

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            seen.append(scope["path"])
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    gateway = Fixed()
    async with GatewayTestClient(GatewayMiddleware(wrapped, gateways=[gateway])) as client:
        with pytest.raises(ConnectionDenied):
            async with client.connect("/private-chat"):
                pass
    assert seen == ["/private-chat"]
    assert gateway.asked == 0


# Only an explicit yes.


class Truthy:
    def __bool__(self) -> bool:
        return True


@pytest.mark.parametrize(
    "answer",
    [
        None,
        0,
        1,
        1.0,
        "",
        "yes",
        b"yes",
        [],
        [True],
        {},
        {"user": "alice"},
        (),
        object(),
        Truthy(),
        Accept,
        Exception("returned, not raised"),
    ],
    ids=lambda answer: f"{type(answer).__name__} {bool(answer)}",
)
async def test_an_answer_of_the_hook_that_is_not_an_explicit_yes_is_a_no(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @namespace("/private")
    class Unclear:
        @on_connection_attempt
        async def check(self) -> Any:
            return answer

    async with GatewayTestClient(Unclear()) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect("/private"):
                pass
    assert (refused.value.status, refused.value.body) == (403, "Forbidden")
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "Unclear.check" in record.getMessage()


async def test_false_is_a_no_without_a_complaint(caplog: pytest.LogCaptureFixture) -> None:
    async with GatewayTestClient(Fixed()) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect("/Private-Chat"):
                pass
    assert (refused.value.status, refused.value.body) == (403, "Forbidden")
    assert caplog.records == []


@pytest.mark.parametrize("answer", [True, Accept()])
async def test_an_explicit_yes_is_a_yes(answer: Any) -> None:
    @namespace("/private")
    class Clear:
        @on_connection_attempt
        async def check(self) -> Any:
            return answer

    service = WebSocketService()
    service.register(Clear())
    async with GatewayTestClient(service) as client, client.connect("/private"):
        assert len(service.peers("/private")) == 1


# A second hook never replaces the first.


@namespace("chat/")
class Unguarded:
    """On the same path as `Chat`, in another spelling."""


@namespace("/chat")
class Chat:
    @on_connection_attempt
    async def check(self) -> bool:
        return False


@namespace("/{user}/inbox")
class Inbox:
    @on_connection_attempt
    async def check(self) -> bool:
        return False


@namespace("/{name}/inbox/")
class OtherInbox:
    """On the same paths as `Inbox`."""


@pytest.mark.parametrize(
    ("first", "second", "url"),
    [(Chat, Unguarded, "/chat"), (Inbox, OtherInbox, "/ada/inbox")],
)
async def test_a_second_gateway_on_a_path_is_refused_and_the_first_keeps_its_hook(
    first: type, second: type, url: str
) -> None:
    both = rf"{second.__name__}: .*served by {first.__name__} already"
    with pytest.raises(ConfigurationError, match=both):
        WebSocketService().register(first(), second())

    service = WebSocketService()
    service.register(first())
    with pytest.raises(ConfigurationError, match=both):
        service.register(second())
    async with GatewayTestClient(service) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect(url):
                pass
        assert refused.value.status == 403


def test_a_second_hook_in_a_class_is_refused() -> None:
    @namespace("/chat")
    class Two:
        @on_connection_attempt
        async def check(self) -> bool:
            return False

        @on_connection_attempt
        async def wave_through(self) -> bool:
            return True

    with pytest.raises(ConfigurationError, match=r"Two\.wave_through: a second @on_connection_"):
        WebSocketService().register(Two())


def test_a_second_hook_in_a_subclass_is_refused() -> None:
    class Lenient(Chat):
        @on_connection_attempt
        async def wave_through(self) -> bool:
            return True

    with pytest.raises(ConfigurationError, match=r"Lenient\.\w+: a second @on_connection_attempt"):
        WebSocketService().register(Lenient())


# The end of a connection is told, whatever ended it, and leaves nothing behind.


@namespace("/room")
class Room:
    def __init__(self) -> None:
        self.members: dict[str, str] = {}
        self.ends: list[tuple[str, int, str, frozenset[str]]] = []

    @on_connection_attempt
    async def check(self, params: dict[str, str]) -> Accept:
        return Accept(user=params["name"])

    @on_connect
    async def enter(self, peer: Peer) -> None:
        self.members[peer.id] = peer.params["name"]
        peer.join("red")

    @on_disconnect
    async def leave(self, peer: Peer, code: int, reason: str) -> None:
        self.ends.append((peer.params["name"], code, reason, peer.rooms))
        self.members.pop(peer.id, None)
        await peer.send("too late")

    @message("kick-me")
    async def kick(self, peer: Peer) -> None:
        await peer.close(4000, "as you wish")

    @message("fail")
    async def fail(self) -> None:
        raise RuntimeError


@pytest.mark.parametrize(
    ("way", "code", "reason"),
    [
        ("close", 1000, ""),
        ("close with code", 4321, "lunch"),
        ("drop", 1006, ""),
        ("close by server", 4000, "as you wish"),
        ("disconnect by service", 1008, "banned"),
        ("failed send", 1006, ""),
    ],
)
async def test_every_end_of_a_connection_is_told_once_with_its_cause(
    way: str, code: int, reason: str
) -> None:
    room = Room()
    service = WebSocketService()
    service.register(room)
    async with GatewayTestClient(service) as client:
        async with client.connect("/room?name=alice") as alice:
            await alice.send("fail")
            assert (await alice.receive("error"))["code"] == "handler_failed"
            if way == "close":
                await alice.close()
            elif way == "close with code":
                await alice.close(4321, "lunch")
            elif way == "drop":
                await alice.drop()
            elif way == "close by server":
                await alice.send("kick-me")
                assert await alice.closed() == (4000, "as you wish")
            elif way == "disconnect by service":
                await service.disconnect_user("alice", 1008, "banned")
                assert await alice.closed() == (1008, "banned")
            else:
                alice.fail_sends()
                await service.broadcast("/room", "news")
                await alice.drop()
        await client.settle()
        assert room.ends == [("alice", code, reason, frozenset({"red"}))]
        assert room.members == {}
        assert service.peers("/room") == []
        assert service.peers("/room", room="red") == []
        assert await service.presence("/room") == []
        assert (await service.emit_to_user("alice", "news")).queued == 0
        assert service.stats().connections == 0
    assert len(room.ends) == 1


async def test_the_end_of_the_service_is_the_end_of_every_connection() -> None:
    room = Room()
    service = WebSocketService()
    service.register(room)
    async with GatewayTestClient(service) as client, client.connect("/room?name=alice") as alice:
        await service.drain(0)
        assert await alice.closed() == (1012, "service restart")
    assert room.ends == [("alice", 1012, "service restart", frozenset({"red"}))]


# What the hook found out is known to every handler.


@namespace("/desk")
class Desk:
    role: ClassVar = {"role": "editor"}

    @on_connection_attempt
    async def check(self, params: dict[str, str]) -> Accept:
        return Accept(
            user=params["name"],
            state=self.role,
            presence={"colour": "red"},
            subprotocol="desk.v2",
            headers=[("x-session", "7")],
        )

    @on_connect
    async def enter(self, peer: Peer) -> None:
        peer.state["visits"] = peer.state.get("visits", 0) + 1

    @message("whoami")
    @emit("you-are")
    async def whoami(self, peer: Peer) -> list[Any]:
        return [peer.user, peer.state, peer.presence]


async def test_what_the_attempt_hook_attaches_reaches_every_handler() -> None:
    service = WebSocketService()
    service.register(Desk())
    async with (
        GatewayTestClient(service) as client,
        client.connect("/desk?name=ada", subprotocols=["desk.v1", "desk.v2"]) as ada,
        client.connect("/desk?name=bob", subprotocols=["desk.v2"]) as bob,
    ):
        assert (ada.subprotocol, ada.headers["x-session"]) == ("desk.v2", "7")
        state = {"role": "editor", "visits": 1}
        assert await ada.request("whoami") == ["ada", state, {"colour": "red"}]
        assert await bob.request("whoami") == ["bob", state, {"colour": "red"}]
        assert (await service.emit_to_user("ada", "hello")).queued == 1
        assert await ada.receive("hello") is None
        await client.settle()
        assert bob.pending == []


# A disconnect costs the same among few and among many.


class Member:
    """A member of a hub that notices whoever looks at it."""

    touched: list[str]

    def __init__(self, number: int) -> None:
        self._number = number
        self._facts = {
            "id": f"p{number}",
            "peer": _PeerFacts(),
            "joined": set(),
        }

    def __getattr__(self, name: str) -> Any:
        Member.touched.append(f"{self._number}.{name}")
        return self._facts[name]

    def __eq__(self, other: object) -> bool:
        Member.touched.append(f"{self._number} ==")
        return self is other

    def __hash__(self) -> int:
        Member.touched.append(f"{self._number} hash")
        return id(self)


class _PeerFacts:
    namespace = "/room"
    user = "everybody"


@contextmanager
def counted_steps(*folders: Path) -> Iterator[list[int]]:
    """Counts the byte codes that are executed in files below `folders`."""
    names = tuple(str(folder) for folder in folders)
    steps = [0]

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            steps[0] += 1
        return step

    def called(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(names):
            return None
        frame.f_trace = step  # Python 3.13 wants it before the next line
        frame.f_trace_opcodes = True
        return step

    before = sys.gettrace()
    # Python 3.12 looks once, in settrace, whether any frame wants its byte codes traced.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(called)
    try:
        yield steps
    finally:
        sys.settrace(before)


PACKAGE = Path(asgi_ws_gateway.__file__).parent


def cost_of_removing_one_of(count: int) -> tuple[int, set[str], int]:
    """Byte codes, members looked at, and bytes allocated."""
    Member.touched = []
    hub, members = Hub(), [Member(number) for number in range(count)]
    for member in members:
        hub.add(member)  # type: ignore[arg-type]
        hub.join(member, "red")  # type: ignore[arg-type]
    leaver = members[count // 2]
    Member.touched.clear()
    with counted_steps(PACKAGE) as steps:
        hub.remove(leaver)  # type: ignore[arg-type]
    touched = {entry.split()[0].split(".")[0] for entry in Member.touched}

    tracemalloc.start()
    try:
        hub.remove(members[count // 3])  # type: ignore[arg-type]
        _, allocated = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(hub) == count - 2
    return steps[0], touched, allocated


def test_removing_a_peer_looks_at_no_other_and_copies_nothing() -> None:
    few_steps, few_touched, _ = cost_of_removing_one_of(10)
    many_steps, many_touched, allocated = cost_of_removing_one_of(10_000)
    assert few_touched == {"5"}
    assert many_touched == {"5000"}
    assert many_steps == few_steps > 0
    assert allocated < 10_000  # a list of the members alone takes 80 000


@namespace("/crowd")
class Crowd:
    @on_connect
    async def enter(self, peer: Peer) -> None:
        peer.join("red")

    @on_disconnect
    async def leave(self, peer: Peer) -> None: ...


async def cost_of_a_drop_among(count: int) -> int:
    served = [PACKAGE / name for name in ("asgi", "protocol", "routing", "runtime", "service.py")]
    async with GatewayTestClient(Crowd()) as client, AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(client.connect("/crowd")) for _ in range(count)]
        await client.settle()
        with counted_steps(*served) as steps:
            await crowd[count // 2].drop()
        return steps[0]


async def test_a_disconnect_costs_the_same_among_few_and_among_many() -> None:
    few, many = await cost_of_a_drop_among(5), await cost_of_a_drop_among(300)
    assert 0 < many < few + 150, (few, many)
