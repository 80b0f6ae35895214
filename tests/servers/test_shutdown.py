"""How the service, and the server with it, comes to its end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from tests.servers.client import Client, connect, control, denied, fresh_key, http
from tests.servers.processes import Served

EXIT_SECONDS = 10.0


def printed(served: Served, key: str) -> list[tuple[str, list[Any]]]:
    """The journal of a process that may be gone."""
    entries = [json.loads(line) for line in served.log().splitlines() if line.startswith('{"key"')]
    return [(entry["kind"], entry["details"]) for entry in entries if entry["key"] == key]


async def test_draining_lets_go_of_everyone_in_good_order(start: Callable[..., Served]) -> None:
    served = start()
    closed = (served.server.code(1012), served.server.reason("service restart"))
    busy_key, idle_key = fresh_key(), fresh_key()
    async with (
        connect(served, f"/main?key={busy_key}") as busy,
        connect(served, f"/main?key={idle_key}") as idle,
        control(served) as looking,
    ):
        await idle.request("echo")
        await busy.send("hold", "done", id="c1")
        await looking.wait(busy_key, "held")

        draining = asyncio.create_task(http(served, "POST", "/drain?grace=5"))
        assert await idle.closed() == closed
        assert await looking.closed() == closed
        assert (await denied(served, "/main")).status == served.server.status(503)

        assert (await http(served, "POST", f"/release?key={busy_key}")).status == 200
        assert await busy.expect("too late") is None
        answer = {"event": "ack", "data": "done", "id": "c1"}
        assert await busy.frame() == answer
        assert await busy.closed() == closed
        assert (await draining).body == '{"peers":0}'
    for key in (busy_key, idle_key):
        left = ["left", [1012, "service restart", False]]
        assert [list(entry) for entry in printed(served, key)][-1] == left


async def test_draining_ends_what_does_not_end(start: Callable[..., Served]) -> None:
    served = start()
    key = fresh_key()
    async with connect(served, f"/main?key={key}") as client:
        await client.send("hold", id="c1")
        async with control(served) as looking:
            await looking.wait(key, "held")
        await http(served, "POST", "/drain?grace=0.2")
        assert (await client.closed())[0] == served.server.code(1012)
    assert [kind for kind, _ in printed(served, key)] == ["entered", "held", "cancelled", "left"]


async def test_sigterm(start: Callable[..., Served]) -> None:
    served = start()
    server = served.server
    keys = [fresh_key() for _ in range(4)]
    async with AsyncExitStack() as stack:
        clients: list[Client] = [
            await stack.enter_async_context(connect(served, f"/main?key={key}")) for key in keys
        ]
        async with control(served) as looking:
            await clients[0].send("hold")
            await looking.wait(keys[0], "held")
        for client in clients[1:]:
            await client.request("echo")
        if served.server.settling_seconds:
            await asyncio.sleep(served.server.settling_seconds)

        served.terminate()
        ends = await asyncio.gather(*(client.closed() for client in clients))
        started = time.monotonic()
        await asyncio.to_thread(served.process.wait, EXIT_SECONDS)
        assert time.monotonic() - started < EXIT_SECONDS
    sure = slice(0 if server.waits_on_sigterm else 1, None)
    assert {code for code, _ in ends[sure]} <= server.sigterm_codes, (ends, served.log())
    for key in keys[sure]:
        kinds = [kind for kind, _ in printed(served, key)]
        assert kinds.count("left") == 1, served.log()
    lifespan = [kind for kind, _ in printed(served, "lifespan")]
    if not server.lifespan:
        assert lifespan[:1] == ["service started"]
    elif server.lifespan_shutdown:
        expected = ["service started", "app started", "app stopped", "service stopped"]
        assert lifespan == expected, served.log()
    # Not for what a server itself says of its own cancellation.
    assert "/asgi_ws_gateway/" not in served.log(), served.log()
