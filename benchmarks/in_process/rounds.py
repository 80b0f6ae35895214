"""Rounds: in each, every system is measured once, in an interpreter of its own.

So a machine that changes its speed changes it for all of them, and nothing that one has imported or
left behind is there for the next. A figure is the median of the rounds, a ratio the median of the
rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from benchmarks import report
from benchmarks.in_process.loops import LOOPS, Loop, run
from benchmarks.in_process.server import Server
from benchmarks.systems import SYSTEMS, System

__all__ = ["Figures", "HotPath", "difference", "main", "measured", "ratio", "table", "titles"]

Figures: TypeAlias = dict[str, dict[str, list[float]]]
"""By system and by case, one of each round."""

SECONDS = 120


def ratio(values: list[float], base: list[float]) -> str:
    """A figure and how many times that of the base it is."""
    times = median(value / other for value, other in zip(values, base, strict=True))
    return f"{median(values):.2f} {report.times(times)}"


def difference(values: list[float], base: list[float]) -> str:
    """A figure and how much more than that of the base it is."""
    return f"{median(values):.2f} {median(values) - median(base):+.2f}"


@dataclass(frozen=True)
class HotPath:
    """What one script measures.

    Attributes:
        module: Where it stands.
        title: What a figure is, and its unit.
        measure: Measures a system; given sizes if there are any.
        systems: Measured when none are named.
        sizes: How many peers, or whatever else is varied.
        compare: Makes a cell of the table from the figures and those of the base.
        base: What all are compared with; when left out, each with what it names itself.
    """

    module: str
    title: str
    measure: Callable[[Server, Sequence[int]], Awaitable[dict[str, float]]]
    systems: tuple[str, ...] = ("by_hand", "gateway")
    sizes: tuple[int, ...] = ()
    compare: Callable[[list[float], list[float]], str] = ratio
    base: str | None = None

    @property
    def name(self) -> str:
        """Of its table in README.md."""
        return self.module.rpartition(".")[2]


def measured(
    path: HotPath, systems: Sequence[str], rounds: int, loop: str, sizes: Sequence[int]
) -> Figures:
    """All rounds; a system that fails is told about and left out."""
    figures: Figures = {}
    failed: set[str] = set()
    for number in range(rounds):
        for name in systems:
            if name in failed:
                continue
            command = [sys.executable, "-m", path.module, "--loop", loop, "--one", name]
            command += ["--sizes", *map(str, sizes)] if sizes else []
            try:
                done = subprocess.run(
                    command, check=False, capture_output=True, text=True, timeout=SECONDS
                )
                result = json.loads(done.stdout.splitlines()[-1])
            except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
                why = done.stderr.strip() if isinstance(error, IndexError) else str(error)
                last = (why.splitlines() or ["it said nothing"])[-1]
                print(f"{path.name} of {name} left out: {last}", file=sys.stderr)
                failed.add(name)
                figures.pop(name, None)
                continue
            for case, value in result.items():
                figures.setdefault(name, {}).setdefault(case, []).append(value)
        report.progress(path.name, number + 1, rounds)
    return figures


def titles(figures: Figures) -> dict[str, System]:
    """The systems that were measured."""
    return {name: SYSTEMS[name] for name in figures}


def table(path: HotPath, figures: Figures) -> str:
    """A row a system, a column a case."""
    cases = list(next(iter(figures.values()), {}))
    rows = []
    for name, system in titles(figures).items():
        base = figures.get(path.base or system.base, {})
        cells = [
            path.compare(them, base[case]) if base else f"{median(them):.2f}"
            for case, them in figures[name].items()
        ]
        rows.append([system.title, *cells])
    return report.table([path.title, *cases], rows)


def spread(figures: Figures) -> str:
    """The least and the greatest of each."""
    return "\n".join(
        f"{SYSTEMS[name].title}: "
        + ", ".join(f"{case} {min(them):.2f} to {max(them):.2f}" for case, them in cases.items())
        for name, cases in figures.items()
    )


def main(path: HotPath, arguments: Sequence[str] | None = None) -> None:
    """The command line that every script has."""
    parser = argparse.ArgumentParser(prog=f"python -m {path.module}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--systems", nargs="+", default=path.systems, choices=SYSTEMS)
    parser.add_argument("--sizes", nargs="+", type=int, default=path.sizes)
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one is not None:
        return _one(path, SYSTEMS[options.one], options.loop, options.sizes)
    figures = measured(path, options.systems, options.rounds, options.loop, options.sizes)
    text = table(path, figures)
    packages = [package for system in titles(figures).values() for package in system.packages]
    about = report.about(packages, options.loop, f"rounds: {options.rounds}")
    print(f"{about}\n\n{text}\nSpread. {spread(figures)}\n")
    if options.write:
        name = path.name if options.loop == "asyncio" else f"{path.name}-{options.loop}"
        report.fill(name, f"{text}\n{about}\n")


def _one(path: HotPath, system: System, loop: str, sizes: Sequence[int]) -> None:
    system.load()  # here, what is missing is told in one line

    async def once(loop: Loop) -> None:
        server = Server(loop, system)
        await server.start()
        print(json.dumps(await path.measure(server, sizes)), flush=True)
        os._exit(0)  # how an application ends is not measured, and some take their time

    run(loop, once)
