"""The code and the links of the pages in docs."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
NAMED = re.compile(r"<!-- (?P<path>\S+) -->\n```python\n(?P<code>.*?)```", re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_python_block_is_a_file_word_for_word(page: Path) -> None:
    text = page.read_text()
    blocks = list(NAMED.finditer(text))
    assert len(blocks) == text.count("```python")
    for block in blocks:
        assert (ROOT / block["path"]).read_text() == block["code"], block["path"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.fixture
def bad_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples"))
    import test_bad_connections  # pyright: ignore

    yield test_bad_connections
    for name in ("gateway", "test_bad_connections"):
        del sys.modules[name]


async def test_the_tests_of_bad_connections_pass(bad_connections: ModuleType) -> None:
    tests = [test for name, test in vars(bad_connections).items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        await test()


def test_the_collector_is_told_that_what_was_loaded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples"))
    import collector  # pyright: ignore

    thresholds = gc.get_threshold()
    try:
        collector.settle_what_was_loaded()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] == 50_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        del sys.modules["collector"]
