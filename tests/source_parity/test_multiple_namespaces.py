"""Working with multiple namespaces: chat, notifications, and one for admins only."""

from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from asgi_ws_gateway import (
    GatewayMiddleware,
    Peer,
    WebSocketService,
    broadcast,
    message,
    namespace,
    on_connection_attempt,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient, RequestFailed


class AuthService:
    """Whatever knows the tokens: a database, say."""

    def __init__(self, admins: set[str]) -> None:
        self.admins = admins

    async def is_admin(self, token: str | None) -> bool:
        await checkpoint()
        return token in self.admins


@namespace("/chat")
class ChatGateway:
    @message("message")
    @broadcast("message")
    async def handle_message(self, data: Any) -> Any:
        return data


@namespace("/notifications")
class NotificationsGateway:
    @message("subscribe")
    async def handle_subscribe(self, data: Any, peer: Peer) -> None:
        peer.join(data)


@namespace("/admin")
class AdminGateway:
    def __init__(self, auth: AuthService) -> None:
        self.auth = auth

    @on_connection_attempt
    async def validate_admin(self, params: dict[str, str]) -> bool:
        return await self.auth.is_admin(params.get("token"))

    @message("broadcast")
    @broadcast("admin-message")
    async def handle_broadcast(self, data: Any) -> Any:
        return data


@pytest.fixture
def application() -> GatewayMiddleware:
    auth = AuthService({"root"})
    return GatewayMiddleware(
        None, gateways=[ChatGateway(), NotificationsGateway(), AdminGateway(auth)]
    )


async def test_clients_reach_each_by_its_path(application: GatewayMiddleware) -> None:
    async with (
        GatewayTestClient(application) as client,
        client.connect("/chat") as chatter,
        client.connect("/notifications") as subscriber,
        client.connect("/admin?token=root") as admin,
    ):
        await chatter.send("message", "hi")
        assert await chatter.receive("message") == "hi"
        await admin.send("broadcast", "maintenance at noon")
        assert await admin.receive("admin-message") == "maintenance at noon"
        await subscriber.request("subscribe", "orders")
        await application.service.broadcast("/notifications", "order", 7, room="orders")
        assert await subscriber.receive("order") == 7
        await client.settle()
        assert [each.pending for each in (chatter, subscriber, admin)] == [[], [], []]


@pytest.mark.parametrize("url", ["/admin", "/admin?token=", "/admin?token=guest"])
async def test_only_admins_reach_the_admin_namespace(
    application: GatewayMiddleware, url: str
) -> None:
    async with GatewayTestClient(application) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect(url):
                pass
        assert (refused.value.status, refused.value.body) == (403, "Forbidden")
        assert application.service.peers("/admin") == []


async def test_an_event_of_one_cannot_be_sent_through_another(
    application: GatewayMiddleware,
) -> None:
    async with (
        GatewayTestClient(application) as client,
        client.connect("/admin?token=root") as admin,
        client.connect("/chat") as chatter,
    ):
        with pytest.raises(RequestFailed) as failed:
            await chatter.request("broadcast", "I am no admin")
        assert failed.value.code == "unknown_event"
        await client.settle()
        assert admin.pending == []


async def test_a_room_belongs_to_its_namespace() -> None:
    @namespace("/{shop}/orders")
    class OrdersGateway:
        @message("subscribe")
        async def subscribe(self, data: Any, peer: Peer) -> None:
            peer.join(data)

    service = WebSocketService()
    service.register(OrdersGateway())
    async with (
        GatewayTestClient(service) as client,
        client.connect("/north/orders") as north,
        client.connect("/south/orders") as south,
    ):
        await north.request("subscribe", "paid")
        await south.request("subscribe", "paid")
        await service.broadcast("/north/orders", "order", 1, room="paid")
        assert await north.receive("order") == 1
        await client.settle()
        assert south.pending == []
