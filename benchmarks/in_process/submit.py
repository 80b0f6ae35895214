"""A form of six fields, validated: by hand with a jsonschema validator made once."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.in_process.meters import CPU
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server
from benchmarks.messages import DATA

__all__ = ["PATH", "measure"]

COUNTED = 4_000


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    cpu = CPU()
    await server.talk("submit", DATA, cpu, counted=COUNTED, warm=COUNTED // 10)
    return {"submit": cpu.spent / COUNTED * 1e6}


PATH = HotPath(
    "benchmarks.in_process.submit",
    "CPU µs a message",
    measure,
    systems=("by_hand", "gateway", "by_hand_msgspec", "gateway_msgspec"),
)

if __name__ == "__main__":
    main(PATH)
