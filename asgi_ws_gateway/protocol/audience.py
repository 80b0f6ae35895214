"""To whom something is sent, and what: the value that emitters plan and the hub carries out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple, final

__all__ = ["ALL", "Audience", "Delivery", "DeliveryReport"]


@final
class Everyone:
    """The type of `ALL`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ALL"


ALL: Final = Everyone()
"""As a room: everyone in the namespace. `None` in its place is nobody."""


class Audience(NamedTuple):
    """The peers of one namespace, one of its rooms, or a single peer, less exclusions.

    Attributes:
        namespace: The concrete path.
        room: A room's name, `ALL`, or `None` for nobody.
        peer: The id of the only peer meant, if one is.
        exclude: Ids of peers who are left out.
    """

    namespace: str
    room: str | Everyone | None = ALL
    peer: str | None = None
    exclude: Collection[str] = ()


class Delivery(NamedTuple):
    """An audience and what it is sent.

    Attributes:
        audience: To whom.
        event: The event's name.
        data: Its data, not yet encoded.
        latest: A key: what is still unsent with the same event and key is replaced.
    """

    audience: Audience
    event: str
    data: Any
    latest: str | None = None


class DeliveryReport(NamedTuple):
    """What became of a send.

    Attributes:
        queued: How many peers of this node it was handed to.
        dropped: How many peers of this node it was lost for, by their overflow policy.
        relayed: Whether every other node could be told as well.
    """

    queued: int
    dropped: int
    relayed: bool
