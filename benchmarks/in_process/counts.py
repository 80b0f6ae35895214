"""Function calls, tasks and loop callbacks of a ping and of a delivery: the same in every run.

What driving no application at all costs is taken off. Only the loop's own thread is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.in_process.meters import Calls, Turns
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server
from benchmarks.messages import PING, WORDS

__all__ = ["PATH", "measure"]

COUNTED = 200
"""With those before them, fewer than after which the gateway gives others a turn."""
WARM = 20


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    [size] = sizes
    calls, turns = Calls(), Turns()
    await server.talk("ping", PING, calls, counted=COUNTED, warm=WARM)
    await server.talk("ping", PING, turns, counted=COUNTED, warm=WARM)
    figures = _each("ping", calls.calls / COUNTED, turns, COUNTED)
    # Two are there, and each that talks comes on top.
    await server.open(server.connections(size - 3))
    calls, turns = Calls(), Turns()
    await server.talk("say", WORDS, calls, counted=COUNTED, warm=WARM, answers=size)
    await server.talk("say", WORDS, turns, counted=COUNTED, warm=WARM, answers=size + 1)
    deliveries = COUNTED * size
    return figures | _each("delivery", calls.calls / deliveries, turns, deliveries + COUNTED)


def _each(what: str, calls: float, turns: Turns, count: int) -> dict[str, float]:
    return {
        f"{what}: calls": calls,
        "tasks" if what == "ping" else "its tasks": turns.tasks / count,
        "callbacks" if what == "ping" else "its callbacks": turns.callbacks / count,
    }


def _less_the_floor(values: list[float], floor: list[float]) -> str:
    return f"{abs(values[0] - floor[0]):.1f}"


PATH = HotPath(
    "benchmarks.in_process.counts",
    "less the floor",
    measure,
    systems=("floor", "by_hand", "gateway"),
    sizes=(200,),
    compare=_less_the_floor,
    base="floor",
)

if __name__ == "__main__":
    main(PATH)
