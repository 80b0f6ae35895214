"""Who is there: what one peer shows of itself to others."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Presence"]


class Presence(NamedTuple):
    """One peer as others may see it.

    Attributes:
        peer_id: Its id; good for `service.emit`.
        user: What the attempt hook said, if it did.
        namespace: Its concrete path.
        rooms: The rooms it is in.
        node: The node that serves it.
        data: What `Accept(presence=...)` gave.
    """

    peer_id: str
    user: str | None
    namespace: str
    rooms: frozenset[str]
    node: str
    data: Any
