"""One lifetime of a service: what all its connections share, and everything it can be asked to do.

Only `drain` waits. The service makes coroutines of the rest, and `blocking` calls for threads.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from ..errors import UnknownNamespace
from ..limits import Limits
from ..peer import BlockingPeer, Peer
from ..protocol.audience import Audience, Delivery, DeliveryReport, Everyone
from ..protocol.close_codes import GOING_DOWN, Close, check_code, cut_reason
from ..protocol.codec import Codec
from ..protocol.messages import RESERVED_EVENTS
from ..protocol.paths import normalise
from ..protocol.presence import Presence
from ..routing.table import Namespace, RoutingTable
from .admission import Admission
from .background import Background
from .hub import Hub, Member
from .invoke import Reason, Stage
from .patience import HURRIED_SECONDS
from .telemetry import Telemetry
from .threads import Threads

__all__ = ["AnyPeer", "Running", "check_event"]

DRAINED_TOGETHER: Final = 100
"""So many peers are closed before others, who may be served by the same loop, have a turn."""

AnyPeer: TypeAlias = Peer[Any] | BlockingPeer[Any]


def check_event(event: str) -> None:
    """Raises for a name that the application may not send."""
    if not isinstance(event, str):
        raise TypeError(f"an event's name is a str, not {event!r}")
    if not event or event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} cannot be sent: it is empty or reserved")


class Running:
    """What connections and the service share while it runs; used on its own event loop only.

    What the calls mean stands at `WebSocketService`.

    Args:
        table: What is registered.
        background: Tasks of this lifetime.
        threads: For plain `def` handlers.
        telemetry: Counts everything.
        limits: The service-wide ones.
        codec: The service's.
        check_outgoing: Whether emitters' schemas are checked.

    Attributes:
        node: Names this node, and this start of it.
        attempts: Where attempt hooks run.
        draining_since: Since when nobody is let in any more.
        failed_since: Since when the user's lifespan has failed.
    """

    def __init__(
        self,
        table: RoutingTable,
        background: Background,
        threads: Threads,
        telemetry: Telemetry,
        *,
        limits: Limits,
        codec: Codec,
        check_outgoing: bool,
    ) -> None:
        self.table = table
        self.background = background
        self.threads = threads
        self.telemetry = telemetry
        self.check_outgoing = check_outgoing
        self._codec = codec
        self.hub = Hub()
        self.admission = Admission(limits)
        self.attempts: set[Stage] = set()
        self.node = secrets.token_urlsafe(8)
        self.draining_since: datetime | None = None
        self.failed_since: datetime | None = None

    def emit(
        self, peer_or_id: AnyPeer | str, event: str, data: Any, latest: str | None
    ) -> DeliveryReport:
        """Sends to one peer."""
        check_event(event)
        member = self.hub.find(_id(peer_or_id))
        return self._deliver_each([] if member is None else [member], event, data, latest)

    def emit_to_user(
        self, user: str, event: str, data: Any, namespace: str | None, latest: str | None
    ) -> DeliveryReport:
        """Sends to all peers of a user."""
        check_event(event)
        members = self.hub.user(user)
        if namespace is not None:
            self.namespace(namespace)
            path = normalise(namespace)
            members = [member for member in members if member.peer.namespace == path]
        return self._deliver_each(members, event, data, latest)

    def broadcast(
        self,
        namespace_or_peer: AnyPeer | str,
        event: str,
        data: Any,
        room: str | Everyone | None,
        exclude: AnyPeer | str | Collection[AnyPeer | str],
        latest: str | None,
    ) -> DeliveryReport:
        """Sends to everyone in a namespace or room."""
        check_event(event)
        path = _path(namespace_or_peer)
        audience = Audience(normalise(path), room, None, _ids(exclude))
        return self.deliver(Delivery(audience, event, data, latest))

    def deliver(self, delivery: Delivery) -> DeliveryReport:
        """Encodes it once, and hands it to everyone it is for."""
        codec = self.namespace(delivery.audience.namespace).codec
        payload = codec.encode(delivery.event, delivery.data)
        return self.push(delivery, payload)

    def push(self, delivery: Delivery, payload: str | bytes) -> DeliveryReport:
        """Hands a delivery that is encoded already to everyone it is for."""
        audience = delivery.audience
        members = self.hub.audience(audience)
        return self._push(members, delivery, payload)

    def disconnect(self, peer_or_id: AnyPeer | str, code: int, reason: str) -> None:
        """Closes one peer."""
        check_code(code)
        member = self.hub.find(_id(peer_or_id))
        if member is not None:
            member.close_soon(Close(code, cut_reason(reason)))

    def disconnect_user(self, user: str, code: int, reason: str) -> None:
        """Closes all peers of a user."""
        check_code(code)
        for member in self.hub.user(user):
            member.close_soon(Close(code, cut_reason(reason)))

    def peers(self, namespace: str, room: str | Everyone) -> list[Peer[Any]]:
        """Who is in a namespace or room, on this node."""
        self.namespace(namespace)
        members = self.hub.audience(Audience(normalise(namespace), room))
        return [member.peer for member in members]

    def peer(self, id: str) -> Peer[Any] | None:
        """The peer with this id, if it is on this node."""
        member = self.hub.find(id)
        return None if member is None else member.peer

    def presence(self, namespace: str, room: str | Everyone) -> list[Presence]:
        """Who is in a namespace or room."""
        return [
            Presence(peer.id, peer.user, peer.namespace, peer.rooms, self.node, peer.presence)
            for peer in self.peers(namespace, room)
        ]

    async def drain(self, grace: float) -> None:
        """Lets nobody in any more, and closes everyone."""
        if self.draining_since is None:
            self.draining_since = datetime.now(UTC)
        with anyio.move_on_after(grace + 1.0):
            async with anyio.create_task_group() as group:
                for number, member in enumerate(list(self.hub), 1):
                    group.start_soon(member.drain, grace)
                    if number % DRAINED_TOGETHER == 0:
                        await checkpoint()
        # Whoever's turn has not come.
        for member in self.hub:
            member.close_soon(GOING_DOWN)

    def abort_attempts(self) -> None:
        """Interrupts attempt hooks, which have little time to end."""
        for stage in self.attempts:
            stage.interrupt(Reason.GONE, HURRIED_SECONDS)

    def namespace(self, path: str) -> Namespace:
        """What serves a concrete path.

        Raises:
            UnknownNamespace: Nothing does, or it is a pattern's own text.
        """
        match = self.table.find(normalise(path))
        if match is None or (match.params and match.path == match.target.pattern.text):
            raise UnknownNamespace(f"no gateway is registered for {path!r}")
        return match.target

    def _deliver_each(
        self, members: list[Member], event: str, data: Any, latest: str | None
    ) -> DeliveryReport:
        """Hands one message to peers of any namespaces, encoded once a codec."""
        if not members:
            # What cannot be sent is an error whoever happens to be here.
            self._codec.encode(event, data)
        by_codec: dict[int, tuple[Codec, list[Member]]] = {}
        for member in members:
            codec = self.namespace(member.peer.namespace).codec
            by_codec.setdefault(id(codec), (codec, []))[1].append(member)
        encoded = [(codec.encode(event, data), together) for codec, together in by_codec.values()]
        queued = dropped = 0
        for payload, together in encoded:
            audience = Audience(together[0].peer.namespace)
            report = self._push(together, Delivery(audience, event, data, latest), payload)
            queued += report.queued
            dropped += report.dropped
        return DeliveryReport(queued, dropped, True)

    def _push(
        self, members: list[Member], delivery: Delivery, payload: str | bytes
    ) -> DeliveryReport:
        event, audience = delivery.event, delivery.audience
        key = None if delivery.latest is None else (event, delivery.latest)
        queued, dropped = self.hub.push(members, payload, key=key, exclude=audience.exclude)
        self.telemetry.stats.queued += queued
        if self.telemetry.observed:
            self.telemetry.sent(audience.namespace, event, queued, dropped)
        return DeliveryReport(queued, dropped, True)


def _path(namespace_or_peer: AnyPeer | str) -> str:
    if isinstance(namespace_or_peer, str):
        return namespace_or_peer
    return namespace_or_peer.namespace


def _id(peer_or_id: AnyPeer | str) -> str:
    return peer_or_id if isinstance(peer_or_id, str) else peer_or_id.id


def _ids(peers: AnyPeer | str | Collection[AnyPeer | str]) -> tuple[str, ...]:
    if isinstance(peers, str | Peer | BlockingPeer):
        return (_id(peers),)
    return tuple(_id(peer) for peer in peers)
