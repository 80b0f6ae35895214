"""Opening and closing a connection, with nobody, a thousand and five thousand others there."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from time import process_time

from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server

__all__ = ["PATH", "batch", "measure"]

BATCH = 500
WARM = 100


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    """Opens a batch and closes it again, with ever more others."""
    await batch(server, WARM)
    figures = {}
    there = 0
    for size in sorted(sizes):
        await server.open(server.connections(size - there))
        there = size
        opened, closed = await batch(server, BATCH)
        figures[f"open, {size} there"] = opened
        figures[f"close, {size} there"] = closed
    return figures


async def batch(server: Server, size: int) -> tuple[float, float]:
    """The CPU µs of opening, and of closing, each of so many."""
    connections = server.connections(size)
    # Whether one of its great rounds falls into so short a time is chance.
    gc.collect()
    gc.disable()
    started = process_time()
    await server.open(connections)
    opened = process_time()
    await server.close(connections)
    closed = process_time()
    gc.enable()
    return (opened - started) / size * 1e6, (closed - opened) / size * 1e6


PATH = HotPath(
    "benchmarks.in_process.opening",
    "CPU µs a connection",
    measure,
    sizes=(0, 1_000, 5_000),
)

if __name__ == "__main__":
    main(PATH)
