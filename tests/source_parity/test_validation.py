"""Message handlers, validation: what does not match the schema never reaches the handler."""

from typing import Any

import pytest

from asgi_ws_gateway import emit, message, namespace
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed

MESSAGE = {
    "type": "object",
    "required": ["text", "user"],
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 500},
        "user": {"type": "string"},
        "room": {"type": "string"},
    },
}


@namespace("/chat")
class ChatGateway:
    def __init__(self) -> None:
        self.texts: list[str] = []

    @message("send-message", schema=MESSAGE)
    @emit("sent")
    async def handle_message(self, data: dict[str, Any]) -> dict[str, Any]:
        self.texts.append(data["text"])
        return data


@pytest.mark.parametrize(
    "data",
    [
        {"text": "hi", "user": "Alice"},
        {"text": "x" * 500, "user": "", "room": "lobby"},
        {"text": "hi", "user": "Alice", "more": [1, {"deep": None}]},
    ],
)
async def test_valid_data_reaches_the_handler_as_it_was_sent(data: dict[str, Any]) -> None:
    gateway = ChatGateway()
    async with GatewayTestClient(gateway) as client, client.connect("/chat") as alice:
        assert await alice.request("send-message", data) == data
        assert gateway.texts == [data["text"]]


@pytest.mark.parametrize(
    ("data", "path", "rule"),
    [
        ({"user": "Alice"}, "", "required"),
        ({"text": "", "user": "Alice"}, "/text", "minLength"),
        ({"text": "x" * 501, "user": "Alice"}, "/text", "maxLength"),
        ({"text": 1, "user": "Alice"}, "/text", "type"),
        ({"text": "hi", "user": "Alice", "room": None}, "/room", "type"),
        ("hi", "", "type"),
        (None, "", "type"),
    ],
)
async def test_invalid_data_is_refused_with_what_is_wrong(data: Any, path: str, rule: str) -> None:
    gateway = ChatGateway()
    async with GatewayTestClient(gateway) as client, client.connect("/chat") as alice:
        with pytest.raises(RequestFailed) as failed:
            await alice.request("send-message", data)
        assert failed.value.code == "validation_failed"
        assert [(issue.path, issue.rule) for issue in failed.value.issues] == [(path, rule)]
        assert gateway.texts == []


async def test_the_connection_outlives_invalid_data() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        await alice.send("send-message", {"text": ""})
        assert (await alice.receive("error"))["code"] == "validation_failed"
        assert await alice.request("send-message", {"text": "hi", "user": "Alice"})
