"""What one connection makes of what arrives, where that is the end of it or ought not to be."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asgi_ws_gateway import JSONCodec, Limits, message, namespace
from asgi_ws_gateway.testing import ConnectionClosed, GatewayTestClient


@namespace("/echo")
class Echo:
    @message("echo")
    async def echo(self, data: Any) -> Any:
        return data


class Fragile(JSONCodec):
    """Fails, on one word, as no codec may."""

    def decode(self, payload: str, max_depth: int | None) -> Any:
        if "break" in payload:
            raise KeyError("secret of the codec")
        return super().decode(payload, max_depth)


async def test_a_peer_that_stays_over_its_rate_is_closed_and_nobody_else() -> None:
    async with GatewayTestClient(Echo(), limits=Limits(rate=0.01, burst=2)) as client:
        async with client.connect("/echo") as flooder, client.connect("/echo") as other:
            with pytest.raises(ConnectionClosed):
                for number in range(1000):
                    await flooder.send("echo", number)
                    await client.settle()
            assert await flooder.closed() == (1008, "rate limited")
            answered = [frame["event"] for frame in flooder.pending if "id" in frame]
            assert answered == []
            assert await other.request("echo", "hi") == "hi"
        assert client.service is not None
        assert client.service.stats().closed == {1008: 1, 1000: 1}


@pytest.mark.parametrize("text", ['{"event":"ack","id":"s:1"}', '{"cancel":"c1"}'])
async def test_a_flood_of_answers_and_cancels_that_come_to_nothing_ends_as_any_other(
    text: str,
) -> None:
    async with GatewayTestClient(Echo(), limits=Limits(rate=0.01, burst=2)) as client:
        async with client.connect("/echo") as flooder, client.connect("/echo") as other:
            with pytest.raises(ConnectionClosed):
                for _ in range(1000):
                    await flooder.send_text(text)
                    await client.settle()
            assert await flooder.closed() == (1008, "rate limited")
            assert await other.request("echo", "hi") == "hi"


async def test_a_codec_that_fails_is_logged_and_its_message_is_no_json(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with GatewayTestClient(Echo(), codec=Fragile()) as client:
        async with client.connect("/echo") as peer:
            await peer.send("echo", "break")
            error = await peer.receive("error")
            assert error["code"] == "invalid_json"
            assert "secret" not in str(error)
            assert await peer.request("echo", "hi") == "hi"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("The codec failed on a message of peer ")
    assert record.exc_info is not None
