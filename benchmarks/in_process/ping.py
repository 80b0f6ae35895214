"""A ping and its answer: decode, dispatch, encode."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.in_process.meters import CPU
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server
from benchmarks.messages import PING

__all__ = ["PATH", "measure"]

COUNTED = 20_000


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    cpu = CPU()
    await server.talk("ping", PING, cpu, counted=COUNTED, warm=COUNTED // 10)
    return {"ping": cpu.spent / COUNTED * 1e6}


PATH = HotPath(
    "benchmarks.in_process.ping",
    "CPU µs a message",
    measure,
    systems=("by_hand", "gateway", "by_hand_msgspec", "gateway_msgspec"),
)

if __name__ == "__main__":
    main(PATH)
