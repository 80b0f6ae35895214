"""The README's code is files, and the files work."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NAMED = re.compile(r"<!-- (?P<path>\S+) -->\n```python\n(?P<code>.*?)```", re.DOTALL)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a module of docs/examples, as its reader would from that folder."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in {"gateway", "test_gateway"}:
            del sys.modules[name]


def test_every_python_block_is_a_file_word_for_word() -> None:
    named = list(NAMED.finditer(README))
    assert len(named) == README.count("```python") == 3
    for block in named:
        assert (ROOT / block["path"]).read_text() == block["code"], block["path"]


def test_every_picture_and_link_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_gateway_takes_no_more_than_its_lines() -> None:
    code = (ROOT / "docs" / "examples" / "gateway.py").read_text()
    assert len([line for line in code.splitlines() if line]) <= 20


async def test_the_tests_of_the_example_pass(example: Any) -> None:
    module = example("test_gateway")
    await module.test_a_message_names_its_sender()
    await module.test_a_message_reaches_the_lobby()
