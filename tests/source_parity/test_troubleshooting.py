"""Troubleshooting: each of the usual mistakes has an error or a log line that says what to do."""

import logging
from typing import Any

import pytest

from asgi_ws_gateway import (
    ConfigurationError,
    GatewayMiddleware,
    ServiceNotRunning,
    UnknownNamespace,
    WebSocketService,
    emit,
    message,
    namespace,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient

SCHEMA = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
}


@namespace("/chat")
class ChatGateway:
    @message("send", schema=SCHEMA)
    @emit("sent")
    async def on_send(self, data: dict[str, Any]) -> dict[str, Any]:
        return data


class Undecorated:
    @message("send")
    async def on_send(self, data: Any) -> None: ...


async def other_app(scope: Any, receive: Any, send: Any) -> None:
    """Does not speak lifespan, and knows no websockets."""
    raise RuntimeError("unreachable here")


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


# "Namespace not registered"


@pytest.mark.parametrize("app", [None, other_app])
async def test_a_connection_to_an_unregistered_namespace_is_logged_and_rejected(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    application = GatewayMiddleware(app, gateways=[ChatGateway()], unmatched="reject")
    async with GatewayTestClient(application) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect("/chatt"):
                pass
    assert refused.value.status == 403
    (line,) = warnings_of(caplog)
    assert line.startswith('Namespace "/chatt" is not registered')
    assert "@namespace" in line


def test_a_class_without_a_namespace_is_refused_at_registration() -> None:
    with pytest.raises(ConfigurationError, match=r"Undecorated: .*@namespace\(.*above the class"):
        WebSocketService().register(Undecorated())


def test_a_class_in_place_of_an_instance_is_refused_at_registration() -> None:
    with pytest.raises(ConfigurationError, match=r"register an instance, ChatGateway\(\.\.\.\)"):
        WebSocketService().register(ChatGateway)


async def test_a_broadcast_to_an_unregistered_namespace_fails() -> None:
    service = WebSocketService()
    service.register(ChatGateway())
    async with service:
        with pytest.raises(UnknownNamespace, match="no gateway is registered for '/chatt'"):
            await service.broadcast("/chatt", "news")


# "No message handler for event"


async def test_an_event_without_a_handler_is_logged_and_the_client_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        await alice.send("foo")
        assert await alice.receive("error") == {
            "code": "unknown_event",
            "message": "no handler for this event",
            "event": "foo",
        }
    assert warnings_of(caplog) == ['No message handler for event "foo" in namespace "/chat"']


async def test_a_client_can_neither_forge_nor_multiply_that_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        for number in range(50):
            await alice.send(f'x"\nERROR root: forged \x1b[31m{number}')
        await client.settle()
        assert len(alice.pending) == 50
    (line,) = warnings_of(caplog)
    assert line.isascii()
    assert line.isprintable()


# "WebsocketService is not registered"


async def test_sending_through_a_service_that_does_not_run_says_how_to_run_it() -> None:
    service = WebSocketService()
    service.register(ChatGateway())
    with pytest.raises(ServiceNotRunning, match=r"async with service.*GatewayMiddleware"):
        await service.broadcast("/chat", "news")
    with pytest.raises(ServiceNotRunning):
        service.peers("/chat")
    async with service:
        assert (await service.broadcast("/chat", "news")).queued == 0
    with pytest.raises(ServiceNotRunning):
        await service.broadcast("/chat", "news")


async def test_registering_a_gateway_too_late_says_so() -> None:
    service = WebSocketService()
    async with service:
        with pytest.raises(ConfigurationError, match="before serving starts"):
            service.register(ChatGateway())


async def test_emitters_need_no_service_to_be_injected() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        assert await alice.request("send", {"text": "hi"}) == {"text": "hi"}


# Validation errors


async def test_a_validation_error_says_where_and_what() -> None:
    async with GatewayTestClient(ChatGateway()) as client, client.connect("/chat") as alice:
        await alice.send("send", {"txt": "hi"})
        error = await alice.receive("error")
        assert error["code"] == "validation_failed"
        (issue,) = error["issues"]
        assert (issue["path"], issue["rule"]) == ("", "required")
        assert "text" in issue["message"]


def test_a_schema_with_a_mistake_is_refused_at_registration() -> None:
    @namespace("/chat")
    class Misspelt:
        @message("send", schema={"type": "strin"})
        async def on_send(self, data: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Misspelt\.on_send: schema"):
        WebSocketService().register(Misspelt())
