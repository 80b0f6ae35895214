"""What was measured on the wire, and the table that compares it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple, TypeAlias

from benchmarks import report
from benchmarks.systems import SYSTEMS

__all__ = ["Figures", "Line", "Sample", "merged", "rows", "table"]


class Sample(NamedTuple):
    """What one measurement says.

    Attributes:
        rate: A second.
        cost: CPU µs each, or KiB.
        share: Per cent of what there should be; it is not compared.
    """

    rate: float | None = None
    cost: float | None = None
    share: float | None = None


Figures: TypeAlias = dict[str, dict[str, list[Sample]]]
"""By system and by case, one of each round."""


class Line(NamedTuple):
    """One system's medians in one case, and how many times those of the base they are."""

    system: str
    case: str
    rate: float | None
    rate_ratio: float | None
    cost: float | None
    cost_ratio: float | None
    share: float | None


def rows(figures: Figures, base: str = "by_hand") -> list[Line]:
    """Case by case, the systems in their order."""
    cases = dict.fromkeys(case for them in figures.values() for case in them)
    return [
        Line(
            name,
            case,
            *_compared("rate", figures, name, base, case),
            *_compared("cost", figures, name, base, case),
            _compared("share", figures, name, base, case)[0],
        )
        for case in cases
        for name in figures
        if case in figures[name]
    ]


def _compared(
    what: str, figures: Figures, name: str, base: str, case: str
) -> tuple[float | None, float | None]:
    values = [getattr(sample, what) for sample in figures[name][case]]
    if None in values:
        return None, None
    others = [getattr(sample, what) for sample in figures.get(base, {}).get(case, ())]
    ratios = [value / other for value, other in zip(values, others, strict=False) if other]
    return median(values), median(ratios) if ratios else None


def _cell(value: float | None, ratio: float | None) -> str:
    if value is None:
        return ""
    shown = f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"
    return shown if ratio is None else f"{shown} {report.times(ratio)}"


def table(figures: Figures) -> str:
    """A row a case and system."""
    head = ["on the wire", "system", "a second", "CPU µs each, or KiB"]
    return report.table(
        head,
        (
            [
                line.case,
                SYSTEMS[line.system].title,
                _cell(line.rate, line.rate_ratio) if line.share is None else f"{line.share:.0f} %",
                _cell(line.cost, line.cost_ratio),
            ]
            for line in rows(figures)
        ),
    )


def merged(parts: Sequence[Figures]) -> Figures:
    """The figures of several scripts as one."""
    whole: Figures = {}
    for part in parts:
        for name, cases in part.items():
            whole.setdefault(name, {}).update(cases)
    return whole
