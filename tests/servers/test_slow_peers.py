"""A client that does not read harms nobody else."""

from __future__ import annotations

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
        dropped = 0
        for _ in range(ENOUGH):
            queued, dropped = await looking.request("broadcast", news)
            assert queued == 2 - dropped
            assert len(await fast.expect("news")) == SIZE
            if dropped:
                break
        if not served.server.pushes_back:
            assert not dropped
        else:
            # By the overflow of its outbox, or because one send hangs.
            assert bool(dropped) == (namespace == "/slow")
            assert await looking.left(key) == (1013, "too slow")
            assert await looking.request("peers", namespace) == [fast_key]
        assert len(await looking.request("broadcast", news)) == 2
        assert len(await fast.expect("news")) == SIZE
        assert (await fast.error('{"event": "nowhere"}'))["data"]["code"] == "unknown_event"


async def test_a_client_that_never_reads_its_answers_is_not_read_either(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking, raw(served, receive_buffer=4096) as lazy:
        assert await lazy.handshake(f"/main?key={key}") == 101
        lazy.writer.transport.pause_reading()
        for _ in range(20):
            lazy.frame(1, b'{"event": "big", "data": 900000, "id": 1}')
        async with connect(served, "/main") as other:
            assert await other.request("echo", 1) == 1
        lazy.drop(reset=True)
        await looking.left(key)
