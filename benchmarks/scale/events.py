"""How a message grows with the number of events that a gateway handles, in process."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.in_process.meters import CPU
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server
from benchmarks.messages import PING
from benchmarks.scale.apps import EVENTS
from benchmarks.scale.curves import case

__all__ = ["PATH", "UNITS", "measure"]

UNITS = {"message and answer": "CPU µs"}
COUNTED = 10_000


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    figures = {}
    for size in sorted(sizes):
        cpu = CPU()
        last = f"event{size - 1}"
        await server.talk(last, PING, cpu, counted=COUNTED, warm=COUNTED // 10, path=f"/{size}")
        figures[case("message and answer", size)] = cpu.spent / COUNTED * 1e6
    return figures


PATH = HotPath(
    "benchmarks.scale.events",
    "CPU µs a message",
    measure,
    systems=("events_by_hand", "events_gateway"),
    sizes=EVENTS,
)

if __name__ == "__main__":
    main(PATH)
