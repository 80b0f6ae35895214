"""The handshake as the attempt hook sees it, and what the hook may answer.

Everything is read from the ASGI scope when it is asked for: an accessor that nobody uses costs
nothing, and none raises, whatever a client sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, cast
from urllib.parse import parse_qsl

__all__ = ["Accept", "ConnectionRequest", "Headers", "Query", "header_values"]


class Query(Mapping[str, str]):
    """Query parameters. As a mapping the last value of a name wins; `get_all` has every one."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs: tuple[tuple[str, str], ...] = tuple(pairs)
        self._last = dict(self.pairs)

    def get_all(self, name: str) -> list[str]:
        """Every value of `name`, in the order sent."""
        return [value for key, value in self.pairs if key == name]

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def __repr__(self) -> str:
        return f"Query({list(self._last)})"


class Headers(Mapping[str, str]):
    """Headers by name in any case, as latin-1 text.

    A repeated header reads as its values joined by a comma (RFC 9110, 5.3), cookies by a
    semicolon (RFC 6265, 4.2.1), so that a second one can never hide behind the first.
    """

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(_text(name).lower(), []).append(_text(value))
        self._values = values

    def get_all(self, name: str) -> list[str]:
        """Every value of `name`, in the order sent."""
        return list(self._values.get(name.lower(), ()))

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        return ("; " if name == "cookie" else ", ").join(self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({list(self._values)})"  # names only: values hold credentials


@dataclass(frozen=True, eq=False)
class ConnectionRequest:
    """One handshake.

    Attributes:
        scope: The ASGI scope, with what middleware outside this one put there. The wrapped
            application's own session and authentication have not run.
        namespace: The concrete path it is for, without a mount prefix or trailing slash.
        path_params: What `{name}` segments of the namespace matched.
    """

    scope: Mapping[str, Any] = field(repr=False)
    namespace: str
    path_params: dict[str, str]

    @cached_property
    def path(self) -> str:
        """The whole path as the server decoded it."""
        return str(self.scope.get("path") or "")

    @cached_property
    def query(self) -> Query:
        """All query parameters, repeated ones included; what is not UTF-8 reads as U+FFFD."""
        text = _text(self.scope.get("query_string") or b"", "utf-8")
        return Query(parse_qsl(text, keep_blank_values=True, errors="replace"))

    @cached_property
    def params(self) -> dict[str, str]:
        """Query parameters; the last value of a repeated one."""
        return dict(self.query)

    @cached_property
    def headers(self) -> Headers:
        """All headers."""
        return Headers(self.scope.get("headers") or ())

    @cached_property
    def cookies(self) -> dict[str, str]:
        """Cookies by name; what is not a cookie is passed over."""
        found: dict[str, str] = {}
        for part in self.headers.get("cookie", "").split(";"):
            name, separator, value = part.strip().partition("=")
            if separator and name:
                found[name] = _unquote(value)
        return found

    @property
    def origin(self) -> str | None:
        """The page that connects, as a browser says it; `None` without such a header."""
        return self.headers.get("origin")

    @property
    def host(self) -> str | None:
        """The `Host` header. The client chooses it."""
        return self.headers.get("host")

    @cached_property
    def ip(self) -> str | None:
        """The address the server saw, or `None` (a unix socket). Behind a proxy: the proxy's."""
        match self.scope.get("client"):
            case [str(address), *_] if address:
                return address
            case _:
                return None

    @property
    def scheme(self) -> str:
        """`"ws"` or `"wss"`, as the server saw it; daphne does not say, and reads as `"ws"`."""
        return str(self.scope.get("scheme") or "ws")

    @cached_property
    def subprotocols(self) -> tuple[str, ...]:
        """What the client offers, in its order."""
        return tuple(self.scope.get("subprotocols") or ())


def _text(value: Any, encoding: str = "latin-1") -> str:
    # Bytes, says ASGI; test clients and middlewares do not always keep to it.
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(encoding, "replace")
    return str(value)


_ESCAPED: Final = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL)


def _unquote(value: str) -> str:
    """Undoes what `http.cookies` does to a value with special characters."""
    if len(value) < 2 or not (value[0] == value[-1] == '"'):
        return value
    return _ESCAPED.sub(lambda found: found[2] or chr(int(found[1], 8)), value[1:-1])


def header_values(request: ConnectionRequest, name: str) -> list[str]:
    """Every value of one header, in the order sent, by its name in lower case.

    A request keeps its `headers` once they were asked for, and a connection its request: so they
    are not, unless they can be read only once.
    """
    headers: Any = request.scope.get("headers") or ()
    if not isinstance(headers, list | tuple):
        return request.headers.get_all(name)
    pairs = cast("Iterable[tuple[Any, Any]]", headers)
    wanted = name.encode("latin-1")
    return [
        _text(value)
        for key, value in pairs
        if (key.lower() == wanted if type(key) is bytes else _text(key).lower() == name)
    ]


@dataclass(frozen=True)
class Accept:
    """What the attempt hook returns to let a client in, with what it learnt about it.

    Attributes:
        user: Who it is; the address of `service.emit_to_user`.
        state: Becomes `peer.state`: a mapping, which is copied, or any object. Stays on this node.
        presence: JSON that others may see of it.
        subprotocol: One of those that the client offered.
        headers: Sent with the accept, a mapping or pairs of text; daphne and granian drop them.
        expires_at: When the connection ends by itself (4401): an aware `datetime`, or seconds
            since the epoch.
    """

    user: str | None = None
    state: Any = None
    presence: Any = None
    subprotocol: str | None = None
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    expires_at: datetime | float | None = None

    def __post_init__(self) -> None:
        if self.user is not None and not isinstance(self.user, str):
            raise TypeError(f"Accept(user=...) must be a str, not {type(self.user).__name__}")
        moment: Any = self.expires_at
        if not isinstance(moment, datetime | int | float | None):
            raise TypeError(
                f"Accept(expires_at=...) is a datetime or seconds, not a {type(moment).__name__}"
            )
        if isinstance(moment, datetime) and moment.tzinfo is None:
            raise ValueError("Accept(expires_at=...) needs a time zone")
