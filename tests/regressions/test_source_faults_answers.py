"""Faults of the source design that may not come back: clients that never hear what was wrong."""

from typing import Any

import pytest

from asgi_ws_gateway import Issue, Limits, MessageRejected, emit, message, namespace
from asgi_ws_gateway.testing import GatewayTestClient, RequestFailed

ADDRESS = {
    "type": "object",
    "properties": {
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string", "minLength": 1}},
        }
    },
}


@namespace("/forms", limits=Limits(max_message_bytes=500, max_depth=8))
class Forms:
    def __init__(self) -> None:
        self.submitted: list[Any] = []

    @message("submit", schema=ADDRESS)
    @emit("submitted")
    async def submit(self, data: Any) -> None:
        self.submitted.append(data)

    @message("fail")
    async def fail(self) -> None:
        raise RuntimeError("a secret")

    @message("reject")
    async def reject(self) -> None:
        raise MessageRejected("full", "No more forms today")

    @message("unencodable")
    @emit("never")
    async def unencodable(self) -> Any:
        return {1, 2}

    @message("ping")
    @emit("pong")
    async def ping(self) -> str:
        return "pong"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("no json", "invalid_json"),
        ("", "invalid_json"),
        ('{"event": "ping"', "invalid_json"),
        ('{"event": "ping", "data": NaN}', "invalid_json"),
        ('{"event": "ping", "data": "\\ud800"}', "invalid_json"),
        ('{"event": "ping", "data": ' + "[" * 9 + "]" * 9 + "}", "invalid_json"),
        ("[]", "invalid_message"),
        ('"ping"', "invalid_message"),
        ("1", "invalid_message"),
        ("null", "invalid_message"),
        ("{}", "invalid_message"),
        ('{"event": null}', "invalid_message"),
        ('{"event": ["ping"]}', "invalid_message"),
        ('{"event": ""}', "invalid_message"),
        ('{"event": "ping", "id": true}', "invalid_message"),
        ('{"event": "' + "x" * 129 + '"}', "invalid_message"),
        (b'{"event": "ping"}', "unsupported_frame"),
        ('{"event": "nothing"}', "unknown_event"),
        ('{"event": "submit", "data": 1}', "validation_failed"),
        ('{"event": "fail"}', "handler_failed"),
        ('{"event": "unencodable"}', "handler_failed"),
        ('{"event": "reject"}', "full"),
        ('{"event": "ping", "data": "' + "x" * 500 + '"}', "message_too_large"),
    ],
    ids=lambda value: str(value)[:28],
)
async def test_every_message_that_cannot_be_handled_is_answered_and_the_connection_stays(
    sent: str | bytes, code: str
) -> None:
    async with GatewayTestClient(Forms()) as client, client.connect("/forms") as alice:
        if isinstance(sent, bytes):
            await alice.send_bytes(sent)
        else:
            await alice.send_text(sent)
        error = await alice.receive("error")
        assert error["code"] == code
        assert error["message"]
        assert "secret" not in str(error)
        assert await alice.request("ping") == "pong"
        assert alice.pending == []


@pytest.mark.parametrize("id", ["c1", 0, -7])
@pytest.mark.parametrize("event", ["nothing", "submit", "fail", "unencodable", "reject"])
async def test_the_answer_carries_the_id_of_what_failed(event: str, id: str | int) -> None:
    async with GatewayTestClient(Forms()) as client, client.connect("/forms") as alice:
        await alice.send(event, 1, id=id)
        frame = await alice.receive_frame()
        assert (frame["event"], frame["id"], frame["data"]["event"]) == ("error", id, event)


@pytest.mark.parametrize("id", [None, "c1"])
async def test_a_validation_error_carries_its_issues_as_documented(id: str | None) -> None:
    forms = Forms()
    async with GatewayTestClient(forms) as client, client.connect("/forms") as alice:
        await alice.send("submit", {"address": {"street": ""}}, id=id)
        frame = await alice.receive_frame()
        expected: dict[str, Any] = {
            "event": "error",
            "data": {
                "code": "validation_failed",
                "message": "data does not match the schema",
                "event": "submit",
                "issues": [
                    {
                        "path": "/address/street",
                        "message": "must have at least 1 character",
                        "rule": "minLength",
                    }
                ],
            },
        }
        assert frame == (expected if id is None else {**expected, "id": id})
        assert forms.submitted == []


async def test_the_client_reads_the_same_issues() -> None:
    async with GatewayTestClient(Forms()) as client, client.connect("/forms") as alice:
        with pytest.raises(RequestFailed) as failed:
            await alice.request("submit", {"address": {"street": ""}})
        assert failed.value.issues == (
            Issue("/address/street", "must have at least 1 character", "minLength"),
        )


async def test_an_issue_never_repeats_what_the_client_sent() -> None:
    async with GatewayTestClient(Forms()) as client, client.connect("/forms") as alice:
        await alice.send("submit", {"address": "<script>alert(1)</script>"})
        frame = await alice.receive_frame()
        assert frame["data"]["issues"][0]["path"] == "/address"
        assert "script" not in str(frame)


async def test_only_validation_errors_have_issues() -> None:
    async with GatewayTestClient(Forms()) as client, client.connect("/forms") as alice:
        for event in ("nothing", "fail", "unencodable", "reject"):
            await alice.send(event)
            assert "issues" not in await alice.receive("error")
