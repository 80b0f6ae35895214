"""A client that does not read harms nobody else."""

from __future__ import annotations

import json

import pytest

from tests.servers.client import connect, control, fresh_key, raw
from tests.servers.processes import Served

SIZE = 200_000
# More than the kernel buffers for a client that reads nothing.
ENOUGH = 60


@pytest.mark.parametrize("namespace", ["/slow", "/stuck"])
async def test_a_client_that_never_reads_is_dropped_and_others_get_everything(
    served: Served, namespace: str
) -> None:
    fast_key, key = fresh_key(), fresh_key()
    async with (
        control(served) as looking,
        connect(served, f"{namespace}?key={fast_key}") as fast,
        raw(served, receive_buffer=4096) as lazy,
    ):
        assert await lazy.handshake(f"{namespace}?key={key}") == 101
        await looking.wait(key, "entered")
        lazy.writer.transport.pause_reading()
        news = {"namespace": namespace, "event": "news", "size": SIZE}
        for _ in range(ENOUGH):
            queued, dropped = await looking.request("broadcast", news)
            assert len(await fast.expect("news")) == SIZE
            if queued < 2:
                # By the overflow of its outbox, or because one send hangs.
                assert dropped == (namespace == "/slow")
                break
        if served.server.pushes_back:
            assert await looking.left(key) == (1013, "too slow")
            assert await looking.request("peers", namespace) == [fast_key]
        else:
            assert queued == 2
        assert len(await looking.request("broadcast", news)) == 2
        assert len(await fast.expect("news")) == SIZE
        assert (await fast.error('{"event": "nowhere"}'))["data"]["code"] == "unknown_event"


async def test_a_client_that_never_reads_its_answers_is_dropped(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking, raw(served, receive_buffer=4096) as lazy:
        assert await lazy.handshake(f"/choked?key={key}") == 101
        lazy.writer.transport.pause_reading()
        for number in range(20):
            lazy.frame(1, json.dumps({"event": "big", "id": number}).encode())
        async with connect(served, "/main") as other:
            assert await other.request("echo", 1) == 1
        if not served.server.pushes_back:
            lazy.drop(reset=True)
            await looking.left(key)
        else:
            assert await looking.left(key) == (1013, "too slow")


async def test_a_client_that_reads_late_gets_everything(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking, raw(served, receive_buffer=4096) as late:
        assert await late.handshake(f"/main?key={key}") == 101
        late.writer.transport.pause_reading()
        for number in range(10):
            late.frame(1, json.dumps({"event": "big", "data": 60_000, "id": number}).encode())
        await looking.request("peers", "/main")
        late.writer.transport.resume_reading()
        for number in range(10):
            answer = await late.read_text()
            assert (answer["id"], len(answer["data"])) == (number, 60_000)
