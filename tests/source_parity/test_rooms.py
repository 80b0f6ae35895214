"""Advanced patterns, room-based messaging: to those in a room, and to nobody else."""

from typing import Any

import pytest

from asgi_ws_gateway import (
    Accept,
    MessageRejected,
    Peer,
    WebSocketService,
    broadcast_others,
    message,
    namespace,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import ClientConnection, GatewayTestClient, RequestFailed

ROOM = {
    "type": "object",
    "required": ["room"],
    "properties": {"room": {"type": "string", "minLength": 1}},
}
ROOM_MESSAGE = {**ROOM, "required": ["room", "text"]}


def own_room(data: dict[str, Any], peer: Peer) -> str:
    """The room that a message is for: only those who are in it may write to it."""
    if data["room"] not in peer.rooms:
        raise MessageRejected("not_in_room", "Join the room first")
    return str(data["room"])


@namespace("/chat")
class ChatGateway:
    @on_connection_attempt
    async def enter(self, params: dict[str, str]) -> Accept:
        return Accept(user=params["name"])

    @message("join-room", schema=ROOM)
    @broadcast_others("user-joined", room=own_room)
    async def join_room(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        peer.join(data["room"])
        return {"user": peer.user, "room": data["room"]}

    @message("leave-room", schema=ROOM)
    async def leave_room(self, data: dict[str, Any], peer: Peer) -> None:
        peer.leave(data["room"])
        await peer.broadcast("user-left", {"user": peer.user}, room=data["room"])

    @message("room-message", schema=ROOM_MESSAGE)
    @broadcast_others("message", room=own_room)
    async def send_to_room(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return {"from": peer.user, "text": data["text"]}

    @on_disconnect
    async def left(self, peer: Peer) -> None:
        for room in peer.rooms:
            await peer.broadcast("user-left", {"user": peer.user}, room=room)


@pytest.fixture
def service() -> WebSocketService:
    made = WebSocketService()
    made.register(ChatGateway())
    return made


async def join(connection: ClientConnection, room: str) -> None:
    await connection.request("join-room", {"room": room})


async def test_members_are_told_who_joins(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?name=alice") as alice,
        client.connect("/chat?name=bob") as bob,
        client.connect("/chat?name=carol") as carol,
    ):
        await join(alice, "red")
        await join(bob, "red")
        assert await alice.receive("user-joined") == {"user": "bob", "room": "red"}
        await client.settle()
        assert [each.pending for each in (alice, bob, carol)] == [[], [], []]


async def test_a_message_goes_to_the_others_in_the_room_only(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?name=alice") as alice,
        client.connect("/chat?name=bob") as bob,
        client.connect("/chat?name=carol") as carol,
        client.connect("/chat?name=dave") as dave,
    ):
        await join(alice, "red")
        await join(bob, "red")
        await join(carol, "blue")
        assert await alice.receive("user-joined")

        await alice.send("room-message", {"room": "red", "text": "hi"})
        assert await bob.receive("message") == {"from": "alice", "text": "hi"}
        await client.settle()
        assert [each.pending for each in (alice, carol, dave)] == [[], [], []]


async def test_one_may_be_in_several_rooms(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?name=alice") as alice,
        client.connect("/chat?name=bob") as bob,
    ):
        for room in ("red", "blue"):
            await join(bob, room)
            await join(alice, room)
            await bob.receive("user-joined")
        await alice.send("room-message", {"room": "blue", "text": "one"})
        await alice.send("room-message", {"room": "red", "text": "two"})
        assert (await bob.receive("message"))["text"] == "one"
        assert (await bob.receive("message"))["text"] == "two"


async def test_who_is_not_in_a_room_cannot_write_to_it(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?name=alice") as alice,
        client.connect("/chat?name=mallory") as mallory,
    ):
        await join(alice, "red")
        with pytest.raises(RequestFailed) as failed:
            await mallory.request("room-message", {"room": "red", "text": "spam"})
        assert (failed.value.code, failed.value.message) == ("not_in_room", "Join the room first")
        await client.settle()
        assert alice.pending == []


async def test_who_leaves_hears_no_more_and_the_others_are_told(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?name=alice") as alice,
        client.connect("/chat?name=bob") as bob,
    ):
        await join(alice, "red")
        await join(bob, "red")
        assert await alice.receive("user-joined")
        await bob.request("leave-room", {"room": "red"})
        assert await alice.receive("user-left") == {"user": "bob"}

        await service.broadcast("/chat", "news", 1, room="red")
        assert await alice.receive("news") == 1
        await client.settle()
        assert bob.pending == []


async def test_who_vanishes_is_in_no_room_any_more(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?name=alice") as alice,
        client.connect("/chat?name=bob") as bob,
    ):
        await join(alice, "red")
        await join(bob, "red")
        assert await alice.receive("user-joined")
        await bob.drop()
        assert await alice.receive("user-left") == {"user": "bob"}
        assert [peer.user for peer in service.peers("/chat", room="red")] == ["alice"]
