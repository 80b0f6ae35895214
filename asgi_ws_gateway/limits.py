"""Every limit in one place, each with its unit and default.

Whatever a client can make grow has a limit here. `None` switches a limit off.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Literal, final

__all__ = ["DEFAULT", "SERVICE_WIDE", "Limits", "Overflow"]


@final
class _Default:
    __slots__ = ()

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final[Any] = _Default()
"""In place of a number: what `Limits` says."""

Overflow = Literal["close", "drop_oldest", "drop_newest"]

# What describes the process rather than a peer, and so cannot differ between namespaces.
SERVICE_WIDE = frozenset({"max_attempts", "max_connections", "max_connections_per_ip", "threads"})

_MAY_BE_ZERO = frozenset({"outbox_bytes", "outbox_messages", "linger"})

# The others count something.
_FRACTIONAL = frozenset(
    {
        "ask_timeout",
        "attempt_timeout",
        "handler_timeout",
        "heartbeat",
        "linger",
        "rate",
        "send_timeout",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one service, or one namespace of it, allows.

    Attributes:
        max_message_bytes: Of one incoming message, in bytes of UTF-8. Over it the client is told
            `message_too_large` before anything is parsed.
        max_depth: How deep objects and arrays of one incoming message may nest, the envelope
            included. Over it: `invalid_json`, before anything is parsed.
        outbox_bytes: What may wait unsent for one peer; an empty outbox takes one message of any
            size.
        outbox_messages: The same, counted in messages.
        overflow: What happens at these two: `"close"` the peer with 1013, `"drop_oldest"` or
            `"drop_newest"`. The answer to a message that had an id is never dropped.
        send_timeout: Seconds that one send may hang before its peer is dropped (1013), and that a
            handler waits for room in its own peer's outbox.
        inbox_messages: How many messages of one peer may wait for their handler; the socket is not
            read on while so many do. Also how many `concurrent=True` handlers a peer may have.
        rate: Messages a second and peer; `None` for no limit.
        burst: How many messages may come at once; `None` for as many as one second allows.
        attempt_timeout: Seconds for the attempt hook (503). daphne gives up after 5 by itself.
        max_attempts: Attempt hooks under way at once in the service (503).
        handler_timeout: Seconds for a handler, each step of a generator, and the connect hook.
        linger: Seconds that the handlers of a peer that has gone may still run, and then again its
            disconnect hook.
        ask_timeout: Seconds for the answer to `peer.ask`.
        max_pending_asks: Questions under way at once for one peer.
        heartbeat: Seconds of silence after which a peer is sent a `heartbeat`; silent as long
            again, it is closed with 4408. Off by default.
        max_rooms: Rooms that one peer may be in.
        max_room_length: Characters of a room's name.
        max_connections: Open connections of the service (503).
        max_connections_per_ip: The same for one client address (429).
        threads: Worker threads for plain `def` handlers; further ones wait their turn.
    """

    max_message_bytes: int | None = 1024 * 1024
    max_depth: int | None = 64
    outbox_bytes: int | None = 1024 * 1024
    outbox_messages: int | None = 1024
    overflow: Overflow = "close"
    send_timeout: float | None = 10.0
    inbox_messages: int | None = 64
    rate: float | None = None
    burst: int | None = None
    attempt_timeout: float | None = 4.0
    max_attempts: int | None = 1000
    handler_timeout: float | None = 30.0
    linger: float | None = 5.0
    ask_timeout: float | None = 30.0
    max_pending_asks: int | None = 64
    heartbeat: float | None = None
    max_rooms: int | None = 128
    max_room_length: int | None = 128
    max_connections: int | None = None
    max_connections_per_ip: int | None = None
    threads: int | None = 40

    def __post_init__(self) -> None:
        if self.overflow not in ("close", "drop_oldest", "drop_newest"):
            raise ValueError(
                f"overflow must be 'close', 'drop_oldest' or 'drop_newest', not {self.overflow!r}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "overflow" or value is None:
                continue
            fractional = field.name in _FRACTIONAL
            if isinstance(value, bool) or not isinstance(value, int | float if fractional else int):
                kind = "a number" if fractional else "a whole number"
                raise TypeError(f"{field.name} must be {kind} or None, not {value!r}")
            if not (value > 0 or (value == 0 and field.name in _MAY_BE_ZERO)):
                raise ValueError(f"{field.name} must be above zero, not {value!r}")
        if self.burst is not None and self.rate is None:
            raise ValueError("burst does nothing without rate")
