"""A curve is measured like a hot path; its cases say how far along it they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.in_process import rounds

__all__ = ["SEPARATOR", "Chart", "case", "charts"]

SEPARATOR: Final = " at "


def case(chart: str, size: int) -> str:
    """The name under which a script returns a figure."""
    return f"{chart}{SEPARATOR}{size}"


@dataclass(frozen=True)
class Chart:
    """One picture: a line a system."""

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"title": self.title, "x": self.x, "y": self.y, "lines": self.lines}


def charts(medians: dict[str, dict[str, float]], x: str, units: dict[str, str]) -> list[Chart]:
    """What was measured of each system, by case, as pictures in the order of `units`."""
    pictures = {title: Chart(title, x, unit, {}) for title, unit in units.items()}
    for name, cases in medians.items():
        for known, value in cases.items():
            title, _, size = known.partition(SEPARATOR)
            line = pictures[title].lines.setdefault(_line(name), [])
            line.append((int(size), round(value, 3)))
    return list(pictures.values())


def _line(name: str) -> str:
    return "gateway" if "gateway" in name else "loop by hand"


def in_process(
    path: rounds.HotPath, systems: tuple[str, ...], times: int, sizes: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Medians, each system and round in an interpreter of its own."""
    found = rounds.measured(path, systems, times, "asyncio", sizes)
    return {
        name: {known: sorted(them)[len(them) // 2] for known, them in cases.items()}
        for name, cases in found.items()
    }
