"""The gateway and the loop by hand beside everything that one might use instead.

Runs in the environment that `benchmarks/peers/install` makes. In process for those in Python, on
uvicorn for the same, and for Node as it serves itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.in_process import counts, delivery, memory, opening, ping, rounds, submit
from benchmarks.systems import SYSTEMS
from benchmarks.wire import connect, echo, fan_out
from benchmarks.wire import figures as wire_figures
from benchmarks.wire import memory as wire_memory
from benchmarks.wire import rounds as wire_rounds

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = ROOT / "build" / "node_modules"
PYTHON: Final = (
    *("by_hand", "by_hand_msgspec", "gateway", "gateway_msgspec", "starlette", "fastapi"),
    *("litestar", "quart", "channels", "socketio", "chanx"),
)
ALL: Final = (*PYTHON, "node_ws", "node_socketio")
# Some are so slow at it that the sizes of the other runs would take hours.
IN_PROCESS: Final = (
    (ping.PATH, (), ["ping"]),
    (submit.PATH, (), ["submit"]),
    (delivery.PATH, (200,), ["delivery to 200"]),
    (opening.PATH, (0,), ["open", "close"]),
    (memory.PATH, (500,), ["memory"]),
)


def in_process(systems: Sequence[str], times: int) -> tuple[str, str]:
    """Two tables: times and memory, and counts."""
    head = ["CPU µs, KiB"]
    rows: dict[str, list[str]] = {}
    for path, sizes, titles in IN_PROCESS:
        found = rounds.measured(path, systems, times, "asyncio", sizes)
        base = found["by_hand"]
        head += titles
        for name, cases in found.items():
            row = rows.setdefault(name, [SYSTEMS[name].title])
            row += ["–"] * (len(head) - len(titles) - len(row))
            row += [rounds.ratio(cases[case], base[case]) for case in base]
    for row in rows.values():
        row += ["–"] * (len(head) - len(row))
    with_floor = ["floor", *systems]
    found = rounds.measured(counts.PATH, with_floor, 1, "asyncio", (100,))
    return report.table(head, rows.values()), rounds.table(counts.PATH, found)


def on_the_wire(systems: Sequence[str], times: int) -> str:
    """One table: how many times the rate, and the CPU time or memory, of the loop by hand."""
    server = wire_rounds.BY_NAME[wire_rounds.DEFAULT]
    scripts = (
        (echo.SCRIPT, ()),
        (fan_out.SCRIPT, (100, 500)),
        (connect.SCRIPT, (2_000,)),
        (wire_memory.SCRIPT, (1_000,)),
    )
    figures = wire_figures.merged(
        [wire_rounds.measured(script, systems, times, server, sizes) for script, sizes in scripts]
    )
    lines = {(line.system, line.case): line for line in wire_figures.rows(figures)}
    cases = list(dict.fromkeys(case for _, case in lines))
    rows = []
    for name in figures:
        row = [SYSTEMS[name].title]
        for case in cases:
            line = lines.get((name, case))
            ratios = (line.rate_ratio, line.cost_ratio) if line else (None, None)
            row.append(" / ".join(f"{ratio:.2f}" for ratio in ratios if ratio is not None) or "–")
        rows.append(row)
    return report.table(["rate / cost", *cases], rows)


def _node() -> str:
    """Its version, and those of what it runs."""
    node = subprocess.run(["node", "--version"], check=False, capture_output=True, text=True)
    told = [f"Node {node.stdout.strip()}"]
    for name in ("ws", "socket.io", "zod"):
        about = json.loads((MODULES / name / "package.json").read_text())
        told.append(f"{name} {about['version']}")
    return ", ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", nargs="+", default=ALL, choices=SYSTEMS)
    parser.add_argument("--only", choices=("in-process", "wire"))
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    options = parser.parse_args()
    os.environ["NODE_PATH"] = str(MODULES)
    os.environ["PATH"] = f"{ROOT / '.venv-peers' / 'bin'}:{os.environ['PATH']}"
    packages = [package for name in options.systems for package in SYSTEMS[name].packages]
    packages += ["uvicorn", "websockets"]
    about = report.about(packages, _node(), f"rounds: {options.rounds}")
    tables: dict[str, str] = {}
    if options.only != "wire":
        python = [name for name in options.systems if not SYSTEMS[name].on_node]
        tables["peers"], tables["peers-counts"] = in_process(python, options.rounds)
    if options.only != "in-process":
        tables["peers-wire"] = on_the_wire(options.systems, options.rounds)
    for name, text in tables.items():
        print(f"{text}\n")
        if options.write:
            report.fill(name, f"{text}\n{about}\n")
    print(about)


if __name__ == "__main__":
    main()
