"""Places for threads: each is taken once and given back once, whoever is done first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from asgi_ws_gateway.runtime.threads import Threads


async def test_what_was_cancelled_before_its_thread_began_is_not_run_any_more() -> None:
    waiting: list[Callable[[], Any]] = []
    ran: list[str] = []

    async def run_later(work: Callable[[], Any]) -> Any:
        waiting.append(work)
        await anyio.sleep_forever()

    threads = Threads(1, run_later)
    for text in ("first", "second"):
        async with anyio.create_task_group() as group:
            group.start_soon(threads.run, ran.append, text)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    # The second had a place, so the first has given its back.
    assert [work() for work in waiting] == [None, None]
    assert ran == []
