"""Error handling: in a handler, around it, and before it."""

import logging
from typing import Any

import pytest

from asgi_ws_gateway import (
    MessageRejected,
    Peer,
    emit,
    message,
    namespace,
    on_error,
)
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed

SECRET = "the database password is hunter2"

STRICT = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {
        "name": {"type": "string", "minLength": 3},
        "age": {"type": "number", "exclusiveMinimum": 0},
    },
}


class OutOfStock(Exception):
    """An error of the shop's own."""


@namespace("/work")
class WorkGateway:
    def __init__(self) -> None:
        self.submitted: list[Any] = []

    @message("risky-operation")
    @emit("risky-operation-result")
    async def handle_risky_operation(self, data: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self.perform(data["by"])
        except ZeroDivisionError:
            return {"success": False, "error": "cannot divide by zero"}
        return {"success": True, "result": result}

    @message("careless-operation")
    @emit("careless-operation-result")
    async def handle_careless_operation(self, data: Any) -> Any:
        raise RuntimeError(SECRET)

    @message("order")
    @emit("ordered")
    async def handle_order(self, data: dict[str, Any]) -> None:
        if data["count"] > 10:
            raise MessageRejected("too_many", "At most 10 of them", data={"limit": 10})
        raise OutOfStock

    @message("submit", schema=STRICT)
    @emit("submitted")
    async def handle_submit(self, data: dict[str, Any]) -> str:
        self.submitted.append(data)
        return "thanks"

    def perform(self, by: int) -> float:
        return 1 / by


@namespace("/shop")
class ShopGateway(WorkGateway):
    @on_error
    async def translate(self, error: Exception, peer: Peer, event: str) -> MessageRejected | None:
        if isinstance(error, OutOfStock):
            return MessageRejected("out_of_stock", f"Sorry, {event} again tomorrow")
        return None


async def test_a_handler_can_catch_its_errors_and_say_so() -> None:
    async with GatewayTestClient(WorkGateway()) as client, client.connect("/work") as alice:
        assert await alice.request("risky-operation", {"by": 2}) == {"success": True, "result": 0.5}
        assert await alice.request("risky-operation", {"by": 0}) == {
            "success": False,
            "error": "cannot divide by zero",
        }


async def test_an_error_nobody_catches_is_logged_and_the_client_told_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with GatewayTestClient(WorkGateway()) as client, client.connect("/work") as alice:
        await alice.send("careless-operation", id="c1")
        frame = await alice.receive_frame()
        assert frame == {
            "event": "error",
            "data": {
                "code": "handler_failed",
                "message": "the message could not be handled",
                "event": "careless-operation",
            },
            "id": "c1",
        }
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "WorkGateway.handle_careless_operation" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == SECRET


async def test_an_error_ends_neither_this_connection_nor_another() -> None:
    async with (
        GatewayTestClient(WorkGateway()) as client,
        client.connect("/work") as alice,
        client.connect("/work") as bob,
    ):
        await alice.send("careless-operation")
        assert (await alice.receive("error"))["code"] == "handler_failed"
        for each in (alice, bob):
            assert (await each.request("risky-operation", {"by": 1}))["success"]


async def test_a_handler_can_refuse_with_a_code_and_words_of_its_own() -> None:
    async with GatewayTestClient(WorkGateway()) as client, client.connect("/work") as alice:
        await alice.send("order", {"count": 11})
        assert await alice.receive("error") == {
            "code": "too_many",
            "message": "At most 10 of them",
            "event": "order",
            "data": {"limit": 10},
        }


async def test_a_hook_can_translate_errors_for_all_handlers() -> None:
    async with GatewayTestClient(ShopGateway()) as client, client.connect("/shop") as alice:
        with pytest.raises(RequestFailed) as failed:
            await alice.request("order", {"count": 1})
        assert (failed.value.code, failed.value.message) == (
            "out_of_stock",
            "Sorry, order again tomorrow",
        )
        with pytest.raises(RequestFailed) as failed:
            await alice.request("careless-operation")
        assert failed.value.code == "handler_failed"


@pytest.mark.parametrize("id", [None, "c1"])
async def test_validation_errors_reach_the_client_in_detail(id: str | None) -> None:
    gateway = WorkGateway()
    async with GatewayTestClient(gateway) as client, client.connect("/work") as alice:
        await alice.send("submit", {"name": "Al", "age": 0}, id=id)
        frame = await alice.receive_frame()
        assert (frame["event"], frame.get("id")) == ("error", id)
        assert frame["data"] == {
            "code": "validation_failed",
            "message": "data does not match the schema",
            "event": "submit",
            "issues": [
                {"path": "/age", "message": "must be greater than 0", "rule": "exclusiveMinimum"},
                {
                    "path": "/name",
                    "message": "must have at least 3 characters",
                    "rule": "minLength",
                },
            ],
        }
        assert gateway.submitted == []
        assert await alice.request("submit", {"name": "Alice", "age": 7}) == "thanks"
