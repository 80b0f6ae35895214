"""Resident memory of the server for each connection that is open and idle."""

from __future__ import annotations

from collections.abc import Sequence
from time import sleep

from benchmarks.wire.client import Client
from benchmarks.wire.figures import Sample
from benchmarks.wire.rounds import Script, Served, main

__all__ = ["SCRIPT", "measure"]

SETTLING = 0.5


def measure(served: Served, sizes: Sequence[int]) -> dict[str, Sample]:
    """Ever more connections, all counted from the first."""
    clients: list[Client] = []
    before = served.usage.memory()
    figures = {}
    for size in sorted(sizes):
        clients += served.enter(size - len(clients))
        sleep(SETTLING)
        figures[f"memory at {size}"] = Sample(cost=(served.usage.memory() - before) / size)
    Client.leave(clients)
    return figures


SCRIPT = Script("memory", measure, (5_000,))

if __name__ == "__main__":
    main(SCRIPT)
