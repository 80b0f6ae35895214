"""Tables: printed, and put between their markers in README.md."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__all__ = ["about", "fill", "progress", "table", "times"]

PAGE: Final = Path(__file__).with_name("README.md")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, whose columns line up as plain text too."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * max(width, 3) for width in widths])
    cells = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    )
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def times(ratio: float) -> str:
    """A ratio as it stands in tables."""
    return f"×{ratio:.2f}"


def _versions(packages: Iterable[str]) -> str:
    """The interpreter's, and those of the packages that are installed."""
    told = [f"{platform.python_implementation()} {platform.python_version()}"]
    for package in dict.fromkeys(packages):
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            pass
    return ", ".join(told)


def about(packages: Iterable[str], *more: str) -> str:
    """What this ran on, when, and with what."""
    return f"{'; '.join([_machine(), _versions(packages), *more])}."


def _machine() -> str:
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{date.today()}, {os.cpu_count()} cores, "
        f"{processor[1] if processor else platform.machine()}, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}"
    )


def progress(name: str, number: int, rounds: int) -> None:
    """Tells whoever watches how far it is."""
    if sys.stderr.isatty():
        print(f"\r{name}: round {number} of {rounds} ", end="", file=sys.stderr, flush=True)


def fill(name: str, text: str, page: Path = PAGE) -> None:
    """Puts a table between `<!-- name -->` and `<!-- /name -->`."""
    between = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    filled, found = between.subn(lambda _: f"\n{text}\n", page.read_text())
    if not found:
        raise SystemExit(f"{page} has no place for {name!r}: it needs <!-- {name} --> in it")
    page.write_text(filled)
