"""From a result to what is sent: all of it planned, checked and encoded before any of it goes."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..emitters import SKIP
from ..errors import EncodeError, ValidationFailed
from ..protocol.audience import Delivery, Everyone
from ..protocol.codec import Codec
from ..protocol.messages import Message, MessageId
from ..routing.table import Emitter, Route
from .origin import Origin
from .running import Running, check_event

__all__ = ["Emission"]


class _Planned(NamedTuple):
    event: str
    payload: str | bytes
    delivery: Delivery | None
    """`None`: it goes to the sender, as the answer if there is to be one."""


class Emission:
    """Sends the results of one namespace's handlers.

    Args:
        running: The service's lifetime.
        codec: The namespace's.
    """

    __slots__ = ("_codec", "_running")

    def __init__(self, running: Running, codec: Codec) -> None:
        self._running = running
        self._codec = codec

    def answer(self, route: Route, message: Message, result: Any, origin: Origin) -> bool:
        """Sends a result that has no other use than to answer, if nothing waits to be sent.

        Returns whether it did: else `emit` it. Most messages need no more, and no coroutine.
        """
        event = route.answer
        if event is None or result is SKIP or not origin.writer.idle:
            return False
        id = message.id
        if id is not None:
            origin.reply(event, self._codec.encode(event, result, id), answer=True)
        elif event != "ack":
            origin.reply(event, self._codec.encode(event, result), answer=False)
        return True

    async def emit(
        self, route: Route, message: Message, value: Any, result: Any, origin: Origin
    ) -> None:
        """Sends all that a handler's result leads to, the answer included."""
        if result is SKIP:
            if message.id is not None:
                await self.acknowledge(None, message.id, origin)
            return
        planned = self._plan(route, message, value, result, origin, False)
        if message.id is not None and not any(item.delivery is None for item in planned):
            payload = self._codec.encode("ack", result, message.id)
            planned.append(_Planned("ack", payload, None))
        await self._send(planned, message, origin)

    async def emit_value(
        self, route: Route, message: Message, value: Any, result: Any, origin: Origin
    ) -> None:
        """Sends all that one value of a stream leads to; its end is acknowledged later."""
        planned = self._plan(route, message, value, result, origin, True)
        await self._send(planned, message, origin)

    async def acknowledge(self, data: Any, id: MessageId, origin: Origin) -> None:
        """Answers a message whose handler has no `@emit`, or skipped it."""
        payload = self._codec.encode("ack", data, id)
        await origin.make_room([payload])
        origin.reply("ack", payload, answer=True)

    def _plan(
        self,
        route: Route,
        message: Message,
        value: Any,
        result: Any,
        origin: Origin,
        more: bool,
    ) -> list[_Planned]:
        """Everything a result leads to, encoded: nothing can go wrong once the first is sent."""
        planned: list[_Planned] = []
        for emitter in route.emitters:
            if emitter.validator is not None and self._running.check_outgoing:
                _check_outgoing(emitter, result)
            delivery = emitter.strategy.plan(result, value, origin.peer)
            if delivery is None:
                continue
            if emitter.answers:
                id = message.id
                payload = self._codec.encode(
                    delivery.event, delivery.data, id, more and id is not None
                )
                planned.append(_Planned(delivery.event, payload, None))
                continue
            _check_delivery(delivery)
            codec = self._running.namespace(delivery.audience.namespace).codec
            payload = codec.encode(delivery.event, delivery.data)
            planned.append(_Planned(delivery.event, payload, delivery))
        return planned

    async def _send(self, planned: list[_Planned], message: Message, origin: Origin) -> None:
        if not origin.writer.idle:
            await origin.make_room([item.payload for item in planned if item.delivery is None])
        for event, payload, delivery in planned:
            if delivery is None:
                origin.reply(event, payload, answer=message.id is not None)
            else:
                self._running.push(delivery, payload)
        background = self._running.background
        if background.pressed:
            await background.relieve()


def _check_delivery(delivery: Delivery) -> None:
    """A strategy may be anybody's: what would fail while sending has to fail before."""
    check_event(delivery.event)
    room = delivery.audience.room
    if not (room is None or isinstance(room, str | Everyone)):
        raise TypeError(f"a room is a str, ALL or None, not {room!r}")
    if not (delivery.latest is None or isinstance(delivery.latest, str)):
        raise TypeError(f"a latest key is a str or None, not {delivery.latest!r}")


def _check_outgoing(emitter: Emitter, result: Any) -> None:
    assert emitter.validator is not None
    try:
        emitter.validator.validate(result)
    except ValidationFailed as error:
        event = getattr(emitter.strategy, "event", type(emitter.strategy).__name__)
        raise EncodeError(f"the result does not match the schema of {event!r}: {error}") from error
