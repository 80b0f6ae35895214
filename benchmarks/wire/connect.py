"""Handshakes, until each client is accepted and greeted; forty are under way at once."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from benchmarks.wire.client import Client
from benchmarks.wire.figures import Sample
from benchmarks.wire.rounds import Script, Served, main

__all__ = ["SCRIPT", "measure"]


def measure(served: Served, sizes: Sequence[int]) -> dict[str, Sample]:
    figures = {}
    for size in sizes:
        cpu, started = served.usage.cpu(), monotonic()
        clients = served.enter(size)
        cpu, seconds = served.usage.cpu() - cpu, monotonic() - started
        figures[f"connect {size}"] = Sample(size / seconds, cpu / size * 1e6)
        Client.leave(clients)
    return figures


SCRIPT = Script("connect", measure, (4_000,))

if __name__ == "__main__":
    main(SCRIPT)
