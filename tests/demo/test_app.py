"""The demo's page as plain ASGI, and the whole application."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_ws_gateway.demo.app import FILES, application
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient


async def get(path: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    await application(scope, None, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize("path", sorted(FILES))
async def test_every_file_is_served_with_its_type(path: str) -> None:
    status, headers, body = await get(path)
    assert status == 200
    assert body
    assert headers[b"content-length"] == str(len(body)).encode()
    assert headers[b"content-type"].decode() == FILES[path][0]
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")


def test_no_file_speaks_of_another_host() -> None:
    for path, (_, body) in FILES.items():
        # The one address is a name: that of SVG's XML namespace.
        text = body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"://" not in text, path


async def test_head_has_no_body() -> None:
    status, headers, body = await get("/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers[b"content-length"]) > 0


@pytest.mark.parametrize("path", ["/nothing", "/../app.py", "/page/index.html"])
async def test_anything_else_is_not_found(path: str) -> None:
    assert (await get(path))[0] == 404


async def test_the_chat_is_in_front_of_the_page() -> None:
    async with GatewayTestClient(application) as client:
        async with client.connect("/chat?name=Otter") as otter:
            assert (await otter.receive("welcome"))["people"][0]["name"] == "Otter"
        with pytest.raises(ConnectionDenied):
            async with client.connect("/elsewhere"):
                pass
