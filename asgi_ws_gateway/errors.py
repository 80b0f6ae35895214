"""Every exception of this library, in one tree, and the issue a validator reports.

The lowest layer: it imports nothing of the package, so everything may raise from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

__all__ = [
    "AskRejected",
    "AskTimeout",
    "BackplaneError",
    "ConfigurationError",
    "ConnectionRejected",
    "EncodeError",
    "GatewayError",
    "Issue",
    "LimitReached",
    "MessageRejected",
    "PeerClosed",
    "ServiceNotRunning",
    "UnknownNamespace",
    "ValidationFailed",
]


class GatewayError(Exception):
    """The base of every exception that this library raises on purpose."""


class ConfigurationError(GatewayError):
    """What `register()` raises: every mistake found, each with `Class.method` and what to do."""

    def __init__(self, mistakes: str | Iterable[str]) -> None:
        self.mistakes: tuple[str, ...] = (
            (mistakes,) if isinstance(mistakes, str) else tuple(mistakes)
        )
        super().__init__("\n".join(self.mistakes))


class ConnectionRejected(GatewayError):
    """Raise it in the attempt hook to refuse a handshake with a status of your choice.

    Args:
        reason: The body of the refusal. The client reads it: keep secrets out.
        status: An HTTP status from 400 to 599. A server without the denial response
            extension (daphne) always answers 403.
        headers: Further headers of the refusal: a mapping, or pairs of text.
        close_code: From 4000 to 4999: accept, then close at once with this code and
            `reason`. For browsers, which cannot see the status of a refused handshake.
    """

    def __init__(
        self,
        reason: str = "Forbidden",
        status: int = 403,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        close_code: int | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"status must be from 400 to 599, not {status!r}")
        if close_code is not None and not 4000 <= close_code <= 4999:
            raise ValueError(f"close_code must be from 4000 to 4999, not {close_code!r}")
        self.reason = reason
        self.status = status
        self.headers: tuple[tuple[str, str], ...] = tuple(
            cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
        )
        self.close_code = close_code
        super().__init__(reason)


class MessageRejected(GatewayError):
    """Raise it in a handler to answer the message with an error of your own.

    It is the one exception whose text reaches the client.

    Args:
        code: The error's `code`, for programs.
        message: The error's `message`, for people; a fixed sentence when empty.
        data: JSON for the error's `data`; left out when `None`.
    """

    def __init__(self, code: str = "rejected", message: str = "", *, data: Any = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(code, message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else str(self.code)


class LimitReached(MessageRejected, ValueError):
    """A limit that a client can make grow; uncaught, the client is told `limit_reached`."""

    def __init__(self, message: str = "") -> None:
        super().__init__("limit_reached", message)
        self.args = (message,)  # what a copy is made with


class EncodeError(GatewayError):
    """A value that the codec cannot put on the wire: nothing of it was sent."""


class UnknownNamespace(GatewayError):
    """No gateway is registered for this path."""


class ServiceNotRunning(GatewayError):
    """The service was asked to send outside its lifetime; see `async with service`."""


class PeerClosed(GatewayError):
    """The peer left before it answered."""


class AskTimeout(GatewayError):
    """The peer did not answer a question in time."""


class AskRejected(GatewayError):
    """The peer answered a question with an error."""

    def __init__(self, code: str, message: str = "", data: Any = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"{code}: {message}" if message else code)


class BackplaneError(GatewayError):
    """The broker did not take a message."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One reason why data was refused.

    Attributes:
        path: A JSON Pointer (RFC 6901) into `data`; `""` is `data` itself.
        message: For people, built from the schema, never from the refused value.
        rule: The schema keyword that refused, such as `minLength`.
    """

    path: str
    message: str
    rule: str


class ValidationFailed(GatewayError):
    """What `Validator.validate` raises; the client is told its issues."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        self.issues: tuple[Issue, ...] = tuple(issues)
        super().__init__(self.issues)

    def __str__(self) -> str:
        return "; ".join(f"{issue.path or '/'}: {issue.message}" for issue in self.issues)
