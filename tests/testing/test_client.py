"""The in-process client: whole applications, without a socket, a thread or a sleep."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_ws_gateway import (
    Accept,
    ConnectionRejected,
    ConnectionRequest,
    GatewayMiddleware,
    JSONCodec,
    Limits,
    MessageRejected,
    Peer,
    WebSocketService,
    broadcast,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import (
    CloseInfo,
    ConnectionClosed,
    ConnectionDenied,
    FakePeer,
    GatewayTestClient,
    RequestFailed,
)

SEND = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}


@namespace("/chat")
class Chat:
    def __init__(self, tokens: dict[str, str] | None = None) -> None:
        self.tokens = {"t": "Alice"} if tokens is None else tokens
        self.go = anyio.Event()
        self.log: list[Any] = []

    @on_connection_attempt
    async def authenticate(self, params: dict[str, str], request: ConnectionRequest) -> Any:
        user = self.tokens.get(params.get("token", ""))
        if user is None:
            raise ConnectionRejected("unknown token", 401, headers=[("X-Why", "token")])
        return Accept(
            user=user,
            headers=[("X-Node", "n1")],
            subprotocol=next(iter(request.subprotocols), None),
        )

    @on_disconnect
    async def left(self, peer: Peer, code: int, reason: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.log.append((code, reason))

    @message("whisper")
    async def on_whisper(self, data: dict[str, Any], peer: Peer) -> None:
        await peer.send("whispered", data)

    @message("send", schema=SEND)
    @broadcast("new")
    @emit("sent")
    async def on_send(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return {"from": peer.user, "text": data["text"]}

    @message("ping")
    @emit("pong")
    async def on_ping(self) -> dict[str, Any]:
        return {}

    @message("bare")
    async def bare(self, data: Any) -> Any:
        return data

    @message("reject")
    async def reject(self) -> None:
        raise MessageRejected("full", "the room is full", data={"left": 0})

    @message("count")
    @emit("number")
    async def count(self, data: Any) -> AsyncIterator[int]:
        for number in range(data):
            yield number

    @message("wait")
    async def wait(self) -> str:
        await self.go.wait()
        self.log.append("waited")
        return "waited"

    @message("apart", concurrent=True)
    async def apart(self) -> None:
        await self.go.wait()
        self.log.append("apart")

    @message("confirm")
    async def confirm(self, data: Any, peer: Peer) -> Any:
        return await peer.ask("sure?", data)

    @message("bye")
    async def bye(self, data: Any, peer: Peer) -> None:
        await peer.close(4000, "bye")


@pytest.fixture
def gateway() -> Chat:
    return Chat()


@pytest.fixture
async def client(gateway: Chat) -> AsyncIterator[GatewayTestClient]:
    async with GatewayTestClient(gateway) as client:
        yield client


# As the API's page shows it.


async def test_the_example_of_the_documentation_works_as_it_stands(gateway: Chat) -> None:
    application = GatewayMiddleware(None, gateways=[gateway])

    peer = FakePeer(namespace="/chat", user="Ada")
    await gateway.on_whisper({"text": "x"}, peer)
    assert peer.sent == [("whispered", {"text": "x"})]

    async with GatewayTestClient(application) as client:
        async with client.connect(
            "/chat?token=t", headers={"origin": "http://testserver"}
        ) as alice:
            await alice.send("send", {"text": "hi"})
            assert await alice.receive("sent") == {"from": "Alice", "text": "hi"}
            assert await alice.request("ping") == {}
            await alice.send_text("not json")
            frame = await alice.receive_frame()
            assert frame == {"event": "new", "data": {"from": "Alice", "text": "hi"}}
            frame = await alice.receive_frame()
            assert frame["data"]["code"] == "invalid_json"
            await client.settle()
            assert alice.pending == []


# What can be tested.


async def test_it_takes_an_application_a_service_or_gateways() -> None:
    service = WebSocketService()
    service.register(Chat())
    for target in (GatewayMiddleware(None, gateways=[Chat()]), service, Chat()):
        async with GatewayTestClient(target) as client, client.connect("/chat?token=t") as alice:
            assert client.service is not None
            assert await alice.request("ping") == {}


async def test_several_gateways_may_have_the_options_of_a_service() -> None:
    @namespace("/other")
    class Other:
        pass

    limits = Limits(max_connections=1)
    async with (
        GatewayTestClient(Chat(), Other(), limits=limits) as client,
        client.connect("/other"),
    ):
        with pytest.raises(ConnectionDenied):
            async with client.connect("/chat?token=t"):
                pass


async def test_an_application_around_the_gateways_may_name_its_service(gateway: Chat) -> None:
    inner = GatewayMiddleware(None, gateways=[gateway])

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await inner(dict(scope), receive, send)

    async with (
        GatewayTestClient(outer, service=inner.service) as client,
        client.connect("/chat?token=t") as alice,
    ):
        assert client.service is inner.service
        await alice.send("ping")
        await client.settle()
        assert alice.take("pong") == {}


async def test_without_its_service_settle_waits_until_everything_is_received(
    gateway: Chat,
) -> None:
    inner = GatewayMiddleware(None, gateways=[gateway])

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    async with GatewayTestClient(outer) as client, client.connect("/chat?token=t") as alice:
        assert client.service is None
        await alice.send("ping")
        await client.settle()
        assert await alice.receive("pong") == {}


def test_what_cannot_be_tested_is_an_error() -> None:
    app = GatewayMiddleware(None)
    with pytest.raises(TypeError, match="one application"):
        GatewayTestClient(app, app)
    with pytest.raises(TypeError, match="one application"):
        GatewayTestClient(WebSocketService(), Chat())
    with pytest.raises(TypeError, match=r"\(codec, limits\)"):
        GatewayTestClient(app, limits=Limits(), codec=JSONCodec())
    with pytest.raises(TypeError, match="limits"):
        GatewayTestClient(WebSocketService(), limits=Limits())


async def test_it_has_to_be_entered_first(gateway: Chat) -> None:
    with pytest.raises(AssertionError, match="enter the client first"):
        async with GatewayTestClient(gateway).connect("/chat"):
            pass


# Lifespan.


async def test_an_application_that_does_not_speak_lifespan_is_fine() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("not here")
        await send({"type": "websocket.close"})

    async with GatewayTestClient(app) as client:
        with pytest.raises(ConnectionDenied) as caught:
            async with client.connect("/"):
                pass
        assert caught.value.status == 403


async def test_an_application_that_cannot_start_is_an_error_that_says_why() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="no database"):
        async with GatewayTestClient(app):
            pass


async def test_an_application_that_never_starts_is_a_timeout_that_says_so() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError, match=r"waited 0\.01 s for the application to start"):
        async with GatewayTestClient(app, timeout=0.01):
            pass


async def test_a_lifespan_that_raises_after_its_start_fails_the_test() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise KeyError("at its end")

    with pytest.raises(ExceptionGroup) as caught:
        async with GatewayTestClient(app):
            pass
    assert caught.group_contains(KeyError, match="at its end")


async def test_an_application_that_never_ends_is_a_timeout_that_says_so() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError, match=r"waited 0\.1 s for the application to shut down"):
        async with GatewayTestClient(app, timeout=0.1):
            pass


async def test_what_the_lifespan_puts_into_the_state_is_in_the_scope() -> None:
    states: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["db"] = "pool"
            return
        states.append(scope["state"])
        await send({"type": "websocket.accept"})

    async with GatewayTestClient(app) as client:
        for _ in range(2):
            async with client.connect("/"):
                pass
    assert states == [{"db": "pool"}] * 2
    assert states[0] is not states[1]


async def test_an_error_of_the_test_itself_stays_what_it_is(gateway: Chat) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with GatewayTestClient(gateway) as client, client.connect("/chat?token=t"):
            raise KeyError("mine")
    with pytest.raises(ConnectionDenied):
        async with GatewayTestClient(gateway) as client, client.connect("/chat"):
            pass


async def test_what_the_application_raises_fails_the_test() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            raise KeyError("the application's")

    with pytest.raises(ExceptionGroup) as caught:
        async with GatewayTestClient(app) as client, client.connect("/") as connection:
            await connection.receive("anything")
    assert caught.group_contains(KeyError, match="the application's")


async def test_what_a_server_would_choke_on_fails_the_test_even_if_it_was_caught() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            try:
                await send({"type": "websocket.send", "text": "\ud800"})
            except Exception:
                await send({"type": "websocket.close"})

    with pytest.raises(ExceptionGroup) as caught:
        async with GatewayTestClient(app) as client, client.connect("/") as connection:
            await connection.closed()
            await anyio.sleep_forever()
    assert caught.group_contains(AssertionError, match="lone surrogate")


async def test_an_application_that_gives_no_answer_is_found() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    async with GatewayTestClient(app) as client:
        with pytest.raises(AssertionError, match="returned without an answer"):
            async with client.connect("/"):
                pass


async def test_a_handshake_that_hangs_is_a_timeout_that_says_so() -> None:
    @namespace("/")
    class Hanging:
        @on_connection_attempt
        async def attempt(self) -> bool:
            await anyio.sleep_forever()
            return True

    async with GatewayTestClient(Hanging(), timeout=0.01) as client:
        with pytest.raises(TimeoutError, match=r"waited 0\.01 s for the answer to the handshake"):
            async with client.connect("/"):
                pass
        client.timeout = 5.0


# Connecting.


async def test_a_connection_knows_what_it_was_accepted_with(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t", subprotocols=["a", "b"]) as alice:
        assert alice.subprotocol == "a"
        assert alice.headers == {"x-node": "n1"}
    async with client.connect("/chat?token=t") as alice:
        assert alice.subprotocol is None


async def test_a_refusal_has_status_body_and_headers(client: GatewayTestClient) -> None:
    with pytest.raises(ConnectionDenied, match=r"^401: unknown token$") as caught:
        async with client.connect("/chat"):
            pass
    assert (caught.value.status, caught.value.body) == (401, "unknown token")
    assert caught.value.headers["x-why"] == "token"


async def test_a_server_may_be_unable_to_carry_a_status(client: GatewayTestClient) -> None:
    with pytest.raises(ConnectionDenied) as caught:
        async with client.connect("/chat", denials=False):
            pass
    assert (caught.value.status, caught.value.body, caught.value.headers) == (403, "", {})


async def test_the_scope_is_that_of_a_server_unless_you_say_otherwise() -> None:
    requests: list[ConnectionRequest] = []

    @namespace("/chat")
    class Seen:
        @on_connection_attempt
        async def attempt(self, params: dict[str, str], request: ConnectionRequest) -> bool:
            requests.append(request)
            return True

    async with GatewayTestClient(Seen()) as client:
        async with client.connect("/ch%61t/?a=%20&a=b", headers=[("X-A", "1"), ("X-A", "2")]):
            pass
        async with client.connect(
            "wss://example.org/api/chat",
            client=None,
            scope={"root_path": "/api", "user": "Ada", "headers": None},
        ):
            pass
        async with client.connect("/", scope={"path": "/chat", "root_path": None}):
            pass
    first, second, third = requests
    assert (first.path, first.namespace) == ("/chat/", "/chat")
    assert first.scope["raw_path"] == b"/ch%61t/"
    assert first.query.get_all("a") == [" ", "b"]
    assert first.headers.get_all("x-a") == ["1", "2"]
    assert (first.host, first.ip, first.scheme) == ("testserver", "testclient", "ws")
    assert (second.path, second.namespace, second.scheme) == ("/api/chat", "/chat", "wss")
    assert (second.ip, second.host, second.scope["user"]) == (None, None, "Ada")
    assert third.namespace == "/chat"


# Talking.


async def test_receive_wants_the_event_it_names(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send("ping")
        with pytest.raises(AssertionError, match="expected 'sent', but the next message is"):
            await alice.receive("sent")
        assert await alice.receive("pong") == {}  # it is still there


async def test_take_finds_an_event_wherever_it_stands(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send("send", {"text": "hi"})
        await alice.send("ping")
        await client.settle()
        assert [frame["event"] for frame in alice.pending] == ["sent", "new", "pong"]
        assert alice.take("pong") == {}
        with pytest.raises(AssertionError, match="no 'pong' is pending"):
            alice.take("pong")
        assert [frame["event"] for frame in alice.pending] == ["sent", "new"]


async def test_pending_is_a_copy(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send("ping")
        await client.settle()
        alice.pending.clear()
        assert await alice.receive("pong") == {}


async def test_request_returns_the_answer_and_leaves_the_rest(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        assert await alice.request("send", {"text": "hi"}) == {"from": "Alice", "text": "hi"}
        assert await alice.request("bare", [1]) == [1]
        assert await alice.request("count", 2, id=7) is None
        assert alice.pending == [
            {"event": "new", "data": {"from": "Alice", "text": "hi"}},
            {"event": "number", "data": 0, "id": 7, "more": True},
            {"event": "number", "data": 1, "id": 7, "more": True},
        ]


async def test_a_request_that_fails_says_how(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        with pytest.raises(RequestFailed, match=r"^full: the room is full$") as caught:
            await alice.request("reject")
        assert (caught.value.code, caught.value.message) == ("full", "the room is full")
        assert caught.value.issues == ()
        assert caught.value.data == {"left": 0}
        with pytest.raises(RequestFailed) as caught:
            await alice.request("send", {"text": ""})
        (issue,) = caught.value.issues
        assert (caught.value.code, issue.path, issue.rule) == (
            *("validation_failed", "/text", "minLength"),
        )


async def test_text_and_bytes_are_sent_as_they_are(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send_text('{"event":"ping","extra":1}')
        assert await alice.receive("pong") == {}
        await alice.send_bytes(b"\x00")
        assert (await alice.receive("error"))["code"] == "unsupported_frame"


async def test_a_question_is_answered_or_rejected(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send("confirm", "delete?", id="c1")
        question = await alice.receive_frame()
        assert (question["event"], question["data"]) == ("sure?", "delete?")
        await alice.answer(question, {"yes": True})
        assert await alice.receive_frame() == {"event": "ack", "data": {"yes": True}, "id": "c1"}
        await alice.send("confirm", "delete?")
        alice.reject(await alice.receive_frame(), "no", "never")  # nothing has to be awaited
        assert (await alice.receive("error"))["code"] == "handler_failed"


async def test_a_message_is_cancelled(client: GatewayTestClient, gateway: Chat) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send("wait", id="c1")
        await alice.cancel("c1")
        frame = await alice.receive_frame()
        assert (frame["data"]["code"], frame["id"]) == ("cancelled", "c1")
        alice.cancel("unknown")
        assert await alice.request("ping") == {}


@pytest.mark.parametrize(
    ("wait", "what"),
    [
        (lambda alice: alice.receive("pong"), "'pong'"),
        (lambda alice: alice.receive_frame(), "a message"),
        (lambda alice: alice.request("wait"), "the answer to 'wait'"),
        (lambda alice: alice.closed(), "the close"),
    ],
    ids=["receive", "receive_frame", "request", "closed"],
)
async def test_a_wait_that_is_in_vain_says_for_what(wait: Any, what: str, gateway: Chat) -> None:
    async with GatewayTestClient(gateway) as client, client.connect("/chat?token=t") as alice:
        await alice.request("send", {"text": "hi"})
        alice._timeout = 0.01
        if what in ("'pong'", "a message"):
            alice.take("new")
            pending = "[]"
        else:
            pending = "[{'event': 'new', 'data': {'from': 'Alice', 'text': 'hi'}}]"
        with pytest.raises(TimeoutError) as caught:
            await wait(alice)
        assert str(caught.value) == f"waited 0.01 s for {what}; pending: {pending}"
        alice._timeout = 5.0
        gateway.go.set()


async def test_a_codec_of_the_namespace_is_spoken() -> None:
    class Reversed(JSONCodec):
        binary = True  # type: ignore[misc]

        def encode(self, *args: Any, **options: Any) -> Any:
            return super().encode(*args, **options).encode()[::-1]

        def decode(self, payload: Any, max_depth: int | None) -> Any:
            return super().decode(payload[::-1].decode(), max_depth)

    async with (
        GatewayTestClient(Chat(), codec=Reversed()) as client,
        client.connect("/chat?token=t") as alice,
    ):
        assert await alice.request("bare", {"a": 1}) == {"a": 1}
        await alice.send_text("text")
        assert (await alice.receive("error"))["code"] == "unsupported_frame"


# Ending.


async def test_leaving_the_block_closes_with_1000(client: GatewayTestClient, gateway: Chat) -> None:
    async with client.connect("/chat?token=t"):
        pass
    assert gateway.log == [(1000, "")]


async def test_a_client_closes_with_what_it_likes(client: GatewayTestClient, gateway: Chat) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.close(4321, "later")
        assert gateway.log == [(4321, "later")]
        assert await alice.closed() == CloseInfo(4321, "later")


async def test_a_client_that_is_dropped_leaves_without_a_word(
    client: GatewayTestClient, gateway: Chat
) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.drop()
        assert gateway.log == [(1006, "")]
        assert await alice.closed() == CloseInfo(1006)
        alice.drop()


async def test_a_failing_block_ends_an_application_that_does_not_end() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(scope["path"])

    with pytest.raises(ValueError, match="of the test"):
        async with GatewayTestClient(app) as client, client.connect("/here"):
            raise ValueError("of the test")
    assert ended == ["/here"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_application_that_is_cancelled_by_itself_fails_the_test() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            raise asyncio.CancelledError

    with pytest.RaisesGroup(
        pytest.RaisesExc(AssertionError, match="cancelled, by itself"), allow_unwrapped=True
    ):
        async with GatewayTestClient(app) as client, client.connect("/"):
            pass


async def test_a_failing_block_drops_the_connection(
    client: GatewayTestClient, gateway: Chat
) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with client.connect("/chat?token=t"):
            raise KeyError("mine")
    await client.settle()
    assert gateway.log == [(1006, "")]


async def test_what_is_awaited_of_a_closed_connection_raises(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send("send", {"text": "hi"})
        await alice.send("bye")
        assert await alice.closed() == CloseInfo(4000, "bye")
        assert await alice.receive("sent")  # what had come before is still there
        assert (await alice.receive_frame())["event"] == "new"
        for call in (
            lambda: alice.receive("sent"),
            alice.receive_frame,
            lambda: alice.send("ping"),
            lambda: alice.send_text("x"),
            lambda: alice.request("ping"),
        ):
            with pytest.raises(ConnectionClosed, match=r"^4000: bye$") as caught:
                await call()
            assert (caught.value.code, caught.value.reason) == (4000, "bye")
    assert str(ConnectionClosed(1005, "")) == "1005"


async def test_a_request_whose_connection_ends_raises(client: GatewayTestClient) -> None:
    async with client.connect("/chat?token=t") as alice:
        with pytest.raises(ConnectionClosed):
            await alice.request("bye")


async def test_connections_that_are_left_open_end_before_the_application(gateway: Chat) -> None:
    async with GatewayTestClient(gateway) as client:
        left_open = client.connect("/chat?token=t")
        await left_open.__aenter__()
    assert gateway.log == [(1001, "")]
    await left_open.__aexit__(None, None, None)


# Faults.


async def test_a_client_that_does_not_read_holds_up_what_is_sent_to_it(
    client: GatewayTestClient,
) -> None:
    async with client.connect("/chat?token=t") as alice:
        alice.pause()
        await alice.send("ping")
        await alice.send("ping")
        await client.settle()
        assert alice.pending == []
        alice.resume()
        await client.settle()
        assert [frame["event"] for frame in alice.pending] == ["pong", "pong"]


async def test_settle_waits_for_those_who_read_whoever_does_not(
    client: GatewayTestClient,
) -> None:
    assert client.service is not None
    async with (
        client.connect("/chat?token=t") as slow,
        client.connect("/chat?token=t") as fast,
    ):
        slow.pause()
        for number in range(3):
            await client.service.broadcast("/chat", "news", number)
        await client.settle()
        assert [frame["data"] for frame in fast.pending] == [0, 1, 2]
        assert slow.pending == []
        slow.resume()
        await client.settle()
        assert [frame["data"] for frame in slow.pending] == [0, 1, 2]


@pytest.mark.parametrize("error", [None, RuntimeError("closed")])
async def test_sends_can_be_made_to_fail(
    client: GatewayTestClient, gateway: Chat, error: Exception | None
) -> None:
    async with client.connect("/chat?token=t") as alice:
        alice.fail_sends(error)
        await alice.send("ping")
        await client.settle()
        assert gateway.log == [(1006, "")]
        assert alice.pending == []


# Settling.


async def test_settle_waits_for_slow_handlers_of_every_kind(
    client: GatewayTestClient, gateway: Chat
) -> None:
    async with client.connect("/chat?token=t") as alice, client.connect("/chat?token=t") as bob:
        await alice.send("apart")
        await alice.send("apart")
        await alice.send("wait")
        await alice.send("ping")
        await bob.send("count", 300)
        async with anyio.create_task_group() as group:
            settled = anyio.Event()

            async def settle() -> None:
                await client.settle()
                settled.set()

            group.start_soon(settle)
            await anyio.wait_all_tasks_blocked()
            assert not settled.is_set()
            gateway.go.set()
        assert sorted(gateway.log) == ["apart", "apart", "waited"]
        assert [frame["event"] for frame in alice.pending] == ["pong"]
        assert len(bob.pending) == 300


async def test_settle_waits_for_disconnect_hooks(client: GatewayTestClient, gateway: Chat) -> None:
    async with client.connect("/chat?token=t") as alice, client.connect("/chat?token=t") as bob:
        alice.drop()
        await bob.send("bye")
        await client.settle()
        assert sorted(gateway.log) == [(1006, ""), (4000, "bye")]


async def test_settle_waits_for_connect_hooks() -> None:
    log: list[str] = []

    @namespace("/")
    class Slow:
        @on_connect
        async def entered(self, peer: Peer) -> None:
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            log.append("entered")

    async with GatewayTestClient(Slow()) as client, client.connect("/"):
        await client.settle()
        assert log == ["entered"]


async def test_settle_with_nothing_to_wait_for_returns(client: GatewayTestClient) -> None:
    await client.settle()
    async with client.connect("/chat?token=t"):
        await client.settle()
        await client.settle()
    await client.settle()


async def test_settle_in_vain_says_so(client: GatewayTestClient, gateway: Chat) -> None:
    async with client.connect("/chat?token=t") as alice:
        await alice.send("wait")
        client.timeout = 0.01
        with pytest.raises(TimeoutError, match="for handlers to end and outboxes to empty"):
            await client.settle()
        client.timeout = 5.0
        gateway.go.set()
