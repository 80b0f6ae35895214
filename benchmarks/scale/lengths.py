"""How a message that is decoded, and sent on to its sender, grows with its length, in process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.in_process.meters import CPU
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server
from benchmarks.scale.curves import case

__all__ = ["PATH", "UNITS", "measure"]

UNITS = {"message of a length": "CPU µs"}
BYTES = 20_000_000
"""In all, of each length."""


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    figures = {}
    for answers, size in enumerate(sorted(sizes), 1):
        data = _records(server, size)
        counted = min(5_000, max(10, BYTES // size))
        cpu = CPU()
        # Those who talked before hear it too: that is cheap beside the rest.
        await server.talk("say", data, cpu, counted=counted, warm=3, answers=answers)
        figures[case("message of a length", size)] = cpu.spent / counted * 1e6
    return figures


def _records(server: Server, size: int) -> list[dict[str, Any]]:
    """So many bytes of what one would send, or a little more."""
    records: list[dict[str, Any]] = []
    record = {"id": 0, "name": "somebody", "at": [12.5, 47.25], "here": True}
    empty = len(server.system.message("say", []))
    each = len(server.system.message("say", [record])) - empty + 1
    while empty + len(records) * each < size:
        records.append({**record, "id": len(records) % 10})
    return records


PATH = HotPath(
    "benchmarks.scale.lengths",
    "CPU µs a message",
    measure,
    sizes=(100, 1_000, 10_000, 100_000, 1_000_000),
)

if __name__ == "__main__":
    main(PATH)
