"""Tests with a short version for every day and a long one, `make soak`, which writes its figures.

A figure is a row of the table in docs/reference/reliability.md. Everyday runs measure too, so that
the long version cannot rot, but only the long one writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["PAGE", "Effort", "rows", "with_rows"]

T = TypeVar("T")

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "reliability.md"

_TABLE: Final = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)
_HEAD: Final = "| what was done | asked for | measured |\n| --- | --- | --- |\n"


@dataclass
class Effort:
    """How much a run does, and what it found.

    Attributes:
        soak: Whether this is the long version.
        figures: What was measured: by what was done, what was asked for and what came out.
    """

    soak: bool
    figures: dict[str, tuple[str, str]] = field(default_factory=dict)

    def of(self, short: T, long: T) -> T:
        """The size that this run has."""
        return long if self.soak else short

    def figure(self, done: str, asked: str, measured: str) -> None:
        """Notes a figure; it is told before it is judged, so that a miss is told too."""
        self.figures[done] = (asked, measured)


def rows(page: str) -> dict[str, tuple[str, str]]:
    """The figures on the page."""
    table = _TABLE.search(page)
    assert table is not None, "the page has lost its markers"
    cells = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in table[0].splitlines()[2:]
    ]
    return {done: (asked, measured) for done, asked, measured in cells}


def with_rows(page: str, figures: dict[str, tuple[str, str]]) -> str:
    """The page with these figures in place of, or after, those it has."""
    merged = {**rows(page), **figures}
    table = _HEAD + "".join(
        f"| {done} | {asked} | {measured} |\n" for done, (asked, measured) in merged.items()
    )
    return _TABLE.sub(lambda _: table, page)
