"""The README's code is files, and the files work."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgi_ws_gateway.testing import GatewayTestClient

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
        if name in {"gateway", "service", "test_gateway"}:
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


async def test_a_view_sends_through_the_service(example: Any) -> None:
    pytest.importorskip("starlette")
    application = example("service").application
    async with GatewayTestClient(application) as client, client.connect("/chat") as peer:
        sent = await _post(application, "/announce", b'{"text": "soon"}')
        assert sent[0]["status"] == 200
        assert sent[1]["body"] == b'{"listeners":1}'
        assert await peer.receive("announced") == {"text": "soon"}


async def _post(application: Any, path: str, body: bytes) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json")],
        "client": ("testclient", 50000),
        "server": ("testserver", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent
