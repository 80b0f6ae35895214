"""What goes to the gateways, what to the wrapped app, and what comes out: cancellation, no more."""

import asyncio
import copy
import logging
import pickle
import sys
from types import ModuleType
from typing import Any

import anyio.lowlevel
import pytest

from asgi_ws_gateway import (
    ConfigurationError,
    ConnectionRequest,
    GatewayMiddleware,
    Limits,
    Peer,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient
from asgi_ws_gateway.testing.scope import websocket_scope
from tests.asgi.server import LEFT, refusal, serving, serving_scope, text


class App:
    """A wrapped app that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []
        self.state = {"theme": "dark"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))

    def run(self) -> None:
        raise AssertionError("it would run around us")

    run_task = test_client = run


@namespace("/chat")
class Chat:
    def __init__(self) -> None:
        self.attempts: list[ConnectionRequest] = []
        self.left: list[int] = []

    @on_connection_attempt
    async def attempt(self, params: dict[str, str], request: ConnectionRequest) -> bool:
        self.attempts.append(request)
        return True

    @on_disconnect
    async def gone(self, peer: Peer, code: int) -> None:
        self.left.append(code)

    @message("echo")
    @emit("echoed")
    async def echo(self, data: Any) -> Any:
        return data


async def nothing_to_receive() -> Any:
    raise AssertionError("nobody asked")


class Sent(list[dict[str, Any]]):
    async def __call__(self, message: dict[str, Any]) -> None:
        self.append(message)


# What is passed on.


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "path": "/chat"},
        {"type": "websocket", "path": "/other"},
        {"type": "websocket"},
        {"type": "something new"},
    ],
    ids=lambda scope: f"{scope['type']} {scope.get('path')}",
)
async def test_what_is_not_ours_gets_the_very_same_objects(scope: dict[str, Any]) -> None:
    app, send = App(), Sent()
    before = dict(scope)
    await GatewayMiddleware(app, gateways=[Chat()])(scope, nothing_to_receive, send)
    ((given, receive, sender),) = app.calls
    assert given is scope
    assert receive is nothing_to_receive
    assert sender is send
    assert scope == before


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_what_the_wrapped_app_raises_is_its_own_affair(kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        await GatewayMiddleware(app)({"type": kind, "path": "/"}, nothing_to_receive, Sent())


async def test_a_namespace_is_served_here_and_the_app_is_not_called() -> None:
    app = App()
    gateway = Chat()
    async with serving(GatewayMiddleware(app, gateways=[gateway]), "/chat") as server:
        server.put(text('{"event":"echo","data":1}'))
        await server.sends("websocket.send")
        server.put(LEFT)
    assert app.calls == []
    assert gateway.left == [1005]


async def test_a_foreign_websocket_is_rejected_when_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    middleware = GatewayMiddleware(app, gateways=[Chat()], unmatched="reject")
    sent = await refusal(middleware, "/other%0aline")
    assert sent[0]["status"] == 403
    assert sent[1]["body"] == b"Forbidden"
    assert app.calls == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert 'Namespace "/other\\nline" is not registered' in record.message
    assert middleware.service.stats().refused == {"unmatched": 1}
    await middleware({"type": "http"}, nothing_to_receive, Sent())
    assert len(app.calls) == 1


async def test_the_log_line_of_a_rejected_path_is_the_promised_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await refusal(GatewayMiddleware(None), "/x")
    assert caplog.records[0].message.startswith('Namespace "/x" is not registered')


async def test_a_rejected_websocket_is_closed_where_no_status_can_be_carried() -> None:
    scope = websocket_scope("/other")
    del scope["extensions"]
    async with serving_scope(GatewayMiddleware(None), scope) as server:
        pass
    assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_a_rejection_that_the_server_does_not_take_is_no_error() -> None:
    def fail(message: dict[str, Any]) -> None:
        raise OSError("gone")

    async with serving(GatewayMiddleware(None), "/other") as server:
        server.on_send = fail


async def test_without_an_app_http_gets_404() -> None:
    sent = Sent()
    await GatewayMiddleware(None)({"type": "http", "path": "/"}, nothing_to_receive, sent)
    start, body = sent
    assert start["status"] == 404
    assert dict(start["headers"])[b"content-length"] == b"9"
    assert body == {"type": "http.response.body", "body": b"Not Found"}


async def test_a_404_that_the_server_does_not_take_is_no_error() -> None:
    async def gone(message: Any) -> None:
        raise OSError("gone")

    await GatewayMiddleware(None)({"type": "http", "path": "/"}, nothing_to_receive, gone)


async def test_without_an_app_other_scopes_are_ignored() -> None:
    await GatewayMiddleware(None)({"type": "something new"}, nothing_to_receive, Sent())


# Which path it is.


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/chat", ""),
        ("/chat/", ""),
        ("/chat", None),
        ("/chat", "/"),
        ("/chat", "/api"),  # a proxy has taken it off
        ("/api/chat", "/api"),
        ("/api/chat/", "/api/"),
        ("/api/v1/chat", "/api/v1"),
        ("/chat/chat", "/chat"),
    ],
)
async def test_a_path_is_ours_below_its_mount_point(path: str, root_path: str | None) -> None:
    gateway = Chat()
    scope = websocket_scope("/") | {"path": path, "root_path": root_path}
    async with serving_scope(GatewayMiddleware(App(), gateways=[gateway]), scope) as server:
        await server.sends("websocket.accept")
        server.put(LEFT)
    assert [request.namespace for request in gateway.attempts] == ["/chat"]
    assert gateway.attempts[0].path == path


@pytest.mark.parametrize("path", ["", "/"])
async def test_a_mount_point_itself_is_the_root_namespace(path: str) -> None:
    @namespace("/")
    class Root:
        pass

    scope = websocket_scope("/") | {"path": f"/api{path}", "root_path": "/api"}
    async with serving_scope(GatewayMiddleware(None, gateways=[Root()]), scope) as server:
        await server.sends("websocket.accept")
        server.put(LEFT)


SPELLINGS = [
    "/CHAT",
    "/Chat",
    "//chat",
    "/chat//",
    "/./chat",
    "/chat/.",
    "/x/../chat",
    "/chat/..",
    "/%63hat",
    "/%2563hat",
    "/chat%2f",
    "/chat%00",
    "/chat\x00",
    "/chat;x=1",
    "/chat?x",
    "/chat#x",
    "/chat ",
    " /chat",
    "chat",
    "\\chat",
    "/chat\\",
    "/ch\u0430t",  # a Cyrillic letter
    "/\uff43hat",  # its full-width form
    "/chat\u200b",
    "/c\u0327hat",
    "",
    "http://testserver/chat",
    "/apichat",
    "/api/api/chat",
]


@pytest.mark.parametrize("root_path", ["", "/api", "/chat", "/ap", "chat"])
@pytest.mark.parametrize("path", SPELLINGS, ids=ascii)
async def test_no_other_spelling_of_a_path_gets_in_past_its_hook(path: str, root_path: str) -> None:
    app, gateway = App(), Chat()
    scope = websocket_scope("/") | {
        "path": path,
        "root_path": root_path,
        "raw_path": b"/chat",
        "headers": [(b"host", b"testserver/chat?")],
    }
    async with serving_scope(GatewayMiddleware(app, gateways=[gateway]), scope) as server:
        server.put(LEFT)
    assert len(app.calls) == 1
    assert server.sent == []
    assert gateway.attempts == []


@pytest.mark.parametrize(
    "path", ["/rooms/42", "/rooms/42/", "/rooms/%2e%2e", "/rooms/..", "/rooms/\x00"]
)
async def test_every_path_of_a_pattern_runs_its_hook(path: str) -> None:
    attempts: list[str] = []

    @namespace("/rooms/{room}")
    class Room:
        @on_connection_attempt
        async def attempt(self, params: dict[str, str], request: ConnectionRequest) -> bool:
            attempts.append(request.path_params["room"])
            return False

    scope = websocket_scope("/") | {"path": path}
    async with serving_scope(GatewayMiddleware(None, gateways=[Room()]), scope) as server:
        pass
    assert server.sent[0]["status"] == 403
    assert len(attempts) == 1


async def test_a_patterns_own_text_is_not_served() -> None:
    @namespace("/rooms/{room}")
    class Room:
        pass

    app = App()
    scope = websocket_scope("/") | {"path": "/rooms/{room}"}
    async with serving_scope(GatewayMiddleware(app, gateways=[Room()]), scope):
        pass
    assert len(app.calls) == 1


async def test_an_app_further_in_may_change_its_scope() -> None:
    async def mount(scope: Any, receive: Any, send: Any) -> None:
        scope["path"] = "/elsewhere"
        scope["root_path"] = "/chat"

    scope = websocket_scope("/other")
    await GatewayMiddleware(mount, gateways=[Chat()])(scope, nothing_to_receive, Sent())
    assert scope["path"] == "/elsewhere"


# Several of them.


async def test_two_with_services_of_their_own_can_be_stacked() -> None:
    @namespace("/inner")
    class Inner(Chat):
        pass

    app, outer, inner = App(), Chat(), Inner()
    stacked = GatewayMiddleware(GatewayMiddleware(app, gateways=[inner]), gateways=[outer])
    for url in ("/chat", "/inner"):
        async with serving(stacked, url) as server:
            await server.sends("websocket.accept")
            server.put(LEFT)
    assert (outer.left, inner.left) == ([1005], [1005])
    async with serving(stacked, "/other") as server:
        pass
    assert app.calls[0][0] is server.scope


async def test_a_service_can_be_mounted_twice() -> None:
    service, gateway = WebSocketService(), Chat()
    service.register(gateway)
    apps = [GatewayMiddleware(None, service), GatewayMiddleware(App(), service)]
    async with serving(apps[0], "/chat") as first, serving(apps[1], "/chat") as second:
        await first.sends("websocket.accept")
        await second.sends("websocket.accept")
        assert len(service.peers("/chat")) == 2
        first.put(LEFT)
        second.put(LEFT)


# What looks through to the wrapped app.


def test_unknown_attributes_are_the_wrapped_apps() -> None:
    app = App()
    middleware: Any = GatewayMiddleware(app)
    assert middleware.state is app.state
    assert hasattr(middleware, "calls")
    assert not hasattr(middleware, "nothing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = middleware.nothing


@pytest.mark.parametrize("name", ["run", "run_task", "test_client"])
def test_what_would_go_around_us_says_how_to_wrap_instead(name: str) -> None:
    middleware = GatewayMiddleware(App())
    with pytest.raises(AttributeError, match="asgi_app"):
        getattr(middleware, name)
    assert not hasattr(middleware, name)


def test_without_an_app_there_is_nothing_to_look_through_to() -> None:
    middleware = GatewayMiddleware(None)
    assert not hasattr(middleware, "state")
    with pytest.raises(AttributeError, match="'GatewayMiddleware' object has no attribute 'state'"):
        _ = middleware.state


def test_what_python_looks_for_is_not_looked_up_on_the_app() -> None:
    class Odd(App):
        __wrapped__ = __deepcopy__ = __reduce_ex__ = __getstate__ = None  # type: ignore[assignment]

    middleware = GatewayMiddleware(Odd())
    assert not hasattr(middleware, "__wrapped__")
    assert not hasattr(middleware, "__deepcopy__")
    assert copy.copy(middleware).service is middleware.service


def test_it_can_be_looked_at_before_it_is_made() -> None:
    unmade = GatewayMiddleware.__new__(GatewayMiddleware)
    assert not hasattr(unmade, "state")
    assert not hasattr(unmade, "app")


class Bare:
    """What pickle restores has not been made by `__init__`."""


def test_looking_it_up_while_it_is_unpickled_does_not_recurse() -> None:
    middleware = GatewayMiddleware.__new__(GatewayMiddleware)
    middleware.__dict__["app"] = Bare()
    middleware.app.state = "there"  # type: ignore[union-attr]
    restored: Any = pickle.loads(pickle.dumps(middleware))  # type: ignore[arg-type]
    assert restored.state == "there"


# Mistakes.


def test_options_beside_a_service_are_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match=r"\(codec, limits\)"):
        GatewayMiddleware(None, WebSocketService(), limits=Limits(), codec=None)


def test_options_go_to_a_service_of_its_own() -> None:
    limits = Limits(threads=1)
    assert GatewayMiddleware(None, limits=limits).service.limits is limits


def test_a_gateway_in_the_services_place_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match=r"gateways=\["):
        GatewayMiddleware(None, Chat())  # type: ignore[arg-type]


def test_unmatched_has_two_values() -> None:
    with pytest.raises(ConfigurationError, match="'pass' or 'reject', not 'refuse'"):
        GatewayMiddleware(None, unmatched="refuse")  # type: ignore[arg-type]


def test_gateways_are_registered_with_a_service_that_is_given() -> None:
    service = WebSocketService()
    GatewayMiddleware(None, service, gateways=[Chat()])
    with pytest.raises(ConfigurationError, match="served by"):
        GatewayMiddleware(None, service, gateways=[Chat()])


# Nothing comes out.


@pytest.mark.parametrize("step", range(4))
async def test_a_receive_that_raises_ends_the_connection_and_nothing_else(
    step: int, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Chat()
    middleware = GatewayMiddleware(None, gateways=[gateway])
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls > step:
            raise RuntimeError("the server is broken")

    async with serving(middleware, "/chat") as server:
        server.on_receive = fail
        for number in range(step):
            server.put(text(f'{{"event":"echo","data":{number}}}'))
    assert gateway.left == [1006]
    assert "receive failed" in caplog.text
    assert server.receives == step + 1


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize(
    "error", [OSError("gone"), RuntimeError("closed"), AssertionError(), KeyError("x")], ids=repr
)
async def test_a_send_that_raises_ends_the_connection_and_nothing_else(
    step: int, error: Exception
) -> None:
    gateway = Chat()
    middleware = GatewayMiddleware(None, gateways=[gateway])

    async with serving(middleware, "/chat") as server:

        def fail(message: dict[str, Any]) -> None:
            if len(server.sent) == step:
                raise error

        server.on_send = fail
        for number in range(3):
            server.put(text(f'{{"event":"echo","data":{number}}}'))
        await server.returned.wait()
    assert gateway.left == ([] if step == 0 else [1006])
    assert len(server.sent) == step or server.kinds[-1] == "websocket.close"
    assert middleware.service.stats().connections == 0


async def test_a_server_that_cancels_gets_its_cancellation() -> None:
    gateway = Chat()
    async with serving(GatewayMiddleware(None, gateways=[gateway]), "/chat") as server:
        await server.sends("websocket.accept")
        await server.until(lambda: server.receiving == 1)
        server.cancel.cancel()
        await server.returned.wait()
        assert server.cancel.cancelled_caught
    assert gateway.left == [1012]
    assert server.kinds == ["websocket.accept", "websocket.close"]


# What is not a task of the event loop's own.


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_without_real_tasks_is_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "granian", ModuleType("granian"))

    tasks: list[Any] = []

    @namespace("/")
    class Root:
        @on_connection_attempt
        async def attempt(self) -> bool:
            tasks.append(asyncio.current_task())
            return False

    pretended = type("RustTask", (asyncio.Task,), {"__module__": "granian._granian"})
    middleware = GatewayMiddleware(None, gateways=[Root()])
    sent = Sent()
    loop = asyncio.get_running_loop()
    call = middleware(websocket_scope("/"), nothing_to_receive, sent)
    await pretended(call, loop=loop)
    assert sent[0]["status"] == 403
    assert type(tasks[0]) is not pretended
    await anyio.lowlevel.checkpoint()


async def test_an_asgi_2_app_is_wrapped_as_well() -> None:
    class App:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        async def __call__(self, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": self.scope["path"].encode()})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await GatewayMiddleware(App)({"type": "http", "path": "/page"}, None, send)  # type: ignore[arg-type]
    assert sent[1]["body"] == b"/page"


async def test_many_foreign_paths_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with GatewayTestClient(GatewayMiddleware(None)) as client:
        for number in range(20):
            with pytest.raises(ConnectionDenied):
                async with client.connect(f"/scan/{number}"):
                    pass
    assert caplog.text.count("is not registered") == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("daphne", [False, True])
async def test_a_cancellation_by_daphne_is_held_back_until_the_client_has_the_close(
    daphne: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if daphne:
        monkeypatch.setitem(sys.modules, "daphne", ModuleType("daphne"))
    else:
        monkeypatch.delitem(sys.modules, "daphne", raising=False)
    chat = Chat()
    application = GatewayMiddleware(None, gateways=[chat])
    ended: list[Any] = []

    async def app(*arguments: Any) -> None:
        try:
            await application(*arguments)
            ended.append("returned")
        except BaseException as error:
            ended.append(type(error))
            raise

    async with application.service, serving(app, "/chat") as server:

        def say_more(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.close":
                server.put(text("too late"))

        server.on_send = say_more
        await server.sends("websocket.accept")
        server.cancel_natively()
        assert (await server.sends("websocket.close"))["code"] == 1012
    assert ended == ["returned" if daphne else asyncio.CancelledError]
    # The text and the disconnect that came behind it have been read, or neither.
    assert server.unread == (0 if daphne else 2)
    assert chat.left == [1012]
