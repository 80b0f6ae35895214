"""Applications with rooms, and with ever more events, by hand and as gateways.

With rooms, a peer is in the room that its query names, and what it says goes there. With events,
the path says how many there are.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgi_ws_gateway import (
    GatewayMiddleware,
    Peer,
    broadcast,
    emit,
    message,
    namespace,
    on_connect,
)
from benchmarks.apps.by_hand import Receive, Send, lifespan

__all__ = ["EVENTS", "events_by_hand", "events_gateway", "rooms_by_hand", "rooms_gateway"]

EVENTS: Final = (1, 10, 100, 1_000)

_rooms: defaultdict[str, set[Send]] = defaultdict(set)


async def rooms_by_hand(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    room = scope["query_string"].decode().partition("=")[2]
    await receive()
    await send({"type": "websocket.accept"})
    _rooms[room].add(send)
    try:
        while "text" in (received := await receive()):
            said = {"event": "said", "data": json.loads(received["text"])["data"]}
            told = {"type": "websocket.send", "text": json.dumps(said)}
            for one in tuple(_rooms[room]):
                await one(told)
    finally:
        _rooms[room].discard(send)


def _room(data: Any, peer: Peer) -> str:
    return peer.params["room"]


@namespace("/")
class Rooms:
    @on_connect
    async def entered(self, peer: Peer) -> None:
        peer.join(peer.params["room"])

    @message("say")
    @broadcast("said", room=_room)
    async def say(self, data: Any) -> Any:
        return data


rooms_gateway = GatewayMiddleware(None, gateways=[Rooms()])


async def _answer(data: Any) -> dict[str, Any]:
    return {}


_handlers: dict[str, dict[str, Callable[[Any], Awaitable[Any]]]] = {
    f"/{count}": {f"event{number}": _answer for number in range(count)} for count in EVENTS
}


async def events_by_hand(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    handlers = _handlers[scope["path"]]
    await receive()
    await send({"type": "websocket.accept"})
    while "text" in (received := await receive()):
        envelope = json.loads(received["text"])
        answer = {"event": "pong", "data": await handlers[envelope["event"]](envelope["data"])}
        await send({"type": "websocket.send", "text": json.dumps(answer)})


def _handler(event: str) -> Callable[..., Any]:
    @message(event)
    @emit("pong")
    async def handle(self: object, data: Any) -> dict[str, Any]:
        return {}

    return handle


def _with_events(count: int) -> object:
    members = {f"on_{number}": _handler(f"event{number}") for number in range(count)}
    return namespace(f"/{count}")(type(f"Events{count}", (), members))()


events_gateway = GatewayMiddleware(None, gateways=[_with_events(count) for count in EVENTS])
