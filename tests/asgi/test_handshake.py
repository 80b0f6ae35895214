"""From a handshake to an accepted connection, or to a refusal: nothing in between, and no leak."""

import gc
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from asgi_ws_gateway import (
    Accept,
    ConnectionRejected,
    ConnectionRequest,
    GatewayMiddleware,
    Limits,
    Peer,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient
from asgi_ws_gateway.testing.scope import websocket_scope
from tests.asgi.server import LEFT, Server, refusal, serving, serving_scope, text

CANARY = "canary-7f3a"


def guarded(hook: Any, **options: Any) -> tuple[GatewayMiddleware, Any]:
    """An application whose attempt hook is `hook(params, request)`, and its gateway."""

    @namespace("/")
    class Guarded:
        def __init__(self) -> None:
            self.log: list[Any] = []
            self.peers: list[Peer] = []

        @on_connection_attempt
        async def attempt(self, params: dict[str, str], request: ConnectionRequest) -> Any:
            answer = hook(params, request)
            return await answer if hasattr(answer, "__await__") else answer

        @on_connect
        async def entered(self, peer: Peer) -> None:
            self.log.append("connect")
            self.peers.append(peer)

        @on_disconnect
        async def left(self, peer: Peer, code: int) -> None:
            self.log.append(code)

        @message("echo")
        @emit("echoed")
        async def echo(self, data: Any) -> Any:
            return data

    gateway = Guarded()
    return GatewayMiddleware(None, gateways=[gateway], **options), gateway


def raising(error: BaseException) -> Callable[..., Any]:
    def hook(params: dict[str, str], request: ConnectionRequest) -> Any:
        raise error

    return hook


def returning(answer: Any) -> Callable[..., Any]:
    return lambda params, request: answer


def status_and_body(sent: list[dict[str, Any]]) -> tuple[int, bytes]:
    start, body = sent
    assert start["type"] == "websocket.http.response.start"
    assert body == {"type": "websocket.http.response.body", "body": body["body"]}
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert dict(start["headers"])[b"content-type"] == b"text/plain; charset=utf-8"
    assert dict(start["headers"])[b"x-content-type-options"] == b"nosniff"
    return start["status"], body["body"]


def nobody_is_counted(app: GatewayMiddleware) -> bool:
    running = app.service.running
    admission = running.admission
    return (
        len(running.hub) == 0
        and admission._attempts == 0
        and admission._connections == 0
        and not admission._by_ip
        and app.service.stats().connections == 0
    )


# The outcomes.


async def test_true_lets_in_with_nothing_known() -> None:
    app, gateway = guarded(returning(True))
    async with serving(app) as server:
        assert await server.sends("websocket.accept") == {
            "type": "websocket.accept",
            "headers": [],
        }
        server.put(LEFT)
    (peer,) = gateway.peers
    assert (peer.user, peer.state, peer.presence) == (None, {}, None)
    assert gateway.log == ["connect", 1005]
    assert server.kinds == ["websocket.accept"]


async def test_accept_hands_on_everything_it_says() -> None:
    given = {"theme": "dark"}
    accept = Accept(
        user="Ada",
        state=given,
        presence={"mood": "fine"},
        subprotocol="b",
        headers=[("X-Node", "n1")],
    )
    app, gateway = guarded(returning(accept))
    async with serving(app, subprotocols=["a", "b"]) as server:
        assert await server.sends("websocket.accept") == {
            "type": "websocket.accept",
            "subprotocol": "b",
            "headers": [(b"x-node", b"n1")],
        }
        server.put(LEFT)
    (peer,) = gateway.peers
    assert (peer.user, peer.state, peer.presence) == ("Ada", given, {"mood": "fine"})
    assert peer.state is not given


async def test_a_state_that_is_no_mapping_is_kept_as_it_is() -> None:
    state = SimpleNamespace(theme="dark")
    app, gateway = guarded(returning(Accept(state=state)))
    async with serving(app) as server:
        server.put(LEFT)
    assert gateway.peers[0].state is state


async def test_false_is_a_403_without_a_complaint(caplog: pytest.LogCaptureFixture) -> None:
    app, gateway = guarded(returning(False))
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")
    assert gateway.log == []
    assert not caplog.records
    assert app.service.stats().refused == {"hook": 1}
    assert nobody_is_counted(app)


@pytest.mark.parametrize(
    "answer",
    [None, 0, 1, "", "yes", b"", (), {}, {"user": "Ada"}, object(), Accept, ...],
    ids=lambda answer: repr(answer)[:12],
)
async def test_anything_else_is_a_403_and_an_error_line(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, gateway = guarded(returning(answer))
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")
    assert gateway.log == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Guarded.attempt" in record.message
    assert type(answer).__name__ in record.message


async def test_a_coroutine_is_not_a_yes(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> bool:
        return True

    coroutine = check()

    async def forgets_to_await(params: dict[str, str], request: ConnectionRequest) -> Any:
        return coroutine

    app, _ = guarded(forgets_to_await)
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")
    assert "coroutine" in caplog.text
    coroutine.close()


async def test_no_hook_at_all_lets_in() -> None:
    @namespace("/")
    class Open:
        pass

    async with serving(GatewayMiddleware(None, gateways=[Open()])) as server:
        await server.sends("websocket.accept")
        server.put(LEFT)


async def test_a_rejection_has_its_status_body_and_headers() -> None:
    error = ConnectionRejected(
        "unknown token", status=401, headers=[("WWW-Authenticate", 'Bearer realm="x"')]
    )
    app, gateway = guarded(raising(error))
    sent = await refusal(app)
    assert status_and_body(sent) == (401, b"unknown token")
    assert (b"www-authenticate", b'Bearer realm="x"') in sent[0]["headers"]
    assert gateway.log == []
    assert nobody_is_counted(app)


async def test_no_header_of_a_rejection_comes_twice() -> None:
    given = [
        *(("Vary", "Origin"), ("vary", "Cookie"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")),
        ("Content-Length", "999"),
    ]
    app, _ = guarded(raising(ConnectionRejected("no", headers=given)))
    sent = await refusal(app)
    assert status_and_body(sent) == (403, b"no")
    headers = dict(sent[0]["headers"])
    assert len(headers) == len(sent[0]["headers"])
    assert (headers[b"vary"], headers[b"set-cookie"]) == (b"Origin, Cookie", b"b=2")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 599])
async def test_a_rejection_may_have_any_error_status(status: int) -> None:
    app, _ = guarded(raising(ConnectionRejected("no", status=status)))
    assert status_and_body(await refusal(app)) == (status, b"no")


async def test_a_rejection_with_a_close_code_accepts_and_closes_and_runs_no_hook() -> None:
    app, gateway = guarded(raising(ConnectionRejected("log in first", 401, close_code=4401)))
    assert await refusal(app, subprotocols=["a"]) == [
        {"type": "websocket.accept", "headers": []},
        {"type": "websocket.close", "code": 4401, "reason": "log in first"},
    ]
    assert gateway.log == []
    assert app.service.stats().accepted == 0
    assert nobody_is_counted(app)


async def test_a_close_reason_is_cut_at_a_character() -> None:
    app, _ = guarded(raising(ConnectionRejected("\N{EURO SIGN}" * 100, close_code=4000)))
    sent = await refusal(app)
    assert sent[1]["reason"] == "\N{EURO SIGN}" * 41


async def test_a_rejections_line_breaks_stay_in_the_body() -> None:
    reason = "no\r\nset-cookie: a=b\r\n\r\n<script>"
    app, _ = guarded(raising(ConnectionRejected(reason)))
    sent = await refusal(app)
    assert status_and_body(sent) == (403, reason.encode())
    assert all(b"\r" not in value and b"\n" not in value for _, value in sent[0]["headers"])


async def test_a_rejections_reason_is_sent_whatever_it_holds() -> None:
    app, _ = guarded(raising(ConnectionRejected("\ud800 no")))
    assert status_and_body(await refusal(app)) == (403, b"? no")


ILLEGAL_HEADERS: list[Any] = [
    [("x-a", "b\r\nset-cookie: c=d")],
    [("x-a", "b\nc")],
    [("x-a", "b\x00")],
    [("x-a", "\N{EURO SIGN}")],
    [("x-a\r\n", "b")],
    [("x a", "b")],
    [("", "b")],
    [(b"x-a", b"b")],
    [("x-a", 1)],
    [("x-a",)],
    ["x-a"],
]


@pytest.mark.parametrize("headers", ILLEGAL_HEADERS)
async def test_an_illegal_header_of_a_rejection_is_left_out(
    headers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = guarded(raising(ConnectionRejected("no", 401, headers=headers)))
    sent = await refusal(app)
    assert status_and_body(sent) == (401, b"no")
    assert len(sent[0]["headers"]) == 3
    assert "Guarded.attempt" in caplog.text


@pytest.mark.parametrize("headers", [*ILLEGAL_HEADERS, 5])
async def test_an_illegal_header_of_an_accept_is_a_403(
    headers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, gateway = guarded(returning(Accept(headers=headers)))
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")
    assert gateway.log == []
    assert caplog.records[0].levelno == logging.ERROR
    assert "Guarded.attempt" in caplog.text
    assert nobody_is_counted(app)


async def test_headers_may_be_any_iterable() -> None:
    headers = ((name, "1") for name in ("X-A", "X-B"))
    app, _ = guarded(returning(Accept(headers=headers)))
    async with serving(app) as server:
        accept = await server.sends("websocket.accept")
        assert accept["headers"] == [(b"x-a", b"1"), (b"x-b", b"1")]
        server.put(LEFT)


@pytest.mark.parametrize("offered", [[], ["a"], ["A", "bb", "a b"]])
async def test_a_subprotocol_that_was_not_offered_is_a_403(
    offered: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = guarded(returning(Accept(subprotocol="b")))
    assert status_and_body(await refusal(app, subprotocols=offered)) == (403, b"Forbidden")
    assert "Guarded.attempt" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __str__


class BrokenRejection(ConnectionRejected):
    def __init__(self) -> None:
        """It never calls the one of its base."""


class UnprintableReason:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        OSError(5, CANARY),
        TimeoutError(CANARY),
        Unprintable(),
        ExceptionGroup(CANARY, [ValueError(CANARY), ConnectionRejected(CANARY)]),
        StopAsyncIteration(CANARY),
        BrokenRejection(),
        ConnectionRejected(UnprintableReason()),  # type: ignore[arg-type]
    ],
    ids=lambda error: type(error).__name__,
)
async def test_any_other_exception_is_a_403_and_its_text_stays_here(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    app, gateway = guarded(raising(error))
    sent = await refusal(app)
    assert status_and_body(sent) == (403, b"Forbidden")
    assert CANARY not in repr(sent)
    assert gateway.log == []
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "Guarded.attempt" in record.message
    assert app.service.stats().refused == {"hook_failed": 1}
    assert nobody_is_counted(app)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_a_hook_makes_itself_is_a_403() -> None:
    async def hook(params: dict[str, str], request: ConnectionRequest) -> bool:
        import asyncio

        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    app, _ = guarded(hook)
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")


async def test_an_accept_that_is_mistaken_is_a_403(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = guarded(lambda params, request: Accept(user=5))  # type: ignore[arg-type]
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")
    assert "Accept(user=...)" in caplog.text


async def test_a_connection_that_cannot_be_made_is_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(dict[str, Any]):
        def keys(self) -> Any:
            raise RuntimeError(CANARY)

        __iter__ = keys

    app, _ = guarded(returning(Accept(state=Broken(a=1))))
    sent = await refusal(app)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 1011
    assert CANARY not in repr(sent)
    assert nobody_is_counted(app)


# Where the server cannot carry a status.


@pytest.mark.parametrize("extensions", [None, {}, {"websocket.other": {}}, "missing"])
@pytest.mark.parametrize(
    "hook",
    [returning(False), raising(ConnectionRejected("no", 401)), raising(ValueError(CANARY))],
    ids=["false", "rejected", "failed"],
)
async def test_without_the_denial_extension_a_refusal_is_a_close_before_the_accept(
    extensions: Any, hook: Any
) -> None:
    app, _ = guarded(hook)
    scope = websocket_scope("/")
    if extensions == "missing":
        del scope["extensions"]
    else:
        scope["extensions"] = extensions
    async with serving_scope(app, scope) as server:
        pass
    assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


# A hook that takes its time.


async def test_a_plain_def_hook_runs_in_a_thread() -> None:
    @namespace("/")
    class Threaded:
        threads: list[int] = []  # noqa: RUF012

        @on_connection_attempt
        def attempt(self, params: dict[str, str], request: ConnectionRequest) -> bool:
            self.threads.append(threading.get_ident())
            return params["token"] == "t"

    app = GatewayMiddleware(None, gateways=[Threaded()])
    async with serving(app, "/?token=t") as server:
        await server.sends("websocket.accept")
        server.put(LEFT)
    assert status_and_body(await refusal(app, "/?token=other")) == (403, b"Forbidden")
    assert threading.get_ident() not in Threaded.threads
    assert len(Threaded.threads) == 2


async def test_a_plain_def_hook_may_raise() -> None:
    @namespace("/")
    class Threaded:
        @on_connection_attempt
        def attempt(self, params: dict[str, str]) -> bool:
            if params:
                raise ConnectionRejected("no", 402)
            raise ValueError(CANARY)

    app = GatewayMiddleware(None, gateways=[Threaded()])
    assert status_and_body(await refusal(app, "/?a=b")) == (402, b"no")
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")


async def test_a_plain_def_hook_that_returns_a_coroutine_is_a_403() -> None:
    @namespace("/")
    class Threaded:
        @on_connection_attempt
        def attempt(self) -> Any:
            return self.check()

        async def check(self) -> bool:
            return True

    app = GatewayMiddleware(None, gateways=[Threaded()])
    assert status_and_body(await refusal(app)) == (403, b"Forbidden")


class Waiting:
    """A hook that waits until it is told, and says how it ended."""

    def __init__(self, answer: Any = True) -> None:
        self.started = anyio.Event()
        self.go = anyio.Event()
        self.ended: list[str] = []
        self.answer = answer

    async def __call__(self, params: dict[str, str], request: ConnectionRequest) -> Any:
        self.started.set()
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.ended.append("cancelled")
            raise
        self.ended.append("returned")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_a_hook_past_its_time_is_cancelled_and_answered_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = Waiting()
    app, gateway = guarded(hook, limits=Limits(attempt_timeout=0.01))
    assert status_and_body(await refusal(app)) == (503, b"Service Unavailable")
    assert hook.ended == ["cancelled"]
    assert gateway.log == []
    assert "Guarded.attempt took longer than 0.01 s" in caplog.text
    assert app.service.stats().refused == {"timeout": 1}
    assert nobody_is_counted(app)


async def test_what_a_hook_does_past_its_time_does_not_count() -> None:
    async def stubborn(params: dict[str, str], request: ConnectionRequest) -> bool:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return True
        return False

    app, gateway = guarded(stubborn, limits=Limits(attempt_timeout=0.01))
    assert status_and_body(await refusal(app)) == (503, b"Service Unavailable")
    assert gateway.log == []


async def test_a_hook_may_have_all_the_time_it_wants() -> None:
    hook = Waiting()
    app, _ = guarded(hook, limits=Limits(attempt_timeout=None))
    async with serving(app) as server:
        await hook.started.wait()
        hook.go.set()
        await server.sends("websocket.accept")
        server.put(LEFT)


async def test_a_client_that_leaves_during_the_hook_cancels_it() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    async with serving(app) as server:
        await hook.started.wait()
        server.put(LEFT)
    assert hook.ended == ["cancelled"]
    assert server.sent == []
    assert gateway.log == []
    assert app.service.stats().refused == {"left": 1}
    assert app.service.stats().accepted == 0
    assert nobody_is_counted(app)


@pytest.mark.parametrize("late", [True, False, ConnectionRejected("no"), ValueError(CANARY)])
async def test_what_a_hook_says_once_the_client_has_left_is_told_nobody(late: Any) -> None:
    started = anyio.Event()

    async def stubborn(params: dict[str, str], request: ConnectionRequest) -> Any:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            if isinstance(late, Exception):
                raise late from None
            return late

    app, gateway = guarded(stubborn)
    async with serving(app) as server:
        await started.wait()
        server.put(LEFT)
    assert server.sent == []
    assert gateway.log == []
    assert app.service.stats().refused == {"left": 1}


async def test_a_client_that_leaves_during_a_hook_in_a_thread_is_told_nothing() -> None:
    go = threading.Event()
    started = anyio.Event()

    @namespace("/")
    class Threaded:
        @on_connection_attempt
        def attempt(self) -> bool:
            anyio.from_thread.run_sync(started.set)
            return go.wait(30)

    app = GatewayMiddleware(None, gateways=[Threaded()])
    try:
        async with serving(app) as server:
            await started.wait()
            server.put(LEFT)
    finally:
        go.set()
    assert server.sent == []
    assert app.service.stats().refused == {"left": 1}


async def test_a_receive_that_fails_during_the_hook_is_a_client_that_left() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)

    def fail() -> None:
        raise RuntimeError("the server's receive fails")

    async with serving(app) as server:
        server.on_receive = fail
    assert hook.ended == ["cancelled"]
    assert server.sent == []
    assert gateway.log == []


async def test_messages_right_behind_the_accept_of_a_slow_hook_keep_their_order() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    async with serving(app) as server:
        await hook.started.wait()
        hook.go.set()
        await server.sends("websocket.accept")
        server.put(*(text(f'{{"event":"echo","data":{number}}}') for number in range(3)))
        await server.until(lambda: len(server.sent) == 4)
        server.put(LEFT)
    assert [message["text"] for message in server.sent[1:]] == [
        f'{{"event":"echoed","data":{number}}}' for number in range(3)
    ]
    assert gateway.log == ["connect", 1005]


async def test_a_message_that_came_before_the_accept_is_not_lost() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    async with serving(app) as server:
        await hook.started.wait()
        server.put(text('{"event":"echo","data":1}'), text('{"event":"echo","data":2}'))
        await server.until(lambda: server.unread == 1)
        hook.go.set()
        await server.until(lambda: len(server.sent) == 3)
        server.put(LEFT)
    assert server.kinds == ["websocket.accept", "websocket.send", "websocket.send"]
    assert gateway.log == ["connect", 1005]


async def test_a_disconnect_right_behind_the_accept_of_a_slow_hook_is_not_lost() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    async with serving(app) as server:
        await hook.started.wait()
        hook.go.set()
        server.put({"type": "websocket.disconnect", "code": 4321, "reason": "bye"})
    assert gateway.log in (["connect", 4321], [])  # whichever of the two came first
    assert server.returned.is_set()
    assert nobody_is_counted(app)


async def test_nobody_is_in_receive_when_a_slow_hook_refuses() -> None:
    hook = Waiting(False)
    app, _ = guarded(hook)
    receiving = []
    async with serving(app) as server:
        server.on_send = lambda message: receiving.append(server.receiving)
        await hook.started.wait()
        await server.until(lambda: server.receiving == 1)
        hook.go.set()
    assert receiving == [0, 0]
    assert server.receiving == 0


async def test_nobody_is_in_receive_when_a_peer_behind_a_slow_hook_is_closed() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    receiving = []
    async with serving(app) as server:
        await hook.started.wait()
        await server.until(lambda: server.receiving == 1)
        hook.go.set()
        await server.sends("websocket.accept")
        server.on_send = lambda message: receiving.append(server.receiving)
        while not gateway.peers:
            await anyio.lowlevel.checkpoint()
        await app.service.disconnect(gateway.peers[0], 4000)
    assert server.kinds == ["websocket.accept", "websocket.close"]
    assert receiving == [0]
    assert gateway.log == ["connect", 4000]


async def test_a_server_that_cancels_during_the_hook_gets_its_cancellation() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    async with serving(app) as server:
        await hook.started.wait()
        await server.until(lambda: server.receiving == 1)
        server.cancel.cancel()
        await server.returned.wait()
        assert server.cancel.cancelled_caught
        assert server.receiving == 0
    assert hook.ended == ["cancelled"]
    assert server.sent == []
    assert gateway.log == []
    assert nobody_is_counted(app)


# Before the hook.


async def test_the_hook_is_given_what_becomes_the_peers_request() -> None:
    seen: list[Any] = []

    def hook(params: dict[str, str], request: ConnectionRequest) -> bool:
        seen.append((params, request))
        return True

    app, gateway = guarded(hook)
    async with serving(app, "/?a=1&a=2&b=", headers=[("Cookie", "c=d")]) as server:
        server.put(LEFT)
    ((params, request),) = seen
    assert params == {"a": "2", "b": ""}
    assert gateway.peers[0].request is request
    assert gateway.peers[0].params is params
    assert request.query.get_all("a") == ["1", "2"]
    assert request.cookies == {"c": "d"}
    assert request.scope is server.scope


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("&".join(["a=b"] * 256), True),
        ("&".join(["a=b"] * 257), False),
        ("&" * 255, True),
        ("&" * 256, False),
        ("a=" + "b" * 8190, True),
        ("a=" + "b" * 8191, False),
        ("%ff%00=%zz&__proto__=1&self=2", True),
    ],
)
async def test_a_query_has_a_greatest_size(query: str, allowed: bool) -> None:
    calls: list[Any] = []
    app, _ = guarded(lambda params, request: bool(calls.append(params) or True))
    async with serving(app, f"/?{query}") as server:
        server.put(LEFT)
    assert bool(calls) is allowed
    if not allowed:
        assert status_and_body(server.sent) == (403, b"Forbidden")
        assert app.service.stats().refused == {"query": 1}
    assert nobody_is_counted(app)


async def test_a_foreign_origin_is_refused_before_the_hook(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[Any] = []
    app, _ = guarded(lambda params, request: bool(calls.append(params) or True))
    sent = await refusal(app, headers={"origin": "https://evil.example\u00e9\x1b[31m"})
    assert status_and_body(sent) == (403, b"Forbidden")
    assert calls == []
    assert app.service.stats().refused == {"origin": 1}
    assert "evil.example" in caplog.text
    assert "\x1b" not in caplog.text


async def test_a_namespaces_own_origins_count() -> None:
    @namespace("/", allowed_origins=["https://shop.example"])
    class Shop:
        pass

    app = GatewayMiddleware(None, gateways=[Shop()], allowed_origins="*")
    async with serving(app, headers={"origin": "https://shop.example"}) as server:
        await server.sends("websocket.accept")
        server.put(LEFT)
    assert status_and_body(await refusal(app, headers={"origin": "https://x.example"}))[0] == 403


# Counting who is in.


async def test_more_attempts_at_once_than_allowed_are_503() -> None:
    hook = Waiting()
    app, _ = guarded(hook, limits=Limits(max_attempts=1))
    async with serving(app) as first:
        await hook.started.wait()
        assert status_and_body(await refusal(app)) == (503, b"Service Unavailable")
        assert app.service.stats().refused == {"max_attempts": 1}
        hook.go.set()
        await first.sends("websocket.accept")
        async with serving(app) as second:  # the first one's hook is over
            await second.sends("websocket.accept")
            second.put(LEFT)
        first.put(LEFT)
    assert nobody_is_counted(app)


async def test_more_connections_than_allowed_are_503() -> None:
    app, _ = guarded(returning(True), limits=Limits(max_connections=1))
    async with serving(app) as first:
        await first.sends("websocket.accept")
        assert status_and_body(await refusal(app)) == (503, b"Service Unavailable")
        assert app.service.stats().refused == {"max_connections": 1}
        first.put(LEFT)
    async with serving(app) as second:
        await second.sends("websocket.accept")
        second.put(LEFT)
    assert nobody_is_counted(app)


async def test_more_connections_of_one_address_than_allowed_are_429() -> None:
    app, _ = guarded(returning(True), limits=Limits(max_connections_per_ip=1))
    async with serving(app, client=("10.0.0.1", 1)) as first:
        await first.sends("websocket.accept")
        sent = await refusal(app, client=("10.0.0.1", 2))
        assert status_and_body(sent) == (429, b"Too Many Requests")
        assert app.service.stats().refused == {"max_connections_per_ip": 1}
        for client in (("10.0.0.2", 1), None, None):
            async with serving(app, client=client) as other:
                await other.sends("websocket.accept")
                other.put(LEFT)
        first.put(LEFT)
    async with serving(app, client=("10.0.0.1", 3)) as again:
        await again.sends("websocket.accept")
        again.put(LEFT)
    assert nobody_is_counted(app)


async def test_each_connection_of_an_address_is_counted_by_itself() -> None:
    app, _ = guarded(returning(True), limits=Limits(max_connections_per_ip=2))
    async with serving(app) as first:
        await first.sends("websocket.accept")
        for _ in range(2):
            async with serving(app) as second:
                await second.sends("websocket.accept")
                assert (await refusal(app))[0]["status"] == 429
                second.put(LEFT)
        first.put(LEFT)
    assert nobody_is_counted(app)


@pytest.mark.parametrize("step", ["websocket.accept", "websocket.http.response.start", "body"])
@pytest.mark.parametrize(
    "hook",
    [returning(True), returning(False), raising(ConnectionRejected(close_code=4000))],
    ids=["true", "false", "rejected"],
)
async def test_a_server_that_does_not_take_an_answer_leaves_nothing_behind(
    hook: Any, step: str
) -> None:
    app, gateway = guarded(hook, limits=Limits(max_connections=1, max_connections_per_ip=1))

    def fail(message: dict[str, Any]) -> None:
        if message["type"].endswith(step):
            raise RuntimeError("the client is gone")

    async with serving(app) as server:
        server.on_send = fail
        server.put(LEFT)
    assert nobody_is_counted(app)
    assert gateway.log in ([], ["connect", 1005])


async def test_an_accept_that_the_server_does_not_take_makes_no_peer() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)

    def fail(message: dict[str, Any]) -> None:
        raise OSError("the client is gone")

    async with serving(app) as server:
        server.on_send = fail
        await hook.started.wait()
        await server.until(lambda: server.receiving == 1)
        hook.go.set()
        await server.returned.wait()
        assert server.receiving == 0
    assert gateway.log == []
    assert app.service.stats().accepted == 0
    assert app.service.stats().refused == {"left": 1}
    assert nobody_is_counted(app)


# While the service ends.


async def test_a_service_that_drains_refuses_with_503() -> None:
    app, gateway = guarded(returning(True))
    async with app.service:
        await app.service.drain()
        assert status_and_body(await refusal(app)) == (503, b"Service Unavailable")
        assert app.service.stats().refused == {"draining": 1}
    assert gateway.log == []


async def test_an_attempt_under_way_when_the_service_drains_is_refused() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    async with app.service, serving(app) as server:
        await hook.started.wait()
        await app.service.drain()
        hook.go.set()
        await server.returned.wait()
        assert status_and_body(server.sent) == (503, b"Service Unavailable")
    assert gateway.log == []


async def test_an_attempt_under_way_when_the_service_ends_is_refused() -> None:
    hook = Waiting()
    app, gateway = guarded(hook)
    async with serving(app) as server:
        async with app.service:
            await hook.started.wait()
        hook.go.set()
    assert status_and_body(server.sent)[0] == 503
    assert gateway.log == []


async def test_an_accept_under_way_when_the_service_drains_is_closed_at_once() -> None:
    app, gateway = guarded(returning(True))
    accepting, go = anyio.Event(), anyio.Event()
    server = Server(websocket_scope("/"))

    async def slow_send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept":
            accepting.set()
            await go.wait()
        await server.send(message)

    async def slow_app(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, slow_send)

    async with app.service, anyio.create_task_group() as group:
        group.start_soon(server.run, slow_app)
        await accepting.wait()
        await app.service.drain()
        go.set()
    assert server.sent[1] == {"type": "websocket.close", "code": 1012, "reason": "service restart"}
    assert gateway.log == []


async def test_a_service_that_cannot_start_refuses_with_503_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from contextlib import asynccontextmanager

    broken = True

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> Any:
        if broken:
            raise RuntimeError(CANARY)
        yield

    app, _ = guarded(returning(True), lifespan=lifespan)
    sent = await refusal(app)
    assert status_and_body(sent) == (503, b"Service Unavailable")
    assert CANARY in caplog.text
    broken = False
    async with serving(app) as server:
        await server.sends("websocket.accept")
        server.put(LEFT)


@pytest.mark.parametrize(
    "moment",
    [datetime.now(UTC) - timedelta(days=1), datetime(1, 1, 2, tzinfo=UTC), 0, -5.0],
)
async def test_an_accept_that_has_expired_already_is_closed_at_once(moment: Any) -> None:
    app, gateway = guarded(returning(Accept(expires_at=moment)))
    async with serving(app) as server:
        pass
    assert server.kinds == ["websocket.accept", "websocket.close"]
    assert (server.sent[1]["code"], server.sent[1]["reason"]) == (4401, "expired")
    assert gateway.log == ["connect", 4401]


async def test_an_accept_that_expires_never_stays() -> None:
    app, gateway = guarded(returning(Accept(expires_at=float("inf"))))
    async with serving(app) as server:
        await server.sends("websocket.accept")
        server.put(LEFT)
    assert gateway.log == ["connect", 1005]


# What servers and test clients do differently.


async def test_a_server_that_never_sends_connect_is_served() -> None:
    app, gateway = guarded(returning(True))
    async with serving_scope(app, websocket_scope("/"), connects=False) as server:
        server.put(text('{"event":"echo","data":1}'))
        await server.sends("websocket.send")
        server.put(LEFT)
    assert server.kinds == ["websocket.accept", "websocket.send"]
    assert gateway.log == ["connect", 1005]


@pytest.mark.parametrize("client", [None, ["10.0.0.1", 5], ("10.0.0.1", "5"), ("", 0), [], "x"])
async def test_a_scope_may_lack_what_is_optional(client: Any) -> None:
    for scope in (
        {"type": "websocket", "path": "/"},
        {
            "type": "websocket",
            "path": "/",
            "client": client,
            "extensions": None,
            "headers": None,
            "query_string": None,
            "root_path": None,
            "scheme": None,
            "state": None,
            "subprotocols": None,
        },
    ):
        app, gateway = guarded(returning(True), limits=Limits(max_connections_per_ip=5))
        async with serving_scope(app, scope) as server:
            await server.sends("websocket.accept")
            server.put(LEFT)
        assert gateway.log == ["connect", 1005]
        assert gateway.peers[0].ip in (None, "10.0.0.1")
        assert nobody_is_counted(app)


async def test_a_query_string_that_is_text_is_read_all_the_same() -> None:
    app, gateway = guarded(returning(True))
    scope = websocket_scope("/") | {"query_string": "a=1&b=2"}
    async with serving_scope(app, scope) as server:
        server.put(LEFT)
    assert gateway.peers[0].params == {"a": "1", "b": "2"}


async def test_refused_handshakes_keep_nothing_alive() -> None:
    def hook(params: dict[str, str], request: ConnectionRequest) -> bool:
        raise ConnectionRejected("no")

    app, _ = guarded(hook)
    await refusal(app)
    gc.collect()
    before = sum(isinstance(thing, ConnectionRequest) for thing in gc.get_objects())
    for _ in range(5):
        await refusal(app)
    gc.collect()
    assert sum(isinstance(thing, ConnectionRequest) for thing in gc.get_objects()) <= before


@pytest.mark.parametrize("headers", [{"x-ab": "1"}, [("x-ab", "1")]])
async def test_headers_are_a_mapping_or_pairs(headers: Any) -> None:
    @namespace("/headers")
    class Gateway:
        @on_connection_attempt
        async def attempt(self, params: dict[str, str]) -> Accept:
            if params:
                raise ConnectionRejected(headers=headers)
            return Accept(headers=headers)

    async with GatewayTestClient(Gateway()) as client:
        async with client.connect("/headers") as peer:
            assert peer.headers == {"x-ab": "1"}
        with pytest.raises(ConnectionDenied) as denied:
            async with client.connect("/headers?refuse=1"):
                pass
        assert denied.value.headers["x-ab"] == "1"


async def test_a_middleware_s_send_may_hold_a_time_limit_round_the_accept() -> None:
    @namespace("/")
    class Open:
        pass

    async def limited(send: Any, message: Any) -> None:
        with anyio.fail_after(5):
            await anyio.lowlevel.checkpoint()
            await send(message)

    inner = GatewayMiddleware(None, gateways=[Open()])

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, partial(limited, send))

    async with serving(middleware, "/") as server:
        await server.sends("websocket.accept")
        server.put(LEFT)
    assert inner.service.stats().accepted == 1
