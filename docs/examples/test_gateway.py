from gateway import ChatGateway, application

from asgi_ws_gateway.testing import FakePeer, GatewayTestClient


async def test_a_message_names_its_sender() -> None:
    peer = FakePeer(namespace="/chat", id="ada")
    assert await ChatGateway().say({"text": "hi"}, peer) == {"from": "ada", "text": "hi"}
    assert peer.rooms == {"lobby"}


async def test_a_message_reaches_the_lobby() -> None:
    async with GatewayTestClient(application) as client, client.connect("/chat") as ada:
        await ada.send("say", {"text": "hi"})
        assert (await ada.receive("said"))["text"] == "hi"
        assert (await ada.receive("delivered"))["text"] == "hi"
