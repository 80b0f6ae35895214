"""The demo's ASGI application: a page, and the gateway in front of it.

The page is a plain ASGI app of a few lines, which stands for an application in any framework.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from .. import GatewayMiddleware, WebSocketService
from .chat import ChatGateway

__all__ = ["application", "page", "service"]

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _files() -> dict[str, tuple[str, bytes]]:
    files = {
        f"/{file.name}": (MEDIA_TYPES[file.suffix], file.read_bytes())
        for file in Path(__file__).with_name("page").iterdir()
    }
    return {"/": files["/index.html"], **files}


FILES: Final = _files()


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Serves the page and its files, and has nothing to do with websockets."""
    if scope["type"] != "http":
        return
    media_type, body = FILES.get(scope["path"], ("text/plain", b""))
    status = 200 if body else 404
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", POLICY.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


service = WebSocketService()
service.register(ChatGateway(service))

application = GatewayMiddleware(page, service, unmatched="reject")
