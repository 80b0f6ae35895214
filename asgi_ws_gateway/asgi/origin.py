"""Which pages may connect. A browser sends cookies along whichever page opens the socket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from ..request import ConnectionRequest

__all__ = ["origin_allowed"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def origin_allowed(request: ConnectionRequest, allowed: Sequence[str] | str) -> bool:
    """Whether the request's Origin is `allowed`: `"same-origin"`, a list of origins, or `"*"`.

    No Origin header at all is always allowed: no browser sends none. Several are refused, and so
    is `null`, unless listed.
    """
    if allowed == "*":
        return True
    origins = request.headers.get_all("origin")
    if not origins:
        return True
    if len(origins) != 1:
        return False
    origin = origins[0]
    if allowed == "same-origin":
        return _same_host(origin, request)
    if isinstance(allowed, str):
        allowed = (allowed,)
    parsed = _parse(origin)
    return any(
        origin == entry or (parsed is not None and parsed == _parse(entry)) for entry in allowed
    )


def _same_host(origin: str, request: ConnectionRequest) -> bool:
    """By host and port: a proxy may have ended TLS, so that the scheme we see is not the page's."""
    hosts = request.headers.get_all("host")
    parsed = _parse(origin)
    if len(hosts) != 1 or parsed is None:
        return False
    scheme, host, port = parsed
    default = _DEFAULT_PORTS.get(scheme)
    own = _parse(f"{scheme}://{hosts[0]}")
    return own is not None and default is not None and (host, port) == own[1:]


def _parse(origin: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port (RFC 6454, 4); `None` for anything that is not just that."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or not origin.isascii():
        return None
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    if any(character in origin for character in " \t\r\n\\"):
        return None
    if origin.endswith(("#", "?")):
        return None
    scheme = parts.scheme.lower()
    return scheme, parts.hostname, _DEFAULT_PORTS.get(scheme) if port is None else port
