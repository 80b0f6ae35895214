"""Start and end, of the service and the wrapped app together."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import GatewayMiddleware, WebSocketService, namespace
from tests.asgi.server import LEFT, serving

COMPLETE = {"type": "lifespan.startup.complete"}
ENDED = {"type": "lifespan.shutdown.complete"}


@namespace("/")
class Root:
    pass


class LifespanServer:
    """A server's side of lifespan."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self.shutdown = anyio.Event()
        self.returned = anyio.Event()
        self.cancel = anyio.CancelScope()
        self.answered = anyio.Event()
        self._asked = 0

    async def run(self, app: Any) -> None:
        with self.cancel:
            await app(self.scope, self.receive, self.send)
        self.returned.set()

    async def receive(self) -> dict[str, Any]:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        assert self._asked == 2, "a receive after the shutdown waits for ever"
        await self.shutdown.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: dict[str, Any]) -> None:
        self.log.append(message)
        if message["type"].startswith("lifespan.startup."):
            self.answered.set()


@asynccontextmanager
async def started(app: Any, log: list[Any]) -> AsyncGenerator[LifespanServer]:
    """Starts the application, and shuts it down at the end of the block."""
    server = LifespanServer(log)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, app)
        with anyio.fail_after(10):
            await server.answered.wait()
        yield server
        server.shutdown.set()
        with anyio.fail_after(10):
            await server.returned.wait()


def wrapped(
    app: Any, log: list[Any], *, start: Exception | None = None, end: Exception | None = None
) -> GatewayMiddleware:
    """The application with a service whose lifespan writes into `log`."""

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        if start is not None:
            raise start
        assert isinstance(service, WebSocketService)
        log.append("service in")
        yield
        log.append("service out")
        if end is not None:
            raise end

    return GatewayMiddleware(app, gateways=[Root()], lifespan=lifespan)


def speaking(log: list[Any]) -> Callable[..., Any]:
    """An app that speaks lifespan well."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        log.append("app in")
        await send(COMPLETE)
        assert (await receive())["type"] == "lifespan.shutdown"
        log.append("app out")
        await send(ENDED)

    return app


async def test_the_service_is_entered_before_the_app_and_left_after_it() -> None:
    log: list[Any] = []
    middleware = wrapped(speaking(log), log)
    async with started(middleware, log):
        assert log == ["service in", "app in", COMPLETE]
        assert middleware.service.health().status == "ok"
    assert log == ["service in", "app in", COMPLETE, "app out", "service out", ENDED]
    assert middleware.service.health().reason == "not running"


async def test_the_app_gets_the_same_scope() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        scope["state"]["db"] = "pool"

    async with started(wrapped(app, []), []) as server:
        assert scopes[0] is server.scope
        assert server.scope["state"] == {"db": "pool"}


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def returns_at_once(scope: Any, receive: Any, send: Any) -> None:
    pass


async def returns_after_a_receive(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def answers_http(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def answers_http_after_a_receive(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await answers_http(scope, receive, send)


async def answers_http_in_a_task_group(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    async with anyio.create_task_group() as group:
        group.start_soon(answers_http, scope, receive, send)


async def answers_http_whatever_happens(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    for _ in range(2):
        try:
            await answers_http(scope, receive, send)
        except Exception:
            pass


async def answers_http_and_makes_it_another_error(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    try:
        await answers_http(scope, receive, send)
    except Exception as error:
        raise RuntimeError("could not answer") from error


async def closes_as_if_it_were_a_websocket(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.close"})


async def sends_nonsense(scope: Any, receive: Any, send: Any) -> None:
    await send({})


@pytest.mark.parametrize(
    "app",
    [
        None,
        raises_at_once,
        returns_at_once,
        returns_after_a_receive,
        answers_http,
        answers_http_after_a_receive,
        answers_http_in_a_task_group,
        answers_http_whatever_happens,
        answers_http_and_makes_it_another_error,
        closes_as_if_it_were_a_websocket,
        sends_nonsense,
    ],
    ids=lambda app: getattr(app, "__name__", "no_app"),
)
async def test_an_app_that_does_not_speak_lifespan_is_answered_for(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []
    async with started(wrapped(app, log), log) as server:
        assert log == ["service in", COMPLETE]
        assert not server.returned.is_set()
    assert log == ["service in", COMPLETE, "service out", ENDED]
    assert not caplog.records


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"), [(OSError("no database"), "no database"), (Unprintable(), "Unprintable")]
)
async def test_an_app_that_raises_after_a_receive_has_failed_to_start(
    error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise error

    log: list[Any] = []
    async with started(wrapped(app, log), log) as server:
        await server.returned.wait()
        assert log == [
            "service in",
            {"type": "lifespan.startup.failed", "message": text},
            "service out",
        ]
    assert "failed to start" in caplog.text


@pytest.mark.parametrize("raises", [False, True])
async def test_an_app_that_says_it_failed_to_start_is_believed(raises: bool) -> None:
    failed = {"type": "lifespan.startup.failed", "message": "no database"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(failed)
        if raises:
            raise OSError("no database")

    log: list[Any] = []
    async with started(wrapped(app, log), log) as server:
        await server.returned.wait()
    assert log == ["service in", failed, "service out"]


async def test_an_app_whose_lifespan_ends_early_does_not_end_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        raise RuntimeError("it broke while serving")

    log: list[Any] = []
    async with started(wrapped(app, log), log) as server:
        assert not server.returned.is_set()
    assert log == ["service in", COMPLETE, "service out", ENDED]
    assert "it broke while serving" in caplog.text


async def test_an_app_that_returns_after_its_start_is_fine() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)

    log: list[Any] = []
    async with started(wrapped(app, log), log):
        pass
    assert log == ["service in", COMPLETE, "service out", ENDED]


async def test_an_app_that_raises_at_its_shutdown_has_failed_to_shut_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        raise OSError("cannot let go")

    log: list[Any] = []
    async with started(wrapped(app, log), log):
        pass
    failed = {"type": "lifespan.shutdown.failed", "message": "cannot let go"}
    assert log == ["service in", COMPLETE, "service out", failed]
    assert "failed to shut down" in caplog.text


async def test_an_app_that_says_it_failed_to_shut_down_is_believed() -> None:
    failed = {"type": "lifespan.shutdown.failed", "message": "cannot let go"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        await receive()
        await send(failed)

    log: list[Any] = []
    async with started(wrapped(app, log), log):
        pass
    assert log == ["service in", COMPLETE, "service out", failed]


async def test_an_app_that_forgets_to_answer_the_shutdown_is_answered_for() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(COMPLETE)
        await receive()

    log: list[Any] = []
    async with started(wrapped(app, log), log):
        pass
    assert log == ["service in", COMPLETE, "service out", ENDED]


# The service's own.


@pytest.mark.parametrize(
    ("error", "text"), [(OSError("no pool"), "no pool"), (Unprintable(), "Unprintable")]
)
async def test_a_service_that_cannot_start_fails_the_start_and_the_app_is_not_asked(
    error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[Any] = []
    middleware = wrapped(speaking(log), log, start=error)
    async with started(middleware, log) as server:
        await server.returned.wait()
    assert log == [{"type": "lifespan.startup.failed", "message": text}]
    assert "could not be started" in caplog.text
    assert middleware.service.health().reason == "not running"


async def test_a_service_that_fails_at_its_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []
    async with started(wrapped(speaking(log), log, end=OSError("no goodbye")), log):
        pass
    assert log[-2:] == ["service out", ENDED]
    assert "no goodbye" in caplog.text


async def test_a_lifespan_that_is_no_context_manager_fails_the_start() -> None:
    log: list[Any] = []
    middleware = GatewayMiddleware(None, lifespan=lambda service: 5)  # type: ignore[arg-type,return-value]
    async with started(middleware, log) as server:
        await server.returned.wait()
    assert log[0]["type"] == "lifespan.startup.failed"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_lifespan_that_cancels_itself_fails_the_start() -> None:
    import asyncio

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        raise asyncio.CancelledError
        yield

    log: list[Any] = []
    async with started(GatewayMiddleware(None, lifespan=lifespan), log) as server:
        await server.returned.wait()
    assert log[0]["type"] == "lifespan.startup.failed"


async def test_a_lifespan_may_hold_a_task_group() -> None:
    beats: list[int] = []
    beaten = anyio.Event()

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        async def game_loop() -> None:
            await service.broadcast("/", "tick")
            beats.append(1)
            beaten.set()
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            group.start_soon(game_loop)
            yield
            group.cancel_scope.cancel()

    middleware = GatewayMiddleware(None, gateways=[Root()], lifespan=lifespan)
    async with started(middleware, []):
        await beaten.wait()
    assert beats == [1]


async def test_a_lifespan_that_fails_while_it_runs_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = anyio.Event()
    failed = anyio.Event()

    @asynccontextmanager
    async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
        async def game_loop() -> None:
            await failing.wait()
            raise RuntimeError("the game is over")

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(game_loop)
                yield
        finally:
            failed.set()

    middleware = GatewayMiddleware(None, gateways=[Root()], lifespan=lifespan)
    log: list[Any] = []
    async with started(middleware, log):
        failing.set()
        await failed.wait()
        assert await middleware.service.broadcast("/", "still") == (0, 0, True)
    assert log == [COMPLETE, ENDED]
    assert "the game is over" in caplog.text


async def test_a_message_that_is_no_shutdown_is_passed_over() -> None:
    log: list[Any] = []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.ping"}, {}]
    messages.append({"type": "lifespan.shutdown"})

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        log.append(message)

    await wrapped(None, log)({"type": "lifespan"}, receive, send)
    assert log == ["service in", COMPLETE, "service out", ENDED]
    assert messages == []


async def test_a_server_that_cancels_instead_of_a_shutdown_ends_the_service_too() -> None:
    log: list[Any] = []
    middleware = wrapped(speaking(log), log)
    async with started(middleware, log) as server:
        server.cancel.cancel()
        await server.returned.wait()
    assert log == ["service in", "app in", COMPLETE, "service out"]
    assert middleware.service.health().reason == "not running"


async def test_two_stacked_ones_start_from_the_outside_and_end_from_the_inside() -> None:
    log: list[Any] = []

    def named(name: str) -> Any:
        @asynccontextmanager
        async def lifespan(service: WebSocketService) -> AsyncIterator[None]:
            log.append(f"{name} in")
            yield
            log.append(f"{name} out")

        return lifespan

    inner = GatewayMiddleware(speaking(log), lifespan=named("inner"))
    outer = GatewayMiddleware(inner, lifespan=named("outer"))
    async with started(outer, log):
        pass
    assert log == [
        *("outer in", "inner in", "app in", COMPLETE),
        *("app out", "inner out", "outer out", ENDED),
    ]


async def test_a_service_mounted_twice_is_entered_once() -> None:
    log: list[Any] = []
    inner = wrapped(speaking(log), log)
    async with started(GatewayMiddleware(inner, inner.service), log):
        assert log == ["service in", "app in", COMPLETE]
    assert log == ["service in", "app in", COMPLETE, "app out", "service out", ENDED]


async def test_connections_are_served_during_the_lifespan_and_closed_at_its_end() -> None:
    log: list[Any] = []
    middleware = wrapped(None, log)
    async with anyio.create_task_group() as group:
        async with started(middleware, log):
            connected = anyio.Event()

            async def connection() -> None:
                async with serving(middleware) as server:
                    await server.sends("websocket.accept")
                    connected.set()
                log.append(server.sent[-1])

            group.start_soon(connection)
            await connected.wait()
    close = {"type": "websocket.close", "code": 1012, "reason": "service restart"}
    assert close in log
    assert ENDED in log


# Without a lifespan.


async def test_without_a_lifespan_the_first_connection_starts_the_service() -> None:
    log: list[Any] = []
    middleware = wrapped(None, log)
    assert middleware.service.health().reason == "not running"
    for _ in range(2):
        async with serving(middleware) as server:
            await server.sends("websocket.accept")
            server.put(LEFT)
    assert log == ["service in"]
    assert middleware.service.health().status == "ok"
    async with middleware.service:
        pass
    assert log == ["service in", "service out"]
