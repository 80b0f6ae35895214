import pytest
from gateway import ChatGateway

from asgi_ws_gateway import GatewayMiddleware, Limits
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient

limits = Limits(outbox_messages=2, linger=1.0)
application = GatewayMiddleware(None, gateways=[ChatGateway()], limits=limits)


async def test_one_who_does_not_read_loses_its_own_connection_only() -> None:
    async with GatewayTestClient(application) as client, client.connect("/chat") as ada:
        async with client.connect("/chat") as sleeper:
            await sleeper.send("say", {"text": "here"})
            await client.settle()
            sleeper.pause()
            for number in range(5):
                await ada.send("say", {"text": str(number)})
                await ada.receive("said")
                await ada.receive("delivered")
            sleeper.resume()
            assert await sleeper.closed() == (1013, "too slow")


async def test_one_who_vanishes_is_missed() -> None:
    async with GatewayTestClient(application) as client, client.connect("/chat") as ada:
        async with client.connect("/chat") as other:
            await other.drop()
        assert len(application.service.peers("/chat")) == 1
        await ada.send("say", {"text": "is anybody there?"})
        await ada.receive("said")


async def test_a_send_that_fails_harms_nobody_else() -> None:
    async with GatewayTestClient(application) as client, client.connect("/chat") as ada:
        async with client.connect("/chat") as broken:
            await broken.send("say", {"text": "hi"})
            await client.settle()
            broken.fail_sends(ConnectionResetError())
            await ada.send("say", {"text": "hi"})
            assert (await ada.receive("said"))["text"] == "hi"
            await client.settle()
            assert len(application.service.peers("/chat")) == 1


async def test_a_server_without_denials_says_403() -> None:
    elsewhere = {"origin": "https://elsewhere.example"}
    async with GatewayTestClient(application) as client:
        with pytest.raises(ConnectionDenied) as denied:
            async with client.connect("/chat", headers=elsewhere, denials=False):
                pass
        assert (denied.value.status, denied.value.body) == (403, "")
