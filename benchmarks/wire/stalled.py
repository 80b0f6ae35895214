"""Nine peers and a tenth that never reads: how much of what is said the nine get.

One of the nine says 32 KiB at a time, and goes on when all nine have it. When they do not have it
after a while, that was all.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from time import monotonic

from benchmarks.wire.client import Client, frame, received
from benchmarks.wire.figures import Sample
from benchmarks.wire.rounds import Script, Served, main

__all__ = ["SCRIPT", "measure"]

READERS = 9
SIZE = 32 * 1024
PATIENCE = 3.0


def measure(served: Served, sizes: Sequence[int]) -> dict[str, Sample]:
    [count] = sizes
    readers = served.enter(READERS)
    words = {"text": "x" * SIZE}
    length = readers[0].ask("say", words)
    for other in readers[1:]:
        other.hear()
    say = frame(served.message("say", words))
    stalled = served.enter(1, poor=True)
    heard = 0.0
    for number in range(1, count):
        readers[0].socket.sendall(say)
        heard += _deliveries(readers, length)
        if heard < number * READERS:
            break
    Client.leave([*readers, *stalled])
    share = 100 * heard / ((count - 1) * READERS)
    return {"one of ten stalled: the others get": Sample(share=share)}


def _deliveries(readers: Sequence[Client], length: int) -> float:
    """How many of the readers get this one."""
    sockets = Client.sockets(readers)
    buffer = bytearray(length)
    got, wanted = 0, length * len(readers)
    deadline = monotonic() + PATIENCE
    with select.epoll() as poll:
        for number in sockets:
            poll.register(number, select.EPOLLIN)
        while got < wanted and (left := deadline - monotonic()) > 0:
            for number, _ in poll.poll(left):
                got += received(sockets[number], buffer)
    return got / length


SCRIPT = Script("stalled", measure, (400,))

if __name__ == "__main__":
    main(SCRIPT)
