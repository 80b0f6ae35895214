"""What has been registered, compiled for use and frozen: which path, which event, which method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ..emitters import EmitterStrategy
from ..limits import Limits
from ..protocol.codec import Codec
from ..protocol.paths import Match, PathTable, Pattern
from ..validation import Validator

__all__ = ["Emitter", "Hook", "Kind", "Namespace", "Route", "RoutingTable"]


class Kind(Enum):
    """How a method is run."""

    COROUTINE = auto()
    THREAD = auto()
    """A plain `def`."""
    STREAM = auto()
    """An asynchronous generator."""
    THREAD_STREAM = auto()
    """A plain generator, each step in a thread."""

    @property
    def threaded(self) -> bool:
        """Whether it runs in a thread, and so is given a `BlockingPeer`."""
        return self in (Kind.THREAD, Kind.THREAD_STREAM)

    @property
    def streams(self) -> bool:
        """Whether it yields results."""
        return self in (Kind.STREAM, Kind.THREAD_STREAM)


@dataclass(frozen=True, slots=True)
class Emitter:
    """A strategy bound to a handler.

    Attributes:
        answers: It is the handler's `@emit`: what it plans goes to the sender and answers an id.
    """

    strategy: EmitterStrategy
    answers: bool
    validator: Validator | None


@dataclass(frozen=True, slots=True)
class Route:
    """A handler compiled for use.

    Attributes:
        label: `Class.method`, for logs.
        event: `None` for the fallback.
        call: Takes the data (the fallback's: event and data) and the peer, whatever the method
            takes.
        answer: The event that a result is sent back as, if it has no other use: that of its only
            emitter, or `ack` where it has none.
        timeout: Seconds, `None`, or `DEFAULT`.
    """

    label: str
    event: str | None
    kind: Kind
    call: Callable[[Any, Any], Any]
    validator: Validator | None
    emitters: tuple[Emitter, ...]
    answer: str | None
    timeout: Any
    concurrent: bool
    cancel_on_disconnect: bool


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook compiled for use: `call` takes the whole tuple of its kind."""

    label: str
    kind: Kind
    call: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A path or pattern, and what serves it: the service's options where it has none of its own."""

    pattern: Pattern
    label: str
    gateway: object
    limits: Limits
    codec: Codec
    allowed_origins: Sequence[str] | str
    routes: dict[str, Route]
    fallback: Route | None
    on_connection_attempt: Hook | None
    on_connect: Hook | None
    on_disconnect: Hook | None
    on_error: Hook | None


class RoutingTable:
    """All namespaces."""

    def __init__(self) -> None:
        self._paths: PathTable[Namespace] = PathTable()
        self._namespaces: list[Namespace] = []

    def __iter__(self) -> Iterator[Namespace]:
        return iter(self._namespaces)

    def add(self, namespace: Namespace) -> Namespace | None:
        """Adds it, or returns the one that already serves the same paths."""
        rival = self._paths.add(namespace.pattern, namespace)
        if rival is None:
            self._namespaces.append(namespace)
        return rival

    def find(self, path: str) -> Match[Namespace] | None:
        """What serves a path as the server decoded it."""
        return self._paths.find(path)
