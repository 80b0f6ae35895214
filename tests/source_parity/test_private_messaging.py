"""Advanced patterns, private messaging: to a user, as the attempt hook authenticated them."""

from typing import Any

import pytest

from asgi_ws_gateway import (
    Accept,
    Peer,
    WebSocketService,
    emit,
    message,
    namespace,
    on_connection_attempt,
)
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed

PRIVATE = {
    "type": "object",
    "required": ["to", "text"],
    "properties": {"to": {"type": "string"}, "text": {"type": "string", "maxLength": 500}},
    "additionalProperties": False,
}


@namespace("/chat")
class ChatGateway:
    def __init__(self, service: WebSocketService, sessions: dict[str, str]) -> None:
        self.service = service
        self.sessions = sessions

    @on_connection_attempt
    async def authenticate(self, params: dict[str, str]) -> Accept | bool:
        user = self.sessions.get(params.get("session", ""))
        return False if user is None else Accept(user=user)

    @message("private-message", schema=PRIVATE)
    @emit("private-message-status")
    async def send_private(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        report = await self.service.emit_to_user(
            data["to"], "private-message", {"from": peer.user, "text": data["text"]}
        )
        return {"status": "delivered" if report.queued else "user-offline"}


@pytest.fixture
def service() -> WebSocketService:
    made = WebSocketService()
    sessions = {"1": "alice", "2": "bob", "3": "mallory"}
    made.register(ChatGateway(made, sessions))
    return made


async def test_only_the_recipient_gets_it_and_the_sender_is_told(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?session=1") as alice,
        client.connect("/chat?session=2") as bob,
        client.connect("/chat?session=3") as mallory,
    ):
        await alice.send("private-message", {"to": "bob", "text": "psst"})
        assert await bob.receive("private-message") == {"from": "alice", "text": "psst"}
        assert await alice.receive("private-message-status") == {"status": "delivered"}
        await client.settle()
        assert [each.pending for each in (alice, bob, mallory)] == [[], [], []]


async def test_every_connection_of_the_recipient_gets_it(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?session=1") as alice,
        client.connect("/chat?session=2") as laptop,
        client.connect("/chat?session=2") as phone,
    ):
        await alice.request("private-message", {"to": "bob", "text": "psst"})
        for each in (laptop, phone):
            assert (await each.receive("private-message"))["text"] == "psst"


async def test_a_user_who_is_not_there_is_offline(service: WebSocketService) -> None:
    async with GatewayTestClient(service) as client, client.connect("/chat?session=1") as alice:
        for nobody in ("bob", "", "nobody"):
            status = await alice.request("private-message", {"to": nobody, "text": "psst"})
            assert status == {"status": "user-offline"}


async def test_a_user_who_has_vanished_is_offline(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?session=1") as alice,
        client.connect("/chat?session=2") as bob,
    ):
        await bob.drop()
        status = await alice.request("private-message", {"to": "bob", "text": "psst"})
        assert status == {"status": "user-offline"}


async def test_nobody_can_claim_to_be_somebody_else(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/chat?session=1") as alice,
        client.connect("/chat?session=2") as bob,
        client.connect("/chat?session=3&user=bob&userId=bob") as mallory,
    ):
        with pytest.raises(RequestFailed) as failed:
            await mallory.request("register", {"userId": "bob"})
        assert failed.value.code == "unknown_event"
        with pytest.raises(RequestFailed) as failed:
            await mallory.request("private-message", {"to": "bob", "text": "hi", "from": "alice"})
        assert failed.value.code == "validation_failed"

        await alice.request("private-message", {"to": "bob", "text": "psst"})
        assert (await bob.receive("private-message"))["from"] == "alice"
        await client.settle()
        assert mallory.pending == []
