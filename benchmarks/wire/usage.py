"""What a server's processes have used, as Linux counts it in /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["Usage"]

TICKS: Final = os.sysconf("SC_CLK_TCK")


class Usage:
    """All processes of a group: some servers serve from a child."""

    def __init__(self, group: int) -> None:
        self._folders = [
            stat.parent for stat in Path("/proc").glob("[0-9]*/stat") if _group(stat) == group
        ]

    def cpu(self) -> float:
        """User and system seconds, of all threads."""
        spent = 0
        for folder in self._folders:
            fields = _fields(folder / "stat")
            spent += int(fields[11]) + int(fields[12])
        return spent / TICKS

    def memory(self) -> float:
        """Resident KiB."""
        return sum(
            float(line.split()[1])
            for folder in self._folders
            for line in (folder / "status").read_text().splitlines()
            if line.startswith("VmRSS")
        )


def _fields(stat: Path) -> list[str]:
    """What follows the name, which may hold spaces."""
    return stat.read_text().rpartition(")")[2].split()


def _group(stat: Path) -> int | None:
    try:
        return int(_fields(stat)[2])
    except OSError:
        return None  # it has ended
