"""The strict server: everything that some real server chokes on is an error, and is remembered."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_ws_gateway.testing.wire import CloseInfo, Wire

ACCEPT = {"type": "websocket.accept"}
START = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]}
BODY = {"type": "websocket.http.response.body", "body": b"no"}


def send(text: Any) -> dict[str, Any]:
    return {"type": "websocket.send", "text": text}


def close(code: Any = 1000, reason: Any = "") -> dict[str, Any]:
    return {"type": "websocket.close", "code": code, "reason": reason}


def spelled(value: Any) -> str:
    if isinstance(value, str):
        return value
    return " ".join(f"{item['type'][10:]}{ascii([*item.values()][1:])[:40]}" for item in value)


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([ACCEPT, ACCEPT], "accepted twice"),
        ([send("a")], "before the accept"),
        ([ACCEPT, {"type": "websocket.send"}], "either text or bytes"),
        ([ACCEPT, {"type": "websocket.send", "text": "a", "bytes": b"a"}], "either text or bytes"),
        ([ACCEPT, {"type": "websocket.send", "bytes": bytearray(b"a")}], "not a view"),
        ([ACCEPT, {"type": "websocket.send", "bytes": memoryview(b"a")}], "not a view"),
        ([ACCEPT, {"type": "websocket.send", "bytes": b""}], "empty"),
        ([ACCEPT, send("")], "empty"),
        ([ACCEPT, send(type("Text", (str,), {})("a"))], "text is a str"),
        ([ACCEPT, send(b"a")], "text is a str"),
        ([ACCEPT, send("\ud800")], "lone surrogate"),
        ([ACCEPT, close(1006)], "1006 is not a close code"),
        ([ACCEPT, close(True)], "True is not a close code"),
        ([ACCEPT, close("1000")], "'1000' is not a close code"),
        ([ACCEPT, close(1000, "a" * 124)], "too long"),
        ([ACCEPT, close(1000, "\N{EURO SIGN}" * 42)], "too long"),
        ([ACCEPT, close(1000, "\ud800")], "lone surrogate"),
        ([ACCEPT, close(), send("a")], "after the close"),
        ([ACCEPT, close(), close()], "after the close"),
        ([close(), close()], "refused twice"),
        ([close(), ACCEPT], "after a refusal"),
        ([close(), send("a")], "before the accept"),
        ([close(), START], "refused twice"),
        ([START, START], "refused twice"),
        ([START, close()], "refused twice"),
        ([START, ACCEPT], "after a refusal"),
        ([ACCEPT, START], "after the accept"),
        ([BODY], "before its start"),
        ([START, BODY, BODY], "second body"),
        ([{"type": "websocket.ping"}], "may be sent"),
        ([{"type": "http.response.start"}], "may be sent"),
    ],
    ids=spelled,
)
async def test_what_may_not_be_sent_is_an_error_and_is_kept(
    messages: list[dict[str, Any]], fault: str
) -> None:
    wire = Wire()
    for message in messages[:-1]:
        await wire.send(message)
    assert wire.fault is None
    with pytest.raises(AssertionError, match=fault) as caught:
        await wire.send(messages[-1])
    assert wire.fault is caught.value
    with pytest.raises(AssertionError):
        await wire.send(messages[-1])
    assert wire.fault is caught.value


async def test_without_the_extension_no_status_may_be_sent() -> None:
    with pytest.raises(AssertionError, match="extension"):
        await Wire(denials=False).send(START)


async def test_a_denial_is_kept_as_it_was() -> None:
    wire = Wire()
    await wire.send(START)
    assert wire.denial is None
    await wire.send(BODY)
    assert wire.denial == (401, [(b"a", b"b")], b"no")


async def test_a_denial_may_come_in_pieces() -> None:
    wire = Wire()
    for message in (START, {**BODY, "more_body": True}, BODY):
        assert wire.denial is None
        await wire.send(message)
    assert wire.denial == (401, [(b"a", b"b")], b"nono")


async def test_a_close_before_the_accept_is_a_403() -> None:
    wire = Wire(denials=False)
    await wire.send(close(1008))
    assert wire.denial == (403, [], b"")


@pytest.mark.parametrize(
    ("message", "end"),
    [
        ({"type": "websocket.close"}, CloseInfo(1000)),
        (close(4000, "a" * 123), CloseInfo(4000, "a" * 123)),
        (close(1012, None), CloseInfo(1012)),
    ],
    ids=["bare", "long", "none"],
)
async def test_a_close_after_the_accept_is_the_end(message: dict[str, Any], end: CloseInfo) -> None:
    wire = Wire()
    await wire.send(ACCEPT)
    await wire.send(message)
    assert wire.end == end
    disconnect = {"type": "websocket.disconnect", "code": end.code, "reason": end.reason}
    assert await wire.receive() == disconnect


async def test_two_sends_at_once_are_an_error() -> None:
    wire = Wire()
    await wire.send(ACCEPT)
    wire.pause()
    async with anyio.create_task_group() as group:
        group.start_soon(wire.send, send("a"))
        await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AssertionError, match="two tasks are in send"):
            await wire.send(send("b"))
        wire.resume()
    assert list(wire.received) == ["a"]
    assert wire.fault is not None


async def test_two_receives_at_once_are_an_error() -> None:
    wire = Wire()
    async with anyio.create_task_group() as group:
        group.start_soon(wire.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AssertionError, match="two tasks are in receive"):
            await wire.receive()
        group.cancel_scope.cancel()


async def test_a_close_while_a_task_receives_is_an_error() -> None:
    wire = Wire()
    await wire.send(ACCEPT)
    async with anyio.create_task_group() as group:
        group.start_soon(wire.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AssertionError, match="granian blocks"):
            await wire.send(close())
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    "refusal", [[close()], [START], [START, BODY]], ids=["close", "start", "body"]
)
async def test_a_receive_after_a_refusal_is_an_error(refusal: list[dict[str, Any]]) -> None:
    wire = Wire()
    for message in refusal:
        await wire.send(message)
    with pytest.raises(AssertionError, match="after the refusal"):
        await wire.receive()


async def test_a_receive_after_the_disconnect_is_an_error() -> None:
    wire = Wire()
    wire.leave(1001, "bye")
    disconnect = {"type": "websocket.disconnect", "code": 1001, "reason": "bye"}
    assert await wire.receive() == disconnect
    with pytest.raises(AssertionError, match="after the disconnect"):
        await wire.receive()


async def test_what_is_sent_to_a_client_that_left_is_lost_in_silence() -> None:
    wire = Wire()
    await wire.send(ACCEPT)
    wire.leave(1001)
    await wire.send(send("a"))
    await wire.send(close(4000))
    assert list(wire.received) == []
    assert wire.end == CloseInfo(1001)
    assert wire.fault is None


async def test_what_is_sent_to_a_client_that_is_lost_fails() -> None:
    wire = Wire()
    await wire.send(ACCEPT)
    wire.leave(1006, lost=True)
    with pytest.raises(OSError, match="gone"):
        await wire.send(send("a"))
    wire.leave(1000)
    assert wire.end == CloseInfo(1006)
    assert wire.fault is None


async def test_leaving_wakes_a_send_that_hangs() -> None:
    wire = Wire()
    await wire.send(ACCEPT)
    wire.pause()
    wire.pause()
    assert wire.paused
    async with anyio.create_task_group() as group:

        async def hanging() -> None:
            with pytest.raises(OSError, match="gone"):
                await wire.send(send("a"))

        group.start_soon(hanging)
        await anyio.wait_all_tasks_blocked()
        wire.leave(1006, lost=True)
    assert not wire.paused


async def test_sends_can_be_made_to_fail() -> None:
    wire = Wire()
    await wire.send(ACCEPT)
    wire.fail_sends(KeyError("odd"))
    with pytest.raises(KeyError, match="odd"):
        await wire.send(send("a"))
    assert wire.fault is None


async def test_drained_is_to_wait_for_more() -> None:
    wire = Wire()
    wire.put({"type": "websocket.connect"})
    assert not wire.drained
    async with anyio.create_task_group() as group:

        async def app() -> None:
            await wire.receive()
            await wire.receive()
            wire.finish()

        group.start_soon(app)
        while not wire.drained:
            await wire.changed()
        wire.put(send("a"))
        assert not wire.drained
    assert wire.drained
    assert wire.finished.is_set()


def test_a_connection_ends_when_the_application_returns() -> None:
    wire = Wire()
    wire.finish()
    assert wire.end == (1006, "")


def test_an_end_stays_what_it_was_when_the_application_returns() -> None:
    wire = Wire()
    wire.leave(4000, "enough")
    wire.finish()
    assert wire.end == (4000, "enough")
