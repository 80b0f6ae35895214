"""The demo's one gateway: rooms, presence, typing, private messages, invitations and a form.

It keeps nothing of its own. Who is here, and in which rooms, is what the service knows anyway.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Any, Final
from zlib import crc32

from .. import (
    SKIP,
    Accept,
    AskRejected,
    AskTimeout,
    ConnectionRejected,
    Limits,
    MessageRejected,
    Peer,
    PeerClosed,
    WebSocketService,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)

__all__ = ["LOBBY", "PATH", "ChatGateway"]

PATH: Final = "/chat"
LOBBY: Final = "lobby"

# Close codes of ours, after the HTTP status that says the same. A browser shows a page the code and
# the reason of a close, but never the status of a refused handshake.
INVALID_NAME: Final = 4400
NAME_TAKEN: Final = 4409
OPENED_ELSEWHERE: Final = 4410

NAME: Final = re.compile(r"\w[\w .'-]{0,18}\w")
TONES: Final = 8
ANSWER_SECONDS: Final = 30.0


def record(**properties: Any) -> dict[str, Any]:
    """A JSON Schema: an object with exactly these properties."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def text(shortest: int, longest: int) -> dict[str, Any]:
    """A JSON Schema: a string of that length."""
    return {"type": "string", "minLength": shortest, "maxLength": longest}


ROOM: Final = {"type": "string", "pattern": "^[a-z0-9-]{1,24}$"}
EVENT: Final = record(
    room=ROOM,
    title=text(3, 60),
    seats={"type": "integer", "minimum": 1, "maximum": 20},
    contact={"type": "string", "format": "email", "maxLength": 80},
    venue=record(
        street=text(3, 60),
        city=text(2, 40),
        postcode=text(4, 10),
    ),
)


def named_room(data: dict[str, Any], peer: Peer) -> str:
    """For emitters: the room that a message names."""
    room: str = data["room"]
    return room


def typing_key(data: dict[str, Any], peer: Peer) -> str:
    """Of several unsent typing notices of one peer in one room, the last is enough."""
    return f"{peer.id} {data['room']}"


def require_member(peer: Peer, room: str) -> None:
    """Refuses a message into a room that its sender is not in."""
    if room not in peer.rooms:
        raise MessageRejected("not_in_room", f"You are not in #{room}")


def describe(peer: Peer) -> dict[str, Any]:
    """What the others are told about a peer."""
    return {
        "id": peer.id,
        "name": peer.user,
        "tone": peer.presence["tone"],
        "rooms": sorted(peer.rooms),
    }


@namespace(PATH, limits=Limits(heartbeat=30, rate=20, burst=60, max_rooms=12))
class ChatGateway:
    """The chat.

    Args:
        service: What it is registered with: for private messages, and to see who is here.
    """

    def __init__(self, service: WebSocketService) -> None:
        self.service = service

    @on_connection_attempt
    async def admit(self, params: dict[str, str]) -> Accept:
        """Lets in everyone with a fit name that is free, or their own from another connection."""
        name = " ".join(params.get("name", "").split())
        key = params.get("key") or secrets.token_hex()
        if not NAME.fullmatch(name):
            raise ConnectionRejected(
                "A name has 2 to 20 letters or digits", status=400, close_code=INVALID_NAME
            )
        for other in self.service.peers(PATH):
            if other.user is None or other.user.casefold() != name.casefold():
                continue
            if not secrets.compare_digest(other.state["key"].encode(), key.encode()):
                raise ConnectionRejected(
                    f"{other.user} is here already: choose another name",
                    status=409,
                    close_code=NAME_TAKEN,
                )
            # They come back before we noticed that they had gone.
            await self.service.disconnect(other, OPENED_ELSEWHERE, "You opened the chat elsewhere")
        tone = crc32(name.casefold().encode()) % TONES
        return Accept(user=name, state={"key": key}, presence={"tone": tone})

    @on_connect
    async def arrived(self, peer: Peer) -> None:
        """Shows them to the others, and the others to them."""
        peer.join(LOBBY)
        people = [describe(other) for other in self.service.peers(PATH)]
        await peer.send("welcome", {"you": peer.id, "people": people})
        await peer.broadcast_others("arrived", describe(peer))

    @on_disconnect
    async def left(self, peer: Peer) -> None:
        """Tells the others at once, whether a tab was closed or a cable cut."""
        await peer.broadcast_others("left", describe(peer))

    @message("ping")
    @emit("pong")
    async def ping(self) -> dict[str, Any]:
        """Lets a client measure how far away we are, and notice when we are gone."""
        return {}

    @message("join", schema=record(room=ROOM))
    @broadcast("entered")
    async def join(self, data: dict[str, Any], peer: Peer) -> Any:
        """Enters a room, which exists while somebody is in it. Everyone sees the new count."""
        if data["room"] in peer.rooms:
            return SKIP
        peer.join(data["room"])
        return {**describe(peer), "room": data["room"]}

    @message("leave", schema=record(room=ROOM))
    @broadcast("exited")
    async def leave(self, data: dict[str, Any], peer: Peer) -> Any:
        """Leaves a room."""
        if data["room"] not in peer.rooms:
            return SKIP
        peer.leave(data["room"])
        return {**describe(peer), "room": data["room"]}

    @message("send", schema=record(room=ROOM, text=text(1, 2000)))
    @broadcast("said", room=named_room)
    async def send(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Says something to all in a room, the sender included."""
        require_member(peer, data["room"])
        return {**data, "from": peer.user, "at": datetime.now(UTC)}

    @message("typing", schema=record(room=ROOM, typing={"type": "boolean"}))
    @broadcast_others("typing", room=named_room, latest=typing_key)
    async def typing(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Shows the others in a room that somebody is typing, or no longer."""
        require_member(peer, data["room"])
        return {**data, "from": peer.user}

    @message("whisper", schema=record(to=text(1, 20), text=text(1, 2000)))
    @emit("whispered")
    async def whisper(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Says something to one user only; the sender gets a copy, with the id if there was one."""
        whispered = {**data, "from": peer.user, "at": datetime.now(UTC)}
        report = await self.service.emit_to_user(data["to"], "whispered", whispered, namespace=PATH)
        if report.queued == 0:
            raise MessageRejected("not_here", f"{data['to']} is not here")
        return whispered

    # Concurrent, since it waits for a person: whoever invites can go on chatting meanwhile.
    @message("invite", schema=record(to=text(1, 64), room=ROOM), concurrent=True, timeout=None)
    @emit("invited")
    async def invite(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Asks somebody into a room, and tells the sender what they answered."""
        guest, room = self.service.peer(data["to"]), data["room"]
        require_member(peer, room)
        if guest is None:
            raise MessageRejected("not_here", "They are not here any more")
        question = {"from": peer.user, "room": room}
        try:
            accepted = await guest.ask("invitation", question, timeout=ANSWER_SECONDS) is True
        except (AskTimeout, AskRejected, PeerClosed):
            accepted = False
        if accepted:
            guest.join(room)
            await guest.broadcast("entered", {**describe(guest), "room": room})
        return {"name": guest.user, "room": room, "accepted": accepted}

    @message("announce", schema=EVENT)
    @broadcast("announced", room=named_room)
    async def announce(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Announces an event in a room. What does not match the schema never comes this far."""
        require_member(peer, data["room"])
        return {**data, "from": peer.user, "at": datetime.now(UTC)}
