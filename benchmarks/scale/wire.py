"""How fan-out and memory grow with the number of connections, on the wire."""

from __future__ import annotations

import resource
from collections.abc import Sequence

from benchmarks.scale.connections import VISIBLE
from benchmarks.scale.curves import case
from benchmarks.wire.client import Client
from benchmarks.wire.fan_out import fan_out
from benchmarks.wire.figures import Sample
from benchmarks.wire.rounds import Script, Served, main

__all__ = ["SCRIPT", "UNITS", "measure", "possible"]

UNITS = {
    "delivery on uvicorn": "CPU µs",
    "deliveries on uvicorn": "a second",
    "memory on uvicorn": "KiB a connection",
}
SPARE = 200
"""Files that client and server need for other things."""


def measure(served: Served, sizes: Sequence[int]) -> dict[str, Sample]:
    clients: list[Client] = []
    before = served.usage.memory()
    figures = {}
    for size in sorted(sizes):
        clients += served.enter(size - len(clients))
        memory = (served.usage.memory() - before) / size
        sample = fan_out(served, clients)
        figures[case("delivery on uvicorn", size)] = Sample(cost=sample.cost)
        figures[case("deliveries on uvicorn", size)] = Sample(cost=sample.rate)
        if size >= VISIBLE:
            figures[case("memory on uvicorn", size)] = Sample(cost=memory)
    Client.leave(clients)
    return figures


def possible(sizes: Sequence[int]) -> tuple[int, ...]:
    """Those for which a process may have the files; the last is as many as it may have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE
    return tuple(dict.fromkeys(min(size, most) for size in sizes))


SCRIPT = Script("scale", measure, possible((100, 1_000, 3_000, 10_000, 20_000)))

if __name__ == "__main__":
    main(SCRIPT)
