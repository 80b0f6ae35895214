"""However a connection ends, its disconnect hook runs once and is told why.

That it never runs twice is checked for all connections of all scenarios when the server is stopped.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.servers.app import SECRET
from tests.servers.client import connect, control, fresh_key, raw
from tests.servers.processes import Served


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "bye")])
async def test_a_client_closes(served: Served, code: int, reason: str) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/main?key={key}") as client:
            await client.request("echo")
            await client.close(code, reason)
        assert (await looking.left(key))[0] == served.server.client_code(code)


@pytest.mark.parametrize("reset", [True, False], ids=["RST", "FIN"])
async def test_the_connection_breaks(served: Served, reset: bool) -> None:
    key = fresh_key()
    async with control(served) as looking, connect(served, f"/main?key={key}") as client:
        await client.request("echo")
        client.drop(reset=reset)
        assert await looking.left(key) == (served.server.lost_code, "")


@pytest.mark.parametrize("event", ["close", "close_in_thread"])
@pytest.mark.parametrize(("code", "reason"), [(4000, "x"), (1000, ""), (1001, "ä" * 100)])
async def test_we_close(served: Served, event: str, code: int, reason: str) -> None:
    key = fresh_key()
    async with control(served) as looking, connect(served, f"/main?key={key}") as client:
        await client.send(event, [code, reason])
        if event == "close":
            assert await client.expect("last") is None
        seen = (served.server.code(code), served.server.reason(reason[:61]))
        assert await client.closed() == seen
        assert await looking.left(key) == (code, reason[:61])
        if event == "close":
            assert await looking.wait(key, "close returned") == [[False]]


async def test_a_close_reaches_a_client_whose_messages_wait(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking, connect(served, f"/main?key={key}") as client:
        await client.send("close", [4000, "x"])
        await client.send_into_the_close("echo", 20)
        assert await client.closed() in served.server.flooded(4000, "x")
        assert await looking.left(key) == (4000, "x")


@pytest.mark.parametrize(
    ("outcome", "code", "reason"),
    [
        ("false", 1008, "refused"),
        ("rejected", 1008, "not you"),
        ("error", 1011, "internal error"),
        ("close", 4000, "x"),
    ],
)
async def test_the_connect_hook_ends_it(
    served: Served, outcome: str, code: int, reason: str
) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/entering?key={key}&outcome={outcome}") as client:
            if outcome == "close":
                # A hook that goes on after its close: what it sends then is dropped.
                assert await client.closed() == (4000, served.server.reason("x"))
            else:
                seen = (served.server.code(code), served.server.reason(reason))
                closed = await client.closed()
                assert closed == seen
                assert SECRET not in str(closed)
        assert await looking.left(key) == (code, reason)
        assert await looking.entries(key, "entered") == [[]]


async def test_the_connect_hook_ends_before_the_first_message_is_handled(served: Served) -> None:
    async with raw(served) as client:
        key = fresh_key()
        await client.handshake(f"/entering?key={key}&outcome=ok")
        client.frame(1, b'{"event": "nowhere", "id": 1}')
        assert (await client.read_text())["event"] == "welcome"
        assert (await client.read_text())["event"] == "error"


async def test_it_expires(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/attempt?outcome=expires&key={key}") as client:
            assert await client.closed() == (4401, served.server.reason("expired"))
        assert await looking.left(key) == (4401, "expired")


async def test_a_client_leaves_while_its_message_is_handled(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/main?key={key}") as client:
            await client.send("hold")
            await client.send("hold")
            await looking.wait(key, "held")
        # The hook is last: both messages were received, and so both are handled.
        await looking.request("release", key)
        assert (await looking.left(key))[0] == served.server.client_code(1000)
        assert await looking.entries(key, "released") == [[False, False]] * 2


async def test_a_client_leaves_while_a_handler_runs_that_ends_with_it(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/main?key={key}") as client:
            await client.send("hold_until_gone")
            await looking.wait(key, "held")
            client.drop(reset=True)
            assert await looking.left(key) == (served.server.lost_code, "")
        assert await looking.entries(key, "cancelled") == [[]]


async def test_a_client_leaves_while_a_handler_runs_that_never_ends(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/main?key={key}") as client:
            await client.send("hold")
            await looking.wait(key, "held")
        await looking.left(key)
        assert await looking.entries(key, "cancelled") == [[]]


async def test_a_client_leaves_during_a_stream(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/main?key={key}") as client:
            await client.send("endless")
            await client.expect("tick")
        await looking.wait(key, "stream closed")
        await looking.left(key)


@pytest.mark.parametrize("reset", [True, False], ids=["RST", "FIN"])
@pytest.mark.parametrize("part", ["header", "payload", "fragment"])
async def test_a_client_breaks_off_within_a_message(served: Served, part: str, reset: bool) -> None:
    key = fresh_key()
    async with control(served) as looking, raw(served) as client:
        assert await client.handshake(f"/main?key={key}") == 101
        client.frame(1, b'{"event": "echo", "id": 1}')
        assert (await client.read_text())["event"] == "ack"
        if part == "header":
            client.writer.write(b"\x81")
        elif part == "payload":
            client.writer.write(b"\x81\xfe\x00\xff" + bytes(4) + b'{"event": "echo", ')
        else:
            client.frame(1, b'{"event": "echo", ', fin=False)
        await client.writer.drain()
        client.drop(reset=reset)
        assert (await looking.left(key))[0] in (1005, 1006)


@pytest.mark.parametrize(
    "fault", ["unmasked", "reserved opcode", "lone continuation", "reserved bit", "not UTF-8"]
)
async def test_a_client_breaks_the_websocket_protocol(served: Served, fault: str) -> None:
    key = fresh_key()
    async with control(served) as looking, raw(served) as client:
        assert await client.handshake(f"/main?key={key}") == 101
        if fault == "unmasked":
            client.frame(1, b"{}", masked=False)
        elif fault == "reserved opcode":
            client.frame(3, b"{}")
        elif fault == "lone continuation":
            client.frame(0, b"{}")
        elif fault == "reserved bit":
            client.frame(1 | 0x40 | 0x20, b"{}")
        else:
            client.frame(1, b'{"event": "\xff\xfe"}')
        await client.ended()
        # Which code it is told as differs from server to server, and says little.
        await looking.left(key)
    async with connect(served, "/main") as client:
        assert await client.request("echo", 1) == 1


async def test_many_leave_at_once(served: Served) -> None:
    keys = [fresh_key() for _ in range(30)]

    async def visit(number: int, key: str) -> None:
        async with connect(served, f"/main?key={key}") as client:
            await client.send("nap", number)
            if number % 3:
                client.drop(reset=number % 3 == 1)

    await asyncio.gather(*(visit(number, key) for number, key in enumerate(keys)))
    async with control(served) as looking:
        for key in keys:
            await looking.left(key)
        assert not set(keys) & set(await looking.request("peers", "/main"))
