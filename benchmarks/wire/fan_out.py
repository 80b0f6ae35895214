"""One of many says something to all, again and again.

So much is under way that the server always has something to do, and the clients read it in gulps:
were they to wait for every single message, waking them would be a good part of what is measured.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from time import monotonic, sleep

from benchmarks.messages import WORDS
from benchmarks.wire.client import Client, frame, received
from benchmarks.wire.figures import Sample
from benchmarks.wire.rounds import Script, Served, main

__all__ = ["SCRIPT", "fan_out", "measure"]

SECONDS = 1.5
WARM = 0.3
PAUSE = 0.001
UNDER_WAY = 4_000
"""Deliveries, and three broadcasts at least."""


def measure(served: Served, sizes: Sequence[int]) -> dict[str, Sample]:
    figures = {}
    for size in sizes:
        clients = served.enter(size)
        figures[f"fan-out to {size}"] = fan_out(served, clients)
        Client.leave(clients)
    return figures


def fan_out(served: Served, clients: Sequence[Client]) -> Sample:
    """Deliveries."""
    size = len(clients)
    say = frame(served.message("say", WORDS))
    speaker = clients[0].socket
    length = clients[0].ask("say", WORDS)
    for other in clients[1:]:
        other.hear()
    sockets = Client.sockets(clients)
    buffer = bytearray(65536)
    said = got = counted = 0
    allowed = max(UNDER_WAY, 3 * size)
    ending = False
    started = monotonic()
    cpu = began = 0.0
    with select.epoll(size) as poll:
        for number in sockets:
            poll.register(number, select.EPOLLIN)
        while True:
            missing = said * size - got // length
            if ending and not missing:
                break
            if not ending and missing <= allowed - size:
                speaker.sendall(say)
                said += 1
                continue
            sleep(PAUSE)
            ready = poll.poll(20, size)
            if not ready:
                raise RuntimeError(f"{missing} deliveries are missing")
            for number, _ in ready:
                got += received(sockets[number], buffer)
            now = monotonic()
            if not began and now - started >= WARM:
                began, cpu, counted = now, served.usage.cpu(), got
            elif not ending and now - started >= WARM + SECONDS:
                ending = True
                cpu, counted = served.usage.cpu() - cpu, (got - counted) // length
                began = now - began
    if got % length:
        raise RuntimeError("something came that was no delivery")
    return Sample(counted / began, cpu / counted * 1e6)


SCRIPT = Script("fan-out", measure, (100, 1_000, 5_000))

if __name__ == "__main__":
    main(SCRIPT)
