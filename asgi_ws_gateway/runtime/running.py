"""One lifetime of a service: what all its connections share, and how anything is sent through it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from ..errors import UnknownNamespace
from ..limits import Limits
from ..protocol.audience import ALL, Audience, Delivery, DeliveryReport
from ..protocol.codec import Codec
from ..protocol.messages import RESERVED_EVENTS
from ..protocol.paths import normalise
from ..protocol.presence import Presence
from ..routing.table import Namespace, RoutingTable
from .admission import Admission
from .background import Background
from .hub import Hub, Member
from .telemetry import Telemetry
from .threads import Threads

__all__ = ["Running", "check_event"]


def check_event(event: str) -> None:
    """Raises for a name that the application may not send."""
    if not isinstance(event, str):
        raise TypeError(f"an event's name is a str, not {event!r}")
    if not event or event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} cannot be sent: it is empty or reserved")


class Running:
    """What connections and the service share while it runs.

    Args:
        table: What is registered.
        background: Tasks of this lifetime.
        threads: For plain `def` handlers.
        telemetry: Counts everything.
        limits: The service-wide ones.
        check_outgoing: Whether emitters' schemas are checked.
    """

    def __init__(
        self,
        table: RoutingTable,
        background: Background,
        threads: Threads,
        telemetry: Telemetry,
        *,
        limits: Limits,
        check_outgoing: bool,
    ) -> None:
        self.table = table
        self.background = background
        self.threads = threads
        self.telemetry = telemetry
        self.check_outgoing = check_outgoing
        self.hub = Hub()
        self.admission = Admission(limits)
        self.node = secrets.token_urlsafe(8)
        self.draining_since: datetime | None = None

    def deliver(self, delivery: Delivery) -> DeliveryReport:
        """Encodes it once, and hands it to everyone it is for. Waits for none.

        Raises:
            EncodeError: Nothing was sent.
            UnknownNamespace: Nobody can ever be there.
        """
        audience = delivery.audience
        namespace = self.namespace(audience.namespace)
        payload = namespace.codec.encode(delivery.event, delivery.data)
        return self.push(audience, delivery.event, payload, delivery.latest)

    def push(
        self, audience: Audience, event: str, payload: str | bytes, latest: str | None
    ) -> DeliveryReport:
        """Hands an encoded message to everyone in the audience."""
        members = self.hub.audience(audience)
        return self._push(members, audience.namespace, event, payload, latest, audience.exclude)

    def deliver_each(
        self, members: Iterable[Member], event: str, data: Any, latest: str | None
    ) -> DeliveryReport:
        """Hands one message to peers of any namespaces, encoded once a codec."""
        by_codec: dict[int, tuple[Codec, list[Member]]] = {}
        for member in members:
            codec = self.namespace(member.peer.namespace).codec
            by_codec.setdefault(id(codec), (codec, []))[1].append(member)
        encoded = [
            (codec.encode(event, data), together) for codec, together in by_codec.values()
        ]
        queued = dropped = 0
        for payload, together in encoded:
            report = self._push(together, together[0].peer.namespace, event, payload, latest, ())
            queued += report.queued
            dropped += report.dropped
        return DeliveryReport(queued, dropped, True)

    def namespace(self, path: str) -> Namespace:
        """What serves a concrete path.

        Raises:
            UnknownNamespace: Nothing does, or it is a pattern's own text.
        """
        match = self.table.find(normalise(path))
        if match is None or (match.params and match.path == match.target.pattern.text):
            raise UnknownNamespace(f"no gateway is registered for {path!r}")
        return match.target

    def presence(self, namespace: str, room: Any = ALL) -> list[Presence]:
        """Who is there, on this node."""
        self.namespace(namespace)
        return [
            Presence(
                member.id,
                member.peer.user,
                member.peer.namespace,
                member.peer.rooms,
                self.node,
                member.peer.presence,
            )
            for member in self.hub.audience(Audience(normalise(namespace), room))
        ]

    def _push(
        self,
        members: list[Member],
        namespace: str,
        event: str,
        payload: str | bytes,
        latest: str | None,
        exclude: Collection[str],
    ) -> DeliveryReport:
        key = None if latest is None else (event, latest)
        queued, dropped = self.hub.push(members, payload, key=key, exclude=exclude)
        self.telemetry.sent(namespace, event, queued, dropped)
        return DeliveryReport(queued, dropped, True)
