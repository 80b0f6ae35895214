"""The README's one line for each framework: its own pages still answer, and the gateway does."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asgi_ws_gateway import GatewayMiddleware
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient

ROOT = Path(__file__).parents[2]


@pytest.fixture
def anyio_backend() -> str:
    """Django and Quart know asyncio only."""
    return "asyncio"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples"))
    return importlib.import_module("gateway").ChatGateway()


def starlette(gateway: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    app = Starlette(routes=[Route("/page", lambda request: PlainTextResponse("a page"))])
    return GatewayMiddleware(app, gateways=[gateway])


def starlette_middleware(gateway: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    app = Starlette(routes=[Route("/page", lambda request: PlainTextResponse("a page"))])
    app.add_middleware(GatewayMiddleware, gateways=[gateway])
    return app


def fastapi(gateway: Any) -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/page", response_class=PlainTextResponse)
    async def page() -> str:
        return "a page"

    return GatewayMiddleware(app, gateways=[gateway])


def litestar(gateway: Any) -> Any:
    from litestar import Litestar, MediaType, get

    @get("/page", media_type=MediaType.TEXT)
    async def page() -> str:
        return "a page"

    return GatewayMiddleware(Litestar([page]), gateways=[gateway])


def quart(gateway: Any) -> Any:
    from quart import Quart

    app = Quart("app", root_path=str(ROOT / "tests"))

    @app.get("/page")
    async def page() -> str:
        return "a page"

    app.asgi_app = GatewayMiddleware(app.asgi_app, gateways=[gateway])  # type: ignore[method-assign]
    return app


def django(gateway: Any) -> Any:
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"], SECRET_KEY="for tests only"
        )
    import django as package
    from django.core.asgi import get_asgi_application

    package.setup()
    return GatewayMiddleware(get_asgi_application(), gateways=[gateway], unmatched="reject")


def __getattr__(name: str) -> Any:
    """Django reads its routes here, once it is configured."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.http import HttpResponse
    from django.urls import path

    return [path("page", lambda request: HttpResponse("a page"))]


@pytest.fixture(
    params=[starlette, starlette_middleware, fastapi, litestar, quart, django],
    ids=lambda wrap: wrap.__name__,
)
def application(request: pytest.FixtureRequest, gateway: Any) -> Any:
    wrap: Callable[[Any], Any] = request.param
    return wrap(gateway)


async def test_pages_and_gateways_are_served_side_by_side(application: Any) -> None:
    async with GatewayTestClient(application) as client:
        assert await _request(application, "GET", "/page") == (200, b"a page")
        assert (await _request(application, "GET", "/chat"))[0] == 404
        async with client.connect("/chat") as one, client.connect("/chat/") as two:
            assert (await one.request("say", {"text": "hi"}))["text"] == "hi"
            assert (await two.request("say", {"text": "ho"}))["text"] == "ho"
            assert (await one.receive("said"))["text"] == "hi"
            assert (await one.receive("said"))["text"] == "ho"
        with pytest.raises(ConnectionDenied):
            async with client.connect("/elsewhere"):
                pass


async def test_a_view_sends_through_the_service(gateway: Any) -> None:
    application = importlib.import_module("service").application
    async with GatewayTestClient(application) as client, client.connect("/chat") as peer:
        answer = await _request(application, "POST", "/announce", b'{"text": "soon"}')
        assert answer == (200, b'{"listeners":1}')
        assert await peer.receive("announced") == {"text": "soon"}


async def _request(
    application: Any, method: str, path: str, sent: bytes = b""
) -> tuple[int, bytes]:
    status, body = 0, b""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("testclient", 50000),
        "server": ("testserver", 80),
        "state": {},
    }
    requests = iter([{"type": "http.request", "body": sent, "more_body": False}])

    async def receive() -> dict[str, Any]:
        import anyio

        for message in requests:
            return message
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body += message.get("body", b"")

    await application(scope, receive, send)
    return status, body
