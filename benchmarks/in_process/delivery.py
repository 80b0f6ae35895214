"""One delivery of a broadcast: one peer says something to everybody, itself included."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.in_process.meters import CPU
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server
from benchmarks.messages import WORDS

__all__ = ["PATH", "measure"]

DELIVERIES = 200_000
SECONDS = 2.0
"""At most, for those that would take minutes."""
LEAST = 10
"""Broadcasts, however long they take."""


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    """Ever more peers, in order of size."""
    figures = {}
    there = 0
    for size in sorted(sizes):
        # Two more talk, and stay for the next size: one to see how long it takes.
        await server.open(server.connections(size - there - 2))
        there = size
        slowness = await _say(server, size - 1, LEAST)
        counted = max(LEAST, min(DELIVERIES // size, int(SECONDS / slowness)))
        figures[f"{size} peers"] = await _say(server, size, counted) / size * 1e6
    return figures


async def _say(server: Server, hearers: int, counted: int) -> float:
    """The CPU seconds of a broadcast."""
    cpu = CPU()
    await server.talk(
        "say", WORDS, cpu, counted=counted, warm=max(2, counted // 10), answers=hearers
    )
    return cpu.spent / counted


PATH = HotPath(
    "benchmarks.in_process.delivery",
    "CPU µs a delivery",
    measure,
    sizes=(100, 1_000, 5_000),
)

if __name__ == "__main__":
    main(PATH)
