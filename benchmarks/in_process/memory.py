"""What Python allocates for a connection that is open and idle, as tracemalloc counts it.

The fake server's own part (a scope, an event, a task) is in the figure, alike for all systems.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence

from benchmarks.in_process.rounds import HotPath, difference, main
from benchmarks.in_process.server import Server

__all__ = ["PATH", "measure"]

WARM = 50


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    warm = server.connections(WARM)
    await server.open(warm)
    await server.close(warm)
    [size] = sizes
    tracemalloc.start()
    before = _allocated()
    # Kept until it is counted: the server's tasks know them by their methods only.
    connections = server.connections(size)
    await server.open(connections)
    after = _allocated()
    return {"memory": (after - before) / len(connections) / 1024}


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


PATH = HotPath(
    "benchmarks.in_process.memory",
    "KiB a connection",
    measure,
    sizes=(2_000,),
    compare=difference,
)

if __name__ == "__main__":
    main(PATH)
