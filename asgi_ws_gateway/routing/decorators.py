"""The decorators: they attach marks and return the same function.

Nothing is checked here but what can only be a slip of the pen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from ..emitters import EmitterStrategy, Key, Room, ToAll, ToOthers, ToSender
from ..limits import DEFAULT, Limits
from ..protocol.audience import ALL
from ..protocol.codec import Codec
from ..validation import Validator

__all__ = [
    "MARKS",
    "NAMESPACE",
    "EmitterMark",
    "HandlerMark",
    "HookKind",
    "HookMark",
    "NamespaceMark",
    "broadcast",
    "broadcast_others",
    "emit",
    "emit_with",
    "fallback",
    "message",
    "namespace",
    "on_connect",
    "on_connection_attempt",
    "on_disconnect",
    "on_error",
]

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

MARKS = "__gateway_marks__"
"""Where a function keeps its marks, nearest decorator first."""

NAMESPACE = "__gateway_namespace__"
"""Where a class keeps its `NamespaceMark`."""

Schema: TypeAlias = "dict[str, Any] | bool | Validator | Any | None"
HookKind: TypeAlias = Literal["on_connection_attempt", "on_connect", "on_disconnect", "on_error"]


@dataclass(frozen=True, slots=True)
class NamespaceMark:
    """What `@namespace` says of a class."""

    path: str
    limits: Limits | None
    codec: Codec | None
    allowed_origins: Sequence[str] | str | None


@dataclass(frozen=True, slots=True)
class HandlerMark:
    """What `@message` says; `@fallback` when there is no event."""

    event: str | None
    schema: Schema = None
    timeout: Any = DEFAULT
    concurrent: bool = False
    cancel_on_disconnect: bool = False


@dataclass(frozen=True, slots=True)
class EmitterMark:
    """One emitter of a handler."""

    strategy: EmitterStrategy
    schema: Schema = None


@dataclass(frozen=True, slots=True)
class HookMark:
    """What the `@on_...` decorators say."""

    kind: HookKind


def _mark(function: F, mark: HandlerMark | EmitterMark | HookMark) -> F:
    # A new tuple, not a shared list: `functools.wraps` copies the attribute to other functions.
    setattr(function, MARKS, (*getattr(function, MARKS, ()), mark))
    return function


def _check_event(decorator: str, event: object) -> None:
    if callable(event):
        raise TypeError(f'@{decorator} needs an event name: write @{decorator}("...")')
    if not isinstance(event, str):
        raise TypeError(f"@{decorator}: an event name is a str, not {event!r}")


def namespace(
    path: str,
    *,
    limits: Limits | None = None,
    codec: Codec | None = None,
    allowed_origins: Sequence[str] | str | None = None,
) -> Callable[[C], C]:
    """Makes a class a gateway that serves `path`.

    Args:
        path: Such as `"/chat"`. `{name}` stands for one segment, and each concrete path is an
            audience of its own. A trailing slash is ignored; case matters.
        limits: In place of the service's, for the peers of this namespace.
        codec: In place of the service's.
        allowed_origins: In place of the service's: `"same-origin"`, a list, or `"*"`.
    """
    if not isinstance(path, str):
        raise TypeError('@namespace needs a path: write @namespace("/chat")')

    def decorate(cls: C) -> C:
        if not isinstance(cls, type):
            raise TypeError("@namespace goes on a class")
        setattr(cls, NAMESPACE, NamespaceMark(path, limits, codec, allowed_origins))
        return cls

    return decorate


def message(
    event: str,
    *,
    schema: Schema = None,
    timeout: float | None = DEFAULT,
    concurrent: bool = False,
    cancel_on_disconnect: bool = False,
) -> Callable[[F], F]:
    """Makes a method the handler of `event`.

    Args:
        event: Its name, up to 128 characters.
        schema: What its data must be: a JSON Schema (a `dict` or `bool`) or a `Validator`.
        timeout: Seconds; `None` for no limit, `limits.handler_timeout` when left out.
        concurrent: Later messages of the peer do not wait for it.
        cancel_on_disconnect: It is cancelled as soon as the peer leaves.
    """
    _check_event("message", event)

    def decorate(function: F) -> F:
        return _mark(
            function, HandlerMark(event, schema, timeout, concurrent, cancel_on_disconnect)
        )

    return decorate


def fallback(function: F) -> F:
    """Makes a method the handler `(event, data, peer)` of all events that have none."""
    return _mark(_function("fallback", function), HandlerMark(None))


def emit(event: str, *, schema: Schema = None) -> Callable[[F], F]:
    """Sends the result to the sender; the answer to a message that had an id."""
    _check_event("emit", event)
    return lambda function: _mark(function, EmitterMark(ToSender(event), schema))


def broadcast(
    event: str, *, room: Room = ALL, schema: Schema = None, latest: Key = None
) -> Callable[[F], F]:
    """Sends the result to everyone in the namespace, the sender included.

    Args:
        event: Its name.
        room: Only those in this room; or a callable `(data, peer)` that says which. `None` is
            nobody.
        schema: What the result must be.
        latest: A key, or a callable `(data, peer)`: what is still unsent with the same event and
            key is replaced.
    """
    _check_event("broadcast", event)
    return lambda function: _mark(function, EmitterMark(ToAll(event, room, latest), schema))


def broadcast_others(
    event: str, *, room: Room = ALL, schema: Schema = None, latest: Key = None
) -> Callable[[F], F]:
    """Sends the result to everyone in the namespace but the sender; arguments as `broadcast`."""
    _check_event("broadcast_others", event)
    return lambda function: _mark(function, EmitterMark(ToOthers(event, room, latest), schema))


def emit_with(strategy: EmitterStrategy) -> Callable[[F], F]:
    """Sends the result as a strategy of yours plans it; never the answer to an id."""
    if isinstance(strategy, type) or not isinstance(strategy, EmitterStrategy):
        raise TypeError(f"@emit_with needs an object with a plan() method, not {strategy!r}")
    return lambda function: _mark(function, EmitterMark(strategy))


def on_connection_attempt(function: F) -> F:
    """Makes a method the hook `(params, request)` that runs before a connection is accepted."""
    return _mark(_function("on_connection_attempt", function), HookMark("on_connection_attempt"))


def on_connect(function: F) -> F:
    """Makes a method the hook `(peer)` that runs after accept, before any message is handled."""
    return _mark(_function("on_connect", function), HookMark("on_connect"))


def on_disconnect(function: F) -> F:
    """Makes a method the hook `(peer, code, reason)` that runs once, last, for every peer."""
    return _mark(_function("on_disconnect", function), HookMark("on_disconnect"))


def on_error(function: F) -> F:
    """Makes a method the hook `(error, peer, event)` for exceptions of handlers.

    It may return a `MessageRejected` to send in place of the fixed sentence.
    """
    return _mark(_function("on_error", function), HookMark("on_error"))


def _function(decorator: str, function: F) -> F:
    given: object = function
    if not (callable(given) or isinstance(given, classmethod)):
        raise TypeError(f"@{decorator} takes no argument: {given!r}; write it without parentheses")
    return function
