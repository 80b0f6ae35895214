"""How costs grow with the number of connections, in process."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.in_process.meters import CPU
from benchmarks.in_process.opening import batch
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Connection, Server
from benchmarks.messages import PING, WORDS
from benchmarks.scale.curves import case

__all__ = ["PATH", "UNITS", "measure"]

UNITS = {
    "ping": "CPU µs",
    "delivery": "CPU µs",
    "open": "CPU µs",
    "close": "CPU µs",
    "memory": "KiB a connection",
}
PINGS = 5_000
DELIVERIES = 100_000
BATCH = 300
WARM = 50
VISIBLE = 1_000
"""What fewer connections need is lost in what the allocator has in stock."""


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    await batch(server, WARM)
    there: list[Connection] = []
    talked = 0
    gc.collect()
    before = _resident()
    figures = {}
    for size in sorted(sizes):
        more = server.connections(size - len(there) - talked)
        await server.open(more)
        there += more
        if size >= VISIBLE:
            figures[case("memory", size)] = (_resident() - before) / size
        cpu = CPU()
        await server.talk("ping", PING, cpu, counted=PINGS, warm=PINGS // 10)
        figures[case("ping", size)] = cpu.spent / PINGS * 1e6
        talked += 1
        hearers = len(there) + talked + 1
        counted = max(5, DELIVERIES // hearers)
        cpu = CPU()
        await server.talk("say", WORDS, cpu, counted=counted, warm=2, answers=hearers)
        figures[case("delivery", size)] = cpu.spent / (counted * hearers) * 1e6
        talked += 1
        await batch(server, BATCH)  # the caches hold everybody else by now
        opened, closed = await batch(server, BATCH)
        figures[case("open", size)] = opened
        figures[case("close", size)] = closed
    return figures


def _resident() -> float:
    """KiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


PATH = HotPath(
    "benchmarks.scale.connections",
    "as it grows",
    measure,
    sizes=(100, 300, 1_000, 3_000, 10_000, 20_000),
)

if __name__ == "__main__":
    main(PATH)
