"""The page on reliability names tests, and they are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.effort import PAGE, rows

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", PAGE.read_text())


@cache
def found_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    }


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED if path.endswith(".py")}))
def test_every_test_that_is_named_is_there(path: str) -> None:
    found = found_in(path)
    assert found
    assert {name for file, name in NAMED if file == path and name} <= found


def test_every_line_names_one() -> None:
    for line in PAGE.read_text().split("## What is not prevented")[0].splitlines():
        if line.startswith("| ") and not line.startswith(("| what is", "| ---")):
            assert "`tests/" in line, line


def test_the_figures_can_be_read() -> None:
    assert all(asked and measured for asked, measured in rows(PAGE.read_text()).values())
