"""Core concepts, peers: id, namespace, address, and a way to send to one of them."""

from typing import Any

from asgi_ws_gateway import BlockingPeer, Peer, emit, message, namespace
from asgi_ws_gateway.testing import GatewayTestClient


@namespace("/chat")
class ChatGateway:
    def __init__(self) -> None:
        self.seen: list[Peer] = []

    @message("who-am-i")
    @emit("you-are")
    async def describe(self, data: Any, peer: Peer) -> dict[str, Any]:
        self.seen.append(peer)
        return {"id": peer.id, "namespace": peer.namespace, "ip": peer.ip}

    @message("remind")
    async def remind(self, data: Any, peer: Peer) -> None:
        await peer.send("reminder", {"text": data})

    @message("remind-from-thread")
    def remind_from_thread(self, data: Any, peer: BlockingPeer) -> None:
        peer.send("reminder", {"text": data, "to": peer.id})


async def test_each_peer_has_an_id_of_its_own_for_as_long_as_it_is_connected() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        first = await alice.request("who-am-i")
        second = await bob.request("who-am-i")
        assert first["id"] != second["id"]
        assert await alice.request("who-am-i") == first


async def test_an_id_is_not_given_again() -> None:
    gateway, ids = ChatGateway(), set()
    async with GatewayTestClient(gateway) as client:
        for _ in range(20):
            async with client.connect("/chat") as alice:
                ids.add((await alice.request("who-am-i"))["id"])
    assert len(ids) == 20


async def test_a_peer_knows_its_namespace() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat/") as alice:
        assert (await alice.request("who-am-i"))["namespace"] == "/chat"


async def test_a_peer_knows_its_address_as_the_server_saw_it() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect(
            "/chat", client=("192.0.2.7", 4711), headers={"x-forwarded-for": "203.0.113.1"}
        ) as alice,
    ):
        assert (await alice.request("who-am-i"))["ip"] == "192.0.2.7"


async def test_a_peer_behind_a_unix_socket_has_no_address() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat", client=None) as alice,
    ):
        assert (await alice.request("who-am-i"))["ip"] is None


async def test_send_reaches_that_peer_only() -> None:
    async with (
        GatewayTestClient(ChatGateway()) as client,
        client.connect("/chat") as alice,
        client.connect("/chat") as bob,
    ):
        await alice.send("remind", "tea")
        assert await alice.receive("reminder") == {"text": "tea"}
        await client.settle()
        assert bob.pending == []


async def test_a_plain_function_sends_without_await() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        me = (await alice.request("who-am-i"))["id"]
        await alice.send("remind-from-thread", "tea")
        assert await alice.receive("reminder") == {"text": "tea", "to": me}


async def test_sending_to_a_peer_that_has_left_says_so() -> None:
    gateway = ChatGateway()
    async with GatewayTestClient(gateway) as client:
        async with client.connect("/chat") as alice:
            await alice.request("who-am-i")
            await alice.close()
        (peer,) = gateway.seen
        assert not peer.connected
        assert await peer.send("reminder", "too late") is False
