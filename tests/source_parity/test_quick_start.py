"""Installation and quick start: wrap an application, write a gateway, connect a client."""

import json
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from asgi_ws_gateway import (
    Accept,
    ConnectionRequest,
    GatewayMiddleware,
    Peer,
    emit,
    message,
    namespace,
    on_connection_attempt,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient


@namespace("/chat")
class ChatGateway:
    def __init__(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens
        self.log: list[tuple[str, str]] = []

    @on_connection_attempt
    async def handle_connection(
        self, params: dict[str, str], request: ConnectionRequest
    ) -> Accept | bool:
        user = self.tokens.get(params.get("token", ""))
        if user is None:
            return False
        return Accept(user=user)

    @message("message")
    @emit("message-received")
    async def on_message(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        self.log.append((peer.id, data["text"]))
        return {"status": "received", "timestamp": datetime.fromisoformat("2026-01-31T10:00Z")}


async def site(scope: Any, receive: Any, send: Any) -> None:
    """Any ASGI application: this one knows HTTP only."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def application() -> GatewayMiddleware:
    return GatewayMiddleware(site, gateways=[ChatGateway({"your-auth-token": "Alice"})])


def test_installing_it_brings_three_requirements() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    names = sorted(entry.partition(">")[0] for entry in project["dependencies"])
    assert names == ["anyio", "asgiref", "jsonschema"]


async def test_a_client_connects_sends_and_receives() -> None:
    async with (
        GatewayTestClient(application()) as client,
        client.connect("/chat?token=your-auth-token") as alice,
    ):
        await alice.send_text(
            json.dumps({"event": "message", "data": {"text": "Hello, server!", "user": "Alice"}})
        )
        assert await alice.receive_frame() == {
            "event": "message-received",
            "data": {"status": "received", "timestamp": "2026-01-31T10:00:00+00:00"},
        }


async def test_the_handler_is_told_who_sent_it() -> None:
    gateway = ChatGateway({"t": "Alice"})
    app = GatewayMiddleware(site, gateways=[gateway])
    async with GatewayTestClient(app) as client, client.connect("/chat?token=t") as alice:
        await alice.request("message", {"text": "Hello"})
        (peer,) = app.service.peers("/chat")
        assert gateway.log == [(peer.id, "Hello")]


@pytest.mark.parametrize("url", ["/chat", "/chat?token=", "/chat?token=wrong"])
async def test_a_client_without_a_valid_token_is_rejected(url: str) -> None:
    async with GatewayTestClient(application()) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect(url):
                pass
        assert (refused.value.status, refused.value.body) == (403, "Forbidden")


async def test_a_client_that_disconnects_is_forgotten() -> None:
    app = application()
    async with GatewayTestClient(app) as client:
        async with client.connect("/chat?token=your-auth-token") as alice:
            await alice.close()
            assert app.service.peers("/chat") == []


async def test_the_wrapped_application_goes_on_serving_http() -> None:
    app, sent = application(), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    async with GatewayTestClient(app):
        await app({"type": "http", "method": "GET", "path": "/chat"}, receive, send)
    assert [event.get("status", event.get("body")) for event in sent] == [200, b"hello"]
