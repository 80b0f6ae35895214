"""The demo's gateway in process, on both loops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import LimitReached, MessageRejected, WebSocketService
from asgi_ws_gateway.demo.chat import INVALID_NAME, NAME_TAKEN, OPENED_ELSEWHERE, ChatGateway
from asgi_ws_gateway.testing import (
    ClientConnection,
    FakePeer,
    GatewayTestClient,
    RequestFailed,
)

EVENT: dict[str, Any] = {
    "room": "lobby",
    "title": "Release party",
    "seats": 12,
    "contact": "otter@example.com",
    "venue": {"street": "12 Harbour Lane", "city": "Springfield", "postcode": "10115"},
}


@asynccontextmanager
async def chat() -> AsyncIterator[GatewayTestClient]:
    service = WebSocketService()
    service.register(ChatGateway(service))
    async with GatewayTestClient(service) as client:
        yield client


@asynccontextmanager
async def visitors(*names: str) -> AsyncIterator[list[ClientConnection]]:
    """Connections of these people, who have all seen one another."""
    async with chat() as client, AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(client.connect(f"/chat?name={name}")) for name in names
        ]
        await client.settle()
        for connection in connections:
            while connection.pending:
                await connection.receive_frame()
        yield connections


async def test_a_visitor_is_shown_who_is_here() -> None:
    async with (
        chat() as client,
        client.connect("/chat?name=Otter") as otter,
        client.connect("/chat?name=Red%20Panda") as panda,
    ):
        await otter.receive("welcome")
        arrived = await otter.receive("arrived")
        assert arrived["name"] == "Red Panda"
        assert arrived["rooms"] == ["lobby"]
        welcome = await panda.receive("welcome")
        assert welcome["you"] == arrived["id"]
        assert {person["name"] for person in welcome["people"]} == {"Otter", "Red Panda"}


@pytest.mark.parametrize("name", ["", "x", "%20%20", "a" * 21, "a%0Ab!", "%00%00", "-ab-"])
async def test_an_unfit_name_is_refused(name: str) -> None:
    async with chat() as client, client.connect(f"/chat?name={name}") as visitor:
        assert await visitor.closed() == (INVALID_NAME, "A name has 2 to 20 letters or digits")


async def test_a_taken_name_is_refused_in_any_case() -> None:
    async with (
        chat() as client,
        client.connect("/chat?name=Otter&key=k1") as otter,
        client.connect("/chat?name=OTTER&key=k2") as other,
    ):
        info = await other.closed()
        assert info == (NAME_TAKEN, "Otter is here already: choose another name")
        await otter.receive("welcome")


async def test_the_same_visitor_takes_over_from_an_older_connection() -> None:
    async with chat() as client, client.connect("/chat?name=Otter&key=k1") as old:
        async with client.connect("/chat?name=Otter&key=k1") as new:
            assert (await old.closed()).code == OPENED_ELSEWHERE
            welcome = await new.receive("welcome")
            assert [person["id"] for person in welcome["people"]] == [welcome["you"]]


async def test_the_others_are_told_when_somebody_leaves() -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        await heron.request("join", {"room": "music"})
        assert (await otter.receive("entered"))["room"] == "music"
        await heron.close()
        left = await otter.receive("left")
        assert (left["name"], left["rooms"]) == ("Heron", ["lobby", "music"])


async def test_a_room_hears_only_what_is_said_in_it() -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        await otter.request("join", {"room": "music"})
        await otter.request("send", {"room": "music", "text": "la"})
        said = otter.take("said")
        assert (said["from"], said["room"], said["text"]) == ("Otter", "music", "la")
        await otter.request("leave", {"room": "music"})
        await heron.receive("entered")
        await heron.receive("exited")
        assert heron.pending == []


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("send", {"room": "music", "text": "la"}),
        ("typing", {"room": "music", "typing": True}),
        ("announce", {**EVENT, "room": "music"}),
        ("invite", {"room": "music", "to": "x"}),
    ],
)
async def test_only_members_speak_in_a_room(event: str, data: dict[str, Any]) -> None:
    async with visitors("Otter") as (otter,):
        with pytest.raises(RequestFailed) as caught:
            await otter.request(event, data)
        assert caught.value.code == "not_in_room"


async def test_joining_and_leaving_twice_tells_nobody() -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        assert await otter.request("join", {"room": "lobby"}) is None
        assert await otter.request("leave", {"room": "music"}) is None
        await heron.request("ping")
        assert heron.pending == []


async def test_typing_is_told_to_the_others_in_the_room() -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        await otter.request("typing", {"room": "lobby", "typing": True})
        typing = {"room": "lobby", "typing": True, "from": "Otter"}
        assert await heron.receive("typing") == typing
        assert otter.pending == []


async def test_a_whisper_reaches_one_user_and_answers_its_sender() -> None:
    async with visitors("Otter", "Heron", "Lynx") as (otter, heron, lynx):
        whispered = await otter.request("whisper", {"to": "Heron", "text": "psst"})
        assert await heron.receive("whispered") == whispered
        await lynx.request("ping")
        assert lynx.pending == []


async def test_a_whisper_to_nobody_is_rejected() -> None:
    async with visitors("Otter") as (otter,):
        with pytest.raises(RequestFailed) as caught:
            await otter.request("whisper", {"to": "Heron", "text": "psst"})
        assert (caught.value.code, caught.value.message) == ("not_here", "Heron is not here")


@pytest.mark.parametrize("accepted", [True, False])
async def test_an_invitation_is_put_to_the_guest(accepted: bool) -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        await otter.request("join", {"room": "music"})
        await heron.receive("entered")
        guest = await id_of(heron)
        async with anyio.create_task_group() as group:

            async def answer() -> None:
                question = await heron.receive_frame()
                assert question["data"] == {"from": "Otter", "room": "music"}
                await heron.answer(question, accepted)

            group.start_soon(answer)
            invited = await otter.request("invite", {"to": guest, "room": "music"})
        assert invited == {"name": "Heron", "room": "music", "accepted": accepted}
        if accepted:
            assert (await heron.receive("entered"))["rooms"] == ["design", "lobby", "music"]


async def test_a_guest_who_leaves_has_not_accepted() -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        await otter.request("join", {"room": "music"})
        await heron.receive("entered")
        guest = await id_of(heron)
        async with anyio.create_task_group() as group:

            async def leave() -> None:
                await heron.receive("invitation")
                await heron.close()

            group.start_soon(leave)
            invited = await otter.request("invite", {"to": guest, "room": "music"})
        assert invited["accepted"] is False


async def test_nobody_can_be_invited_who_has_left() -> None:
    async with visitors("Otter") as (otter,):
        with pytest.raises(RequestFailed) as caught:
            await otter.request("invite", {"to": "gone", "room": "lobby"})
        assert caught.value.code == "not_here"


async def test_an_event_is_announced_in_its_room() -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        await otter.request("announce", EVENT)
        announced = await heron.receive("announced")
        assert {**announced, **EVENT} == announced
        assert announced["from"] == "Otter"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"title": "ab"}, "/title"),
        ({"seats": "many"}, "/seats"),
        ({"seats": 21}, "/seats"),
        ({"contact": "nobody"}, "/contact"),
        ({"venue": {**EVENT["venue"], "city": ""}}, "/venue/city"),
    ],
)
async def test_an_invalid_event_names_the_field(change: dict[str, Any], path: str) -> None:
    async with visitors("Otter", "Heron") as (otter, heron):
        with pytest.raises(RequestFailed) as caught:
            await otter.request("announce", {**EVENT, **change})
        assert [issue.path for issue in caught.value.issues] == [path]
        await heron.request("ping")
        assert heron.pending == []


async def test_a_handler_alone() -> None:
    gateway = ChatGateway(WebSocketService())
    peer = FakePeer(namespace="/chat", user="Otter", presence={"tone": 1})
    peer.join("lobby")
    said = await gateway.send({"room": "lobby", "text": "hi"}, peer)
    assert (said["from"], said["text"]) == ("Otter", "hi")
    with pytest.raises(MessageRejected):
        await gateway.send({"room": "music", "text": "hi"}, peer)


async def test_a_visitor_cannot_be_in_too_many_rooms() -> None:
    async with visitors("Otter") as (otter,):
        for number in range(11):
            await otter.request("join", {"room": f"room-{number}"})
        with pytest.raises(RequestFailed) as caught:
            await otter.request("join", {"room": "one-more"})
        assert caught.value.code == LimitReached().code


async def id_of(visitor: ClientConnection) -> str:
    """A visitor's own id, which all hear when somebody enters a room."""
    entered = await visitor.request("join", {"room": "design"})
    assert visitor.take("entered") == entered
    own: str = entered["id"]
    return own
