"""The ASGI scope of a websocket handshake, as a server with every extension would make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import unquote, urlsplit

__all__ = ["HeaderPairs", "websocket_scope"]

HeaderPairs: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]]"


def websocket_scope(
    url: str,
    *,
    headers: HeaderPairs = (),
    subprotocols: Iterable[str] = (),
    client: tuple[str, int] | None = ("testclient", 50000),
) -> dict[str, Any]:
    """A scope for `url`, such as `"/chat?token=t"` or `"ws://example.org/chat"`."""
    parts = urlsplit(url)
    pairs: list[tuple[str, str]] = list(
        cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    )
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("host", parts.netloc or "testserver"))
    path = parts.path or "/"
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": parts.scheme or "ws",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs
        ],
        "client": client,
        "server": (parts.hostname or "testserver", parts.port or 80),
        "subprotocols": list(subprotocols),
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
