"""The benchmarks run, so that they cannot rot. What they measure is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]


def run(module: str, *options: str) -> list[list[str]]:
    """The cells of the table that a script prints."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "--rounds", "1", *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=55)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("script", ["ping", "submit", "memory", "opening", "delivery"])
def test_a_hot_path_is_measured_beside_a_loop_by_hand(script: str) -> None:
    sizes = ["--sizes", "50"] if script in ("opening", "delivery") else []
    [_, _, by_hand, gateway] = run(
        f"in_process.{script}", "--systems", "by_hand", "gateway", *sizes
    )
    assert (by_hand[0], gateway[0]) == ("loop by hand, json", "gateway")
    assert all(by_hand[1:])
    assert len(gateway) == len(by_hand)


def test_neither_a_ping_nor_a_delivery_costs_a_task_or_a_callback() -> None:
    table = run("in_process.counts", "--systems", "floor", "gateway")
    counted = dict(zip(table[0], table[-1], strict=True))
    for name in ("tasks", "callbacks", "its tasks", "its callbacks"):
        assert counted[name] == "0.0"
