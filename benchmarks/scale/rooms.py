"""How a broadcast to one room of a hundred grows with the number of other rooms, in process."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.in_process.meters import CPU
from benchmarks.in_process.rounds import HotPath, main
from benchmarks.in_process.server import Server
from benchmarks.messages import WORDS
from benchmarks.scale.curves import case

__all__ = ["PATH", "UNITS", "measure"]

UNITS = {"delivery in a room of 100": "CPU µs"}
ROOM = 100
COUNTED = 1_000


async def measure(server: Server, sizes: Sequence[int]) -> dict[str, float]:
    """Each of the other rooms has one peer."""
    await server.open(server.connections(ROOM, lambda _: "/?room=here"))
    rooms = 1
    hearers = ROOM
    figures = {}
    for size in sorted(sizes):
        more = range(rooms, size)
        await server.open(server.connections(len(more), lambda at: f"/?room={more[at]}"))  # noqa: B023
        rooms = size
        hearers += 1
        cpu = CPU()
        await server.talk(
            "say", WORDS, cpu, counted=COUNTED, warm=50, answers=hearers, path="/?room=here"
        )
        figures[case("delivery in a room of 100", size)] = cpu.spent / (COUNTED * hearers) * 1e6
    return figures


PATH = HotPath(
    "benchmarks.scale.rooms",
    "CPU µs a delivery",
    measure,
    systems=("rooms_by_hand", "rooms_gateway"),
    sizes=(1, 10, 100, 1_000, 10_000),
)

if __name__ == "__main__":
    main(PATH)
