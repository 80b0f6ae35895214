"""Advanced patterns, presence tracking: who is connected, whatever way they leave."""

import pytest

from asgi_ws_gateway import (
    Accept,
    WebSocketService,
    broadcast,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient


@namespace("/presence")
class PresenceGateway:
    """Keeps no list of its own: the service knows who is connected."""

    def __init__(self, service: WebSocketService, sessions: dict[str, str]) -> None:
        self.service = service
        self.sessions = sessions

    @on_connection_attempt
    async def handle_connection(self, params: dict[str, str]) -> Accept | bool:
        user = self.sessions.get(params.get("session", ""))
        return False if user is None else Accept(user=user, presence={"status": "here"})

    @on_connect
    async def arrived(self) -> None:
        await self.publish()

    @on_disconnect
    async def left(self) -> None:
        await self.publish()

    @message("refresh")
    @broadcast("online")
    async def refresh(self) -> list[str]:
        return await self.online()

    async def publish(self) -> None:
        await self.service.broadcast("/presence", "online", await self.online())

    async def online(self) -> list[str]:
        present = await self.service.presence("/presence")
        return sorted({entry.user for entry in present if entry.user is not None})


@pytest.fixture
def service() -> WebSocketService:
    made = WebSocketService()
    made.register(PresenceGateway(made, {"1": "alice", "2": "bob"}))
    return made


async def test_everybody_is_told_who_comes(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/presence?session=1") as alice,
    ):
        assert await alice.receive("online") == ["alice"]
        async with client.connect("/presence?session=2") as bob:
            assert await alice.receive("online") == ["alice", "bob"]
            assert await bob.receive("online") == ["alice", "bob"]


async def test_everybody_is_told_who_leaves(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/presence?session=1") as alice,
        client.connect("/presence?session=2") as bob,
    ):
        assert [await alice.receive("online") for _ in range(2)][-1] == ["alice", "bob"]
        await bob.close()
        assert await alice.receive("online") == ["alice"]


async def test_everybody_is_told_who_vanishes_without_a_word(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/presence?session=1") as alice,
        client.connect("/presence?session=2") as bob,
    ):
        assert [await alice.receive("online") for _ in range(2)][-1] == ["alice", "bob"]
        await bob.drop()
        assert await alice.receive("online") == ["alice"]


async def test_who_is_refused_was_never_there(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/presence?session=1") as alice,
    ):
        assert await alice.receive("online") == ["alice"]
        with pytest.raises(ConnectionDenied):
            async with client.connect("/presence?session=forged"):
                pass
        await client.settle()
        assert alice.pending == []


async def test_a_user_is_there_until_the_last_connection_is_gone(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/presence?session=1") as alice,
        client.connect("/presence?session=2") as laptop,
        client.connect("/presence?session=2") as phone,
    ):
        for _ in range(3):
            latest = await alice.receive("online")
        assert latest == ["alice", "bob"]
        await laptop.drop()
        assert await alice.receive("online") == ["alice", "bob"]
        await phone.drop()
        assert await alice.receive("online") == ["alice"]


async def test_it_can_be_asked_for(service: WebSocketService) -> None:
    async with (
        GatewayTestClient(service) as client,
        client.connect("/presence?session=1") as alice,
    ):
        assert await alice.request("refresh") == ["alice"]
        (entry,) = await service.presence("/presence")
        assert (entry.user, entry.data) == ("alice", {"status": "here"})
