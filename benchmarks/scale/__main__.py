"""Every curve: measured, kept in benchmarks/results/scale.json, and drawn."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.scale import connections, events, lengths, plot, rooms, wire
from benchmarks.scale.curves import Chart, charts, in_process
from benchmarks.wire import rounds as wire_rounds
from benchmarks.wire.figures import rows

RESULTS: Final = Path(__file__).parents[1] / "results"
MODULES: Final = {
    "connections": connections,
    "rooms": rooms,
    "events": events,
    "bytes": lengths,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=20_000, help="connections")
    parser.add_argument("--only", nargs="+", choices=[*MODULES, "wire"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    wanted = options.only or [*MODULES, "wire"]
    pictures: list[Chart] = []
    for x, module in MODULES.items():
        if x in wanted:
            path = module.PATH
            sizes = path.sizes
            if x == "connections":
                sizes = tuple(dict.fromkeys(min(size, options.most) for size in sizes))
            found = in_process(path, path.systems, options.rounds, sizes)
            pictures += charts(found, x, module.UNITS)
    if "wire" in wanted:
        sizes = wire.possible([min(size, options.most) for size in wire.SCRIPT.sizes])
        server = wire_rounds.BY_NAME[wire_rounds.DEFAULT]
        systems = ("by_hand", "gateway")
        figures = wire_rounds.measured(wire.SCRIPT, systems, options.rounds, server, sizes)
        medians: dict[str, dict[str, float]] = {}
        for line in rows(figures):
            if line.cost is not None:
                medians.setdefault(line.system, {})[line.case] = line.cost
        pictures += charts(medians, "connections", wire.UNITS)
    about = report.about(["anyio", "uvicorn", "websockets"], f"rounds: {options.rounds}")
    result = {"about": about, "charts": [picture.plain() for picture in pictures]}
    options.results.mkdir(exist_ok=True)
    file = options.results / "scale.json"
    # A point a line.
    text = re.sub(
        r"\[\s+([\d.]+),\s+([\d.]+)\s+\]",
        r"[\1, \2]",
        json.dumps(result, indent=1, ensure_ascii=False),
    )
    file.write_text(f"{text}\n")
    drawn = options.results / "scale.svg"
    drawn.write_text(plot.drawing(result))
    print(f"{file}\n{drawn}")


if __name__ == "__main__":
    main()
