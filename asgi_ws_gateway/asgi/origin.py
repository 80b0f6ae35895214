"""Which pages may connect. A browser sends cookies along whichever page opens the socket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..request import ConnectionRequest, header_values

__all__ = ["origin_allowed"]

# Not `urlsplit`, which passes over control characters.
_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{0,5}))?",
    re.ASCII | re.IGNORECASE,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def origin_allowed(request: ConnectionRequest, allowed: Sequence[str] | str) -> bool:
    """Whether the request's Origin is `allowed`: `"same-origin"`, a list of origins, or `"*"`.

    No Origin header at all is always allowed: no browser sends none. Several are refused, and so
    is `null`, unless listed.
    """
    if allowed == "*":
        return True
    origins = header_values(request, "origin")
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
    hosts = header_values(request, "host")
    parsed = _parse(origin)
    if len(hosts) != 1 or parsed is None:
        return False
    scheme, host, port = parsed
    if scheme not in _DEFAULT_PORTS:
        return False
    if origin[len(scheme) + 3 :] == hosts[0]:
        return True
    own = _parse(f"{scheme}://{hosts[0]}")
    return own is not None and (host, port) == own[1:]


def _parse(origin: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port (RFC 6454, 4); `None` for anything that is not just that."""
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return None
    scheme, host, port = found.groups()
    scheme = scheme.lower()
    return scheme, host.lower(), int(port) if port else _DEFAULT_PORTS.get(scheme)
