"""What servers send and take, in all the ways they differ."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_ws_gateway.asgi.transport import ASGITransport
from asgi_ws_gateway.runtime.background import Background
from asgi_ws_gateway.runtime.telemetry import Stats, Telemetry
from asgi_ws_gateway.runtime.transport import Disconnected


def made(
    *messages: Any,
    scope: dict[str, Any] | None = None,
    binary: bool = False,
    refuse: Callable[[dict[str, Any]], bool] = lambda message: False,
) -> tuple[ASGITransport, list[dict[str, Any]], Stats]:
    incoming = list(messages)
    sent: list[dict[str, Any]] = []
    telemetry = Telemetry(())

    async def receive() -> Any:
        if not incoming:
            await anyio.sleep_forever()
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        if refuse(message):
            raise AssertionError("not like that")
        sent.append(message)

    transport = ASGITransport(scope or {}, receive, send, binary=binary, telemetry=telemetry)
    return transport, sent, telemetry.stats


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ({"text": "a"}, "a"),
        ({"text": ""}, ""),
        ({"text": "a", "bytes": None}, "a"),
        ({"bytes": b"a"}, b"a"),
        ({"bytes": b""}, b""),
        ({"bytes": b"a", "text": None}, b"a"),
    ],
    ids=repr,
)
async def test_text_and_bytes_come_with_or_without_the_other_key(
    message: dict[str, Any], payload: Any
) -> None:
    transport, _, stats = made({"type": "websocket.receive", **message})
    assert await transport.receive() == payload
    assert stats.server_faults == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "websocket.receive"},
        {"type": "websocket.receive", "text": None, "bytes": None},
        {"type": "websocket.receive", "text": "a", "bytes": b"a"},
        {"type": "websocket.ping"},
        {},
    ],
    ids=repr,
)
async def test_what_makes_no_sense_is_counted_and_passed_over(odd: dict[str, Any]) -> None:
    transport, _, stats = made(odd, {"type": "websocket.receive", "text": "a"})
    assert await transport.receive() == "a"
    assert stats.server_faults == 1


async def test_a_connect_is_passed_over_whenever_it_comes() -> None:
    transport, _, stats = made(
        {"type": "websocket.connect"}, {"type": "websocket.receive", "text": "a"}
    )
    assert await transport.receive() == "a"
    assert stats.server_faults == 0


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ({"type": "websocket.disconnect", "code": 4000, "reason": "bye"}, 4000, "bye"),
        ({"type": "websocket.disconnect", "code": 1001, "reason": None}, 1001, ""),
        ({"type": "websocket.disconnect", "code": None}, 1005, ""),
        ({"type": "websocket.disconnect"}, 1005, ""),
        ({"type": "websocket.close", "code": 1000}, 1000, ""),
        ({"type": "websocket.close"}, 1005, ""),
    ],
    ids=repr,
)
async def test_a_disconnect_may_lack_everything(
    message: dict[str, Any], code: int, reason: str
) -> None:
    transport, _, _ = made(message)
    with pytest.raises(Disconnected) as caught:
        await transport.receive()
    assert (caught.value.code, caught.value.reason) == (code, reason)


async def test_a_receive_that_raises_is_a_disconnect(caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> Any:
        raise RuntimeError("broken")

    async def send(message: Any) -> None:
        pass

    transport = ASGITransport({}, receive, send, binary=False, telemetry=Telemetry(()))
    with pytest.raises(Disconnected) as caught:
        await transport.receive()
    assert caught.value.code == 1006
    assert "broken" in caplog.text


async def test_messages_leave_as_text_or_bytes() -> None:
    transport, sent, _ = made()
    await transport.send("a")
    binary, sent_as_bytes, _ = made(binary=True)
    await binary.send(b"a")
    assert sent == [{"type": "websocket.send", "text": "a"}]
    assert sent_as_bytes == [{"type": "websocket.send", "bytes": b"a"}]


@pytest.mark.parametrize(
    ("code", "taken", "sent_code"),
    [
        (1000, {1000}, 1000),
        (1012, {1012}, 1012),
        (1012, {4012, 1000}, 4012),
        (1012, {1000}, 1000),
        (4401, {4401}, 4401),
        (4401, {1000}, 1000),
    ],
)
async def test_a_close_code_that_is_refused_is_tried_as_another(
    code: int, taken: set[int], sent_code: int
) -> None:
    transport, sent, _ = made(refuse=lambda message: message["code"] not in taken)
    await transport.close(code, "why")
    assert [message["code"] for message in sent] == [sent_code]
    assert sent[0]["type"] == "websocket.close"


async def test_a_close_that_is_refused_whatever_its_code_is_no_error() -> None:
    codes: list[int] = []
    transport, sent, _ = made(refuse=lambda message: not codes.append(message["code"]))  # type: ignore[func-returns-value]
    await transport.close(1013, "why")
    assert codes == [1013, 4013, 1000]
    assert sent == []


# One receive before the accept.


@pytest.fixture
async def background() -> Any:
    background = Background(lambda: None)
    await background.start()
    yield background
    await background.stop()


async def test_what_the_watch_received_is_received_first(background: Background) -> None:
    transport, _, _ = made(
        *({"type": "websocket.receive", "text": payload} for payload in ("a", "b"))
    )
    left: list[bool] = []
    transport.watch(background, lambda: left.append(True))
    await anyio.wait_all_tasks_blocked()
    assert [await transport.receive(), await transport.receive()] == ["a", "b"]
    assert left == []


async def test_the_watch_tells_of_a_disconnect_and_so_does_the_receive(
    background: Background,
) -> None:
    transport, _, _ = made({"type": "websocket.disconnect", "code": 4000})
    left = anyio.Event()
    transport.watch(background, left.set)
    await left.wait()
    with pytest.raises(Disconnected) as caught:
        await transport.receive()
    assert caught.value.code == 4000


async def test_a_receive_that_is_cancelled_ends_the_watch_first(background: Background) -> None:
    receiving = 0

    async def receive() -> Any:
        nonlocal receiving
        receiving += 1
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            receiving -= 1

    async def send(message: Any) -> None:
        assert receiving == 0

    transport = ASGITransport({}, receive, send, binary=False, telemetry=Telemetry(()))
    transport.watch(background, lambda: None)
    await anyio.wait_all_tasks_blocked()
    assert receiving == 1
    async with anyio.create_task_group() as group:
        group.start_soon(transport.receive)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert receiving == 0
    await transport.close(1000, "")


@pytest.mark.parametrize("end", ["close", "deny", "stop_watching"])
async def test_the_watch_is_over_before_anything_is_sent(background: Background, end: str) -> None:
    transport, sent, _ = made()
    transport.watch(background, lambda: None)
    await anyio.wait_all_tasks_blocked()
    arguments: Any = {"close": (1000, ""), "deny": (403, "no"), "stop_watching": ()}[end]
    await getattr(transport, end)(*arguments)
    await transport.stop_watching()  # twice does no harm
    assert len(sent) == {"close": 1, "deny": 1, "stop_watching": 0}[end]


async def test_a_watch_that_ends_with_the_service_is_a_broken_connection() -> None:
    background = Background(lambda: None)
    await background.start()
    transport, _, _ = made()
    transport.watch(background, lambda: None)
    await anyio.wait_all_tasks_blocked()
    await background.stop()
    with pytest.raises(Disconnected) as caught:
        await transport.receive()
    assert caught.value.code == 1006
